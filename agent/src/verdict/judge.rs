//! Judges observations by the rules and by what the operator decided, and builds the alerts.

use std::{
    collections::{HashMap, HashSet},
    hash::{BuildHasher, RandomState},
    sync::Arc,
};

use plimsoll_ebpf::{
    catalog::{TailBuilder, encode},
    events::alert::Alert,
    layer,
    record::Header,
    rules::{Mode, Rule, Severity, outcome},
};

use super::{
    act::{self, Breach, breaches, breaches_of_container},
    departures::{Departures, Turn, Whose},
    digest::{Digest, Gathered, Why},
    explain,
    incidents::{self, Incidents, Standing},
    own::Own,
    repeats::{Repeat, Repeats},
};
use crate::{
    attribution::{container::Container, observation::Observation, process::Process},
    baseline::{departure::Departure, learner::Baseline, report::Report},
    policy::{book::Book, exception::Exception, modes::Modes, place::Object},
};

/// Receives an alert with its container and process.
pub type Tell<'t> = dyn FnMut(&[u8], &Arc<Container>, Option<&Arc<Process>>) + 't;

/// See the module.
pub struct Judge {
    book: Arc<Book>,
    own: Own,
    /// What was decided for a container, by its serial.
    rulings: HashMap<u64, Arc<Ruling>>,
    repeats: Repeats,
    departures: Departures,
    /// Those that were not told by themselves.
    digest: Digest,
    incidents: Incidents,
    hasher: RandomState,
}

/// What was decided for one container.
#[derive(Debug, Default)]
pub struct Ruling {
    /// How each class is treated.
    pub modes: Modes,
    /// What is allowed all the same.
    pub exceptions: Vec<Arc<Exception>>,
}

impl Ruling {
    /// What a book says of a container. Exceptions that have expired are left out when they are
    /// asked for.
    pub fn of(book: &Book, container: &Container) -> Self {
        Self { modes: book.modes_of(container), exceptions: book.exceptions_of(container, 0) }
    }

    /// Whether an exception lets this pass at a moment since the Unix epoch.
    pub fn allows(&self, rule: Rule, path: &[u8], now_ns: u64) -> bool {
        let object = Object::Path(path);
        self.exceptions.iter().any(|it| !it.is_expired(now_ns) && it.covers(rule, object))
    }

    /// The exception that covers a breach at a moment since the Unix epoch.
    fn exception(&self, breach: &Breach<'_>, now_ns: u64) -> Option<&Arc<Exception>> {
        let covers =
            |it: &&Arc<Exception>| !it.is_expired(now_ns) && it.covers(breach.rule, breach.object);
        self.exceptions.iter().find(covers).filter(|_| !breach.is_unsure)
    }
}

/// What became of a broken rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Judged {
    /// It is no alert: what the container does is learned.
    Open,
    /// An exception covers it.
    Allowed,
    /// It was told, or is counted with one that was.
    Told,
}

impl Judge {
    /// Judges by this book, for the agent that has this.
    pub fn new(book: Arc<Book>, own: Own) -> Self {
        Self {
            book,
            own,
            rulings: HashMap::new(),
            repeats: Repeats::default(),
            departures: Departures::default(),
            digest: Digest::default(),
            incidents: Incidents::default(),
            hasher: RandomState::new(),
        }
    }

    /// What became of departures.
    pub fn departures(&self) -> &Departures {
        &self.departures
    }

    /// Judges by another book from now on.
    pub fn set_book(&mut self, book: Arc<Book>) {
        self.book = book;
        self.rulings.clear();
    }

    /// What it judges by.
    pub fn book(&self) -> &Book {
        &self.book
    }

    fn ruling(&mut self, container: &Container) -> Arc<Ruling> {
        let Self { book, rulings, .. } = self;
        let ruling = rulings.entry(container.serial);
        ruling.or_insert_with(|| Arc::new(Ruling::of(book, container))).clone()
    }

    /// Forgets what was decided for containers that are not among these.
    pub fn keep_only<'c>(&mut self, containers: impl Iterator<Item = &'c Arc<Container>>) {
        let serials: HashSet<u64> = containers.map(|it| it.serial).collect();
        self.rulings.retain(|serial, _| serials.contains(serial));
    }

    /// Judges an observation, which may depart from the baseline; tells of it where it is an alert.
    /// Returns whether a rule that needs no learning was broken, and told or allowed.
    pub fn observe(
        &mut self,
        observation: &Observation<'_>,
        departure: Option<(&Departure, &Baseline)>,
        tell: &mut Tell<'_>,
    ) -> bool {
        for breach in breaches_of_container(observation, &self.own) {
            self.observe_breach(observation, &breach, tell);
        }
        let (mut told, mut allowed) = (None, [None; 3]);
        for (breach, allowed) in breaches(observation, &self.own).zip(&mut allowed) {
            match self.observe_breach(observation, &breach, tell) {
                Judged::Told => {
                    told = Some(breach.rule);
                    break;
                }
                Judged::Allowed => *allowed = Some(breach),
                Judged::Open => {}
            }
        }
        if let Some((departure, baseline)) = departure {
            let is_settled = match told {
                Some(rule) => rule.info().severity >= departure.rule.info().severity,
                None => allowed.iter().flatten().any(|it| is_the_same(it, departure)),
            };
            if !is_settled {
                self.observe_departure(observation, departure, baseline, tell);
            }
        }
        told.is_some() || allowed.iter().any(Option::is_some)
    }

    /// Judges by a rule that needs no learning.
    fn observe_breach(
        &mut self,
        observation: &Observation<'_>,
        breach: &Breach<'_>,
        tell: &mut Tell<'_>,
    ) -> Judged {
        let Some(container) = observation.container else { return Judged::Open };
        let ruling = self.ruling(container);
        let header = &observation.record.header;
        if header.outcome == outcome::DONE
            && let Some(exception) = ruling.exception(breach, observation.ts_ns)
        {
            exception.count(u64::from(header.count), observation.ts_ns);
            return Judged::Allowed;
        }
        let mode = ruling.modes.get(breach.rule.class());
        if !is_alert(breach.rule, mode) {
            return Judged::Open;
        }
        let Some(key) = self.repeats.take(breach, observation) else { return Judged::Told };
        let exe = observation.process.map(|process| &*process.exe);
        let reason = explain::reason(breach, observation, exe);
        let incident = self.incidents.key(observation);
        let standing = self.standing(incident, observation, breach);
        let entry = alert(observation, *header, container, breach, mode, &reason, standing);
        tell(&entry, container, observation.process);
        self.repeats.told(
            key,
            breach.rule,
            header.boot_ns,
            Repeat::of(entry, observation, incident),
        );
        Judged::Told
    }

    /// Judges a departure: told at once the first time, then seldom, with how often it was repeated.
    fn observe_departure(
        &mut self,
        observation: &Observation<'_>,
        departure: &Departure,
        baseline: &Baseline,
        tell: &mut Tell<'_>,
    ) {
        let Some(container) = observation.container else { return };
        let object = act::endpoint(observation)
            .map_or(Object::Path(departure.object.as_bytes()), Object::Peer);
        let (rule, layer) = (departure.rule, departure.layer);
        let is_unsure = act::has_unsure_path(&observation.record);
        let breach = Breach { rule, object, layer, is_unsure };
        let ruling = self.ruling(container);
        let count = u64::from(observation.record.header.count);
        if let Some(exception) = ruling.exception(&breach, observation.ts_ns) {
            exception.count(count, observation.ts_ns);
            return;
        }
        let most_hourly = baseline.settings().most_hourly;
        let incident = self.incidents.key(observation);
        let header = &observation.record.header;
        let whose = Whose { container: header.cgroup_id, incident: self.hasher.hash_one(incident) };
        let turn = self.departures.turn(departure, whose, count, header.boot_ns, most_hourly);
        let mut hold = |why| {
            let whose = (container, header.cgroup_id);
            self.digest.add(why, (departure, count), whose, header.boot_ns);
        };
        let count = match turn {
            Turn::Tell { count } => count,
            Turn::Alike => {
                hold(Why::Alike(incident));
                // It is told as part of this one.
                self.incidents.touch(incident, header.boot_ns);
                return;
            }
            Turn::Suppressed => return hold(Why::Budget(departure.profile)),
            Turn::Counted { is_first: false } => return,
            Turn::Counted { is_first: true } => count,
        };
        let exe = observation.process.map(|process| &*process.exe);
        let what = explain::reason(&breach, observation, exe);
        let reason = format!("{what} {}", baseline.explain(departure));
        let mode = ruling.modes.get(breach.rule.class());
        let count = count.try_into().unwrap_or(u32::MAX);
        let header = Header { count, ..*header };
        let standing = self.standing(incident, observation, &breach);
        let entry = alert(observation, header, container, &breach, mode, &reason, standing);
        if let Turn::Counted { .. } = turn {
            self.departures.keep(departure, Repeat::of(entry, observation, incident));
            return;
        }
        tell(&entry, container, observation.process);
    }

    /// The alert of what is told of a profile as a whole, at this moment since boot.
    pub fn report(&mut self, report: &Report, now_ns: u64) -> Vec<u8> {
        self.report_in((report.cgroup_id, 0, 0), report, now_ns)
    }

    /// The same, of an incident.
    fn report_in(&mut self, incident: incidents::Key, report: &Report, now_ns: u64) -> Vec<u8> {
        let Report { rule, container, cgroup_id, count, reason } = report;
        let mode = self.ruling(container).modes.get(rule.class());
        let (cgroup_id, count) = (*cgroup_id, (*count).try_into().unwrap_or(u32::MAX));
        let header = Header { boot_ns: now_ns, cgroup_id, count, ..Header::default() };
        self.whole(incident, header, *rule, mode, reason)
    }

    /// The alert of what concerns the agent and no container, at this moment since boot.
    pub fn report_own(&mut self, rule: Rule, reason: &str, now_ns: u64) -> Vec<u8> {
        let header = Header { boot_ns: now_ns, count: 1, ..Header::default() };
        self.whole((0, 0, 0), header, rule, Mode::Monitor, reason)
    }

    /// An alert that no single act has raised.
    fn whole(
        &mut self,
        incident: incidents::Key,
        header: Header,
        rule: Rule,
        mode: Mode,
        reason: &str,
    ) -> Vec<u8> {
        let standing = self.incidents.add(incident, rule, b"", header.boot_ns);
        let mut texts = TailBuilder::default();
        let event = Alert {
            rule: rule as u8,
            mode: mode as u8,
            reason: texts.push(reason.as_bytes()),
            incident: texts.push(format!("{:016x}", standing.id).as_bytes()),
            score: standing.score,
            ..Alert::default()
        };
        encode(header, event, texts.bytes())
    }

    /// Adds what is told to its incident.
    fn standing(
        &mut self,
        incident: incidents::Key,
        observation: &Observation<'_>,
        breach: &Breach<'_>,
    ) -> Standing {
        let peer = explain::peer(breach);
        let what = if peer.is_empty() { breach.path() } else { peer.as_bytes() };
        let now_ns = observation.record.header.boot_ns;
        self.incidents.add(incident, breach.rule, what, now_ns)
    }

    /// Tells how often alerts were repeated, whether or not their windows are over: this is the end.
    pub fn end(&mut self, now_ns: u64, tell: &mut Tell<'_>) {
        let held_back = self.digest.take_all();
        self.tell_gathered(&held_back, now_ns, tell);
        let mut tell = |repeat: &Repeat, count| repeat.tell(count, now_ns, tell);
        self.repeats.end(&mut tell);
        self.departures.end(&mut tell);
    }

    fn tell_gathered(&mut self, all: &[Gathered], now_ns: u64, tell: &mut Tell<'_>) {
        for Gathered { report, incident } in all {
            let incident = incident.unwrap_or((report.cgroup_id, 0, 0));
            let entry = self.report_in(incident, report, now_ns);
            tell(&entry, &report.container, None);
        }
    }

    /// Tells how often alerts were repeated whose window is over at this moment since boot.
    pub fn tick(&mut self, now_ns: u64, tell: &mut Tell<'_>) {
        let due = self.digest.take_due(now_ns);
        self.tell_gathered(&due, now_ns, tell);
        let Self { incidents, repeats, departures, .. } = self;
        incidents.tick(now_ns);
        let mut tell = |repeat: &Repeat, count: u64| {
            incidents.touch(repeat.incident, now_ns);
            repeat.tell(count, now_ns, tell);
        };
        repeats.tick(now_ns, &mut tell);
        departures.tick(now_ns, &mut tell);
    }
}

/// Whether a departure says no more than the broken rule that was allowed: that this file is new here.
fn is_the_same(allowed: &Breach<'_>, departure: &Departure) -> bool {
    matches!(departure.rule, Rule::NewProcess | Rule::NewWrite)
        && allowed.path() == departure.object.as_bytes()
}

/// Whether a broken rule is worth an alert: while a class is learned, only what no image does.
pub fn is_alert(rule: Rule, mode: Mode) -> bool {
    // What a container is given is nothing that its image does, and cannot be learned.
    mode != Mode::Learn || rule.info().severity >= Severity::High || rule.is_of_container()
}

fn alert(
    observation: &Observation<'_>,
    header: Header,
    container: &Container,
    breach: &Breach<'_>,
    mode: Mode,
    reason: &str,
    standing: Standing,
) -> Vec<u8> {
    let header = Header { act: 0, ..header };
    let mut texts = TailBuilder::default();
    let event = Alert {
        of: observation.record.kind.number,
        rule: breach.rule as u8,
        mode: mode as u8,
        path: texts.push(breach.path()),
        peer: texts.push(explain::peer(breach).as_bytes()),
        layer: texts.push(layer::name(breach.layer).as_bytes()),
        reason: texts.push(reason.as_bytes()),
        allow: texts.push(explain::allow(breach, container).unwrap_or_default().as_bytes()),
        incident: texts.push(format!("{:016x}", standing.id).as_bytes()),
        score: standing.score,
        reserved: [0; 3],
    };
    encode(header, event, texts.bytes())
}
