//! Times the cases one after the other, with the program that was started for it.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, ensure};

use super::{
    cases::{CASES, Case, Place},
    inline::{Pair, Times, Turn},
};

/// How often the acts of a case are timed, so many at a time as the case says.
pub(super) const BATCHES: u32 = 15;
/// The agent writes what it was told several times a second: its time is read after that.
const AFTERWORK: Duration = Duration::from_millis(500);

/// A running micro that is told one case after the other.
pub(super) struct Micro {
    child: Child,
    cases: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Micro {
    pub(super) fn start(command: &mut Command) -> Result<Self> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let cases = child.stdin.take().context("micro has no input")?;
        let answers = BufReader::new(child.stdout.take().context("micro has no output")?);
        Ok(Self { child, cases, answers })
    }

    /// Measures all cases, each in a place of its own.
    pub(super) fn all(
        &mut self,
        turn: &Turn,
        place: &dyn Fn(Place) -> String,
        pairs: &mut [Pair],
    ) -> Result<()> {
        for (number, (case, pair)) in CASES.iter().zip(pairs).enumerate() {
            let mut place = place(case.place);
            // A directory for each case, which the program's path is not.
            if !matches!(case.place, Place::Program) {
                place = format!("{place}{number}");
            }
            let times = if turn.is_with { &mut pair.with } else { &mut pair.without };
            self.case(turn, case, &place, times).context(case.name)?;
        }
        Ok(())
    }

    fn case(&mut self, turn: &Turn, case: &Case, place: &str, times: &mut Times) -> Result<()> {
        let cpu = || turn.agent.map_or(Ok(0), |agent| turn.bench.programs.cpu_ns(agent.process()));
        let iterations = turn.bench.scaled(case.iterations);
        let before = cpu()?;
        writeln!(self.cases, "{} {iterations} {place}", case.act)?;
        let mut answer = String::new();
        self.answers.read_line(&mut answer)?;
        let (minimum, median) = pair(&answer)?;
        times.minima.push(minimum);
        times.medians.push(median);
        if turn.agent.is_some() {
            thread::sleep(AFTERWORK);
        }
        // One batch more than is timed warms up.
        let acts = f64::from(iterations) * f64::from(BATCHES + 1);
        times.agent.push((cpu()? - before) as f64 / acts);
        Ok(())
    }
}

impl Drop for Micro {
    fn drop(&mut self) {
        // In a container this is the docker that shows it; the container has a guard of its own.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn pair(answer: &str) -> Result<(f64, f64)> {
    let numbers: Vec<f64> = answer.split_whitespace().flat_map(str::parse).collect();
    ensure!(numbers.len() == 2, "micro answered {answer:?}");
    Ok((numbers[0], numbers[1]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_of_micro_is_a_minimum_and_a_median() {
        assert_eq!(pair("1.50 2.25\n").ok(), Some((1.5, 2.25)));
        assert!(pair("").is_err() && pair("1 2 3").is_err() && pair("micro: open").is_err());
    }
}
