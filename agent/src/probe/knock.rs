//! The agent's knock at the kernel, whose echo proves that programs run and the rings are read.

use plimsoll_ebpf::orders::KNOCK;

/// Makes a `bpf` system call that does not exist. The kernel refuses it, and the program at the
/// end of system calls answers with this number in a [`plimsoll_ebpf::signals::Heartbeat`].
#[allow(unsafe_code, reason = "no library makes a system call that does not exist")]
pub fn knock(number: u32) {
    // SAFETY: the command is unknown to every kernel and the attribute pointer is null, which the
    // kernel checks before it reads; nothing is written.
    unsafe {
        libc::syscall(
            libc::SYS_bpf,
            libc::c_long::from(KNOCK),
            std::ptr::null::<u8>(),
            libc::c_long::from(number),
        );
    }
}
