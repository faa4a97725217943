//! What a guest left behind, read: the kernel's facts, the agent's programs, the tests.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// What was found out about a kernel.
#[derive(Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub(super) struct Outcome {
    pub(super) release: String,
    /// Whether programs of BPF LSM are called.
    pub(super) has_bpf_lsm: bool,
    /// By class: whether acts are refused before they take effect.
    pub(super) denies: BTreeMap<String, bool>,
    pub(super) programs: BTreeMap<String, Program>,
    /// What tests counted, by what they tried.
    pub(super) figures: BTreeMap<String, String>,
    pub(super) passed: Vec<String>,
    /// Those of the passed that failed at first, beside another test.
    #[serde(default)]
    pub(super) passed_again: Vec<String>,
    pub(super) failed: Vec<String>,
}

/// What became of a program.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub(super) struct Program {
    pub(super) is_attached: bool,
    /// What the verifier followed; zero where the kernel does not tell.
    pub(super) instructions: u64,
    /// What the agent says of one that is not attached.
    pub(super) why: String,
}

impl Outcome {
    /// Reads what the suite wrote to this directory.
    pub(super) fn read(out: &Path) -> Result<Self> {
        let text = |name: &str| {
            let path = out.join(name);
            fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))
        };
        let metrics = text("metrics")?;
        let mut programs = programs(&metrics);
        for (program, why) in refusals(&text("agent.log")?) {
            why.clone_into(&mut programs.entry(program.to_owned()).or_default().why);
        }
        let tests = text("tests")?;
        let again = fs::read_to_string(out.join("tests.again")).unwrap_or_default();
        let passed_again = tests_that(&again, "ok");
        let mut passed = tests_that(&tests, "ok");
        let mut failed = tests_that(&tests, "FAILED");
        passed.extend_from_slice(&passed_again);
        failed.retain(|test| !passed_again.contains(test));
        Ok(Self {
            release: text("release")?.trim_end().to_owned(),
            has_bpf_lsm: text("lsm")?.trim_end().split(',').any(|module| module == "bpf"),
            denies: series(&metrics, "plimsoll_enforcement_denies", "class")
                .map(|(class, value)| (class.to_owned(), value > 0))
                .collect(),
            programs,
            figures: figures(&tests).chain(figures(&again)).collect(),
            passed,
            passed_again,
            failed,
        })
    }

    /// Adds what another guest of the same kernel left.
    pub(super) fn add(&mut self, mut other: Self) {
        other.figures.extend(std::mem::take(&mut self.figures));
        other.passed.append(&mut self.passed);
        other.passed_again.append(&mut self.passed_again);
        other.failed.append(&mut self.failed);
        other.passed.sort();
        *self = other;
    }

    /// Whether it is known what came of the test.
    pub(super) fn has_ended(&self, test: &str) -> bool {
        self.passed.iter().chain(&self.failed).any(|name| name == test)
    }

    /// How many programs are attached.
    pub(super) fn attached(&self) -> usize {
        self.programs.values().filter(|program| program.is_attached).count()
    }
}

fn programs(metrics: &str) -> BTreeMap<String, Program> {
    let mut programs = BTreeMap::<String, Program>::new();
    for (program, value) in series(metrics, "plimsoll_probe_attached", "probe") {
        programs.entry(program.to_owned()).or_default().is_attached = value > 0;
    }
    for (program, value) in series(metrics, "plimsoll_probe_verified_instructions", "probe") {
        programs.entry(program.to_owned()).or_default().instructions = value;
    }
    programs
}

/// The series of a family by their only label.
fn series<'m>(metrics: &'m str, family: &str, label: &str) -> impl Iterator<Item = (&'m str, u64)> {
    let start = format!("{family}{{{label}=\"");
    metrics.lines().filter_map(move |line| {
        let (value, count) = line.strip_prefix(&start)?.split_once("\"} ")?;
        Some((value, count.parse().ok()?))
    })
}

/// What tests show: what was tried, how it is stopped, and what was counted.
fn figures(output: &str) -> impl Iterator<Item = (String, String)> {
    output.lines().filter_map(|line| {
        let (tried, counted) =
            [" (denied): ", " (killed): "].iter().find_map(|it| line.split_once(it))?;
        Some((tried.to_owned(), counted.to_owned()))
    })
}

/// What the agent logs of each program that it did not attach.
fn refusals(log: &str) -> impl Iterator<Item = (&str, &str)> {
    log.lines().filter_map(|line| {
        let (_, told) = line.split_once(" not attached status.program=\"")?;
        let (program, why) = told.split_once("\" why=")?;
        Some((program, why.trim_matches('"')))
    })
}

/// The tests that ended so. A test's line may be torn by another's where two run at once; the end
/// of the output repeats only those that failed.
fn tests_that(output: &str, ended: &str) -> Vec<String> {
    let mut tests: Vec<String> = output
        .lines()
        .filter_map(|line| line.strip_prefix("test ")?.split_once(" ... "))
        .filter(|(_, how)| *how == ended)
        .map(|(name, _)| name.to_owned())
        .collect();
    tests.sort();
    tests
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_read_from_metrics() {
        let metrics = "# HELP plimsoll_probe_attached x\nplimsoll_probe_attached{probe=\"a\"} 1\n\
            plimsoll_probe_attached{probe=\"b\"} 0\n\
            plimsoll_probe_verified_instructions{probe=\"a\"} 512\nplimsoll_other 3\n";
        let programs = programs(metrics);
        let attached = Program { is_attached: true, instructions: 512, why: String::new() };
        assert_eq!(programs.get("a"), Some(&attached));
        assert_eq!(programs.get("b"), Some(&Program::default()));
    }

    #[test]
    fn why_a_program_is_not_attached_is_read_from_the_log() {
        let log = "2026Z  INFO not attached status.program=\"on_x\" why=\"no tracepoint y\"\n\
            2026Z  INFO ready programs=18\n";
        assert_eq!(refusals(log).collect::<Vec<_>>(), [("on_x", "no tracepoint y")]);
    }

    #[test]
    fn what_tests_count_is_read_from_their_output() {
        let output = "---- a::x stdout ----\none thread writes (denied): written=0 refused=1000\n\
            something else\n";
        let figures: Vec<_> = figures(output).collect();
        let counted = ("one thread writes".to_owned(), "written=0 refused=1000".to_owned());
        assert_eq!(figures, [counted]);
    }

    #[test]
    fn what_the_next_guest_leaves_is_added() {
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        let part = |passed: &[&str], failed: &[&str]| Outcome {
            passed: names(passed),
            failed: names(failed),
            ..Outcome::default()
        };
        let mut outcome = part(&["b"], &["c"]);
        outcome.add(part(&["a"], &[]));
        assert_eq!(outcome, part(&["a", "b"], &["c"]));
        assert!(outcome.has_ended("c") && !outcome.has_ended("d"));
    }

    #[test]
    fn tests_are_sorted_by_how_they_ended() {
        let output = "running 3 tests\ntest b ... ok\ntest a::x ... FAILED\ntest a ... ok\n\n\
            failures:\n    a::x\ntest result: FAILED. 2 passed\n";
        assert_eq!(tests_that(output, "ok"), ["a", "b"]);
        assert_eq!(tests_that(output, "FAILED"), ["a::x"]);
    }
}
