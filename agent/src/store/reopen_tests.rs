//! Opening a store whose index knows its segments: what is settled is not read again, what is not
//! is, and nothing is lost or told twice by that.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{
    config::Config,
    crash_tests::{fill, seqs, small, wait_for},
    files::tree_bytes,
    open::open,
    sample::Sample,
    segment,
    stream::BriefKinds,
    verify::verify,
};

/// Segments of a few blocks.
fn segmented(dir: &Path) -> Config {
    Config { segment_bytes: 3 << 10, brief: BriefKinds::named(&["file_write"]), ..small(dir) }
}

/// A closed store of 1000 rows in several segments of each stream.
fn closed() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("makes a directory");
    let (mut appender, _) = open(&segmented(dir.path())).expect("opens");
    fill(&mut appender, &Sample::new(), 0..1000, 10);
    appender.close();
    assert!(segments(dir.path()).len() > 5, "only {:?}", segments(dir.path()));
    dir
}

fn segments(dir: &Path) -> Vec<PathBuf> {
    let listed = segment::list(dir).expect("lists");
    listed.into_iter().map(|id| segment::segment_path(dir, id)).collect()
}

/// Changes a byte of a header.
fn damage(path: &Path) {
    let mut bytes = fs::read(path).expect("reads");
    bytes[30] ^= 1;
    fs::write(path, bytes).expect("writes");
}

/// Copies a directory with all in it.
fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("makes a directory");
    for entry in fs::read_dir(from).expect("lists").flatten() {
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_tree(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).expect("copies");
        }
    }
}

#[test]
fn what_the_index_knows_is_not_read_again() {
    let dir = closed();
    damage(&segments(dir.path())[0]);
    let (appender, damages) = open(&segmented(dir.path())).expect("opens");
    assert!(damages.is_empty(), "nothing of a settled segment is read: {damages:?}");
    appender.close();
    let (left, told) = seqs(dir.path());
    assert!(left.len() < 1000 && told == 1, "a reader tells what is missing");
    assert_eq!(verify(dir.path(), &mut |_, _| {}).expect("reads").damages.len(), 1);
    fs::remove_dir_all(dir.path().join("kv")).expect("removes");
    for _ in 0..2 {
        let (appender, damages) = open(&segmented(dir.path())).expect("opens");
        assert_eq!(damages.len(), 1, "what the index does not know is read each time");
        appender.close();
    }
    assert_eq!(seqs(dir.path()), (left, 1));
}

#[test]
fn a_segment_of_another_length_is_read() {
    let dir = closed();
    let first = &segments(dir.path())[0];
    let bytes = fs::read(first).expect("reads");
    fs::write(first, &bytes[..bytes.len() - 9]).expect("writes");
    let (appender, damages) = open(&segmented(dir.path())).expect("opens");
    assert_eq!(damages.len(), 1, "{damages:?}");
    appender.close();
    let left = seqs(dir.path()).0;
    assert!(left.len() < 1000 && left.last() == Some(&999));
}

#[test]
fn blocks_that_an_older_index_does_not_know_are_found() {
    let dir = closed();
    let (index, older) = (dir.path().join("kv"), dir.path().join("older"));
    copy_tree(&index, &older);
    let (mut appender, _) = open(&segmented(dir.path())).expect("opens");
    fill(&mut appender, &Sample::new(), 1000..2000, 10);
    appender.close();
    fs::remove_dir_all(&index).expect("removes");
    fs::rename(&older, &index).expect("renames");
    for round in 0..3 {
        let (mut appender, damages) = open(&segmented(dir.path())).expect("opens");
        assert!(damages.is_empty(), "{damages:?}");
        fill(&mut appender, &Sample::new(), 2000 + round * 10..2010 + round * 10, 10);
        appender.close();
        assert_eq!(seqs(dir.path()), ((0..2010 + round * 10).collect(), 0), "round {round}");
    }
}

#[test]
fn an_index_of_segments_that_are_gone_is_brought_up_to_date() {
    let dir = closed();
    for path in &segments(dir.path())[..2] {
        fs::remove_file(path).expect("removes");
    }
    let left = seqs(dir.path()).0;
    for _ in 0..2 {
        let (appender, damages) = open(&segmented(dir.path())).expect("opens");
        assert!(damages.is_empty(), "{damages:?}");
        appender.close();
    }
    assert_eq!(seqs(dir.path()), (left, 0));
}

#[test]
fn a_killed_agents_log_and_index_lose_and_repeat_nothing() {
    let dir = tempfile::tempdir().expect("makes a directory");
    let (mut appender, _) = open(&segmented(dir.path())).expect("opens");
    let sample = Sample::new();
    for killed_at in [330, 670, 999] {
        let first = seqs(dir.path()).0.len() as u64;
        fill(&mut appender, &sample, first..killed_at, 10);
        appender.tick();
        wait_for(dir.path(), killed_at as usize);
        let killed = tempfile::tempdir().expect("makes a directory");
        copy_tree(dir.path(), killed.path());
        let log = fs::read(segment::wal_path(killed.path())).expect("reads");
        open(&segmented(killed.path())).expect("opens").0.close();
        // As if killed again, when the log was in segments and not yet cut.
        fs::write(segment::wal_path(killed.path()), log).expect("writes");
        for _ in 0..2 {
            let (appender, damages) = open(&segmented(killed.path())).expect("opens");
            assert!(damages.is_empty(), "{damages:?}");
            appender.close();
            assert_eq!(seqs(killed.path()), ((0..killed_at).collect(), 0));
        }
    }
    assert!(tree_bytes(&dir.path().join("kv")) > 0);
}
