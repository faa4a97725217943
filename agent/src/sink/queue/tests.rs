//! Tests of the queue: what goes in comes out, whatever happens in between.

use std::{
    collections::VecDeque,
    fs::{self, OpenOptions},
    io::{Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use proptest::prelude::*;

use super::*;

const BOUND: u64 = 64 << 10;

fn open(directory: &Path) -> Queue {
    let (queue, opened) = Queue::open(directory, BOUND);
    assert!(opened.error.is_none(), "{opened:?}");
    queue
}

fn record(number: usize, length: usize) -> Vec<u8> {
    format!("{number:0length$}").into_bytes()
}

fn texts(batch: &Batch) -> Vec<&str> {
    batch.records.iter().map(|it| str::from_utf8(it).expect("is text")).collect()
}

fn take_all(queue: &Queue) -> Vec<Vec<u8>> {
    let mut taken = Vec::new();
    while queue.len() > 0 {
        let batch = queue.peek(7).expect("reads");
        queue.take(&batch, batch.records.len()).expect("takes");
        taken.extend(batch.records);
    }
    taken
}

fn segments(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).expect("reads").map(|it| it.expect("reads").path());
    let mut paths: Vec<PathBuf> =
        entries.filter(|it| it.extension().is_some_and(|it| it == "queue")).collect();
    paths.sort();
    paths
}

#[test]
fn what_was_added_stays_until_it_was_taken_also_across_a_restart() {
    let directory = tempfile::tempdir().expect("a directory");
    let queue = open(directory.path());
    for text in ["a", "b", "c", "d"] {
        queue.push(text.into());
    }
    let batch = queue.peek(3).expect("reads");
    assert_eq!(texts(&batch), ["a", "b", "c"]);
    queue.take(&batch, 2).expect("takes");
    assert_eq!(texts(&queue.peek(9).expect("reads")), ["c", "d"]);
    // Nothing is told to it at the end: as if it had been killed.
    drop(queue);
    let (queue, opened) = Queue::open(directory.path(), BOUND);
    assert_eq!((opened.waiting, opened.damaged), (2, 0));
    queue.push(b"e".into());
    assert_eq!(take_all(&queue), [b"c", b"d", b"e"]);
    drop(queue);
    assert_eq!(open(directory.path()).len(), 0);
}

#[test]
fn the_oldest_make_room_and_are_counted() {
    let directory = tempfile::tempdir().expect("a directory");
    let queue = open(directory.path());
    let mut dropped = 0;
    for number in 0..1000 {
        dropped += queue.push(record(number, 1000)).over_bound as usize;
    }
    let on_disk: u64 =
        segments(directory.path()).iter().map(|it| fs::metadata(it).expect("is there").len()).sum();
    assert!(on_disk <= BOUND, "{on_disk}");
    assert!(dropped > 900, "{dropped}");
    let kept = take_all(&queue);
    assert_eq!(kept.len() + dropped, 1000);
    assert_eq!(kept.first(), Some(&record(dropped, 1000)), "the newest are kept");
    assert_eq!(kept.last(), Some(&record(999, 1000)));
}

#[test]
fn what_was_dropped_while_it_was_told_is_not_taken_again() {
    let directory = tempfile::tempdir().expect("a directory");
    let queue = open(directory.path());
    queue.push(record(0, 1000));
    let batch = queue.peek(1).expect("reads");
    let lost: usize = (1..200).map(|it| queue.push(record(it, 1000)).over_bound as usize).sum();
    assert!(lost > 0);
    let waiting = queue.len();
    queue.take(&batch, 1).expect("takes");
    assert_eq!(queue.len(), waiting);
}

#[test]
fn a_torn_or_damaged_end_costs_that_and_nothing_before() {
    for damage in [&b"\x09\0\0\0"[..], b"\xff\xff\xff\xff\0\0\0\0rest", b"\x01\0\0\0\0\0\0\0x"] {
        let directory = tempfile::tempdir().expect("a directory");
        let queue = open(directory.path());
        queue.push(b"whole".into());
        drop(queue);
        let newest = segments(directory.path()).pop().expect("there is one");
        let mut file = OpenOptions::new().append(true).open(newest).expect("opens");
        file.write_all(damage).expect("is written");
        let (queue, opened) = Queue::open(directory.path(), BOUND);
        assert_eq!((opened.waiting, opened.damaged), (1, 1));
        queue.push(b"later".into());
        assert_eq!(take_all(&queue), [&b"whole"[..], b"later"]);
    }
}

#[test]
fn a_record_that_rots_while_it_waits_costs_its_segment_and_is_counted() {
    let directory = tempfile::tempdir().expect("a directory");
    let queue = open(directory.path());
    (0..20).for_each(|number| drop(queue.push(record(number, 1000))));
    let oldest = segments(directory.path()).swap_remove(0);
    let mut file = OpenOptions::new().write(true).open(oldest).expect("opens");
    file.seek(SeekFrom::Start(12)).expect("seeks");
    file.write_all(b"rot").expect("is written");
    let batch = queue.peek(1).expect("reads");
    assert!(batch.unreadable > 0 && batch.unreadable < 20, "{batch:?}");
    assert_eq!(batch.records, [record(batch.unreadable as usize, 1000)]);
    assert_eq!(queue.len() + batch.unreadable, 20);
}

#[test]
fn a_position_that_the_disk_holds_from_before_a_crash_costs_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let position = directory.path().join("position");
    let queue = open(directory.path());
    // As much as is told before a file is given up.
    (0..5).for_each(|number| drop(queue.push(record(number, 1000))));
    let batch = queue.peek(5).expect("reads");
    queue.take(&batch, 3).expect("takes");
    let before = fs::read(&position).expect("is there");
    queue.take(&queue.peek(5).expect("reads"), 2).expect("takes");
    (5..7).for_each(|number| drop(queue.push(record(number, 1000))));
    drop(queue);
    fs::write(&position, before).expect("is written");
    let queue = open(directory.path());
    assert_eq!(take_all(&queue), [record(5, 1000), record(6, 1000)]);
}

#[test]
fn a_file_that_cannot_be_read_costs_what_is_in_it_and_is_told() {
    let directory = tempfile::tempdir().expect("a directory");
    let queue = open(directory.path());
    queue.push(b"lost".into());
    drop(queue);
    let queue = open(directory.path());
    queue.push(b"kept".into());
    drop(queue);
    // What reads as a file and is none, in the place of a sector that cannot be read.
    let oldest = segments(directory.path()).swap_remove(0);
    fs::remove_file(&oldest).expect("is there");
    fs::create_dir(&oldest).expect("makes a directory");
    let (queue, opened) = Queue::open(directory.path(), BOUND);
    assert!(opened.error.is_none() && opened.damaged == 1, "{opened:?}");
    assert_eq!(take_all(&queue), [b"kept"]);
}

#[test]
fn without_a_disk_some_are_kept_in_memory_in_their_order() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("file");
    fs::write(&file, b"").expect("is written");
    let (queue, opened) = Queue::open(&file, BOUND);
    assert!(opened.error.is_some());
    let unwritten: u64 = (0..2000).map(|number| queue.push(record(number, 4)).unwritten).sum();
    assert_eq!((queue.len(), unwritten), (1024, 976));
    assert_eq!(take_all(&queue)[..2], [record(0, 4), record(1, 4)]);
}

#[test]
fn who_waits_is_woken_by_a_record_and_by_the_end() {
    let directory = tempfile::tempdir().expect("a directory");
    let queue = open(directory.path());
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| queue.wait());
        queue.push(b"a".into());
        assert!(waiting.join().expect("ends"));
        take_all(&queue);
        let waiting = scope.spawn(|| queue.wait());
        queue.close();
        assert!(!waiting.join().expect("ends"));
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// As a plain list of what was neither taken nor dropped would behave.
    #[test]
    fn any_course_of_events_keeps_order_and_number(steps in prop::collection::vec((0..4_u8, 1..3000_usize), 1..120)) {
        let directory = tempfile::tempdir().expect("a directory");
        let mut queue = open(directory.path());
        let mut model: VecDeque<Vec<u8>> = VecDeque::new();
        for (number, (step, size)) in steps.into_iter().enumerate() {
            match step {
                0 | 1 => {
                    let record = record(number, size);
                    model.push_back(record.clone());
                    let lost = queue.push(record);
                    prop_assert_eq!(lost.unwritten, 0);
                    model.drain(..lost.over_bound as usize);
                }
                2 => {
                    let batch = queue.peek(size % 9 + 1).expect("reads");
                    let expected: Vec<_> = model.iter().take(batch.records.len()).cloned().collect();
                    prop_assert_eq!(&batch.records, &expected);
                    prop_assert!(!batch.records.is_empty() || model.is_empty());
                    queue.take(&batch, batch.records.len()).expect("takes");
                    model.drain(..batch.records.len());
                }
                _ => {
                    drop(queue);
                    queue = open(directory.path());
                }
            }
            prop_assert_eq!(queue.len(), model.len() as u64);
        }
        prop_assert_eq!(take_all(&queue), Vec::from(model));
    }
}
