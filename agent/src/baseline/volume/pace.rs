//! The lengths of time that are compared, by the clock of learning.

use crate::baseline::settings::Settings;

/// Shortest window, however fast the clock runs: shorter ones say little and cost much.
const LEAST_WINDOW_MS: u64 = 500;
/// Windows that say how steady something is, at least.
const LEAST_LOAD_WINDOWS: u64 = 6;

/// See the module; all in real milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// How often counters are read.
    pub window_ms: u64,
    /// A minute.
    pub minute_ms: u64,
    /// An hour.
    pub hour_ms: u64,
    /// A day.
    pub day_ms: u64,
    /// A week, after which what was known before is the older half of what is known.
    pub week_ms: u64,
    /// Windows after which a steady load is one: ten minutes.
    pub load_windows: usize,
}

impl Pace {
    /// Those that follow from what an operator set.
    pub fn of(settings: &Settings) -> Self {
        let scale = u64::from(settings.time_scale.max(1));
        let scaled = |ms: u64| ms / scale;
        let window_ms = scaled(10_000).max(LEAST_WINDOW_MS);
        let hour_ms = scaled(3_600_000).max(2 * window_ms);
        Self {
            window_ms,
            minute_ms: scaled(60_000).max(window_ms),
            hour_ms,
            day_ms: 24 * hour_ms,
            week_ms: 168 * hour_ms,
            load_windows: (scaled(600_000) / window_ms).max(LEAST_LOAD_WINDOWS) as usize,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_scaled_but_for_what_would_be_too_short() {
        let pace = Pace::of(&Settings::default());
        assert_eq!((pace.window_ms, pace.minute_ms, pace.load_windows), (10_000, 60_000, 60));
        let fast = Pace::of(&Settings { time_scale: 3600, ..Settings::default() });
        assert_eq!((fast.window_ms, fast.minute_ms, fast.hour_ms), (500, 500, 1000));
        assert_eq!(fast.load_windows, 6);
    }
}
