//! Observations that were asked for, on standard output: from the daemon or from the store itself.

use std::{
    io::{self, BufWriter, Write},
    ops::ControlFlow,
    path::Path,
};

use plimsoll_ebpf::rules::Severity;
use serde_json::{Map, Value as Json};

use super::{
    ask,
    exit::{Exit, Failure},
    overrides::Overrides,
    selection::{Output, Selection, seconds},
};
use crate::{
    alert::falco,
    api::{
        client::{self, ClientError, Lines},
        params::Params,
    },
    query::{
        json,
        search::{self, Answer, Query},
        table::{self, Layout, Style},
    },
    store::reader::Reader,
};

/// What a command makes of the answer.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Look {
    /// What stands in a line.
    pub layout: Layout,
    /// An alert that is as bad is a finding.
    pub finding: Option<Severity>,
}

/// Asks and shows the answer; ends with [`Exit::Findings`] if a finding was shown.
pub(super) fn show(selection: &Selection, params: Params, look: Look) -> Result<Exit, Failure> {
    let mut out = Out::new(selection, look);
    ask(selection, params, &mut out)?;
    out.end()
}

/// Asks and hands out each observation.
pub(super) fn each(
    selection: &Selection,
    params: Params,
    take: &mut dyn FnMut(&Map<String, Json>),
) -> Result<(), Failure> {
    ask(selection, params, &mut Each(take))
}

/// Who takes an answer; it may have enough.
trait Taker {
    /// A line of the daemon's: an observation or a notice.
    fn line(&mut self, line: &str) -> ControlFlow<()>;
    /// An observation of the store's.
    fn object(&mut self, object: &Map<String, Json>) -> ControlFlow<()>;
    /// Nothing more comes just now.
    fn flush(&mut self) -> ControlFlow<()>;
}

/// Hands out observations.
struct Each<'t>(&'t mut dyn FnMut(&Map<String, Json>));

impl Taker for Each<'_> {
    fn line(&mut self, line: &str) -> ControlFlow<()> {
        match Line::read(line) {
            Line::Observation(object) => (self.0)(&object),
            Line::Notice(text) => warn(&text),
        }
        ControlFlow::Continue(())
    }

    fn object(&mut self, object: &Map<String, Json>) -> ControlFlow<()> {
        (self.0)(object);
        ControlFlow::Continue(())
    }

    fn flush(&mut self) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

fn ask(selection: &Selection, mut params: Params, out: &mut dyn Taker) -> Result<(), Failure> {
    let query = params.query().map_err(Failure::usage)?;
    // The daemon's clock zone may be another: moments are sent as numbers.
    params.since = params.since.map(|_| seconds(query.since_ns));
    params.until = params.until.map(|_| seconds(query.until_ns));
    if let Some(dir) = &selection.data_dir {
        return from_store(dir, &query, out);
    }
    let config = Overrides::default().load(None)?.config;
    let path = selection.socket.as_ref().unwrap_or(&config.agent.socket);
    match client::get(path, &format!("/v1/events?{}", params.encode())) {
        Ok(lines) => from_daemon(lines, out),
        Err(ClientError::Unreachable { .. }) if selection.socket.is_none() && !params.follow => {
            let dir = &config.agent.data_dir;
            eprintln!("note: no daemon answers on {}; reading {}", path.display(), dir.display());
            from_store(dir, &query, out)
        }
        Err(error) => Err(ask::failure(error)),
    }
}

fn from_daemon(mut lines: Lines, out: &mut dyn Taker) -> Result<(), Failure> {
    loop {
        if !lines.has_line() && out.flush().is_break() {
            return Ok(());
        }
        match lines.next_line().map_err(Failure::environment)? {
            Some(line) if out.line(line).is_continue() => {}
            _ => return Ok(()),
        }
    }
}

fn from_store(dir: &Path, query: &Query, out: &mut dyn Taker) -> Result<(), Failure> {
    let mut reader = Reader::open(dir).map_err(Failure::environment)?;
    let told = search::run(&mut reader, query, &mut |answer| match answer {
        Answer::Row(row) => out.object(&json::object(&row)),
        Answer::Damage(damage) => {
            warn(&damage.to_string());
            ControlFlow::Continue(())
        }
        Answer::Idle => out.flush(),
    });
    told.map_err(Failure::environment)
}

/// What a line of the daemon's answer is.
pub(super) enum Line {
    /// An observation.
    Observation(Map<String, Json>),
    /// Something for people.
    Notice(String),
}

impl Line {
    /// Whether a line is a notice, at a glance.
    fn is_notice(line: &str) -> bool {
        line.starts_with("{\"notice\":")
    }

    /// Reads a line; what is no JSON object is told as such.
    pub(super) fn read(line: &str) -> Self {
        let Ok(mut object) = serde_json::from_str::<Map<String, Json>>(line) else {
            return Self::Notice("a line of the answer is no JSON object".to_owned());
        };
        match (object.len(), object.get_mut("notice")) {
            (1, Some(Json::String(text))) => Self::Notice(std::mem::take(text)),
            _ => Self::Observation(object),
        }
    }
}

/// Tells people of something on standard error.
pub(super) fn warn(text: &str) {
    eprintln!("warning: {}", plimsoll_ebpf::value::readable(text.as_bytes()));
}

/// Standard output, until it fails.
struct Out {
    writer: BufWriter<io::StdoutLock<'static>>,
    output: Output,
    style: Style,
    finding: Option<Severity>,
    has_heading: bool,
    has_finding: bool,
    failed: Option<io::Error>,
}

impl Out {
    fn new(selection: &Selection, look: Look) -> Self {
        Self {
            writer: BufWriter::with_capacity(64 << 10, io::stdout().lock()),
            output: selection.output,
            style: Style::of_stdout(selection.no_trunc).with(look.layout),
            finding: look.finding,
            has_heading: false,
            has_finding: false,
            failed: None,
        }
    }

    fn write(&mut self, line: &str) -> ControlFlow<()> {
        let written = self.writer.write_all(line.as_bytes());
        let written = written.and_then(|()| self.writer.write_all(b"\n"));
        self.check(written)
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
            _ if self.has_finding => Ok(Exit::Findings),
            _ => Ok(Exit::Done),
        }
    }
}

impl Taker for Out {
    fn line(&mut self, line: &str) -> ControlFlow<()> {
        if self.output == Output::Json && self.finding.is_none() && !Line::is_notice(line) {
            return self.write(line);
        }
        match Line::read(line) {
            Line::Observation(object) => self.object(&object),
            Line::Notice(text) => {
                warn(&text);
                ControlFlow::Continue(())
            }
        }
    }

    fn object(&mut self, object: &Map<String, Json>) -> ControlFlow<()> {
        if let Some(finding) = self.finding {
            self.has_finding |= table::severity(object).is_some_and(|it| it >= finding);
        }
        let rendered = match self.output {
            Output::Json => Some(serde_json::to_string(object)),
            Output::Falco => Some(serde_json::to_string(&falco::object(object))),
            Output::Table => None,
        };
        if let Some(line) = rendered {
            return self.write(&line.expect("what was JSON is JSON again"));
        }
        if !self.has_heading {
            self.has_heading = true;
            self.write(&self.style.heading())?;
        }
        self.write(&self.style.line(object))
    }

    fn flush(&mut self) -> ControlFlow<()> {
        let flushed = self.writer.flush();
        self.check(flushed)
    }
}
