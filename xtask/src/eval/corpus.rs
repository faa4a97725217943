//! The corpus: where it lies, and its commands.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};

use super::Args;
use crate::{cmd, debian, paths, say};

/// What its commands call.
const PACKAGES: [&str; 8] = [
    "busybox-static",
    "debootstrap",
    "iptables",
    "musl-tools",
    "postgresql-client",
    "python3-pip",
    "redis-tools",
    "util-linux",
];

/// How often, in seconds, nothing is done in a run without attacks.
const QUIET_EVERY_S: u32 = 60;

/// A copy of the corpus that may be written to.
pub(super) struct Corpus {
    directory: PathBuf,
}

impl Corpus {
    /// Copies it to where xtask keeps what it makes; what was built there before stays.
    pub(super) fn copy(from: &Path) -> Result<Self> {
        ensure!(
            from.join("eval/campaign.sh").is_file(),
            "{} holds no corpus: name its directory with --corpus",
            from.display()
        );
        let directory = paths::made().join("eval/corpus");
        fs::create_dir_all(&directory).context("making a directory for the corpus")?;
        let mut copy = Command::new("cp");
        copy.args(["-R", "--no-preserve=mode,ownership", "-T"]).arg(from).arg(&directory);
        cmd::run(&mut copy)?;
        let mut modes = Command::new("chmod");
        cmd::run(modes.args(["-R", "u+rwx"]).arg(&directory))?;
        Ok(Self { directory })
    }

    /// Builds what attacks bring, and the images of the services.
    pub(super) fn build(&self, services: &[String]) -> Result<()> {
        debian::install("what the corpus calls", &PACKAGES)?;
        if !self.directory.join("bin").is_dir() {
            cmd::run(&mut self.script("src/build.sh", "build-tools.log")?)?;
        }
        say("building the services of the corpus");
        let mut build = self.script("benign/stack.sh", "build.log")?;
        cmd::run(with_services(build.arg("build"), services))
    }

    /// Learns, then attacks; `at_attack` is run by a shell in between.
    pub(super) fn campaign(&self, args: &Args, out: &Path, at_attack: &str) -> Result<()> {
        let mut campaign = self.script("eval/campaign.sh", "campaign.log")?;
        campaign.arg(out).args([args.learn, args.detect, args.seed].map(|it| it.to_string()));
        if let Some(list) = &args.list {
            campaign.arg(list.canonicalize().context("finding the list of attacks")?);
        }
        if args.quiet {
            let windows = paths::made().join("eval/windows");
            let count = args.detect / QUIET_EVERY_S;
            fs::write(&windows, "SHAM\n".repeat(count as usize)).context("listing windows")?;
            campaign.arg(windows).env("LAB_NULLS", "0");
            campaign.env("LAB_GAP", QUIET_EVERY_S.to_string());
        }
        campaign.env("HOOK_DETECT", at_attack);
        cmd::run(with_services(&mut campaign, &args.services))
    }

    /// Ends the services.
    pub(super) fn stop(&self) {
        if let Ok(mut stop) = self.script("benign/stack.sh", "stop.log") {
            cmd::succeeds(stop.arg("stop"));
        }
    }

    /// What the scorer says.
    pub(super) fn score(&self, out: &Path) -> Result<String> {
        let mut score = Command::new("python3");
        score.arg(self.directory.join("eval/score.py")).arg(out).arg(out.join("alerts.jsonl"));
        cmd::output(&mut score)
    }

    /// A command of the corpus; what it prints goes to a file.
    fn script(&self, path: &str, log: &str) -> Result<Command> {
        let log = paths::made().join("eval").join(log);
        let file = fs::File::create(&log).with_context(|| format!("creating {}", log.display()))?;
        let mut command = Command::new(self.directory.join(path));
        // Images are built by the builder that every Docker has.
        command.env("DOCKER_BUILDKIT", "0");
        command.stderr(file.try_clone().context("sharing a log")?).stdout(file);
        Ok(command)
    }
}

fn with_services<'c>(command: &'c mut Command, services: &[String]) -> &'c mut Command {
    if !services.is_empty() {
        command.env("LAB_SVCS", services.join(" "));
    }
    command
}
