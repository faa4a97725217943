//! What takes alerts and metrics in earnest: an HTTP server, Alertmanager, a syslog daemon, Prometheus.

mod alertmanager;
mod prometheus;
mod syslog;
mod webhook;

pub use alertmanager::Alertmanager;
pub use prometheus::Prometheus;
pub use syslog::Syslog;
pub use webhook::{Certificates, Webhook};

use std::net::{SocketAddr, TcpListener, TcpStream};

use crate::poll;

/// An address that nobody listens at.
fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    listener.local_addr().expect("it is bound")
}

/// Waits until somebody listens.
#[track_caller]
fn wait_until_it_listens(what: &str, address: SocketAddr) {
    poll::holds(&format!("{what} listens at {address}"), || TcpStream::connect(address).is_ok());
}
