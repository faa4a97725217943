//! `plimsoll run`: the agent, in the foreground.

use std::{
    io::{self, Write},
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

use anyhow::anyhow;
use clap::ValueEnum;
use plimsoll_ebpf::catalog::CATALOG;
use tokio::signal::unix::{SignalKind, signal};

use super::{
    check,
    exit::{Exit, Failure},
    overrides::Overrides,
};
use crate::{
    clock, daemon,
    query::{
        filter::Filter,
        json,
        search::{self, Answer, Query},
        table::Style,
    },
    store::{reader::Reader, row::StoredRow},
};

/// Events that a person reading along would drown in.
const LEFT_OUT: [&str; 2] = ["fork", "exit"];

/// Run the agent.
///
/// It watches every container on this host, keeps what they do, and shows it as it happens. It
/// ends on SIGTERM or SIGINT; on SIGHUP it opens the files of its sinks anew.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Configuration file.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// What to show on standard output: a line for each observation (without fork and exit), one
    /// JSON object for each, or nothing.
    #[arg(long, short, visible_alias = "format", value_enum, default_value_t = Show::Table)]
    output: Show,
    /// Do not cut long lines
    #[arg(long)]
    no_trunc: bool,
    #[command(flatten)]
    overrides: Overrides,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Show {
    Table,
    Json,
    None,
}

/// Runs the command.
pub fn run(args: Args) -> Result<Exit, Failure> {
    let effective = args.overrides.load(args.config)?;
    let config = &effective.config;
    if let Some(loss) = check::lookups() {
        tracing::warn!("{loss}");
    }
    if let Some(blocker) = check::blocker(config) {
        return Err(Failure::environment(anyhow!(blocker)));
    }
    let is_over = Arc::new(AtomicBool::new(false));
    let mut printer = None;
    let style = Style::of_stdout(args.no_trunc);
    let outcome = daemon::run(config, until_told_to_stop(), || {
        printer = print(args.output, style, &config.agent.data_dir, is_over.clone());
    });
    is_over.store(true, Ordering::Release);
    if let Some(printer) = printer {
        // Its last look at the store is after the last write to it.
        let _ = printer.join();
    }
    outcome.map_err(Failure::environment)?;
    Ok(Exit::Done)
}

async fn until_told_to_stop() {
    let (Ok(mut term), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        tracing::warn!("signals cannot be received: only SIGKILL ends the agent");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = term.recv() => {}
        _ = interrupt.recv() => {}
    }
}

/// Follows the store on a thread of its own: a slow terminal keeps nobody waiting.
fn print(
    show: Show,
    style: Style,
    store: &Path,
    is_over: Arc<AtomicBool>,
) -> Option<JoinHandle<()>> {
    if show == Show::None {
        return None;
    }
    let store = store.to_owned();
    let print = move || {
        let mut printer = Printer { out: io::stdout(), show, style, is_over };
        if let Err(error) = printer.follow(&store) {
            tracing::warn!(error = format!("{error:#}"), "observations are no longer shown");
        }
    };
    thread::Builder::new()
        .name("printer".to_owned())
        .spawn(print)
        .inspect_err(|error| tracing::warn!(%error, "observations are not shown"))
        .ok()
}

struct Printer {
    out: io::Stdout,
    show: Show,
    style: Style,
    is_over: Arc<AtomicBool>,
}

impl Printer {
    fn follow(&mut self, store: &Path) -> anyhow::Result<()> {
        let kinds = match self.show {
            Show::Table => {
                let names = CATALOG.iter().map(|kind| kind.name);
                names.filter(|name| !LEFT_OUT.contains(name)).map(str::to_owned).collect()
            }
            Show::Json | Show::None => Vec::new(),
        };
        let query = Query {
            since_ns: clock::now_ns(),
            filter: Filter { kinds, ..Filter::default() },
            follow: true,
            ..Query::default()
        };
        if self.show == Show::Table {
            writeln!(self.out, "{}", self.style.heading())?;
        }
        let mut failed = None;
        search::run(&mut Reader::open(store)?, &query, &mut |answer| match self.tell(answer) {
            Ok(goes_on) => goes_on,
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        })?;
        failed.map_or(Ok(()), |error| Err(error.into()))
    }

    fn tell(&mut self, answer: Answer) -> io::Result<ControlFlow<()>> {
        match answer {
            Answer::Row(row) => self.line(&row)?,
            Answer::Damage(damage) => tracing::warn!("{damage}"),
            // Nobody asked for a summary.
            Answer::Line(_) | Answer::Notice(_) | Answer::At(_) => {}
            Answer::Idle => {
                self.out.flush()?;
                if self.is_over.load(Ordering::Acquire) {
                    return Ok(ControlFlow::Break(()));
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn line(&mut self, row: &StoredRow) -> io::Result<()> {
        match self.show {
            Show::Json => writeln!(self.out, "{}", json::line(row)),
            Show::Table | Show::None => {
                writeln!(self.out, "{}", self.style.line(&json::object(row)))
            }
        }
    }
}
