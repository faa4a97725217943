//! Sees to it that there is what the live tests send alerts to.

use anyhow::Result;

use crate::debian;

/// Alertmanager, a syslog daemon, an HTTP server, and what makes certificates for it.
const PACKAGES: [&str; 4] = ["openssl", "prometheus-alertmanager", "python3", "rsyslog"];

/// Installs what is missing.
pub(crate) fn ensure() -> Result<()> {
    debian::install("what takes alerts in the live tests", &PACKAGES)
}
