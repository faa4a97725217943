//! What the kernel says each program of the agent takes.

use std::collections::BTreeMap;

use anyhow::Result;

use super::{
    figures::{self, Table},
    metrics::Metrics,
};

/// Runs and run time of the programs, over several lives of the agent.
#[derive(Default)]
pub(super) struct Stats {
    programs: BTreeMap<String, (f64, f64)>,
}

impl Stats {
    /// Adds what an agent tells before it ends.
    pub(super) fn add(&mut self, metrics: &Metrics) {
        for (probe, runs) in metrics.labelled("plimsoll_probe_runs_total", "probe") {
            self.programs.entry(probe.to_owned()).or_default().0 += runs;
        }
        for (probe, seconds) in metrics.labelled("plimsoll_probe_seconds_total", "probe") {
            self.programs.entry(probe.to_owned()).or_default().1 += seconds;
        }
    }

    /// Prints the programs that ran, if any were counted.
    pub(super) fn print(&self) -> Result<()> {
        let table = self.table();
        if table.is_empty() {
            return Ok(());
        }
        super::print(&format!("Programs in the kernel:\n\n{}", table.render()))
    }

    fn table(&self) -> Table {
        let mut table = Table::new(&["program", "runs", "ms in all", "ns a run"]);
        for (probe, (runs, seconds)) in self.programs.iter().filter(|(_, (runs, _))| *runs > 0.0) {
            let milliseconds = figures::number(seconds * 1e3);
            let each = figures::number(seconds * 1e9 / runs);
            table.row(vec![probe.clone(), figures::count(*runs as u64), milliseconds, each]);
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_that_never_ran_are_not_shown() {
        let mut stats = Stats::default();
        stats.programs.insert("on_exec".to_owned(), (4.0, 8e-6));
        stats.programs.insert("on_bind4".to_owned(), (0.0, 0.0));
        let text = stats.table().render();
        assert!(text.contains("| on_exec | 4    | 0.0       | 2000     |"), "{text}");
        assert!(!text.contains("on_bind4"), "{text}");
    }
}
