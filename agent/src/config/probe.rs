//! What of the probes' settings follows from others.

use std::time::Duration;

use super::sections::Config;

/// Windows in a unit of learning: each unit is to see what is done in it.
const WINDOWS: u32 = 2;

impl Config {
    /// How long a known act is counted before it is reported again, in real time.
    pub fn known_window(&self) -> Duration {
        let unit = self.baseline.unit / self.baseline.time_scale.max(1);
        self.probe.known_window.min(unit / WINDOWS)
    }
}
