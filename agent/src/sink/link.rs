//! The way to a receiver that can answer, or at least be absent.

use std::time::Duration;

use super::{alertmanager::Alertmanager, syslog::Syslog, webhook::Webhook};
use crate::{
    alert::native::Alert,
    config::sink::{SinkTable, Target},
};

/// Why alerts were not told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The receiver is there and will never take them.
    Refused(String),
    /// The receiver is not there, or not able; it may be later.
    Away {
        /// What happened, without anything secret.
        why: String,
        /// How long it asked to be left alone.
        retry_after: Option<Duration>,
    },
}

impl Fault {
    /// The receiver is not there, or not able.
    pub(super) fn away(why: impl Into<String>) -> Self {
        Self::Away { why: why.into(), retry_after: None }
    }

    /// What happened.
    pub fn why(&self) -> &str {
        let (Self::Refused(why) | Self::Away { why, .. }) = self;
        why
    }
}

/// See the module.
pub trait Link: Send {
    /// Alerts that can be told at once at most.
    fn most(&self) -> usize {
        1
    }

    /// Tells alerts; returns what the other side answered.
    ///
    /// # Errors
    /// When it did not take them, or nobody knows whether it did.
    fn deliver(&mut self, alerts: &[Alert]) -> Result<String, Fault>;
}

/// The way to the receiver of a sink; `None` where it has none that could answer.
pub fn of(sink: &SinkTable) -> Option<Box<dyn Link>> {
    match &sink.target {
        Target::Stdout | Target::File(_) => None,
        Target::Syslog(target) => Some(Box::new(Syslog::new(target, sink.format))),
        Target::Webhook(target) => Some(Box::new(Webhook::new(target, sink.format))),
        Target::Alertmanager(target, resolve_after) => {
            Some(Box::new(Alertmanager::new(target, *resolve_after)))
        }
    }
}
