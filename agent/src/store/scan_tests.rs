//! What a search reads and returns: blocks that may have what is asked for, and their rows that do.

use std::path::Path;

use super::{
    crash_tests::{fill, small},
    open::open,
    reader::{Reader, Request},
    row::StoredRow,
    sample::Sample,
    stream::BriefKinds,
    texts::{Needle, Part},
};
use crate::{attribution::fields::by_name, fields::Fields as _};

const ROWS: u64 = 1280;

/// A closed store of blocks of 64 rows, of both streams.
fn closed() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("makes a directory");
    let config =
        super::config::Config { brief: BriefKinds::named(&["file_write"]), ..small(dir.path()) };
    let (mut appender, _) = open(&config).expect("opens");
    fill(&mut appender, &Sample::new(), 0..ROWS, 128);
    appender.close();
    dir
}

fn needle(name: &str, part: Part) -> Vec<Needle> {
    vec![Needle { field: by_name(name).expect("is a field"), part }]
}

/// The numbers of the rows that a request returns, and how many blocks it reads.
fn asked(dir: &Path, request: Request) -> (Vec<u64>, u64) {
    asked_of(&mut Reader::open(dir).expect("is readable"), request)
}

fn asked_of(reader: &mut Reader, request: Request) -> (Vec<u64>, u64) {
    let mut scan = reader.scan(request).expect("scans");
    let rows: Vec<StoredRow> = scan.by_ref().map(|row| row.expect("is sound")).collect();
    (rows.iter().map(StoredRow::seq).collect(), scan.opened())
}

#[test]
fn only_blocks_that_may_have_a_process_are_read() {
    let dir = closed();
    let all = asked(dir.path(), Request::default());
    assert_eq!((all.0.len() as u64, all.1), (ROWS, 20));
    // Process 1100 does what has the numbers 300 to 302, and 1200 to 1202.
    let request =
        Request { needles: vec![needle("proc.pid", Part::Number(1100))], ..Request::default() };
    let (rows, opened) = asked(dir.path(), request);
    assert!(opened < 10, "{opened} blocks of 20");
    assert!([300, 301, 302, 1200, 1201, 1202].iter().all(|it| rows.contains(it)), "{rows:?}");
    assert_eq!(rows.len() as u64, 6 + opened - blocks_with(&dir, 1100), "{rows:?}");
}

#[test]
fn what_blocks_may_hold_is_read_again_where_there_was_no_room_for_it() {
    let dir = closed();
    let request =
        Request { needles: vec![needle("proc.pid", Part::Number(1100))], ..Request::default() };
    let expected = asked(dir.path(), request.clone());
    let mut small = Reader::open(dir.path()).expect("is readable").keeping(2000);
    for _ in 0..2 {
        assert_eq!(asked_of(&mut small, request.clone()), expected);
    }
    assert_eq!(asked_of(&mut small, Request::default()).1, 20);
}

fn blocks_with(dir: &tempfile::TempDir, pid: u64) -> u64 {
    let mut reader = Reader::open(dir.path()).expect("is readable");
    let mut blocks = 0;
    for kinds in [vec!["file_write"], vec!["exec", "connect"]] {
        let kinds = kinds.into_iter().map(str::to_owned).collect();
        let scan = reader.scan(Request { kinds, ..Request::default() }).expect("scans");
        let rows: Vec<StoredRow> = scan.map(|row| row.expect("is sound")).collect();
        let has = |row: &StoredRow| {
            row.get("proc.pid").is_some_and(|it| it.to_string() == pid.to_string())
        };
        let mut found: Vec<u64> =
            rows.iter().filter(|it| has(it)).map(|it| it.seq() / 128).collect();
        found.dedup();
        blocks += found.len() as u64;
    }
    blocks
}

#[test]
fn a_block_in_vain_still_shows_that_the_search_goes_on() {
    let dir = closed();
    let nowhere = needle("net.rport", Part::Number(4444));
    let request = Request { needles: vec![nowhere.clone(), nowhere], ..Request::default() };
    let (rows, opened) = asked(dir.path(), request);
    assert_eq!((rows.len(), opened), (20, 20));
    let connects = Request {
        kinds: vec!["connect".to_owned()],
        needles: vec![needle("net.rport", Part::Number(4444))],
        ..Request::default()
    };
    assert_eq!(asked(dir.path(), connects).0.len(), 10, "one of each block with connects");
}

#[test]
fn a_block_without_rows_of_the_asked_time_is_no_hit() {
    let dir = closed();
    let third = super::sample::START_NS + 300_000_000;
    let request = Request { from_ns: third, to_ns: third, ..Request::default() };
    assert_eq!(asked(dir.path(), request).0, [300]);
    let request = Request { from_seq: 640, to_seq: 650, newest_first: true, ..Request::default() };
    let (rows, opened) = asked(dir.path(), request);
    assert_eq!((rows, opened), ((640..650).rev().collect(), 2));
}
