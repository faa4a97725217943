//! Many files, repeated writes, and names that are meant to be trouble.

use plimsoll_tests::{
    agent::{Agent, Setup},
    docker::{BUSYBOX, Container, Docker},
    event::{self, number, text},
    poll,
};
use serde_json::{Value, json};

const ACTS: &str = "/usr/bin/acts";

fn start(options: &[&str]) -> Container {
    Docker::host().start(BUSYBOX, options, &[])
}

#[test]
fn every_new_file_of_many_is_told() {
    const FILES: usize = 2000;
    let agent = Agent::shared();
    let container = start(&[]);
    container.exec(&[ACTS, "spin-open", "/opt", &FILES.to_string()]);
    // The loop counts down.
    agent.expect(&container, "file_write", &json!({"file.path": "/opt/f1"}));
    let created = json!({"file.op": "create", "proc.exe": ACTS});
    let created = agent.all(&container, "file_write", &created);
    let gaps = agent.all(&container, "gap", &json!({}));
    assert_eq!(created.len(), FILES, "gaps: {gaps:#?}");
}

#[test]
fn a_flood_costs_only_who_floods_and_every_loss_is_told() {
    const FILES: i64 = 60_000;
    const FLOODS: i64 = 4;
    let agent = Setup::default().config("[probe]\nbulk_ring_bytes = \"1MiB\"\n").start();
    let floods = (0..FLOODS).map(|i| format!("mkdir /s/{i}; {ACTS} spin-open /s/{i} {FILES} &"));
    let script = format!("{}wait", floods.collect::<String>());
    let flooder = Docker::host().start(BUSYBOX, &["--tmpfs=/s"], &["/bin/sh", "-c", &script]);
    let other = start(&[]);
    other.exec(&[ACTS, "forkexec", "/usr/bin/hello", "100", "beside"]);
    other.exec(&[ACTS, "spin-open", "/opt", "100"]);
    assert_eq!(flooder.wait(), 0, "{}", flooder.logs());

    agent.expect(&other, "file_write", &json!({"file.path": "/opt/f1"}));
    let execs = json!({"proc.args": ["/usr/bin/hello", "beside"]});
    assert_eq!(agent.all(&other, "exec", &execs).len(), 100);
    assert_eq!(agent.all(&other, "file_write", &json!({"proc.exe": ACTS})).len(), 100);
    assert_eq!(agent.all(&other, "gap", &json!({})), Vec::<Value>::new());
    assert_eq!(agent.all(&flooder, "exec", &json!({"proc.exe": ACTS})).len(), FLOODS as usize);
    let told = || agent.all(&flooder, "file_write", &json!({"file.op": "create"})).len() as i64;
    let lost = || -> i64 {
        let gaps = agent.all(&flooder, "gap", &json!({"gap.of": "file_write"}));
        gaps.iter().map(|gap| number(gap, "gap.lost")).sum()
    };
    let whole = poll::until(poll::PATIENCE, || (told() + lost() == FILES * FLOODS).then_some(()));
    assert!(whole.is_some(), "{} told and {} lost of {}", told(), lost(), FILES * FLOODS);
}

#[test]
fn who_follows_and_does_not_read_holds_nobody_up() {
    let agent = Setup::default().start();
    let mut follower = agent.follow(&[]);
    let container = start(&["--tmpfs=/s"]);
    container.exec(&[ACTS, "spin-open", "/s", "30000"]);
    container.exec(&["/usr/bin/hello", "after"]);
    agent.expect(&container, "exec", &json!({"proc.args": ["/usr/bin/hello", "after"]}));
    assert_eq!(agent.health().0, 200);
    follower.kill().expect("it is a child");
    follower.wait().expect("it is a child");
    agent.stop();
}

#[test]
fn repeated_writes_are_counted_and_not_told_one_by_one() {
    let agent = Setup::default().config("[probe]\nwindow = \"1s\"\n").start();
    let container = start(&[]);
    container.exec(&[ACTS, "open-write", "/opt/often", "1"]);
    container.exec(&[ACTS, "open-write", "/opt/often", "500"]);
    let told = || agent.all(&container, "file_write", &json!({"file.path": "/opt/often"}));
    let counted = || told().iter().map(|event| number(event, "count")).sum::<i64>();
    poll::until(poll::PATIENCE, || (counted() >= 501).then_some(()));
    assert_eq!(counted(), 501, "{:#?}", told());
    assert!(told().len() <= 4, "{:#?}", told());
}

#[test]
fn with_a_window_of_nothing_every_write_is_told() {
    let agent = Setup::default().config("[probe]\nwindow = \"0s\"\n").start();
    let container = start(&[]);
    container.exec(&[ACTS, "open-write", "/opt/often", "50"]);
    let wanted = json!({"file.path": "/opt/often", "count": 1});
    let told = || agent.all(&container, "file_write", &wanted).len();
    poll::until(poll::PATIENCE, || (told() >= 50).then_some(()));
    assert_eq!(told(), 50);
}

#[test]
fn a_name_that_is_no_text_is_told_and_does_no_harm() {
    let agent = Agent::shared();
    let container = start(&[]);
    container.shell(r#"echo > "$(printf '/opt/a\nb\033[31m\377"\\')""#);
    // One line of JSON, or the query could not read it; nothing a terminal obeys.
    let wanted = json!({"file.path": r#"/opt/a\x0ab\x1b[31m\xff"\\"#, "file.op": "create"});
    agent.expect(&container, "file_write", &wanted);
    let argument = "two\nlines \u{1b}[2J and \"quotes\" \u{202e}";
    container.exec(&["/usr/bin/hello", argument, ""]);
    let shown = r#"two\x0alines \x1b[2J and "quotes" \xe2\x80\xae"#;
    agent.expect(&container, "exec", &json!({"proc.args": ["/usr/bin/hello", shown, ""]}));
}

#[test]
fn a_path_that_is_too_deep_is_marked() {
    const DEPTH: usize = 120;
    let agent = Agent::shared();
    let container = start(&[]);
    let directory = "/d".repeat(DEPTH);
    container.shell(&format!("mkdir -p /opt{directory}; cd /opt{directory}; echo > deep"));
    let event = agent.wait_for(
        &["--container", &container.name, "--kind", "file_write"],
        "write to a file far down",
        |event| text(event, "file.path").ends_with("/deep"),
    );
    let is_whole = text(&event, "file.path") == format!("/opt{directory}/deep");
    let is_marked = event::get(&event, "file.truncated") == true;
    assert!(is_whole != is_marked, "neither whole nor marked: {event}");
}
