//! `plimsoll man`: manual pages.

use std::{fs, path::PathBuf};

use anyhow::Context as _;
use clap::CommandFactory;

use super::{
    Cli,
    exit::{Exit, Failure},
};

/// Arguments of `plimsoll man`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where the pages go: plimsoll.1, and one for each command
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

/// Writes the pages.
pub fn run(args: &Args) -> Result<Exit, Failure> {
    let directory = &args.directory;
    let made = fs::create_dir_all(directory)
        .and_then(|()| clap_mangen::generate_to(Cli::command(), directory));
    made.with_context(|| format!("writing pages into {}", directory.display()))
        .map_err(Failure::environment)?;
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page_with_its_options() {
        let home = tempfile::tempdir().expect("a directory");
        let args = Args { directory: home.path().join("man") };
        run(&args).expect("can be written");
        let page = |name: &str| {
            let file = args.directory.join(format!("{name}.1"));
            fs::read_to_string(file).unwrap_or_else(|error| panic!("{name}.1: {error}"))
        };
        assert!(page("plimsoll").contains("Exit codes:"));
        for command in Cli::command().get_subcommands() {
            page(&format!("plimsoll-{}", command.get_name()));
        }
        assert!(page("plimsoll-profile-approve").contains("IMAGE"));
        assert!(page("plimsoll-replay").contains("learn\\-until"));
    }
}
