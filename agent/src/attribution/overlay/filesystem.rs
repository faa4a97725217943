//! Kinds of file systems, told by what a process has mounted. To ask a file system itself
//! (`fstatfs`) may wait for another host, or for a process of the container that serves it.

use std::{
    fs::File,
    io::{self, Read as _},
    path::Path,
};

use plimsoll_ebpf::layer::code;

/// Bytes of a table of mounts that are read.
const MOST_MOUNTS_BYTES: u64 = 4 << 20;

/// What a file system is to the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An overlay.
    Overlay,
    /// Memory.
    Tmpfs,
    /// procfs.
    Proc,
    /// Another one that the kernel itself answers for.
    Sys,
    /// One on a disk of this host.
    Disk,
    /// Any other: who asks it may wait for an answer.
    Distant,
}

impl Kind {
    /// That of the file system with this name, of those in `/proc/filesystems`.
    pub fn by_name(name: &[u8]) -> Self {
        match name {
            b"overlay" => Self::Overlay,
            b"tmpfs" | b"devtmpfs" | b"ramfs" => Self::Tmpfs,
            b"proc" => Self::Proc,
            b"sysfs" | b"cgroup" | b"cgroup2" | b"bpf" | b"debugfs" | b"tracefs"
            | b"securityfs" | b"devpts" | b"mqueue" => Self::Sys,
            b"ext2" | b"ext3" | b"ext4" | b"xfs" | b"btrfs" | b"f2fs" | b"zfs" | b"bcachefs"
            | b"squashfs" | b"erofs" => Self::Disk,
            _ => Self::Distant,
        }
    }

    /// That of the mount with this number, which the process sees; [`Kind::Distant`] if it sees
    /// none. `process` is its directory in a process file system.
    ///
    /// # Errors
    /// When its table of mounts cannot be read.
    pub fn of_mount(process: &Path, mount: u64) -> io::Result<Self> {
        let table = mounts(process)?;
        let mut kinds = table.split(|&byte| byte == b'\n').filter_map(parse);
        Ok(kinds.find(|&(number, _)| number == mount).map_or(Self::Distant, |(_, kind)| kind))
    }

    /// The [`code`] of a mount of this kind that is not the container's root.
    pub fn code_of_mount(self) -> u8 {
        match self {
            Self::Tmpfs => code::TMPFS,
            Self::Proc => code::PROC,
            Self::Sys => code::SYS,
            Self::Overlay | Self::Disk | Self::Distant => code::MOUNT,
        }
    }
}

/// The table of mounts that a process sees (`proc_pid_mountinfo(5)`), as far as it is read. `process` is
/// its directory in a process file system.
pub(super) fn mounts(process: &Path) -> io::Result<Vec<u8>> {
    let mut table = Vec::new();
    File::open(process.join("mountinfo"))?.take(MOST_MOUNTS_BYTES).read_to_end(&mut table)?;
    Ok(table)
}

/// Number and kind of a mount, of a line of `proc_pid_mountinfo(5)`.
fn parse(line: &[u8]) -> Option<(u64, Kind)> {
    // A space in a path is written as `\040`, so a lone dash is the separator.
    let mut words = line.split(|&byte| byte == b' ');
    let number = std::str::from_utf8(words.next()?).ok()?.parse().ok()?;
    words.find(|&word| word == b"-")?;
    Some((number, Kind::by_name(words.next()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_system_that_nobody_listed_may_keep_us_waiting() {
        for name in ["fuse.sshfs", "fuseblk", "nfs4", "cifs", "9p", "autofs", ""] {
            assert_eq!(Kind::by_name(name.as_bytes()), Kind::Distant, "{name}");
        }
        assert_eq!(Kind::by_name(b"ext4"), Kind::Disk);
    }

    #[test]
    fn optional_fields_do_not_shift_the_kind() {
        let plain = b"36 35 98:0 / /a\\040b rw - ext4 /dev/root rw";
        let shared = b"37 35 0:5 / /tmp rw shared:1 master:2 - tmpfs - rw";
        assert_eq!(parse(plain), Some((36, Kind::Disk)));
        assert_eq!(parse(shared), Some((37, Kind::Tmpfs)));
        assert_eq!(parse(b"38 35 0:5 / /tmp rw"), None);
    }

    #[test]
    fn the_mount_of_an_open_file_has_its_kind() {
        let file = File::open("/proc/self/stat").expect("is there");
        let mount = super::super::file::look(file).expect("is open").stx_mnt_id;
        let own = Path::new("/proc/self");
        assert_eq!(Kind::of_mount(own, mount).ok(), Some(Kind::Proc));
        assert_eq!(Kind::of_mount(own, u64::MAX).ok(), Some(Kind::Distant));
    }
}
