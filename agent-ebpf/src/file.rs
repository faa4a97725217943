//! What is read of an open file: its place, its layer, its identity.

use plimsoll_ebpf::{layer::code, record::flags};

use crate::{maps::WRITTEN, read::mask, task};

/// `fs/overlayfs/super.c`
const OVERLAYFS: u64 = 0x794c_7630;
/// The rest from `include/uapi/linux/magic.h`.
const TMPFS: u64 = 0x0102_1994;
const RAMFS: u64 = 0x8584_58f6;
const PROC: u64 = 0x9fa0;
const SYS: [u64; 8] = [
    0x6265_6572, // sysfs
    0x0027_e0eb, // cgroup
    0x6367_7270, // cgroup2
    0xcafe_4a11, // bpf
    0x6462_6720, // debugfs
    0x7472_6163, // tracefs
    0x7363_6673, // securityfs
    0x0000_1cd1, // devpts
];

/// Mount namespace of mounts that only the kernel uses: `ERR_PTR(-EINVAL)`, see `fs/mount.h`.
const MNT_NS_INTERNAL: usize = -22isize as usize;

/// A file's place and identity.
#[derive(Clone, Copy)]
pub struct File {
    /// Address of its directory entry.
    pub dentry: usize,
    /// Address of its `struct vfsmount`.
    pub mount: usize,
    /// Address of its inode.
    pub inode: usize,
}

impl File {
    /// Reads a `struct file`.
    #[inline(always)]
    pub fn at(file: usize) -> Self {
        Self {
            dentry: member!(file, file_dentry, usize),
            mount: member!(file, file_mnt, usize),
            inode: member!(file, file_inode, usize),
        }
    }

    /// Reads the `struct file` of a mapping. Overlayfs puts one of its layer there, behind which
    /// stands what the process has opened: since 6.5 beside it, before as its own path.
    #[inline(always)]
    pub fn mapped(file: usize) -> Self {
        let own = Self::at(file);
        let real = own.mount.wrapping_sub(offset!(mount_mnt));
        if has!(backing_user_dentry) && member!(real, mount_ns, usize) == MNT_NS_INTERNAL {
            // Overlayfs mounts its layers for itself, others do the same. Only behind one of a layer
            // lies the path that was opened, a directory entry and a mount of one file system. The
            // bit of `f_mode` that says so is not the same in all kernels, not even of one version.
            let dentry = member!(file, backing_user_dentry, usize);
            let mount = member!(file, backing_user_mnt, usize);
            let inode = member!(dentry, dentry_inode, usize);
            let system = member!(inode, inode_sb, usize);
            if system != 0 && system == member!(mount, vfsmount_sb, usize) {
                return Self { dentry, mount, inode };
            }
        }
        Self { inode: member!(own.dentry, dentry_inode, usize), ..own }
    }

    /// Inode number.
    #[inline(always)]
    pub fn ino(&self) -> u64 {
        member!(self.inode, inode_ino, u64)
    }

    /// Device, major << 20 | minor.
    #[inline(always)]
    pub fn dev(&self) -> u32 {
        member!(member!(self.inode, inode_sb, usize), sb_dev, u32)
    }

    /// Type and permission bits.
    #[inline(always)]
    pub fn mode(&self) -> u32 {
        u32::from(member!(self.inode, inode_mode, u16))
    }

    /// Code of the layer the file lies in for the running task; also sets `flags` for unlinked,
    /// detached and changed files.
    #[inline(always)]
    pub fn layer(&self, flags: &mut u32) -> u8 {
        // SAFETY: the function takes numbers, and checks what it reads by them.
        let result = unsafe { file_layer(self.mount as u64, self.inode as u64) };
        *flags |= (result >> FLAGS_SHIFT) as u32;
        mask(result, 0xff) as u8
    }

    #[inline(always)]
    fn find_layer(&self, flags: &mut u32) -> u8 {
        if member!(self.inode, inode_nlink, u32) == 0 {
            *flags |= flags::UNLINKED;
        }
        let real = self.mount.wrapping_sub(offset!(mount_mnt));
        let namespace = member!(real, mount_ns, usize);
        let magic = member!(member!(self.inode, inode_sb, usize), sb_magic, u64);
        if namespace == MNT_NS_INTERNAL {
            return if magic == TMPFS { code::MEMFD } else { code::UNKNOWN };
        }
        if namespace != task::mnt_ns_address(task::current()) {
            *flags |= flags::DETACHED;
        }
        let layer = layer_of(self.inode, magic, real);
        if layer == code::COPIED_UP && self.is_changed() {
            *flags |= flags::CONTENT_CHANGED;
        }
        layer
    }

    /// Remembers that an image file was opened for writing: it is copied up by then.
    #[inline(always)]
    pub fn mark_written(&self) {
        let upper = upper_inode(self.inode);
        if upper != 0 {
            let _ = WRITTEN.insert(identity(upper), 1, 0);
        }
    }

    /// Whether an image file that was copied up has another content than the image's, as far as
    /// size and time of the last change tell, and whether it was opened for writing. Not where the
    /// kernel does not show where overlayfs keeps the image's.
    #[inline(always)]
    fn is_changed(&self) -> bool {
        let (upper, lower) = (upper_inode(self.inode), lower_inode(self.inode));
        if WRITTEN.get_ptr(identity(upper)).is_some() {
            return true;
        }
        lower != 0
            && (member!(upper, inode_bytes, u64) != member!(lower, inode_bytes, u64)
                || member!(upper, inode_mtime_sec, u64) != member!(lower, inode_mtime_sec, u64)
                || member!(upper, inode_mtime_nsec, u32) != member!(lower, inode_mtime_nsec, u32))
    }
}

/// Where the flags stand in the result of [`file_layer`], above the code.
const FLAGS_SHIFT: u32 = 32;

/// Code and flags of [`File::layer`]. A function that the verifier checks once, by itself.
///
/// # Safety
/// Anywhere: what is read by the numbers is checked.
#[unsafe(no_mangle)]
#[inline(never)]
unsafe extern "C" fn file_layer(mount: u64, inode: u64) -> u64 {
    let file = File { dentry: 0, mount: mount as usize, inode: inode as usize };
    let mut bits = 0;
    let layer = file.find_layer(&mut bits);
    u64::from(layer) | u64::from(bits) << FLAGS_SHIFT
}

/// Mounts that lie on each other at the root of a namespace, at most: the kernel's own, one of them
/// before 7.0 and two since, and that of the container.
const MOST_STACKED: u32 = 4;

/// Whether a mount is the root of its namespace: mounted on the roots of the kernel's own mounts.
#[inline(always)]
fn is_root(mount: usize) -> bool {
    let mut mount = mount;
    for _ in 0..MOST_STACKED {
        let parent = member!(mount, mount_parent, usize);
        if parent == mount {
            return true;
        }
        let root = member!(parent.wrapping_add(offset!(mount_mnt)), vfsmount_root, usize);
        if member!(mount, mount_mountpoint, usize) != root {
            return false;
        }
        mount = parent;
    }
    false
}

/// Most mounts between one and the root that are looked at.
const MOST_ABOVE: u32 = 8;

/// Whether a file lies on the file system of the root, of which another part is mounted elsewhere.
#[inline(always)]
fn is_of_root(inode: usize, mount: usize) -> bool {
    let mut above = mount;
    for _ in 0..MOST_ABOVE {
        above = member!(above, mount_parent, usize);
        if is_root(above) {
            let root = member!(above.wrapping_add(offset!(mount_mnt)), vfsmount_sb, usize);
            return root == member!(inode, inode_sb, usize);
        }
    }
    false
}

#[inline(always)]
fn layer_of(inode: usize, magic: u64, mount: usize) -> u8 {
    let is_root = is_root(mount);
    if magic == OVERLAYFS {
        return if is_root || is_of_root(inode, mount) {
            overlay_layer(inode)
        } else {
            code::MOUNT
        };
    }
    if magic == TMPFS || magic == RAMFS {
        return code::TMPFS;
    }
    if magic == PROC {
        return code::PROC;
    }
    for sys in SYS {
        if magic == sys {
            return code::SYS;
        }
    }
    if is_root { code::ROOTFS } else { code::MOUNT }
}

/// `struct ovl_inode` embeds the inode; behind it stand the upper directory entry and the lower
/// layers, both null where there are none (`fs/overlayfs/ovl_entry.h`).
#[inline(always)]
fn overlay_layer(inode: usize) -> u8 {
    let behind = inode.wrapping_add(offset!(inode_size));
    if crate::read::kernel::<usize>(behind) == 0 {
        return code::IMAGE;
    }
    let lower = crate::read::kernel::<usize>(behind.wrapping_add(size_of::<usize>()));
    // Since 6.5 this is a `struct ovl_entry`, which begins with the number of lower layers;
    // before, a pointer that is null where there is no lower layer and never points at zero.
    if lower != 0 && crate::read::kernel::<u32>(lower) != 0 { code::COPIED_UP } else { code::UPPER }
}

/// What overlayfs made of a file when it copied it up, behind an inode of the overlay.
#[inline(always)]
fn upper_inode(inode: usize) -> usize {
    let dentry: usize = crate::read::kernel(inode.wrapping_add(offset!(inode_size)));
    member!(dentry, dentry_inode, usize)
}

/// Of a file for as long as it is there, whichever overlay shows it: a container that starts again
/// has another cgroup and another mount, and the same files.
#[inline(always)]
fn identity(inode: usize) -> [u64; 3] {
    let device = member!(member!(inode, inode_sb, usize), sb_dev, u32);
    let generation = member!(inode, inode_generation, u32);
    [member!(inode, inode_ino, u64), u64::from(device), u64::from(generation)]
}

/// The image's inode behind one of an overlay; 0 where it is not known. It is kept behind the
/// upper directory entry: as inode (before 5.19), as path (before 6.5), as one of a list of paths.
#[inline(always)]
fn lower_inode(inode: usize) -> usize {
    if !has!(ovl_vfs_inode) {
        return 0;
    }
    let outer = inode.wrapping_sub(offset!(ovl_vfs_inode));
    if has!(ovl_lower) {
        return member!(outer, ovl_lower, usize);
    }
    let dentry = if has!(ovl_lower_dentry) {
        member!(outer, ovl_lower_dentry, usize)
    } else if has!(ovl_entry) && has!(ovl_entry_stack) && has!(ovl_path_dentry) {
        let first = member!(outer, ovl_entry, usize).wrapping_add(offset!(ovl_entry_stack));
        member!(first, ovl_path_dentry, usize)
    } else {
        0
    };
    if dentry == 0 { 0 } else { member!(dentry, dentry_inode, usize) }
}
