//! Counts what the store holds, as `plimsoll events -o json` tells it.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

/// The store of an agent that has ended.
#[derive(Clone)]
pub(super) struct Store {
    pub(super) bin: PathBuf,
    pub(super) data: PathBuf,
}

/// Losses by the event that was lost, empty where that is not known, and by the reason.
pub(super) type Losses = BTreeMap<(String, String), u64>;

impl Store {
    /// How often an event happened in a container, counting the lines that hold the mark.
    pub(super) fn seen(&self, container: &str, kind: &str, mark: &str) -> Result<u64> {
        let mut seen = 0;
        self.each(&["--container", container, "--kind", kind], &mut |line| {
            if line.contains(mark) {
                seen += number(line, "count").unwrap_or(1);
            }
        })?;
        Ok(seen)
    }

    /// All losses it tells of.
    pub(super) fn losses(&self) -> Result<Losses> {
        let mut losses = Losses::new();
        self.each(&["--kind", "gap"], &mut |line| {
            let key = |name| text(line, name).unwrap_or_default().to_owned();
            *losses.entry((key("of"), key("reason"))).or_default() +=
                number(line, "lost").unwrap_or(0);
        })?;
        Ok(losses)
    }

    fn each(&self, filter: &[&str], take: &mut dyn FnMut(&str)) -> Result<()> {
        let mut command = Command::new(&self.bin);
        command.args(["events", "--output", "json", "--data-dir"]).arg(&self.data).args(filter);
        let mut child = command.stdout(Stdio::piped()).spawn().context("starting the query")?;
        let mut lines = BufReader::new(child.stdout.take().context("the query has no output")?);
        let mut line = String::new();
        while lines.read_line(&mut line).context("reading the query's answer")? > 0 {
            take(&line);
            line.clear();
        }
        let status = child.wait().context("waiting for the query")?;
        if !status.success() {
            bail!("the query of the store failed ({status})");
        }
        Ok(())
    }
}

/// What stands behind a key. Inside a text the quotes would be escaped, so that no text can look
/// like a key; and no key used here occurs at two places of an observation.
fn after<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    let key = format!("\"{key}\":");
    line.find(&key).map(|at| &line[at + key.len()..])
}

fn number(line: &str, key: &str) -> Option<u64> {
    let rest = after(line, key)?;
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    rest[..end].parse().ok()
}

/// A text that holds nothing to escape, as names of events and reasons do not.
fn text<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    after(line, key)?.strip_prefix('"')?.split('"').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GAP: &str = r#"{"schema":"1","kind":"gap","gap":{"reason":"ring_full","of":"exec","lost":12,"from":"x"}}"#;

    #[test]
    fn numbers_and_names_are_read_from_a_gap() {
        assert_eq!(number(GAP, "lost"), Some(12));
        assert_eq!((text(GAP, "of"), text(GAP, "reason")), (Some("exec"), Some("ring_full")));
        assert_eq!((number(GAP, "from"), text(GAP, "lost")), (None, None));
    }

    #[test]
    fn a_path_that_looks_like_a_key_is_none() {
        let line = r#"{"file":{"path":"/tmp/\"count\":7"},"count":3}"#;
        assert_eq!(number(line, "count"), Some(3));
    }
}
