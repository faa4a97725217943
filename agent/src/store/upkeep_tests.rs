//! Looking at a store, checking it and putting it in order.

use std::{fs, path::Path};

use super::{
    compact::{Plan, compact},
    crash_tests::{fill, scan, seqs, small},
    directory,
    error::StoreError,
    open::open,
    reader::Request,
    sample::Sample,
    segment,
    stat::stat,
    stream::BriefKinds,
    texts::{Needle, Part},
    verify::verify,
};
use crate::{attribution::fields::by_name, fields::Fields, store::config::Config};

/// A closed store of 600 rows in blocks of 64 and fewer, of both streams.
fn closed() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("makes a directory");
    let config = Config { brief: BriefKinds::named(&["file_write"]), ..small(dir.path()) };
    let sample = Sample::new();
    for round in 0..6 {
        let (mut appender, _) = open(&config).expect("opens");
        fill(&mut appender, &sample, round * 100..(round + 1) * 100, 10);
        appender.close();
    }
    dir
}

/// Every field of every row, in order.
fn texts(dir: &Path) -> Vec<String> {
    let text = |row: &super::row::StoredRow| {
        let mut words = vec![row.seq().to_string()];
        row.visit(&mut |field, value| words.push(format!("{}={value}", field.name)));
        words.join(" ")
    };
    scan(dir, Request::default()).0.iter().map(text).collect()
}

fn flip(dir: &Path, which: usize, at: impl Fn(usize) -> usize) -> u64 {
    let id = segment::list(dir).expect("lists")[which];
    let path = segment::segment_path(dir, id);
    let mut bytes = fs::read(&path).expect("reads");
    let at = at(bytes.len());
    bytes[at] ^= 0x10;
    fs::write(&path, &bytes).expect("writes");
    at as u64
}

#[test]
fn a_sound_store_is_counted_and_verified() {
    let dir = closed();
    let stat = stat(dir.path()).expect("is a store");
    let all = stat.in_segments();
    assert_eq!((all.observations, all.damaged_bytes, stat.log.bytes), (600, 0, 0));
    assert_eq!((stat.segments.len(), stat.format, stat.is_in_use), (2, Some(3), false));
    assert!(all.kinds.contains("exec") && all.kinds.contains("file_write"));
    assert!(stat.bytes > all.bytes && stat.index_bytes > 0);
    let mut steps = Vec::new();
    let verified = verify(dir.path(), &mut |done, total| steps.push((done, total))).expect("reads");
    assert_eq!((verified.observations, verified.blocks), (600, all.blocks));
    assert!(verified.damages.is_empty(), "{:?}", verified.damages);
    assert_eq!(steps.last(), Some(&(all.bytes, all.bytes)));
}

#[test]
fn a_flipped_byte_anywhere_in_a_segment_is_found() {
    let whole = closed();
    for part in 0..40 {
        let dir = tempfile::tempdir().expect("makes a directory");
        let events = segment::events_dir(dir.path());
        fs::create_dir_all(&events).expect("makes a directory");
        for id in segment::list(whole.path()).expect("lists") {
            let to = segment::segment_path(dir.path(), id);
            fs::copy(segment::segment_path(whole.path(), id), to).expect("copies");
        }
        let at = flip(dir.path(), part % 2, |length| length * part / 40);
        let verified = verify(dir.path(), &mut |_, _| {}).expect("reads");
        let damage = verified.damages.first().unwrap_or_else(|| panic!("{at} is not found"));
        assert!((damage.offset..damage.offset + damage.bytes).contains(&at), "{damage} and {at}");
        assert!(verified.observations < 600);
    }
}

#[test]
fn compacting_joins_blocks_and_changes_no_observation() {
    let dir = closed();
    let before = texts(dir.path());
    let done = compact(dir.path(), Plan::default(), &mut |_, _| {}).expect("is at rest");
    assert_eq!((done.segments, done.observations, done.blocks.1), (2, 600, 2));
    assert!(done.blocks.0 > 10 && done.bytes.1 < done.bytes.0 && done.damages.is_empty());
    assert_eq!(texts(dir.path()), before);
    let verified = verify(dir.path(), &mut |_, _| {}).expect("reads");
    assert_eq!((verified.observations, verified.damages.len()), (600, 0));
    let web_3 = Request { containers: vec!["web-3".to_owned()], ..Request::default() };
    assert_eq!(scan(dir.path(), web_3).0.len(), 60, "the headers name the containers");
    // Process 1100 does what has the numbers 300 to 302.
    let field = by_name("proc.pid").expect("is a field");
    let process = |id| Request {
        needles: vec![vec![Needle { field, part: Part::Number(id) }]],
        ..Request::default()
    };
    let numbers: Vec<u64> =
        scan(dir.path(), process(1100)).0.iter().map(super::row::StoredRow::seq).collect();
    assert!((300..303).all(|it| numbers.contains(&it)), "{numbers:?}");
    let strangers = (5000..5200).filter(|id| !scan(dir.path(), process(*id)).0.is_empty());
    assert!(strangers.count() < 100, "the headers tell of the processes");
    let again = compact(dir.path(), Plan::default(), &mut |_, _| {}).expect("is at rest");
    assert_eq!(again.segments, 0, "there is nothing more to do");
    let (mut appender, damages) = open(&small(dir.path())).expect("opens");
    assert!(damages.is_empty());
    fill(&mut appender, &Sample::new(), 600..610, 10);
    appender.close();
    assert_eq!(seqs(dir.path()), ((0..610).collect(), 0));
}

#[test]
fn compacting_takes_damage_out_and_keeps_it_aside() {
    let dir = closed();
    flip(dir.path(), 0, |length| length / 2);
    let (left, damages) = seqs(dir.path());
    assert!(left.len() < 600 && damages == 1);
    let done = compact(dir.path(), Plan::default(), &mut |_, _| {}).expect("is at rest");
    assert_eq!(done.damages.len(), 1);
    assert_eq!(seqs(dir.path()), (left.clone(), 0));
    assert_eq!(directory::asides(dir.path()).len(), 1);
    let plan = Plan { all: true, drop_damaged: true };
    let done = compact(dir.path(), plan, &mut |_, _| {}).expect("is at rest");
    assert_eq!((done.segments, done.damages.len()), (2, 0));
    assert!(directory::asides(dir.path()).is_empty());
    assert_eq!(seqs(dir.path()), (left, 0));
}

#[test]
fn a_store_that_an_agent_has_open_is_looked_at_and_not_put_in_order() {
    let dir = closed();
    let (appender, _) = open(&small(dir.path())).expect("opens");
    assert!(stat(dir.path()).expect("is a store").is_in_use);
    assert!(verify(dir.path(), &mut |_, _| {}).expect("reads").damages.is_empty());
    let refused = compact(dir.path(), Plan::default(), &mut |_, _| {});
    assert!(matches!(refused, Err(StoreError::Locked { .. })));
    appender.close();
    let nowhere = dir.path().join("nowhere");
    assert!(stat(&nowhere).is_err() && verify(&nowhere, &mut |_, _| {}).is_err());
    assert!(compact(&nowhere, Plan::default(), &mut |_, _| {}).is_err());
    assert!(!nowhere.exists());
}
