//! Which file it is, and in which state.

use std::os::fd::AsFd;

use rustix::{fs::Statx, io::Errno};

use super::file::look;

/// A file and its state: equal ones have equal contents, once the last change is a while ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Identity {
    /// Major and minor number of its device.
    device: (u32, u32),
    ino: u64,
    size_bytes: u64,
    /// Of its last change of content or metadata, which nobody can set: seconds since the Unix
    /// epoch, and nanoseconds.
    changed: (i64, u32),
}

impl Identity {
    /// That of an open file.
    pub(super) fn of(file: impl AsFd) -> Result<Self, Errno> {
        look(file).map(|it| Self::from(&it))
    }

    /// Whether a file of a layer is what is seen through the overlay: the overlay tells number and
    /// state of the file in the layer, under a device of its own.
    pub(super) fn is_seen_as(&self, seen: &Self) -> bool {
        (self.ino, self.size_bytes, self.changed) == (seen.ino, seen.size_bytes, seen.changed)
    }

    /// Another file in the same state.
    #[cfg(test)]
    pub(super) fn numbered(self, ino: u64) -> Self {
        Self { ino, ..self }
    }

    /// How long ago its last change was, at this moment since the Unix epoch; 0 if after it.
    pub(super) fn age_ns(&self, now_ns: u64) -> u64 {
        let (seconds, nanoseconds) = self.changed;
        let changed_ns = u64::try_from(seconds).unwrap_or_default().saturating_mul(1_000_000_000);
        now_ns.saturating_sub(changed_ns.saturating_add(nanoseconds.into()))
    }
}

impl From<&Statx> for Identity {
    fn from(told: &Statx) -> Self {
        Self {
            device: (told.stx_dev_major, told.stx_dev_minor),
            ino: told.stx_ino,
            size_bytes: told.stx_size,
            changed: (told.stx_ctime.tv_sec, told.stx_ctime.tv_nsec),
        }
    }
}
