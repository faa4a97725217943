//! `plimsoll events`: what happened.

use anyhow::anyhow;

use super::{
    answer::{self, Look},
    exit::{Exit, Failure},
    selection::{Output, Selection},
};
use crate::api::params::Params;

/// Show recorded observations.
///
/// Asks the daemon where it runs, and reads its store otherwise. Oldest first. Values of one
/// option are alternatives; different options must all agree.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Only this event: exec, connect, dns …
    #[arg(long, value_name = "KIND")]
    kind: Vec<String>,
    #[command(flatten)]
    selection: Selection,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Exit, Failure> {
    if args.selection.output == Output::Falco {
        return Err(Failure::usage(anyhow!(
            "Falco's form is for alerts: `plimsoll alerts -o falco`"
        )));
    }
    answer::show(&args.selection, args.params(), Look::default())
}

impl Args {
    fn params(&self) -> Params {
        Params { kinds: self.kind.clone(), ..self.selection.params() }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn parse(line: &str) -> Args {
        let words = std::iter::once("events").chain(line.split_whitespace());
        Line::try_parse_from(words).expect("is right").args
    }

    #[test]
    fn events_are_named_beside_the_rest() {
        let params = parse("--kind exec --kind connect --container web").params();
        assert_eq!((params.kinds.len(), params.containers.len()), (2, 1));
    }

    #[test]
    fn exit_codes_tell_whose_fault_it_is() {
        let exit = |line: &str| run(&parse(line)).map_err(|failure| failure.exit).err();
        assert_eq!(exit("--since soon"), Some(Exit::Usage));
        assert_eq!(exit("-o falco"), Some(Exit::Usage));
        assert_eq!(exit("--where proc.exee"), Some(Exit::Usage));
        assert_eq!(exit("--data-dir /nonexistent/store"), Some(Exit::Environment));
        assert_eq!(exit("--socket /nonexistent/socket"), Some(Exit::Unreachable));
    }
}
