//! What is seen, lost and told as lost when more happens at once than the agent can take.

use std::{fmt::Write, time::Duration};

use anyhow::{Context, Result, ensure};

use super::{
    Bench,
    agent::Agent,
    container::Container,
    events::Losses,
    figures::{self, Table},
    machine,
    programs::NOP,
    stats::Stats,
    usage::Watch,
};
use crate::cmd;

/// Many acts of one kind on all processors at once.
struct Burst {
    name: &'static str,
    /// Names the container.
    purpose: &'static str,
    /// What micro is told, without the count.
    mode: &'static str,
    place: &'static str,
    /// Acts a second, where it is not as many as there can be.
    rate: Option<&'static str>,
    kind: &'static str,
    count: u32,
    /// What a line about one of these acts holds, in JSON.
    mark: &'static str,
    budget: &'static str,
}

const FILES: Burst = Burst {
    name: "files written",
    purpose: "burst-files",
    mode: "burst-files",
    place: "/memory",
    rate: None,
    kind: "file_write",
    count: 200_000,
    mark: "\"path\":\"/memory/",
    budget: "lost only as counted gaps",
};

const EXECS: Burst = Burst {
    name: "programs started",
    purpose: "burst-execs",
    mode: "burst-execs",
    place: NOP,
    rate: Some("0"),
    kind: "exec",
    count: 20_000,
    mark: "\"exe\":\"/usr/bin/nop\"",
    budget: "-",
};

const BURSTS: &[Burst] = &[
    FILES,
    Burst {
        name: "programs started, 5000 a second",
        purpose: "burst-execs-paced",
        rate: Some("5000"),
        budget: "none lost",
        ..EXECS
    },
    Burst { name: "programs started, as fast as can be", ..EXECS },
];

/// What became of a burst.
struct Outcome {
    done: u64,
    took_ns: u64,
    seen: u64,
    losses: Losses,
    stored: u64,
    agent_cpu: Duration,
}

pub(super) fn run(bench: &Bench) -> Result<()> {
    let mut table = Table::new(&[
        "burst",
        "done",
        "a second",
        "seen",
        "lost, told as gap",
        "unaccounted",
        "stored in all",
        "agent, us each",
        "budget",
    ]);
    let mut gaps = Table::new(&["burst", "lost event", "reason", "lost"]);
    let mut stats = Stats::default();
    for burst in BURSTS {
        let outcome = burst.run(bench, &mut stats).context(burst.name)?;
        table.row(burst.row(&outcome));
        for ((of, reason), lost) in &outcome.losses {
            let cells = [burst.name, of, reason].map(str::to_owned);
            gaps.row([&cells[..], &[figures::count(*lost)]].concat());
        }
    }
    let mut text = format!("### Bursts\n\n{}", table.render());
    if !gaps.is_empty() {
        let _ = write!(text, "\nWhat the gaps tell:\n\n{}", gaps.render());
    }
    super::print(&text)?;
    stats.print()
}

impl Burst {
    fn run(&self, bench: &Bench, stats: &mut Stats) -> Result<Outcome> {
        let count = bench.scaled(self.count).to_string();
        super::progress(&format!("burst: {count} {}", self.name));
        let agent = Agent::start(bench)?;
        machine::is_disturbed(Some(agent.process()));
        let container = Container::named(self.purpose);
        let mut arguments = vec![self.mode, self.place, &count];
        arguments.extend(self.rate);
        let (watch, before) = (Watch::new(&bench.programs, agent.process())?, agent.stored()?);
        let told = cmd::output(&mut container.micro(&arguments))?;
        let (done, took_ns) = pair(&told)?;
        agent.settle()?;
        let (agent_cpu, stored) = (watch.usage()?.cpu, agent.stored()? - before);
        stats.add(&agent.metrics()?);
        let store = agent.stop()?;
        let seen = store.seen(container.name(), self.kind, self.mark)?;
        Ok(Outcome { done, took_ns, seen, losses: store.losses()?, stored, agent_cpu })
    }

    fn row(&self, outcome: &Outcome) -> Vec<String> {
        let Outcome { done, took_ns, seen, stored, agent_cpu, .. } = *outcome;
        let lost = outcome.lost_of(self.kind);
        let rate = done as f64 / (took_ns as f64 / 1e9);
        let unaccounted = done as f64 - seen as f64 - lost as f64;
        vec![
            self.name.to_owned(),
            figures::count(done),
            figures::number(rate),
            figures::count(seen),
            figures::count(lost),
            format!("{unaccounted:.0}"),
            figures::count(stored),
            format!("{:.2}", agent_cpu.as_secs_f64() * 1e6 / stored as f64),
            self.budget.to_owned(),
        ]
    }
}

impl Outcome {
    /// Losses of the event, and those of which it is not told what they are.
    fn lost_of(&self, kind: &str) -> u64 {
        let of_it = self.losses.iter().filter(|((of, _), _)| of == kind || of.is_empty());
        of_it.map(|(_, lost)| lost).sum()
    }
}

fn pair(told: &str) -> Result<(u64, u64)> {
    let numbers: Vec<u64> = told.split_whitespace().flat_map(str::parse).collect();
    ensure!(numbers.len() == 2, "micro told {told:?}");
    Ok((numbers[0], numbers[1]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_neither_seen_nor_told_as_lost_is_unaccounted() {
        let gap = |of: &str, lost| ((of.to_owned(), "ring_full".to_owned()), lost);
        let losses = Losses::from([gap("exec", 5), gap("fork", 7), gap("", 1)]);
        let agent_cpu = Duration::from_millis(6);
        let outcome = Outcome {
            done: 1000,
            took_ns: 500_000_000,
            seen: 990,
            losses,
            stored: 3000,
            agent_cpu,
        };
        let row = EXECS.row(&outcome);
        assert_eq!(row[1..8], ["1000", "2000", "990", "6", "4", "3000", "2.00"]);
    }

    #[test]
    fn a_burst_tells_how_many_and_how_long() {
        assert_eq!(pair("100 5000\n").ok(), Some((100, 5000)));
        assert!(pair("").is_err());
    }
}
