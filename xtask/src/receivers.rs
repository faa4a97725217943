//! Sees to it that there is what the live tests send alerts to.

use anyhow::Result;

use crate::debian;

/// Prometheus, Alertmanager, a syslog daemon, an HTTP server, what makes certificates for it, and what
/// sets up a network.
const PACKAGES: [&str; 6] =
    ["iproute2", "openssl", "prometheus", "prometheus-alertmanager", "python3", "rsyslog"];

/// Installs what is missing.
pub(crate) fn ensure() -> Result<()> {
    debian::install("what takes alerts and metrics in the live tests", &PACKAGES)
}
