//! Observations that were asked for, on standard output: from the daemon or from the store itself.

use std::{
    io::{self, BufWriter, IsTerminal, Write},
    ops::ControlFlow,
    path::Path,
};

use anyhow::anyhow;
use plimsoll_ebpf::rules::Severity;
use serde_json::{Map, Value as Json};

use super::{
    ask,
    csv::Sheet,
    exit::{Exit, Failure},
    overrides::Overrides,
    progress::Progress,
    selection::{Output, Selection, Source, seconds},
};
use crate::{
    alert::falco,
    api::{
        client::{self, ClientError, Lines},
        params::Params,
    },
    clock,
    query::{
        json, moment,
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
    let mut out = Out::new(selection, look)?;
    ask(&selection.source, params, &mut out)?;
    out.end()
}

/// Asks and hands out each observation, or each line of a summary.
pub(super) fn each(
    source: &Source,
    params: Params,
    take: &mut dyn FnMut(&Map<String, Json>),
) -> Result<(), Failure> {
    each_until(source, params, &mut |object| {
        take(object);
        ControlFlow::Continue(())
    })
}

/// Asks and hands out each observation until there were enough. An answer that is not whole is told.
pub(super) fn each_until(
    source: &Source,
    params: Params,
    take: &mut dyn FnMut(&Map<String, Json>) -> ControlFlow<()>,
) -> Result<(), Failure> {
    if let Some(why) = each_or_end(source, params, take)? {
        warn(&why);
    }
    Ok(())
}

/// The same, for who needs all there is: returns why the answer ended before.
pub(super) fn each_or_end(
    source: &Source,
    mut params: Params,
    take: &mut dyn FnMut(&Map<String, Json>) -> ControlFlow<()>,
) -> Result<Option<String>, Failure> {
    params.progress = io::stderr().is_terminal();
    let until_ns = params.query().map_err(Failure::usage)?.until_ns.min(clock::now_ns());
    let is_summary = !params.count_by.is_empty() || params.histogram.is_some();
    // Backwards there is no moment to come to.
    let progress = (!params.reverse).then(|| Progress::new(until_ns));
    let mut each = Each { take, progress, looked_at: 0, is_summary, ended: None };
    ask(source, params, &mut each)?;
    Ok(each.ended)
}

/// Who takes an answer; it may have enough.
trait Taker {
    /// A line of the daemon's: an observation or a notice.
    fn line(&mut self, line: &str) -> ControlFlow<()>;
    /// An observation of the store's.
    fn object(&mut self, object: &Map<String, Json>) -> ControlFlow<()>;
    /// A summary is at this moment since the Unix epoch.
    fn at(&mut self, _ts_ns: u64) {}
    /// Something that people have to know.
    fn notice(&mut self, text: &str) {
        warn(text);
    }
    /// There may be more, but the daemon tells no more of it.
    fn ended(&mut self, why: String);
    /// Nothing more comes just now.
    fn flush(&mut self) -> ControlFlow<()>;
}

/// Hands out observations.
struct Each<'t> {
    take: &'t mut dyn FnMut(&Map<String, Json>) -> ControlFlow<()>,
    progress: Option<Progress>,
    looked_at: u64,
    is_summary: bool,
    ended: Option<String>,
}

impl Taker for Each<'_> {
    fn line(&mut self, line: &str) -> ControlFlow<()> {
        match Line::read(line) {
            Line::Observation(object) => return self.object(&object),
            Line::Notice(text) => self.notice(&text),
            Line::End(why) => self.ended(why),
            Line::At(ts_ns) => self.at(ts_ns),
        }
        ControlFlow::Continue(())
    }

    fn object(&mut self, object: &Map<String, Json>) -> ControlFlow<()> {
        self.looked_at += 1;
        if let Some(progress) = self.progress.as_mut().filter(|_| !self.is_summary) {
            progress.step(self.looked_at, || moment_of(object));
        }
        (self.take)(object)
    }

    fn at(&mut self, ts_ns: u64) {
        if let Some(progress) = &mut self.progress {
            progress.at(ts_ns, "");
        }
    }

    fn notice(&mut self, text: &str) {
        match &self.progress {
            Some(progress) => progress.pause(|| warn(text)),
            None => warn(text),
        }
    }

    fn ended(&mut self, why: String) {
        self.ended = Some(why);
    }

    fn flush(&mut self) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

fn ask(source: &Source, mut params: Params, out: &mut dyn Taker) -> Result<(), Failure> {
    let query = params.query().map_err(Failure::usage)?;
    // The daemon's clock zone may be another: moments are sent as numbers.
    params.since = params.since.map(|_| seconds(query.since_ns));
    params.until = params.until.map(|_| seconds(query.until_ns));
    if let Some(dir) = &source.data_dir {
        return from_store(dir, &query, out);
    }
    let config = Overrides::default().load(None)?.config;
    let path = source.socket.as_ref().unwrap_or(&config.agent.socket);
    match client::get(path, &format!("/v1/events?{}", params.encode())) {
        Ok(lines) => from_daemon(lines, out),
        Err(ClientError::Unreachable { .. }) if source.socket.is_none() && !params.follow => {
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
        Answer::Line(line) => out.object(&line),
        Answer::Notice(text) => {
            out.notice(&text);
            ControlFlow::Continue(())
        }
        Answer::At(ts_ns) => {
            out.at(ts_ns);
            ControlFlow::Continue(())
        }
        Answer::Damage(damage) => {
            out.notice(&damage.to_string());
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
    /// Why there is no more, though there may be.
    End(String),
    /// How far a summary is, in nanoseconds since the Unix epoch.
    At(u64),
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
        if object.len() == 2
            && object.get("ends") == Some(&Json::Bool(true))
            && let Some(Json::String(why)) = object.get_mut("notice")
        {
            return Self::End(std::mem::take(why));
        }
        if object.len() == 1 {
            if let Some(Json::String(text)) = object.get_mut("notice") {
                return Self::Notice(std::mem::take(text));
            }
            if let Some(Json::String(at)) = object.get("at") {
                return Self::At(moment::parse(at).unwrap_or_default());
            }
        }
        Self::Observation(object)
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
    /// The columns of CSV.
    sheet: Sheet,
    finding: Option<Severity>,
    has_heading: bool,
    has_finding: bool,
    progress: Option<Progress>,
    looked_at: u64,
    ended: Option<String>,
    failed: Option<io::Error>,
}

impl Out {
    fn new(selection: &Selection, look: Look) -> Result<Self, Failure> {
        let is_forwards = !selection.follow && !selection.reverse;
        Ok(Self {
            writer: BufWriter::with_capacity(64 << 10, io::stdout().lock()),
            output: selection.output,
            style: Style::of_stdout(selection.no_trunc).with(look.layout),
            finding: look.finding,
            sheet: Sheet::of(&selection.fields)?,
            has_heading: false,
            has_finding: false,
            progress: is_forwards.then(|| Progress::beside_results(clock::now_ns())),
            looked_at: 0,
            ended: None,
            failed: None,
        })
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
        self.progress = None;
        if self.failed.is_none() {
            // Without a line a file of values has its heading all the same.
            if self.output == Output::Csv && !self.has_heading {
                let _ = self.write(&self.sheet.heading());
            }
            let _ = self.flush();
        }
        match self.failed.take() {
            Some(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                // What is buffered cannot be written either.
                Err(Failure::environment(
                    anyhow::Error::from(error).context("writing to standard output"),
                ))
            }
            // One is enough, whatever else there is.
            _ if self.has_finding => Ok(Exit::Findings),
            _ => match self.ended {
                Some(why) => Err(Failure::environment(anyhow!("the answer is not whole: {why}"))),
                None => Ok(Exit::Done),
            },
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
            Line::End(why) => {
                self.ended(why);
                ControlFlow::Continue(())
            }
            Line::At(_) => ControlFlow::Continue(()),
        }
    }

    fn ended(&mut self, why: String) {
        self.ended = Some(why);
    }

    fn object(&mut self, object: &Map<String, Json>) -> ControlFlow<()> {
        self.looked_at += 1;
        if let Some(progress) = &mut self.progress {
            progress.step(self.looked_at, || moment_of(object));
        }
        if let Some(finding) = self.finding {
            self.has_finding |= table::severity(object).is_some_and(|it| it >= finding);
        }
        let rendered = match self.output {
            Output::Json => Some(serde_json::to_string(object)),
            Output::Falco => Some(serde_json::to_string(&falco::object(object))),
            Output::Table | Output::Csv => None,
        };
        if let Some(line) = rendered {
            return self.write(&line.expect("what was JSON is JSON again"));
        }
        let is_csv = self.output == Output::Csv;
        if !self.has_heading {
            self.has_heading = true;
            let heading = if is_csv { self.sheet.heading() } else { self.style.heading() };
            self.write(&heading)?;
        }
        let line = if is_csv { self.sheet.line(object) } else { self.style.line(object) };
        self.write(&line)
    }

    fn flush(&mut self) -> ControlFlow<()> {
        let flushed = self.writer.flush();
        self.check(flushed)
    }
}

/// The moment of an observation.
fn moment_of(object: &Map<String, Json>) -> Option<u64> {
    table::find(object, "ts").and_then(Json::as_str).and_then(moment::of_rfc3339)
}
