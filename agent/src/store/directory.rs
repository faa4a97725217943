//! The store's directory: its version, its lock, and moving damaged files aside.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use rustix::fs::{FlockOperation, flock};

use super::{
    block::FORMAT_VERSION,
    error::StoreError,
    files::{sync_dir, tree_bytes},
    segment::events_dir,
};
use crate::clock;

/// How often, and with which pause, the lock is tried.
const ATTEMPTS: u32 = 10;
const PATIENCE: Duration = Duration::from_millis(5);

/// How the name of a segment ends that is being written anew.
pub(super) const DRAFT: &str = "new";
/// The store's own files and directories, beside drafts of them and what was damaged. What else lies in
/// its directory is somebody's, and no reason to forget anything.
const OWN: [&str; 8] =
    ["VERSION", "lock", "events", "kv", "profiles", "peer-names.json", "policy.json", "sinks"];

/// Bytes of everything that the agent keeps in its directory.
pub(super) fn own_bytes(dir: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(dir) else { return 0 };
    let is_own = |name: &str| {
        let behind = OWN.iter().find_map(|own| name.strip_prefix(own));
        behind.is_some_and(|it| it.is_empty() || it == ".new" || it.starts_with(".bad."))
    };
    let own = entries.flatten().filter(|it| is_own(&it.file_name().to_string_lossy()));
    own.map(|it| tree_bytes(&it.path())).sum()
}

/// Makes the directory where it is missing and takes it for this process.
pub(super) fn take(dir: &Path) -> Result<File, StoreError> {
    let make = |path: &Path| {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(StoreError::io("cannot make the directory", path))
    };
    make(dir)?;
    check_version(dir)?;
    make(&events_dir(dir))?;
    let path = dir.join("lock");
    let lock = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(StoreError::io("cannot open", &path))?;
    hold(&lock, dir).map_err(|error| match error {
        rustix::io::Errno::WOULDBLOCK => StoreError::Locked { dir: dir.to_owned() },
        error => StoreError::io("cannot lock", &path)(error.into()),
    })?;
    drop_drafts(dir);
    migrate(dir)?;
    write_version(dir)?;
    Ok(lock)
}

/// Removes what an interrupted [`super::compact`] left.
fn drop_drafts(dir: &Path) {
    let entries = fs::read_dir(events_dir(dir)).into_iter().flatten().flatten();
    let drafts = entries.map(|it| it.path()).filter(|it| it.extension() == Some(DRAFT.as_ref()));
    for draft in drafts {
        if let Err(error) = fs::remove_file(&draft) {
            tracing::warn!(file = %draft.display(), %error, "an unfinished segment is left");
        }
    }
}

/// Makes a directory of an earlier version one of this: its blocks are read as they are, each
/// has its own version; the index has other entries and is made anew.
fn migrate(dir: &Path) -> Result<(), StoreError> {
    let index = index_dir(dir);
    let earlier = read_version(dir)?.is_some_and(|found| found < FORMAT_VERSION);
    if !earlier || !index.exists() {
        return Ok(());
    }
    tracing::info!(dir = %dir.display(), "the index is of an earlier format and is made anew");
    fs::remove_dir_all(&index).map_err(StoreError::io("cannot remove", &index))
}

/// Takes the lock. Whoever asks [`is_in_use`] has it for a moment.
fn hold(lock: &File, dir: &Path) -> rustix::io::Result<()> {
    for _ in 1..ATTEMPTS {
        match flock(lock, FlockOperation::NonBlockingLockExclusive) {
            Err(rustix::io::Errno::WOULDBLOCK) => thread::sleep(PATIENCE),
            held => return held,
        }
    }
    tracing::debug!(dir = %dir.display(), "the store is in use");
    flock(lock, FlockOperation::NonBlockingLockExclusive)
}

/// Whether an agent has the directory open.
pub fn is_in_use(dir: &Path) -> bool {
    let Ok(lock) = File::open(dir.join("lock")) else { return false };
    // Let go of when the file is closed, at the end.
    flock(&lock, FlockOperation::NonBlockingLockShared) == Err(rustix::io::Errno::WOULDBLOCK)
}

/// Refuses a directory of a later version. What cannot be read as a version is no reason to
/// refuse: each block has its own.
pub(super) fn check_version(dir: &Path) -> Result<(), StoreError> {
    match read_version(dir)? {
        Some(found) if found > FORMAT_VERSION => {
            Err(StoreError::Newer { dir: dir.to_owned(), found, known: FORMAT_VERSION })
        }
        _ => Ok(()),
    }
}

/// The directory's version, if it tells one.
pub(super) fn read_version(dir: &Path) -> Result<Option<u16>, StoreError> {
    let path = dir.join("VERSION");
    match fs::read(&path) {
        Ok(text) => Ok(std::str::from_utf8(&text).ok().and_then(|text| text.trim().parse().ok())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StoreError::io("cannot read", &path)(error)),
    }
}

/// Where the index is.
pub(super) fn index_dir(dir: &Path) -> PathBuf {
    dir.join("kv")
}

fn write_version(dir: &Path) -> Result<(), StoreError> {
    let path = dir.join("VERSION");
    let text = format!("{FORMAT_VERSION}\n");
    if fs::read(&path).is_ok_and(|known| known == text.as_bytes()) {
        return Ok(());
    }
    let draft = dir.join("VERSION.new");
    let write = || {
        let mut file = File::create(&draft)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&draft, &path)?;
        sync_dir(dir)
    };
    write().map_err(StoreError::io("cannot write", &path))
}

/// A free name beside a damaged file.
fn aside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".bad.{}", clock::now_ns()));
    path.with_file_name(name)
}

/// Moves a damaged file aside.
pub(super) fn set_aside(path: &Path) -> io::Result<()> {
    fs::rename(path, aside(path))
}

/// Keeps damaged bytes of a file that is going to be cut, as far as there is space for them.
pub(super) fn keep_aside(path: &Path, bytes: &[u8]) {
    let aside = aside(path);
    if let Err(error) = fs::write(&aside, bytes) {
        tracing::warn!(file = %aside.display(), %error, "damaged bytes are not kept");
        // Half a copy is worth nothing.
        let _ = fs::remove_file(&aside);
    }
}

/// What was moved aside, oldest first.
pub(super) fn asides(dir: &Path) -> Vec<PathBuf> {
    let mut asides: Vec<PathBuf> = [dir.to_owned(), events_dir(dir)]
        .iter()
        .filter_map(|dir| fs::read_dir(dir).ok())
        .flat_map(|entries| entries.flatten().map(|entry| entry.path()))
        .filter(|path| {
            path.file_name().is_some_and(|name| name.to_string_lossy().contains(".bad."))
        })
        .collect();
    asides.sort_by_key(|path| fs::metadata(path).and_then(|meta| meta.modified()).ok());
    asides
}

/// Removes what was moved aside, oldest first, until `bytes` are free or nothing is left.
pub(super) fn drop_asides(dir: &Path, bytes: u64) {
    let mut freed = 0;
    for path in asides(dir) {
        if freed >= bytes {
            return;
        }
        freed += tree_bytes(&path);
        let removed =
            if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        tracing::info!(file = %path.display(), removed = removed.is_ok(), "old damaged file dropped");
    }
}
