//! `plimsoll top` against a real agent: one frame, and a terminal with keys.

use std::{
    io::{Read, Write},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
};

use plimsoll_tests::{
    agent::{Agent, plain},
    docker::{BUSYBOX, Container, Docker},
    poll, require,
};
use serde_json::Value;

/// Again and again a program, a write and a peer.
const WORK: &str =
    "while :; do /usr/bin/hello > /tmp/out; /usr/bin/acts udp 192.0.2.9 7201; sleep 0.1; done";

fn worker() -> Container {
    Docker::host().start(BUSYBOX, &[], &["/bin/sh", "-c", WORK])
}

/// The row of a container in one frame.
fn row(agent: &Agent, container: &Container) -> Option<Value> {
    let rows = agent.told(&["top", "--delay", "0.5", "--filter", &container.name]);
    rows.into_iter().find(|it| it["name"] == container.name.as_str())
}

#[test]
fn a_frame_tells_what_a_container_does() {
    let agent = Agent::shared();
    let container = worker();
    let busy = poll::until(poll::PATIENCE, || {
        let row = row(agent, &container)?;
        let is_busy = |of: &str| row[of].as_f64().is_some_and(|rate| rate > 0.0);
        ["exec_per_s", "write_per_s"].iter().all(|it| is_busy(it)).then_some(row)
    });
    let row = busy.unwrap_or_else(|| panic!("{:?}\n{}", row(agent, &container), agent.log()));
    assert_eq!(row["image"], BUSYBOX, "{row}");
    assert_eq!(row["modes"]["exec"], "monitor", "{row}");
    let output = agent.command(&["top", "--batch", "--delay", "0.5"]);
    let frame = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    assert!(frame.starts_with("plimsoll top "), "{frame}");
    assert!(frame.contains(&container.name[..12]), "{frame}");
    assert!(frame.lines().all(|line| line.chars().count() <= 80), "{frame}");
}

/// Ends with this, and what it started with it.
struct Script(Child);

impl Drop for Script {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_terminal_is_drawn_on_filtered_and_given_back() {
    let agent = Agent::shared();
    let container = worker();
    let (binary, socket) = (require::binary(), &agent.socket);
    // `script` has a terminal for what it starts, and none itself.
    let top = format!(
        "stty rows 24 cols 80; {} top --delay 0.2 --socket {}",
        binary.display(),
        socket.display()
    );
    let script = Command::new(require::program("script"))
        .args(["--quiet", "--return", "--flush", "--command", &top, "/dev/null"])
        .env("TERM", "xterm")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let mut script = Script(script.expect("script is there"));
    let shown = Arc::new(Mutex::new(Vec::new()));
    let (mut output, kept) = (script.0.stdout.take().expect("is a pipe"), shown.clone());
    let reader = thread::spawn(move || {
        let mut bytes = [0; 4096];
        while let Ok(count @ 1..) = output.read(&mut bytes) {
            kept.lock().expect("nobody panics with it").extend_from_slice(&bytes[..count]);
        }
    });
    let has = |text: &str| {
        let shown = shown.lock().expect("nobody panics with it");
        String::from_utf8_lossy(&shown).contains(text)
    };
    poll::holds("it is drawn", || has("CONTAINER") && has("LATEST ALERTS"));
    let mut keys = script.0.stdin.take().expect("is a pipe");
    write!(keys, "/{}\r", &container.name).expect("it reads keys");
    // What is blank is not drawn again, so words alone are looked for.
    poll::holds("it is filtered", || has("only"));
    write!(keys, "q").expect("it reads keys");
    let status = script.0.wait().expect("it is a child");
    reader.join().expect("reading a pipe does not panic");
    assert!(status.success(), "{status}");
    assert!(has("\x1b[?1049h") && has("\x1b[?1049l"), "the terminal is given back as it was");
}

#[test]
fn without_an_agent_one_line_says_so() {
    let home = tempfile::tempdir().expect("a directory");
    let socket = home.path().join("none");
    let mut command = plain(&require::binary());
    let output = command.args(["top", "--batch", "--socket"]).arg(&socket).output();
    let output = output.expect("the binary runs");
    assert_eq!(output.status.code(), Some(4), "{output:?}");
    let told = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = told.lines().filter(|it| !it.starts_with("hint: ")).collect();
    assert_eq!(lines.len(), 1, "{told}");
    assert!(lines[0].contains("none"), "{told}");
    assert!(output.stdout.is_empty(), "{output:?}");
}
