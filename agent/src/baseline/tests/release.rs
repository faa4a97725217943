//! A new version of an image: what it inherits, what is told of it, and what is told all the same.

use std::collections::HashSet;

use plimsoll_ebpf::events::privilege::{Privilege, op};

use super::*;
use crate::baseline::{
    heritage::Look,
    profile::Profile,
    report::Report,
    survey::{Executables, Found},
};

/// A container of the second version of the image.
const NEXT: u64 = VERSION + 1;

/// A version that has these executables, and of those that were looked for all but these.
fn executables(paths: &[&str]) -> Executables {
    let mut all = Executables::new();
    for path in paths {
        all.insert(path.as_bytes());
    }
    all
}

impl Stage {
    /// The image of the latest wish was looked into.
    fn look(&mut self, paths: &[&str], gone: &[&str]) {
        let wish = self.baseline.take_wishes().pop().expect("it was asked for");
        let gone: HashSet<String> = gone.iter().map(|it| (*it).to_owned()).collect();
        let executables = Some(executables(paths));
        self.baseline.look_into(Found { subject: wish.subject, executables, gone, schedule: None });
    }

    /// A version that is known, and a container of the next one that has started.
    fn released() -> Self {
        let mut stage = Self::learned();
        stage.look(&["/app", "/bin/convert", "/bin/old"], &[]);
        stage.start(NEXT);
        stage
    }

    fn image(&self, version: u64) -> &Profile {
        let digest = container(version * VERSION).image_digest.clone();
        let is_it = |it: &&Profile| {
            it.subject.is_image() && it.subject.to_string().starts_with(&digest[7..])
        };
        self.baseline.profiles().iter().find(is_it).expect("is there")
    }

    fn reports(&mut self) -> Vec<Report> {
        self.baseline.take_reports()
    }

    fn write(&mut self, number: u64, path: &str, origin: Origin) -> Option<Rule> {
        let app = process("/app", None, origin);
        rule(self.see(number, Some(&app), &write(path, 0o100_644), None))
    }
}

#[test]
fn a_shell_that_the_version_before_did_not_run_is_told_at_once() {
    let mut stage = Stage::released();
    stage.look(&["/app", "/bin/convert", "/bin/old", "/bin/sh", "/bin/bash"], &[]);
    stage.work(NEXT);
    // The stand-in for the earlier image has neither: both are brought.
    assert_eq!(stage.run(NEXT, "/bin/bash", Some("/app")), None);
    let mut stage = Stage::learned();
    stage.look(&["/app", "/bin/convert", "/bin/old", "/bin/sh"], &[]);
    stage.start(NEXT);
    stage.look(&["/app", "/bin/convert", "/bin/old", "/bin/sh"], &[]);
    stage.work(NEXT);
    assert_eq!(stage.run(NEXT, "/bin/old", Some("/app")), None);
    assert_eq!(rule(stage.run(NEXT, "/bin/sh", Some("/app"))), Some(Rule::NewShell));
    assert_eq!(rule(stage.run(NEXT, "/bin/sh", Some("/app"))), Some(Rule::NewShell), "not learned");
}

#[test]
fn code_in_memory_of_a_program_that_the_version_before_had_is_told_at_once() {
    let mut stage = Stage::released();
    stage.look(&["/app", "/bin/convert", "/bin/old", "/bin/resize"], &[]);
    stage.work(NEXT);
    let mut uses = |exe, op| {
        let used = encode(Header::default(), Privilege { op, ..Privilege::default() }, &[]);
        rule(stage.see(NEXT, Some(&process(exe, None, Origin::Init)), &used, None))
    };
    assert_eq!(uses("/app", op::EXECUTABLE_MEMORY), Some(Rule::NewPrivilege));
    assert_eq!(uses("/app", op::EXECUTABLE_MEMORY), Some(Rule::NewPrivilege), "not learned");
    assert_eq!(uses("/app", op::IO_URING_SETUP), None, "it is an addition");
    assert_eq!(uses("/bin/resize", op::EXECUTABLE_MEMORY), None, "the release brings it");
}

#[test]
fn a_release_inherits_and_one_report_tells_what_it_adds() {
    let mut stage = Stage::released();
    stage.look(&["/app", "/bin/convert", "/bin/old", "/bin/resize"], &[]);
    stage.work(NEXT);
    assert_eq!(stage.run(NEXT, "/bin/resize", Some("/app")), None);
    assert_eq!(stage.run(NEXT, "/bin/old", Some("/app")), None);
    assert_eq!(stage.write(NEXT, "/data/new.html", Origin::Init), None);
    assert_eq!(stage.reports(), [], "not at once");
    stage.pass(1);
    let reports = stage.reports();
    let [report] = reports.as_slice() else { panic!("{reports:?}") };
    assert_eq!((report.rule, report.count), (Rule::ReleaseDiff, 5));
    let (others, brought) =
        report.reason.split_once("that the image brings").expect("are told apart");
    assert!(others.contains("process /bin/old (steady)"), "{report:?}");
    assert!(others.contains("/app write tmpfs /data/new.html"), "{report:?}");
    assert!(brought.contains("process /bin/resize") && brought.contains("/app > /bin/resize"));
    assert_eq!(stage.run(NEXT, "/bin/resize", Some("/app")), None, "it is learned");
    stage.pass(30);
    assert_eq!(stage.reports(), [], "told once");
}

#[test]
fn once_a_release_has_worked_for_long_enough_what_is_new_departs_from_it() {
    let mut stage = Stage::released();
    stage.look(&["/app", "/bin/convert"], &[]);
    for _ in 0..30 {
        stage.work(NEXT);
        stage.pass(1);
    }
    assert!(stage.image(1).may_bequeath());
    let departure = stage.run(NEXT, "/bin/resize", Some("/app")).expect("is new");
    let text = stage.baseline.explain(&departure);
    assert!(text.contains("those of the version before (00ffaa) among them"), "{text}");
    assert!(text.contains("of 3 containers"), "{text}");
}

#[test]
fn a_release_that_hardly_works_does_not_add_for_ever() {
    let mut stage = Stage::released();
    stage.look(&["/app", "/bin/convert"], &[]);
    stage.pass(70);
    assert_eq!(stage.run(NEXT, "/bin/resize", Some("/app")), None);
    stage.pass(3);
    assert_eq!(rule(stage.run(NEXT, "/bin/other", Some("/app"))), Some(Rule::NewProcess));
    assert_eq!(stage.reports().len(), 1, "what it has added is told");
}

#[test]
fn what_was_lost_of_a_version_is_not_inherited() {
    let mut stage = Stage::learned();
    for profile in stage.baseline.profiles_mut() {
        profile.lost = 1000;
    }
    stage.start(NEXT);
    assert_eq!((stage.image(0).lost, stage.image(1).lost), (1000, 0));
}

#[test]
fn an_operator_who_approves_a_release_ends_what_it_may_add() {
    let mut stage = Stage::released();
    stage.look(&["/app", "/bin/convert"], &[]);
    assert_eq!(stage.run(NEXT, "/bin/resize", Some("/app")), None);
    stage.approve(NEXT);
    assert_eq!(stage.reports().len(), 1, "what it has added is told");
    assert_eq!(rule(stage.run(NEXT, "/bin/other", Some("/app"))), Some(Rule::NewProcess));
}

#[test]
fn a_rollback_goes_on_with_what_was_known() {
    let mut stage = Stage::released();
    stage.run(NEXT, "/bin/resize", Some("/app"));
    stage.start(3);
    stage.work(3);
    assert_eq!(stage.run(3, "/bin/convert", Some("/app")), None);
    assert_eq!(rule(stage.run(3, "/bin/resize", Some("/app"))), Some(Rule::NewProcess));
}

#[test]
fn what_was_told_of_a_version_is_a_repeat_in_the_next_that_is_like_it() {
    let by_hand = process("/app", None, Origin::Exec);
    let packs = write("/data/old.gz", 0o100_644);
    let print = |stage: &mut Stage, number| {
        stage.see(number, Some(&by_hand), &packs, None).expect("is new").fingerprint
    };
    let mut stage = Stage::learned();
    stage.look(&["/app", "/bin/convert", "/bin/old"], &[]);
    let first = print(&mut stage, 1);
    stage.start(NEXT);
    stage.look(&["/app", "/bin/convert", "/bin/old"], &[]);
    stage.work(NEXT);
    assert_eq!(print(&mut stage, NEXT), first);
    let later = NEXT + VERSION;
    stage.approve(NEXT);
    stage.start(later);
    stage.look(&["/app", "/bin/convert", "/bin/old"], &[]);
    assert_eq!(print(&mut stage, later), first);
    let mut stage = Stage::learned();
    stage.look(&["/app", "/bin/convert", "/bin/old"], &[]);
    let first = print(&mut stage, 1);
    stage.start(NEXT);
    stage.look(&["/app", "/bin/a", "/bin/b", "/bin/c"], &["/bin/convert"]);
    stage.start(NEXT + 1);
    for _ in 0..80 {
        stage.work(NEXT);
        stage.work(NEXT + 1);
        stage.pass(1);
    }
    assert_ne!(print(&mut stage, NEXT), first, "it is another image");
}

#[test]
fn what_is_worse_than_new_is_told_at_once_all_the_same() {
    let mut stage = Stage::released();
    let sensitive = Some(Rule::NewSensitiveWrite);
    assert_eq!(stage.write(NEXT, "/data/hook.sh", Origin::Init), sensitive);
    assert_eq!(stage.write(NEXT, "/data/hook.sh", Origin::Init), sensitive, "not learned");
    assert_eq!(stage.write(NEXT, "/data/by-hand", Origin::Exec), Some(Rule::NewWrite));
    assert_eq!(rule(stage.run(NEXT, "/usr/bin/nmap", Some("/app"))), Some(Rule::NewTool));
    let dropped = process("/tmp/x", Some("/app"), Origin::Init);
    let ran = stage.see(NEXT, Some(&dropped), &exec(code::UPPER), None);
    assert_eq!(rule(ran), Some(Rule::NewProcess));
    let app = process("/app", None, Origin::Init);
    let called = stage.see(NEXT, Some(&app), &connect(443), Some("evil.test"));
    assert_eq!(rule(called), Some(Rule::NewPeer), "peers are the service's");
}

#[test]
fn what_is_of_programs_that_are_gone_is_dropped() {
    let mut stage = Stage::released();
    stage.look(&["/app", "/bin/old", "/bin/resize"], &["/bin/convert"]);
    let heritage = stage.image(1).heritage.clone().expect("inherits");
    assert_eq!((heritage.look, heritage.dropped), (Look::Alike, 2));
    stage.run(NEXT, "/bin/convert", Some("/app"));
    assert_eq!(stage.image(1).heritage.as_ref().map(|it| it.release.count()), Some(2));
}

#[test]
fn an_image_that_has_little_in_common_inherits_nothing() {
    let mut stage = Stage::released();
    stage.look(&["/app", "/bin/a", "/bin/b", "/bin/c"], &["/bin/convert"]);
    let image = stage.image(1);
    assert_eq!(image.heritage.as_ref().map(|it| it.look), Some(Look::Different));
    assert!(!image.is_monitored(Dimension::Process, Context::Steady));
    assert_eq!(image.programs(), ["/app"], "its own start is known");
    assert_eq!(stage.run(NEXT, "/bin/a", Some("/app")), None);
    assert_eq!(stage.image(1).learned[Dimension::Process as usize].entries().len(), 2);
    stage.pass(30);
    assert_eq!(stage.reports(), []);
}

#[test]
fn what_one_container_did_is_left_behind_and_what_was_denied_stays_so() {
    let mut stage = Stage::new();
    stage.start(1);
    stage.start(2);
    stage.run(2, "/usr/bin/perl", Some("/app"));
    for _ in 0..80 {
        stage.work(1);
        stage.work(2);
        stage.pass(1);
    }
    let deny = |stage: &mut Stage, number| {
        let (answer, answered) = crossbeam_channel::bounded(1);
        let act = Act::Deny { container: Some(container(number).id.clone()), since_s: None };
        stage.baseline.carry_out(&Order { whom: "shop/app".to_owned(), act, answer }, 1);
        answered.recv().map(|it| it.len())
    };
    stage.start(NEXT);
    assert!(!stage.image(1).programs().contains(&"/usr/bin/perl".to_owned()));
    assert!(deny(&mut stage, 2).is_ok());
    stage.start(2 * NEXT);
    assert_eq!(rule(stage.run(2 * NEXT, "/usr/bin/perl", Some("/app"))), Some(Rule::NewProcess));
}

#[test]
fn what_was_inherited_and_never_used_is_told_apart_also_after_it_was_kept() {
    let mut stage = Stage::released();
    stage.look(&["/app", "/bin/convert"], &[]);
    let unused = |image: &Profile| {
        let entries = image.learned[Dimension::Process as usize].entries().iter();
        entries.filter(|(_, entry)| image.is_unused(entry)).count()
    };
    assert_eq!(unused(stage.image(1)), 1);
    let saved = Saved::of(stage.image(1), &Settings::default(), 1);
    let text = serde_json::to_vec(&saved).expect("writes");
    let read: Saved = serde_json::from_slice(&text).expect("reads");
    assert_eq!(unused(&read.into_profile()), 1);
    stage.work(NEXT);
    assert_eq!(unused(stage.image(1)), 0);
}

#[test]
fn an_image_of_another_name_or_use_inherits_nothing() {
    let mut stage = Stage::learned();
    let other =
        Arc::new(Container { image: "shop/other:1".to_owned(), ..(*container(NEXT)).clone() });
    let app = process("/app", None, Origin::Init);
    let entry = exec(code::IMAGE);
    let mut record = Record::decode(&entry).expect("decodes");
    record.header.cgroup_id = 77;
    stage.baseline.observe(&Observation {
        ts_ns: stage.now_ms * 1_000_000,
        record,
        node: &Arc::new(Node::default()),
        container: Some(&other),
        process: Some(&app),
        peer_name: None,
        former_name: None,
    });
    assert_eq!(stage.image(1).heritage, None);
}
