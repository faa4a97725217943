//! Acts that the kernel side goes on counting after it has reported them.
//!
//! It tells how often an act was repeated when it next reports it. An act that is not done again
//! after its window never is: then the agent asks for the count, and tells it with what it
//! remembers of the report. Pure: the asking is the caller's.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use plimsoll_ebpf::{
    catalog::Record,
    record::{HEADER_BYTES, Header},
};

use super::{container::Container, node::Node, observation::Observation, process::Process};

/// How long after the end of its window an act is asked for, in nanoseconds: reports that are still
/// on the rings come first.
const SLACK_NS: u64 = 1_000_000_000;

/// Bytes of reports that are remembered at most.
const MOST_BYTES: usize = 8 << 20;

/// Acts reported and not yet asked for.
pub struct Repeats {
    reports: HashMap<u64, Report>,
    /// Reports in their order: when, and of which act; those of known acts apart.
    orders: [VecDeque<(u64, u64)>; 2],
    windows_ns: [u64; 2],
    capacity: usize,
    bytes: usize,
}

/// What is remembered of a report.
pub struct Report {
    header: Header,
    body: Box<[u8]>,
    container: Arc<Container>,
    process: Option<Arc<Process>>,
    peer_name: Option<Box<str>>,
    former_name: Option<Box<str>>,
    is_known: bool,
}

/// How often an act was repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// Repeats that were not told.
    pub repeats: u64,
    /// When the latest was, in nanoseconds since boot.
    pub latest_ns: u64,
}

impl Repeats {
    /// Remembers at most this many reports; of those beyond it, repeats are told with the next
    /// report only. The second window is that of known acts.
    pub fn new(windows_ns: [u64; 2], capacity: usize) -> Self {
        let (reports, orders) = Default::default();
        Self { reports, orders, windows_ns, capacity, bytes: 0 }
    }

    /// An act was reported.
    pub fn reported(&mut self, observation: &Observation<'_>) {
        let header = observation.record.header;
        let Some(container) = observation.container.filter(|_| header.act != 0) else { return };
        let body = observation.record.body();
        let count: usize = self.orders.iter().map(VecDeque::len).sum();
        if count >= self.capacity || self.bytes + body.len() > MOST_BYTES {
            return;
        }
        self.orders[0].push_back((header.boot_ns, header.act));
        let report = Report {
            header,
            body: body.into(),
            container: container.clone(),
            process: observation.process.cloned(),
            peer_name: observation.peer_name.map(Into::into),
            former_name: observation.former_name.map(Into::into),
            is_known: false,
        };
        self.bytes += body.len();
        if let Some(old) = self.reports.insert(header.act, report) {
            self.bytes -= old.body.len();
        }
    }

    /// The act of a report turned out to be known: it has the longer window.
    pub fn known(&mut self, act: u64) {
        if let Some(report) = self.reports.get_mut(&act)
            && !std::mem::replace(&mut report.is_known, true)
        {
            self.orders[1].push_back((report.header.boot_ns, act));
        }
    }

    /// The next act whose window is over at `now_ns` (since boot), with its latest report.
    pub fn next_due(&mut self, now_ns: u64) -> Option<Report> {
        self.due(0, now_ns).or_else(|| self.due(1, now_ns))
    }

    fn due(&mut self, order: usize, now_ns: u64) -> Option<Report> {
        loop {
            let &(reported_ns, act) = self.orders[order].front()?;
            let due_ns =
                reported_ns.saturating_add(self.windows_ns[order].saturating_add(SLACK_NS));
            if now_ns < due_ns {
                return None;
            }
            self.orders[order].pop_front();
            // One that was reported again since is not over, and a known one stands in its own order.
            let is_over =
                |it: &Report| it.header.boot_ns == reported_ns && usize::from(it.is_known) == order;
            if self.reports.get(&act).is_some_and(is_over) {
                let report = self.reports.remove(&act)?;
                self.bytes -= report.body.len();
                return Some(report);
            }
        }
    }
}

impl Report {
    /// Which act.
    pub fn act(&self) -> u64 {
        self.header.act
    }

    /// The repeats as one observation of a node, whose clock is so far from the epoch when it boots.
    pub fn observation<'r>(
        &'r self,
        count: Count,
        node: &'r Arc<Node>,
        boot_to_epoch_ns: u64,
    ) -> Option<Observation<'r>> {
        let header = Header {
            boot_ns: count.latest_ns,
            count: u32::try_from(count.repeats).unwrap_or(u32::MAX),
            size: (HEADER_BYTES + self.body.len()) as u32,
            ..self.header
        };
        Some(Observation {
            ts_ns: count.latest_ns.saturating_add(boot_to_epoch_ns),
            record: Record::from_parts(header, &self.body).ok()?,
            node,
            container: Some(&self.container),
            process: self.process.as_ref(),
            peer_name: self.peer_name.as_deref(),
            former_name: self.former_name.as_deref(),
        })
    }
}

#[cfg(test)]
mod tests {
    use plimsoll_ebpf::{catalog::encode, events::connect::Connect};

    use super::*;

    const WINDOW: u64 = 10_000_000_000;

    fn report(repeats: &mut Repeats, act: u64, boot_ns: u64) {
        let header = Header { act, boot_ns, count: 1, ..Header::default() };
        let bytes = encode(header, Connect { port: 80, ..Connect::default() }, &[]);
        let container = Arc::new(Container::default());
        repeats.reported(&Observation {
            ts_ns: 0,
            record: Record::decode(&bytes).expect("decodes"),
            node: &Arc::new(Node::default()),
            container: Some(&container),
            process: None,
            peer_name: Some("db.test"),
            former_name: Some("old.test"),
        });
    }

    #[test]
    fn an_act_is_due_after_its_window_and_told_as_it_was_reported() {
        let mut repeats = Repeats::new([WINDOW, 30 * WINDOW], 10);
        report(&mut repeats, 7, 5);
        assert!(repeats.next_due(WINDOW).is_none());
        let due = repeats.next_due(5 + WINDOW + SLACK_NS).expect("is due");
        assert_eq!(due.act(), 7);
        let node = Arc::new(Node::default());
        let told = due.observation(Count { repeats: 3, latest_ns: 9 }, &node, 100);
        let told = told.expect("it was one");
        assert_eq!((told.record.header.count, told.record.header.boot_ns), (3, 9));
        assert_eq!(told.record.read::<Connect>().expect("a connect").0.port, 80);
        assert_eq!((told.peer_name, told.former_name), (Some("db.test"), Some("old.test")));
        assert_eq!(told.ts_ns, 109);
        assert!(repeats.next_due(u64::MAX).is_none());
    }

    #[test]
    fn a_later_report_puts_the_question_off() {
        let mut repeats = Repeats::new([WINDOW, 30 * WINDOW], 10);
        report(&mut repeats, 7, 0);
        report(&mut repeats, 7, WINDOW);
        assert!(repeats.next_due(WINDOW + SLACK_NS).is_none());
        assert!(repeats.next_due(2 * WINDOW + SLACK_NS).is_some());
    }

    #[test]
    fn a_known_act_has_a_longer_window() {
        let mut repeats = Repeats::new([WINDOW, 30 * WINDOW], 10);
        report(&mut repeats, 7, 0);
        report(&mut repeats, 8, 1);
        repeats.known(7);
        repeats.known(9);
        let due = |repeats: &mut Repeats, now_ns| repeats.next_due(now_ns).map(|it| it.act());
        assert_eq!(due(&mut repeats, 2 * WINDOW), Some(8));
        assert_eq!(due(&mut repeats, 2 * WINDOW), None);
        assert_eq!(due(&mut repeats, 30 * WINDOW + SLACK_NS), Some(7));
        report(&mut repeats, 7, 40 * WINDOW);
        assert_eq!(due(&mut repeats, 42 * WINDOW), Some(7), "it has to be known anew");
        assert_eq!(due(&mut repeats, u64::MAX), None);
    }

    #[test]
    fn what_is_never_merged_or_finds_no_room_is_not_remembered() {
        let mut repeats = Repeats::new([WINDOW, 30 * WINDOW], 1);
        report(&mut repeats, 0, 0);
        assert!(repeats.next_due(u64::MAX).is_none());
        report(&mut repeats, 7, 0);
        report(&mut repeats, 8, 0);
        assert_eq!(repeats.next_due(u64::MAX).map(|it| it.act()), Some(7));
        assert!(repeats.next_due(u64::MAX).is_none());
    }
}
