//! Profiles on disk: one file each, replaced as a whole, checked when it is read.

use std::{
    fs::{self, DirBuilder, File},
    io::{self, Read},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};

use super::background::Background;
use crate::{
    baseline::{
        saved::{FORMAT, Saved},
        subject::Subject,
    },
    replace::replace,
    stable_hash::stable_hash,
};

/// Directory below the data directory.
pub const DIRECTORY: &str = "profiles";
/// How a file begins, after which its checksum follows.
const MAGIC: &[u8; 8] = b"PLIMPRO1";
/// Bytes before the content.
const HEAD: usize = MAGIC.len() + 4;
/// Longest file, and longest content of one.
const MOST_BYTES: u64 = 8 << 20;
const MOST_CONTENT: usize = 64 << 20;
/// zstd's level: profiles are written often and are small.
const LEVEL: i32 = 3;
/// Profiles that wait to be written.
const WAITING: usize = 64;
/// Ending of files, of drafts and of what is damaged.
const ENDING: &str = "profile";

/// Writes profiles on a thread of its own.
pub struct ProfileWriter(Background<Saved>);

impl ProfileWriter {
    /// Starts the thread that writes into a data directory.
    ///
    /// # Errors
    /// When there is no directory, or no thread.
    pub fn start(data_dir: &Path) -> anyhow::Result<Self> {
        let directory = data_dir.join(DIRECTORY);
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&directory)
            .with_context(|| format!("making {}", directory.display()))?;
        let failed = "a profile is not saved, what is learned may be lost";
        let write = move |saved: Saved| write(&directory, &saved);
        Ok(Self(Background::start("profiles", WAITING, failed, write)?))
    }

    /// Room for profiles that wait.
    pub fn room(&self) -> usize {
        self.0.room()
    }

    /// Has a profile written; gives it back where there is no room.
    pub fn write(&self, saved: Saved) -> Option<Saved> {
        self.0.write(saved)
    }

    /// Waits until all is written.
    pub fn close(&mut self) {
        self.0.close(None);
    }
}

/// Name of the file of a subject.
fn file_of(subject: &Subject) -> String {
    let key = serde_json::to_vec(subject).unwrap_or_default();
    format!("{:016x}.{ENDING}", stable_hash(&key))
}

/// Replaces the file of a profile.
fn write(directory: &Path, saved: &Saved) -> anyhow::Result<()> {
    let content = serde_json::to_vec(saved)?;
    let packed = zstd::bulk::compress(&content, LEVEL)?;
    let path = directory.join(file_of(&saved.subject));
    let sum = crc32fast::hash(&packed).to_le_bytes();
    replace(&path, &[MAGIC, &sum, &packed]).with_context(|| format!("writing {}", path.display()))
}

/// Removes the file of a subject's profile.
///
/// # Errors
/// Those of the file system.
pub fn remove(data_dir: &Path, subject: &Subject) -> io::Result<()> {
    fs::remove_file(data_dir.join(DIRECTORY).join(file_of(subject)))
}

/// A file that is no profile, and where it is now.
#[derive(Debug)]
pub struct Damaged {
    /// Where it was.
    pub path: PathBuf,
    /// Why it is none.
    pub why: anyhow::Error,
}

/// Reads every profile of a data directory; what is damaged is told.
///
/// # Errors
/// When the directory is there and cannot be read.
pub fn read_all(data_dir: &Path) -> anyhow::Result<(Vec<Saved>, Vec<Damaged>)> {
    let directory = data_dir.join(DIRECTORY);
    let listed = match fs::read_dir(&directory) {
        Ok(listed) => listed,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Default::default()),
        Err(error) => {
            return Err(error).with_context(|| format!("reading {}", directory.display()));
        }
    };
    let paths = listed.filter_map(|entry| Some(entry.ok()?.path()));
    let mut paths: Vec<PathBuf> =
        paths.filter(|path| path.extension().is_some_and(|it| it == ENDING)).collect();
    paths.sort();
    let (mut profiles, mut damaged) = (Vec::new(), Vec::new());
    for path in paths {
        match read(&path) {
            Ok(saved) => profiles.push(saved),
            Err(why) => damaged.push(Damaged { path, why }),
        }
    }
    profiles.sort_by(|a, b| (&a.image, &a.subject).cmp(&(&b.image, &b.subject)));
    Ok((profiles, damaged))
}

/// Moves a damaged file out of the way; returns where it is now.
pub fn set_aside(damaged: &Damaged) -> PathBuf {
    let aside = damaged.path.with_extension("damaged");
    if fs::rename(&damaged.path, &aside).is_ok() { aside } else { damaged.path.clone() }
}

fn read(path: &Path) -> anyhow::Result<Saved> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MOST_BYTES + 1).read_to_end(&mut bytes)?;
    parse(&bytes)
}

/// Reads the content of a file.
fn parse(bytes: &[u8]) -> anyhow::Result<Saved> {
    if bytes.len() as u64 > MOST_BYTES {
        bail!("it is longer than {MOST_BYTES} bytes");
    }
    let (Some(head), Some(packed)) = (bytes.get(..HEAD), bytes.get(HEAD..)) else {
        bail!("it is shorter than its head");
    };
    let (magic, sum) = head.split_at(MAGIC.len());
    if magic != MAGIC {
        bail!("it does not begin as a profile does");
    }
    if sum != crc32fast::hash(packed).to_le_bytes() {
        bail!("its checksum is wrong");
    }
    let content = zstd::bulk::decompress(packed, MOST_CONTENT).context("unpacking it")?;
    let saved: Saved = serde_json::from_slice(&content).context("reading it")?;
    if saved.format > FORMAT {
        bail!("a later version wrote it (format {}, this one knows {FORMAT})", saved.format);
    }
    Ok(saved)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::baseline::{profile::Profile, settings::Settings};

    fn saved(name: &str) -> Saved {
        let subject = Subject::Service { name: name.to_owned() };
        Saved::of(&Profile::new(subject), &Settings::default(), 7)
    }

    #[test]
    fn what_was_written_is_read_and_a_damaged_file_is_told() {
        let home = tempfile::tempdir().expect("a directory");
        let mut writer = ProfileWriter::start(home.path()).expect("starts");
        for name in ["a", "b"] {
            assert!(writer.write(saved(name)).is_none());
        }
        writer.close();
        let (profiles, damaged) = read_all(home.path()).expect("reads");
        assert_eq!(profiles, [saved("a"), saved("b")]);
        assert!(damaged.is_empty());
        let path = home.path().join(DIRECTORY).join(file_of(&saved("a").subject));
        let mut bytes = fs::read(&path).expect("is there");
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        fs::write(&path, bytes).expect("is written");
        let (profiles, damaged) = read_all(home.path()).expect("reads");
        assert_eq!((profiles.len(), damaged.len()), (1, 1));
        assert!(
            set_aside(&damaged[0])
                .ends_with(path.with_extension("damaged").file_name().expect("has a name"))
        );
        assert!(read_all(home.path()).expect("reads").1.is_empty());
        remove(home.path(), &saved("b").subject).expect("is there");
        assert!(read_all(home.path()).expect("reads").0.is_empty());
    }

    #[test]
    fn there_are_none_before_any_was_written() {
        let home = tempfile::tempdir().expect("a directory");
        assert!(read_all(home.path()).expect("reads").0.is_empty());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>, cut in 0..200_usize) {
            let _ = parse(&bytes);
            let packed = zstd::bulk::compress(&bytes, LEVEL).expect("packs");
            let whole = [&MAGIC[..], &crc32fast::hash(&packed).to_le_bytes(), &packed].concat();
            prop_assert!(parse(&whole).is_err());
            let _ = parse(&whole[..cut.min(whole.len())]);
        }
    }
}
