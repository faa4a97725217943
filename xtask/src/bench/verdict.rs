//! What it costs to judge an observation, and what a profile takes.

use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use super::{
    Args,
    figures::{Table, count, number},
    machine, print, progress,
};
use crate::{build, cmd, paths};

/// Acts of each kind.
const ROUNDS: u32 = 1_000_000;

/// Runs the part; needs neither root nor Docker.
pub(super) fn run(args: &Args) -> Result<()> {
    build::object()?;
    let build = ["build", "--release", "--package", "plimsoll", "--example", "verdict_bench"];
    cmd::run(cmd::cargo().args(build)).context("building what is measured")?;
    progress("judging acts of learned images");
    let rounds = if args.quick { ROUNDS / 20 } else { ROUNDS };
    let example = paths::cargo_target().join("release/examples/verdict_bench");
    let told = cmd::output(Command::new(example).arg(rounds.to_string()))?;
    print(&machine::describe())?;
    print(&report(&told)?)
}

fn report(told: &str) -> Result<String> {
    let read = |line| serde_json::from_str(line).context("reading figures");
    let lines = told.lines().map(read).collect::<Result<Vec<Value>>>()?;
    let (profiles, acts) = lines.split_first().context("nothing was measured")?;
    let whole = |of: &Value, name: &str| {
        of[name].as_u64().with_context(|| format!("there is no {name} in {of}"))
    };
    let mut table = Table::new(&["act judged", "ns of processor time", "alerts"]);
    for act in acts {
        table.row(vec![
            act["act"].as_str().unwrap_or_default().to_owned(),
            count(whole(act, "ns")?),
            count(whole(act, "alerts")?),
        ]);
    }
    let all = whole(profiles, "profiles")?.max(1);
    let kib = |name| whole(profiles, name).map(|it| number(it as f64 / 1024.0 / all as f64));
    Ok(format!(
        "### Verdicts\n\n{}\n{all} profiles take {} KiB each by their own count, {} KiB of resident memory.",
        table.render(),
        kib("bytes")?,
        kib("resident_bytes")?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_told_each_by_act_and_profile() {
        let told = "{\"profiles\":2,\"bytes\":4096,\"resident_bytes\":8192}\n\
            {\"act\":\"a fork\",\"ns\":140,\"alerts\":0}\n";
        let text = report(told).expect("all is there");
        assert!(text.contains("| a fork     | 140 "), "{text}");
        assert!(
            text.contains("2 profiles take 2.0 KiB each by their own count, 4.0 KiB"),
            "{text}"
        );
        assert!(report("").is_err());
    }
}
