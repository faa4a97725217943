//! Paths as the container sees them: from a directory entry up, across mounts, to its root.

use core::ptr::{read_volatile, write_volatile};

use aya_ebpf::helpers::generated;
use plimsoll_ebpf::record::flags;

use crate::{
    maps::{PATH_BYTES, SCRATCH, Scratch},
    read::mask,
};

/// Rounds of the walk: components and mounts together.
const ROUNDS: usize = 64;

/// No component starts below this position: the longest name still fits before it.
const ROOM: u64 = 512;

/// Bits of the result of [`walk_path`]: the position, above it the number of components, and the
/// flags.
const COMPONENTS_SHIFT: u32 = 16;
const FLAGS_SHIFT: u32 = 32;

/// A path in a scratch.
#[derive(Clone, Copy)]
pub struct Walked {
    /// Where it begins in `scratch.path`; it ends with the buffer.
    pub start: u64,
    /// How many names it has.
    pub components: u32,
}

impl Walked {
    /// Its bytes.
    #[inline(always)]
    pub fn bytes(self) -> u64 {
        mask((PATH_BYTES as u64).wrapping_sub(self.start), 4095)
    }
}

/// Writes the path of (`dentry`, `mount`) into the end of the slot's `path`. What is cut or lies
/// outside is told in `flags`.
#[inline(always)]
pub fn walk(slot: u32, dentry: usize, mount: usize, flags: &mut u32) -> Walked {
    // SAFETY: the function takes numbers, and checks what it reads by them.
    let result = unsafe { walk_path(u64::from(slot), dentry as u64, mount as u64) };
    *flags |= (result >> FLAGS_SHIFT) as u32;
    Walked {
        start: mask(result, 0xffff),
        components: mask(result >> COMPONENTS_SHIFT, 0xffff) as u32,
    }
}

/// The way up, to the root of the mount namespace, so that a process that changed its root
/// directory hides nothing.
///
/// A function that the verifier checks once, by itself: within each program, twice in some, its
/// loop would cost most of the time it takes to load them.
///
/// # Safety
/// Only in a program that may use this slot of the scratch.
#[unsafe(no_mangle)]
#[inline(never)]
unsafe extern "C" fn walk_path(slot: u64, dentry: u64, mount: u64) -> u64 {
    let Some(scratch) = SCRATCH.get_ptr_mut(slot as u32) else {
        return PATH_BYTES as u64 | u64::from(flags::PATH_UNREADABLE) << FLAGS_SHIFT;
    };
    let mut bits = 0;
    let position = climb(scratch, dentry, mount, &mut bits);
    // SAFETY: a valid map value.
    let components = unsafe { read_volatile(&raw const (*scratch).walk.components) };
    position | components << COMPONENTS_SHIFT | u64::from(bits) << FLAGS_SHIFT
}

#[inline(always)]
fn climb(scratch: *mut Scratch, dentry: u64, mount: u64, flags: &mut u32) -> u64 {
    // SAFETY: `scratch` is a valid map value of this processor; every position is masked to the
    // path buffer, which has room for one more name behind its end.
    unsafe {
        let walk = &raw mut (*scratch).walk;
        let path = (&raw mut (*scratch).path).cast::<u8>();
        write_volatile(&raw mut (*walk).position, PATH_BYTES as u64);
        write_volatile(&raw mut (*walk).components, 0);
        write_volatile(&raw mut (*walk).dentry, dentry);
        write_volatile(&raw mut (*walk).mount, mount);
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
            let components = read_volatile(&raw const (*walk).components);
            write_volatile(&raw mut (*walk).components, components + 1);
            write_volatile(&raw mut (*walk).dentry, parent as u64);
        }
        *flags |= flags::PATH_TRUNCATED;
        read_volatile(&raw const (*walk).position)
    }
}
