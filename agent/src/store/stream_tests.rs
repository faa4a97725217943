//! Events that are kept less long than others: nothing of either is lost or told twice.

use std::{fs, path::Path, time::Duration};

use super::{
    config::Config,
    crash_tests::{copy, fill, id, scan, seqs, small, wait_for},
    open::open,
    reader::{Reader, Request},
    sample::Sample,
    segment,
    stream::{BriefKinds, SegmentId, Stream},
};
use crate::{attribution::observation::Observation, clock};

/// Of five observations of the sample, two are brief.
fn split(dir: &Path) -> Config {
    Config { brief: BriefKinds::named(&["file_write"]), ..small(dir) }
}

fn segments(dir: &Path, stream: Stream) -> Vec<SegmentId> {
    let mut segments = segment::list(dir).expect("lists");
    segments.retain(|id| id.stream == stream);
    segments
}

fn count(dir: &Path, kind: &str) -> usize {
    scan(dir, Request { kinds: vec![kind.to_owned()], ..Request::default() }).0.len()
}

/// 300 rows by a killed agent: the first in segments of both streams, the last in the log.
fn killed() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("makes a directory");
    let (mut appender, _) = open(&split(dir.path())).expect("opens");
    fill(&mut appender, &Sample::new(), 0..300, 10);
    wait_for(dir.path(), 300);
    let killed = copy(dir.path());
    assert!(fs::metadata(segment::wal_path(killed.path())).expect("has a log").len() > 0);
    killed
}

#[test]
fn rows_of_both_streams_are_one_sequence() {
    let dir = killed();
    assert_eq!(seqs(dir.path()), ((0..300).collect(), 0));
    assert_eq!(Stream::ALL.map(|it| segments(dir.path(), it).len()), [1, 1]);
    open(&split(dir.path())).expect("opens").0.close();
    assert_eq!(seqs(dir.path()), ((0..300).collect(), 0));
    assert_eq!(fs::metadata(segment::wal_path(dir.path())).expect("is there").len(), 0);
    let newest = Request { newest_first: true, from_seq: 280, to_seq: 290, ..Request::default() };
    let rows = scan(dir.path(), newest).0;
    assert_eq!(rows.iter().map(super::row::StoredRow::seq).collect::<Vec<_>>(), {
        (280..290).rev().collect::<Vec<_>>()
    });
    assert_eq!((count(dir.path(), "exec"), count(dir.path(), "file_write")), (120, 120));
}

#[test]
fn a_crash_between_the_blocks_of_both_streams_loses_and_repeats_nothing() {
    for lost in Stream::ALL {
        let dir = killed();
        for id in segment::list(dir.path()).expect("lists") {
            fs::remove_file(segment::segment_path(dir.path(), id)).expect("removes");
        }
        let in_log = seqs(dir.path());
        assert!(in_log.0.len() > 20 && in_log.1 == 0, "{in_log:?}");
        let log = fs::read(segment::wal_path(dir.path())).expect("reads");
        open(&split(dir.path())).expect("opens").0.close();
        // As if killed behind the first of the two blocks.
        fs::write(segment::wal_path(dir.path()), log).expect("writes");
        for id in segments(dir.path(), lost) {
            fs::remove_file(segment::segment_path(dir.path(), id)).expect("removes");
        }
        assert_eq!(seqs(dir.path()), in_log, "without {lost:?}");
        open(&split(dir.path())).expect("opens").0.close();
        assert_eq!(seqs(dir.path()), in_log, "without {lost:?}, reopened");
    }
}

#[test]
fn a_block_is_seen_when_the_other_of_its_batch_is_there() {
    let dir = tempfile::tempdir().expect("makes a directory");
    let (mut appender, _) = open(&split(dir.path())).expect("opens");
    let (sample, now_ns) = (Sample::new(), clock::now_ns());
    // As many as become blocks at once.
    for number in 0..128 {
        sample.with(number, |it| appender.append(&Observation { ts_ns: now_ns, ..*it }));
    }
    appender.close();
    let brief = segment::segment_path(dir.path(), segments(dir.path(), Stream::Brief)[0]);
    let block = fs::read(&brief).expect("reads");
    fs::write(&brief, b"").expect("writes");
    let left = seqs(dir.path()).0.len();
    assert!((1..128).contains(&left), "nobody is about to write the other: {left}");
    let agent = fs::File::create(dir.path().join("lock")).expect("makes the lock");
    rustix::fs::flock(&agent, rustix::fs::FlockOperation::LockExclusive).expect("locks");
    let mut reader = Reader::open(dir.path()).expect("is readable");
    let scan = reader.scan(Request::default()).expect("scans");
    assert_eq!((scan.end_seq(), scan.count()), (0, 0));
    fs::write(&brief, block).expect("writes");
    let scan = reader.scan(Request::default()).expect("scans");
    assert_eq!((scan.end_seq(), scan.count()), (128, 128));
}

#[test]
fn a_store_of_one_stream_goes_on_with_two() {
    let dir = tempfile::tempdir().expect("makes a directory");
    let (mut appender, _) = open(&small(dir.path())).expect("opens");
    fill(&mut appender, &Sample::new(), 0..150, 10);
    wait_for(dir.path(), 150);
    let dir = copy(dir.path());
    let (mut appender, _) = open(&split(dir.path())).expect("opens");
    fill(&mut appender, &Sample::new(), 150..300, 10);
    appender.close();
    assert_eq!(seqs(dir.path()), ((0..300).collect(), 0));
    assert_eq!(segments(dir.path(), Stream::Brief).len(), 1);
}

#[test]
fn brief_events_go_earlier_by_age() {
    let dir = killed();
    // The sample is older than a year.
    let config = Config { brief_max_age: Duration::from_secs(1), ..split(dir.path()) };
    open(&config).expect("opens").0.close();
    let appender = open(&config).expect("opens").0;
    appender.close();
    assert_eq!((count(dir.path(), "exec"), count(dir.path(), "file_write")), (120, 0));
    assert_eq!(count(dir.path(), "connect"), 60);
}

#[test]
fn a_flood_of_brief_events_pushes_out_only_its_own() {
    let dir = tempfile::tempdir().expect("makes a directory");
    let config = Config { max_bytes: 2 << 20, ..split(dir.path()) };
    let (mut appender, _) = open(&config).expect("opens");
    let sample = Sample::new();
    fill(&mut appender, &sample, 0..100, 10);
    for number in 100..6000 {
        sample.with_noise(number, |observation| appender.append(observation));
        while appender.queue().0 > 2 {
            std::thread::yield_now();
        }
    }
    let health = appender.health();
    appender.close();
    let removed = health.stats().removed_by_size.load(std::sync::atomic::Ordering::Relaxed);
    assert!(removed > 2, "only {removed} segments went");
    assert_eq!((count(dir.path(), "exec"), count(dir.path(), "connect")), (40, 20));
    assert!(segments(dir.path(), Stream::Lasting).contains(&id(0, Stream::Lasting)));
    assert!(count(dir.path(), "file_write") > 1000, "the newest stay");
}

#[test]
fn an_index_of_an_earlier_format_is_made_anew() {
    for earlier in ["1\n", "2\n"] {
        let dir = killed();
        open(&split(dir.path())).expect("opens").0.close();
        fs::write(dir.path().join("VERSION"), earlier).expect("writes");
        let mark = dir.path().join("kv/of-the-earlier-format");
        fs::write(&mark, "").expect("writes");
        open(&split(dir.path())).expect("opens").0.close();
        assert!(!mark.exists());
        assert_eq!(fs::read_to_string(dir.path().join("VERSION")).expect("reads"), "3\n");
        assert_eq!(seqs(dir.path()), ((0..300).collect(), 0));
    }
}
