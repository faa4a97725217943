//! `plimsoll profile exceptions`: what is allowed, to whom, and whether it is used.

use crate::{
    api::{
        client,
        messages::{ChangeAnswer, ExceptionLine, PolicyAnswer, SourceLine},
    },
    cli::{
        ask,
        columns::{Format, lines, moment, print, table},
        exit::{Exit, Failure},
    },
};

/// Show the exceptions and how often each was used.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// Only those that were never used
    #[arg(long)]
    unused: bool,
    /// How to print: a table, or one JSON object a line
    #[arg(long, short, visible_alias = "format", value_enum, default_value_t = Format::Table)]
    output: Format,
    #[command(flatten)]
    agent: ask::AgentArgs,
}

pub(super) fn run(args: &Args) -> Result<Exit, Failure> {
    let socket = args.agent.socket()?;
    let answer: PolicyAnswer = client::value(&socket, "/v1/policy").map_err(ask::failure)?;
    let mut exceptions = answer.exceptions;
    exceptions.retain(|it| !args.unused || it.uses == 0);
    print(&shown(&exceptions, args.output))?;
    Ok(Exit::Done)
}

/// Tells of a change that was made to an exception.
pub(super) fn tell_change(answer: &ChangeAnswer, output: Format) -> Result<Exit, Failure> {
    if let Some(why) = &answer.unsaved {
        eprintln!("warning: this holds until the agent ends: {why}");
    }
    print(&match output {
        Format::Table => shown(answer.exception.as_slice(), output),
        Format::Json => lines(&[answer]),
    })?;
    Ok(Exit::Done)
}

fn shown(exceptions: &[ExceptionLine], output: Format) -> String {
    if output == Format::Json {
        return lines(exceptions);
    }
    let heading = ["ID", "RULE", "PLACE", "FOR", "USES", "LAST USED", "EXPIRES", "FROM", "REASON"];
    let rows: Vec<[String; 9]> = exceptions.iter().map(row).collect();
    table(heading, &rows)
}

fn row(it: &ExceptionLine) -> [String; 9] {
    let expires = match &it.expires {
        Some(at) if it.expired => format!("{}, is over", moment(at)),
        Some(at) => moment(at),
        None => "never".to_owned(),
    };
    let source = match &it.source {
        SourceLine::Config { line } => format!("configuration, line {line}"),
        SourceLine::Operator { made } => format!("command line, {}", moment(made)),
    };
    [
        it.id.clone(),
        it.rule.clone(),
        it.place.clone(),
        it.selector.to_string(),
        it.uses.to_string(),
        it.last_used.as_deref().map_or_else(|| "never".to_owned(), moment),
        expires,
        source,
        it.reason.clone(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_tells_what_is_allowed_to_whom_and_whether_it_is_used() {
        let line = r#"{"id":"0a1b2c3d4e5f","image":"nginx","rule":"new_executable","place":"/opt/*",
            "reason":"","expires":"soon","expired":true,"uses":0,"source":"config","line":4}"#;
        let line: ExceptionLine = serde_json::from_str(line).expect("reads");
        let expected = "\
ID            RULE            PLACE   FOR          USES  LAST USED  EXPIRES        FROM                   REASON
0a1b2c3d4e5f  new_executable  /opt/*  image nginx  0     never      soon, is over  configuration, line 4  -
";
        assert_eq!(shown(&[line], Format::Table), expected);
    }
}
