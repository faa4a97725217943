//! Gives memory that is free back to the kernel.

/// Gives back what the allocator holds and nobody uses: glibc keeps the peak of a burst, and of the
/// kernel's types read at start, for ever.
#[allow(unsafe_code, reason = "no library offers this call")]
pub fn release() {
    #[cfg(target_env = "gnu")]
    // SAFETY: the call takes a number and may be made at any time from any thread.
    unsafe {
        libc::malloc_trim(0);
    }
}
