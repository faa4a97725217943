//! `plimsoll store`: what is recorded, whether it is sound, and making it so.

mod compact;
mod stat;
mod verify;

use std::{path::PathBuf, time::Duration};

use clap::Subcommand;

use super::{
    exit::{Exit, Failure},
    late_bar::LateBar,
    overrides::Overrides,
};
use crate::store::error::{Damage, StoreError};

/// Look after what is recorded: how much there is, whether it is sound, and making it so.
#[derive(Debug, clap::Args)]
#[command(subcommand_required = true)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Stat(stat::Args),
    Verify(verify::Args),
    Compact(compact::Args),
}

/// Runs the command.
pub fn run(args: Args) -> Result<Exit, Failure> {
    match args.command {
        Command::Stat(args) => stat::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Compact(args) => compact::run(&args),
    }
}

/// Which store is meant.
#[derive(Clone, Debug, clap::Args)]
struct Place {
    /// The store in this directory, not in the configured one
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

impl Place {
    fn directory(&self) -> Result<PathBuf, Failure> {
        match &self.data_dir {
            Some(dir) => Ok(dir.clone()),
            None => Ok(Overrides::default().load(None)?.config.agent.data_dir),
        }
    }
}

/// How far a long look at the store is, in bytes.
fn bar() -> LateBar {
    const PATIENCE: Duration = Duration::from_millis(500);
    LateBar::new("{bar:40} {bytes}/{total_bytes}, {eta} left", PATIENCE)
}

/// What is told of damage, as JSON.
#[derive(Debug, serde::Serialize)]
struct Told {
    file: String,
    offset: u64,
    bytes: u64,
    reason: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    observations: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<String>,
}

impl From<&Damage> for Told {
    fn from(damage: &Damage) -> Self {
        Self {
            file: damage.file.display().to_string(),
            offset: damage.offset,
            bytes: damage.bytes,
            reason: damage.reason.clone(),
            observations: damage.rows,
            from: damage.from_ns.and_then(rfc3339),
            to: damage.to_ns.and_then(rfc3339),
        }
    }
}

/// A moment in nanoseconds since the Unix epoch, written down.
fn rfc3339(ns: u64) -> Option<String> {
    jiff::Timestamp::from_nanosecond(i128::from(ns)).ok().map(|it| it.to_string())
}

/// Bytes for people.
fn size(bytes: u64) -> String {
    let units = [(1u64 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let unit = units.into_iter().find(|(unit, _)| bytes >= *unit);
    unit.map_or_else(
        || format!("{bytes} B"),
        |(unit, name)| format!("{:.1} {name}", bytes as f64 / unit as f64),
    )
}

fn failure(error: StoreError) -> Failure {
    Failure::environment(error)
}
