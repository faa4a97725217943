//! Containers of the benchmark, which do not outlive it.

use std::process::{Command, Stdio};

use anyhow::Result;

use super::programs::{IMAGE, MICRO};
use crate::{cmd, docker::docker};

/// Marks the containers, to find those of a run that was killed.
const LABEL: &str = "plimsoll.bench";

/// The name of a container, which is removed with this value.
pub(super) struct Container {
    name: String,
}

impl Container {
    /// Names a container to be; several may have the same purpose one after the other.
    pub(super) fn named(purpose: &str) -> Self {
        Self { name: format!("plimsoll-bench-{purpose}") }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The command that runs micro in it, with this terminal's streams.
    pub(super) fn micro(&self, arguments: &[&str]) -> Command {
        let mut command = docker();
        // Without a network of Docker's: loopback is all that is used, and it starts sooner.
        command.args(["run", "--rm", "--interactive", "--network", "none", "--tmpfs", "/memory"]);
        command.args(["--name", &self.name, "--label", LABEL, IMAGE, MICRO]).args(arguments);
        command
    }

    pub(super) fn signal(&self, signal: &str) -> Result<()> {
        cmd::output(docker().args(["kill", "--signal", signal, &self.name])).map(|_| ())
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // It is an error for it to be gone already, as it should be.
        let remove = ["rm", "--force", "--volumes", &self.name];
        let _ = docker().args(remove).stdout(Stdio::null()).stderr(Stdio::null()).status();
    }
}

/// Removes what a killed benchmark left.
pub(super) fn remove_leftovers() -> Result<()> {
    let filter = format!("label={LABEL}");
    let left = cmd::output(docker().args(["ps", "--all", "--quiet", "--filter", &filter]))?;
    for id in left.split_whitespace() {
        cmd::output(docker().args(["rm", "--force", "--volumes", id]))?;
    }
    Ok(())
}
