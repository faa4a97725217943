//! `plimsoll timeline`: what happened to a container, from its beginning to its end.

use std::{
    collections::VecDeque,
    io::{BufWriter, Write},
    ops::ControlFlow,
};

use anyhow::anyhow;
use jiff::{Timestamp, tz::TimeZone};
use plimsoll_ebpf::value::readable;
use serde_json::{Map, Value as Json};

use super::{
    answer,
    columns::Format,
    exit::{Exit, Failure},
    output,
    selection::{Range, Source},
};
use crate::{
    api::params::Params,
    query::{
        story::{Line, Story},
        table::text,
    },
};

/// Gaps that concern no container and are told all the same.
const MAX_GAPS: usize = 10_000;
/// What is left out of the story: each program that starts tells as much.
const TELLING: &str = "kind != fork and (kind != exit or exit.signal)";

/// Show what happened to a container, in order of time: what it ran, wrote and talked to, its
/// alerts, its life and what was lost.
///
/// Repeats within a minute of each other are one line, which says how many and until when. The
/// container may be gone: what was recorded of it is told as long as the store keeps it. Losses that
/// concern no container in particular are told too.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Name of a container, start of its id, or a Swarm or compose service
    #[arg(value_name = "CONTAINER|SERVICE")]
    whose: String,
    /// Only this event: exec, connect, alert …
    #[arg(long, value_name = "KIND")]
    kind: Vec<String>,
    /// Only where this holds, as `plimsoll events --where`
    #[arg(long = "where", value_name = "EXPRESSION")]
    expressions: Vec<String>,
    /// How to show it
    #[arg(long, short, visible_alias = "format", value_enum, default_value_t = Format::Table)]
    output: Format,
    #[command(flatten)]
    range: Range,
    #[command(flatten)]
    source: Source,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Exit, Failure> {
    let mut params = args.range.params()?;
    params.kinds.clone_from(&args.kind);
    params.expressions.clone_from(&args.expressions);
    params.query().map_err(Failure::usage)?;
    let is_service = find_out(&args.source, &args.whose, &mut params)?;
    let mut gaps = general_gaps(args, &params)?;
    if args.kind.is_empty() {
        params.expressions.push(TELLING.to_owned());
    }
    let mut teller = Teller::new(args.output, is_service);
    let mut story = Story::default();
    answer::each_until(&args.source, params, &mut |object| {
        while gaps.front().is_some_and(|gap| text(gap, "ts") <= text(object, "ts")) {
            let Some(gap) = gaps.pop_front() else { break };
            story.add(&gap, &mut |line| teller.tell(&line));
        }
        story.add(object, &mut |line| teller.tell(&line));
        if teller.failed.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    for gap in gaps {
        story.add(&gap, &mut |line| teller.tell(&line));
    }
    story.end(&mut |line| teller.tell(&line));
    teller.end()
}

/// Finds out what a name means, and asks for that. Returns whether it is a service.
///
/// # Errors
/// When nothing was recorded of it.
pub(super) fn find_out(source: &Source, whose: &str, params: &mut Params) -> Result<bool, Failure> {
    let is_there = |params: Params| {
        let mut is_there = false;
        let params = Params { limit: Some(1), reverse: true, ..params };
        answer::each(source, params, &mut |_| is_there = true).map(|()| is_there)
    };
    let (since, until) = (params.since.clone(), params.until.clone());
    let asked = Params { since, until, ..Params::default() };
    let names = vec![whose.to_owned()];
    if is_there(Params { containers: names.clone(), ..asked.clone() })? {
        params.containers = names;
        return Ok(false);
    }
    if is_there(Params { services: names.clone(), ..asked })? {
        params.services = names;
        return Ok(true);
    }
    Err(Failure::usage(anyhow!(
        "nothing is recorded of a container or service '{}': `plimsoll events --count-by ctr.name,swarm.service` tells whose acts are",
        readable(whose.as_bytes())
    )))
}

/// Gaps that concern no container: they may have concerned this one.
fn general_gaps(args: &Args, params: &Params) -> Result<VecDeque<Map<String, Json>>, Failure> {
    let mut gaps = VecDeque::new();
    if !args.kind.is_empty() && !args.kind.iter().any(|it| it == "gap") {
        return Ok(gaps);
    }
    let mut expressions = params.expressions.clone();
    expressions.push("not ctr.id".to_owned());
    let params = Params {
        kinds: vec!["gap".to_owned()],
        expressions,
        containers: Vec::new(),
        services: Vec::new(),
        ..params.clone()
    };
    answer::each_until(&args.source, params, &mut |gap| {
        gaps.push_back(gap.clone());
        if gaps.len() < MAX_GAPS { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    Ok(gaps)
}

/// Lines on standard output, until it fails.
struct Teller {
    out: BufWriter<output::Output>,
    format: Format,
    has_containers: bool,
    zone: TimeZone,
    day: String,
    failed: Option<std::io::Error>,
}

impl Teller {
    fn new(format: Format, has_containers: bool) -> Self {
        let out = BufWriter::with_capacity(64 << 10, output::stdout());
        let zone = TimeZone::system();
        Self { out, format, has_containers, zone, day: String::new(), failed: None }
    }

    fn tell(&mut self, line: &Line) {
        let told = match self.format {
            Format::Json => serde_json::to_string(line).expect("it holds texts and numbers") + "\n",
            Format::Table => self.shown(line),
        };
        if self.failed.is_none() {
            self.failed = self.out.write_all(told.as_bytes()).err();
        }
    }

    /// A line for people, below its day where that is a new one.
    fn shown(&mut self, line: &Line) -> String {
        let moment = |ts: &str| ts.parse::<Timestamp>().map(|it| it.to_zoned(self.zone.clone()));
        let (day, time) = moment(&line.ts).map_or_else(
            |_| (String::new(), line.ts.clone()),
            |it| (it.strftime("%Y-%m-%d %Z").to_string(), it.strftime("%H:%M:%S%.3f").to_string()),
        );
        let until = moment(&line.until).map(|it| it.strftime("%H:%M:%S").to_string());
        let repeats = match (line.count, until) {
            (count, Ok(until)) if count > 1 => format!("  x{count} until {until}"),
            (count, _) if count > 1 => format!("  x{count}"),
            _ => String::new(),
        };
        let container =
            if self.has_containers { format!("{:<20} ", line.container) } else { String::new() };
        let process = if line.process.is_empty() { "-" } else { &line.process };
        let Line { kind, what, severity, .. } = line;
        // What is bad stands out where nothing else is in the column.
        let mark = match severity.as_str() {
            "critical" | "high" => "!",
            _ => " ",
        };
        let text = format!("{mark} {time} {container}{kind:<11} {process:<20} {what}{repeats}\n");
        if day == self.day {
            return text;
        }
        self.day.clone_from(&day);
        format!("{day}\n{text}")
    }

    fn end(mut self) -> Result<Exit, Failure> {
        match self.failed.take().or_else(|| self.out.flush().err()) {
            Some(error) => Err(Failure::environment(error)),
            None => Ok(Exit::Done),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        args: Args,
    }

    fn exit(line: &str) -> Option<Exit> {
        let words = std::iter::once("timeline").chain(line.split_whitespace());
        let args = Command::try_parse_from(words).expect("is right").args;
        run(&args).map_err(|failure| failure.exit).err()
    }

    #[test]
    fn exit_codes_tell_whose_fault_it_is() {
        assert_eq!(exit("web --where proc.exee"), Some(Exit::Usage));
        assert_eq!(exit("web --since soon"), Some(Exit::Usage));
        assert_eq!(exit("web --data-dir /nonexistent"), Some(Exit::Environment));
        assert_eq!(exit("web --socket /nonexistent"), Some(Exit::Unreachable));
    }

    #[test]
    fn a_line_says_when_what_and_how_often_below_its_day() {
        let mut teller = Teller::new(Format::Table, false);
        teller.zone = TimeZone::UTC;
        let line = Line {
            ts: "2026-01-01T10:00:00.5Z".to_owned(),
            until: "2026-01-01T10:00:30Z".to_owned(),
            kind: "exec".to_owned(),
            process: "sh[7]".to_owned(),
            what: "sh -c id".to_owned(),
            count: 3,
            ..Line::default()
        };
        assert_eq!(
            teller.shown(&line),
            "2026-01-01 UTC\n  10:00:00.500 exec        sh[7]                sh -c id  x3 until 10:00:30\n"
        );
        let severe = Line { severity: "high".to_owned(), count: 1, ..line };
        assert!(teller.shown(&severe).starts_with("! 10:00:00.500 exec"), "the day stands above");
    }
}
