//! `plimsoll profile list`: every profile and how far it is.

use super::{
    super::{
        columns::{Format, lines, print, table},
        exit::{Exit, Failure},
    },
    source::SourceArgs,
};
use crate::baseline::{dimension::Context, view::Summary};

/// Show what images and services are learned, and how far that is.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// How to print: a table, or one JSON object a line
    #[arg(long, short, visible_alias = "format", value_enum, default_value_t = Format::Table)]
    output: Format,
    #[command(flatten)]
    source: SourceArgs,
}

pub(super) fn run(args: &Args) -> Result<Exit, Failure> {
    print(&shown(&args.source.summaries()?, args.output))?;
    Ok(Exit::Done)
}

/// Profiles in short.
pub(super) fn shown(profiles: &[Summary], output: Format) -> String {
    if output == Format::Json {
        return lines(profiles);
    }
    let heading =
        ["IMAGE", "PROFILE", "STATE", "CONTAINERS", "STARTS", "UNITS", "BEHAVIOURS", "ALERTS/DAY"];
    let rows: Vec<[String; 8]> = profiles.iter().map(row).collect();
    table(heading, &rows)
}

fn row(it: &Summary) -> [String; 8] {
    let steady = it.parts.iter().filter(|part| part.context == Context::Steady);
    let behaviours: usize = steady.map(|part| part.entries).sum();
    let [expected, bound] = it.cost();
    let state = if it.is_approved { format!("{}, approved", it.state()) } else { it.state() };
    [
        it.image.clone(),
        it.subject.clone(),
        state,
        it.containers.len().to_string(),
        it.starts.to_string(),
        it.units.to_string(),
        behaviours.to_string(),
        format!("{expected:.1} (at most {bound:.1})"),
    ]
}
