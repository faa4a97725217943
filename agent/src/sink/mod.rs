//! Where alerts are told: standard output, files, syslog, webhooks, Alertmanager.
//!
//! Each sink has threads and a queue of its own: one that is dead, slow or hanging delays nobody
//! else. What can answer ([`remote`]) has its queue on disk, so that neither an outage nor the end
//! of the agent loses an alert; what cannot ([`local`]) writes at once.

pub mod lines;
pub mod link;
pub mod outlets;
pub mod sinks;

mod alertmanager;
mod backoff;
mod counts;
pub mod http;
mod local;
mod queue;
mod remote;
mod syslog;
mod webhook;
