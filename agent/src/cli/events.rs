//! `plimsoll events`: what happened, from the daemon or from the store itself.

use std::{
    io::{self, BufWriter, Write},
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use clap::ValueEnum;
use serde_json::{Map, Value as Json};

use super::{
    ask,
    exit::{Exit, Failure},
    overrides::Overrides,
};
use crate::{
    api::{
        client::{self, ClientError, Lines},
        params::Params,
    },
    clock,
    query::{
        json,
        search::{self, Answer, Query},
        table::Style,
    },
    store::reader::Reader,
};

/// Show recorded observations.
///
/// Asks the daemon where it runs, and reads its store otherwise. Oldest first. Values of one
/// option are alternatives; different options must all agree.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Earliest moment: 10m, 2h, 2026-11-24T14:12:00, 2026-11-24, or seconds since 1970
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Latest moment, as --since
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Only this container, by name or start of its id
    #[arg(long, value_name = "NAME|ID")]
    container: Vec<String>,
    /// Only containers of this image: repository, repository:tag, or start of its digest
    #[arg(long, value_name = "IMAGE")]
    image: Vec<String>,
    /// Only containers of this Swarm or compose service
    #[arg(long, value_name = "NAME")]
    service: Vec<String>,
    /// Only this event: exec, connect, dns …
    #[arg(long, value_name = "KIND")]
    kind: Vec<String>,
    /// Only where this holds, such as: `proc.exe ~ 'sh$' and not net.raddr in 10.0.0.0/8`
    #[arg(long = "where", value_name = "EXPRESSION")]
    expressions: Vec<String>,
    /// Go on with what happens from now on, or from --since or the newest --limit
    #[arg(long, short, conflicts_with = "reverse")]
    follow: bool,
    /// Only the newest N
    #[arg(long, short = 'n', value_name = "N")]
    limit: Option<u64>,
    /// Newest first
    #[arg(long)]
    reverse: bool,
    /// How to show them
    #[arg(long, short, visible_alias = "format", value_enum, default_value_t = Output::Table)]
    output: Output,
    /// Do not cut long lines
    #[arg(long)]
    no_trunc: bool,
    /// Ask the daemon on this socket, not on the configured one
    #[arg(long, value_name = "PATH", conflicts_with = "data_dir")]
    socket: Option<PathBuf>,
    /// Read the store in this directory, without the daemon
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

/// How observations are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// One line each, for people.
    Table,
    /// One JSON object a line.
    Json,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Exit, Failure> {
    let mut params = args.params();
    let query = params.query().map_err(Failure::usage)?;
    // The daemon's clock zone may be another: moments are sent as numbers.
    params.since = params.since.map(|_| seconds(query.since_ns));
    params.until = params.until.map(|_| seconds(query.until_ns));
    let out = Out::new(args);
    if let Some(dir) = &args.data_dir {
        return from_store(dir, &query, out);
    }
    let config = Overrides::default().load(None)?.config;
    let path = args.socket.as_ref().unwrap_or(&config.agent.socket);
    match client::get(path, &format!("/v1/events?{}", params.encode())) {
        Ok(lines) => from_daemon(lines, out),
        Err(ClientError::Unreachable { .. }) if args.socket.is_none() && !args.follow => {
            let dir = &config.agent.data_dir;
            eprintln!("note: no daemon answers on {}; reading {}", path.display(), dir.display());
            from_store(dir, &query, out)
        }
        Err(error) => Err(ask::failure(error)),
    }
}

/// Seconds since the epoch with nine digits behind the point.
fn seconds(ns: u64) -> String {
    format!("{}.{:09}", ns / 1_000_000_000, ns % 1_000_000_000)
}

impl Args {
    fn params(&self) -> Params {
        let from_now = self.follow && self.since.is_none() && self.limit.is_none();
        Params {
            since: self.since.clone().or_else(|| from_now.then(|| seconds(clock::now_ns()))),
            until: self.until.clone(),
            containers: self.container.clone(),
            images: self.image.clone(),
            services: self.service.clone(),
            kinds: self.kind.clone(),
            expressions: self.expressions.clone(),
            limit: self.limit,
            reverse: self.reverse,
            follow: self.follow,
        }
    }
}

fn from_daemon(mut lines: Lines, mut out: Out) -> Result<Exit, Failure> {
    loop {
        if !lines.has_line() && out.flush().is_break() {
            return out.end();
        }
        match lines.next_line().map_err(Failure::environment)? {
            Some(line) if out.line(line).is_continue() => {}
            _ => return out.end(),
        }
    }
}

fn from_store(dir: &Path, query: &Query, mut out: Out) -> Result<Exit, Failure> {
    let mut reader = Reader::open(dir).map_err(Failure::environment)?;
    let told = search::run(&mut reader, query, &mut |answer| match answer {
        Answer::Row(row) => out.object(|| json::object(&row)),
        Answer::Damage(damage) => {
            notice(&damage.to_string());
            ControlFlow::Continue(())
        }
        Answer::Idle => out.flush(),
    });
    told.map_err(Failure::environment)?;
    out.end()
}

fn notice(text: &str) {
    eprintln!("warning: {}", plimsoll_ebpf::value::readable(text.as_bytes()));
}

/// Standard output, until it fails.
struct Out {
    writer: BufWriter<io::StdoutLock<'static>>,
    output: Output,
    style: Style,
    has_heading: bool,
    failed: Option<io::Error>,
}

impl Out {
    fn new(args: &Args) -> Self {
        Self {
            writer: BufWriter::with_capacity(64 << 10, io::stdout().lock()),
            output: args.output,
            style: Style::of_stdout(args.no_trunc),
            has_heading: false,
            failed: None,
        }
    }

    /// A line of the daemon's: an observation or a notice.
    fn line(&mut self, line: &str) -> ControlFlow<()> {
        const NOTICE: &str = "{\"notice\":";
        if self.output == Output::Json && !line.starts_with(NOTICE) {
            return self.write(line);
        }
        let Ok(object) = serde_json::from_str::<Map<String, Json>>(line) else {
            notice("a line of the answer is no JSON object");
            return ControlFlow::Continue(());
        };
        if let (1, Some(Json::String(text))) = (object.len(), object.get("notice")) {
            notice(text);
            return ControlFlow::Continue(());
        }
        self.object(|| object)
    }

    fn object(&mut self, object: impl FnOnce() -> Map<String, Json>) -> ControlFlow<()> {
        if self.output == Output::Json {
            return self.write(&Json::Object(object()).to_string());
        }
        if !self.has_heading {
            self.has_heading = true;
            self.write(&self.style.heading())?;
        }
        self.write(&self.style.line(&object()))
    }

    fn write(&mut self, line: &str) -> ControlFlow<()> {
        let written = self.writer.write_all(line.as_bytes());
        let written = written.and_then(|()| self.writer.write_all(b"\n"));
        self.check(written)
    }

    fn flush(&mut self) -> ControlFlow<()> {
        let flushed = self.writer.flush();
        self.check(flushed)
    }

    fn check(&mut self, result: io::Result<()>) -> ControlFlow<()> {
        match result {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                self.failed = Some(error);
                ControlFlow::Break(())
            }
        }
    }

    /// Whoever closes the pipe has seen enough; other failures are told.
    fn end(mut self) -> Result<Exit, Failure> {
        if self.failed.is_none() {
            let _ = self.flush();
        }
        match self.failed.take() {
            Some(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                // What is buffered cannot be written either.
                Err(Failure::environment(
                    anyhow::Error::from(error).context("writing to standard output"),
                ))
            }
            _ => Ok(Exit::Done),
        }
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

    fn parse(line: &str) -> Result<Args, clap::Error> {
        let words = std::iter::once("events").chain(line.split_whitespace());
        Line::try_parse_from(words).map(|line| line.args)
    }

    #[test]
    fn a_repeated_option_gives_alternatives() {
        let args = parse("--kind exec --kind connect --container web -n 5 --reverse");
        let params = args.expect("is right").params();
        assert_eq!(params.kinds, ["exec", "connect"]);
        assert_eq!(
            (params.containers, params.limit, params.reverse),
            (vec!["web".to_owned()], Some(5), true)
        );
        assert_eq!(params.since, None);
    }

    #[test]
    fn a_follower_starts_at_what_it_was_told_or_now() {
        let since = |line| parse(line).expect("is right").params().since;
        let query = parse("-f").expect("is right").params().query().expect("is right");
        assert!(query.since_ns.abs_diff(clock::now_ns()) < 10_000_000_000);
        assert_eq!(since("-f --since 10m").as_deref(), Some("10m"));
        assert_eq!(since("-f -n 3"), None);
    }

    #[test]
    fn what_excludes_each_other_is_refused() {
        assert!(parse("-f --reverse").is_err());
        assert!(parse("--socket /a --data-dir /b").is_err());
        assert!(parse("-o yaml").is_err());
    }

    #[test]
    fn exit_codes_tell_whose_fault_it_is() {
        let exit =
            |line: &str| run(&parse(line).expect("is right")).map_err(|failure| failure.exit).err();
        assert_eq!(exit("--since soon"), Some(Exit::Usage));
        assert_eq!(exit("--where proc.exee"), Some(Exit::Usage));
        assert_eq!(exit("--data-dir /nonexistent/store"), Some(Exit::Environment));
        assert_eq!(exit("--socket /nonexistent/socket"), Some(Exit::Unreachable));
    }
}
