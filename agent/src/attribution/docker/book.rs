//! Which containers Docker told of, whom to inspect next, and what to tell: no input or output.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
};

use super::{
    Notice,
    event::{Event, JOINED},
    outbox::Outbox,
};
use crate::attribution::container::Container;

/// Removed containers that are remembered, for questions that come late.
const MOST_REMOVED: usize = 1024;

/// Containers at rest that are asked for when a connection begins.
const MOST_AT_REST: usize = 4096;

/// What happened to a container that nobody knows yet waits, in this number.
const MOST_WAITING: usize = 256;

/// How far the inspection of a container is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Inspection {
    #[default]
    Idle,
    Queued,
    Running,
    /// Something changed since it began.
    Outdated,
}

#[derive(Debug, Default)]
struct Entry {
    /// What was told last.
    told: Option<Arc<Container>>,
    /// What its events say of it.
    attributes: HashMap<String, String>,
    inspection: Inspection,
    is_running: bool,
    is_asked: bool,
    is_retired: bool,
    waiting: Vec<Notice>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Book {
    entries: HashMap<String, Entry>,
    queue: VecDeque<String>,
    retired: VecDeque<String>,
    /// Ran when the connection broke, and were not heard of since.
    suspects: HashSet<String>,
    /// Told to be late since the list was made.
    late: HashSet<String>,
}

impl Book {
    /// A connection begins: what was under way has to begin again.
    pub(super) fn begin(&mut self) {
        self.suspects.clear();
        self.queue.clear();
        for (id, entry) in &mut self.entries {
            if entry.is_running {
                self.suspects.insert(id.clone());
            }
            if entry.inspection != Inspection::Idle {
                entry.inspection = Inspection::Queued;
                self.queue.push_back(id.clone());
            }
        }
    }

    /// These containers run, and no others that were not heard of meanwhile; these are at rest.
    pub(super) fn listed(
        &mut self,
        running: Vec<String>,
        mut resting: Vec<String>,
        outbox: &mut Outbox,
    ) {
        resting.truncate(MOST_AT_REST);
        self.late.clear();
        for id in &running {
            self.suspects.remove(id);
        }
        for id in std::mem::take(&mut self.suspects) {
            if let Some(entry) = self.entries.get_mut(&id) {
                entry.is_running = false;
                outbox.push(Notice::Gone { id });
            }
        }
        // One that was told before, by an event that came before the list, is only told again if it
        // has changed.
        let is_told = |id: &&String| self.entries.get(*id).is_some_and(|it| it.told.is_some());
        let untold = running.iter().chain(&resting).filter(|id| !is_told(id)).cloned();
        outbox.push(Notice::Listed { ids: untold.collect() });
        // First those that do something already.
        for id in running {
            self.entries.entry(id.clone()).or_default().is_running = true;
            self.inspect(&id);
        }
        for id in resting {
            self.entries.entry(id.clone()).or_default();
            self.inspect(&id);
        }
        let is_over = |it: &Entry| !it.is_running && it.inspection == Inspection::Idle;
        let over: Vec<String> =
            (self.entries.iter()).filter(|(_, it)| is_over(it)).map(|(id, _)| id.clone()).collect();
        for id in over {
            self.retire(&id);
        }
    }

    /// Something happened.
    pub(super) fn happened(&mut self, mut event: Event, outbox: &mut Outbox) {
        let id = event.id.clone();
        // The networks that it starts with are no news.
        if event.op == JOINED && !self.entries.get(&id).is_some_and(|it| it.is_running) {
            return;
        }
        let (is_end, is_removal) = (event.is_end(), event.op == "destroy");
        self.suspects.remove(&id);
        let entry = self.entries.entry(id.clone()).or_default();
        entry.attributes.extend(std::mem::take(&mut event.attributes));
        entry.is_running = event.op == "start" || entry.is_running && !is_end;
        let is_unknown = entry.told.is_none();
        if event.is_change() || is_unknown {
            self.inspect(&id);
        }
        match self.entries.get_mut(&id) {
            // Told after the container itself, so that it can be attributed.
            Some(entry) if is_unknown && entry.waiting.len() < MOST_WAITING => {
                entry.waiting.push(event.into_notice());
            }
            _ => outbox.push(event.into_notice()),
        }
        if is_removal {
            self.retire(&id);
        }
    }

    /// The agent met a container it does not know.
    pub(super) fn asked(&mut self, id: &str, outbox: &mut Outbox) {
        let entry = self.entries.entry(id.to_owned()).or_default();
        if let (Some(told), Inspection::Idle) = (&entry.told, entry.inspection) {
            outbox.push(Notice::Known(told.clone()));
            return;
        }
        entry.is_asked = true;
        if entry.inspection == Inspection::Idle {
            self.inspect(id);
        }
    }

    fn inspect(&mut self, id: &str) {
        let Some(entry) = self.entries.get_mut(id) else { return };
        entry.inspection = match entry.inspection {
            Inspection::Idle => {
                self.queue.push_back(id.to_owned());
                Inspection::Queued
            }
            Inspection::Queued => Inspection::Queued,
            Inspection::Running | Inspection::Outdated => Inspection::Outdated,
        };
    }

    /// The next container to inspect; [`Book::inspected`] is to follow.
    pub(super) fn next(&mut self) -> Option<String> {
        let id = self.queue.pop_front()?;
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.inspection = Inspection::Running;
        }
        Some(id)
    }

    /// Docker was too slow to answer an inspection, which is to be tried again.
    pub(super) fn again(&mut self, id: &str, outbox: &mut Outbox) {
        if let Some(entry) = self.entries.get_mut(id) {
            entry.inspection = Inspection::Idle;
            if self.late.insert(id.to_owned()) {
                tracing::warn!(id, "docker does not tell of a container; it is asked again");
                outbox.push(Notice::Late { id: id.to_owned() });
            }
        }
        self.inspect(id);
    }

    /// What the events of a container say, where there is nothing better.
    pub(super) fn attributes(&self, id: &str) -> Option<&HashMap<String, String>> {
        let entry = self.entries.get(id)?;
        (entry.told.is_none() && !entry.attributes.is_empty()).then_some(&entry.attributes)
    }

    /// An inspection ended: with a container, or with none where Docker has none by this id.
    pub(super) fn inspected(&mut self, id: &str, found: Option<Container>, outbox: &mut Outbox) {
        self.late.remove(id);
        let Some(entry) = self.entries.get_mut(id) else { return };
        let is_outdated = entry.inspection == Inspection::Outdated;
        entry.inspection = Inspection::Idle;
        let is_asked = std::mem::take(&mut entry.is_asked);
        let is_news = found.is_some_and(|found| entry.learn(found));
        match &entry.told {
            Some(told) if is_news || is_asked => outbox.push(Notice::Known(told.clone())),
            Some(_) => {}
            None => outbox.push(Notice::Unknown { id: id.to_owned() }),
        }
        entry.waiting.drain(..).for_each(|notice| outbox.push(notice));
        if entry.told.is_none() {
            self.entries.remove(id);
        } else if is_outdated {
            self.inspect(id);
        }
    }

    /// Remembers a container that is over for a while more.
    fn retire(&mut self, id: &str) {
        let Some(entry) = self.entries.get_mut(id) else { return };
        if !std::mem::replace(&mut entry.is_retired, true) {
            self.retired.push_back(id.to_owned());
        }
        if self.retired.len() > MOST_REMOVED
            && let Some(oldest) = self.retired.pop_front()
            && let Some(entry) = self.entries.get_mut(&oldest)
        {
            entry.is_retired = false;
            // One that was started again meanwhile is not over.
            if !entry.is_running && entry.inspection == Inspection::Idle {
                self.entries.remove(&oldest);
            }
        }
    }
}

impl Entry {
    /// Takes what was found; returns whether it says something new.
    fn learn(&mut self, found: Container) -> bool {
        // A container that has ended has no process; the one it had is worth more.
        let is_over = found.init_pid == 0 && !self.is_running;
        if let Some(told) = &self.told {
            let init_pid = if is_over { told.init_pid } else { found.init_pid };
            let found = Container { serial: told.serial, init_pid, ..found.clone() };
            if **told == found {
                return false;
            }
        }
        self.told = Some(Arc::new(found));
        true
    }
}

#[cfg(test)]
mod tests {
    use crossbeam_channel::{Receiver, unbounded};

    use super::*;

    fn fresh() -> (Book, Outbox, Receiver<Notice>) {
        let (tell, hear) = unbounded();
        (Book::default(), Outbox::new(tell, || {}), hear)
    }

    fn event(op: &str) -> Event {
        let attributes = HashMap::from([("name".to_owned(), "web".to_owned())]);
        Event { id: "ab".into(), op: op.into(), attributes, ..Event::default() }
    }

    fn container(serial: u64, init_pid: u32) -> Container {
        Container { serial, init_pid, id: "ab".into(), ..Container::default() }
    }

    fn words(hear: &Receiver<Notice>) -> Vec<String> {
        hear.try_iter()
            .map(|notice| match notice {
                Notice::Known(container) => format!("known {}", container.init_pid),
                Notice::Unknown { .. } => "unknown".to_owned(),
                Notice::Late { .. } => "late".to_owned(),
                Notice::Lifecycle { op, .. } => op,
                Notice::Gone { .. } => "gone".to_owned(),
                Notice::Listed { .. } => "listed".to_owned(),
                Notice::Connected { .. }
                | Notice::Node { .. }
                | Notice::Disconnected { .. }
                | Notice::Lost { .. } => "other".to_owned(),
            })
            .collect()
    }

    #[test]
    fn what_happens_is_told_after_the_container_it_happens_to() {
        let (mut book, mut outbox, hear) = fresh();
        book.happened(event("create"), &mut outbox);
        assert_eq!(book.next().as_deref(), Some("ab"));
        book.happened(event("start"), &mut outbox);
        assert!(words(&hear).is_empty());
        book.inspected("ab", Some(container(1, 0)), &mut outbox);
        assert_eq!(words(&hear), ["known 0", "create", "start"]);
        assert_eq!(book.next().as_deref(), Some("ab"), "it was started meanwhile");
        book.inspected("ab", Some(container(2, 7)), &mut outbox);
        book.happened(event("die"), &mut outbox);
        assert_eq!(words(&hear), ["known 7", "die"]);
        assert_eq!(book.next(), None);
    }

    #[test]
    fn no_news_is_not_told_unless_asked_for() {
        let (mut book, mut outbox, hear) = fresh();
        book.happened(event("start"), &mut outbox);
        book.next();
        book.inspected("ab", Some(container(1, 7)), &mut outbox);
        book.happened(event("rename"), &mut outbox);
        book.next();
        book.inspected("ab", Some(container(2, 7)), &mut outbox);
        assert_eq!(words(&hear), ["known 7", "start", "rename"]);
        book.asked("ab", &mut outbox);
        assert_eq!((words(&hear), book.next()), (vec!["known 7".to_owned()], None));
    }

    #[test]
    fn a_question_nobody_can_answer_is_answered() {
        let (mut book, mut outbox, hear) = fresh();
        book.asked("ab", &mut outbox);
        assert_eq!(book.next().as_deref(), Some("ab"));
        assert_eq!(book.attributes("ab"), None);
        book.inspected("ab", None, &mut outbox);
        assert_eq!(words(&hear), ["unknown"]);
        assert!(book.entries.is_empty());
    }

    #[test]
    fn who_docker_is_slow_to_tell_of_is_told_once_and_asked_for_again() {
        let (mut book, mut outbox, hear) = fresh();
        book.begin();
        book.listed(vec!["ab".to_owned()], vec![], &mut outbox);
        for _ in 0..3 {
            assert_eq!(book.next().as_deref(), Some("ab"));
            book.again("ab", &mut outbox);
        }
        assert_eq!(words(&hear), ["listed", "late"]);
        book.next();
        book.inspected("ab", Some(container(1, 7)), &mut outbox);
        assert_eq!(words(&hear), ["known 7"]);
    }

    #[test]
    fn those_that_run_are_asked_for_before_those_at_rest() {
        let (mut book, mut outbox, _hear) = fresh();
        book.listed(vec!["runs".to_owned()], vec!["rests".to_owned()], &mut outbox);
        assert_eq!([book.next(), book.next()].map(Option::unwrap_or_default), ["runs", "rests"]);
    }

    #[test]
    fn a_break_loses_no_question_and_finds_who_is_gone() {
        let (mut book, mut outbox, hear) = fresh();
        book.happened(event("start"), &mut outbox);
        book.next();
        book.begin();
        assert_eq!(book.next().as_deref(), Some("ab"), "it was under way when the line broke");
        book.inspected("ab", Some(container(1, 7)), &mut outbox);
        book.begin();
        book.listed(vec![], vec![], &mut outbox);
        assert_eq!(words(&hear), ["known 7", "start", "gone", "listed"]);
        book.asked("ab", &mut outbox);
        assert_eq!(words(&hear), ["known 7"], "still answered");
    }

    #[test]
    fn who_starts_while_the_list_is_made_is_not_gone() {
        let (mut book, mut outbox, hear) = fresh();
        book.begin();
        book.happened(event("start"), &mut outbox);
        book.listed(vec![], vec![], &mut outbox);
        book.next();
        book.inspected("ab", Some(container(1, 7)), &mut outbox);
        assert_eq!(words(&hear), ["listed", "known 7", "start"]);
    }

    #[test]
    fn nobody_waits_for_a_container_that_was_told_before_the_list() {
        let (mut book, mut outbox, hear) = fresh();
        book.begin();
        book.happened(event("start"), &mut outbox);
        book.next();
        book.inspected("ab", Some(container(1, 7)), &mut outbox);
        hear.try_iter().for_each(drop);
        book.listed(vec!["ab".to_owned()], vec!["cd".to_owned()], &mut outbox);
        let listed = hear
            .try_iter()
            .find_map(|notice| if let Notice::Listed { ids } = notice { Some(ids) } else { None });
        assert_eq!(listed, Some(vec!["cd".to_owned()]));
        let mut told = Vec::new();
        while let Some(id) = book.next() {
            book.inspected(&id, Some(Container { id: id.clone(), ..container(2, 7) }), &mut outbox);
            told.extend(words(&hear));
        }
        assert_eq!(told, ["known 7"], "the other one");
    }

    #[test]
    fn removed_containers_are_remembered_in_bounded_number() {
        let (mut book, mut outbox, _hear) = fresh();
        for number in 0..2 * MOST_REMOVED {
            let id = number.to_string();
            book.happened(Event { id: id.clone(), ..event("create") }, &mut outbox);
            book.next();
            book.inspected(&id, Some(Container { id: id.clone(), ..container(1, 0) }), &mut outbox);
            book.happened(Event { id, ..event("destroy") }, &mut outbox);
        }
        assert_eq!((book.entries.len(), book.retired.len()), (MOST_REMOVED, MOST_REMOVED));
    }
}
