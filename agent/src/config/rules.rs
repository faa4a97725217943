//! Bounds of single settings, beyond their type.

use std::time::Duration;

use super::sections::Config;

/// A bound: the setting, whether it holds, and what to say where it does not.
pub(super) struct Rule {
    /// Dotted name of the setting.
    pub(super) key: &'static str,
    /// Whether it holds.
    pub(super) holds: fn(&Config) -> bool,
    /// What must be, to complete "… must be …".
    pub(super) bound: &'static str,
}

const fn rule(key: &'static str, bound: &'static str, holds: fn(&Config) -> bool) -> Rule {
    Rule { key, holds, bound }
}

/// Every bound.
pub(super) const RULES: &[Rule] = &[
    rule("probe.window", "at most 1h", |it| it.probe.window <= Duration::from_hours(1)),
    rule("probe.known_window", "at most 1h", |it| it.probe.known_window <= Duration::from_hours(1)),
    rule("probe.max_cgroups", "between 64 and 1048576", |it| {
        (64..=1 << 20).contains(&it.probe.max_cgroups)
    }),
    rule("attribution.hold_limit", "between 256 and 16777216", |it| {
        (256..=1 << 24).contains(&it.attribution.hold_limit)
    }),
    rule("attribution.hold_patience", "between 100ms and 10m", |it| {
        let range = Duration::from_millis(100)..=Duration::from_mins(10);
        range.contains(&it.attribution.hold_patience)
    }),
    rule("attribution.process_limit", "between 256 and 16777216", |it| {
        (256..=1 << 24).contains(&it.attribution.process_limit)
    }),
    rule("baseline.unit", "between 1m and 24h", |it| {
        (Duration::from_mins(1)..=Duration::from_hours(24)).contains(&it.baseline.unit)
    }),
    rule("baseline.max_daily_percent", "between 1 and 10000", |it| {
        (1..=10_000).contains(&it.baseline.max_daily_percent)
    }),
    rule("baseline.time_scale", "between 1 and 86400", |it| {
        (1..=86_400).contains(&it.baseline.time_scale)
    }),
    rule("baseline.start_max", "at most 1h and no less than baseline.start_min", |it| {
        let range = it.baseline.start_min..=Duration::from_hours(1);
        range.contains(&it.baseline.start_max)
    }),
    rule("metrics.tls_key_file", "set where metrics.tls_cert_file is, and nowhere else", |it| {
        it.metrics.tls_key_file.0.is_some() == it.metrics.tls_cert_file.0.is_some()
    }),
    rule("store.max_bytes", "at least 1MiB", |it| it.store.max_bytes.0 >= 1 << 20),
    rule("store.max_age", "at least 1m", |it| it.store.max_age >= Duration::from_mins(1)),
    rule("store.brief_max_age", "at least 1m", |it| {
        it.store.brief_max_age >= Duration::from_mins(1)
    }),
    rule("store.brief_percent", "between 1 and 99", |it| {
        (1..=99).contains(&it.store.brief_percent)
    }),
    rule("store.flush_every", "between 10ms and 1s", |it| {
        let range = Duration::from_millis(10)..=Duration::from_secs(1);
        range.contains(&it.store.flush_every)
    }),
];

/// What is said of a setting's bounds, if it has any.
pub(super) fn bound_of(key: &str) -> Option<&'static str> {
    RULES.iter().find(|rule| rule.key == key).map(|rule| rule.bound)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::key::Key;

    #[test]
    fn every_rule_is_about_a_setting_and_allows_its_default() {
        for rule in RULES {
            assert!(Key::by_name(rule.key).is_some(), "{}", rule.key);
            assert!((rule.holds)(&Config::default()), "{}", rule.key);
        }
    }
}
