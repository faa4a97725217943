//! Other engines with the same observations: JSON lines in zstd with grep, `SQLite`, `DuckDB`.

use std::{
    fs::File,
    path::PathBuf,
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context, Result, ensure};

use super::{Place, Shown, bytes_below, objects, whole};
use crate::{cmd, paths};

/// How an engine is measured, by its name.
type Measure = fn(&Place, u64) -> Result<Shown>;

/// Every engine.
pub(super) const ALL: [(&str, Measure); 3] =
    [("zstd and grep", lines), ("SQLite", sqlite), ("DuckDB", duckdb)];

const SQL: &str = include_str!("engines.py");

/// What stands in a JSON line where the answer is yes.
const PATTERNS: [(&str, &str); 3] = [
    ("path contains", "ledger-needle"),
    ("destination network", "\"raddr\":\"203\\.0\\.113\\."),
    ("full scan", ""),
];

fn lines(place: &Place, rows: u64) -> Result<Shown> {
    let file = place.join("events.jsonl.zst");
    let start = Instant::now();
    let own = place.join("own");
    let json = Command::new(&place.example).arg("json").arg(own).stdout(Stdio::piped()).spawn();
    let mut json = json.context("writing JSON lines")?;
    let out = json.stdout.take().context("its output")?;
    let zstd =
        Command::new("zstd").args(["-q", "-3"]).stdin(out).stdout(File::create(&file)?).status();
    ensure!(zstd.context("starting zstd")?.success() && json.wait()?.success(), "zstd failed");
    let ingest = rows as f64 / start.elapsed().as_secs_f64();
    let mut answers = Vec::new();
    for (name, pattern) in PATTERNS {
        let (start, grep) =
            (Instant::now(), "zstd -dcq \"$0\" | { LC_ALL=C grep -c -- \"$1\" || true; }");
        let path = file.to_string_lossy();
        let hits = cmd::output(Command::new("sh").args(["-c", grep, &path, pattern]))?;
        answers.push((name.to_owned(), start.elapsed().as_secs_f64() * 1e3, hits.trim().parse()?));
    }
    let bytes = Some(bytes_below(&file));
    Ok(Shown { engine: "zstd and grep", ingest: Some(ingest), bytes, answers })
}

fn sqlite(place: &Place, rows: u64) -> Result<Shown> {
    by_script(place, rows, "SQLite", "python3".into(), "sqlite")
}

fn duckdb(place: &Place, rows: u64) -> Result<Shown> {
    let venv = paths::made().join("bench/venv");
    let python = venv.join("bin/python");
    if !python.exists() {
        cmd::run(Command::new("python3").args(["-m", "venv"]).arg(&venv))
            .context("making a venv")?;
        let pip = venv.join("bin/pip");
        cmd::run(Command::new(pip).args(["install", "--quiet", "duckdb"]))
            .context("getting duckdb")?;
    }
    by_script(place, rows, "DuckDB", python, "duckdb")
}

/// Has the script fill a database with the observations as text, and ask it.
fn by_script(
    place: &Place,
    rows: u64,
    engine: &'static str,
    python: PathBuf,
    name: &str,
) -> Result<Shown> {
    let csv = place.join("events.csv");
    if !csv.exists() {
        let written = Command::new(&place.example)
            .args(["csv", &rows.to_string()])
            .stdout(File::create(&csv)?)
            .status();
        ensure!(written?.success(), "the observations could not be written");
    }
    let database = place.join(&format!("events.{name}"));
    let told = cmd::output(Command::new(python).args(["-c", SQL, name]).args([&csv, &database]))?;
    let told = objects(&told)?;
    let (filled, asked) = told.split_first().context("the script tells nothing")?;
    let seconds = whole(filled, "us")? as f64 / 1e6;
    let answers = asked.iter().map(|it| {
        let name = it["query"].as_str().unwrap_or_default().to_owned();
        Ok((name, whole(it, "us")? as f64 / 1e3, whole(it, "hits")?))
    });
    Ok(Shown {
        engine,
        ingest: Some(rows as f64 / seconds),
        bytes: Some(bytes_below(&database)),
        answers: answers.collect::<Result<_>>()?,
    })
}
