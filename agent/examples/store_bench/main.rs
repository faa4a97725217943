//! What the store does with many observations: run by `cargo xtask bench store`.
//!
//! `ingest` fills a store and waits to be killed; `reopen` opens what is left; `query` asks; `csv`
//! and `json` write the same observations for other engines. Each tells its figures as a line of
//! JSON.

mod generator;
mod queries;
mod usage;

use std::{
    io::{self, BufWriter, Write},
    path::Path,
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use generator::Generator;
use plimsoll::{
    clock,
    query::json,
    store::{
        appender::Appender,
        config::Config,
        open::open,
        reader::{Reader, Request},
        stream::BriefKinds,
    },
};
use serde_json::{Value, json};

/// Share of the queue at which the generator waits.
const WAITING: usize = 12;

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["ingest", dir, rows] => ingest(Path::new(dir), rows.parse()?),
        ["paced", dir, seconds] => paced(Path::new(dir), seconds.parse()?),
        ["reopen", dir] => reopen(Path::new(dir)),
        ["query", dir, rows] => queries::run(Path::new(dir), rows.parse()?),
        ["json", dir] => write_json(Path::new(dir)),
        ["csv", rows] => write_csv(rows.parse()?),
        _ => bail!("usage: store_bench ingest|paced|reopen|query|json|csv …"),
    }
}

fn config(dir: &Path) -> Config {
    Config {
        max_bytes: 8 << 30,
        max_age: Duration::from_hours(100 * 365 * 24),
        brief_max_age: Duration::from_hours(100 * 365 * 24),
        brief: BriefKinds::named(&["file_write", "fork", "exit"]),
        ..Config::new(dir)
    }
}

fn tell(figures: &Value) -> Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{figures}")?;
    out.flush().context("writing to standard output")
}

/// Appends as fast as the store takes them, tells the figures and waits to be killed.
fn ingest(dir: &Path, rows: u64) -> Result<()> {
    let mut generator = Generator::new(rows);
    let before = usage::thread_cpu_ns()?;
    for number in 0..rows {
        std::hint::black_box(generator.with(number, |it| it.ts_ns));
    }
    let generating_ns = usage::thread_cpu_ns()? - before;
    let resident_before = usage::resident_bytes()?;
    let (mut appender, _) = open(&config(dir))?;
    let (start, before) = (clock::instant(), usage::thread_cpu_ns()?);
    for number in 0..rows {
        generator.with(number, |it| appender.append(it));
        if number % 1024 == 0 {
            wait_for_room(&appender);
            appender.tick();
        }
    }
    let health = appender.health();
    let stored = || health.stats().rows.load(std::sync::atomic::Ordering::Relaxed);
    while stored() < rows && health.is_recording() {
        appender.tick();
        thread::sleep(Duration::from_millis(1));
    }
    let wall = clock::since(start);
    let appending_ns = (usage::thread_cpu_ns()? - before).saturating_sub(generating_ns);
    let storing_ns = usage::cpu_ns_of("store")?;
    let written = health.stats().written_bytes.load(std::sync::atomic::Ordering::Relaxed);
    tell(&json!({
        "rows": stored(),
        "wall_ms": wall.as_millis() as u64,
        "generating_ms": generating_ns / 1_000_000,
        "appending_ms": appending_ns / 1_000_000,
        "storing_ms": storing_ns / 1_000_000,
        "written_bytes": written,
        "resident_bytes": usage::peak_bytes()?.saturating_sub(resident_before),
    }))?;
    loop {
        thread::park();
    }
}

fn wait_for_room(appender: &Appender) {
    while appender.queue().0 >= WAITING {
        thread::sleep(Duration::from_micros(200));
    }
}

/// A thousand observations a second, as on a busy host.
fn paced(dir: &Path, seconds: u64) -> Result<()> {
    const STEPS: u64 = 50;
    let rows = seconds * 1000;
    let mut generator = Generator::new(rows);
    let (mut appender, _) = open(&config(dir))?;
    let start = clock::instant();
    for step in 0..seconds * STEPS {
        let each = 1000 / STEPS;
        for number in step * each..(step + 1) * each {
            generator.with(number, |it| appender.append(it));
        }
        appender.tick();
        let due = Duration::from_millis((step + 1) * 1000 / STEPS);
        thread::sleep(due.saturating_sub(clock::since(start)));
    }
    let health = appender.health();
    let storing_ns = usage::cpu_ns_of("store")?;
    appender.close();
    let written = health.stats().written_bytes.load(std::sync::atomic::Ordering::Relaxed);
    tell(&json!({
        "rows": rows,
        "written_bytes": written,
        "storing_ms": storing_ns / 1_000_000,
        "disk_written_bytes": usage::disk_written_bytes()?,
    }))
}

fn reopen(dir: &Path) -> Result<()> {
    usage::forget_pages(dir)?;
    let (start, before) = (clock::instant(), usage::thread_cpu_ns()?);
    let (appender, damages) = open(&config(dir))?;
    let cold = clock::since(start);
    let cpu_ns = usage::thread_cpu_ns()? - before;
    appender.close();
    let start = clock::instant();
    let (appender, _) = open(&config(dir))?;
    let warm = clock::since(start);
    appender.close();
    tell(&json!({
        "cold_us": cold.as_micros() as u64,
        "warm_us": warm.as_micros() as u64,
        "cpu_us": cpu_ns / 1000,
        "damages": damages.iter().map(ToString::to_string).collect::<Vec<_>>(),
    }))
}

fn write_json(dir: &Path) -> Result<()> {
    let mut out = BufWriter::with_capacity(1 << 20, io::stdout().lock());
    for row in Reader::open(dir)?.scan(Request::default())? {
        let row = row.map_err(|damage| anyhow::anyhow!("{damage}"))?;
        serde_json::to_writer(&mut out, &json::object(&row))?;
        out.write_all(b"\n")?;
    }
    out.flush().context("writing to standard output")
}

fn write_csv(rows: u64) -> Result<()> {
    let mut generator = Generator::new(rows);
    let mut out = BufWriter::with_capacity(1 << 20, io::stdout().lock());
    for number in 0..rows {
        generator.write_csv(number, &mut out)?;
    }
    out.flush().context("writing to standard output")
}
