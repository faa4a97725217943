//! `plimsoll events`: what happened.

use anyhow::anyhow;

use super::{
    answer::{self, Look},
    counts,
    exit::{Exit, Failure},
    selection::{Output, Selection},
};
use crate::api::params::{AUTO, Params};

/// Show recorded observations.
///
/// Asks the daemon where it runs, and reads its store otherwise. Oldest first. Values of one
/// option are alternatives; different options must all agree. With --count-by or --histogram it is
/// told how much there is instead: of what, or when.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Only this event: exec, connect, dns …
    #[arg(long, value_name = "KIND")]
    kind: Vec<String>,
    /// Count by the values of these fields, most first, and show as many as --limit says
    #[arg(long, value_name = "FIELD", value_delimiter = ',', conflicts_with_all = ["follow", "reverse"])]
    count_by: Vec<String>,
    /// Count over time, in intervals of this length; with `--count-by kind`, each event by itself
    #[arg(
        long,
        value_name = "INTERVAL",
        num_args = 0..=1,
        default_missing_value = AUTO,
        conflicts_with_all = ["follow", "reverse", "limit"]
    )]
    histogram: Option<String>,
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
    if args.histogram.is_some() {
        let is_by_kind = match args.count_by.as_slice() {
            [] => false,
            [kind] if kind == "kind" => true,
            _ => {
                return Err(Failure::usage(anyhow!(
                    "over time it is counted by kind alone: `--histogram --count-by kind`"
                )));
            }
        };
        return counts::over_time(&args.selection, args.params(), is_by_kind);
    }
    if !args.count_by.is_empty() {
        return counts::by_fields(&args.selection, args.params());
    }
    answer::show(&args.selection, args.params(), Look::default())
}

impl Args {
    fn params(&self) -> Params {
        let is_over_time = self.histogram.is_some();
        Params {
            kinds: self.kind.clone(),
            count_by: if is_over_time { Vec::new() } else { self.count_by.clone() },
            histogram: self.histogram.clone(),
            ..self.selection.params()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::parse as parsed;

    fn parse(line: &str) -> Args {
        parsed(line).expect("is right")
    }

    #[test]
    fn events_are_named_beside_the_rest() {
        let params = parse("--kind exec --kind connect --container web").params();
        assert_eq!((params.kinds.len(), params.containers.len()), (2, 1));
    }

    #[test]
    fn counts_are_asked_for_by_fields_or_over_time() {
        let params = parse("--count-by proc.exe,kind -n 3").params();
        assert_eq!((params.count_by.len(), params.limit, params.histogram), (2, Some(3), None));
        let params = parse("--histogram --container web").params();
        assert_eq!(params.histogram.as_deref(), Some(AUTO));
        let params = parse("--histogram 5m --count-by kind").params();
        assert_eq!((params.histogram.as_deref(), params.count_by.len()), (Some("5m"), 0));
        assert!(parsed::<Args>("--count-by kind -f").is_err());
    }

    #[test]
    fn exit_codes_tell_whose_fault_it_is() {
        let exit = |line: &str| run(&parse(line)).map_err(|failure| failure.exit).err();
        assert_eq!(exit("--since soon"), Some(Exit::Usage));
        assert_eq!(exit("-o falco"), Some(Exit::Usage));
        assert_eq!(exit("-o csv --fields proc.exee"), Some(Exit::Usage));
        assert_eq!(exit("--count-by proc.exee"), Some(Exit::Usage));
        assert_eq!(exit("--histogram soon"), Some(Exit::Usage));
        assert_eq!(exit("--histogram 5m --count-by proc.exe"), Some(Exit::Usage));
        assert_eq!(exit("--where proc.exee"), Some(Exit::Usage));
        assert_eq!(exit("--data-dir /nonexistent/store"), Some(Exit::Environment));
        assert_eq!(exit("--socket /nonexistent/socket"), Some(Exit::Unreachable));
    }
}
