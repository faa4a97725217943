//! Measures what the agent costs and what it loses, beside the budgets of the design.

mod agent;
mod burst;
mod cases;
mod container;
mod events;
mod figures;
mod inline;
mod load;
mod machine;
mod metrics;
mod micro;
mod programs;
mod stats;
mod store;
mod usage;
mod verdict;

use std::{
    io::{self, Write},
    path::PathBuf,
};

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;

use crate::{build, cmd, docker::Docker, images, paths, say};
use programs::Programs;

#[derive(clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(crate) struct Args {
    /// The parts to run; all of them if none is named.
    #[arg(value_enum)]
    parts: Vec<Part>,
    /// How often the single acts are measured, without and with the agent in turn.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// How long the paced load lasts.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=3600))]
    seconds: u32,
    /// Lets the kernel count the run time of each program, which makes all else slower.
    #[arg(long)]
    stats: bool,
    /// Does everything a twentieth as often: shows that it works, measures little.
    #[arg(long)]
    quick: bool,
    /// Measures single acts without an agent in both turns: what is found then is noise.
    #[arg(long)]
    control: bool,
    /// Enforces every class in the measured containers, with exceptions for what they do.
    #[arg(long)]
    enforce: bool,
    /// Measures this agent instead of building one; for `store`, the example `store_bench`.
    #[arg(long, value_name = "PATH")]
    bin: Option<PathBuf>,
    /// Leaves a dockerd that was started for this running.
    #[arg(long)]
    keep_docker: bool,
}

/// A part of the benchmark, in the order they run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// What single acts take longer.
    Inline,
    /// What the agent takes for itself.
    Load,
    /// What is seen, lost and told as lost when much happens at once.
    Burst,
    /// What the store does with ten million observations, beside other engines; only where named.
    Store,
    /// What it costs to judge an observation; only where named.
    Verdict,
}

impl Part {
    /// Whether it measures a part of the agent by itself.
    fn is_alone(self) -> bool {
        matches!(self, Self::Store | Self::Verdict)
    }
}

/// What the parts share.
struct Bench<'a> {
    args: &'a Args,
    bin: PathBuf,
    programs: Programs,
}

pub(crate) fn main(args: &Args) -> Result<()> {
    if args.parts.contains(&Part::Verdict) {
        verdict::run(args).context("measuring verdicts")?;
    }
    if args.parts.contains(&Part::Store) {
        store::run(args).context("measuring the store")?;
    }
    if !args.parts.is_empty() && args.parts.iter().all(|part| part.is_alone()) {
        return Ok(());
    }
    ensure!(cmd::is_root(), "it needs root: sudo -E env PATH=\"$PATH\" cargo xtask bench");
    let bin = args.agent()?;
    let docker = Docker::ensure()?;
    let result = images::ensure(&docker).and_then(|()| {
        let programs = Programs::ensure(&docker)?;
        container::remove_leftovers()?;
        Bench { args, bin, programs }.run()
    });
    if args.keep_docker {
        docker.keep();
    }
    result
}

impl Args {
    /// The agent to measure, which is built unless one is named.
    fn agent(&self) -> Result<PathBuf> {
        if let Some(bin) = &self.bin {
            return bin.canonicalize().with_context(|| format!("finding {}", bin.display()));
        }
        build::object()?;
        build::agent(build::Profile::Release)
    }
}

/// The named parts in their order, each once, but for those that need no agent.
fn selected(named: &[Part]) -> Vec<Part> {
    let all = Part::value_variants().iter().copied();
    let needs_agent = all.filter(|part| !part.is_alone());
    needs_agent.filter(|part| named.is_empty() || named.contains(part)).collect()
}

impl Bench<'_> {
    fn run(&self) -> Result<()> {
        print(&machine::describe())?;
        for part in selected(&self.args.parts) {
            match part {
                Part::Inline => inline::run(self),
                Part::Load => load::run(self),
                Part::Burst => burst::run(self),
                Part::Store | Part::Verdict => Ok(()),
            }
            .with_context(|| format!("measuring {part:?}"))?;
        }
        Ok(())
    }

    /// A count as asked for on the command line, at least 1.
    fn scaled(&self, count: u32) -> u32 {
        if self.args.quick { (count / 20).max(1) } else { count }
    }
}

/// Where the benchmark keeps what it makes.
fn directory() -> PathBuf {
    paths::made().join("bench")
}

/// Puts a result on standard output, with an empty line after it.
fn print(text: &str) -> Result<()> {
    writeln!(io::stdout(), "{}\n", text.trim_end()).context("writing to standard output")
}

/// Tells the user what is being measured.
fn progress(message: &str) {
    say(&format!("bench: {message}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_parts_run_when_none_is_named() {
        assert_eq!(selected(&[]), [Part::Inline, Part::Load, Part::Burst]);
    }

    #[test]
    fn named_parts_run_once_and_in_order() {
        assert_eq!(selected(&[Part::Burst, Part::Load, Part::Burst]), [Part::Load, Part::Burst]);
    }
}
