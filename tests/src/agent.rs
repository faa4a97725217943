//! The agent under test: a process with a directory, a socket and a port of its own.

use std::{
    env,
    fs::{self, File},
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::OnceLock,
    time::Duration,
};

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    docker::Container,
    event, http, poll,
    process::{self, Process},
    require,
};

/// How long the start may take.
const START: Duration = Duration::from_secs(20);
/// How long the end may take once it was asked for.
const STOP: Duration = Duration::from_secs(5);
/// How long the agent waits for Docker to name a container, where it is not told otherwise.
const HOLD: Duration = Duration::from_secs(10);
/// How many events a failure shows.
const SHOWN: usize = 60;

/// What an agent is started with.
#[derive(Default)]
pub struct Setup {
    config: String,
    output: Option<&'static str>,
    data_dir: Option<PathBuf>,
    socket: Option<PathBuf>,
    metrics: Option<SocketAddr>,
}

impl Setup {
    /// With this configuration.
    #[must_use]
    pub fn config(self, config: &str) -> Self {
        Self { config: config.to_owned(), ..self }
    }

    /// With this on its standard output: `table` or `json`.
    #[must_use]
    pub fn output(self, form: &'static str) -> Self {
        Self { output: Some(form), ..self }
    }

    /// With a data directory that outlives it.
    #[must_use]
    pub fn data_dir(self, directory: &Path) -> Self {
        Self { data_dir: Some(directory.to_owned()), ..self }
    }

    /// With its socket at this place.
    #[must_use]
    pub fn socket(self, path: &Path) -> Self {
        Self { socket: Some(path.to_owned()), ..self }
    }

    /// With metrics at this address.
    #[must_use]
    pub fn metrics(self, address: SocketAddr) -> Self {
        Self { metrics: Some(address), ..self }
    }

    /// Starts the agent and waits until it is armed.
    ///
    /// # Panics
    /// When it is not in time.
    #[track_caller]
    pub fn start(self) -> Agent {
        let mut agent = self.spawn();
        let ready = poll::until(START, || {
            let ended = agent.process.ended();
            assert!(ended.is_none(), "the agent ended ({ended:?}):\n{}", agent.log());
            is_ready(&agent.log()).then_some(())
        });
        assert!(ready.is_some(), "the agent is not ready within {START:?}:\n{}", agent.log());
        agent
    }

    /// Starts an agent that must refuse to start; returns its exit code and what it said.
    ///
    /// # Panics
    /// When it goes on, or is ended by a signal.
    #[track_caller]
    pub fn refused(self) -> (i32, String) {
        let mut agent = self.spawn();
        let status = agent.process.wait(START);
        let status = status.unwrap_or_else(|| panic!("the agent goes on:\n{}", agent.log()));
        let code = status.code();
        (code.unwrap_or_else(|| panic!("{status}:\n{}", agent.log())), agent.log())
    }

    fn spawn(self) -> Agent {
        let binary = require::binary();
        let home = tempfile::tempdir().expect("a directory for the agent");
        let at = |name: &str| home.path().join(name);
        let data_dir = self.data_dir.unwrap_or_else(|| at("data"));
        let socket = self.socket.unwrap_or_else(|| at("socket"));
        let metrics = self.metrics.unwrap_or_else(free_address);
        fs::write(at("config.toml"), &self.config).expect("the directory is the test's own");
        let create = |name| File::create(at(name)).expect("the directory is the test's own");
        let mut command = plain(&binary);
        command
            .arg("run")
            .args(["--output", self.output.unwrap_or("none")])
            .args(["--metrics-listen", &metrics.to_string()])
            .args([Path::new("--config"), &at("config.toml")])
            .args([Path::new("--data-dir"), &data_dir, Path::new("--socket"), &socket])
            .stdout(create("output"))
            .stderr(create("log"));
        // On a slow machine Docker is slow to name its containers; a variable outdoes the file.
        if poll::is_slow() && !self.config.contains("hold_patience") {
            let patience = format!("{}s", poll::scaled(HOLD).as_secs());
            command.env("PLIMSOLL_ATTRIBUTION__HOLD_PATIENCE", patience);
        }
        let process = Process::start(&mut command, Some(home.path()));
        Agent { process, binary, socket, metrics, home }
    }
}

/// A command of the agent's binary that the tester's own settings do not reach.
pub fn plain(binary: &Path) -> Command {
    let mut command = Command::new(binary);
    for (name, _) in env::vars_os() {
        let is_setting = name.to_string_lossy().starts_with("PLIMSOLL_");
        if is_setting && name != "PLIMSOLL_LOG" {
            command.env_remove(name);
        }
    }
    command.env("NO_COLOR", "1");
    command
}

/// Whether a log says that the agent is armed.
fn is_ready(log: &str) -> bool {
    log.split(|c: char| !c.is_alphanumeric()).any(|word| word == "ready")
}

fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    listener.local_addr().expect("it is bound")
}

/// A running agent; it is killed with this value.
pub struct Agent {
    process: Process,
    binary: PathBuf,
    /// Where it answers.
    pub socket: PathBuf,
    /// Where its metrics are.
    pub metrics: SocketAddr,
    home: TempDir,
}

impl Agent {
    /// The agent that all tests share which neither disturb it nor each other.
    #[track_caller]
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Agent> = OnceLock::new();
        SHARED.get_or_init(|| Setup::default().start())
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.home.path().join("log")).unwrap_or_default()
    }

    /// Its configuration file.
    pub fn config(&self) -> PathBuf {
        self.home.path().join("config.toml")
    }

    /// What it has written to its standard output.
    pub fn output(&self) -> String {
        fs::read_to_string(self.home.path().join("output")).unwrap_or_default()
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        self.process.ended().is_none()
    }

    /// Runs a command of `plimsoll` against it, without a terminal.
    ///
    /// # Panics
    /// When the binary does not run.
    pub fn command(&self, arguments: &[&str]) -> Output {
        let mut command = plain(&self.binary);
        command.args(arguments).arg("--socket").arg(&self.socket).stdin(Stdio::null());
        command.output().expect("the binary runs")
    }

    /// The JSON lines that a command of `plimsoll` prints, which must succeed.
    ///
    /// # Panics
    /// When it fails.
    #[track_caller]
    pub fn told(&self, arguments: &[&str]) -> Vec<Value> {
        let output = self.command(&[arguments, &["-o", "json"]].concat());
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {stderr}\n{}", self.log_tail());
        event::parse(&String::from_utf8_lossy(&output.stdout))
    }

    /// Runs `plimsoll events -o json` against it.
    pub fn query(&self, arguments: &[&str]) -> Output {
        self.events_command(arguments).output().expect("the binary runs")
    }

    /// Starts `plimsoll events -o json --follow` against it, with its output on a pipe.
    ///
    /// # Panics
    /// When the binary does not run.
    pub fn follow(&self, arguments: &[&str]) -> Child {
        let mut command = self.events_command(arguments);
        command.arg("--follow").stdout(Stdio::piped()).stderr(Stdio::null());
        command.spawn().expect("the binary runs")
    }

    fn events_command(&self, arguments: &[&str]) -> Command {
        let mut command = plain(&self.binary);
        command.args(["events", "-o", "json"]).arg("--socket").arg(&self.socket).args(arguments);
        command
    }

    /// The events that a query finds.
    ///
    /// # Panics
    /// When the query fails.
    #[track_caller]
    pub fn events(&self, arguments: &[&str]) -> Vec<Value> {
        let output = self.query(arguments);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {stderr}\n{}", self.log_tail());
        event::parse(&String::from_utf8_lossy(&output.stdout))
    }

    /// Waits for an event that a query finds and that is the one looked for.
    ///
    /// # Panics
    /// When none comes; the message shows what came instead.
    #[track_caller]
    pub fn wait_for(
        &self,
        arguments: &[&str],
        what: &str,
        is_it: impl Fn(&Value) -> bool,
    ) -> Value {
        let found = poll::until(poll::PATIENCE, || {
            self.events(arguments).into_iter().find(|event| is_it(event))
        });
        found.unwrap_or_else(|| panic!("no {what}\n{}", self.seen(arguments)))
    }

    /// Waits for an event of a container with these fields, by dotted name, and checks that it
    /// names the container. A field that is `null` must be absent.
    ///
    /// # Panics
    /// When none comes; the message shows what came instead.
    #[track_caller]
    pub fn expect(&self, container: &Container, kind: &str, fields: &Value) -> Value {
        let arguments = ["--container", &container.name, "--kind", kind];
        let what = format!("{kind} with {fields}");
        let found = self.wait_for(&arguments, &what, |event| event::has(event, fields));
        container.assert_named_by(&found);
        found
    }

    /// The events of a container with these fields that are there now.
    #[track_caller]
    pub fn all(&self, container: &Container, kind: &str, fields: &Value) -> Vec<Value> {
        let mut events = self.events(&["--container", &container.name, "--kind", kind]);
        events.retain(|event| event::has(event, fields));
        events
    }

    /// What a failed wait saw: the newest events of the container, whatever their kind.
    fn seen(&self, arguments: &[&str]) -> String {
        let container = arguments.windows(2).find(|pair| pair[0] == "--container");
        let events = self.events(container.unwrap_or(arguments));
        let from = events.len().saturating_sub(SHOWN);
        let lines: Vec<String> = events[from..].iter().map(event::brief).collect();
        let heading = format!("{} events, the newest of them:", events.len());
        [heading, lines.join("\n"), self.log_tail()].join("\n")
    }

    fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        format!("log:\n{}", lines[lines.len().saturating_sub(20)..].join("\n"))
    }

    /// The value of a series, by its name with labels.
    ///
    /// # Panics
    /// When there is no such series.
    #[track_caller]
    pub fn metric(&self, series: &str) -> f64 {
        let text = self.metrics_text();
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        let value = line.and_then(|value| value.parse().ok());
        value.unwrap_or_else(|| panic!("no series {series}; there are:\n{}", series_of(&text)))
    }

    /// All metrics.
    ///
    /// # Panics
    /// When they are not served.
    #[track_caller]
    pub fn metrics_text(&self) -> String {
        let answer = http::get(self.metrics, "/metrics");
        let (status, text) = answer.unwrap_or_else(|| panic!("no metrics\n{}", self.log_tail()));
        assert_eq!(status, 200, "{text}");
        text
    }

    /// Status and text of `/healthz`.
    ///
    /// # Panics
    /// When it is not served.
    #[track_caller]
    pub fn health(&self) -> (u16, String) {
        let answer = http::get(self.metrics, "/healthz");
        answer.unwrap_or_else(|| panic!("no health\n{}", self.log_tail()))
    }

    /// Ends it by SIGTERM, which it must obey in time and in good order.
    ///
    /// # Panics
    /// When it does not.
    #[track_caller]
    pub fn stop(self) -> String {
        self.stop_by(Signal::TERM)
    }

    /// Ends it by a signal, which it must obey in time and in good order.
    ///
    /// # Panics
    /// When it does not.
    #[track_caller]
    pub fn stop_by(mut self, signal: Signal) -> String {
        process::signal(self.process.id(), signal);
        let status = self.process.wait(STOP);
        let code = status.map(|status| status.code());
        assert_eq!(code, Some(Some(0)), "{signal:?} did not end it well:\n{}", self.log_tail());
        self.log()
    }

    /// Tells it to open files anew.
    pub fn hang_up(&self) {
        process::signal(self.process.id(), Signal::HUP);
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Halts it: from now on it does nothing, and whatever it ordered stands.
    pub fn halt(&self) {
        process::signal(self.process.id(), Signal::STOP);
    }

    /// Lets it go on.
    pub fn go_on(&self) {
        process::signal(self.process.id(), Signal::CONT);
    }

    /// Ends it as the kernel would when memory runs out.
    pub fn kill(mut self) {
        self.process.kill();
    }
}

/// The series without comments.
fn series_of(text: &str) -> String {
    text.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join("\n")
}

/// Reads a store that no agent has open, with what is told on standard error.
///
/// # Panics
/// When it cannot be read.
#[track_caller]
pub fn stored(data_dir: &Path, arguments: &[&str]) -> (Vec<Value>, String) {
    let mut command = plain(&require::binary());
    command.args(["events", "-o", "json"]).arg("--data-dir").arg(data_dir).args(arguments);
    let output = command.output().expect("the binary runs");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{stderr}");
    (event::parse(&String::from_utf8_lossy(&output.stdout)), stderr)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_is_a_word_and_no_part_of_one() {
        assert!(!is_ready("INFO a container already runs"));
        assert!(is_ready("INFO ready probes=12"));
    }
}
