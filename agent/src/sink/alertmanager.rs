//! Alertmanager, by its API v2: several alerts in one POST.

use std::time::Duration;

use serde_json::Value as Json;

use super::{
    http::Client,
    link::{Fault, Link},
};
use crate::{
    alert::{alertmanager::object, native::Alert},
    clock,
    config::sink::HttpTarget,
};

const PATH: &str = "/api/v2/alerts";
/// Alerts in one request.
const MOST: usize = 64;

/// See the module.
pub(super) struct Alertmanager {
    client: Client,
    stands_ns: u64,
}

impl Alertmanager {
    pub(super) fn new(target: &HttpTarget, resolve_after: Duration) -> Self {
        let base = target.url.secret().trim_end_matches('/').trim_end_matches(PATH);
        let client = Client::new(target, format!("{base}{PATH}"));
        Self { client, stands_ns: resolve_after.as_nanos() as u64 }
    }
}

impl Link for Alertmanager {
    fn most(&self) -> usize {
        MOST
    }

    fn deliver(&mut self, alerts: &[Alert]) -> Result<String, Fault> {
        let now_ns = clock::now_ns();
        let told: Vec<Json> = alerts.iter().map(|it| object(it, now_ns, self.stands_ns)).collect();
        self.client.post(Json::from(told).to_string())
    }
}
