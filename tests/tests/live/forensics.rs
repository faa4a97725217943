//! What is asked after an intrusion: how much of what, who made whom, what happened to a container,
//! and all of it in a file.

use std::{
    collections::BTreeMap,
    fs::File,
    path::Path,
    process::{Command, Output},
};

use parquet::{
    file::reader::{FileReader, SerializedFileReader},
    record::{Field, Row},
};
use plimsoll_tests::{
    agent::{Agent, Setup, plain},
    docker::{BUSYBOX, Container, Docker},
    event::{self, number, text},
    guard::{expect_alert, monitoring, settle},
    poll, require,
};
use serde_json::{Value, json};

const HELLO: &str = "/usr/bin/hello";
const SERVICE: &str = "com.docker.compose.service";

fn said(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Waits until what a container did until now is recorded.
#[track_caller]
fn recorded(agent: &Agent, container: &Container) {
    settle(agent, container);
}

#[test]
fn counts_add_up_to_what_is_recorded() {
    let agent = Agent::shared();
    let container = Docker::host().start(BUSYBOX, &[], &[]);
    for _ in 0..3 {
        container.exec(&[HELLO]);
    }
    recorded(agent, &container);
    let whose = ["--container", &container.name];
    let events = agent.events(&whose);
    let mut expected: BTreeMap<(String, String), i64> = BTreeMap::new();
    for it in &events {
        let key = (text(it, "kind").to_owned(), text(it, "proc.exe").to_owned());
        *expected.entry(key).or_default() += number(it, "count");
    }
    let groups = agent.told(&[&["events", "--count-by", "kind,proc.exe"], &whose[..]].concat());
    let counted: BTreeMap<(String, String), i64> = groups
        .iter()
        .map(|group| {
            let by = |name| group["by"][name].as_str().unwrap_or_default().to_owned();
            ((by("kind"), by("proc.exe")), number(group, "count"))
        })
        .collect();
    assert_eq!(counted, expected);
    let order: Vec<i64> = groups.iter().map(|group| number(group, "count")).collect();
    assert!(order.is_sorted_by(|a, b| a >= b), "{groups:#?}");
    let hello = counted[&("exec".to_owned(), HELLO.to_owned())];
    assert_eq!(hello, 3, "{groups:#?}");

    let most = ["events", "--count-by", "proc.exe", "--kind", "exec", "-n", "1", "-o", "csv"];
    let csv = said(&agent.command(&[&most[..], &whose].concat()));
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(lines[0], "count,observations,proc.exe");
    assert_eq!(lines.len(), 3, "one group and the rest: {csv}");
    assert!(lines[2].contains("other"), "{csv}");

    let intervals = agent.told(&[&["events", "--histogram", "1s"], &whose[..]].concat());
    let total: i64 = intervals.iter().map(|it| number(it, "count")).sum();
    assert_eq!(total, events.iter().map(|it| number(it, "count")).sum::<i64>());
    let chart = said(&agent.command(&[&["events", "--histogram"], &whose[..]].concat()));
    assert!(chart.contains('█'), "{chart}");
}

#[test]
fn values_with_commas_stay_in_their_column() {
    let agent = Agent::shared();
    let container = Docker::host().start(BUSYBOX, &[], &[]);
    container.exec(&[HELLO, "a,\"b\""]);
    recorded(agent, &container);
    let asked = ["events", "--kind", "exec", "-o", "csv", "--fields", "proc.args,kind"];
    let filter = ["--container", &container.name, "--where", "proc.exe = '/usr/bin/hello'"];
    let csv = said(&agent.command(&[&asked[..], &filter].concat()));
    assert_eq!(csv, "proc.args,kind\n\"/usr/bin/hello a,\"\"b\"\"\",exec\n");
}

#[test]
fn a_process_is_shown_with_who_made_it_and_whom_it_made() {
    let agent = monitoring();
    let container = Docker::host().start(BUSYBOX, &[], &[]);
    // The shell in the middle is asked for; the last word keeps it from becoming its child.
    container.shell("/bin/sh -c '/usr/bin/hello inner; echo x > /tmp/made; true'; true");
    container.exec(&[HELLO, "stranger"]);
    recorded(agent, &container);
    let inner = json!({"proc.args": [HELLO, "inner"]});
    let inner = agent.expect(&container, "exec", &inner);
    let middle = number(&inner, "proc.parent.pid").to_string();
    let processes = agent.told(&["tree", &middle, "--container", &container.name]);
    let role =
        |role: &str| -> Vec<&Value> { processes.iter().filter(|it| it["role"] == role).collect() };
    let asked = role("asked");
    assert_eq!(asked.len(), 1, "{processes:#?}");
    assert_eq!(asked[0]["pid"].to_string(), middle);
    let wrote = asked[0]["acts"].as_array().expect("a list");
    let is_write = |it: &Value| text(it, "what").contains("/tmp/made");
    assert!(wrote.iter().any(is_write), "{processes:#?}");
    assert_eq!(role("ancestor").len(), 1, "the session's shell: {processes:#?}");
    let made = role("descendant");
    assert_eq!(made.len(), 1, "{processes:#?}");
    assert_eq!(made[0]["pid"], inner["proc"]["pid"]);
    assert_eq!(made[0]["parent"]["pid"], asked[0]["pid"]);
    assert_eq!(made[0]["end"], "exit code 0");

    let drawn = said(&agent.command(&["tree", &middle, "--container", &container.name]));
    assert!(drawn.contains("entered by docker exec") && drawn.contains("▶ /bin/sh"), "{drawn}");
    assert!(drawn.contains("hello inner") && !drawn.contains("stranger"), "{drawn}");
    let whole = said(&agent.command(&["tree", "--container", &container.name]));
    assert!(whole.contains("hello inner") && whole.contains("hello stranger"), "{whole}");
    let nobody = agent.command(&["tree", "4194303", "--container", &container.name]);
    assert_eq!(nobody.status.code(), Some(2), "{nobody:?}");
}

#[test]
fn an_incident_is_shown_as_the_processes_of_its_alerts() {
    let agent = monitoring();
    let container = Docker::host().start(BUSYBOX, &[], &[]);
    container.shell("cp /usr/bin/hello /opt/a; /opt/a; true");
    let alert = expect_alert(agent, &container, "new_executable", "/opt/a");
    let processes = agent.told(&["tree", &text(&alert, "alert.incident")[..10]]);
    let pid = &alert["proc"]["pid"];
    let found = processes.iter().find(|it| it["pid"] == *pid && it["role"] == "asked");
    let found = found.unwrap_or_else(|| panic!("no {pid} among {processes:#?}"));
    let is_alert = |it: &Value| it["kind"] == "alert";
    assert!(found["acts"].as_array().is_some_and(|acts| acts.iter().any(is_alert)), "{found:#}");
    assert!(processes.iter().any(|it| it["role"] == "ancestor"), "{processes:#?}");
}

#[test]
fn the_story_of_a_container_is_told_when_it_is_gone() {
    let agent = monitoring();
    let label = format!("--label={SERVICE}=told-{}", std::process::id());
    let container = Docker::host().start(BUSYBOX, &[&label], &[]);
    let (name, id) = (container.name.clone(), container.id.clone());
    for _ in 0..3 {
        container.exec(&[HELLO, "thrice"]);
    }
    container.shell("echo x > /root/made; true");
    recorded(agent, &container);
    drop(container);
    agent.wait_for(&["--container", &name, "--kind", "container"], "its end", |event| {
        text(event, "container.op") == "die"
    });
    let lines = agent.told(&["timeline", &name]);
    let place = |kind: &str, what: &str| {
        let is_meant = |told: &str| {
            if kind == "container" { told.starts_with(what) } else { told.contains(what) }
        };
        let found = lines.iter().position(|it| it["kind"] == kind && is_meant(text(it, "what")));
        found.unwrap_or_else(|| panic!("no {kind} {what} in {lines:#?}"))
    };
    let places = [
        place("container", "create"),
        place("container", "start"),
        place("exec", "hello thrice"),
        place("file_write", "/root/made"),
        place("container", "die "),
    ];
    assert!(places.is_sorted(), "{places:?} in {lines:#?}");
    assert!(lines.iter().any(|it| it["kind"] == "alert"), "{lines:#?}");
    assert_eq!(lines[places[2]]["count"], 3, "repeats are one line: {lines:#?}");
    let times: Vec<&str> = lines.iter().map(|it| text(it, "ts")).collect();
    assert!(times.is_sorted(), "{times:#?}");

    assert_eq!(agent.told(&["timeline", &id[..8]]), lines, "by the start of its id");
    let service = format!("told-{}", std::process::id());
    let of_service = agent.told(&["timeline", &service]);
    assert!(of_service.len() >= lines.len(), "{of_service:#?}");
    let shown = said(&agent.command(&["timeline", &name]));
    assert!(shown.contains("hello thrice  x3 until "), "{shown}");
    let nobody = agent.command(&["timeline", "nobody-of-this-name"]);
    assert_eq!(nobody.status.code(), Some(2), "{nobody:?}");
}

/// The value at a dotted name.
fn at<'r>(row: &'r Row, name: &str) -> &'r Field {
    let (first, rest) = name.split_once('.').unwrap_or((name, ""));
    let found = row.get_column_iter().find(|(column, _)| *column == first);
    let (_, field) = found.unwrap_or_else(|| panic!("no column {first}"));
    if let Field::Group(inner) = field
        && !rest.is_empty()
    {
        return at(inner, rest);
    }
    field
}

#[test]
fn an_export_holds_what_is_recorded() {
    let agent = Agent::shared();
    let container = Docker::host().start(BUSYBOX, &[], &[]);
    container.exec(&[HELLO, "exported"]);
    container.exec(&["/usr/bin/acts", "udp", "192.0.2.9", "7300"]);
    recorded(agent, &container);
    let home = tempfile::tempdir().expect("a directory");
    let file = home.path().join("acts.parquet");
    let to = file.to_str().expect("temporary paths are text");
    let command = ["export", to, "--container", &container.name, "--until", "0s"];
    said(&agent.command(&command));
    let again = agent.command(&command);
    assert_eq!(again.status.code(), Some(2), "a file that is there is kept: {again:?}");
    let lines = home.path().join("acts.jsonl");
    let lines_to = lines.to_str().expect("temporary paths are text");
    said(&agent.command(&["export", lines_to, "--container", &container.name]));
    let lines = event::parse(&std::fs::read_to_string(&lines).expect("is written"));

    let reader = SerializedFileReader::new(File::open(&file).expect("is written"));
    let reader = reader.expect("is parquet");
    let rows: Vec<Row> =
        reader.get_row_iter(None).expect("has rows").map(|row| row.expect("is sound")).collect();
    assert!(rows.len() > 3 && rows.len() <= lines.len(), "{} of {}", rows.len(), lines.len());
    for (row, line) in rows.iter().zip(&lines) {
        assert_eq!(*at(row, "kind"), Field::Str(text(line, "kind").to_owned()), "{line}");
        assert_eq!(*at(row, "ctr.name"), Field::Str(container.name.clone()));
        let exe = line["proc"]["exe"].as_str().map(str::to_owned);
        assert_eq!(*at(row, "proc.exe"), exe.map_or(Field::Null, Field::Str), "{line}");
    }
    let is_peer = |row: &&Row| *at(row, "net.rport") == Field::UShort(7300);
    let peer = rows.iter().find(is_peer).expect("the peer is exported");
    assert_eq!(*at(peer, "net.raddr"), Field::Str("192.0.2.9".to_owned()));
    let told = reader.metadata().file_metadata().key_value_metadata().expect("is there");
    let told: BTreeMap<&str, &str> =
        told.iter().map(|it| (it.key.as_str(), it.value.as_deref().unwrap_or_default())).collect();
    assert_eq!(told["plimsoll.schema"], text(&lines[0], "schema"));
    assert!(told["plimsoll.nodes"].contains(text(&lines[0], "node.name")), "{told:?}");
    assert_eq!(told["plimsoll.observations"], rows.len().to_string());
}

/// A command of the binary that sees a directory as one that nothing can write to.
fn read_only(directory: &Path, arguments: &[&str]) -> Output {
    let script = r#"mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && ! touch "$0/x" 2>&- && exec "$@""#;
    let mut command = plain(Path::new("unshare"));
    command.args(["--mount", "--propagation=private", "/bin/sh", "-c", script]).arg(directory);
    command.arg(require::binary()).args(arguments);
    command.arg("--data-dir").arg(directory).output().expect("unshare is there")
}

#[test]
fn the_copy_of_a_dead_hosts_store_is_read_where_nothing_can_be_written() {
    let home = tempfile::tempdir().expect("a directory");
    let (data, copy) = (home.path().join("data"), home.path().join("copy"));
    let agent = Setup::default().data_dir(&data).start();
    let container = Docker::host().start(BUSYBOX, &[], &[]);
    container.exec(&[HELLO, "last"]);
    let last = agent.expect(&container, "exec", &json!({"proc.args": [HELLO, "last"]}));
    // Not in good order: as a host dies.
    agent.kill();
    let copied = Command::new("cp").arg("-a").args([&data, &copy]).status();
    assert!(copied.expect("cp is there").success());
    let name = container.name.as_str();
    let pid = number(&last, "proc.pid").to_string();
    for (question, wanted) in [
        (vec!["events", "--container", name], "hello last"),
        (vec!["events", "--count-by", "proc.exe", "--container", name], HELLO),
        (vec!["timeline", name], "hello last"),
        (vec!["tree", &pid], "hello last"),
        (vec!["export", "-", "-o", "json", "--container", name], "\"last\""),
    ] {
        let answer = said(&read_only(&copy, &question));
        assert!(answer.contains(wanted), "{question:?}: {answer}");
    }
}

#[test]
fn a_question_beyond_the_limit_is_refused_and_recording_goes_on() {
    let agent = Setup::default().start();
    let container = Docker::host().start(BUSYBOX, &[], &[]);
    let mut followers = Vec::new();
    let is_refused = || {
        let refused = agent.query(&["--limit", "1"]);
        let told = String::from_utf8_lossy(&refused.stderr).into_owned();
        (refused.status.code() == Some(3) && told.contains("queries are running")).then_some(())
    };
    let found = poll::until(poll::PATIENCE, || {
        followers.push(agent.follow(&["--container", &container.name]));
        is_refused()
    });
    container.exec(&[HELLO, "meanwhile"]);
    for mut follower in followers {
        follower.kill().expect("it is a child");
        follower.wait().expect("it is a child");
    }
    assert!(found.is_some(), "any number of questions is answered at once");
    // The daemon notices that they are gone when it has something for them.
    poll::holds("there is room for a question", || is_refused().is_none());
    agent.expect(&container, "exec", &json!({"proc.args": [HELLO, "meanwhile"]}));
    agent.stop();
}
