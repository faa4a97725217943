//! An agent's store that is killed under load, again and again.
//!
//! The part that is killed is this test program, started anew with the directory in a variable.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use super::{
    config::Config, crash_tests::scan, open::open, reader::Request, row::StoredRow, sample::Sample,
    stream::BriefKinds, verify::verify,
};
use crate::clock;

const PLACE: &str = "PLIMSOLL_TEST_STORE";
/// What may be lost by a crash.
const MOST_LOST_NS: u64 = 1_000_000_000;

fn config(dir: &Path) -> Config {
    Config {
        brief: BriefKinds::named(&["file_write"]),
        block_rows: 512,
        segment_bytes: 256 << 10,
        ..Config::new(dir)
    }
}

/// Stores observations of this moment and tells of each batch when its last was taken.
#[test]
#[ignore = "it is started by the tests below, and killed"]
fn stores_until_it_is_killed() {
    let Some(dir) = std::env::var_os(PLACE) else { return };
    let (mut appender, _) = open(&config(Path::new(&dir))).expect("opens after every kill");
    let sample = Sample::new();
    for number in 0.. {
        sample.with(number, |it| {
            let now =
                crate::attribution::observation::Observation { ts_ns: clock::now_ns(), ..*it };
            appender.append(&now);
        });
        appender.tick();
        if number % 100 == 99 {
            eprintln!("taken {}", clock::now_ns());
            thread::sleep(Duration::from_millis(2));
        }
    }
}

struct Victim {
    process: Child,
    taken: Arc<Mutex<Taken>>,
}

/// When the first and the newest observation were taken, as far as is told.
#[derive(Clone, Copy, Default)]
struct Taken {
    first_ns: u64,
    newest_ns: u64,
}

impl Victim {
    fn start(dir: &Path) -> Self {
        let test = "store::kill_tests::stores_until_it_is_killed";
        let mut process = Command::new(std::env::current_exe().expect("runs"))
            .args(["--exact", test, "--ignored", "--nocapture"])
            .env(PLACE, dir)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("starts");
        let taken = Arc::new(Mutex::new(Taken::default()));
        let (lines, told) = (process.stderr.take().expect("is piped"), Arc::clone(&taken));
        thread::spawn(move || {
            for line in BufReader::new(lines).lines().map_while(Result::ok) {
                let taken = line.strip_prefix("taken ").and_then(|it| it.parse().ok());
                let Some(newest_ns) = taken else { continue };
                let mut told = told.lock().expect("nobody panics with it");
                let first_ns = if told.first_ns == 0 { newest_ns } else { told.first_ns };
                *told = Taken { first_ns, newest_ns };
            }
        });
        Self { process, taken }
    }

    /// Waits until it stores, lets it do so a while and kills it.
    fn kill_after(mut self, while_it: Duration) -> Taken {
        let start = clock::instant();
        while self.taken().newest_ns == 0 {
            assert!(clock::since(start).as_secs() < 60, "it does not begin to store");
            assert!(self.process.try_wait().expect("can be asked").is_none(), "it ended by itself");
            thread::sleep(Duration::from_millis(5));
        }
        thread::sleep(while_it);
        let taken = self.taken();
        self.process.kill().expect("can be killed");
        self.process.wait().expect("is dead");
        taken
    }

    fn taken(&self) -> Taken {
        *self.taken.lock().expect("nobody panics with it")
    }
}

fn kill(rounds: u64) {
    let dir = tempfile::tempdir().expect("makes a directory");
    let mut before = 0;
    for round in 0..rounds {
        // From soon after the first flush to a second and a half, in no order.
        let while_it = Duration::from_millis(100 + round * 367 % 1400);
        let taken = Victim::start(dir.path()).kill_after(while_it);
        let rows = scan(dir.path(), Request::default()).0;
        let mut seqs: Vec<u64> = rows.iter().map(StoredRow::seq).collect();
        seqs.sort_unstable();
        let is_whole = seqs.windows(2).all(|it| it[0] < it[1]);
        assert!(is_whole, "an observation is told twice in round {round}");
        assert!(seqs.len() >= before, "round {round} lost what was there before");
        before = seqs.len();
        // What an earlier one stored is no answer.
        let newest_ns = rows.iter().map(StoredRow::ts_ns).max().unwrap_or(0).max(taken.first_ns);
        let lost_ns = taken.newest_ns.saturating_sub(newest_ns);
        assert!(lost_ns <= MOST_LOST_NS, "round {round} lost {lost_ns} ns");
    }
    open(&config(dir.path())).expect("opens").0.close();
    let verified = verify(dir.path(), &mut |_, _| {}).expect("reads");
    assert!(verified.damages.is_empty(), "{:?}", verified.damages);
    assert_eq!(verified.observations, before as u64);
}

#[test]
fn a_store_that_is_killed_under_load_opens_and_loses_no_more_than_the_last_second() {
    kill(8);
}

#[test]
#[ignore = "takes two minutes"]
fn the_same_a_hundred_times() {
    kill(100);
}
