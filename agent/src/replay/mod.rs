//! What was recorded, judged again: by the baseline and the judge of the agent at work, at the moments
//! that were recorded.
//!
//! Pure: observations in, alerts out, the same ones each time. What images hold on disk is not looked
//! into, and amounts are not measured again: both are told by nothing that is recorded.

use std::sync::Arc;

use plimsoll_ebpf::{catalog::Record, events::alert::Alert, value::Value};

use crate::{
    attribution::{
        container::Container, observation::Observation, process::Process, recorded::Restorer,
    },
    baseline::learner::Baseline,
    fields::Fields,
    policy::book::Book,
    verdict::{assess, judge::Judge, own::Own},
};

const SECOND_NS: u64 = 1_000_000_000;
/// After the last observation time passes in seconds so long, then in minutes: by then nothing is
/// counted any more that would be told by the second.
const ATTENTIVE_NS: u64 = 30 * SECOND_NS;
const MINUTE_NS: u64 = 60 * SECOND_NS;

/// Receives an alert.
pub type Tell<'t> = dyn FnMut(&Observation<'_>) + 't;

/// See the module.
pub struct Replay {
    restorer: Restorer,
    baseline: Baseline,
    judge: Judge,
    book: Arc<Book>,
    /// Until when it is only learned, since the Unix epoch; none once that is over.
    learn_until_ns: Option<u64>,
    /// When time passed last, since the Unix epoch.
    now_ns: u64,
    /// When the last observation was.
    last_ns: u64,
    boot_id: String,
    counts: Counts,
}

/// What came in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Observations that were judged or learned from.
    pub judged: u64,
    /// Those of them that came before the learning was over.
    pub learned: u64,
    /// Amounts that departed from what was usual; they are not judged again.
    pub volumes: u64,
    /// Events that this version does not know.
    pub unknown: u64,
    /// Observations that the agent lost.
    pub lost: u64,
}

/// The agent is none of the recording's processes: ids are those of another machine or another day.
fn nobody() -> Own {
    Own::new(&[], u32::MAX)
}

/// An alert that time brought about.
struct Passed {
    entry: Vec<u8>,
    container: Arc<Container>,
    process: Option<Arc<Process>>,
}

/// When a recorded observation happened, in nanoseconds since the Unix epoch.
pub fn moment_of(recorded: &dyn Fields) -> Option<u64> {
    let Some(Value::Time(ts_ns)) = recorded.get("ts") else { return None };
    Some(ts_ns)
}

impl Replay {
    /// Judges by what is known and what was decided. Until the moment, since the Unix epoch, nothing
    /// is told; then what was learned is taken for approved.
    pub fn new(baseline: Baseline, book: Arc<Book>, learn_until_ns: Option<u64>) -> Self {
        Self {
            restorer: Restorer::default(),
            baseline,
            judge: Judge::new(book.clone(), nobody()),
            book,
            learn_until_ns,
            now_ns: 0,
            last_ns: 0,
            boot_id: String::new(),
            counts: Counts::default(),
        }
    }

    /// What observations are put together with; it is to be prepared before the first is taken.
    pub fn restorer(&mut self) -> &mut Restorer {
        &mut self.restorer
    }

    /// Whether it still only learns.
    pub fn is_learning(&self) -> bool {
        self.learn_until_ns.is_some()
    }

    /// What came in so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Takes an observation, in the order in which they happened.
    pub fn take(&mut self, recorded: &dyn Fields, tell: &mut Tell<'_>) {
        let Some(ts_ns) = moment_of(recorded) else { return };
        match recorded.get("kind") {
            Some(Value::Label("alert")) => return,
            Some(Value::Label("volume")) => {
                self.counts.volumes += 1;
                return;
            }
            Some(Value::Label("gap")) => {
                if let Some(Value::Number(lost)) = recorded.get("gap.lost") {
                    self.counts.lost += lost;
                }
            }
            _ => {}
        }
        self.pass_until(ts_ns, tell);
        self.last_ns = self.last_ns.max(ts_ns);
        let Some(restored) = self.restorer.restore(recorded) else {
            self.counts.unknown += 1;
            return;
        };
        if self.boot_id != self.restorer.node().boot_id {
            // The agent began anew with its machine; what it had learned it kept.
            self.boot_id.clone_from(&self.restorer.node().boot_id);
            self.judge = Judge::new(self.book.clone(), nobody());
        }
        self.counts.judged += 1;
        let Self { baseline, judge, learn_until_ns, counts, .. } = self;
        restored.with(|observation| {
            if learn_until_ns.is_some() {
                counts.learned += 1;
                baseline.observe(observation);
                return;
            }
            let mut tell = |alert: &[u8], _: &Arc<Container>, _: Option<&Arc<Process>>| {
                if let Ok(record) = Record::decode(alert) {
                    tell(&Observation { record, peer_name: None, ..*observation });
                }
            };
            assess::observe(Some(baseline), judge, observation, &mut tell);
        });
        // The images are those of another machine or another day.
        for wish in baseline.take_wishes() {
            baseline.look_into(wish.unfulfilled());
        }
    }

    /// Lets the time pass in which alerts that are alike are counted, after the last observation, and tells
    /// what is counted for longer.
    pub fn end(&mut self, tell: &mut Tell<'_>) {
        self.pass_until(self.last_ns.saturating_add(ATTENTIVE_NS), tell);
        let now_ns = self.now_ns.saturating_sub(self.restorer.boot_ns());
        let mut rest = Vec::new();
        self.judge.end(now_ns, &mut |entry, container, process| {
            rest.push(Passed::of(entry, container, process));
        });
        self.tell_passed(rest, tell);
    }

    /// Lets time pass as the agent does.
    fn pass_until(&mut self, ts_ns: u64, tell: &mut Tell<'_>) {
        if self.now_ns == 0 {
            self.now_ns = ts_ns;
        }
        loop {
            let is_attentive = self.now_ns < self.last_ns.saturating_add(ATTENTIVE_NS);
            let step_ns = if is_attentive { SECOND_NS } else { MINUTE_NS };
            let next_ns = self.now_ns.saturating_add(step_ns);
            let ends_ns = self.learn_until_ns.filter(|it| *it <= next_ns.min(ts_ns));
            if let Some(ends_ns) = ends_ns {
                self.now_ns = self.now_ns.max(ends_ns);
                self.approve();
            } else if next_ns > ts_ns {
                return;
            } else {
                self.now_ns = next_ns;
                self.pass(tell);
            }
        }
    }

    /// The learning is over.
    fn approve(&mut self) {
        self.learn_until_ns = None;
        self.baseline.tick(self.now_ns / 1_000_000, |_| true);
        for profile in self.baseline.profiles_mut() {
            profile.approve(self.now_ns / SECOND_NS);
        }
        // What came before is not told.
        self.baseline.take_reports();
    }

    /// What the agent does each second.
    fn pass(&mut self, tell: &mut Tell<'_>) {
        let Self { baseline, judge, restorer, now_ns, .. } = self;
        baseline.tick(*now_ns / 1_000_000, |_| true);
        if self.learn_until_ns.is_some() {
            return;
        }
        let now_ns = now_ns.saturating_sub(restorer.boot_ns());
        let mut passed = Vec::new();
        judge.tick(now_ns, &mut |entry, container, process| {
            passed.push(Passed::of(entry, container, process));
        });
        assess::report(baseline, judge, now_ns, &mut |entry, container| {
            passed.push(Passed::of(entry, container, None));
        });
        self.tell_passed(passed, tell);
    }

    /// Tells what was not raised by the observation at hand.
    fn tell_passed(&self, mut passed: Vec<Passed>, tell: &mut Tell<'_>) {
        let restorer = &self.restorer;
        // They come in any order, and each replay is to tell the same.
        passed.sort_by_cached_key(Passed::key);
        for it in &passed {
            let Ok(record) = Record::decode(&it.entry) else { continue };
            tell(&Observation {
                ts_ns: record.header.boot_ns.saturating_add(restorer.boot_ns()),
                record,
                node: restorer.node(),
                container: Some(&it.container),
                process: it.process.as_ref(),
                peer_name: None,
                former_name: None,
            });
        }
    }
}

impl Passed {
    fn of(entry: &[u8], container: &Arc<Container>, process: Option<&Arc<Process>>) -> Self {
        let (container, process) = (container.clone(), process.cloned());
        Self { entry: entry.to_vec(), container, process }
    }

    /// What makes it other than the others, but for the number of its incident.
    fn key(&self) -> (String, u8, Vec<u8>, Vec<u8>, u32) {
        let record = Record::decode(&self.entry).ok();
        let alert = record.and_then(|it| it.read::<Alert>().map(|told| (it.header, told)));
        let Some((header, (alert, tail))) = alert else { return Default::default() };
        let text = |span| tail.get(span).to_vec();
        (self.container.id.clone(), alert.rule, text(alert.reason), text(alert.path), header.count)
    }
}

#[cfg(test)]
mod tests;
