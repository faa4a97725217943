//! Departures that were not told by themselves, told together: so that whoever raises many cannot hide
//! one among them.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use plimsoll_ebpf::{rules::Rule, value::readable};

use super::{budget::HOUR_NS, incidents};
use crate::{
    attribution::container::Container,
    baseline::{departure::Departure, report::Report},
};

/// The same of those of an incident, which is open for longer after each.
const TOGETHER_NS: u64 = 240_000_000_000;
/// Of these, how many are named.
const MOST_NAMED: usize = 3;
/// Gatherings at once; what is beyond them is counted alone.
const MOST_GATHERED: usize = 1024;

/// Why a departure was not told by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Why {
    /// Its profile, of this place, had no budget left.
    Budget(usize),
    /// Enough that is like it was told of this incident.
    Alike(incidents::Key),
}

/// What is told of some that were gathered.
#[derive(Debug)]
pub(super) struct Gathered {
    /// What is told.
    pub report: Report,
    /// The incident that it is part of, if it is one's.
    pub incident: Option<incidents::Key>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Digest {
    held: HashMap<Why, Held>,
}

#[derive(Debug)]
struct Held {
    due_ns: u64,
    /// Acts by rule, and the container of the first.
    by_rule: BTreeMap<u8, u64>,
    container: Arc<Container>,
    cgroup_id: u64,
    /// Who did the first how, and to what.
    named: Vec<String>,
}

impl Digest {
    /// Takes in a departure that stands for `count` acts of a container, at a moment since boot.
    pub(super) fn add(
        &mut self,
        why: Why,
        (departure, count): (&Departure, u64),
        (container, cgroup_id): (&Arc<Container>, u64),
        now_ns: u64,
    ) {
        if self.held.len() >= MOST_GATHERED && !self.held.contains_key(&why) {
            return;
        }
        let gathered_ns = match why {
            Why::Budget(_) => HOUR_NS,
            Why::Alike(_) => TOGETHER_NS,
        };
        let held = self.held.entry(why).or_insert_with(|| Held {
            due_ns: now_ns.saturating_add(gathered_ns),
            by_rule: BTreeMap::new(),
            container: container.clone(),
            cgroup_id,
            named: Vec::new(),
        });
        *held.by_rule.entry(departure.rule as u8).or_default() += count;
        let key = departure.full_key();
        if matches!(why, Why::Alike(_))
            && held.named.len() < MOST_NAMED
            && !held.named.contains(&key)
        {
            held.named.push(key);
        }
    }

    /// What is due to be told at this moment since boot.
    pub(super) fn take_due(&mut self, now_ns: u64) -> Vec<Gathered> {
        let due = self.held.extract_if(|_, held| held.due_ns <= now_ns);
        due.filter_map(|(why, held)| held.told(why)).collect()
    }

    /// All that is gathered: this is the end.
    pub(super) fn take_all(&mut self) -> Vec<Gathered> {
        self.take_due(u64::MAX)
    }
}

impl Held {
    fn told(self, why: Why) -> Option<Gathered> {
        let mut rules: Vec<(Rule, u64)> = self
            .by_rule
            .iter()
            .filter_map(|(rule, count)| Some((Rule::by_number(*rule)?, *count)))
            .collect();
        // The worst gives its name, then the most.
        rules.sort_by_key(|(rule, count)| std::cmp::Reverse((rule.info().severity, *count)));
        let (rule, _) = *rules.first()?;
        let count = rules.iter().map(|(_, count)| count).sum();
        let listed: Vec<String> =
            rules.iter().map(|(rule, count)| format!("{count} {}", rule.info().name)).collect();
        let listed = listed.join(", ");
        let (reason, incident) = match why {
            Why::Budget(_) => (
                format!(
                    "More departures than a profile may tell in an hour: {count} others were not told \
                     by themselves ({listed}). What was done is in the store."
                ),
                None,
            ),
            Why::Alike(incident) => (
                format!(
                    "{count} more departures of this incident were like ones that were told ({listed}), \
                     among them: {}. What was done is in the store.",
                    readable(self.named.join("; ").as_bytes())
                ),
                Some(incident),
            ),
        };
        let Self { container, cgroup_id, .. } = self;
        Some(Gathered { report: Report { rule, container, cgroup_id, count, reason }, incident })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::baseline::{
        dimension::{Context, Dimension},
        explain::DepartureKind,
    };

    fn departure(rule: Rule, scope: &str) -> Departure {
        Departure {
            dimension: Dimension::Write,
            context: Context::Steady,
            rule,
            profile: 1,
            kind: DepartureKind::New,
            scope: scope.to_owned(),
            key: "/data/x".to_owned(),
            object: String::new(),
            layer: 0,
            fingerprint: 0,
            words: String::new(),
        }
    }

    fn web() -> Arc<Container> {
        Arc::new(Container { name: "web".to_owned(), ..Container::default() })
    }

    #[test]
    fn what_was_held_back_is_told_together_after_an_hour() {
        let (mut digest, web) = (Digest::default(), web());
        let [write, process] = [Rule::NewWrite, Rule::NewProcess].map(|rule| departure(rule, ""));
        digest.add(Why::Budget(1), (&write, 5), (&web, 7), 10);
        digest.add(Why::Budget(1), (&process, 2), (&web, 7), 20);
        digest.add(Why::Budget(2), (&write, 1), (&web, 8), HOUR_NS);
        assert!(digest.take_due(HOUR_NS).is_empty());
        let due = digest.take_due(HOUR_NS + 10);
        let [Gathered { report, incident: None }] = due.as_slice() else { panic!("{due:?}") };
        assert_eq!((report.rule, report.count, report.cgroup_id), (Rule::NewWrite, 7, 7));
        assert!(report.reason.contains("(5 new_write, 2 new_process)"), "{}", report.reason);
        assert_eq!(digest.take_all().len(), 1);
        assert!(digest.take_all().is_empty());
    }

    #[test]
    fn what_is_like_what_was_told_is_told_together_while_its_incident_is_open() {
        let (mut digest, web) = (Digest::default(), web());
        let of = |incident| Why::Alike((7, incident, 0));
        let write = departure(Rule::NewWrite, "/usr/bin/chown attribute volume");
        digest.add(of(1), (&write, 1), (&web, 7), 10);
        digest.add(of(1), (&write, 2), (&web, 7), 20);
        digest.add(of(2), (&write, 1), (&web, 7), 20);
        assert!(digest.take_due(TOGETHER_NS).is_empty());
        let due = digest.take_due(TOGETHER_NS + 10);
        let [Gathered { report, incident }] = due.as_slice() else { panic!("{due:?}") };
        assert_eq!((report.count, *incident), (3, Some((7, 1, 0))));
        for part in ["3 more", "(3 new_write)", "/usr/bin/chown attribute volume /data/x"] {
            assert!(report.reason.contains(part), "{part}: {}", report.reason);
        }
    }
}
