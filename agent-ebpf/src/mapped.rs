//! Which file lies at an address of the running process: the mapping itself, which no descriptor
//! that changes hands can hide.

use aya_ebpf::{cty::c_void, helpers::generated};

use crate::{file::File, task};

/// Bits of `vm_area_struct.vm_flags` (`include/linux/mm.h`).
const VM_EXEC: u64 = 4;

/// What may be executed at an address.
pub enum Code {
    /// A file.
    File(File),
    /// Memory that is no file's.
    Memory,
}

/// What is found at an address.
#[repr(C)]
struct Found {
    dentry: usize,
    mount: usize,
    inode: usize,
    flags: u64,
}

/// What is mapped at an address, if that may be executed. `None` where nothing is, and where another
/// thread keeps the mappings from being read.
#[inline(always)]
pub fn executable_at(address: u64) -> Option<Code> {
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
    if found.flags & VM_EXEC == 0 {
        return None;
    }
    if found.inode == 0 {
        return Some(Code::Memory);
    }
    Some(Code::File(File { dentry: found.dentry, mount: found.mount, inode: found.inode }))
}

/// Called with the mapping, which does not change meanwhile.
#[inline(never)]
unsafe extern "C" fn note(_task: *mut c_void, mapping: *mut c_void, found: *mut Found) -> i64 {
    let flags = member!(mapping, vma_flags, u64);
    // SAFETY: the caller's `found`, which outlives the call.
    unsafe { (*found).flags = flags };
    let file = member!(mapping, vma_file, usize);
    if file == 0 {
        return 0;
    }
    let it = File::mapped(file);
    // SAFETY: as above.
    unsafe {
        (*found).dentry = it.dentry;
        (*found).mount = it.mount;
        (*found).inode = it.inode;
    }
    0
}
