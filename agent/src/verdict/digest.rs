//! Departures that were held back for want of budget, told together: so that whoever raises many cannot
//! hide one among them.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use plimsoll_ebpf::rules::Rule;

use crate::{attribution::container::Container, baseline::report::Report};

/// How long they are gathered, in nanoseconds: as long as a budget is for.
const GATHERED_NS: u64 = 3_600_000_000_000;
/// Profiles of which some are gathered at once; of more, they are counted alone.
const MOST_PROFILES: usize = 1024;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Digest {
    /// By profile.
    held: HashMap<usize, Held>,
}

#[derive(Debug)]
struct Held {
    due_ns: u64,
    /// Acts by rule, and the container of the first.
    by_rule: BTreeMap<u8, u64>,
    container: Arc<Container>,
    cgroup_id: u64,
}

impl Digest {
    /// Takes in a departure of a profile that stands for `count` acts of a container, at a moment since
    /// boot.
    pub(super) fn add(
        &mut self,
        profile: usize,
        (rule, count): (Rule, u64),
        (container, cgroup_id): (&Arc<Container>, u64),
        now_ns: u64,
    ) {
        if self.held.len() >= MOST_PROFILES && !self.held.contains_key(&profile) {
            return;
        }
        let held = self.held.entry(profile).or_insert_with(|| Held {
            due_ns: now_ns.saturating_add(GATHERED_NS),
            by_rule: BTreeMap::new(),
            container: container.clone(),
            cgroup_id,
        });
        *held.by_rule.entry(rule as u8).or_default() += count;
    }

    /// What is due to be told at this moment since boot.
    pub(super) fn take_due(&mut self, now_ns: u64) -> Vec<Report> {
        let due = self.held.extract_if(|_, held| held.due_ns <= now_ns);
        due.filter_map(|(_, held)| held.report()).collect()
    }

    /// All that is gathered: this is the end.
    pub(super) fn take_all(&mut self) -> Vec<Report> {
        self.take_due(u64::MAX)
    }
}

impl Held {
    fn report(self) -> Option<Report> {
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
        let reason = format!(
            "More departures than a profile may tell in an hour: {count} others were not told by \
             themselves ({}). What was done is in the store.",
            listed.join(", ")
        );
        let Self { container, cgroup_id, .. } = self;
        Some(Report { rule, container, cgroup_id, count, reason })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_held_back_is_told_together_after_an_hour() {
        let mut digest = Digest::default();
        let web = Arc::new(Container { name: "web".to_owned(), ..Container::default() });
        digest.add(1, (Rule::NewWrite, 5), (&web, 7), 10);
        digest.add(1, (Rule::NewProcess, 2), (&web, 7), 20);
        digest.add(2, (Rule::NewWrite, 1), (&web, 8), GATHERED_NS);
        assert!(digest.take_due(GATHERED_NS).is_empty());
        let due = digest.take_due(GATHERED_NS + 10);
        let [report] = due.as_slice() else { panic!("{due:?}") };
        assert_eq!((report.rule, report.count, report.cgroup_id), (Rule::NewWrite, 7, 7));
        assert!(report.reason.contains("(5 new_write, 2 new_process)"), "{}", report.reason);
        assert_eq!(digest.take_all().len(), 1);
        assert!(digest.take_all().is_empty());
    }
}
