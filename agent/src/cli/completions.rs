//! `plimsoll completions`: completion scripts.

use std::io::Write;

use clap::CommandFactory;
use clap_complete::Shell;

use super::{
    Cli,
    exit::{Exit, Failure},
    output,
};

/// Arguments of `plimsoll completions`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The shell.
    shell: Shell,
}

/// Prints the script.
pub fn run(args: &Args) -> Result<Exit, Failure> {
    let mut out = output::stdout();
    out.write_all(&script(args.shell)).map_err(Failure::environment)?;
    out.flush().map_err(Failure::environment)?;
    Ok(Exit::Done)
}

fn script(shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "plimsoll", &mut script);
    script
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_gets_every_command() {
        for shell in [Shell::Bash, Shell::Elvish, Shell::Fish, Shell::PowerShell, Shell::Zsh] {
            let script = String::from_utf8(script(shell)).expect("is text");
            for command in Cli::command().get_subcommands() {
                assert!(script.contains(command.get_name()), "{shell}: {}", command.get_name());
            }
        }
    }
}
