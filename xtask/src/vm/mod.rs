//! Boots other kernels, and runs a command or the live tests under them.

mod fetch;
mod guest;
mod initramfs;
mod kernels;
mod known;
mod outcome;
mod report;
mod suite;
mod virtiofs;

use std::{
    io::Write,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Result, bail, ensure};

use crate::{paths, say};
use fetch::Fetched;
use guest::Job;
use kernels::{Kernel, List};
use known::Known;
use outcome::Outcome;
use suite::Suite;

/// How long a command may take in a guest, and how long the tests, where nothing else is said.
const COMMAND_SECONDS: u64 = 600;
const SUITE_SECONDS: u64 = 3600;

/// Memory of a guest where nothing else is said.
const GUEST_MIB: u32 = 3072;

#[derive(clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of the command line")]
pub(crate) struct Args {
    /// Names from tests/kernels.toml; all kernels if none is given.
    kernels: Vec<String>,
    /// Runs this in the guests, with bash, instead of the tests. The host's files are there;
    /// changes to them are lost, but for those in the directory $`VM_OUT`.
    #[arg(long, value_name = "COMMAND")]
    run: Option<String>,
    /// Starts a dockerd in the guest, with the images of the tests, before the command.
    #[arg(long, requires = "run")]
    docker: bool,
    /// Tests only this tier of tests/kernels.toml; all if none is given.
    #[arg(long, conflicts_with = "run")]
    tier: Option<String>,
    /// More for the kernel's command line.
    #[arg(long, value_name = "WORDS", default_value = "", requires = "run")]
    append: String,
    /// Lists the kernels and which are here.
    #[arg(long, conflicts_with = "run")]
    list: bool,
    /// Writes docs/kernel-support.md anew, of what is known.
    #[arg(long, conflicts_with_all = ["run", "list"])]
    page: bool,
    /// Fetches the newest package of each kernel, though one is here.
    #[arg(long)]
    update: bool,
    /// The memory of a guest, which holds all files that it writes.
    #[arg(long, value_name = "MIB", default_value_t = GUEST_MIB)]
    memory: u32,
    /// How long a guest may take: 600 with a command, 3600 with the tests.
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u64>,
}

pub(crate) fn main(args: &Args) -> Result<()> {
    let list = List::read()?;
    let kernels = list.select(&args.kernels)?;
    if args.list {
        return show(&kernels);
    }
    if args.page {
        let known = Known::read()?.without_excepted(&list);
        known.write()?;
        return report::write(&list, &known);
    }
    guest::ensure()?;
    match &args.run {
        Some(command) => run(&kernels, command, args),
        None => test(&list, &kernels, args),
    }
}

fn show(kernels: &[&Kernel]) -> Result<()> {
    for kernel in kernels {
        let known = Fetched::known(kernel);
        let release = known.map_or("not fetched".to_owned(), |fetched| fetched.release);
        writeln!(std::io::stdout(), "{:<8} {release}", kernel.name)?;
    }
    Ok(())
}

fn run(kernels: &[&Kernel], command: &str, args: &Args) -> Result<()> {
    let images = args.docker.then(suite::images).transpose()?;
    let agent = paths::cargo_target().join("release/plimsoll");
    each(kernels, args.update, |kernel, fetched| {
        let job = Job {
            command,
            out: &paths::made().join("vm/out").join(&kernel.name),
            images: images.as_deref(),
            agent: &agent,
            append: &args.append,
            memory_mib: args.memory,
            limit: Duration::from_secs(args.timeout.unwrap_or(COMMAND_SECONDS)),
        };
        match guest::run(kernel, fetched, &job)? {
            0 => Ok(()),
            code => bail!("the command ended with exit code {code}"),
        }
    })
    .map(|_| ())
}

fn test(list: &List, kernels: &[&Kernel], args: &Args) -> Result<()> {
    let tiers = list.tiers(args.tier.as_deref())?;
    let suite = Suite::build(list)?;
    let limit = Duration::from_secs(args.timeout.unwrap_or(SUITE_SECONDS));
    let failed = each(kernels, args.update, |kernel, fetched| {
        let mut failed = 0;
        for tier in &tiers {
            let outcome = suite.run(kernel, tier, &tier.tests, fetched, (args.memory, limit))?;
            tell(kernel, &outcome);
            failed += outcome.failed.len();
            // Kept at once: a run of all takes hours, and may be ended.
            let mut known = Known::read()?.without_excepted(list);
            known.insert(&kernel.name, &tier.name, outcome);
            known.write()?;
            report::write(list, &known)?;
        }
        Ok(failed)
    })?;
    match failed.iter().sum() {
        0_usize => Ok(()),
        failed => bail!("{failed} tests failed"),
    }
}

/// Proves on one kernel that acts are refused before they take effect.
pub(crate) fn prove() -> Result<()> {
    let list = List::read()?;
    guest::ensure()?;
    let suite = Suite::build(&list)?;
    let proof = &list.proof;
    let limits = (GUEST_MIB, Duration::from_secs(SUITE_SECONDS));
    let kernels = list.select(std::slice::from_ref(&proof.kernel))?;
    let tiers = list.tiers(Some(&proof.tier))?;
    for failed in each(&kernels, false, |kernel, fetched| {
        let mut failed = 0;
        for tier in &tiers {
            let outcome = suite.run(kernel, tier, &proof.tests, fetched, limits)?;
            tell(kernel, &outcome);
            failed += outcome.failed.len();
        }
        Ok(failed)
    })? {
        ensure!(failed == 0, "{failed} tests failed");
    }
    Ok(())
}

fn tell(kernel: &Kernel, outcome: &Outcome) {
    let Outcome { passed, passed_again, failed, .. } = outcome;
    let (passed, all) = (passed.len(), passed.len() + failed.len());
    let name = &kernel.name;
    say(&format!("{name}: {passed} of {all} tests passed"));
    for test in passed_again {
        say(&format!("{name}: passed only by itself: {test}"));
    }
    for test in failed {
        say(&format!("{name}: FAILED {test}"));
    }
}

/// Does something with each kernel, also where it failed with one before.
fn each<'k, T>(
    kernels: &[&'k Kernel],
    renew: bool,
    mut act: impl FnMut(&'k Kernel, &Fetched) -> Result<T>,
) -> Result<Vec<T>> {
    let mut done = Vec::new();
    let mut failed = Vec::new();
    for kernel in kernels {
        let start = Instant::now();
        let result = Fetched::ensure(kernel, renew).and_then(|fetched| {
            say(&format!("booting {} (console: {})", fetched.release, shown(&guest::log(kernel))));
            act(kernel, &fetched)
        });
        let seconds = start.elapsed().as_secs();
        match result {
            Ok(result) => {
                say(&format!("{}: done in {seconds} s", kernel.name));
                done.push(result);
            }
            Err(error) => {
                say(&format!("{}: FAILED after {seconds} s: {error:#}", kernel.name));
                failed.push(kernel.name.as_str());
            }
        }
    }
    if failed.is_empty() { Ok(done) } else { bail!("failed on {}", failed.join(", ")) }
}

/// A path as one sees it from the workspace.
fn shown(path: &Path) -> String {
    path.strip_prefix(paths::root()).unwrap_or(path).display().to_string()
}
