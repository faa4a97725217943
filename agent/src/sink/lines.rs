//! JSON lines on standard output or in a file, which is rotated by size.

use std::{
    fs::{self, File, Metadata, OpenOptions},
    io::{self, Write},
    os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use crate::config::sink::{FileTarget, Target};

/// Where lines are written.
pub enum Lines {
    /// Standard output.
    Stdout,
    /// A file.
    File(LineFile),
}

/// A file of lines.
pub struct LineFile {
    target: FileTarget,
    file: Option<File>,
}

/// Where the lines of a sink are written; `None` where it writes none.
pub fn of(target: &Target) -> Option<Lines> {
    match target {
        Target::Stdout => Some(Lines::Stdout),
        Target::File(target) => Some(Lines::File(LineFile { target: target.clone(), file: None })),
        Target::Syslog(_) | Target::Webhook(_) | Target::Alertmanager(..) => None,
    }
}

impl Lines {
    /// Writes a line.
    ///
    /// # Errors
    /// When it was not written, or not whole; then nothing of it stays in a file.
    pub fn write(&mut self, line: &str) -> io::Result<()> {
        let line = format!("{line}\n");
        match self {
            Self::Stdout => {
                let mut out = io::stdout().lock();
                out.write_all(line.as_bytes())?;
                out.flush()
            }
            Self::File(file) => file.write(line.as_bytes()),
        }
    }

    /// Opens a file anew, for whoever has moved it away waits for the new one.
    pub fn reopen(&mut self) {
        if let Self::File(file) = self {
            file.file = None;
            // What fails here fails again when there is a line to write, and is told then.
            file.file = file.open().ok();
        }
    }
}

impl LineFile {
    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        let is_moved = |file: &File| !is_at(file, &self.target.path);
        if self.file.as_ref().is_some_and(is_moved) {
            self.file = None;
        }
        let mut file = match self.file.take() {
            Some(file) => file,
            None => self.open()?,
        };
        let mut bytes = file.metadata()?.len();
        let is_full = bytes + line.len() as u64 > self.target.max_bytes;
        if self.target.max_bytes > 0 && bytes > 0 && is_full {
            self.rotate()?;
            file = self.open()?;
            bytes = file.metadata()?.len();
        }
        let written = file.write_all(line);
        if written.is_err() {
            // A part of a line would spoil the next one. What is no plain file has no length.
            let _ = file.set_len(bytes);
        }
        self.file = Some(file);
        written
    }

    fn open(&self) -> io::Result<File> {
        let path = &self.target.path;
        let mut file = OpenOptions::new().append(true).create(true).mode(0o640).open(path)?;
        // What a crash has left of a line is one, or it would spoil the next.
        if is_torn(path) {
            file.write_all(b"\n")?;
        }
        Ok(file)
    }

    /// Renames the file and its elders by one.
    fn rotate(&self) -> io::Result<()> {
        let FileTarget { path, keep, .. } = &self.target;
        if *keep == 0 {
            return fs::remove_file(path);
        }
        for number in (1..*keep).rev() {
            match fs::rename(elder(path, number), elder(path, number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        fs::rename(path, elder(path, 1))
    }
}

/// Whether a plain file ends within a line.
fn is_torn(path: &Path) -> bool {
    let last = || {
        let file = File::open(path).ok()?;
        let meta = file.metadata().ok().filter(Metadata::is_file)?;
        let mut byte = [0];
        file.read_exact_at(&mut byte, meta.len().checked_sub(1)?).ok()?;
        Some(byte[0])
    };
    last().is_some_and(|it| it != b'\n')
}

/// Whether a file still has its name.
fn is_at(file: &File, path: &Path) -> bool {
    let identity = |it: Metadata| (it.dev(), it.ino());
    let named = fs::metadata(path).map(identity);
    matches!((file.metadata().map(identity), named), (Ok(own), Ok(named)) if own == named)
}

fn elder(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(directory: &Path, max_bytes: u64, keep: u32) -> (PathBuf, Lines) {
        let path = directory.join("alerts.json");
        let target = FileTarget { path: path.clone(), max_bytes, keep };
        (path, of(&Target::File(target)).expect("writes lines"))
    }

    fn read(path: &Path) -> String {
        fs::read_to_string(path).unwrap_or_default()
    }

    #[test]
    fn what_a_crash_left_of_a_line_does_not_spoil_the_next() {
        let directory = tempfile::tempdir().expect("a directory");
        let (path, mut lines) = file(directory.path(), 0, 0);
        fs::write(&path, "whole\ntor").expect("is written");
        lines.write("next").expect("is written");
        assert_eq!(read(&path), "whole\ntor\nnext\n");
    }

    #[test]
    fn a_full_file_is_renamed_and_so_are_its_elders_up_to_the_last() {
        let directory = tempfile::tempdir().expect("a directory");
        let (path, mut lines) = file(directory.path(), 8, 2);
        for line in ["one", "two", "three", "four", "five", "six"] {
            lines.write(line).expect("is written");
        }
        assert_eq!(read(&path), "six\n");
        assert_eq!(read(&elder(&path, 1)), "five\n");
        assert_eq!(read(&elder(&path, 2)), "four\n");
        assert!(!elder(&path, 3).exists());
    }

    #[test]
    fn without_elders_a_full_file_begins_anew_and_one_without_bound_grows() {
        let directory = tempfile::tempdir().expect("a directory");
        let (path, mut lines) = file(directory.path(), 5, 0);
        lines.write("one").expect("is written");
        lines.write("two").expect("is written");
        assert_eq!(read(&path), "two\n");
        let (_, mut lines) = file(directory.path(), 0, 5);
        lines.write("three").expect("is written");
        assert_eq!(read(&path), "two\nthree\n");
    }

    #[test]
    fn a_file_that_was_moved_away_or_removed_is_made_anew() {
        let directory = tempfile::tempdir().expect("a directory");
        let (path, mut lines) = file(directory.path(), 0, 5);
        lines.write("one").expect("is written");
        let moved = directory.path().join("moved");
        fs::rename(&path, &moved).expect("is there");
        lines.write("two").expect("is written");
        assert_eq!((read(&moved), read(&path)), ("one\n".into(), "two\n".into()));
        fs::remove_file(&path).expect("is there");
        lines.reopen();
        assert!(path.exists(), "without waiting for a line");
    }

    #[test]
    fn a_directory_that_comes_later_is_found_then() {
        let directory = tempfile::tempdir().expect("a directory");
        let later = directory.path().join("later");
        let (path, mut lines) = file(&later, 0, 5);
        assert!(lines.write("lost").is_err());
        fs::create_dir(&later).expect("is made");
        lines.write("kept").expect("is written");
        assert_eq!(read(&path), "kept\n");
    }
}
