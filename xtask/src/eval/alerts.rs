//! Alerts as the scorer takes them, each with the moment at which it was told.

use std::{
    fs::File,
    io::{BufWriter, Read, Write},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, anyhow};
use serde_json::{Value, json};

const POLL: Duration = Duration::from_millis(20);

/// Reads a file of alerts while it grows.
pub(super) struct Follower {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<Result<()>>,
}

impl Follower {
    /// Follows what a sink writes to `from`, which need not be there yet, into `to`.
    pub(super) fn start(from: PathBuf, to: &Path) -> Result<Self> {
        let to = File::create(to).with_context(|| format!("creating {}", to.display()))?;
        let is_over = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&is_over);
        let thread = thread::spawn(move || follow(&from, to, &over));
        Ok(Self { is_over, thread })
    }

    /// Takes what is still to come, and ends.
    pub(super) fn stop(self) -> Result<()> {
        self.is_over.store(true, Ordering::Release);
        self.thread.join().map_err(|_| anyhow!("following the alerts panicked"))?
    }
}

fn follow(from: &Path, to: File, is_over: &AtomicBool) -> Result<()> {
    let mut to = BufWriter::new(to);
    let (mut source, mut rest) = (None, String::new());
    loop {
        // Asked before reading: what was written until then is read once more.
        let is_last = is_over.load(Ordering::Acquire);
        if source.is_none() {
            source = File::open(from).ok();
        }
        if let Some(file) = &mut source {
            file.read_to_string(&mut rest).context("reading alerts")?;
        }
        while let Some((line, after)) = rest.split_once('\n') {
            writeln!(to, "{}", scored(line, now_s())?).context("writing alerts")?;
            rest = after.to_owned();
        }
        to.flush().context("writing alerts")?;
        if is_last {
            return Ok(());
        }
        thread::sleep(POLL);
    }
}

fn now_s() -> f64 {
    #[expect(clippy::disallowed_methods, reason = "it is the moment itself that is measured")]
    let now = SystemTime::now();
    now.duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// An alert of the agent in the scorer's form.
fn scored(line: &str, told_s: f64) -> Result<Value> {
    let alert: Value = serde_json::from_str(line).context("an alert is no JSON")?;
    let severity = match alert["severity"].as_str() {
        Some("critical") => 90,
        Some("high") => 70,
        Some("medium") => 50,
        Some("low") => 30,
        _ => 10,
    };
    Ok(json!({
        "t": told_s,
        "container": alert["ctr"]["id"],
        "image": alert["ctr"]["image"],
        "service": alert["swarm"]["service"],
        "kind": alert["rule"],
        "severity": severity,
        "reason": alert["reason"],
        "evidence": alert["alert"],
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scorer_gets_what_it_asks_for() {
        let line = r#"{"rule":"raw_socket","severity":"medium","reason":"why",
            "ctr":{"id":"ab","image":"shop:1"},"alert":{"path":"raw"}}"#;
        let scored = scored(line, 1.5).expect("it is an alert");
        assert_eq!(scored["t"], 1.5);
        assert_eq!((&scored["kind"], &scored["severity"]), (&json!("raw_socket"), &json!(50)));
        assert_eq!((&scored["container"], &scored["service"]), (&json!("ab"), &Value::Null));
    }

    #[test]
    fn what_is_no_alert_is_an_error() {
        assert!(super::scored("{", 0.0).is_err());
    }
}
