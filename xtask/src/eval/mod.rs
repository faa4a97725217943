//! Runs a corpus of real services and attacks against the agent, and tells what was detected.
//!
//! The corpus is a directory beside the project: `benign/stack.sh` builds, starts and loads services,
//! `eval/campaign.sh` learns under load and then attacks between benign work, `eval/score.py` compares
//! alerts with what was really done. Nothing of it is known here but these commands.

mod alerts;
mod corpus;
mod page;
mod profiles;
mod quiet;
mod score;
mod watch;

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use serde::de::DeserializeOwned;

use crate::{build, cmd, docker::Docker, paths, say};
use corpus::Corpus;
use score::Score;
use watch::Agent;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Directory of the corpus; it is copied, and never written to.
    #[arg(long, value_name = "DIR", default_value = "../shared/corpus")]
    corpus: PathBuf,
    /// How long is learned under load, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 900)]
    learn: u32,
    /// How long is attacked at most, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 2700)]
    detect: u32,
    /// What the order of attacks and the load are drawn from.
    #[arg(long, default_value_t = 1)]
    seed: u32,
    /// How many times faster than usual the clock of learning runs.
    #[arg(long, default_value_t = 240, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    time_scale: u32,
    /// Only these attacks: a file with the name of one a line.
    #[arg(long, value_name = "FILE")]
    list: Option<PathBuf>,
    /// Only these services.
    #[arg(long, value_delimiter = ',')]
    services: Vec<String>,
    /// Attacks nothing and approves nothing: whatever is told after the learning is a false alarm,
    /// and set against what the profiles said is to be expected.
    #[arg(long, conflicts_with = "list")]
    quiet: bool,
    /// Scores the last run again, and runs nothing.
    #[arg(long)]
    score_only: bool,
    /// Writes docs/detection.md from the result.
    #[arg(long)]
    page: bool,
}

pub(crate) fn main(args: &Args) -> Result<()> {
    let corpus = Corpus::copy(&args.corpus)?;
    let out = paths::made().join("eval/run");
    if !args.score_only {
        attack(args, &corpus, &out)?;
    }
    if args.quiet {
        let table = quiet::table(&out, args.time_scale)?;
        write!(io::stdout(), "{table}").context("writing to standard output")?;
        if args.page {
            page::write_quiet(args, &table)?;
            say("wrote docs/detection.md");
        }
        return Ok(());
    }
    let text = corpus.score(&out)?;
    fs::write(out.join("score.json"), &text).context("keeping the score")?;
    let score = Score::of(&text)?;
    write!(io::stdout(), "{}", page::summary(&score)).context("writing to standard output")?;
    if args.page {
        let profiles = profiles::read(&out.join("profiles.jsonl"))?;
        page::write(args, &score, &profiles)?;
        say("wrote docs/detection.md");
    }
    Ok(())
}

/// Runs a campaign against an agent that knows nothing, and keeps in `out` what comes of it.
fn attack(args: &Args, corpus: &Corpus, out: &Path) -> Result<()> {
    if !cmd::is_root() {
        bail!("the agent and the attacks need root");
    }
    build::object()?;
    let agent = build::agent(build::Profile::Release)?;
    let _docker = Docker::ensure()?;
    corpus.build(&args.services)?;
    if out.exists() {
        fs::remove_dir_all(out).context("removing what the last run made")?;
    }
    fs::create_dir_all(out).context("making a directory for the results")?;
    let agent = Agent::start(&agent, out, args.time_scale)?;
    let what = if args.quiet { "watching" } else { "attacking" };
    say(&format!("learning for {} s, then {what} for {} s", args.learn, args.detect));
    let in_between = if args.quiet { agent.survey() } else { agent.approval() };
    let campaign = corpus.campaign(args, out, &in_between);
    agent.stop()?;
    corpus.stop();
    campaign
}

/// The values of a file that has one in JSON on each line.
fn lines<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>> {
    let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    let lines = text.lines().filter(|line| !line.is_empty());
    let read = |line| serde_json::from_str(line).with_context(|| format!("reading {line}"));
    lines.map(read).collect()
}
