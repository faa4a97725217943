//! The agent's own store, filled, killed, opened again and asked.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};

use super::{Place, Shown, bytes_below, objects, whole};
use crate::{
    bench::{
        figures::{Table, count, number},
        progress,
    },
    build, cmd, paths,
};

/// What was measured.
pub(super) struct Own {
    pub(super) report: String,
    pub(super) shown: Shown,
}

/// The program that fills and asks, which links the agent's store.
pub(super) fn example(named: Option<&PathBuf>) -> Result<PathBuf> {
    if let Some(named) = named {
        return named.canonicalize().with_context(|| format!("finding {}", named.display()));
    }
    build::object()?;
    let build = ["build", "--release", "--package", "plimsoll", "--example", "store_bench"];
    cmd::run(cmd::cargo().args(build)).context("building what is measured")?;
    Ok(paths::cargo_target().join("release/examples/store_bench"))
}

/// Fills a store and is killed; returns what it told.
fn fill_and_kill(example: &Path, path: &str, rows: u64) -> Result<String> {
    let mut process = Command::new(example)
        .args(["ingest", path, &rows.to_string()])
        .stdout(Stdio::piped())
        .spawn()
        .context("starting what is measured")?;
    let mut line = String::new();
    let told = process.stdout.take().map(|out| BufReader::new(out).read_line(&mut line));
    // SIGKILL: what is measured next is what a crash leaves.
    process.kill()?;
    process.wait()?;
    ensure!(matches!(told, Some(Ok(1..))), "it tells nothing");
    Ok(line)
}

pub(super) fn measure(place: &Place, rows: u64, seconds: u64) -> Result<Own> {
    let example = &place.example;
    let dir = place.join("own");
    let path = dir.to_string_lossy().into_owned();
    progress(&format!("{rows} observations as fast as they are taken, then killed"));
    let line = fill_and_kill(example, &path, rows)?;
    let ingest = &objects(&line)?[0];
    let bytes = bytes_below(&dir);
    let run = |words: &[&str]| objects(&cmd::output(Command::new(example).args(words))?);
    progress("opening what is left, then asking");
    let reopen = run(&["reopen", &path])?;
    let asked = run(&["query", &path, &rows.to_string()])?;
    progress(&format!("1000 observations a second for {seconds} s"));
    let paced = run(&["paced", &place.join("paced").to_string_lossy(), &seconds.to_string()])?;

    let stored = whole(ingest, "rows")?;
    let wall = stored as f64 / (whole(ingest, "wall_ms")? as f64 / 1e3);
    let cpu_ms = whole(ingest, "appending_ms")? + whole(ingest, "storing_ms")?;
    let cpu = stored as f64 / (cpu_ms.max(1) as f64 / 1e3);
    let each = |bytes: u64, rows: u64| number(bytes as f64 / rows.max(1) as f64);
    let mut table = Table::new(&["store", "measured", "target"]);
    let mut row = |what: &str, measured: String, target: &str| {
        table.row(vec![what.to_owned(), measured, target.to_owned()]);
    };
    row("stored, of those sent", format!("{} of {}", count(stored), count(rows)), "all");
    row("a second of processor time, both threads", number(cpu), "3 000 000");
    row("a second of time", number(wall), "-");
    row("bytes each, on disk", each(bytes, stored), "21");
    row("bytes each, written", each(whole(ingest, "written_bytes")?, stored), "-");
    let resident = whole(ingest, "resident_bytes")? as f64 / f64::from(1 << 20);
    row("resident memory", format!("{} MiB", number(resident)), "48 MiB");
    let ms = |name| whole(&reopen[0], name).map(|us| number(us as f64 / 1e3));
    row("opened after kill -9, files not in memory", format!("{} ms", ms("cold_us")?), "50 ms");
    row("of that, processor time", format!("{} ms", ms("cpu_us")?), "-");
    row("opened again", format!("{} ms", ms("warm_us")?), "50 ms");
    let written = each(whole(&paced[0], "written_bytes")?, whole(&paced[0], "rows")?);
    row("bytes each, written at 1000 a second", written, "125");
    let mut answers = Vec::new();
    let mut asked_table = Table::new(&["question", "hits", "first", "again", "processor"]);
    for pair in asked[1..].chunks(2) {
        let [first, again] = pair else { continue };
        let name = first["query"].as_str().unwrap_or_default().to_owned();
        let ms = |of: &serde_json::Value, name| whole(of, name).map(|us| us as f64 / 1e3);
        let hits = whole(again, "hits")?;
        asked_table.row(vec![
            name.clone(),
            count(hits),
            format!("{} ms", number(ms(first, "us")?)),
            format!("{} ms", number(ms(again, "us")?)),
            format!("{} ms", number(ms(again, "cpu_us")?)),
        ]);
        answers.push((name, ms(again, "us")?, hits));
    }
    let look = number(whole(&asked[0], "us")? as f64 / 1e3);
    let report = format!(
        "### The store\n\n{}\n### Questions\n\nThe headers of all blocks are read once, in {look} ms.\n\n{}",
        table.render(),
        asked_table.render()
    );
    let shown = Shown { engine: "plimsoll", ingest: Some(wall), bytes: Some(bytes), answers };
    Ok(Own { report, shown })
}
