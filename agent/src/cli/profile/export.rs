//! `plimsoll profile export`: the profile of an image or service, as text for version control.

use super::{
    super::{
        columns::print,
        exit::{Exit, Failure},
    },
    source::SourceArgs,
};
use crate::baseline::export::export;

/// Print what is known of an image or service as YAML that changes only with what is known.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// The image as it is asked for, the start of its digest, or a service
    #[arg(value_name = "IMAGE")]
    whom: String,
    #[command(flatten)]
    source: SourceArgs,
}

pub(super) fn run(args: &Args) -> Result<Exit, Failure> {
    print(&export(&args.source.profiles(&args.whom)?))?;
    Ok(Exit::Done)
}
