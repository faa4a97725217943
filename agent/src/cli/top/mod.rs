//! `plimsoll top`: what containers do just now.

mod draw;
mod frame;
mod keys;
mod watch;

#[cfg(test)]
mod tests;

use std::{
    io::{self, IsTerminal},
    thread,
    time::Duration,
};

use anyhow::{Context as _, anyhow};
use ratatui::{
    DefaultTerminal,
    crossterm::event::{self, Event},
};

use super::{
    ask::AgentArgs,
    columns::{Format, lines, print},
    exit::{Exit, Failure},
};
use crate::clock;

use frame::{Frame, Sort};
use keys::Next;
use watch::Watch;

/// Shortest time between two looks.
const LEAST: Duration = Duration::from_millis(200);
/// Width of a batch frame where there is no terminal.
const WIDTH: u16 = 80;

/// Watch what containers do: programs, writes and connects a second, profiles, modes, alerts.
///
/// Keys: s sorts by the next column, r turns the order round, / filters by name, image or service,
/// Esc takes the filter back, arrows move, q ends. Profile is how far the image's profile is; mode is
/// how programs, files and network are treated: l learn, m monitor, e enforce.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Seconds between two looks
    #[arg(long, short, value_name = "SECONDS", default_value_t = 2.0)]
    delay: f64,
    /// By what to sort at first
    #[arg(long, value_enum, default_value_t = Sort::Rate)]
    sort: Sort,
    /// Only containers whose name, image or service holds this
    #[arg(long, value_name = "TEXT", default_value = "")]
    filter: String,
    /// Print one frame and end
    #[arg(long, short, visible_alias = "once")]
    batch: bool,
    /// How to print a frame: a table, or one JSON object a line; json ends after one
    #[arg(long, short, visible_alias = "format", value_enum, default_value_t = Format::Table)]
    output: Format,
    #[command(flatten)]
    agent: AgentArgs,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Exit, Failure> {
    let delay = Duration::try_from_secs_f64(args.delay).ok().filter(|it| *it >= LEAST);
    let delay = delay.ok_or_else(|| {
        Failure::usage(anyhow!("--delay {} is no time of at least 0.2 seconds", args.delay))
    })?;
    let mut watch = Watch::new(args.agent.socket()?);
    let first = watch.look()?;
    let mut frame = Frame::new(args.sort, args.filter.clone());
    frame.show(first);
    if args.batch || args.output == Format::Json {
        thread::sleep(delay);
        frame.show(watch.look()?);
        return batch(&frame, args.output);
    }
    if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        return Err(Failure::usage(anyhow!("this is no terminal: --batch prints one frame")));
    }
    let mut terminal =
        ratatui::try_init().context("taking over the terminal").map_err(Failure::environment)?;
    let ended = interact(&mut terminal, &mut watch, &mut frame, delay);
    ratatui::restore();
    ended.context("drawing on the terminal").map_err(Failure::environment)?;
    Ok(Exit::Done)
}

/// One frame without a terminal.
fn batch(frame: &Frame, output: Format) -> Result<Exit, Failure> {
    print(&match output {
        Format::Json => lines(&frame.objects()),
        Format::Table => {
            let size = ratatui::crossterm::terminal::size().ok();
            let size = size.filter(|(width, _)| io::stdout().is_terminal() && *width > 0);
            let width = size.map_or(WIDTH, |(width, _)| width);
            // Whoever reads it has no keys to scroll by.
            draw::text(frame, width, frame.whole_height())
        }
    })?;
    Ok(Exit::Done)
}

/// Draws, waits for a key or the next look, and so on.
fn interact(
    terminal: &mut DefaultTerminal,
    watch: &mut Watch,
    frame: &mut Frame,
    delay: Duration,
) -> anyhow::Result<()> {
    let mut looked = clock::instant();
    loop {
        terminal.draw(|canvas| draw::draw(frame, canvas))?;
        let rest = delay.saturating_sub(clock::since(looked));
        if event::poll(rest)? {
            if let Event::Key(key) = event::read()?
                && keys::press(frame, key) == Next::End
            {
                return Ok(());
            }
            continue;
        }
        looked = clock::instant();
        match watch.look() {
            Ok(seen) => frame.show(seen),
            Err(failure) => frame.lose(failure.to_string()),
        }
    }
}
