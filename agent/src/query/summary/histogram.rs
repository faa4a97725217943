//! Counts over time, in bounded memory.

use std::{collections::BTreeMap, time::Duration};

use plimsoll_ebpf::value::Value;
use serde_json::{Map, Value as Json};

use super::Amount;
use crate::{fields::Fields, query::moment::rfc3339};

const SECOND: u64 = 1_000_000_000;
/// Lengths of an interval that people read well, in seconds; beyond them it is doubled.
const STEPS: [u64; 13] =
    [1, 5, 10, 30, 60, 300, 600, 1800, 3600, 21_600, 86_400, 604_800, 2_592_000];
/// Intervals that are told where nobody says how long one is.
const AUTOMATIC: usize = 60;
/// Intervals that are told at most.
const MAX_TOLD: usize = 10_000;
/// Intervals that are kept at most while counting.
const MAX_KEPT: usize = 2 * MAX_TOLD;

/// See the module.
pub(super) struct Histogram {
    step_ns: u64,
    /// How long an interval was asked to be.
    asked_ns: Option<u64>,
    /// By number of intervals since the epoch.
    intervals: BTreeMap<u64, Interval>,
}

#[derive(Clone, Debug, Default)]
struct Interval {
    amount: Amount,
    /// Events are a closed set, of other versions too.
    kinds: BTreeMap<Box<str>, u64>,
}

impl Histogram {
    pub(super) fn new(every_ns: Option<u64>) -> Self {
        let asked_ns = every_ns.map(|it| it.max(1));
        Self { step_ns: asked_ns.unwrap_or(SECOND), asked_ns, intervals: BTreeMap::new() }
    }

    pub(super) fn add(&mut self, ts_ns: u64, fields: &impl Fields) {
        let amount = Amount::of(fields);
        let interval = self.intervals.entry(ts_ns / self.step_ns).or_default();
        interval.amount.add(amount);
        if let Some(Value::Label(kind)) = fields.get("kind") {
            match interval.kinds.get_mut(kind) {
                Some(count) => *count += amount.count,
                None => {
                    interval.kinds.insert(kind.into(), amount.count);
                }
            }
        }
        if self.intervals.len() > MAX_KEPT {
            self.widen();
        }
    }

    /// Makes intervals longer.
    fn widen(&mut self) {
        let wider = STEPS.into_iter().map(|it| it * SECOND).find(|it| {
            // Whole intervals are put together, so that none is split.
            let is_next = (self.step_ns + 1..=self.step_ns.saturating_mul(7)).contains(it);
            is_next && it.is_multiple_of(self.step_ns)
        });
        let wider = wider.unwrap_or(self.step_ns.saturating_mul(2));
        let factor = wider / self.step_ns;
        for (number, interval) in std::mem::take(&mut self.intervals) {
            let into = self.intervals.entry(number / factor).or_default();
            into.amount.add(interval.amount);
            for (kind, count) in interval.kinds {
                *into.kinds.entry(kind).or_default() += count;
            }
        }
        self.step_ns = wider;
    }

    /// Intervals from the first that has something to the last.
    fn span(&self) -> u64 {
        let ends = self.intervals.first_key_value().zip(self.intervals.last_key_value());
        ends.map_or(0, |((first, _), (last, _))| last - first + 1)
    }

    pub(super) fn end(mut self) -> (Vec<Map<String, Json>>, Option<String>) {
        let most = if self.asked_ns.is_some() { MAX_TOLD } else { AUTOMATIC };
        while self.span() > most as u64 {
            self.widen();
        }
        let notice = self.asked_ns.filter(|asked| *asked < self.step_ns).map(|_| {
            let long = Duration::from_nanos(self.step_ns);
            format!("an interval is {long:?} long: else there would be more than {MAX_TOLD}")
        });
        let Some(first) = self.intervals.first_key_value().map(|(first, _)| *first) else {
            return (Vec::new(), notice);
        };
        // Those without anything too: what did not happen is part of the picture.
        let lines = (first..first + self.span()).map(|number| self.line(number)).collect();
        (lines, notice)
    }

    fn line(&self, number: u64) -> Map<String, Json> {
        let empty = Interval::default();
        let interval = self.intervals.get(&number).unwrap_or(&empty);
        let start_ns = number.saturating_mul(self.step_ns);
        let mut line = Map::new();
        line.insert("ts".to_owned(), rfc3339(start_ns).into());
        line.insert("until".to_owned(), rfc3339(start_ns.saturating_add(self.step_ns)).into());
        interval.amount.put(&mut line);
        let kinds = interval.kinds.iter().map(|(kind, count)| (kind.to_string(), (*count).into()));
        line.insert("kinds".to_owned(), Json::Object(kinds.collect()));
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sample::{START_NS, Sample};

    /// Observation 5, an connect, at each of these moments after the start.
    fn told(
        every_ns: Option<u64>,
        after: impl Iterator<Item = u64>,
    ) -> (Vec<String>, Option<String>) {
        let mut histogram = Histogram::new(every_ns);
        let sample = Sample::new();
        after.for_each(|ns| sample.with(5, |it| histogram.add(START_NS + ns, it)));
        let (lines, notice) = histogram.end();
        (lines.into_iter().map(|it| Json::Object(it).to_string()).collect(), notice)
    }

    #[test]
    fn intervals_are_told_in_order_with_the_empty_ones_between() {
        let (lines, notice) = told(Some(SECOND), [0, 1, 2 * SECOND].into_iter());
        assert_eq!(
            lines,
            [
                r#"{"ts":"2025-06-15T15:06:40.000000000Z","until":"2025-06-15T15:06:41.000000000Z","count":2,"observations":2,"kinds":{"connect":2}}"#,
                r#"{"ts":"2025-06-15T15:06:41.000000000Z","until":"2025-06-15T15:06:42.000000000Z","count":0,"observations":0,"kinds":{}}"#,
                r#"{"ts":"2025-06-15T15:06:42.000000000Z","until":"2025-06-15T15:06:43.000000000Z","count":1,"observations":1,"kinds":{"connect":1}}"#,
            ]
        );
        assert_eq!(notice, None);
        assert_eq!(told(None, std::iter::empty()).0.len(), 0);
    }

    #[test]
    fn without_an_interval_there_are_as_many_as_people_can_read() {
        for (hours, most) in [(1, 60), (24, 60), (24 * 300, 60)] {
            let (lines, _) = told(None, (0..1000).map(|it| it * hours * 3600 * (SECOND / 1000)));
            assert!((12..=most).contains(&lines.len()), "{hours} h: {}", lines.len());
            let total: u64 = lines
                .iter()
                .filter_map(|line| serde_json::from_str::<Json>(line).ok()?["count"].as_u64())
                .sum();
            assert_eq!(total, 1000);
        }
    }

    #[test]
    fn an_interval_that_is_too_short_is_made_longer_and_that_is_said() {
        let year = 365 * 86_400 * SECOND;
        let (lines, notice) = told(Some(SECOND), [0, year].into_iter());
        assert!(lines.len() <= MAX_TOLD && lines.len() > 1000, "{}", lines.len());
        assert!(notice.is_some_and(|it| it.contains("is 3600s long")));
    }

    #[test]
    fn what_is_kept_is_bounded_while_counting() {
        let mut histogram = Histogram::new(Some(1));
        let sample = Sample::new();
        (0..50_000).for_each(|ns| sample.with(5, |it| histogram.add(START_NS + ns * 7, it)));
        assert!(histogram.intervals.len() <= MAX_KEPT);
        let total: u64 = histogram.intervals.values().map(|it| it.amount.count).sum();
        assert_eq!(total, 50_000);
    }
}
