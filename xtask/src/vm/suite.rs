//! The live tests under another kernel: built here, run there.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, ensure};

use super::{
    fetch::Fetched,
    guest::{self, Job},
    kernels::{Kernel, List, Tier},
    outcome::Outcome,
};
use crate::{build, cmd, docker::Docker, images, paths};

/// By how much an emulated machine is allowed to be slower.
const PATIENCE: u32 = 4;

/// What a guest runs; all of it stays as it is while the guests run.
pub(super) struct Suite<'l> {
    list: &'l List,
    live: PathBuf,
    agent: PathBuf,
    images: PathBuf,
    /// The names of all live tests.
    tests: Vec<String>,
}

impl<'l> Suite<'l> {
    /// Builds the agent, the tests and the images.
    pub(super) fn build(list: &'l List) -> Result<Self> {
        build::object()?;
        let agent = kept(&build::agent(build::Profile::Release)?, "plimsoll")?;
        let live = kept(&live()?, "live")?;
        let listed = cmd::output(Command::new(&live).args(["--list", "--format", "terse"]))?;
        let tests: Vec<String> = names(&listed).map(str::to_owned).collect();
        list.verify(&tests)?;
        Ok(Self { list, live, agent, images: images()?, tests })
    }

    /// Runs those tests whose names begin so, and tells what came of them.
    pub(super) fn run(
        &self,
        kernel: &Kernel,
        tier: &Tier,
        starts: &[String],
        fetched: &Fetched,
        (memory_mib, limit): (u32, Duration),
    ) -> Result<Outcome> {
        let tests = self.list.tests_for(kernel, starts, &self.tests);
        let command = format!(
            "live='{}' patience={PATIENCE} tests='{}'\n{}",
            self.live.display(),
            tests.join(" "),
            include_str!("suite.sh")
        );
        let out = paths::made().join("vm/results").join(&kernel.name);
        let job = Job {
            command: &command,
            out: &out,
            images: Some(&self.images),
            agent: &self.agent,
            append: &tier.cmdline,
            memory_mib,
            limit,
        };
        // The exit code says no more than what is read here.
        guest::run(kernel, fetched, &job)?;
        let outcome = Outcome::read(&out)?;
        let ended = outcome.passed.len() + outcome.failed.len();
        let name = &kernel.name;
        ensure!(ended == tests.len(), "{name}: {ended} of {} tests ended", tests.len());
        ensure!(
            outcome.has_bpf_lsm == tier.has_bpf_lsm,
            "{name} has {} BPF LSM: that is not the tier {}",
            if outcome.has_bpf_lsm { "a" } else { "no" },
            tier.name
        );
        Ok(outcome)
    }
}

/// The images of the tests, in a file that a guest's dockerd reads.
pub(super) fn images() -> Result<PathBuf> {
    let docker = Docker::ensure()?;
    let file = paths::made().join("vm/images.tar");
    images::ensure(&docker)?;
    images::save(&docker, &file)?;
    Ok(file)
}

/// A copy that no later build changes.
fn kept(from: &Path, name: &str) -> Result<PathBuf> {
    let vm = paths::made().join("vm");
    fs::create_dir_all(vm.join("suite")).context("creating the directory of the suite")?;
    let to = vm.join("suite").join(name);
    let content = fs::read(from).with_context(|| format!("reading {}", from.display()))?;
    if fs::read(&to).is_ok_and(|present| present == content) {
        return Ok(to);
    }
    fs::copy(from, &to).with_context(|| format!("copying {}", from.display()))?;
    Ok(to)
}

/// Builds the live tests and returns their program.
fn live() -> Result<PathBuf> {
    let mut cargo = cmd::cargo();
    cargo.args(["test", "--package", "plimsoll-tests", "--test", "live", "--no-run"]);
    let told = cmd::output(cargo.args(["--quiet", "--message-format", "json"]))
        .context("building the live tests")?;
    executable(&told).map(PathBuf::from).context("cargo names no program of the live tests")
}

/// The program that cargo's messages name; only one was asked for.
fn executable(messages: &str) -> Option<&str> {
    let (_, after) = messages.rsplit_once("\"executable\":\"")?;
    Some(after.split_once('"')?.0)
}

/// The tests that a test program lists.
fn names(listed: &str) -> impl Iterator<Item = &str> {
    listed.lines().filter_map(|line| line.strip_suffix(": test"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_found_in_cargos_messages() {
        let messages = "{\"reason\":\"compiler-artifact\",\"executable\":null}\n\
            {\"target\":{\"name\":\"live\"},\"executable\":\"/t/live-1\",\"fresh\":true}\n\
            {\"reason\":\"build-finished\",\"success\":true}\n";
        assert_eq!(executable(messages), Some("/t/live-1"));
        assert_eq!(executable("{\"executable\":null}"), None);
    }

    #[test]
    fn benchmarks_are_no_tests() {
        let listed = "files::a: test\nfiles::fast: benchmark\n";
        assert_eq!(names(listed).collect::<Vec<_>>(), ["files::a"]);
    }
}
