//! `plimsoll sink`: where alerts are told.

mod test;

use clap::Subcommand;

use super::exit::{Exit, Failure};

/// Try the sinks that the configuration names.
#[derive(Debug, clap::Args)]
#[command(subcommand_required = true)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Test(test::Args),
}

/// Runs the command.
pub fn run(args: Args) -> Result<Exit, Failure> {
    match args.command {
        Command::Test(args) => test::run(args),
    }
}
