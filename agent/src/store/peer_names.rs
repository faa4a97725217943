//! The names that containers resolved, on disk: one file, replaced as a whole.
//!
//! Connections are made anew, for days, to addresses that were resolved once. The next agent has
//! to know their names, or it takes a peer of old for a new one. What is lost of this is resolved
//! again some day, and so it is written at leisure.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};

use super::background::Background;
use crate::{attribution::peer_names::Kept, replace::replace};

/// The file below the data directory.
const FILE: &str = "peer-names.json";
/// Version of its form; one of a later version is not read.
const FORMAT: u32 = 1;
/// Longest file that is read; what is written stays far below.
const MOST_BYTES: u64 = 64 << 20;

#[derive(Serialize, Deserialize)]
struct Content {
    format: u32,
    /// The boot that the cgroups are of.
    boot_id: String,
    containers: Vec<Kept>,
}

/// Writes the file on a thread of its own.
pub struct PeerNameWriter(Background<Vec<Kept>>);

impl PeerNameWriter {
    /// Starts the thread that writes into a data directory which is there.
    ///
    /// # Errors
    /// When there is no thread.
    pub fn start(data_dir: &Path, boot_id: &str) -> anyhow::Result<Self> {
        let (data_dir, boot_id) = (data_dir.to_owned(), boot_id.to_owned());
        let failed = "names of peers are not saved for the next agent";
        let write = move |names| write(&data_dir, &boot_id, names);
        Ok(Self(Background::start("peer-names", 1, failed, write)?))
    }

    /// Has all names written; returns false where others still wait for that.
    pub fn write(&self, names: Vec<Kept>) -> bool {
        self.0.write(names).is_none()
    }

    /// Has the last names written, where there are any, and waits until they are.
    pub fn close(&mut self, names: Option<Vec<Kept>>) {
        self.0.close(names);
    }
}

fn write(data_dir: &Path, boot_id: &str, containers: Vec<Kept>) -> anyhow::Result<()> {
    let content = Content { format: FORMAT, boot_id: boot_id.to_owned(), containers };
    let path = data_dir.join(FILE);
    replace(&path, &[&serde_json::to_vec(&content)?])
        .with_context(|| format!("writing {}", path.display()))
}

/// What an agent of this boot kept.
///
/// # Errors
/// When there is a file and it is not one of these.
pub fn read(data_dir: &Path, boot_id: &str) -> anyhow::Result<Vec<Kept>> {
    let path = data_dir.join(FILE);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| format!("opening {}", path.display())),
    };
    parse(file, boot_id).with_context(|| format!("reading {}", path.display()))
}

fn parse(file: impl Read, boot_id: &str) -> anyhow::Result<Vec<Kept>> {
    let mut bytes = Vec::new();
    file.take(MOST_BYTES + 1).read_to_end(&mut bytes)?;
    ensure!(bytes.len() as u64 <= MOST_BYTES, "it is longer than {MOST_BYTES} bytes");
    let content: Content = serde_json::from_slice(&bytes)?;
    let format = content.format;
    ensure!(format <= FORMAT, "a later version wrote it (format {format}, not {FORMAT})");
    Ok(if content.boot_id == boot_id { content.containers } else { Vec::new() })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn names(count: u8) -> Vec<Kept> {
        let names = (0..count).map(|it| ([10, 0, 0, it].into(), format!("host-{it}"))).collect();
        vec![Kept { cgroup_id: 7, names }]
    }

    #[test]
    fn the_last_names_are_read_by_the_next_agent_of_the_boot() {
        let home = tempfile::tempdir().expect("a directory");
        assert!(read(home.path(), "boot").expect("is none").is_empty());
        let mut writer = PeerNameWriter::start(home.path(), "boot").expect("starts");
        assert!(writer.write(names(1)));
        writer.close(Some(names(2)));
        assert_eq!(read(home.path(), "boot").expect("reads"), names(2));
        assert!(read(home.path(), "another").expect("reads").is_empty());
    }

    #[test]
    fn a_file_that_is_none_is_told() {
        let home = tempfile::tempdir().expect("a directory");
        for (content, told) in [
            ("{", "EOF"),
            (r#"{"format":2,"boot_id":"boot","containers":[]}"#, "a later version wrote it"),
        ] {
            fs::write(home.path().join(FILE), content).expect("writes");
            let error = format!("{:#}", read(home.path(), "boot").expect_err("is none"));
            assert!(error.contains(FILE) && error.contains(told), "{error}");
        }
    }
}
