//! What single acts take longer, in a watched container and outside of any.

use std::{fmt::Write, fs, path::Path, process::Command};

use anyhow::{Context, Result};

use super::{
    Bench,
    agent::Agent,
    cases::{CASES, Case, Kept, Place},
    container::Container,
    figures::{self, Table},
    machine,
    micro::{BATCHES, Micro},
    programs::NOP,
    stats::Stats,
};

const NOTE: &str = "Times of one act in ns. Pairs are minimum / median: of all batches, and over \
the rounds of each round's median. `agent` is the agent's own processor time for one act; `in all` \
is (with + agent) / without, by minima. Budgets are judged by minima; `in proportion` is one that is exceeded in \
nanoseconds but not as a share of the act, which took less where the budgets were set.";

/// Times of one case under one condition, one entry a round, in nanoseconds.
#[derive(Default)]
pub(super) struct Times {
    pub(super) minima: Vec<f64>,
    pub(super) medians: Vec<f64>,
    pub(super) agent: Vec<f64>,
}

/// One case at one place.
#[derive(Default)]
pub(super) struct Pair {
    pub(super) without: Times,
    pub(super) with: Times,
}

pub(super) fn run(bench: &Bench) -> Result<()> {
    let new = || CASES.iter().map(|_| Pair::default()).collect::<Vec<_>>();
    let (mut inside, mut outside) = (new(), new());
    let mut stats = Stats::default();
    let rounds = bench.args.rounds;
    let mut disturbed = 0;
    for round in 1..=rounds {
        super::progress(&format!("inline, round {round} of {rounds}"));
        // Turns change their order, so that what drifts in one direction favours neither.
        for is_with in [round % 2 == 0, round % 2 == 1] {
            let is_watched = is_with && !bench.args.control;
            let agent = is_watched.then(|| Agent::start(bench)).transpose()?;
            let process = agent.as_ref().map(Agent::process);
            disturbed += u32::from(machine::is_disturbed(process));
            let turn = Turn { bench, is_with, agent: agent.as_ref() };
            turn.take(&mut inside, &mut outside)?;
            if let Some(agent) = agent {
                stats.add(&agent.metrics()?);
                agent.stop()?;
            }
        }
    }
    let mut text = format!("### Single acts\n\n{}\n{NOTE}\n", table(&inside, &outside).render());
    if disturbed > 0 {
        let _ = write!(text, "\nOther agents ran in {disturbed} of {} turns.\n", 2 * rounds);
    }
    super::print(&text)?;
    stats.print()
}

/// All cases measured once, with the agent or without.
pub(super) struct Turn<'a> {
    pub(super) bench: &'a Bench<'a>,
    /// Whether the figures are those with the agent, which a control has none of.
    pub(super) is_with: bool,
    pub(super) agent: Option<&'a Agent>,
}

impl Turn<'_> {
    /// Measures in a new container, then on the host.
    fn take(&self, inside: &mut [Pair], outside: &mut [Pair]) -> Result<()> {
        let container = Container::named("inline");
        let batches = BATCHES.to_string();
        let mut micro = Micro::start(&mut container.micro(&["time", &batches]))?;
        let place = |place| match place {
            Place::Disk => "/disk".to_owned(),
            Place::Memory => "/memory/acts".to_owned(),
            Place::Program => NOP.to_owned(),
        };
        micro.all(self, &place, inside).context("in a container")?;
        drop(micro);
        drop(container);

        let scratch = Scratch::new()?;
        let programs = &self.bench.programs;
        let mut micro = Micro::start(Command::new(&programs.micro).args(["time", &batches]))?;
        let place = |place| match place {
            Place::Disk => scratch.disk.clone(),
            Place::Memory => scratch.memory.clone(),
            Place::Program => programs.nop.display().to_string(),
        };
        micro.all(self, &place, outside).context("on the host")
    }
}

/// Directories on the host, which are removed with this value.
struct Scratch {
    disk: String,
    memory: String,
}

impl Scratch {
    fn new() -> Result<Self> {
        let disk = format!("{}/", super::directory().join("scratch").display());
        let scratch = Self { disk, memory: "/dev/shm/plimsoll-bench/".to_owned() };
        for directory in [&scratch.disk, &scratch.memory] {
            fs::create_dir_all(directory).with_context(|| format!("creating {directory}"))?;
        }
        Ok(scratch)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        for directory in [&self.disk, &self.memory] {
            let _ = fs::remove_dir_all(Path::new(directory));
        }
    }
}

fn table(inside: &[Pair], outside: &[Pair]) -> Table {
    let mut table = Table::new(&[
        "act", "where", "without", "with", "added", "ratio", "agent", "in all", "budget", "kept",
    ]);
    for (case, pair) in CASES.iter().zip(inside) {
        table.row(row(case, "container", pair, true));
    }
    for (case, pair) in CASES.iter().zip(outside) {
        table.row(row(case, "host", pair, case.binds_everywhere));
    }
    table
}

fn row(case: &Case, place: &str, pair: &Pair, is_bound: bool) -> Vec<String> {
    let minimum = |values: &[f64]| figures::minimum(values).unwrap_or(f64::NAN);
    let median = |values: &[f64]| figures::median(values).unwrap_or(f64::NAN);
    let (low, high) = (minimum(&pair.without.minima), minimum(&pair.with.minima));
    let (usual, slowed) = (median(&pair.without.medians), median(&pair.with.medians));
    let agent = median(&pair.with.agent);
    let both =
        |one: f64, other: f64| format!("{} / {}", figures::number(one), figures::number(other));
    let (budget, kept) = if is_bound {
        (case.budget.text(), case.budget.kept(low, high, agent))
    } else {
        ("-".to_owned(), None)
    };
    vec![
        case.name.to_owned(),
        place.to_owned(),
        both(low, usual),
        both(high, slowed),
        both(high - low, slowed - usual),
        format!("{:.2} / {:.2}", high / low, slowed / usual),
        figures::number(agent),
        format!("{:.2}", (high + agent) / low),
        budget,
        kept.map_or("-", Kept::text).to_owned(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_sets_minima_beside_medians() {
        let times = |minima: [f64; 2], medians: [f64; 2], agent: f64| Times {
            minima: minima.to_vec(),
            medians: medians.to_vec(),
            agent: vec![agent],
        };
        let pair = Pair {
            without: times([50.0, 40.0], [60.0, 50.0], 0.0),
            with: times([50.0, 58.0], [70.0, 62.0], 2.0),
        };
        let row = row(&CASES[0], "host", &pair, true);
        assert_eq!(row[2..6], ["40.0 / 55.0", "50.0 / 66.0", "10.0 / 11.0", "1.25 / 1.20"]);
        assert_eq!(row[6..], ["2.0", "1.30", "+15 ns", "yes"]);
    }
}
