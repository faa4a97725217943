//! Alerts as people and their tools are told of them: the native object, and its renderings.

pub mod alertmanager;
pub mod falco;
pub mod native;
pub mod syslog;
