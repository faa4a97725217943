//! The files of procfs through which the memory of a process is written.

use plimsoll_ebpf::layer::code;

use crate::attribution::normal::base;

/// Whether a file in a layer is one: `/proc/PID/mem`, or that of a thread. The place of procfs files
/// is not always known, their usual path is.
pub(super) fn is(layer: u8, path: &[u8]) -> bool {
    let Some(owner) = path.strip_suffix(b"/mem") else { return false };
    let id = base(owner);
    let is_of_process = matches!(id, b"self" | b"thread-self")
        || !id.is_empty() && id.iter().all(u8::is_ascii_digit);
    is_of_process && (layer == code::PROC || layer == code::UNKNOWN && path.starts_with(b"/proc/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_of_a_process_or_thread_is_known_wherever_procfs_is_mounted() {
        for path in ["/proc/7/mem", "/proc/7/task/8/mem", "/proc/self/mem", "/host/proc/1/mem"] {
            assert!(is(code::PROC, path.as_bytes()), "{path}");
        }
        assert!(is(code::UNKNOWN, b"/proc/7/mem"));
        for path in ["/proc/7/oom_score_adj", "/proc/7/clear_refs", "/proc/mem", "/proc//mem"] {
            assert!(!is(code::PROC, path.as_bytes()), "{path}");
        }
        assert!(!is(code::UPPER, b"/proc/7/mem"), "a file that is called so");
        assert!(!is(code::UNKNOWN, b"/data/7/mem"));
    }
}
