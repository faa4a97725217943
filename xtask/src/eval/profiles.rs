//! What was known of each image and service when the attacks began.

use std::{collections::BTreeMap, path::Path};

use anyhow::Result;
use serde::Deserialize;

use super::lines;

/// A profile, as `plimsoll profile list -o json` prints it.
#[derive(Debug, Deserialize)]
pub(super) struct Profile {
    pub(super) image: String,
    parts: Vec<Part>,
}

/// A dimension of a profile in one context.
#[derive(Debug, Deserialize)]
pub(super) struct Part {
    dimension: String,
    context: String,
    state: String,
    pub(super) daily: f64,
    pub(super) daily_bound: f64,
}

impl Profile {
    /// Its dimensions in steady work.
    pub(super) fn steady(&self) -> impl Iterator<Item = &Part> {
        self.parts.iter().filter(|part| part.context == "steady")
    }
}

impl Part {
    /// Whether enough of it is known that what is new is told.
    pub(super) fn is_monitored(&self) -> bool {
        self.state == "monitor"
    }
}

/// A dimension over all profiles, of steady work.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Profiles that have it.
    pub(super) profiles: usize,
    /// Of these, those of which enough was known without an operator's word.
    pub(super) monitored: usize,
    /// Alerts a day of the clock of learning that were to be expected of the latter, in all.
    pub(super) daily: f64,
    /// The upper bound of that, the bounds added.
    pub(super) daily_bound: f64,
}

/// Reads what the agent said before it was told that it is enough.
pub(super) fn read(path: &Path) -> Result<Vec<Profile>> {
    lines(path)
}

/// By dimension, how much was known.
pub(super) fn by_dimension(profiles: &[Profile]) -> BTreeMap<&str, Known> {
    let mut all: BTreeMap<&str, Known> = BTreeMap::new();
    for part in profiles.iter().flat_map(Profile::steady) {
        let known = all.entry(&part.dimension).or_default();
        known.profiles += 1;
        if part.is_monitored() {
            known.monitored += 1;
            known.daily += part.daily;
            known.daily_bound += part.daily_bound;
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steady_work_is_counted_by_dimension_and_state() {
        let part = |context: &str, state: &str| Part {
            dimension: "write".to_owned(),
            context: context.to_owned(),
            state: state.to_owned(),
            daily: 0.25,
            daily_bound: 1.0,
        };
        let steady = ["monitor", "learning", "monitor"].map(|state| part("steady", state));
        let parts = steady.into_iter().chain([part("start", "monitor")]).collect();
        let profiles = [Profile { image: "shop/web:1".to_owned(), parts }];
        let known = by_dimension(&profiles);
        assert_eq!((known["write"].profiles, known["write"].monitored), (3, 2));
        assert!((known["write"].daily - 0.5).abs() < 1e-9);
    }
}
