//! The file that keeps what the command line decided, and how often exceptions were used.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering::Relaxed},
};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

use super::{
    book::{Book, MOST, Policy},
    exception::{Exception, Source, Terms},
    modes::SomeModes,
    selector::Selector,
};
use crate::replace::replace;

/// Version of the format; one that is changed is still read.
const FORMAT: u64 = 1;
/// No file that the bounds of the keeper allow is longer.
const MOST_BYTES: u64 = 16 << 20;

/// What the file holds.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Saved {
    format: u64,
    policies: Vec<SavedPolicy>,
    exceptions: Vec<SavedException>,
    uses: Vec<SavedUses>,
}

#[derive(Debug, Serialize, Deserialize)]
struct SavedPolicy {
    #[serde(flatten)]
    selector: Selector,
    modes: SomeModes,
    made_ns: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct SavedException {
    #[serde(flatten)]
    terms: Terms,
    made_ns: u64,
}

/// How often an exception was used, whoever made it.
#[derive(Debug, Serialize, Deserialize)]
struct SavedUses {
    id: String,
    uses: u64,
    last_used_ns: u64,
}

impl Saved {
    /// What of a book is not in the configuration.
    pub(super) fn of(book: &Book) -> Self {
        let policies = book.policies.iter().filter_map(|policy| {
            let made_ns = made_ns(policy.source)?;
            let (selector, modes) = (policy.selector.clone(), policy.modes);
            Some(SavedPolicy { selector, modes, made_ns })
        });
        let exceptions = book.exceptions.iter().filter_map(|it| {
            Some(SavedException { terms: it.terms(), made_ns: made_ns(it.source)? })
        });
        let used = book.exceptions.iter().filter_map(|it| {
            let (uses, last_used_ns) = (it.uses.load(Relaxed), it.last_used_ns.load(Relaxed));
            (uses > 0).then(|| SavedUses { id: it.id.clone(), uses, last_used_ns })
        });
        Self {
            format: FORMAT,
            policies: policies.collect(),
            exceptions: exceptions.collect(),
            uses: used.collect(),
        }
    }

    /// Reads a file; `None` where there is none.
    ///
    /// # Errors
    /// When it cannot be read, or is not such a file whole and sound.
    pub(super) fn read(path: &Path) -> anyhow::Result<Option<Self>> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let mut bytes = Vec::new();
        file.take(MOST_BYTES + 1).read_to_end(&mut bytes)?;
        Self::parse(&bytes).map(Some)
    }

    /// Reads the content of a file.
    ///
    /// # Errors
    /// When it is none.
    pub(super) fn parse(bytes: &[u8]) -> anyhow::Result<Self> {
        #[derive(Deserialize)]
        struct Format {
            format: u64,
        }
        if bytes.len() as u64 > MOST_BYTES {
            bail!("it is longer than {MOST_BYTES} bytes");
        }
        let Format { format } = serde_json::from_slice(bytes)?;
        if format > FORMAT {
            bail!("a later version wrote it (format {format}, this one knows {FORMAT})");
        }
        let saved: Self = serde_json::from_slice(bytes)?;
        if saved.policies.len().max(saved.exceptions.len()) > MOST {
            bail!("it holds more than {MOST} policies or exceptions");
        }
        for exception in &saved.exceptions {
            exception.terms.check()?;
        }
        Ok(saved)
    }

    /// Replaces a file as a whole, so that a crash leaves the old or the new one.
    ///
    /// # Errors
    /// Those of the file system.
    pub(super) fn write(&self, path: &Path) -> anyhow::Result<()> {
        let text = serde_json::to_vec_pretty(self).context("writing as JSON")?;
        replace(path, &[&text]).with_context(|| format!("writing {}", path.display()))
    }

    /// The book of the configuration together with what was saved. What both allow is the
    /// configuration's.
    pub(super) fn applied_to(self, mut book: Book) -> Book {
        let uses = self.uses;
        for SavedPolicy { selector, modes, made_ns } in self.policies {
            if !modes.is_empty() {
                let source = Source::Operator { made_ns };
                book.policies.push(Policy { selector, modes, source });
            }
        }
        for SavedException { terms, made_ns } in self.exceptions {
            let exception = Exception::new(terms, Source::Operator { made_ns });
            if book.exception(&exception.id).is_none() {
                book.exceptions.push(Arc::new(exception));
            }
        }
        for SavedUses { id, uses, last_used_ns } in uses {
            if let Some(exception) = book.exception(&id) {
                exception.count(uses, last_used_ns);
            }
        }
        book
    }
}

/// Moves a file aside whose content is of no use, and tells where it is then.
pub(super) fn set_aside(path: &Path, now_ns: u64) -> io::Result<PathBuf> {
    let mut aside = path.as_os_str().to_owned();
    aside.push(format!(".bad.{now_ns}"));
    let aside = PathBuf::from(aside);
    fs::rename(path, &aside)?;
    Ok(aside)
}

fn made_ns(source: Source) -> Option<u64> {
    match source {
        Source::Config { .. } => None,
        Source::Operator { made_ns } => Some(made_ns),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SOUND: &str = r#"{"format":1,
        "policies":[{"image":"nginx:*","modes":{"exec":"enforce"},"made_ns":5}],
        "exceptions":[{"service":"web","rule":"new_executable","path":"/a/**","expires_ns":9,
            "reason":"r","made_ns":6}],
        "uses":[]}"#;

    #[test]
    fn what_is_written_reads_back_with_mode_and_uses() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("policy.json");
        assert!(Saved::read(&path).expect("is fine").is_none());
        let book = Saved::parse(SOUND.as_bytes()).expect("is sound").applied_to(Book::default());
        book.exceptions[0].count(7, 8);
        Saved::of(&book).write(&path).expect("is written");
        let mode = fs::metadata(&path).expect("is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(dir.path()).expect("reads").count(), 1, "no draft is left");
        let again = Saved::read(&path).expect("reads").expect("is there");
        let again = again.applied_to(Book::default());
        assert_eq!(again.policies, book.policies);
        assert_eq!(again.exceptions[0].terms(), book.exceptions[0].terms());
        assert_eq!(again.exceptions[0].uses.load(Relaxed), 7);
        assert_eq!(again.exceptions[0].last_used_ns.load(Relaxed), 8);
    }

    #[test]
    fn what_no_command_could_have_written_is_refused() {
        for (from, to) in [
            (r#""format":1"#, r#""format":2"#),
            (r#""service":"web""#, r#""service":"*""#),
            ("/a/**", "/**"),
            ("new_executable", "newer_executable"),
            ("enforce", "destroy"),
            ("\"r\"", "\"\\u001b[2J\""),
            ("nginx:*", ""),
        ] {
            assert!(SOUND.contains(from));
            assert!(Saved::parse(SOUND.replacen(from, to, 1).as_bytes()).is_err(), "{to}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(
            bytes: Vec<u8>, at in 0..SOUND.len(), length in 0..20_usize, with in "[ -~]{0,8}",
        ) {
            let _ = Saved::parse(&bytes);
            let end = (at + length).min(SOUND.len());
            let changed = [&SOUND.as_bytes()[..at], with.as_bytes(), &SOUND.as_bytes()[end..]];
            if let Ok(saved) = Saved::parse(&changed.concat()) {
                saved.applied_to(Book::default());
            }
        }
    }
}
