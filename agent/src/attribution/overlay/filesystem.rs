//! Kinds of file systems, told by their number or their name.

use std::os::fd::AsFd;

use plimsoll_ebpf::layer::code;
use rustix::{fs::fstatfs, io::Errno};

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
    /// Any other. It may ask another host, or a process of the container, and wait for the answer.
    Distant,
}

/// What can be looked at without waiting for anybody: number from `include/uapi/linux/magic.h` or
/// the source of the file system, names in `/proc/filesystems`, kind.
const PROMPT: &[(u64, &[&str], Kind)] = &[
    (0x794c_7630, &["overlay"], Kind::Overlay),
    (0x0102_1994, &["tmpfs", "devtmpfs"], Kind::Tmpfs),
    (0x8584_58f6, &["ramfs"], Kind::Tmpfs),
    (0x9fa0, &["proc"], Kind::Proc),
    (0x6265_6572, &["sysfs"], Kind::Sys),
    (0x0027_e0eb, &["cgroup"], Kind::Sys),
    (0x6367_7270, &["cgroup2"], Kind::Sys),
    (0xcafe_4a11, &["bpf"], Kind::Sys),
    (0x6462_6720, &["debugfs"], Kind::Sys),
    (0x7472_6163, &["tracefs"], Kind::Sys),
    (0x7363_6673, &["securityfs"], Kind::Sys),
    (0x0000_1cd1, &["devpts"], Kind::Sys),
    (0x1980_0202, &["mqueue"], Kind::Sys),
    (0x6165_676c, &["pstore"], Kind::Sys),
    (0x9584_58f6, &["hugetlbfs"], Kind::Sys),
    (0x6573_5543, &["fusectl"], Kind::Sys),
    (0x6265_6570, &["configfs"], Kind::Sys),
    (0x6e73_6673, &["nsfs"], Kind::Sys),
    (0xef53, &["ext2", "ext3", "ext4"], Kind::Disk),
    (0x5846_5342, &["xfs"], Kind::Disk),
    (0x9123_683e, &["btrfs"], Kind::Disk),
    (0xf2f5_2010, &["f2fs"], Kind::Disk),
    (0x2fc1_2fc1, &["zfs"], Kind::Disk),
    (0xca45_1a4e, &["bcachefs"], Kind::Disk),
    (0x7371_7368, &["squashfs"], Kind::Disk),
    (0xe0f5_e1e2, &["erofs"], Kind::Disk),
];

impl Kind {
    /// That of the file system of an open file.
    ///
    /// # Errors
    /// What the system call says.
    pub fn of(file: impl AsFd) -> Result<Self, Errno> {
        let told = fstatfs(file)?.f_type as u64;
        let found = PROMPT.iter().find(|(number, ..)| *number == told);
        Ok(found.map_or(Self::Distant, |&(.., kind)| kind))
    }

    /// That of the file system with this name.
    pub fn by_name(name: &str) -> Self {
        let found = PROMPT.iter().find(|(_, names, _)| names.contains(&name));
        found.map_or(Self::Distant, |&(.., kind)| kind)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_system_that_nobody_listed_may_keep_us_waiting() {
        for name in ["fuse.sshfs", "fuseblk", "nfs4", "cifs", "9p", "autofs", ""] {
            assert_eq!(Kind::by_name(name), Kind::Distant, "{name}");
        }
        assert_eq!(Kind::by_name("ext4"), Kind::Disk);
    }

    #[test]
    fn number_and_name_lead_to_the_same_kind() {
        let proc = std::fs::File::open("/proc/self/stat").expect("is there");
        assert_eq!(Kind::of(proc), Ok(Kind::by_name("proc")));
    }
}
