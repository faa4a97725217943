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
    /// Earliest and latest moment of what is lost, in nanoseconds since the Unix epoch, where
    /// the block's header could be read.
    pub between: Option<(u64, u64)>,
    /// Observations in it, where the block's header could be read.
    pub rows: Option<u32>,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, offset, bytes, reason, between, rows } = self;
        write!(f, "{}: {bytes} bytes at {offset} cannot be read: {reason}", file.display())?;
        if let Some(rows) = rows {
            write!(f, "; {rows} observations lost")?;
        }
        if let Some((from, to)) = between {
            let moment = |ns: &u64| jiff::Timestamp::from_nanosecond(i128::from(*ns)).ok();
            if let (Some(from), Some(to)) = (moment(from), moment(to)) {
                write!(f, " between {from} and {to}")?;
            }
        }
        Ok(())
    }
}
