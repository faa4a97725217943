//! What the servers tell of the agent.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde_json::json;

use crate::{
    clock,
    config::sections::Config,
    metrics::{names::Metrics, server::Health},
    store::appender::Health as StoreHealth,
};

/// How old the last echo of a knock may be before the agent is not healthy.
const HEARTBEAT_PATIENCE: Duration = Duration::from_secs(5);

/// See the module.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) metrics: Arc<Metrics>,
    store: StoreHealth,
    pub(super) is_ready: Arc<AtomicBool>,
}

impl Shared {
    pub(super) fn new(store: StoreHealth, config: &Config) -> Self {
        let is_ready = Arc::new(AtomicBool::new(false));
        let metrics = Metrics::of(&config.tables.sinks);
        metrics.store_max_bytes.set(config.store.max_bytes.0);
        Self { metrics: Arc::new(metrics), store, is_ready }
    }

    /// How many are watched.
    pub(super) fn containers(&self) -> u64 {
        self.metrics.containers_watched.value_at(0).unwrap_or_default() as u64
    }

    pub(super) fn check(&self) -> Health {
        let age_ns = self.metrics.heartbeat_age_ns(clock::boot_ns());
        let unhealthy = if !self.is_ready.load(Ordering::Acquire) {
            Some("the agent is starting".to_owned())
        } else if age_ns > HEARTBEAT_PATIENCE.as_nanos() as u64 {
            let seconds = age_ns / 1_000_000_000;
            Some(format!("the kernel programs have not answered for {seconds} s"))
        } else if !self.store.is_recording() {
            Some("the store does not record: see the log".to_owned())
        } else {
            None
        };
        let is_docker_there = self.metrics.docker_connected.value_at(0) == Some(1.0);
        let docker = if is_docker_there { "" } else { "; docker does not answer" };
        match unhealthy {
            Some(why) => Health { healthy: false, detail: format!("{why}{docker}") },
            None => Health { healthy: true, detail: format!("recording{docker}") },
        }
    }

    pub(super) fn status(&self) -> serde_json::Value {
        let Health { healthy, detail } = self.check();
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "healthy": healthy,
            "detail": detail,
            "containers": self.containers(),
        })
    }
}
