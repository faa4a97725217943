//! Which file lies at an address of the running process: the mapping itself, which no descriptor
//! that changes hands can hide.

use aya_ebpf::{cty::c_void, helpers::generated};

use crate::{file::File, task};

/// Bits of `vm_area_struct.vm_flags` (`include/linux/mm.h`).
const VM_EXEC: u64 = 4;

/// What is found at an address.
#[repr(C)]
struct Found {
    dentry: usize,
    mount: usize,
    inode: usize,
    flags: u64,
}

/// The file mapped at an address, if that may be executed. `None` where nothing or no file is, and
/// where another thread keeps the mappings from being read.
#[inline(always)]
pub fn executable_at(address: u64) -> Option<File> {
    let mut found = Found { dentry: 0, mount: 0, inode: 0, flags: 0 };
    // SAFETY: the verifier checks the task, the callback and what is handed to it.
    unsafe {
        generated::bpf_find_vma(
            task::current() as *mut _,
            address,
            note as *mut c_void,
            (&raw mut found).cast(),
            0,
        );
        found = core::ptr::read_volatile(&raw const found);
    }
    let is_code = found.inode != 0 && found.flags & VM_EXEC != 0;
    is_code.then_some(File { dentry: found.dentry, mount: found.mount, inode: found.inode })
}

/// Called with the mapping, which does not change meanwhile.
#[inline(never)]
unsafe extern "C" fn note(_task: *mut c_void, mapping: *mut c_void, found: *mut Found) -> i64 {
    let file = member!(mapping, vma_file, usize);
    if file == 0 {
        return 0;
    }
    let it = File::mapped(file);
    let flags = member!(mapping, vma_flags, u64);
    // SAFETY: the caller's `found`, which outlives the call.
    unsafe {
        (*found).dentry = it.dentry;
        (*found).mount = it.mount;
        (*found).inode = it.inode;
        (*found).flags = flags;
    }
    0
}
