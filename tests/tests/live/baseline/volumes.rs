//! How much a service uses is learned, and what is far more than that is told.

use std::time::Duration;

use plimsoll_tests::{
    agent::Agent,
    cgroup,
    docker::{BUSYBOX, Container, Docker, unique},
    event::{number, text},
    poll,
};
use serde_json::{Value, json};

use super::{fast, have_done, profiles, wait_until_monitored};

const PORT: &str = "9000";

/// Takes whatever it is sent.
fn taker() -> Container {
    let script = format!("nc -ll -p {PORT} -e dd of=/dev/null");
    Docker::host().start(BUSYBOX, &[], &["/bin/sh", "-c", &script])
}

/// Sends a few bytes again and again, and does what it is handed.
fn sender(variant: &str, to: &Container) -> Container {
    sender_with(&[], variant, to)
}

fn sender_with(options: &[&str], variant: &str, to: &Container) -> Container {
    let script = format!(
        "while :; do echo hello | nc -w 2 {} {PORT}; [ -f /todo ] || echo > /todo; \
         mv /todo /doing; . /doing; rm /doing; sleep 0.2; done",
        to.addresses().0
    );
    Docker::host().start(BUSYBOX, options, &["/bin/sh", variant, "-c", &script])
}

/// A cgroup whose containers get a processor however busy the machine is; it goes with this value.
struct Favoured {
    name: String,
    is_slice: bool,
}

impl Favoured {
    fn named() -> Self {
        let is_slice = Docker::host().run(&["info", "--format", "{{.CgroupDriver}}"]) == "systemd";
        // To systemd each dash is another slice.
        let name = unique("busy").replace('-', "_") + if is_slice { ".slice" } else { "" };
        Self { name, is_slice }
    }

    fn option(&self) -> String {
        format!("--cgroup-parent={}{}", if self.is_slice { "" } else { "/" }, self.name)
    }
}

impl Drop for Favoured {
    fn drop(&mut self) {
        if !self.is_slice {
            cgroup::remove(&self.name);
        }
    }
}

/// Waits until the volumes of a use of the test image are monitored; nothing of it was told before.
#[track_caller]
fn wait_until_known(agent: &Agent, variant: &str, container: &Container) {
    wait_until_monitored(agent, variant);
    let told = agent.all(container, "volume", &json!({}));
    assert!(told.is_empty(), "{told:#?}");
}

/// The amounts that `profile list` tells.
fn amounts(agent: &Agent, variant: &str, of: &str) -> Value {
    let all = profiles(agent, variant);
    let mut amounts = all.iter().filter_map(|it| it["volumes"].as_array()).flatten();
    amounts.find(|it| it["of"] == of).cloned().unwrap_or_default()
}

#[test]
fn a_service_that_sends_little_and_then_much_is_told_with_its_peer() {
    const VARIANT: &str = "-fu";
    let agent = fast().start();
    let (usual, other) = (taker(), taker());
    let container = sender(VARIANT, &usual);
    let _second = sender(VARIANT, &usual);
    wait_until_known(&agent, VARIANT, &container);
    let sent = amounts(&agent, VARIANT, "out");
    assert!(number(&sent, "most") > 0 && number(&sent, "most") < 1_000_000, "{sent}");
    let to = other.addresses().0;
    have_done(&container, &format!("dd if=/dev/zero bs=1M count=200 | nc {to} {PORT}"));
    let wanted = json!({"rule": "volume_out", "alert.peer": format!("{to}:{PORT}/tcp")});
    let alert = agent.expect(&container, "alert", &wanted);
    assert_eq!(text(&alert, "severity"), "high");
    assert_eq!(text(&alert, "attack.technique"), "T1048");
    assert_eq!(text(&alert, "proc.origin"), "init", "{alert}");
    let reason = text(&alert, "reason");
    for part in ["It was ", " MB ", "Known from ", "such a day were to be expected."] {
        assert!(reason.contains(part), "{reason}");
    }
    assert!(text(&alert, "alert.allow").contains("--rule volume_out --peer"), "{alert}");
    let event = agent.expect(&container, "volume", &json!({"volume.of": "out"}));
    assert!(number(&event, "volume.value") > 1_000_000, "{event}");
    assert!(number(&event, "volume.high") < 1_000_000, "{event}");
    // What was told is not learned.
    let after = amounts(&agent, VARIANT, "out");
    assert!(number(&after, "most") < 10_000_000, "{after}");
    agent.stop();
}

#[test]
fn little_by_little_to_a_new_peer_is_told_too() {
    const VARIANT: &str = "-fv";
    let agent = fast().start();
    let (usual, other) = (taker(), taker());
    let container = sender(VARIANT, &usual);
    let _second = sender(VARIANT, &usual);
    wait_until_known(&agent, VARIANT, &container);
    let to = other.addresses().0;
    let wanted = json!({"rule": "volume_out", "alert.peer": format!("{to}:{PORT}/tcp")});
    for _ in 0..4 {
        have_done(&container, &format!("dd if=/dev/zero bs=1k count=300 | nc {to} {PORT}"));
    }
    let alert = agent.expect(&container, "alert", &wanted);
    assert!(text(&alert, "reason").contains("to a peer that was not learned"), "{alert}");
    agent.stop();
}

#[test]
fn a_loop_without_an_end_is_told_with_its_program() {
    const VARIANT: &str = "-xu";
    let agent = fast().start();
    let usual = taker();
    let favoured = Favoured::named();
    let container = sender_with(&[&favoured.option(), "--cpus=1"], VARIANT, &usual);
    cgroup::favour(&favoured.name);
    let _second = sender(VARIANT, &usual);
    wait_until_known(&agent, VARIANT, &container);
    have_done(&container, "for it in 1 2; do while :; do :; done & done");
    let limit = Duration::from_mins(1);
    let is_told =
        || agent.all(&container, "alert", &json!({"rule": "cpu_load"})).into_iter().next();
    let alert = poll::until(limit, is_told);
    let alert =
        alert.unwrap_or_else(|| panic!("{:#?}\n{}", profiles(&agent, VARIANT), agent.log()));
    assert_eq!(text(&alert, "alert.path"), "/bin/busybox", "{alert}");
    let reason = text(&alert, "reason");
    assert!(
        reason.contains(" processors on average for ") && reason.contains(" took "),
        "{reason}"
    );
    assert_eq!(text(&alert, "attack.technique"), "T1496");
    agent.stop();
}
