//! `plimsoll check`: what this host offers the agent, before it starts.
//!
//! To add an item, add it to the file of its group; each group is a list of items.

mod agent;
mod docker;
mod enforcement;
mod explain;
mod host;
mod item;
mod kernel;
mod privilege;
mod report;
mod running;
mod security;
mod sinks;

use std::{io::Write, path::PathBuf};

use super::{
    exit::{Exit, Failure},
    output,
    overrides::Overrides,
};
use crate::config::sections::Config;
use item::{Item, Status};

/// Arguments of `plimsoll check`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Check with this file, and print every setting in effect with where it comes from. Without
    /// FILE, the one that the agent would read.
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "")]
    config: Option<String>,
    /// How to print: `table`, or `json` with one object a line.
    #[arg(short, long, alias = "format", value_name = "FORMAT", default_value = "table")]
    output: Format,
    #[command(flatten)]
    overrides: Overrides,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Format {
    Table,
    Json,
}

/// Checks, prints, and ends with exit code 3 when something failed.
pub fn run(args: Args) -> Result<Exit, Failure> {
    let is_explained = args.config.is_some();
    let file = args.config.filter(|file| !file.is_empty()).map(PathBuf::from);
    let effective = args.overrides.load(file)?;
    let items = items(&effective.config)?;
    let settings = if is_explained { explain::settings(&effective) } else { Vec::new() };
    let text = match args.output {
        Format::Table => report::table(&items, &settings),
        Format::Json => report::json(&items, &settings),
    };
    let mut out = output::stdout();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(Failure::environment)?;
    let has_failed = items.iter().any(|item| item.status == Status::Fail);
    Ok(if has_failed { Exit::Environment } else { Exit::Done })
}

/// What keeps the agent from starting, in one line; `None` where nothing does. Docker is not asked:
/// the agent waits for it.
pub(super) fn blocker(config: &Config) -> Option<String> {
    // Privileges first: without them much else seems to be missing.
    let items = [privilege::items(), kernel::items(), security::items(), host::items(&config.host)];
    items.into_iter().flatten().find(|item| item.status == Status::Fail).map(in_one_line)
}

/// What is lost since files of containers cannot be looked up, in one line; `None` where they can.
pub(super) fn lookups() -> Option<String> {
    privilege::lookups().map(in_one_line)
}

fn in_one_line(item: Item) -> String {
    let parts = [Some(item.found), item.consequence, item.remedy];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    format!("{}: {}", item.what, parts.join("; "))
}

fn items(config: &Config) -> Result<Vec<Item>, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::environment)?;
    let mut items = kernel::items();
    items.extend(privilege::items());
    items.extend(security::items());
    items.extend(host::items(&config.host));
    items.extend(runtime.block_on(docker::items(&config.docker, &config.host.proc_root())));
    items.extend(agent::items(config));
    items.extend(sinks::items(config));
    items.extend(enforcement::items(config));
    Ok(items)
}
