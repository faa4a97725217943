//! `plimsoll profile`: what containers are known and allowed to do.

mod allow;
mod approve;
mod diff;
mod exceptions;
mod export;
pub(super) mod import;
mod list;
mod revoke;
mod show;
mod source;

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
    List(list::Args),
    Show(show::Args),
    Approve(approve::ApproveArgs),
    Reset(approve::ResetArgs),
    Deny(approve::DenyArgs),
    Diff(diff::Args),
    Export(export::Args),
    Import(import::Args),
    Allow(Box<allow::Args>),
    Exceptions(exceptions::Args),
    Revoke(revoke::Args),
}

/// Runs the command.
pub fn run(args: Args) -> Result<Exit, Failure> {
    match args.command {
        Command::List(args) => list::run(&args),
        Command::Show(args) => show::run(&args),
        Command::Approve(args) => approve::approve(&args),
        Command::Reset(args) => approve::reset(&args),
        Command::Deny(args) => approve::deny(&args),
        Command::Diff(args) => diff::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Import(args) => import::run(&args),
        Command::Allow(args) => allow::run(&args),
        Command::Exceptions(args) => exceptions::run(&args),
        Command::Revoke(args) => revoke::run(&args),
    }
}
