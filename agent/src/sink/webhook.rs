//! A webhook: one POST for each alert.

use super::{
    http::Client,
    link::{Fault, Link},
};
use crate::{
    alert::native::Alert,
    config::sink::{Format, HttpTarget},
};

/// See the module.
pub(super) struct Webhook {
    client: Client,
    format: Format,
}

impl Webhook {
    pub(super) fn new(target: &HttpTarget, format: Format) -> Self {
        Self { client: Client::new(target, target.url.secret().to_owned()), format }
    }
}

impl Link for Webhook {
    fn deliver(&mut self, alerts: &[Alert]) -> Result<String, Fault> {
        let mut answer = String::new();
        for alert in alerts {
            answer = self.client.post(alert.line(self.format))?;
        }
        Ok(answer)
    }
}
