//! The agent under evaluation.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use super::alerts::Follower;
use crate::cmd::{self, Process};

const READY_DEADLINE: Duration = Duration::from_mins(1);
/// What is behind an attack's end may still be told.
const WAKE: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(100);
const METRICS: &str = "127.0.0.1:9475";

/// A running agent; it ends with this value.
pub(super) struct Agent {
    process: Process,
    follower: Follower,
    binary: PathBuf,
    out: PathBuf,
}

impl Agent {
    /// Starts an agent that knows nothing, and keeps what it tells in `out/alerts.jsonl`.
    pub(super) fn start(binary: &Path, out: &Path, time_scale: u32) -> Result<Self> {
        let config = out.join("plimsoll.toml");
        fs::write(&config, settings(out, time_scale)).context("writing the configuration")?;
        let follower = Follower::start(out.join("alerts.native"), &out.join("alerts.jsonl"))?;
        let log = out.join("agent.log");
        let errors = File::create(&log).context("creating the agent's log")?;
        let mut command = Command::new(binary);
        command.args(["run", "-o", "none", "--config"]).arg(&config);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(errors);
        let process = command.spawn().with_context(|| format!("starting {}", binary.display()))?;
        let agent = Self {
            process: Process(process),
            follower,
            binary: binary.to_owned(),
            out: out.to_owned(),
        };
        agent.wait_until_ready(&log)?;
        Ok(agent)
    }

    fn wait_until_ready(&self, log: &Path) -> Result<()> {
        let deadline = Instant::now() + READY_DEADLINE;
        while !cmd::succeeds(&mut self.ask(&["profile", "list"])) {
            if Instant::now() > deadline {
                let said = fs::read_to_string(log).unwrap_or_default();
                bail!("the agent does not answer: {said}");
            }
            thread::sleep(POLL);
        }
        Ok(())
    }

    /// A shell command that notes how far each profile is.
    pub(super) fn survey(&self) -> String {
        let agent = cmd::line(&self.ask(&[]));
        let states = cmd::line(Command::new("tee").arg(self.out.join("profiles.jsonl")));
        format!("{agent} profile list -o json | {states} >/dev/null")
    }

    /// The same, which says besides that it is enough.
    pub(super) fn approval(&self) -> String {
        let (survey, agent) = (self.survey(), cmd::line(&self.ask(&[])));
        format!(
            "{survey}; docker ps --format '{{{{.Image}}}}' | sort -u | \
             while read -r image; do {agent} profile approve --yes \"$image\"; done"
        )
    }

    /// Ends the agent, once it had time to tell what it knows.
    pub(super) fn stop(self) -> Result<()> {
        thread::sleep(WAKE);
        let metrics = cmd::output(Command::new("curl").args([
            "-sS",
            "--fail",
            &format!("http://{METRICS}/metrics"),
        ]));
        if let Ok(metrics) = metrics {
            fs::write(self.out.join("metrics.txt"), metrics).context("keeping the metrics")?;
        }
        let profiles = cmd::output(&mut self.ask(&["profile", "list"]))?;
        fs::write(self.out.join("profiles-end.txt"), profiles).context("keeping the profiles")?;
        drop(self.process);
        self.follower.stop()
    }

    /// A question to the agent.
    fn ask(&self, words: &[&str]) -> Command {
        let mut command = Command::new("env");
        command.arg(format!("PLIMSOLL_AGENT__SOCKET={}", socket(&self.out).display()));
        command.arg(&self.binary).args(words);
        command
    }
}

fn socket(out: &Path) -> PathBuf {
    out.join("plimsoll.sock")
}

/// Everything at its default but where things lie, and how fast the clock of learning runs.
fn settings(out: &Path, time_scale: u32) -> String {
    // Shorter than the unit of learning, which is an hour on its clock.
    let window_s = (3600 / time_scale / 4).clamp(1, 10);
    let settings = toml::toml! {
        [agent]
        data_dir = (out.join("data").display().to_string())
        socket = (socket(out).display().to_string())
        [metrics]
        listen = METRICS
        [probe]
        window = (format!("{window_s}s"))
        [baseline]
        time_scale = time_scale
        [[sink]]
        name = "eval"
        type = "file"
        path = (out.join("alerts.native").display().to_string())
        max_bytes = "0"
    };
    settings.to_string()
}
