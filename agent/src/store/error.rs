//! Why a store cannot be opened, and what of it cannot be read.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

/// Why a store cannot be opened. Damage is none of these: a damaged store opens.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It was written by a later version.
    #[error(
        "the store in {} has format {found} and this plimsoll knows formats up to {known}: run the newer plimsoll, or use another data directory",
        dir.display()
    )]
    Newer {
        /// The store's directory.
        dir: PathBuf,
        /// Its version.
        found: u16,
        /// The version known here.
        known: u16,
    },
    /// Another daemon has it open.
    #[error("the store in {} is in use by another plimsoll", dir.display())]
    Locked {
        /// The store's directory.
        dir: PathBuf,
    },
    /// The file system refuses.
    #[error("{action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
}

impl StoreError {
    /// For `map_err`: names what was tried, and on what.
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }
}

/// A part of the store that cannot be read. What is around it can.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Damage {
    /// The file.
    pub file: PathBuf,
    /// First byte.
    pub offset: u64,
    /// Bytes.
    pub bytes: u64,
    /// What is wrong.
    pub reason: String,
    /// The moment before which nothing is lost, in nanoseconds since the Unix epoch, where the
    /// block's own header or the block before tells.
    pub from_ns: Option<u64>,
    /// The moment after which nothing is lost, where the header or the block behind tells.
    pub to_ns: Option<u64>,
    /// Observations in it, where the block's header could be read.
    pub rows: Option<u32>,
}

impl Damage {
    /// All of a file.
    pub(super) fn whole(file: &Path, bytes: u64, reason: String) -> Self {
        let file = file.to_owned();
        Self { file, offset: 0, bytes, reason, from_ns: None, to_ns: None, rows: None }
    }

    /// A file that the file system does not hand out.
    pub(super) fn unreadable(file: &Path, bytes: u64, error: &io::Error) -> Self {
        Self::whole(file, bytes, error.to_string())
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, offset, bytes, reason, from_ns, to_ns, rows } = self;
        write!(f, "{}: {bytes} bytes at {offset} cannot be read: {reason}", file.display())?;
        match rows {
            Some(rows) => write!(f, "; {rows} observations lost")?,
            None if from_ns.or(*to_ns).is_some() => f.write_str("; observations lost")?,
            None => {}
        }
        let moment = |ns: &u64| jiff::Timestamp::from_nanosecond(i128::from(*ns)).ok();
        match (from_ns.as_ref().and_then(moment), to_ns.as_ref().and_then(moment)) {
            (Some(from), Some(to)) => write!(f, " between {from} and {to}"),
            (Some(from), None) => write!(f, " from {from} on"),
            (None, Some(to)) => write!(f, " up to {to}"),
            (None, None) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_tells_which_range_is_missing_as_far_as_it_is_known() {
        let told = |from_ns, to_ns, rows| {
            let (file, reason) = (PathBuf::from("seg"), "torn".to_owned());
            Damage { file, offset: 3, bytes: 9, reason, from_ns, to_ns, rows }.to_string()
        };
        let start = "seg: 9 bytes at 3 cannot be read: torn";
        assert_eq!(told(None, None, None), start);
        assert_eq!(
            told(Some(0), Some(1_000_000_000), Some(2)),
            format!(
                "{start}; 2 observations lost between 1970-01-01T00:00:00Z and 1970-01-01T00:00:01Z"
            )
        );
        assert_eq!(
            told(Some(0), None, None),
            format!("{start}; observations lost from 1970-01-01T00:00:00Z on")
        );
        assert_eq!(
            told(None, Some(0), None),
            format!("{start}; observations lost up to 1970-01-01T00:00:00Z")
        );
    }
}
