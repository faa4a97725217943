//! What counts as evidence: of whom something is learned, and what one who does harm could do about
//! that.

use plimsoll_ebpf::events::container as lifecycle;

use super::*;
use crate::volume::usage::Usage;

#[test]
fn a_container_that_is_measured_before_its_first_program_has_not_started() {
    let mut stage = Stage::new();
    let measure = |stage: &mut Stage| {
        let usage = Usage { cgroup_id: 1, span_ms: 1000, ..Usage::default() };
        stage.baseline.measure(&container(1), &usage, None, &|_| None, stage.now_ms);
        stage.baseline.profiles()[0].starts
    };
    assert_eq!(measure(&mut stage), 0);
    stage.run(1, "/app", None);
    assert_eq!(measure(&mut stage), 1);
    stage.run(1, "/app", None);
    assert_eq!(measure(&mut stage), 1, "it starts once");
}

#[test]
fn a_path_that_nobody_can_learn_is_told_and_switches_nothing_off() {
    let app = process("/app", None, Origin::Init);
    let deep = "/a".repeat(40);
    let long = format!("/data/{}", "\u{e9}".repeat(200));
    let mut stage = Stage::learned_with(|stage| {
        for path in [&deep, &long] {
            stage.see(1, Some(&app), &write(path, 0o100_644), None);
        }
    });
    assert!(stage.is_monitored(Dimension::Write));
    for path in [&deep, &long, "/data/new"] {
        let told = rule(stage.see(1, Some(&app), &write(path, 0o100_644), None));
        assert_eq!(told, Some(Rule::NewWrite), "{path}");
    }
}

fn given(number: u64) -> Vec<u8> {
    let mut texts = TailBuilder::default();
    let path = texts.push(if number == 1 { b"/mnt/app" } else { b"/mnt/tool" });
    encode(Header::default(), Exec { path, layer: code::BIND, ..Exec::default() }, texts.bytes())
}

#[test]
fn of_a_program_in_a_mount_that_the_container_was_made_with_all_is_learned() {
    let peers = |stage: &Stage| -> usize {
        let profiles = stage.baseline.profiles().iter();
        profiles.map(|it| it.learned[Dimension::Peer as usize].entries().len()).sum()
    };
    let mut stage = Stage::new();
    let first = process("/mnt/app", None, Origin::Init);
    stage.see(1, Some(&first), &given(1), None);
    stage.see(1, Some(&first), &connect(5432), Some("db"));
    assert_eq!(peers(&stage), 1);
    for (mounted, parent) in [(2, None), (1, Some("/mnt/app"))] {
        let other = process("/mnt/tool", parent, Origin::Init);
        stage.see(mounted, Some(&other), &given(mounted), None);
        stage.see(mounted, Some(&other), &connect(4444), Some("evil.test"));
        assert_eq!(peers(&stage), 1, "nobody named it when the container was made");
    }
}

#[test]
fn what_a_foreign_program_makes_is_foreign_however_often_it_forks() {
    let mut stage = Stage::new();
    stage.start(1);
    let forked = |pid: u32| {
        let ancestors = (pid.saturating_sub(4)..pid).rev();
        let ancestor = |pid| Ancestor { pid, start_ns: 1, exe: b"/tmp/x".as_slice().into() };
        Arc::new(Process {
            pid,
            start_ns: 1,
            exe: b"/tmp/x".as_slice().into(),
            lineage: Lineage::of(ancestors.map(ancestor)),
            origin: Origin::Init,
            ..Process::default()
        })
    };
    stage.see(1, Some(&forked(10)), &exec(code::UPPER), None);
    for pid in 11..30 {
        stage.see(1, Some(&forked(pid)), &encode(Header::default(), Fork::default(), &[]), None);
    }
    stage.see(1, Some(&forked(29)), &connect(4444), Some("evil.test"));
    let service = stage.baseline.profiles().iter().find(|it| !it.subject.is_image());
    let peers = service.expect("is met").learned[Dimension::Peer as usize].entries();
    assert!(peers.is_empty());
}

/// Docker tells that a container ended.
fn dies() -> Vec<u8> {
    let mut texts = TailBuilder::default();
    let op = texts.push(b"die");
    let body = lifecycle::Container { op, ..lifecycle::Container::default() };
    encode(Header::default(), body, texts.bytes())
}

#[test]
fn what_is_told_after_the_end_of_a_container_it_did_before() {
    let app = process("/app", None, Origin::Init);
    let lock = write("/data/lock", 0o100_644);
    let mut stage = Stage::new();
    for number in 1..=2 {
        stage.run(number, "/app", None);
        stage.see(number, Some(&app), &lock, None);
        stage.start(number);
    }
    for _ in 0..80 {
        stage.work(1);
        stage.work(2);
        stage.pass(1);
    }
    assert_eq!(rule(stage.see(1, Some(&app), &lock, None)), Some(Rule::NewWrite));
    stage.run(3, "/app", None);
    assert_eq!(stage.see(3, Some(&app), &lock, None), None);
    stage.now_ms += 2000;
    stage.see(3, None, &dies(), None);
    stage.now_ms += 60_000;
    assert_eq!(stage.see(3, Some(&app), &lock, None), None, "it was starting");
    assert!(stage.baseline.instances.keys().all(|it| *it != 3));
}

#[test]
fn what_was_foreign_in_a_container_that_has_ended_is_foreign_still() {
    let mut stage = Stage::new();
    stage.start(1);
    let dropped = process("/tmp/x", Some("/app"), Origin::Init);
    stage.see(1, Some(&dropped), &exec(code::UPPER), None);
    stage.see(1, None, &dies(), None);
    stage.now_ms += 60_000;
    stage.see(1, Some(&dropped), &connect(4444), Some("evil.test"));
    let profiles = stage.baseline.profiles().iter();
    let peers = profiles.map(|it| it.learned[Dimension::Peer as usize].entries().len());
    assert_eq!(peers.sum::<usize>(), 0);
}

#[test]
fn an_end_that_is_told_late_ends_no_container_that_began_after_it() {
    let mut stage = Stage::new();
    stage.start(1);
    let ended_ms = stage.now_ms;
    stage.now_ms += 5000;
    let again = 77;
    let entry = exec(code::IMAGE);
    let mut record = Record::decode(&entry).expect("decodes");
    record.header.cgroup_id = again;
    stage.baseline.observe(&Observation {
        ts_ns: stage.now_ms * 1_000_000,
        record,
        node: &Arc::new(Node::default()),
        container: Some(&container(1)),
        process: Some(&process("/app", None, Origin::Init)),
        peer_name: None,
        former_name: None,
    });
    for _ in 0..2 {
        stage.now_ms = ended_ms;
        stage.see(1, None, &dies(), None);
        assert!(stage.baseline.instances.keys().eq([&again]));
    }
}

#[test]
fn containers_that_live_shorter_than_a_unit_make_units_together() {
    let mut stage = Stage::new();
    for number in 1..=12 {
        stage.run(number, "/app", None);
        // Ten minutes after the longest start.
        stage.now_ms += 300_000;
        stage.run(number, "/bin/convert", Some("/app"));
        stage.now_ms += 600_000;
        stage.see(number, None, &dies(), None);
    }
    let image = &stage.baseline.profiles()[0];
    assert_eq!(image.exposure[Context::Steady as usize].units, 2);
}

#[test]
fn what_was_denied_stays_so_whatever_it_resembles() {
    let mut stage = Stage::new();
    let app = process("/app", None, Origin::Init);
    stage.start(1);
    stage.start(2);
    stage.see(2, Some(&app), &write("/data/job-17.dat", 0o100_644), None);
    stage.see(2, Some(&app), &connect(443), Some("a.evil.test"));
    let (answer, _answered) = crossbeam_channel::bounded(1);
    for whom in ["shop/app", "/app"] {
        let act = Act::Deny { container: Some(container(2).id.clone()), since_s: None };
        let order = Order { whom: whom.to_owned(), act, answer: answer.clone() };
        stage.baseline.carry_out(&order, 1);
    }
    stage.see(1, Some(&app), &write("/data/job-18.dat", 0o100_644), None);
    for name in ["b.evil.test", "c.evil.test", "d.evil.test"] {
        stage.see(1, Some(&app), &connect(443), Some(name));
    }
    let told = stage.see(2, Some(&app), &write("/data/job-17.dat", 0o100_644), None);
    assert_eq!(rule(told), Some(Rule::NewWrite));
    let told = stage.see(2, Some(&app), &connect(443), Some("a.evil.test"));
    assert_eq!(rule(told), Some(Rule::NewPeer));
    assert_eq!(rule(stage.see(1, Some(&app), &connect(443), Some("e.evil.test"))), None);
}

#[test]
fn the_first_unit_begins_when_the_start_ends_however_long_that_might_have_taken() {
    let settings = Settings { time_scale: 480, ..Settings::default() };
    let mut stage = Stage { baseline: Baseline::new(settings), ..Stage::new() };
    let app = process("/app", None, Origin::Init);
    let listen = Listen { port: 80, protocol: 6, ..Listen::default() };
    stage.run(1, "/app", None);
    for second in 0..70 {
        stage.now_ms += 1000;
        stage.baseline.tick(stage.now_ms, |_| true);
        if second == 3 {
            stage.see(1, Some(&app), &encode(Header::default(), listen, &[]), None);
        }
        stage.run(1, "/bin/convert", Some("/app"));
    }
    // It starts for ten seconds, and a unit is seven and a half.
    let exposure = stage.baseline.profiles()[0].exposure;
    assert_eq!(exposure[Context::Start as usize].units, 1);
    assert_eq!(exposure[Context::Steady as usize].units, 8);
}
