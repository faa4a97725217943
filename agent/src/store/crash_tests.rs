//! What the store keeps through crashes, damage, reopening and its own bounds.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use proptest::prelude::*;

use super::{
    appender::Appender,
    config::Config,
    error::StoreError,
    open::open,
    reader::{Reader, Request},
    row::StoredRow,
    sample::{START_NS, Sample},
    segment,
    stream::{BriefKinds, SegmentId, Stream},
};
use crate::fields::Fields;

pub(super) fn small(dir: &Path) -> Config {
    Config {
        block_rows: 64,
        flush: Duration::ZERO,
        retry: Duration::from_millis(20),
        queue: 1024,
        max_age: Duration::from_hours(100 * 365 * 24),
        brief_max_age: Duration::from_hours(100 * 365 * 24),
        ..Config::new(dir)
    }
}

/// Appends observations, handing them over in batches of `batch`.
pub(super) fn fill(
    appender: &mut Appender,
    sample: &Sample,
    numbers: std::ops::Range<u64>,
    batch: u64,
) {
    for number in numbers {
        sample.with(number, |observation| appender.append(observation));
        if number % batch == batch - 1 {
            appender.tick();
        }
    }
}

pub(super) fn scan(dir: &Path, request: Request) -> (Vec<StoredRow>, usize) {
    let mut reader = Reader::open(dir).expect("is readable");
    let (mut rows, mut damages) = (Vec::new(), 0);
    for row in reader.scan(request).expect("scans") {
        match row {
            Ok(row) => rows.push(row),
            Err(_) => damages += 1,
        }
    }
    (rows, damages)
}

pub(super) fn id(first_seq: u64, stream: Stream) -> SegmentId {
    SegmentId { first_seq, stream }
}

fn first_segment(dir: &Path) -> PathBuf {
    segment::segment_path(dir, id(0, Stream::Lasting))
}

pub(super) fn seqs(dir: &Path) -> (Vec<u64>, usize) {
    let (rows, damages) = scan(dir, Request::default());
    (rows.iter().map(StoredRow::seq).collect(), damages)
}

/// Waits until so many rows can be read.
pub(super) fn wait_for(dir: &Path, rows: usize) {
    let start = crate::clock::instant();
    while seqs(dir).0.len() < rows {
        let found = scan(dir, Request::default());
        assert!(
            crate::clock::since(start).as_secs() < 20,
            "only {} rows, {} damages",
            found.0.len(),
            found.1
        );
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Copies a store as it would be found had the daemon been killed at this moment.
pub(super) fn copy(from: &Path) -> tempfile::TempDir {
    let to = tempfile::tempdir().expect("makes a directory");
    let events = segment::events_dir(to.path());
    fs::create_dir_all(&events).expect("makes a directory");
    for entry in fs::read_dir(segment::events_dir(from)).expect("lists").flatten() {
        fs::copy(entry.path(), events.join(entry.file_name())).expect("copies");
    }
    to
}

/// A store of 150 rows: two blocks in a segment and the rest in the log.
fn killed() -> (tempfile::TempDir, Sample) {
    let dir = tempfile::tempdir().expect("makes a directory");
    let sample = Sample::new();
    let (mut appender, damages) = open(&small(dir.path())).expect("opens");
    assert!(damages.is_empty());
    fill(&mut appender, &sample, 0..150, 10);
    wait_for(dir.path(), 150);
    let killed = copy(dir.path());
    assert!(fs::metadata(segment::wal_path(killed.path())).expect("has a log").len() > 0);
    assert_eq!(segment::list(killed.path()).expect("lists").len(), 1);
    (killed, sample)
}

fn text(fields: &impl Fields) -> Vec<String> {
    let mut texts = Vec::new();
    fields.visit(&mut |field, value| texts.push(format!("{}={value}", field.name)));
    texts
}

#[test]
fn what_is_stored_reads_back_field_by_field() {
    let (dir, sample) = killed();
    let (rows, damages) = scan(dir.path(), Request::default());
    assert_eq!((rows.len(), damages), (150, 0));
    for (number, row) in rows.iter().enumerate() {
        sample.with(number as u64, |live| {
            assert_eq!(text(row), text(live));
            assert_eq!(row.get("ctr.name"), live.get("ctr.name"));
            assert_eq!(row.get("file.path"), live.get("file.path"));
        });
    }
}

#[test]
fn newest_first_is_the_inverse_and_bounds_are_inclusive() {
    let (dir, _) = killed();
    let request = Request { newest_first: true, ..Request::default() };
    let seqs: Vec<u64> = scan(dir.path(), request).0.iter().map(StoredRow::seq).collect();
    assert_eq!(seqs, (0..150).rev().collect::<Vec<u64>>());
    let (from_ns, to_ns) = (START_NS + 60_000_000, START_NS + 70_000_000);
    let request = Request { from_ns, to_ns, ..Request::default() };
    let seqs: Vec<u64> = scan(dir.path(), request).0.iter().map(StoredRow::seq).collect();
    assert_eq!(seqs, (60..=70).collect::<Vec<u64>>());
}

#[test]
fn kinds_containers_and_numbers_select() {
    let (dir, _) = killed();
    let request = |kinds: &[&str], containers: &[&str], from_seq| Request {
        kinds: kinds.iter().map(ToString::to_string).collect(),
        containers: containers.iter().map(ToString::to_string).collect(),
        from_seq,
        ..Request::default()
    };
    let count = |request| scan(dir.path(), request).0.len();
    assert_eq!(count(request(&["connect"], &[], 0)), 30);
    assert_eq!(count(request(&["exit"], &[], 0)), 0);
    assert_eq!(count(request(&[], &["web-3"], 0)), 15);
    assert_eq!(count(request(&[], &["3333"], 0)), 15);
    assert_eq!(count(request(&[], &[&"3".repeat(64)], 0)), 15);
    assert_eq!(count(request(&[], &["web-3", "web-4"], 0)), 30);
    assert_eq!(count(request(&[], &["web"], 0)), 0);
    assert_eq!(count(request(&["connect"], &["web-5"], 100)), 5);
}

#[test]
fn reopening_goes_on_with_the_numbers_and_loses_and_repeats_nothing() {
    let (dir, sample) = killed();
    for round in 0..3 {
        let first = 150 + round * 20;
        let (mut appender, damages) = open(&small(dir.path())).expect("opens");
        assert!(damages.is_empty(), "{damages:?}");
        fill(&mut appender, &sample, first..first + 20, 7);
        appender.close();
        assert_eq!(seqs(dir.path()), ((0..first + 20).collect(), 0));
    }
}

#[test]
fn rows_in_the_log_and_in_a_segment_are_returned_once() {
    let (dir, _) = killed();
    let log = fs::read(segment::wal_path(dir.path())).expect("reads");
    open(&small(dir.path())).expect("opens").0.close();
    fs::write(segment::wal_path(dir.path()), log).expect("writes");
    assert_eq!(seqs(dir.path()), ((0..150).collect(), 0));
    open(&small(dir.path())).expect("opens").0.close();
    assert_eq!(seqs(dir.path()), ((0..150).collect(), 0));
}

/// Cuts a file of a killed store at many places. What is left must be one of `expected`, for
/// the reader and for the daemon, which goes on behind it.
fn assert_after_cuts(path: impl Fn(&Path) -> PathBuf, expected: impl Fn(&[u64]) -> bool) {
    let (whole, sample) = killed();
    let length = fs::metadata(path(whole.path())).expect("is there").len();
    for cut in (0..length).step_by(41).chain(length.saturating_sub(60)..length) {
        let dir = copy(whole.path());
        let file = fs::OpenOptions::new().write(true).open(path(dir.path())).expect("opens");
        file.set_len(cut).expect("cuts");
        let mut left = seqs(dir.path()).0;
        assert!(expected(&left), "cut {cut}: {left:?}");
        let (mut appender, _) = open(&small(dir.path())).expect("opens");
        sample.with(999, |observation| appender.append(observation));
        appender.close();
        left.push(left.last().map_or(0, |last| last + 1));
        assert_eq!(seqs(dir.path()), (left, 0), "cut {cut}");
    }
}

#[test]
fn a_log_cut_anywhere_yields_a_prefix() {
    assert_after_cuts(segment::wal_path, |left| {
        left.len() >= 140 && left.iter().copied().eq(0..left.len() as u64)
    });
}

#[test]
fn a_segment_cut_anywhere_yields_whole_blocks() {
    assert_after_cuts(first_segment, |left| {
        [0, 70].iter().any(|end| left.iter().copied().eq((0..*end).chain(140..150)))
    });
}

#[test]
fn what_is_still_being_written_is_no_damage() {
    let (dir, _) = killed();
    let path = first_segment(dir.path());
    let length = fs::metadata(&path).expect("is there").len();
    fs::OpenOptions::new()
        .write(true)
        .open(&path)
        .and_then(|it| it.set_len(length - 9))
        .expect("cuts");
    assert_eq!(seqs(dir.path()).1, 1, "nobody writes it");
    let agent = fs::File::create(dir.path().join("lock")).expect("makes the lock");
    rustix::fs::flock(&agent, rustix::fs::FlockOperation::LockExclusive).expect("locks");
    assert_eq!(seqs(dir.path()).1, 0);
    fs::write(segment::segment_path(dir.path(), id(9000, Stream::Lasting)), b"").expect("writes");
    assert_eq!(seqs(dir.path()).1, 1, "an earlier segment is not written any more");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn a_flipped_byte_costs_only_its_block(at in any::<proptest::sample::Index>(), in_log: bool) {
        let dir = copy(shared_killed());
        let path = if in_log { segment::wal_path(dir.path()) } else { first_segment(dir.path()) };
        let mut bytes = fs::read(&path).expect("reads");
        let at = at.index(bytes.len());
        bytes[at] ^= 0x10;
        fs::write(&path, &bytes).expect("writes");
        let (left, damages) = seqs(dir.path());
        let lost: Vec<u64> = (0..150).filter(|seq| !left.contains(seq)).collect();
        let (from, to) = (lost[0], lost[lost.len() - 1]);
        prop_assert_eq!(lost.len() as u64, to - from + 1, "one range");
        prop_assert!(lost.len() <= 70 && (to < 140) != in_log, "{:?}", lost);
        prop_assert_eq!(damages, 1, "what is lost is told");
        open(&small(dir.path())).expect("opens").0.close();
        prop_assert_eq!(seqs(dir.path()).0, left);
    }
}

fn shared_killed() -> &'static Path {
    static SHARED: std::sync::OnceLock<tempfile::TempDir> = std::sync::OnceLock::new();
    SHARED.get_or_init(|| killed().0).path()
}

#[test]
fn the_directory_never_outgrows_its_bound() {
    const BOUND: u64 = 2 << 20;
    const TIMES: u64 = 20;
    let dir = tempfile::tempdir().expect("makes a directory");
    let sample = Sample::new();
    let brief = BriefKinds::named(&["file_write"]);
    let config = Config { max_bytes: BOUND, brief, ..small(dir.path()) };
    let (mut appender, _) = open(&config).expect("opens");
    let health = appender.health();
    let mut written = 0;
    let mut next = 0;
    while written < TIMES * BOUND {
        // Files of the brief stream, and every sixteenth of any event.
        for number in next..next + 256 {
            if number % 16 == 0 {
                sample.with(number, |it| appender.append(it));
            } else {
                sample.with_noise(number, |it| appender.append(it));
            }
        }
        next += 256;
        while appender.queue().0 > 2 {
            std::thread::yield_now();
        }
        let bytes = super::files::tree_bytes(dir.path());
        assert!(bytes <= BOUND, "{bytes} bytes after {next} observations");
        written = health.stats().written_bytes.load(std::sync::atomic::Ordering::Relaxed);
    }
    appender.close();
    assert!(super::files::tree_bytes(dir.path()) <= BOUND);
    let (left, damages) = seqs(dir.path());
    assert_eq!(left.last(), Some(&(next - 1)), "the newest stay");
    assert!(left[0] > 1000 || left.len() < 20_000, "the oldest go: {}", left[0]);
    assert_eq!(damages, 0);
}

#[test]
fn old_segments_go_by_age() {
    let dir = tempfile::tempdir().expect("makes a directory");
    let config = Config { segment_bytes: 1, ..small(dir.path()) };
    let (mut appender, _) = open(&config).expect("opens");
    fill(&mut appender, &Sample::new(), 0..256, 64);
    appender.close();
    assert_eq!(seqs(dir.path()).0.len(), 256);
    let config = Config { max_age: Duration::from_secs(1), ..config };
    open(&config).expect("opens").0.close();
    assert!(seqs(dir.path()).0.is_empty());
}

#[test]
fn a_second_daemon_is_refused_and_a_reader_is_not() {
    let dir = tempfile::tempdir().expect("makes a directory");
    let first = open(&small(dir.path())).expect("opens");
    assert!(matches!(open(&small(dir.path())), Err(StoreError::Locked { .. })));
    assert!(Reader::open(dir.path()).is_ok());
    drop(first);
    assert!(open(&small(dir.path())).is_ok());
}

#[test]
fn a_later_version_is_refused_and_a_damaged_version_is_not() {
    let dir = tempfile::tempdir().expect("makes a directory");
    open(&small(dir.path())).expect("opens").0.close();
    fs::write(dir.path().join("VERSION"), "9\n").expect("writes");
    assert!(matches!(open(&small(dir.path())), Err(StoreError::Newer { found: 9, known: 3, .. })));
    assert!(matches!(Reader::open(dir.path()), Err(StoreError::Newer { .. })));
    fs::write(dir.path().join("VERSION"), "\0\0").expect("writes");
    open(&small(dir.path())).expect("opens").0.close();
    assert_eq!(fs::read_to_string(dir.path().join("VERSION")).expect("reads"), "3\n");
}

#[test]
fn a_lost_or_damaged_index_costs_nothing() {
    let (dir, _) = killed();
    open(&small(dir.path())).expect("opens").0.close();
    fs::write(dir.path().join("kv/conf"), "nonsense").expect("writes");
    open(&small(dir.path())).expect("opens").0.close();
    fs::remove_dir_all(dir.path().join("kv")).expect("removes");
    open(&small(dir.path())).expect("opens").0.close();
    assert_eq!(seqs(dir.path()), ((0..150).collect(), 0));
}

#[test]
fn a_store_that_cannot_write_counts_and_goes_on_later() {
    let dir = tempfile::tempdir().expect("makes a directory");
    let sample = Sample::new();
    let (mut appender, _) = open(&small(dir.path())).expect("opens");
    let health = appender.health();
    // The first segment cannot be made: its place is taken.
    let place = first_segment(dir.path());
    fs::create_dir(&place).expect("makes a directory");
    fill(&mut appender, &sample, 0..64, 64);
    let start = crate::clock::instant();
    while health.is_recording() {
        assert!(crate::clock::since(start).as_secs() < 20, "still recording");
        std::thread::yield_now();
    }
    assert!(appender.take_losses().is_empty(), "kept back while nothing can be recorded");
    fs::remove_dir(&place).expect("removes");
    std::thread::sleep(Duration::from_millis(30));
    fill(&mut appender, &sample, 64..128, 64);
    wait_for(dir.path(), 64);
    while !health.is_recording() {
        assert!(crate::clock::since(start).as_secs() < 20, "still not recording");
        std::thread::yield_now();
    }
    let losses = appender.take_losses();
    let lost: u64 = losses.iter().map(|loss| loss.count).sum();
    assert_eq!(
        (lost, losses[0].reason, losses[0].from_ns),
        (64, "store_error", START_NS + 1_000_000)
    );
    assert_eq!(health.lost(super::losses::Cause::Error), 64);
    appender.close();
    assert_eq!(seqs(dir.path()), ((0..64).collect(), 0));
}
