//! What the kernel side may count without telling, and what is told once.

use plimsoll_ebpf::events::file_change::{FileChange, op};

use super::*;

#[test]
fn who_approves_what_has_only_started_has_sessions_judged() {
    let session = |stage: &mut Stage, exe| {
        let by_hand = process(exe, None, Origin::Exec);
        rule(stage.see(1, Some(&by_hand), &exec(code::IMAGE), None))
    };
    let mut stage = Stage::new();
    stage.start(1);
    assert_eq!(session(&mut stage, "/usr/bin/base64"), None, "nothing is known yet");
    stage.approve(1);
    assert_eq!(session(&mut stage, "/usr/bin/base64"), Some(Rule::NewTool));
    assert_eq!(session(&mut stage, "/app"), None, "it is known of the start");
    assert_eq!(stage.run(1, "/bin/convert", Some("/app")), None, "its work is still learned");
}

#[test]
fn an_act_is_known_where_enough_is_known_and_the_container_itself_does_it() {
    let app = process("/app", None, Origin::Init);
    let page = write("/cache/page.html", 0o100_644);
    let mut fresh = Stage::new();
    fresh.start(1);
    for _ in 0..3 {
        fresh.see(1, Some(&app), &page, None);
        assert!(!fresh.is_known, "it is learned");
        fresh.pass(1);
    }
    let mut stage = Stage::learned();
    stage.see(1, Some(&app), &page, None);
    assert!(stage.is_known);
    stage.see(1, Some(&app), &connect(5432), Some("db"));
    assert!(stage.is_known);
    stage.see(1, Some(&app), &connect(443), Some("evil.test"));
    assert!(!stage.is_known, "it departs");
    stage.see(1, Some(&process("/app", None, Origin::Exec)), &page, None);
    assert!(!stage.is_known, "it is an administrator's");
    stage.see(1, Some(&process("/app", Some("/tmp/x"), Origin::Init)), &exec(code::UPPER), None);
    stage.see(1, Some(&process("/tmp/x", None, Origin::Init)), &page, None);
    assert!(!stage.is_known, "it is no program of the image");
}

fn change(path: &str, op: u8) -> Vec<u8> {
    let mut texts = TailBuilder::default();
    let path = texts.push(path.as_bytes());
    let body = FileChange { path, op, layer: code::TMPFS, ..FileChange::default() };
    encode(Header::default(), body, texts.bytes())
}

fn moved(to: &str) -> Vec<u8> {
    let mut texts = TailBuilder::default();
    let (path, to) = (texts.push(b"/logs/new"), texts.push(to.as_bytes()));
    let body = FileChange { path, to, op: op::RENAME, layer: code::TMPFS, ..FileChange::default() };
    encode(Header::default(), body, texts.bytes())
}

#[test]
fn whatever_is_done_with_a_file_departs_once() {
    let mut stage = Stage::learned();
    let app = process("/app", None, Origin::Init);
    let mut print = |entry: &[u8]| {
        let departure = stage.see(1, Some(&app), entry, None);
        departure.expect("is new").fingerprint
    };
    let first = print(&write("/data/errors", 0o100_644));
    assert_eq!(print(&change("/data/errors", op::CHMOD)), first);
    assert_eq!(print(&change("/data/errors", op::UNLINK)), first);
    assert_ne!(print(&change("/data/others", op::UNLINK)), first);
}

#[test]
fn who_rotates_files_may_remove_the_oldest() {
    let rotate = process("/rotate", None, Origin::Init);
    let mut stage = Stage::learned_with(|stage| {
        for name in ["error.log.2.gz", "error.log.3.gz", "error.log"] {
            for number in [1, 2] {
                stage.see(number, Some(&rotate), &moved(&format!("/logs/{name}")), None);
            }
        }
    });
    assert!(stage.is_monitored(Dimension::Write));
    let mut removes = |who: &str, path| {
        let process = process(who, None, Origin::Init);
        rule(stage.see(1, Some(&process), &change(path, op::UNLINK), None))
    };
    assert_eq!(removes("/rotate", "/logs/error.log.5.gz"), None);
    assert_eq!(removes("/rotate", "/logs/error.log"), Some(Rule::NewWrite), "it is the only one");
    assert_eq!(removes("/rotate", "/logs/audit.log.5.gz"), Some(Rule::NewWrite));
    assert_eq!(removes("/app", "/logs/error.log.5.gz"), Some(Rule::NewWrite), "it moves none");
}

#[test]
fn a_peer_whose_address_passed_to_another_is_known_by_either_name() {
    let mut stage = Stage::learned();
    let app = process("/app", None, Origin::Init);
    stage.former_name = Some("db");
    assert_eq!(
        stage.see(1, Some(&app), &connect(5432), Some("web")),
        None,
        "it means the database"
    );
    stage.former_name = Some("web");
    assert_eq!(stage.see(1, Some(&app), &connect(5432), Some("db")), None, "it is the database");
    stage.former_name = Some("cache");
    let departure =
        stage.see(1, Some(&app), &connect(5432), Some("web")).expect("neither is known");
    assert_eq!(departure.key, "tcp web 5432");
}
