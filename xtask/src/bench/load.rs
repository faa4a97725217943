//! What the agent takes for itself, idle and under a paced load in several containers.

use std::{
    fmt::Write,
    io::{BufRead, BufReader, Read},
    process::{Child, ChildStdout, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, ensure};

use super::{
    Bench,
    agent::Agent,
    container::Container,
    figures::{self, Table},
    machine,
    programs::NOP,
    stats::Stats,
    usage::{Usage, Watch, disk_bytes, memory_kib},
};
use crate::cmd;

const CONTAINERS: u32 = 4;
/// A round of a container is ten observations: six files written, a program's start, its exec and
/// its end, and a peer. This many rounds a second make a thousand in all containers.
const ROUNDS: u32 = 25;
const WRITES: u32 = 6;
const IDLE: Duration = Duration::from_secs(10);
/// The first seconds after a start are not idle: containers are listed, files are made.
const START: Duration = Duration::from_secs(2);

/// What there is to tell in the end.
struct Outcome {
    armed_after: Duration,
    idle: Usage,
    busy: Usage,
    acts: Acts,
    stored: u64,
    store_bytes: u64,
    memory_kib: (u64, u64),
}

/// What was done in the containers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Acts {
    writes: u64,
    execs: u64,
    connects: u64,
}

pub(super) fn run(bench: &Bench) -> Result<()> {
    let idle_for = if bench.args.quick { IDLE / 5 } else { IDLE };
    let seconds = if bench.args.quick { bench.args.seconds.min(5) } else { bench.args.seconds };
    let agent = Agent::start(bench)?;
    machine::is_disturbed(Some(agent.process()));
    let loads: Vec<Load> =
        (1..=CONTAINERS).map(|number| Load::start(number, seconds)).collect::<Result<_>>()?;
    thread::sleep(START);
    agent.settle()?;

    super::progress(&format!("load: idle for {} s", idle_for.as_secs()));
    let watch = Watch::new(&bench.programs, agent.process())?;
    thread::sleep(idle_for);
    let idle = watch.usage()?;

    super::progress(&format!("load: {seconds} s in {CONTAINERS} containers"));
    let (before, bytes) = (agent.stored()?, disk_bytes(agent.data()));
    let watch = Watch::new(&bench.programs, agent.process())?;
    for load in &loads {
        load.container.signal("USR1")?;
    }
    let mut acts = Acts::default();
    for load in loads {
        acts = acts.plus(load.end()?);
    }
    let over = watch.elapsed();
    agent.settle()?;
    let busy = Usage { over, ..watch.usage()? };
    let stored = agent.stored()? - before;
    let (memory_kib, armed_after) = (memory_kib(agent.process())?, agent.armed_after);
    let mut stats = Stats::default();
    stats.add(&agent.metrics()?);
    let store_bytes = disk_bytes(agent.data()).saturating_sub(bytes);
    let losses = agent.stop()?.losses()?;
    ensure!(stored > 0, "nothing was stored of {acts:?}");
    let outcome = Outcome { armed_after, idle, busy, acts, stored, store_bytes, memory_kib };
    let mut text = format!("### Paced load\n\n{}", outcome.table().render());
    for ((of, reason), lost) in losses {
        let _ = writeln!(text, "\nLost: {lost} of `{of}` ({reason}).");
    }
    super::print(&text)?;
    stats.print()
}

/// A container that waits for its signal to begin.
struct Load {
    container: Container,
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Load {
    fn start(number: u32, seconds: u32) -> Result<Self> {
        let container = Container::named(&format!("load-{number}"));
        let [seconds, rounds, writes] = [seconds, ROUNDS, WRITES].map(|number| number.to_string());
        let mut command =
            container.micro(&["load", &seconds, &rounds, &writes, "/memory/files", NOP]);
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting `{}`", cmd::line(&command)))?;
        let mut output = BufReader::new(child.stdout.take().context("micro has no output")?);
        let mut line = String::new();
        output.read_line(&mut line).context("waiting for the container")?;
        ensure!(line == "waiting\n", "the container said {line:?}");
        Ok(Self { container, child, output })
    }

    /// Waits for the end, and returns what was done.
    fn end(mut self) -> Result<Acts> {
        let mut told = String::new();
        self.output.read_to_string(&mut told).context("reading what a container did")?;
        let status = self.child.wait().context("waiting for a container")?;
        ensure!(status.success(), "{} ended with {status}", self.container.name());
        Acts::read(&told)
    }
}

impl Acts {
    fn read(told: &str) -> Result<Self> {
        let numbers: Vec<u64> = told.split_whitespace().flat_map(str::parse).collect();
        ensure!(numbers.len() == 3, "micro told {told:?}");
        Ok(Self { writes: numbers[0], execs: numbers[1], connects: numbers[2] })
    }

    fn plus(self, other: Self) -> Self {
        Self {
            writes: self.writes + other.writes,
            execs: self.execs + other.execs,
            connects: self.connects + other.connects,
        }
    }

    /// A program is seen to start, to become what it is, and to end.
    fn observations(self) -> u64 {
        self.writes + 3 * self.execs + self.connects
    }
}

impl Outcome {
    fn table(&self) -> Table {
        let mut table = Table::new(&["what", "measured", "budget"]);
        let mut row = |what: &str, measured: String, budget: &str| {
            table.row(vec![what.to_owned(), measured, budget.to_owned()]);
        };
        let (number, count) = (figures::number, figures::count);
        let mebibytes = |kib: u64| number(kib as f64 / 1024.0);
        let over = self.busy.over.as_secs_f64();
        let stored = self.stored as f64;
        let Acts { writes, execs, connects } = self.acts;
        row("start to armed", format!("{} ms", self.armed_after.as_millis()), "1000 ms");
        row("idle", format!("{:.2} ms/s", self.idle.per_second()), "1 ms/s");
        row(
            "load",
            format!(
                "{} files, {} programs, {} peers in {over:.1} s",
                count(writes),
                count(execs),
                count(connects)
            ),
            "-",
        );
        row(
            "observations expected, stored",
            format!("{}, {}", count(self.acts.observations()), count(self.stored)),
            "-",
        );
        row("stored in a second", number(stored / over), "-");
        row("under load", format!("{:.2} ms/s", self.busy.per_second()), "-");
        row(
            "for each observation stored",
            format!("{:.2} us", self.busy.cpu.as_secs_f64() * 1e6 / stored),
            "1.5 us",
        );
        let idle = Duration::from_secs_f64(self.idle.per_second() / 1e3 * over);
        let net = self.busy.cpu.saturating_sub(idle);
        row(
            "the same, without what idling takes",
            format!("{:.2} us", net.as_secs_f64() * 1e6 / stored),
            "-",
        );
        row("resident memory", format!("{} MiB", mebibytes(self.memory_kib.0)), "48 MiB");
        row("resident memory, at most", format!("{} MiB", mebibytes(self.memory_kib.1)), "48 MiB");
        row(
            "store, for each observation",
            format!("{} bytes", number(self.store_bytes as f64 / stored)),
            "-",
        );
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acts_are_read_and_added() {
        let acts = Acts::read("300 50 40\n").expect("three numbers");
        assert_eq!(acts.plus(acts), Acts { writes: 600, execs: 100, connects: 80 });
        assert_eq!(acts.observations(), 490);
        assert!(Acts::read("").is_err());
    }

    #[test]
    fn a_round_of_a_container_is_ten_observations() {
        let round = Acts { writes: u64::from(WRITES), execs: 1, connects: 1 };
        assert_eq!(round.observations() * u64::from(ROUNDS * CONTAINERS), 1000);
    }
}
