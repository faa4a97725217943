//! A container at work: how far it has started, its unit, and the processes of which nothing or more
//! is learned.

use std::sync::Arc;

use super::{
    dimension::{Context, Dimension},
    entries::Occasion,
    marks::Marks,
    settings::Settings,
    volume::{contacts::Contacts, track::Track},
};
use crate::attribution::{
    container::Container,
    process::{Origin, Process},
};

/// See the module.
#[derive(Debug)]
pub struct Instance {
    /// What Docker says of it.
    pub container: Arc<Container>,
    /// Hash of its id.
    pub hash: u64,
    /// When it started, in milliseconds since the Unix epoch; of one that ran before, when it was
    /// met.
    pub start_ms: u64,
    /// When its start is over; `None` while nobody can tell. Of one that ran before, 0.
    pub started_ms: Option<u64>,
    /// Whether all of its start was seen.
    saw_start: bool,
    /// When it ended, once it has.
    pub ended_ms: Option<u64>,
    /// Whether nothing was told of it yet but how much it uses.
    pub is_quiet: bool,
    /// Its part in the profiles of its image and its service.
    pub members: [Option<Member>; 2],
    /// How much it uses.
    pub track: Track,
    /// Whom it addressed.
    pub contacts: Contacts,
    /// Those whose program is not the image's, and what they made.
    foreign: Marks,
    /// Schedulers that are one of many programs in a file: [`super::schedule`].
    schedulers: Marks,
    /// Shells of jobs that hardly ever ran, likewise.
    scheduled: Marks,
    /// Whether there were more of the foreign ones than are remembered, so that nothing is learned any more.
    is_lost: bool,
}

/// The part of a container in a profile.
#[derive(Clone, Copy, Debug, Default)]
pub struct Member {
    /// Place of the profile.
    pub profile: usize,
    /// Number of the unit of its start.
    pub start_unit: u64,
    /// Whether that is counted.
    pub is_start_counted: bool,
    /// Number of the current unit.
    pub unit: u64,
    /// When it began, in milliseconds since the Unix epoch; 0 before the first.
    pub unit_began_ms: u64,
    /// Whether the service itself did anything in it.
    pub is_active: bool,
    /// New behaviours of the current unit, by dimension.
    pub fresh: [u32; Dimension::ALL.len()],
    /// The same of the start's unit.
    pub fresh_at_start: [u32; Dimension::ALL.len()],
}

impl Instance {
    /// A container that was just met; `sees_start` where its first program is what was met.
    pub fn new(container: Arc<Container>, hash: u64, now_ms: u64, sees_start: bool) -> Self {
        Self {
            container,
            hash,
            start_ms: now_ms,
            started_ms: (!sees_start).then_some(0),
            saw_start: sees_start,
            ended_ms: None,
            is_quiet: false,
            members: [None; 2],
            track: Track::default(),
            contacts: Contacts::default(),
            foreign: Marks::default(),
            schedulers: Marks::default(),
            scheduled: Marks::default(),
            is_lost: false,
        }
    }

    /// Whether all of its start was seen.
    pub fn saw_start(&self) -> bool {
        self.saw_start
    }

    /// Of one that ran before it was met: a start that began a short while ago goes on, though it is none
    /// that was seen.
    pub fn join_start(&mut self, settings: &Settings) {
        let began_ms = self.container.started_ms;
        let is_young = (began_ms..began_ms.saturating_add(settings.start_most_s * 1000))
            .contains(&self.start_ms);
        if began_ms != 0 && is_young {
            (self.start_ms, self.started_ms) = (began_ms, None);
        }
    }

    /// The moment of what is told at another: of one that has ended, a moment before that.
    pub fn moment(&self, told_ms: u64) -> u64 {
        self.ended_ms.map_or(told_ms, |at| told_ms.min(at.saturating_sub(1)))
    }

    /// What it does at a moment, by context and unit.
    pub fn occasions(
        &self,
        now_ms: u64,
        settings: &Settings,
    ) -> impl Fn(Context, u64) -> Occasion + use<> {
        let known = Occasion {
            context: Context::Steady,
            unit: 0,
            container: self.hash,
            start_s: self.saw_start().then_some(self.start_ms / 1000),
            now_s: now_ms / 1000,
            apart_s: settings.apart_s(),
        };
        move |context, unit| Occasion { context, unit, ..known }
    }

    /// When its start is over at the latest.
    pub fn start_ends_ms(&self, settings: &Settings) -> u64 {
        let latest = self.start_ms + settings.start_most_s * 1000;
        self.started_ms.map_or(latest, |at| at.min(latest))
    }

    /// When its steady work begins; of one that has begun before, when it was met.
    pub fn work_begins_ms(&self, settings: &Settings) -> u64 {
        let ends_ms = self.start_ends_ms(settings);
        if self.saw_start { ends_ms } else { ends_ms.max(self.start_ms) }
    }

    /// It is ready, as a port or its health check tells.
    pub fn is_ready(&mut self, now_ms: u64, settings: &Settings) {
        if self.started_ms.is_none() {
            let earliest = self.start_ms + settings.start_least_s * 1000;
            self.started_ms = Some(now_ms.max(earliest));
        }
    }

    /// In what context a process acts at a moment.
    pub fn context(&self, process: Option<&Process>, now_ms: u64, settings: &Settings) -> Context {
        match process.map(|it| it.origin) {
            Some(Origin::Exec) => Context::Session,
            Some(Origin::Health) => Context::Health,
            Some(Origin::Init | Origin::Unknown) | None => {
                let is_start = now_ms < self.start_ends_ms(settings);
                if is_start { Context::Start } else { Context::Steady }
            }
        }
    }

    /// Takes note that a process runs a program that is not the image's, or was made by one that does.
    pub fn note_foreign(&mut self, process: &Process, now_ms: u64) {
        self.is_lost |= !self.foreign.note(process, now_ms);
    }

    /// Takes note that a process is a scheduler's.
    pub fn note_scheduler(&mut self, process: &Process, now_ms: u64) {
        self.schedulers.note(process, now_ms);
    }

    /// Whether a process descends from one that was found to be a scheduler's.
    pub fn is_by_scheduler(&self, process: &Process) -> bool {
        self.schedulers.cover(process, 0)
    }

    /// Takes note that a process is one of the first runs of a job that the image schedules.
    pub fn note_scheduled(&mut self, process: &Process, now_ms: u64) {
        // What finds no room is judged as all else is.
        self.scheduled.note(process, now_ms);
    }

    /// A process is at its end.
    pub fn note_exit(&mut self, process: &Process, now_ms: u64) {
        self.foreign.note_exit(process, now_ms);
        self.schedulers.note_exit(process, now_ms);
        self.scheduled.note_exit(process, now_ms);
    }

    /// Whether a process runs, or descends from one that runs, a program that is not the image's.
    pub fn is_foreign(&self, process: &Process) -> bool {
        self.is_lost || process.is_foreign || self.foreign.cover(process, 0)
    }

    /// Whether a process belongs to one of the first runs of a job that the image schedules. What a job
    /// leaves behind is no job an hour later.
    pub fn is_scheduled(&self, process: &Process, now_ms: u64, settings: &Settings) -> bool {
        self.scheduled.cover(process, now_ms.saturating_sub(settings.unit_ms()))
    }
}

impl Member {
    /// The unit of a context.
    pub fn unit_of(&self, context: Context) -> u64 {
        if context == Context::Start { self.start_unit } else { self.unit }
    }

    /// New behaviours of a context's unit in a dimension.
    pub fn fresh_of(&mut self, context: Context, dimension: Dimension) -> &mut u32 {
        let fresh =
            if context == Context::Start { &mut self.fresh_at_start } else { &mut self.fresh };
        &mut fresh[dimension as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        attribution::process::{Ancestor, Lineage},
        baseline::marks::MOST_MARKED,
    };

    fn instance(sees_start: bool) -> Instance {
        Instance::new(Arc::new(Container::default()), 1, 1_000_000, sees_start)
    }

    #[test]
    fn the_start_ends_with_readiness_but_not_too_soon_nor_too_late() {
        let settings = Settings::default();
        let mut quick = instance(true);
        quick.is_ready(1_002_000, &settings);
        assert_eq!(quick.start_ends_ms(&settings), 1_010_000);
        let mut slow = instance(true);
        slow.is_ready(1_060_000, &settings);
        assert_eq!(slow.context(None, 1_059_999, &settings), Context::Start);
        assert_eq!(slow.context(None, 1_060_000, &settings), Context::Steady);
        assert_eq!(instance(true).start_ends_ms(&settings), 1_300_000);
    }

    #[test]
    fn a_container_that_ran_before_has_started() {
        let settings = Settings::default();
        assert_eq!(instance(false).context(None, 1_000_001, &settings), Context::Steady);
    }

    #[test]
    fn one_that_began_a_short_while_ago_is_starting_still() {
        let settings = Settings::default();
        let met = |started_ms| {
            let container = Arc::new(Container { started_ms, ..Container::default() });
            let mut instance = Instance::new(container, 1, 1_000_000, false);
            instance.join_start(&settings);
            assert!(!instance.saw_start());
            instance
        };
        let young = met(990_000);
        assert_eq!(young.context(None, 1_289_999, &settings), Context::Start);
        assert_eq!(young.context(None, 1_290_000, &settings), Context::Steady);
        assert_eq!(young.work_begins_ms(&settings), 1_290_000);
        assert_eq!(young.occasions(1_000_000, &settings)(Context::Start, 1).start_s, None);
        for older in [0, 700_000, 1_000_001] {
            let older = met(older);
            assert_eq!(older.context(None, 1_000_001, &settings), Context::Steady);
            assert_eq!(older.work_begins_ms(&settings), 1_000_000);
        }
    }

    #[test]
    fn what_a_foreign_program_starts_is_foreign() {
        let mut instance = instance(true);
        let dropped = Process { pid: 7, start_ns: 70, ..Process::default() };
        instance.note_foreign(&dropped, 0);
        let parent = Ancestor { pid: 7, start_ns: 70, ..Ancestor::default() };
        let child = Process { pid: 8, lineage: Lineage::of([parent]), ..Process::default() };
        let other = Process { pid: 7, start_ns: 71, ..Process::default() };
        assert!(instance.is_foreign(&dropped) && instance.is_foreign(&child));
        assert!(!instance.is_foreign(&other));
        assert!(instance.is_foreign(&Process { is_foreign: true, ..other }), "it was found so");
    }

    #[test]
    fn foreign_processes_that_came_and_went_do_not_make_all_others_foreign() {
        let mut instance = instance(true);
        let other = Process { pid: 9, start_ns: 90, ..Process::default() };
        for number in 0..3 * MOST_MARKED as u64 {
            let brief = Process { pid: 7, start_ns: number, ..Process::default() };
            instance.note_foreign(&brief, number * 100);
            instance.note_exit(&brief, number * 100 + 50);
            assert!(instance.is_foreign(&brief), "its acts may be told later");
        }
        assert!(!instance.is_foreign(&other));
        for number in 0..=MOST_MARKED as u64 {
            instance.note_foreign(&Process { pid: 8, start_ns: number, ..Process::default() }, 0);
        }
        assert!(instance.is_foreign(&other), "more are at work than are remembered");
    }
}
