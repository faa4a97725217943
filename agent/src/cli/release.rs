//! `plimsoll release`: lets go of what an agent left behind that has ended.

use std::{io::Write, path::PathBuf};

use anyhow::anyhow;

use super::{
    exit::{Exit, Failure},
    output,
    overrides::Overrides,
};
use crate::{
    probe::{armed::own_pid, pins::Place},
    store::directory::is_in_use,
};

/// Let go of the programs that an agent left in the kernel (`response.when_gone` set to `hold`).
///
/// Nothing is stopped any more then. While the agent runs there is nothing to let go of: `plimsoll
/// mode` changes what it stops.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Configuration file.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    overrides: Overrides,
}

/// Runs the command.
pub fn run(args: Args) -> Result<Exit, Failure> {
    let config = args.overrides.load(args.config)?.config;
    let proc_root = config.host.proc_root();
    let place = Place::new(&config.response.pins, &config.agent.data_dir, own_pid(&proc_root));
    let left = place.predecessors();
    if is_in_use(&config.agent.data_dir) {
        return Err(Failure::environment(anyhow!(
            "the agent runs: stop it first, or change what it stops with plimsoll mode"
        )));
    }
    let mut out = output::stdout();
    if left.is_empty() {
        writeln!(out, "nothing is held in {}", config.response.pins.display())
            .map_err(Failure::environment)?;
    }
    for agent in left {
        let pid = agent.pid;
        agent.release().map_err(Failure::environment)?;
        writeln!(out, "released what the agent left that was process {pid}")
            .map_err(Failure::environment)?;
    }
    out.flush().map_err(Failure::environment)?;
    Ok(Exit::Done)
}
