//! What an operator can set of learning, and the times that follow.

use serde::{Deserialize, Serialize};

/// Seconds of a day.
pub const DAY_S: u64 = 86_400;

/// Starts that are seen at least.
pub const LEAST_STARTS: u32 = 3;

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Length of a unit of steady work, in seconds, at scale 1.
    pub unit_s: u64,
    /// How long at least is learned, in seconds, at scale 1.
    pub ready_after_s: u64,
    /// Units of steady work that are seen at least.
    pub least_units: u32,
    /// Connections that a service has accepted at least.
    pub least_accepts: u32,
    /// Alerts a day that may be expected at most, in hundredths.
    pub most_daily_percent: u32,
    /// How many times faster the clock of learning runs.
    pub time_scale: u32,
    /// Seconds that the start of a container takes at least.
    pub start_least_s: u64,
    /// Seconds that it takes at most.
    pub start_most_s: u64,
    /// Alerts of departures that an image may raise in an hour.
    pub most_hourly: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            unit_s: 3600,
            ready_after_s: DAY_S,
            least_units: 24,
            least_accepts: 100,
            most_daily_percent: 100,
            time_scale: 1,
            start_least_s: 10,
            start_most_s: 300,
            most_hourly: 20,
        }
    }
}

impl Settings {
    /// A time by the clock of learning, in real seconds.
    pub fn seconds(&self, scaled_s: u64) -> f64 {
        scaled_s as f64 / f64::from(self.time_scale.max(1))
    }

    /// Length of a unit in real milliseconds, at least one.
    pub fn unit_ms(&self) -> u64 {
        (self.unit_s.saturating_mul(1000) / u64::from(self.time_scale.max(1))).max(1)
    }

    /// How long at least is learned, in real seconds.
    pub fn ready_after_s(&self) -> u64 {
        self.ready_after_s / u64::from(self.time_scale.max(1))
    }

    /// Alerts a day that may be expected at most.
    pub fn most_daily(&self) -> f64 {
        f64::from(self.most_daily_percent) / 100.0
    }

    /// How far apart two starts are told apart, in real seconds.
    pub fn apart_s(&self) -> u64 {
        3600 / u64::from(self.time_scale.max(1))
    }
}
