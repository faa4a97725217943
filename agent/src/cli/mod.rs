//! The command line: one file per subcommand.

pub mod alerts;
pub mod check;
pub mod completions;
pub mod events;
pub mod exit;
pub mod export;
pub mod health;
pub mod incidents;
pub mod man;
pub mod mode;
pub mod output;
pub mod overrides;
pub mod posture;
pub mod profile;
pub mod release;
pub mod replay;
pub mod run;
pub mod sink;
pub mod store;
pub mod swarm;
pub mod timeline;
pub mod top;
pub mod tree;

mod answer;
mod ask;
mod choices;
mod columns;
mod counts;
mod csv;
mod hint;
mod late_bar;
mod log;
mod progress;
mod selection;

use std::{io::Write, process::ExitCode};

use clap::{Parser, Subcommand};

use exit::{Exit, Failure};

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  there are findings, where that was the question
  2  the command line or the configuration is wrong
  3  something on this host is missing or not permitted
  4  the agent does not answer";

/// Shows what containers execute, write and connect to, and stops what does not belong.
#[derive(Debug, Parser)]
#[command(name = "plimsoll", version, after_help = EXIT_CODES, disable_help_subcommand = true)]
pub struct Cli {
    #[command(flatten)]
    log: log::Args,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Args),
    Events(events::Args),
    Alerts(alerts::Args),
    Incidents(incidents::Args),
    Timeline(timeline::Args),
    Tree(tree::Args),
    Export(export::Args),
    Mode(mode::Args),
    Profile(profile::Args),
    Posture(posture::Args),
    Release(release::Args),
    Replay(replay::Args),
    Sink(sink::Args),
    Store(store::Args),
    Swarm(swarm::Args),
    Top(top::Args),
    Health(health::Args),
    /// Tell what this host offers the agent, and what is missing.
    Check(check::Args),
    /// Print a completion script for a shell.
    Completions(completions::Args),
    /// Write manual pages.
    Man(man::Args),
}

/// Parses the command line, runs the command and tells how it ended.
pub fn main() -> ExitCode {
    let Cli { log, command } = Cli::parse();
    let outcome = log::init(&log).and_then(|()| match command {
        Command::Run(args) => run::run(args),
        Command::Events(args) => events::run(&args),
        Command::Alerts(args) => alerts::run(&args),
        Command::Incidents(args) => incidents::run(&args),
        Command::Timeline(args) => timeline::run(&args),
        Command::Tree(args) => tree::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Mode(args) => mode::run(args),
        Command::Profile(args) => profile::run(args),
        Command::Posture(args) => posture::run(args),
        Command::Release(args) => release::run(args),
        Command::Replay(args) => replay::run(&args),
        Command::Sink(args) => sink::run(args),
        Command::Store(args) => store::run(args),
        Command::Swarm(args) => swarm::run(args),
        Command::Top(args) => top::run(&args),
        Command::Health(args) => health::run(&args),
        Command::Check(args) => check::run(args),
        Command::Completions(args) => completions::run(&args),
        Command::Man(args) => man::run(&args),
    });
    outcome.unwrap_or_else(|failure| tell(&failure)).into()
}

/// Prints a failure once, unless it is only that nobody reads the output any more.
fn tell(failure: &Failure) -> Exit {
    if output::is_closed(&failure.error) {
        return Exit::Done;
    }
    let mut stderr = std::io::stderr().lock();
    // There is no one left to tell if this fails.
    let _ = writeln!(stderr, "plimsoll: {failure}");
    if let Some(hint) = hint::of(failure) {
        let _ = writeln!(stderr, "hint: {hint}");
    }
    failure.exit
}

/// The arguments of a command, as a line after its name has them.
#[cfg(test)]
fn parse<A: clap::Args>(line: &str) -> Result<A, clap::Error> {
    let words = std::iter::once("plimsoll").chain(line.split_whitespace());
    let command = A::augment_args(clap::Command::new("plimsoll"));
    A::from_arg_matches(&command.try_get_matches_from(words)?)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn help_names_every_exit_code() {
        let help = Cli::command().render_help().to_string();
        for code in [Exit::Done, Exit::Findings, Exit::Usage, Exit::Environment, Exit::Unreachable]
        {
            let line = format!("\n  {}  ", code as u8);
            assert!(help.contains(&line), "{code:?} is not in\n{help}");
        }
    }
}
