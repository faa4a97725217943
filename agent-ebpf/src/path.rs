//! Paths as the container sees them: from a directory entry up, across mounts, to its root.

use core::ptr::{read_volatile, write_volatile};

use aya_ebpf::helpers::generated;
use plimsoll_ebpf::record::flags;

use crate::{
    maps::{PATH_BYTES, Scratch},
    read::mask,
};

/// Rounds of the walk: components and mounts together.
const ROUNDS: usize = 64;

/// No component starts below this position: the longest name still fits before it.
const ROOM: u64 = 512;

/// Writes the path of (`dentry`, `mount`) into the end of `scratch.path` and returns where it
/// begins. The way ends at the root of the mount namespace, so that a process that changed its
/// root directory hides nothing. What is cut or lies outside is told in `flags`.
#[inline(always)]
pub fn walk(scratch: *mut Scratch, dentry: usize, mount: usize, flags: &mut u32) -> u64 {
    // SAFETY: `scratch` is a valid map value of this processor; every position is masked to the
    // path buffer, which has room for one more name behind its end.
    unsafe {
        let walk = &raw mut (*scratch).walk;
        let path = (&raw mut (*scratch).path).cast::<u8>();
        write_volatile(&raw mut (*walk).position, PATH_BYTES as u64);
        write_volatile(&raw mut (*walk).dentry, dentry as u64);
        write_volatile(&raw mut (*walk).mount, mount as u64);
        for _ in 0..ROUNDS {
            let dentry = read_volatile(&raw const (*walk).dentry) as usize;
            let mount = read_volatile(&raw const (*walk).mount) as usize;
            let parent = member!(dentry, dentry_parent, usize);
            if dentry == member!(mount, vfsmount_root, usize) {
                let real = mount.wrapping_sub(offset!(mount_mnt));
                let above = member!(real, mount_parent, usize);
                if above == real {
                    return read_volatile(&raw const (*walk).position);
                }
                write_volatile(&raw mut (*walk).dentry, member!(real, mount_mountpoint, u64));
                write_volatile(
                    &raw mut (*walk).mount,
                    above.wrapping_add(offset!(mount_mnt)) as u64,
                );
                continue;
            }
            let position = read_volatile(&raw const (*walk).position);
            let is_nameless = dentry == parent;
            if is_nameless && position != PATH_BYTES as u64 {
                *flags |= flags::DETACHED;
                return position;
            }
            if position < ROOM {
                *flags |= flags::PATH_TRUNCATED;
                return position;
            }
            let length = mask(u64::from(member!(dentry, dentry_name_len, u32)), 255);
            // A file of no directory, such as a memfd, has a name but no place: no slash.
            let slash = u64::from(!is_nameless);
            let start = position.wrapping_sub(length).wrapping_sub(slash);
            write_volatile(&raw mut (*walk).position, start);
            let start = mask(read_volatile(&raw const (*walk).position), 4095) as usize;
            *path.add(start) = b'/';
            generated::bpf_probe_read_kernel(
                path.add(start).add(slash as usize).cast(),
                mask(u64::from(member!(dentry, dentry_name_len, u32)), 255) as u32,
                member!(dentry, dentry_name, usize) as *const _,
            );
            if is_nameless {
                return read_volatile(&raw const (*walk).position);
            }
            write_volatile(&raw mut (*walk).dentry, parent as u64);
        }
        *flags |= flags::PATH_TRUNCATED;
        read_volatile(&raw const (*walk).position)
    }
}
