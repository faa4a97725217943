//! Which system calls are looked at when they end, and how their arguments are laid out.
//!
//! Numbers: `arch/x86/entry/syscalls/syscall_64.tbl` and `syscall_32.tbl` of Linux 6.18.

use crate::{
    events::{file_change::op, privilege},
    orders::{SYSCALLS, Syscall, class, map, open},
};

/// First entry of the 32-bit table.
pub const COMPAT: usize = 512;

/// Argument places of a call that takes paths, counted from 1; 0 means absent.
#[derive(Clone, Copy)]
struct Args {
    dir: u8,
    path: u8,
    to_dir: u8,
    to_path: u8,
    number: u8,
}

const fn args(dir: u8, path: u8, to_dir: u8, to_path: u8, number: u8) -> Args {
    Args { dir, path, to_dir, to_path, number }
}

const ONE: Args = args(0, 1, 0, 0, 2);
const ONE_AT: Args = args(1, 2, 0, 0, 3);
const TWO: Args = args(0, 1, 0, 2, 0);
const TWO_AT: Args = args(1, 2, 3, 4, 5);

/// name, number in the 64-bit table, number in the 32-bit table (0: none), operation, arguments.
type Change = (&'static str, u16, u16, u8, Args);

const CHANGES: &[Change] = &[
    ("rename", 82, 38, op::RENAME, TWO),
    ("renameat", 264, 302, op::RENAME, TWO_AT),
    ("renameat2", 316, 353, op::RENAME, TWO_AT),
    ("link", 86, 9, op::LINK, TWO),
    ("linkat", 265, 303, op::LINK, TWO_AT),
    // The text of a symbolic link comes first; the link itself is what changes.
    ("symlink", 88, 83, op::SYMLINK, args(0, 2, 0, 1, 0)),
    ("symlinkat", 266, 304, op::SYMLINK, args(2, 3, 0, 1, 0)),
    ("unlink", 87, 10, op::UNLINK, ONE),
    ("unlinkat", 263, 301, op::UNLINK, ONE_AT),
    ("mkdir", 83, 39, op::MKDIR, ONE),
    ("mkdirat", 258, 296, op::MKDIR, ONE_AT),
    ("rmdir", 84, 40, op::RMDIR, ONE),
    ("chmod", 90, 15, op::CHMOD, ONE),
    ("fchmodat", 268, 306, op::CHMOD, ONE_AT),
    ("fchmodat2", 452, 452, op::CHMOD, ONE_AT),
    ("chown", 92, 212, op::CHOWN, ONE),
    ("lchown", 94, 198, op::CHOWN, ONE),
    ("fchownat", 260, 298, op::CHOWN, ONE_AT),
    ("truncate", 76, 193, op::TRUNCATE, ONE),
    ("mknod", 133, 14, op::MKNOD, ONE),
    ("mknodat", 259, 297, op::MKNOD, ONE_AT),
    ("setxattr", 188, 226, op::SET_XATTR, args(0, 1, 0, 2, 0)),
    ("lsetxattr", 189, 227, op::SET_XATTR, args(0, 1, 0, 2, 0)),
    ("setxattrat", 463, 463, op::SET_XATTR, args(1, 2, 0, 4, 0)),
    ("removexattr", 197, 235, op::REMOVE_XATTR, args(0, 1, 0, 2, 0)),
    ("lremovexattr", 198, 236, op::REMOVE_XATTR, args(0, 1, 0, 2, 0)),
    ("removexattrat", 466, 466, op::REMOVE_XATTR, args(1, 2, 0, 4, 0)),
];

/// name, 64-bit, 32-bit, operation, argument with the number, argument with a text.
const CHANGES_BY_FD: &[(&str, u16, u16, u8, u8, u8)] = &[
    ("fchmod", 91, 94, op::CHMOD, 2, 0),
    ("fchown", 93, 207, op::CHOWN, 2, 0),
    ("ftruncate", 77, 194, op::TRUNCATE, 2, 0),
    ("fsetxattr", 190, 228, op::SET_XATTR, 0, 2),
    ("fremovexattr", 199, 237, op::REMOVE_XATTR, 0, 2),
];

/// name, 64-bit, 32-bit, directory, path, argument with the flags. An operation other than 0 says
/// where the flags are instead.
const OPENS: &[(&str, u16, u16, u8, u8, u8, u8)] = &[
    ("open", 2, 5, 0, 1, 2, 0),
    ("creat", 85, 8, 0, 1, 0, open::ALWAYS_WRITES),
    ("openat", 257, 295, 1, 2, 3, 0),
    ("openat2", 437, 437, 1, 2, 3, open::FLAGS_IN_STRUCT),
    ("open_by_handle_at", 304, 342, 0, 0, 3, 0),
];

/// name, 64-bit, 32-bit, operation, first path, second path, number.
const PRIVILEGES: &[(&str, u16, u16, u8, u8, u8, u8)] = &[
    ("ptrace", 101, 26, privilege::op::PTRACE, 0, 0, 1),
    ("kill", 62, 37, privilege::op::SIGNAL_AGENT, 0, 0, 2),
    ("tkill", 200, 238, privilege::op::SIGNAL_AGENT, 0, 0, 2),
    ("tgkill", 234, 270, privilege::op::SIGNAL_AGENT, 0, 0, 3),
    ("mount", 165, 21, privilege::op::MOUNT, 1, 2, 4),
    ("move_mount", 429, 429, privilege::op::MOUNT, 2, 4, 5),
    ("open_tree", 428, 428, privilege::op::MOUNT, 2, 0, 3),
    ("fsmount", 432, 432, privilege::op::MOUNT, 0, 0, 2),
    ("mount_setattr", 442, 442, privilege::op::MOUNT, 2, 0, 3),
    ("umount2", 166, 52, privilege::op::UMOUNT, 1, 0, 2),
    ("setns", 308, 346, privilege::op::SETNS, 0, 0, 2),
    ("unshare", 272, 310, privilege::op::UNSHARE, 0, 0, 1),
    ("init_module", 175, 128, privilege::op::MODULE, 0, 0, 2),
    ("finit_module", 313, 350, privilege::op::MODULE, 0, 0, 1),
    ("delete_module", 176, 129, privilege::op::MODULE, 1, 0, 2),
    ("bpf", 321, 357, privilege::op::BPF, 0, 0, 1),
    ("io_uring_setup", 425, 425, privilege::op::IO_URING_SETUP, 0, 0, 1),
    ("pivot_root", 155, 217, privilege::op::CHROOT, 1, 2, 0),
    ("chroot", 161, 61, privilege::op::CHROOT, 1, 0, 0),
    ("process_vm_readv", 310, 347, privilege::op::PROCESS_MEMORY, 0, 0, 1),
    ("process_vm_writev", 311, 348, privilege::op::PROCESS_MEMORY, 0, 0, 1),
    ("perf_event_open", 298, 336, privilege::op::PERF, 0, 0, 2),
    ("setuid", 105, 213, privilege::op::SETUID, 0, 0, 1),
    ("setfsuid", 122, 215, privilege::op::SETUID, 0, 0, 1),
    ("setgid", 106, 214, privilege::op::SETGID, 0, 0, 1),
    ("setregid", 114, 204, privilege::op::SETGID, 0, 0, 2),
    ("setresgid", 119, 210, privilege::op::SETGID, 0, 0, 2),
    ("setfsgid", 123, 216, privilege::op::SETGID, 0, 0, 1),
    ("setgroups", 116, 206, privilege::op::SETGID, 0, 0, 1),
    ("capset", 126, 185, privilege::op::CAPSET, 0, 0, 0),
    ("clone", 56, 120, privilege::op::CLONE, 0, 0, 1),
    ("clone3", 435, 435, privilege::op::CLONE3, 0, 0, 0),
    ("pidfd_getfd", 438, 438, privilege::op::PIDFD_GETFD, 0, 0, 2),
    ("iopl", 172, 110, privilege::op::IO_PORTS, 0, 0, 1),
    ("ioperm", 173, 101, privilege::op::IO_PORTS, 0, 0, 1),
    ("setreuid", 113, 203, privilege::op::SETUID, 0, 0, 2),
    ("setresuid", 117, 208, privilege::op::SETUID, 0, 0, 2),
    ("userfaultfd", 323, 374, privilege::op::USERFAULTFD, 0, 0, 1),
    ("kexec_load", 246, 283, privilege::op::REBOOT, 0, 0, 1),
    ("kexec_file_load", 320, 0, privilege::op::REBOOT, 0, 0, 1),
    ("reboot", 169, 88, privilege::op::REBOOT, 0, 0, 3),
    ("keyctl", 250, 288, privilege::op::KEYCTL, 0, 0, 1),
    ("socket", 41, 359, privilege::op::RAW_SOCKET, 0, 0, 1),
];

/// Calls of the 32-bit table that older programs make, and the native calls whose arguments they
/// have: those for 16-bit user ids, and those that newer ones replaced.
const OLD_COMPAT: &[(u16, u16)] = &[
    (92, 76),   // truncate
    (93, 77),   // ftruncate
    (16, 94),   // lchown
    (95, 93),   // fchown
    (182, 92),  // chown
    (22, 166),  // umount
    (23, 105),  // setuid
    (70, 113),  // setreuid
    (164, 117), // setresuid
    (138, 122), // setfsuid
    (46, 106),  // setgid
    (71, 114),  // setregid
    (170, 119), // setresgid
    (139, 123), // setfsgid
    (81, 116),  // setgroups
];

/// `mmap` of the 32-bit table, whose arguments lie in memory.
const OLD_MMAP: usize = 90;

/// The table that the kernel side looks system calls up in.
pub fn table() -> [Syscall; SYSCALLS] {
    let mut table = [Syscall::default(); SYSCALLS];
    let mut put = |native: u16, compat: u16, entry: Syscall| {
        table[usize::from(native)] = entry;
        if compat != 0 {
            table[COMPAT + usize::from(compat)] = entry;
        }
    };
    for &(_, native, compat, dir, path, number, op) in OPENS {
        let class = class::OPEN;
        put(native, compat, Syscall { class, op, dir, path, number, ..Syscall::default() });
    }
    for &(_, native, compat, op, at) in CHANGES {
        let entry = Syscall {
            class: class::CHANGE,
            op,
            dir: at.dir,
            path: at.path,
            to_dir: at.to_dir,
            to_path: at.to_path,
            number: at.number,
            fd: 0,
        };
        put(native, compat, entry);
    }
    for &(_, native, compat, op, number, to_path) in CHANGES_BY_FD {
        let class = class::CHANGE_FD;
        let entry = Syscall { class, op, number, to_path, fd: 1, ..Syscall::default() };
        put(native, compat, entry);
    }
    for &(_, native, compat, op, path, to_path, number) in PRIVILEGES {
        let entry =
            Syscall { class: class::PRIVILEGE, op, path, to_path, number, ..Syscall::default() };
        put(native, compat, entry);
    }
    // Argument 3 is the protection, argument 5 the descriptor; mmap2 of the 32-bit table alike.
    put(9, 192, Syscall { class: class::MAP, number: 3, fd: 5, ..Syscall::default() });
    let protect = Syscall { class: class::MAP, op: map::PROTECT, number: 3, ..Syscall::default() };
    put(10, 125, protect);
    put(329, 380, protect);
    put(30, 397, Syscall { class: class::MAP, op: map::ATTACH, number: 3, ..Syscall::default() });
    for &(compat, native) in OLD_COMPAT {
        table[COMPAT + usize::from(compat)] = table[usize::from(native)];
    }
    table[COMPAT + OLD_MMAP] = Syscall { class: class::MAP, ..Syscall::default() };
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `mmap`, `mprotect`, `pkey_mprotect`, `shmat`.
    const MAPPINGS: usize = 4;

    #[test]
    fn no_two_calls_share_a_number() {
        let natives: Vec<u16> = OPENS
            .iter()
            .map(|it| it.1)
            .chain(CHANGES.iter().map(|it| it.1))
            .chain(CHANGES_BY_FD.iter().map(|it| it.1))
            .chain(PRIVILEGES.iter().map(|it| it.1))
            .collect();
        let unique: std::collections::HashSet<u16> = natives.iter().copied().collect();
        assert_eq!(natives.len(), unique.len());
        let filled = table()[..COMPAT].iter().filter(|entry| entry.class != 0).count();
        assert_eq!(filled, natives.len() + MAPPINGS, "every call has an entry");
    }

    #[test]
    fn numbers_are_those_of_the_c_library() {
        let table = table();
        assert_eq!(table[257].class, class::OPEN, "openat");
        assert_eq!(table[316].op, op::RENAME, "renameat2");
        assert_eq!(table[COMPAT + 5].class, class::OPEN, "32-bit open");
        assert_eq!(table[COMPAT + 182].op, op::CHOWN, "32-bit chown of old");
        assert_eq!(table[COMPAT + 90].class, class::MAP, "32-bit mmap of old");
    }
}
