//! How long it takes from an act in a container to its line in a file; told, not judged.

use std::{
    fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use plimsoll::clock;
use plimsoll_tests::{agent::Setup, event, poll};
use serde_json::Value;

use super::{breach_with, container, sink};

const ACTS: usize = 300;
/// Between acts, so that each is measured and not the work for those before it.
const PAUSE: &str = "usleep 20000; ";
/// How exactly the arrival of a line is seen.
const LOOK: Duration = Duration::from_micros(100);

/// The moments at which lines arrived, until so many did, each with its alert.
fn watch(path: &Path, count: usize) -> Vec<(u64, Value)> {
    let deadline = Instant::now() + poll::scaled(Duration::from_mins(2));
    let mut arrived: Vec<(u64, Value)> = Vec::new();
    let mut length = 0;
    while arrived.len() < count && Instant::now() < deadline {
        thread::sleep(LOOK);
        if fs::metadata(path).map_or(0, |it| it.len()) == length {
            continue;
        }
        let now_ns = clock::now_ns();
        let read = fs::read_to_string(path).unwrap_or_default();
        length = read.len() as u64;
        let whole = read.rfind('\n').map_or("", |end| &read[..end]);
        let new = event::parse(whole).into_iter().skip(arrived.len());
        let new: Vec<_> = new.map(|alert| (now_ns, alert)).collect();
        arrived.extend(new);
    }
    arrived
}

#[test]
fn the_way_from_an_act_to_its_line_is_short() {
    let home = tempfile::tempdir().expect("a directory");
    let path = home.path().join("alerts");
    let keys = format!("path = \"{}\"\nmax_bytes = 0", path.display());
    let agent = Setup::default().config(&sink("file", "file", &keys)).start();
    let container = container();
    let arrived = thread::scope(|scope| {
        let arrived = scope.spawn(|| watch(&path, ACTS));
        breach_with(&container, 0..ACTS, PAUSE);
        arrived.join().expect("ends")
    });
    assert_eq!(arrived.len(), ACTS, "{}", agent.log());
    let took = arrived.iter().map(|(now_ns, alert)| {
        let ts: Timestamp = event::text(alert, "ts").parse().expect("is a moment");
        now_ns.saturating_sub(ts.as_nanosecond() as u64)
    });
    let mut took: Vec<u64> = took.collect();
    took.sort_unstable();
    show(&took);
    agent.stop();
}

/// Shows the figures that the documentation quotes: run the tests with `--nocapture`.
#[allow(clippy::print_stdout, reason = "it is what a test has to show")]
fn show(took_ns: &[u64]) {
    let at = |share: usize| took_ns[(took_ns.len() - 1) * share / 100] as f64 / 1e6;
    let [p50, p90, p99, most] = [50, 90, 99, 100].map(at);
    println!(
        "act to line in a file: p50 {p50:.2} ms, p90 {p90:.2} ms, p99 {p99:.2} ms, most {most:.2} ms"
    );
}
