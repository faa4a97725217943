//! What containers, disks and impatient operators do to a store: it stays readable, and tells what is not.

use std::{fs, path::Path};

use super::{
    compact::{Plan, compact},
    config::Config,
    crash_tests::{copy, fill, id, scan, seqs, small, wait_for},
    directory,
    open::open,
    reader::Request,
    sample::Sample,
    segment,
    stat::stat,
    stream::{SegmentId, Stream},
    verify::verify,
};

/// Paths of the length that the kernel side keeps, each another one, that become short by compression.
fn fill_with_long_paths(config: &Config, count: u64) {
    let (mut appender, _) = open(config).expect("opens");
    let sample = Sample::new();
    for number in 0..count {
        let path = format!("/{}/{number}", "deep/".repeat(3200));
        sample.with_path(number, path.as_bytes(), |it| appender.append(it));
    }
    appender.close();
}

#[test]
fn names_as_long_as_can_be_make_no_block_that_cannot_be_read() {
    const COUNT: u64 = 5000;
    let dir = tempfile::tempdir().expect("makes a directory");
    let config = Config { block_rows: 4096, queue: 1 << 16, ..small(dir.path()) };
    fill_with_long_paths(&config, COUNT);
    assert_eq!(seqs(dir.path()), ((0..COUNT).collect(), 0));
    let plan = Plan { all: true, ..Plan::default() };
    let done = compact(dir.path(), plan, &mut |_, _| {}).expect("is at rest");
    assert_eq!((done.observations, done.damages.len()), (COUNT, 0));
    assert!(done.blocks.1 > COUNT / 4096 + 1, "{:?}", done.blocks);
    assert_eq!(seqs(dir.path()), ((0..COUNT).collect(), 0));
    assert!(verify(dir.path(), &mut |_, _| {}).expect("reads").damages.is_empty());
}

/// A killed store of 150 rows, of which the log has all: 128 are in a segment, too.
fn killed_before_the_log_was_cut() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("makes a directory");
    let sample = Sample::new();
    let large = Config { block_rows: 4096, ..small(dir.path()) };
    let (mut appender, _) = open(&large).expect("opens");
    fill(&mut appender, &sample, 0..150, 10);
    wait_for(dir.path(), 150);
    let killed = copy(dir.path());
    appender.close();
    let in_segment = segment::segment_path(dir.path(), id(0, Stream::Lasting));
    let there = segment::segment_path(killed.path(), id(0, Stream::Lasting));
    fs::copy(in_segment, there).expect("copies");
    killed
}

fn damage_last_byte(path: &Path) {
    let mut bytes = fs::read(path).expect("reads");
    *bytes.last_mut().expect("is not empty") ^= 1;
    fs::write(path, bytes).expect("writes");
}

#[test]
fn rows_of_the_log_are_kept_where_their_block_is_not_whole() {
    let dir = killed_before_the_log_was_cut();
    assert_eq!(seqs(dir.path()), ((0..150).collect(), 0));
    // Its header is on disk, and what the header announces is not.
    damage_last_byte(&segment::segment_path(dir.path(), id(0, Stream::Lasting)));
    assert_eq!(seqs(dir.path()), ((0..150).collect(), 1));
    open(&small(dir.path())).expect("opens").0.close();
    assert_eq!(seqs(dir.path()), ((0..150).collect(), 1), "and the log is cut");
}

/// A closed store of 256 rows in four segments.
fn four_segments(dir: &Path) -> (Config, Vec<SegmentId>) {
    let config = Config { segment_bytes: 1, ..small(dir) };
    let (mut appender, _) = open(&config).expect("opens");
    fill(&mut appender, &Sample::new(), 0..256, 64);
    appender.close();
    let segments = segment::list(dir).expect("lists");
    assert_eq!(segments.len(), 4);
    (config, segments)
}

#[test]
fn a_file_that_cannot_be_read_is_told_and_the_others_are_read() {
    let dir = tempfile::tempdir().expect("makes a directory");
    let (config, segments) = four_segments(dir.path());
    // What reads as a file and is none, in the place of a sector that cannot be read.
    for path in [segment::segment_path(dir.path(), segments[3]), segment::wal_path(dir.path())] {
        fs::remove_file(&path).expect("is there");
        fs::create_dir(&path).expect("makes a directory");
    }
    assert_eq!(seqs(dir.path()), ((0..192).collect(), 2));
    let verified = verify(dir.path(), &mut |_, _| {}).expect("reads");
    assert_eq!((verified.observations, verified.damages.len()), (192, 2));
    let in_segments = stat(dir.path()).expect("is a store").in_segments();
    assert!(in_segments.observations == 192 && in_segments.damaged_bytes > 0);
    let (mut appender, damages) = open(&config).expect("opens all the same");
    assert_eq!(damages.len(), 2, "{damages:?}");
    fill(&mut appender, &Sample::new(), 300..310, 10);
    appender.close();
    let (rows, _) = scan(dir.path(), Request::default());
    assert_eq!(rows.len(), 202);
    assert!(rows[201].seq() > rows[191].seq() + 64, "no number is used twice");
}

#[test]
fn compacting_that_fails_leaves_no_index_of_what_was_and_no_draft() {
    let dir = tempfile::tempdir().expect("makes a directory");
    let (config, segments) = four_segments(dir.path());
    let draft = segment::segment_path(dir.path(), segments[2]).with_extension(directory::DRAFT);
    fs::create_dir(&draft).expect("is in the way");
    let plan = Plan { all: true, ..Plan::default() };
    compact(dir.path(), plan, &mut |_, _| {}).expect_err("it is in the way");
    fs::remove_dir(&draft).expect("is there");
    fs::write(&draft, "half a segment").expect("is written");
    assert!(!directory::index_dir(dir.path()).exists());
    let (appender, damages) = open(&config).expect("opens");
    appender.close();
    assert!(damages.is_empty() && !draft.exists(), "{damages:?}");
    assert_eq!(seqs(dir.path()), ((0..256).collect(), 0));
}

#[test]
fn what_others_leave_in_the_directory_costs_no_observation() {
    let dir = tempfile::tempdir().expect("makes a directory");
    let config = Config { max_bytes: 1 << 20, ..small(dir.path()) };
    fs::write(dir.path().join("export.parquet"), vec![1; 2 << 20]).expect("is written");
    let (mut appender, _) = open(&config).expect("opens");
    fill(&mut appender, &Sample::new(), 0..500, 10);
    appender.close();
    assert_eq!(seqs(dir.path()).0.len(), 500);
}
