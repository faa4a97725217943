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
    guest::{self, End, Job},
    kernels::{Kernel, List, Tier},
    outcome::Outcome,
};
use crate::{build, cmd, docker::Docker, images, paths};

/// By how much an emulated machine is allowed to be slower.
const PATIENCE: u32 = 4;
/// How many guests in a row may die before any test has ended.
const BARREN: u32 = 3;

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

    /// Runs those tests whose names begin so, and tells what came of them. A guest that dies or takes
    /// too long is followed by another, which goes on with the rest.
    pub(super) fn run(
        &self,
        kernel: &Kernel,
        tier: &Tier,
        starts: &[String],
        fetched: &Fetched,
        (memory_mib, limit): (u32, Duration),
    ) -> Result<Outcome> {
        let mut left = self.list.tests_for(kernel, &tier.name, starts, &self.tests);
        let out = paths::made().join("vm/results").join(&kernel.name);
        let mut outcome = Outcome::default();
        let mut barren = 0;
        while !left.is_empty() && barren < BARREN {
            let job = Job {
                command: &self.command(&left),
                out: &out,
                images: Some(&self.images),
                agent: &self.agent,
                append: &tier.cmdline,
                memory_mib,
                limit,
            };
            let end = guest::boot(kernel, fetched, &job)?;
            match (Outcome::read(&out), end) {
                // The exit code of the tests says no more than what is read here.
                (part, End::Code(_)) => outcome.add(part?),
                // What failed was to be tried again.
                (Ok(part), _) => outcome.add(Outcome { failed: Vec::new(), ..part }),
                (Err(_), _) => {}
            }
            let before = left.len();
            left.retain(|test| !outcome.has_ended(test));
            barren = if left.len() < before { 0 } else { barren + 1 };
        }
        let name = &kernel.name;
        ensure!(!outcome.release.is_empty(), "{name}: no guest got as far as the tests");
        ensure!(
            outcome.has_bpf_lsm == tier.has_bpf_lsm,
            "{name} has {} BPF LSM: that is not the tier {}",
            if outcome.has_bpf_lsm { "a" } else { "no" },
            tier.name
        );
        outcome.failed.extend(left.into_iter().map(str::to_owned));
        Ok(outcome)
    }

    /// What a guest runs.
    fn command(&self, tests: &[&str]) -> String {
        format!(
            "live='{}' patience={PATIENCE} tests='{}'\n{}",
            self.live.display(),
            tests.join(" "),
            include_str!("suite.sh")
        )
    }
}

/// The images of the tests, in a file that a guest's dockerd reads.
pub(super) fn images() -> Result<PathBuf> {
    let docker = Docker::ensure()?;
    let vm = paths::made().join("vm");
    fs::create_dir_all(&vm).with_context(|| format!("making {}", vm.display()))?;
    let file = vm.join("images.tar");
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
