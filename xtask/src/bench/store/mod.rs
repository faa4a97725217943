//! What the store does with ten million observations, beside other engines on the same ones.

mod engines;
mod own;

use std::{fs, path::PathBuf};

use anyhow::{Context, Result};
use serde_json::Value;

use super::{Args, figures::Table, machine, print, progress};

/// Observations that are stored.
const ROWS: u64 = 10_000_000;
/// How long observations come at a pace.
const PACED_SECONDS: u64 = 60;

/// The questions, by the names that the example gives them.
const QUESTIONS: [&str; 6] = [
    "container and hour",
    "path contains",
    "destination network",
    "lineage of a process",
    "count by kind and container",
    "full scan",
];

/// What an engine showed: figures by name.
struct Shown {
    engine: &'static str,
    ingest: Option<f64>,
    bytes: Option<u64>,
    /// Milliseconds and hits of each question.
    answers: Vec<(String, f64, u64)>,
}

/// Runs the part; needs neither root nor Docker.
pub(crate) fn run(args: &Args) -> Result<()> {
    let (rows, seconds) = if args.quick { (ROWS / 20, 5) } else { (ROWS, PACED_SECONDS) };
    print(&machine::describe())?;
    let place = Place::make(own::example(args.bin.as_ref())?)?;
    let own = own::measure(&place, rows, seconds)?;
    print(&own.report)?;
    let mut all = vec![own.shown];
    for (name, measure) in engines::ALL {
        progress(&format!("{name}: the same observations"));
        match measure(&place, rows) {
            Ok(shown) => all.push(shown),
            Err(error) => progress(&format!("{name} is left out: {error:#}")),
        }
    }
    print(&beside(&all))
}

/// A directory for what is measured, which is gone afterwards.
struct Place {
    dir: PathBuf,
    /// The program that fills and asks.
    example: PathBuf,
}

impl Place {
    fn make(example: PathBuf) -> Result<Self> {
        let place = Self { dir: super::directory().join("store"), example };
        // What an interrupted run left.
        let _ = fs::remove_dir_all(&place.dir);
        fs::create_dir_all(&place.dir).context("making a directory for the benchmark")?;
        Ok(place)
    }

    fn join(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// Every engine in a row, the questions in columns.
fn beside(all: &[Shown]) -> String {
    let mut heading = vec!["engine", "stored a second", "bytes each"];
    heading.extend(QUESTIONS);
    let mut table = Table::new(&heading);
    for shown in all {
        let number = |value: Option<f64>| value.map_or("-".to_owned(), super::figures::number);
        let mut cells = vec![shown.engine.to_owned(), number(shown.ingest)];
        let rows = shown.answers.iter().find(|it| it.0 == "full scan").map(|it| it.2);
        let each = shown.bytes.zip(rows).map(|(bytes, rows)| bytes as f64 / rows.max(1) as f64);
        cells.push(number(each));
        cells.extend(QUESTIONS.iter().map(|question| {
            let answer = shown.answers.iter().find(|(name, ..)| name == question);
            answer.map_or("-".to_owned(), |(_, ms, hits)| {
                format!("{} ms ({})", super::figures::number(*ms), super::figures::count(*hits))
            })
        }));
        table.row(cells);
    }
    table.render()
}

/// The figures that a program told, an object a line.
fn objects(text: &str) -> Result<Vec<Value>> {
    let lines = text.lines().filter(|line| line.starts_with('{'));
    lines.map(|line| serde_json::from_str(line).context("reading figures")).collect()
}

/// A whole number of an object.
fn whole(object: &Value, name: &str) -> Result<u64> {
    object[name].as_u64().with_context(|| format!("there is no {name} in {object}"))
}

/// Bytes of all files below a directory.
fn bytes_below(path: &std::path::Path) -> u64 {
    let Ok(entries) = fs::read_dir(path) else {
        return fs::metadata(path).map_or(0, |it| it.len());
    };
    entries.flatten().map(|entry| bytes_below(&entry.path())).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engines_stand_beside_each_other() {
        let answers = vec![("full scan".to_owned(), 700.0, 10)];
        let shown = Shown { engine: "x", ingest: Some(3.0), bytes: Some(205), answers };
        let table = beside(&[shown]);
        let last = table.lines().last().expect("has a row");
        let cells: Vec<&str> = last.split('|').map(str::trim).collect();
        assert_eq!(cells[1..5], ["x", "3.0", "20.5", "-"]);
        assert_eq!(cells[9], "700 ms (10)");
    }

    #[test]
    fn figures_are_the_lines_that_are_objects() {
        let read = objects("x\n{\"rows\":3}\n").expect("reads");
        assert_eq!((read.len(), whole(&read[0], "rows").ok()), (1, Some(3)));
        assert!(whole(&read[0], "bytes").is_err());
    }
}
