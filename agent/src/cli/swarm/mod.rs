//! `plimsoll swarm`: what concerns the service that agents run as.

mod harden;
mod privileges;

use super::exit::{Exit, Failure};

/// Change the service that agents run as in a Swarm.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Harden(harden::Args),
}

/// Runs the command.
pub fn run(args: Args) -> Result<Exit, Failure> {
    match args.command {
        Command::Harden(args) => harden::run(&args),
    }
}
