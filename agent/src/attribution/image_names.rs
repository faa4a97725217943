//! Names of which it matters whether the image has a file there: a change that takes its place changes what
//! runs.

use plimsoll_ebpf::events::file_change::op;

/// Directories in which images keep programs and libraries.
const PROGRAM_DIRS: [&[u8]; 13] = [
    b"/bin/",
    b"/sbin/",
    b"/lib/",
    b"/lib32/",
    b"/lib64/",
    b"/usr/bin/",
    b"/usr/sbin/",
    b"/usr/lib/",
    b"/usr/lib32/",
    b"/usr/lib64/",
    b"/usr/local/bin/",
    b"/usr/local/sbin/",
    b"/usr/local/lib/",
];

/// Whether images keep programs and libraries there.
pub fn is_place_of_programs(path: &[u8]) -> bool {
    PROGRAM_DIRS.iter().any(|dir| path.starts_with(dir))
}

/// Whether a change takes away the file that had a name, or its content. A link takes nothing away: its name
/// must be free.
pub const fn takes_place(change: u8) -> bool {
    matches!(change, op::RENAME | op::UNLINK | op::TRUNCATE)
}
