//! `plimsoll sink test`: sends a test alert through one sink.

use std::path::PathBuf;

use anyhow::{anyhow, bail};

use crate::{
    alert::native::Alert,
    cli::{
        columns,
        exit::{Exit, Failure},
        overrides::Overrides,
    },
    clock,
    config::sink::SinkTable,
    daemon,
    sink::{lines, link},
};

/// Send a test alert through a sink, and tell what the other side answered.
///
/// It is marked as a test, and sent whatever the sink's severity. The agent need not run; what
/// waits in its queue is not touched.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The sink's name in the configuration
    name: String,
    /// Configuration file
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Runs the command.
pub(super) fn run(args: Args) -> Result<Exit, Failure> {
    let config = Overrides::default().load(args.config)?.config;
    let sinks = &config.tables.sinks;
    let Some(sink) = sinks.iter().find(|sink| sink.name == args.name) else {
        return Err(Failure::usage(unknown(&args.name, sinks)));
    };
    let alert = Alert::test(&daemon::node_name(&config), clock::now_ns());
    let answer = send(sink, &alert).map_err(|error| {
        Failure::environment(error.context(format!("{}: {}", sink.name, sink.target)))
    })?;
    if let Some(answer) = answer {
        columns::print(&format!("{}: {}: {answer}\n", sink.name, sink.target))?;
    }
    Ok(Exit::Done)
}

/// Sends it; returns what is to be told of that.
fn send(sink: &SinkTable, alert: &Alert) -> anyhow::Result<Option<String>> {
    if let Some(mut lines) = lines::of(&sink.target) {
        lines.write(&alert.line(sink.format))?;
        // On standard output the alert itself is what is to be seen.
        return Ok((!matches!(lines, lines::Lines::Stdout)).then(|| "written".to_owned()));
    }
    let Some(mut link) = link::of(sink) else { bail!("there is no way to it") };
    link.deliver(std::slice::from_ref(alert)).map(Some).map_err(|fault| anyhow!("{}", fault.why()))
}

fn unknown(name: &str, sinks: &[SinkTable]) -> anyhow::Error {
    let names: Vec<&str> = sinks.iter().map(|sink| sink.name.as_str()).collect();
    if names.is_empty() {
        return anyhow!("there is no sink '{name}': the configuration has none");
    }
    anyhow!("there is no sink '{name}': there are {}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn failure(config: &str, name: &str) -> Failure {
        let file = tempfile::NamedTempFile::new().expect("a file");
        fs::write(file.path(), config).expect("is written");
        let args = Args { name: name.to_owned(), config: Some(file.path().to_owned()) };
        run(args).expect_err("fails")
    }

    #[test]
    fn a_file_gets_a_line_that_says_it_is_a_test() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("alerts");
        let config = directory.path().join("config");
        let text =
            format!("[[sink]]\nname = \"f\"\ntype = \"file\"\npath = \"{}\"\n", path.display());
        fs::write(&config, text).expect("is written");
        run(Args { name: "f".to_owned(), config: Some(config) }).expect("is sent");
        let line = fs::read_to_string(path).expect("is there");
        assert!(line.contains("\"test\":true") && line.ends_with("}\n"), "{line}");
    }

    #[test]
    fn a_receiver_that_is_away_is_the_environments_fault_and_stays_nameless_in_part() {
        let config =
            "[[sink]]\nname = \"w\"\ntype = \"webhook\"\nurl = \"http://127.0.0.1:1/s3cret\"\n";
        let failure = failure(config, "w");
        assert_eq!(failure.exit, Exit::Environment);
        let told = failure.to_string();
        assert!(told.starts_with("w: webhook http://127.0.0.1:1: "), "{told}");
        assert!(!told.contains("s3cret"), "{told}");
    }

    #[test]
    fn an_unknown_name_is_told_with_those_there_are() {
        let config = "[[sink]]\nname = \"out\"\ntype = \"stdout\"\n";
        let failure = failure(config, "in");
        assert_eq!(failure.exit, Exit::Usage);
        assert_eq!(failure.to_string(), "there is no sink 'in': there are out");
    }
}
