//! `plimsoll profile`: what containers are known and allowed to do.

mod allow;
mod exceptions;
mod revoke;

use clap::Subcommand;

use super::exit::{Exit, Failure};

/// Show and change what containers may do.
#[derive(Debug, clap::Args)]
#[command(subcommand_required = true)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Allow(Box<allow::Args>),
    Exceptions(exceptions::Args),
    Revoke(revoke::Args),
}

/// Runs the command.
pub fn run(args: Args) -> Result<Exit, Failure> {
    match args.command {
        Command::Allow(args) => allow::run(&args),
        Command::Exceptions(args) => exceptions::run(&args),
        Command::Revoke(args) => revoke::run(&args),
    }
}
