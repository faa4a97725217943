//! What the agent says of itself, on standard error.

use std::io::{self, IsTerminal};

use anyhow::Context;
use tracing_subscriber::EnvFilter;

use super::exit::Failure;

/// Flags for logging, the same for every command.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// What to log on standard error: error, warn, info, debug, trace, or a filter by module.
    #[arg(
        long,
        global = true,
        env = "PLIMSOLL_LOG",
        value_name = "LEVEL",
        default_value = "info",
        hide_env_values = true,
        conflicts_with = "verbose"
    )]
    log_level: String,
    /// Log more; twice logs everything.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
}

/// Starts logging.
pub(super) fn init(args: &Args) -> Result<(), Failure> {
    let filter = filter(args).map_err(Failure::usage)?;
    let colour = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    tracing_subscriber::fmt()
        .compact()
        .with_writer(io::stderr)
        .with_ansi(colour)
        .with_target(false)
        .with_env_filter(filter)
        .init();
    Ok(())
}

fn filter(args: &Args) -> anyhow::Result<EnvFilter> {
    // Libraries stay one level quieter: their debug output drowns the agent's.
    let filter = match args.verbose {
        0 => args.log_level.as_str(),
        1 => "info,plimsoll=debug",
        _ => "debug,plimsoll=trace",
    };
    let mut filter =
        EnvFilter::try_new(filter).with_context(|| format!("'{filter}' is no log level"))?;
    // What these tell of a request holds the secrets of sinks.
    for library in ["ureq=warn", "ureq_proto=warn"] {
        filter = filter.add_directive(library.parse()?);
    }
    Ok(filter)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter_of(log_level: &str, verbose: u8) -> Result<String, String> {
        let args = Args { log_level: log_level.to_owned(), verbose };
        filter(&args).map(|it| it.to_string()).map_err(|error| error.to_string())
    }

    #[test]
    fn levels_and_filters_are_taken_and_nonsense_is_refused() {
        let quiet = "ureq_proto=warn,ureq=warn";
        assert_eq!(filter_of("warn", 0), Ok(format!("{quiet},warn")));
        assert_eq!(filter_of("trace,ureq=trace", 0), Ok(format!("{quiet},trace")));
        assert_eq!(
            filter_of("warn", 1).as_deref(),
            Ok("ureq_proto=warn,plimsoll=debug,ureq=warn,info")
        );
        assert_eq!(filter_of("a=b=c", 0).expect_err("no level"), "'a=b=c' is no log level");
    }
}
