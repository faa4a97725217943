//! Learning as a whole, from observations to departures.

mod arguments;
mod doubt;
mod evidence;
mod known;
mod own_data;
mod release;
mod schedule;
mod shop;
mod siblings;
mod slots;
mod time;

use std::{net::Ipv4Addr, sync::Arc};

use plimsoll_ebpf::{
    catalog::{Record, TailBuilder, encode},
    events::{
        accept::Accept, connect::Connect, exec::Exec, file_write::FileWrite, fork::Fork,
        listen::Listen,
    },
    layer::code,
    record::Header,
    rules::Rule,
};

use crate::{
    attribution::{
        container::{Container, Mount, MountKind},
        node::Node,
        observation::Observation,
        process::{Ancestor, Lineage, Origin, Process},
    },
    baseline::{
        departure::Departure,
        dimension::{Context, Dimension},
        learner::Baseline,
        orders::{Act, Order},
        profile::{MOST_BYTES, Profile},
        saved::Saved,
        settings::Settings,
    },
};

const HOUR_MS: u64 = 3_600_000;
/// An hour as any other, since the Unix epoch.
const BEGIN_MS: u64 = 1_764_000_000_000;

/// A container with the processes that act in it.
struct Stage {
    baseline: Baseline,
    now_ms: u64,
    /// Whether what was seen last is known.
    is_known: bool,
    /// By what name peers were looked up whose address has passed to another.
    former_name: Option<&'static str>,
}

/// Containers of a version of the image have numbers from here on, times the version.
const VERSION: u64 = 1000;

fn container(number: u64) -> Arc<Container> {
    let version = number / VERSION;
    Arc::new(Container {
        id: format!("{number:012x}{:052}", 0),
        image: format!("shop/app:{}", version + 1),
        image_digest: format!("sha256:{version:02}ffaa"),
        entrypoint: "/app".to_owned(),
        announced: vec![(80, 6)],
        mounts: vec![volume("/srv/db/inner"), volume("/srv/db"), volume("/backup")],
        ..Container::default()
    })
}

fn volume(destination: &str) -> Mount {
    let destination = destination.to_owned();
    Mount { destination, kind: MountKind::Volume, ..Mount::default() }
}

fn process(exe: &str, parent: Option<&str>, origin: Origin) -> Arc<Process> {
    let ancestor = |exe: &str| Ancestor { pid: 1, start_ns: 1, exe: exe.as_bytes().into() };
    Arc::new(Process {
        pid: 2,
        start_ns: 2,
        exe: exe.as_bytes().into(),
        origin,
        lineage: Lineage::of(parent.map(ancestor)),
        ..Process::default()
    })
}

fn exec(layer: u8) -> Vec<u8> {
    encode(Header::default(), Exec { layer, ..Exec::default() }, &[])
}

fn write(path: &str, mode: u32) -> Vec<u8> {
    let mut texts = TailBuilder::default();
    let path = texts.push(path.as_bytes());
    let body = FileWrite { path, mode, op: 2, layer: code::TMPFS, ..FileWrite::default() };
    encode(Header::default(), body, texts.bytes())
}

fn connect(port: u16) -> Vec<u8> {
    encode(Header::default(), Connect { port, protocol: 6, ..Connect::default() }, &[])
}

impl Stage {
    fn new() -> Self {
        Self {
            baseline: Baseline::new(Settings::default()),
            now_ms: BEGIN_MS,
            is_known: false,
            former_name: None,
        }
    }

    fn see(
        &mut self,
        number: u64,
        process: Option<&Arc<Process>>,
        entry: &[u8],
        peer_name: Option<&str>,
    ) -> Option<Departure> {
        let mut record = Record::decode(entry).expect("decodes");
        record.header.cgroup_id = number;
        record.header.count = record.header.count.max(1);
        let judged = self.baseline.observe(&Observation {
            ts_ns: self.now_ms * 1_000_000,
            record,
            node: &Arc::new(Node::default()),
            container: Some(&container(number)),
            process,
            peer_name,
            former_name: self.former_name,
        });
        self.is_known = judged.is_known;
        judged.departure
    }

    fn run(&mut self, number: u64, exe: &str, parent: Option<&str>) -> Option<Departure> {
        self.see(number, Some(&process(exe, parent, Origin::Init)), &exec(code::IMAGE), None)
    }

    /// A container starts: its first program runs and listens.
    fn start(&mut self, number: u64) {
        self.run(number, "/app", None);
        let app = process("/app", None, Origin::Init);
        let body = Listen { port: 80, protocol: 6, ..Listen::default() };
        self.see(number, Some(&app), &encode(Header::default(), body, &[]), None);
        self.now_ms += 20_000;
    }

    /// An hour of ordinary work.
    fn work(&mut self, number: u64) {
        let app = process("/app", None, Origin::Init);
        self.run(number, "/bin/convert", Some("/app"));
        self.see(number, Some(&app), &write("/cache/page.html", 0o100_644), None);
        self.see(number, Some(&app), &connect(5432), Some("db"));
        let header = Header { count: 50, ..Header::default() };
        let peer = Ipv4Addr::new(10, 0, 0, 9).to_ipv6_mapped().octets();
        let accept = Accept { port: 80, peer, ..Accept::default() };
        self.see(number, Some(&app), &encode(header, accept, &[]), None);
    }

    fn pass(&mut self, hours: u64) {
        for _ in 0..hours {
            self.now_ms += HOUR_MS;
            self.baseline.tick(self.now_ms, |_| true);
        }
    }

    /// Two containers that have worked long enough.
    fn learned() -> Self {
        Self::learned_with(|_| ())
    }

    /// The same, in which this is done each hour as well.
    fn learned_with(mut act: impl FnMut(&mut Self)) -> Self {
        let mut stage = Self::new();
        stage.start(1);
        stage.start(2);
        for _ in 0..80 {
            stage.work(1);
            stage.work(2);
            act(&mut stage);
            stage.pass(1);
        }
        stage
    }

    /// An operator approves the version that a container runs.
    fn approve(&mut self, number: u64) {
        let (answer, answered) = crossbeam_channel::bounded(1);
        let whom = container(number).image_digest.clone();
        self.baseline.carry_out(&Order { whom, act: Act::Approve, answer }, self.now_ms / 1000);
        assert_eq!(answered.recv().map(|it| it.len()), Ok(1));
    }

    fn is_monitored(&self, dimension: Dimension) -> bool {
        let is_of = |place: usize| self.baseline.profiles()[place].subject.is_image();
        let place = usize::from(is_of(0) == dimension.is_of_service());
        self.baseline.profiles()[place].is_monitored(dimension, Context::Steady)
    }
}

fn rule(departure: Option<Departure>) -> Option<Rule> {
    departure.map(|it| it.rule)
}

#[test]
fn an_image_is_learned_until_what_is_new_is_worth_telling() {
    let mut stage = Stage::new();
    stage.start(1);
    stage.work(1);
    assert_eq!(stage.run(1, "/bin/other", Some("/app")), None, "nothing is known yet");
    let mut stage = Stage::learned();
    // Nothing was measured.
    for dimension in Dimension::ALL.into_iter().filter(|it| *it != Dimension::Volume) {
        assert!(stage.is_monitored(dimension), "{dimension:?}");
    }
    stage.work(1);
    assert_eq!(stage.run(1, "/bin/convert", Some("/app")), None);
    let departure = stage.run(1, "/usr/bin/wget", Some("/app")).expect("is new");
    assert_eq!(departure.rule, Rule::NewTool);
    let text = stage.baseline.explain(&departure);
    assert!(text.contains("Not seen in 160 units of 2 containers"), "{text}");
    assert!(text.contains("after its start"), "{text}");
    assert_eq!(
        rule(stage.run(2, "/usr/bin/wget", Some("/app"))),
        Some(Rule::NewTool),
        "not learned"
    );
}

#[test]
fn every_dimension_tells_what_is_new_in_it() {
    let mut stage = Stage::learned();
    let app = process("/app", None, Origin::Init);
    let convert = process("/bin/convert", Some("/app"), Origin::Init);
    assert_eq!(rule(stage.run(1, "/bin/convert", Some("/bin/other"))), Some(Rule::NewLineage));
    let elsewhere = write("/data/out.html", 0o100_644);
    assert_eq!(rule(stage.see(1, Some(&app), &elsewhere, None)), Some(Rule::NewWrite));
    let page = write("/cache/page.html", 0o100_644);
    assert_eq!(rule(stage.see(1, Some(&app), &page, None)), None);
    assert_eq!(rule(stage.see(1, Some(&convert), &page, None)), Some(Rule::NewWrite));
    let hook = write("/cache/hook.sh", 0o100_644);
    assert_eq!(rule(stage.see(1, Some(&app), &hook, None)), Some(Rule::NewSensitiveWrite));
    let listen =
        |port| encode(Header::default(), Listen { port, protocol: 6, ..Listen::default() }, &[]);
    assert_eq!(rule(stage.see(1, Some(&app), &listen(4444), None)), Some(Rule::NewListener));
    assert_eq!(rule(stage.see(1, Some(&app), &connect(5432), Some("db"))), None);
    assert_eq!(
        rule(stage.see(1, Some(&app), &connect(443), Some("evil.test"))),
        Some(Rule::NewPeer)
    );
}

#[test]
fn files_whose_names_differ_in_numbers_depart_once() {
    let mut stage = Stage::learned();
    let app = process("/app", None, Origin::Init);
    let mut print = |path: &str| {
        let departure = stage.see(1, Some(&app), &write(path, 0o100_644), None);
        departure.expect("is new").fingerprint
    };
    let first = print("/data/base/16384/16410_fsm");
    assert_eq!(print("/data/base/16384/16409_fsm"), first);
    assert_ne!(print("/data/base/16384/16410_vm"), first);
    // What others run is told each by each.
    assert_ne!(print("/data/hook1.sh"), print("/data/hook2.sh"));
}

#[test]
fn what_only_happens_at_the_start_is_new_after_it() {
    let mut stage = Stage::new();
    for number in 1..=2 {
        stage.run(number, "/app", None);
        stage.run(number, "/bin/chown", Some("/app"));
        stage.start(number);
    }
    for _ in 0..80 {
        stage.work(1);
        stage.work(2);
        stage.pass(1);
    }
    let departure = stage.run(1, "/bin/chown", Some("/app")).expect("is new by now");
    assert!(stage.baseline.explain(&departure).contains("never after one"));
}

#[test]
fn what_a_service_opened_at_its_start_it_may_open_again() {
    let mut stage = Stage::new();
    let app = process("/app", None, Origin::Init);
    let listen = Listen { port: 9000, protocol: 6, ..Listen::default() };
    let listen = encode(Header::default(), listen, &[]);
    for number in 1..=2 {
        stage.run(number, "/app", None);
        stage.see(number, Some(&app), &connect(6379), Some("cache"));
        stage.see(number, Some(&app), &listen, None);
        stage.start(number);
    }
    for _ in 0..80 {
        stage.work(1);
        stage.work(2);
        stage.pass(1);
    }
    assert!(stage.is_monitored(Dimension::Peer) && stage.is_monitored(Dimension::Listener));
    assert_eq!(stage.see(1, Some(&app), &connect(6379), Some("cache")), None);
    assert_eq!(stage.see(1, Some(&app), &listen, None), None);
    let other = stage.see(1, Some(&app), &connect(6379), Some("other"));
    assert_eq!(rule(other), Some(Rule::NewPeer));
}

#[test]
fn who_has_a_known_service_start_is_told_by_what_starts_never_did() {
    let mut stage = Stage::learned();
    for dimension in [Dimension::Process, Dimension::Peer] {
        let is_of = |it: &&Profile| it.subject.is_image() != dimension.is_of_service();
        let profile = stage.baseline.profiles().iter().find(is_of).expect("is there");
        assert!(!profile.is_monitored(dimension, Context::Start), "two starts are few");
    }
    stage.run(3, "/app", None);
    let app = process("/app", None, Origin::Init);
    for _ in 0..2 {
        assert_eq!(rule(stage.run(3, "/bin/sh", Some("/app"))), Some(Rule::NewShell));
        assert_eq!(rule(stage.run(3, "/usr/bin/wget", Some("/app"))), Some(Rule::NewTool));
        let call = stage.see(3, Some(&app), &connect(443), Some("evil.test"));
        assert_eq!(rule(call), Some(Rule::NewPeer), "not learned");
    }
    assert_eq!(stage.run(3, "/bin/migrate", Some("/app")), None, "starts are learned still");
    assert_eq!(stage.see(3, Some(&app), &connect(5432), Some("db")), None);
}

#[test]
fn of_a_service_that_was_never_seen_to_start_starts_are_learned() {
    let mut stage = Stage::new();
    for _ in 0..24 * 8 {
        stage.work(1);
        stage.pass(1);
    }
    assert!(stage.is_monitored(Dimension::Process) && stage.is_monitored(Dimension::Peer));
    stage.run(3, "/bin/sh", None);
    stage.run(3, "/app", Some("/bin/sh"));
    let app = process("/app", None, Origin::Init);
    assert_eq!(stage.see(3, Some(&app), &connect(443), Some("first.test")), None);
    stage.now_ms += 600_000;
    let late = stage.see(3, Some(&app), &connect(443), Some("first.test"));
    assert_eq!(rule(late), Some(Rule::NewPeer), "it vouches for starts alone");
}

#[test]
fn a_foreign_program_and_what_descends_from_it_teach_nothing() {
    let mut stage = Stage::new();
    stage.start(1);
    let dropped = process("/tmp/x", Some("/app"), Origin::Init);
    stage.see(1, Some(&dropped), &exec(code::UPPER), None);
    stage.see(1, Some(&dropped), &connect(4444), Some("evil.test"));
    let known: usize = stage
        .baseline
        .profiles()
        .iter()
        .map(|it| it.learned[Dimension::Peer as usize].entries().len())
        .sum();
    assert_eq!(known, 0);
    assert!(stage.baseline.counts().unlearnable > 0);
}

#[test]
fn a_session_is_known_by_sessions_and_never_vouches_for_the_service() {
    let mut stage = Stage::new();
    stage.start(1);
    stage.start(2);
    let session = |stage: &mut Stage, exe| {
        stage.see(1, Some(&process(exe, None, Origin::Exec)), &exec(code::IMAGE), None)
    };
    for hour in 0..80 {
        stage.work(1);
        stage.work(2);
        if hour < 3 {
            session(&mut stage, "/usr/bin/logrotate");
            session(&mut stage, "/usr/bin/socat");
        }
        stage.pass(1);
    }
    assert_eq!(rule(session(&mut stage, "/usr/bin/socat")), None, "it is an administrator's");
    assert_eq!(rule(stage.run(1, "/usr/bin/socat", Some("/app"))), Some(Rule::NewTool));
    assert_eq!(rule(session(&mut stage, "/usr/bin/logrotate")), None);
    assert_eq!(rule(session(&mut stage, "/bin/ls")), Some(Rule::NewProcess));
    assert_eq!(rule(session(&mut stage, "/bin/sh")), Some(Rule::NewProcess), "who enters has one");
    assert_eq!(rule(session(&mut stage, "/usr/bin/id")), Some(Rule::Discovery));
    assert_eq!(rule(stage.run(1, "/usr/bin/logrotate", Some("/app"))), Some(Rule::NewProcess));
}

#[test]
fn what_one_hostile_replica_of_three_did_is_not_confirmed_and_is_told() {
    let mut stage = Stage::new();
    (1..=3).for_each(|number| stage.start(number));
    for _ in 0..80 {
        (1..=3).for_each(|number| stage.work(number));
        stage.run(3, "/usr/bin/perl", Some("/app"));
        stage.pass(1);
    }
    assert!(stage.is_monitored(Dimension::Process));
    let learned = &stage.baseline.profiles()[0].learned[Dimension::Process as usize];
    let mut confirmed = Vec::new();
    learned.visit(&mut |_, key, entry| {
        if entry.is_confirmed() {
            confirmed.push(key.to_owned());
        }
    });
    assert_eq!(confirmed, ["/app", "/bin/convert"]);
    let departure = stage.run(3, "/usr/bin/perl", Some("/app")).expect("is doubted");
    assert!(stage.baseline.explain(&departure).contains("only one"));
}

#[test]
fn what_an_operator_denied_is_told_at_once_and_never_learned_again() {
    let mut stage = Stage::new();
    (1..=2).for_each(|number| stage.start(number));
    for _ in 0..5 {
        (1..=2).for_each(|number| stage.work(number));
        stage.run(2, "/usr/bin/perl", Some("/app"));
        stage.pass(1);
    }
    assert_eq!(stage.run(2, "/usr/bin/perl", Some("/app")), None, "it is learned");
    let (answer, answered) = crossbeam_channel::bounded(1);
    let id = container(2).id.clone();
    let act = Act::Deny { container: Some(id), since_s: None };
    stage.baseline.carry_out(&Order { whom: "shop/app".to_owned(), act, answer }, 1);
    assert_eq!(answered.recv().map(|it| it.len()), Ok(2));
    let departure = stage.run(1, "/usr/bin/perl", Some("/app")).expect("is denied");
    assert!(stage.baseline.explain(&departure).contains("denied by an operator"));
    assert_eq!(stage.run(1, "/bin/convert", Some("/app")), None, "two showed it");
}

#[test]
fn learning_goes_on_where_it_was_after_it_was_kept() {
    let stage = Stage::learned();
    let settings = Settings::default();
    let mut again =
        Stage { baseline: Baseline::new(settings), now_ms: stage.now_ms + 1000, ..Stage::new() };
    for profile in stage.baseline.profiles() {
        let text = serde_json::to_vec(&Saved::of(profile, &settings, 1)).expect("writes");
        let saved: Saved = serde_json::from_slice(&text).expect("reads");
        again.baseline.restore(saved.into_profile());
    }
    assert_eq!(again.run(1, "/bin/convert", Some("/app")), None);
    assert_eq!(rule(again.run(1, "/usr/bin/wget", Some("/app"))), Some(Rule::NewTool));
}

#[test]
fn every_profile_is_kept_in_its_turn_however_busy_the_others_are() {
    let mut stage = Stage::new();
    stage.start(1);
    let keep = |stage: &mut Stage| {
        for profile in stage.baseline.profiles_mut() {
            profile.is_unsaved = true;
        }
        stage.baseline.take_unsaved(1, 1).pop().map(|it| it.subject)
    };
    let (first, second) = (keep(&mut stage), keep(&mut stage));
    assert!(first.is_some() && second.is_some() && first != second);
}

#[test]
fn a_flood_of_names_is_bounded_and_leaves_the_other_dimensions_alone() {
    let mut stage = Stage::new();
    stage.start(1);
    let app = process("/app", None, Origin::Init);
    for number in 0..30_000_u64 {
        if number.is_multiple_of(900) {
            stage.pass(1);
        }
        let letters: String =
            (0..5).map(|at| char::from(b'g' + (number >> (3 * at) & 7) as u8)).collect();
        let path = format!("/cache/{letters}/{letters}/{number}x{letters}");
        stage.see(1, Some(&app), &write(&path, 0o100_644), None);
        stage.see(1, Some(&app), &connect(443), Some(&format!("{letters}{number}.test")));
        stage.run(1, &format!("/opt/{letters}{number}"), Some("/app"));
    }
    for profile in stage.baseline.profiles() {
        assert!(profile.bytes() <= MOST_BYTES, "{}", profile.bytes());
    }
    assert!(stage.baseline.counts().frozen > 0);
    let image = &stage.baseline.profiles()[0];
    assert!(!image.learned[Dimension::Listener as usize].is_full);
}
