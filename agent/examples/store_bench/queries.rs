//! The questions that are asked of every engine, here as the agent answers them.

use std::{collections::HashMap, ops::ControlFlow, path::Path};

use anyhow::Result;
use plimsoll::{
    api::params::Params,
    clock,
    fields::Fields,
    query::search::{self, Answer, Query},
    store::reader::{Reader, Request},
};
use plimsoll_ebpf::value::Value;
use serde_json::json;

use super::{
    generator::{DAY_NS, Generator, START_NS},
    tell, usage,
};

/// Asks each question twice: the first time finds what the second knows.
pub(super) fn run(dir: &Path, rows: u64) -> Result<()> {
    let mut generator = Generator::new(rows);
    let (name, pid, at_ns) = generator.with(rows / 3, |it| {
        let container = it.container.expect("each has one").name.clone();
        (container, it.process.expect("each has one").pid, it.ts_ns)
    });
    drop(generator);
    let hour_ns = DAY_NS / 24;
    let hour = Params { containers: vec![name.clone()], ..Params::default() };
    let minutes = Params {
        containers: vec![name],
        expressions: vec![format!("proc.pid = {pid} or proc.ppid = {pid}")],
        ..Params::default()
    };
    let filtered = |text: &str| Params { expressions: vec![text.to_owned()], ..Params::default() };
    let all = [
        ("container and hour", hour, START_NS + 14 * hour_ns, START_NS + 15 * hour_ns),
        ("path contains", filtered("file.path ~ 'ledger-needle'"), 0, u64::MAX),
        ("destination network", filtered("net.raddr in 203.0.113.0/24"), 0, u64::MAX),
        ("lineage of a process", minutes, at_ns - hour_ns / 2, at_ns + hour_ns / 2),
    ];
    let mut reader = Reader::open(dir)?;
    let opening = clock::instant();
    reader.scan(Request { from_ns: u64::MAX, ..Request::default() })?;
    tell(&json!({ "query": "first look", "us": clock::since(opening).as_micros() as u64 }))?;
    for (name, params, since_ns, until_ns) in all {
        let query = Query { since_ns, until_ns, ..params.query()? };
        measure(name, || {
            let mut hits = 0u64;
            search::run(&mut reader, &query, &mut |answer| {
                hits += u64::from(matches!(answer, Answer::Row(_)));
                ControlFlow::Continue(())
            })?;
            Ok(hits)
        })?;
    }
    measure("count by kind and container", || {
        let mut counts: HashMap<(String, String), u64> = HashMap::new();
        for row in reader.scan(Request::default())? {
            let row = row.map_err(|damage| anyhow::anyhow!("{damage}"))?;
            let text = |name| match row.get(name) {
                Some(Value::Label(text)) => text.to_owned(),
                Some(Value::Text(text)) => String::from_utf8_lossy(text).into_owned(),
                _ => String::new(),
            };
            *counts.entry((text("kind"), text("ctr.name"))).or_default() += 1;
        }
        Ok(counts.len() as u64)
    })?;
    measure("full scan", || {
        let mut rows = 0;
        for row in reader.scan(Request::default())? {
            rows += u64::from(row.is_ok_and(|row| row.ts_ns() > 0));
        }
        Ok(rows)
    })
}

fn measure(name: &str, mut ask: impl FnMut() -> Result<u64>) -> Result<()> {
    for turn in ["first", "again"] {
        let (start, before) = (clock::instant(), usage::thread_cpu_ns()?);
        let hits = ask()?;
        let (wall, cpu_ns) = (clock::since(start), usage::thread_cpu_ns()? - before);
        let us = wall.as_micros() as u64;
        tell(
            &json!({ "query": name, "turn": turn, "hits": hits, "us": us, "cpu_us": cpu_ns / 1000 }),
        )?;
    }
    Ok(())
}
