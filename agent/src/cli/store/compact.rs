//! `plimsoll store compact`: puts a store at rest in order.

use std::fmt::Write;

use serde::Serialize;

use super::{
    super::{
        columns::{Format, lines, print},
        exit::{Exit, Failure},
    },
    Place, Told, bar, failure, size,
};
use crate::store::compact::{Compacted, Plan, compact};

/// Join small blocks, take damaged parts out of segments and drop the index
///
/// Works on a store that no agent has open. Segments are written anew where they have damage or
/// many small blocks; what is damaged is kept beside them. The agent makes the index anew when it
/// starts. Exits 1 where damage was met.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// How to print: for people, or one JSON object
    #[arg(long, short, visible_alias = "format", value_enum, default_value_t = Format::Table)]
    output: Format,
    /// Write every segment anew, as this version writes them
    #[arg(long)]
    all: bool,
    /// Remove what was damaged and set aside, now and before
    #[arg(long)]
    drop_damaged: bool,
    #[command(flatten)]
    place: Place,
}

pub(super) fn run(args: &Args) -> Result<Exit, Failure> {
    let bar = bar();
    let plan = Plan { all: args.all, drop_damaged: args.drop_damaged };
    let done = compact(&args.place.directory()?, plan, &mut |done, total| bar.at(done, total, ""));
    drop(bar);
    let done = done.map_err(failure)?;
    print(&shown(&done, args.output))?;
    Ok(if done.damages.is_empty() { Exit::Done } else { Exit::Findings })
}

#[derive(Serialize)]
struct Answer {
    segments: u64,
    observations: u64,
    blocks_before: u64,
    blocks: u64,
    bytes_before: u64,
    bytes: u64,
    damages: Vec<Told>,
}

fn shown(done: &Compacted, output: Format) -> String {
    if output == Format::Json {
        return lines(&[Answer {
            segments: done.segments,
            observations: done.observations,
            blocks_before: done.blocks.0,
            blocks: done.blocks.1,
            bytes_before: done.bytes.0,
            bytes: done.bytes.1,
            damages: done.damages.iter().map(Told::from).collect(),
        }]);
    }
    let mut text = String::new();
    // Writing to a string cannot fail.
    for damage in &done.damages {
        let _ = writeln!(text, "taken out: {damage}");
    }
    let _ = writeln!(
        text,
        "{} segments written anew: {} observations, {} blocks instead of {}; {} instead of {} in all",
        done.segments,
        done.observations,
        done.blocks.1,
        done.blocks.0,
        size(done.bytes.1),
        size(done.bytes.0)
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_done_is_told() {
        let done = Compacted {
            segments: 2,
            observations: 9,
            blocks: (7, 1),
            bytes: (4096, 1024),
            ..Compacted::default()
        };
        assert_eq!(
            shown(&done, Format::Table),
            "2 segments written anew: 9 observations, 1 blocks instead of 7; 1.0 KiB instead of 4.0 KiB in all\n"
        );
        let json: serde_json::Value =
            serde_json::from_str(&shown(&done, Format::Json)).expect("is JSON");
        assert_eq!((&json["blocks"], &json["bytes_before"]), (&1.into(), &4096.into()));
    }
}
