//! An agent that runs for as long as it is measured.

use std::{
    env,
    fs::{self, File},
    net::{SocketAddr, TcpListener},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use super::{Bench, cases::CASES, events::Store, metrics::Metrics};
use crate::cmd;

const READY_DEADLINE: Duration = Duration::from_secs(30);
const STOP_DEADLINE: Duration = Duration::from_secs(15);
const SETTLE_DEADLINE: Duration = Duration::from_mins(1);
const POLL: Duration = Duration::from_millis(5);
/// For as long nothing must reach the store, which is told of all there is several times a second.
const CALM: Duration = Duration::from_millis(1500);

/// Stops what the containers of the benchmark do not do.
const POLICY: &str = r#"
[[policy]]
container = "plimsoll-bench-*"
exec = "enforce"
file = "enforce"
network = "enforce"
"#;

/// [`POLICY`], with an exception for the directory of each case.
fn policies() -> String {
    let exception = |(case, _)| {
        format!(
            "[[exception]]\ncontainer = \"plimsoll-bench-*\"\nrule = \"write_outside_volumes\"\n\
             path = \"/disk{case}/**\"\nreason = \"is written\"\n"
        )
    };
    CASES.iter().enumerate().map(exception).fold(POLICY.to_owned(), |all, one| all + &one)
}

/// A running agent with a store of its own; it ends with this value.
pub(super) struct Agent {
    child: Child,
    store: Store,
    metrics: SocketAddr,
    /// From the start of the process to its word that it is ready.
    pub(super) armed_after: Duration,
}

impl Agent {
    /// Starts an agent with an empty store, and waits until it is ready.
    pub(super) fn start(bench: &Bench) -> Result<Self> {
        let directory = super::directory();
        let store = Store { bin: bench.bin.clone(), data: directory.join("data") };
        if store.data.exists() {
            fs::remove_dir_all(&store.data).context("removing the last store")?;
        }
        let metrics = free_address()?;
        let log = directory.join("agent.log");
        let errors = File::create(&log).with_context(|| format!("creating {}", log.display()))?;
        let mut command = Command::new(&bench.bin);
        command.args(["run", "-o", "none", "--data-dir"]).arg(&store.data);
        command.arg("--socket").arg(directory.join("plimsoll.sock"));
        command.arg("--metrics-listen").arg(metrics.to_string());
        // The settings of whoever calls are not those to be measured.
        for (name, _) in env::vars_os().filter(|(name, _)| is_setting(&name.to_string_lossy())) {
            command.env_remove(name);
        }
        if bench.args.enforce {
            let policy = directory.join("enforce.toml");
            fs::write(&policy, policies())
                .with_context(|| format!("writing {}", policy.display()))?;
            command.arg("--config").arg(policy);
        }
        command.env("PLIMSOLL_METRICS__BPF_STATS", bench.args.stats.to_string());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(errors);
        let start = Instant::now();
        let child = command.spawn().with_context(|| format!("starting {}", bench.bin.display()))?;
        let mut agent = Self { child, store, metrics, armed_after: Duration::ZERO };
        agent.wait_until_ready(&log)?;
        agent.armed_after = start.elapsed();
        Ok(agent)
    }

    fn wait_until_ready(&mut self, log: &Path) -> Result<()> {
        let deadline = Instant::now() + READY_DEADLINE;
        loop {
            let text = fs::read_to_string(log).unwrap_or_default();
            if text.contains("ready") {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait().context("waiting for the agent")? {
                bail!("the agent ended ({status}): {text}");
            }
            if Instant::now() > deadline {
                bail!("the agent is not ready after {READY_DEADLINE:?}: {text}");
            }
            thread::sleep(POLL);
        }
    }

    pub(super) fn process(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn metrics(&self) -> Result<Metrics> {
        Metrics::of(self.metrics)
    }

    /// Observations stored so far.
    pub(super) fn stored(&self) -> Result<u64> {
        Ok(self.metrics()?.value("plimsoll_store_rows_total")? as u64)
    }

    /// Waits until no more reaches the store.
    pub(super) fn settle(&self) -> Result<()> {
        let deadline = Instant::now() + SETTLE_DEADLINE;
        let (mut stored, mut since) = (self.stored()?, Instant::now());
        while since.elapsed() < CALM {
            if Instant::now() > deadline {
                super::progress("observations still reach the store; going on");
                break;
            }
            thread::sleep(CALM / 10);
            let now = self.stored()?;
            if now != stored {
                (stored, since) = (now, Instant::now());
            }
        }
        Ok(())
    }

    /// Where its store lies.
    pub(super) fn data(&self) -> &Path {
        &self.store.data
    }

    /// Ends the agent, which stores what it has, and returns its store.
    pub(super) fn stop(mut self) -> Result<Store> {
        let start = Instant::now();
        self.ask_to_end();
        let status = self.wait_for_end()?;
        let took = start.elapsed();
        if !status.success() {
            bail!(
                "the agent ended with {status}, see {}",
                super::directory().join("agent.log").display()
            );
        }
        super::progress(&format!("the agent ended after {} ms", took.as_millis()));
        Ok(self.store.clone())
    }

    fn ask_to_end(&self) {
        let process = self.process().to_string();
        cmd::succeeds(Command::new("sh").args(["-c", "kill -TERM \"$0\"", &process]));
    }

    fn wait_for_end(&mut self) -> Result<ExitStatus> {
        let deadline = Instant::now() + STOP_DEADLINE;
        loop {
            if let Some(status) = self.child.try_wait().context("waiting for the agent's end")? {
                return Ok(status);
            }
            if Instant::now() > deadline {
                bail!("the agent does not end within {STOP_DEADLINE:?}");
            }
            thread::sleep(POLL);
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(None)) {
            return;
        }
        self.ask_to_end();
        if self.wait_for_end().is_err() {
            // It is ours, and had its time.
            let _ = self.child.kill().and_then(|()| self.child.wait());
        }
    }
}

fn is_setting(variable: &str) -> bool {
    variable == "PLIMSOLL_CONFIG" || variable.starts_with("PLIMSOLL_") && variable.contains("__")
}

/// An address of this host where nothing listens at the moment.
fn free_address() -> Result<SocketAddr> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("looking for a free port")?;
    Ok(listener.local_addr()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_told_from_other_variables() {
        assert!(is_setting("PLIMSOLL_PROBE__WINDOW") && is_setting("PLIMSOLL_CONFIG"));
        assert!(!is_setting("PLIMSOLL_BIN") && !is_setting("PATH"));
    }
}
