//! Agents that judge, containers that they guard, and how a stopped act looks on this kernel.

use std::{process::Output, sync::OnceLock};

use serde_json::{Value, json};

use crate::{
    agent::{Agent, Setup},
    docker::{Container, Docker, unique},
    event::text,
    poll,
};

/// Alerts every broken rule and stops nothing. What it allows is in the tests of the rules.
const MONITORING: &str = r#"
[modes]
exec = "monitor"
file = "monitor"
network = "monitor"
[[exception]]
service = "talks-*"
rule = "foreign_peer"
peer = "*:7411"
reason = "talks to this port"
[[exception]]
image = "plimsoll-test/busybox:*"
rules = ["executable_in_mount", "foreign_script"]
path = "/repo/hooks/**"
reason = "hooks of version control"
[[exception]]
image = "plimsoll-test/layered:*"
rule = "write_outside_volumes"
path = "/etc/app/**"
reason = "renders its configuration at start"
"#;

/// Stops what containers of these services do, and allows each something.
const ENFORCING: &str = r#"
[[policy]]
service = "stop-programs"
exec = "enforce"
file = "monitor"
[[policy]]
service = "stop-files"
file = "enforce"
[[policy]]
service = "stop-all"
exec = "enforce"
file = "enforce"
[[policy]]
service = "stop-network"
network = "enforce"
[[exception]]
service = "stop-*"
rule = "foreign_peer"
peer = "*:7401/tcp"
reason = "one port of anybody"
[[exception]]
service = "stop-*"
rule = "foreign_peer"
peer = "*:7402/udp"
reason = "over"
expires = "2020-01-01T00:00:00Z"
[[exception]]
service = "stop-*"
rule = "foreign_listener"
peer = "*:7403/tcp"
reason = "one port of its own"
[[exception]]
service = "stop-*"
rules = ["new_executable", "write_outside_volumes"]
path = "/opt/exact"
reason = "one path"
[[exception]]
service = "stop-*"
rules = ["new_executable", "write_outside_volumes"]
path = "/opt/one/*"
reason = "one directory"
[[exception]]
service = "stop-*"
rules = ["new_executable", "write_outside_volumes"]
path = "/opt/all/**"
reason = "a tree"
[[exception]]
service = "stop-*"
rules = ["new_executable", "write_outside_volumes"]
path = "/opt/expired"
expires = "2020-01-01T00:00:00Z"
reason = "over"
"#;

/// The loader of dynamic programs, as they name it.
pub const LOADER: &str = "/lib64/ld-linux-x86-64.so.2";

/// Programs of such a container are stopped, and its files watched.
pub const PROGRAMS: &str = "--label=com.docker.compose.service=stop-programs";
/// Writes of such a container are stopped, and its programs watched.
pub const FILES: &str = "--label=com.docker.compose.service=stop-files";
/// What such a container does in the network is stopped.
pub const NETWORK: &str = "--label=com.docker.compose.service=stop-network";
/// Both are stopped.
pub const ALL: &str = "--label=com.docker.compose.service=stop-all";

/// The agent that alerts every broken rule and stops nothing.
#[track_caller]
pub fn monitoring() -> &'static Agent {
    static SHARED: OnceLock<Agent> = OnceLock::new();
    SHARED.get_or_init(|| Setup::default().config(MONITORING).start())
}

/// The agent that stops what the labels of this module say.
#[track_caller]
pub fn enforcing() -> &'static Agent {
    static SHARED: OnceLock<Agent> = OnceLock::new();
    SHARED.get_or_init(|| Setup::default().config(ENFORCING).start())
}

/// Services of one test, for agents that it may disturb: no other agent stops what they do.
pub struct Own(String);

impl Own {
    /// Such services.
    #[expect(clippy::new_without_default, reason = "each has another name")]
    pub fn new() -> Self {
        Self(unique("own"))
    }

    /// The label of a container of these: `programs`, `files`, `network` or `all`, as [`PROGRAMS`].
    pub fn label(&self, stopped: &str) -> String {
        format!("--label=com.docker.compose.service={}-{stopped}", self.0)
    }

    /// What a configuration says of services that the shared agent guards, of these.
    pub fn config(&self, of_shared: &str) -> String {
        of_shared.replace("\"stop-", &format!("\"{}-", self.0))
    }

    /// An agent that stops what they do.
    #[track_caller]
    pub fn agent(&self) -> Agent {
        self.agent_with("")
    }

    /// Such a one with more in its configuration.
    #[track_caller]
    pub fn agent_with(&self, more: &str) -> Agent {
        Setup::default().config(&(self.config(ENFORCING) + more)).start()
    }
}

/// Starts a container and waits until what it does is stopped.
#[track_caller]
pub fn guarded(image: &str, label: &str, options: &[&str]) -> Container {
    guarded_running(image, &[&[label], options].concat(), &[])
}

/// Starts a container with this command and waits until what it does is stopped.
#[track_caller]
pub fn guarded_running(image: &str, options: &[&str], command: &[&str]) -> Container {
    let container = Docker::host().start(image, options, command);
    wait_until_guarded(&container);
    container
}

/// Waits until what a container does is stopped.
#[track_caller]
pub fn wait_until_guarded(container: &Container) {
    // Breaks a rule of either class.
    let trial = "cp /bin/sh /tmp/sh && /tmp/sh -c :";
    poll::holds(&format!("{} is guarded", container.name), || {
        !container.attempt_shell(trial).status.success()
    });
}

/// Waits until all that a container did until now has been judged.
#[track_caller]
pub fn settle(agent: &Agent, container: &Container) {
    let path = format!("/dev/shm/{}", crate::docker::unique("settled"));
    container.exec(&["/bin/touch", &path]);
    agent.expect(container, "file_write", &json!({"file.path": path}));
}

/// The alerts of a container, once all that it did has been judged.
#[track_caller]
pub fn alerts(agent: &Agent, container: &Container) -> Vec<Value> {
    settle(agent, container);
    agent.all(container, "alert", &json!({}))
}

/// The alerts of a container that are about programs and libraries.
#[track_caller]
pub fn exec_alerts(agent: &Agent, container: &Container) -> Vec<Value> {
    let mut alerts = alerts(agent, container);
    alerts.retain(|alert| ["exec", "exec_map"].contains(&text(alert, "alert.of")));
    alerts
}

/// Waits for the alert of a rule about a path, and checks that it says how bad it is and why.
#[track_caller]
pub fn expect_alert(agent: &Agent, container: &Container, rule: &str, path: &str) -> Value {
    let alert = agent.expect(container, "alert", &json!({"rule": rule, "alert.path": path}));
    assert!(text(&alert, "reason").contains(path), "{alert}");
    assert!(text(&alert, "attack.technique").starts_with('T'), "{alert}");
    alert
}

/// How acts of a class are stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// They fail with `EPERM` and have no effect.
    Refused,
    /// Who does them is killed.
    Killed,
}

impl Stop {
    /// How an agent stops acts of a class on this kernel.
    #[track_caller]
    pub fn of(agent: &Agent, class: &str) -> Self {
        let denies = agent.metric(&format!("plimsoll_enforcement_denies{{class=\"{class}\"}}"));
        if denies > 0.5 { Self::Refused } else { Self::Killed }
    }

    /// What events call that.
    pub const fn outcome(self) -> &'static str {
        match self {
            Self::Refused => "denied",
            Self::Killed => "killed",
        }
    }

    /// Checks that a command was stopped, and did not merely fail.
    #[track_caller]
    pub fn assert_stopped(self, output: &Output) {
        assert!(self.is_seen_in(output), "not {}: {output:?}", self.outcome());
    }

    /// Whether a command was stopped. Where processes are killed, the start of a program may have
    /// been refused before by other means.
    pub fn is_seen_in(self, output: &Output) -> bool {
        let is_refused = !output.status.success() && says_refused(output);
        is_refused || self == Self::Killed && output.status.code() == Some(137)
    }
}

/// Whether a command tells of `EPERM`, however it ended.
pub fn says_refused(output: &Output) -> bool {
    let said = |text: &[u8]| String::from_utf8_lossy(text).contains("peration not permitted");
    said(&output.stderr) || said(&output.stdout)
}

/// Whether an alert says that the act was stopped.
pub fn is_stopped(alert: &Value) -> bool {
    ["denied", "killed"].contains(&text(alert, "outcome"))
}

/// Whether the kernel tells its programs which file lies at an address (`bpf_find_vma`, since
/// 5.17), so that mappings are judged by what they are.
///
/// # Panics
/// When the kernel's release does not begin with two numbers.
pub fn sees_mappings() -> bool {
    let name = rustix::system::uname();
    let release = name.release().to_string_lossy();
    let mut numbers = release.split(['.', '-']).map(str::parse::<u32>);
    let [Some(Ok(major)), Some(Ok(minor))] = [numbers.next(), numbers.next()] else {
        panic!("the kernel calls itself {release}");
    };
    (major, minor) >= (5, 17)
}

/// A number that the test program `breach` counted.
#[track_caller]
pub fn counted(report: &str, name: &str) -> u32 {
    let word =
        report.split_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
    word.and_then(|it| it.parse().ok()).unwrap_or_else(|| panic!("no {name} in {report:?}"))
}

/// Shows a figure that the documentation quotes: run the tests with `--nocapture`.
#[allow(clippy::print_stdout, reason = "it is what a test has to show")]
pub fn show(what: &str, stop: Stop, report: &str) {
    println!("{what} ({}): {}", stop.outcome(), report.trim_end());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_is_found_by_its_name() {
        assert_eq!(counted("killed=3 refused=0\n", "killed"), 3);
        assert_eq!(counted("killed=3 refused=10\n", "refused"), 10);
    }
}
