//! Settings by which whoever writes them has the host's kernel run a program of his, or stop.

use plimsoll_ebpf::layer::code;

/// How their paths end, wherever procfs and sysfs are mounted.
const ENDINGS: [&[u8]; 11] = [
    b"/sys/kernel/core_pattern",
    b"/sys/kernel/modprobe",
    b"/sys/kernel/hotplug",
    b"/sys/kernel/poweroff_cmd",
    b"/sys/kernel/usermodehelper/bset",
    b"/sys/kernel/usermodehelper/inheritable",
    b"/sysrq-trigger",
    b"/sys/fs/binfmt_misc/register",
    b"/binfmt_misc/register",
    b"/kernel/uevent_helper",
    b"/release_agent",
];

/// Whether a file in a layer is one.
pub(super) fn has(layer: u8, path: &[u8]) -> bool {
    matches!(layer, code::PROC | code::SYS) && ENDINGS.iter().any(|it| path.ends_with(it))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_known_wherever_it_is_mounted_and_nowhere_else() {
        for path in [
            "/proc/sys/kernel/core_pattern",
            "/host/proc/sys/kernel/core_pattern",
            "/proc/sysrq-trigger",
        ] {
            assert!(has(code::PROC, path.as_bytes()), "{path}");
        }
        for path in ["/tmp/cg/release_agent", "/sys/kernel/uevent_helper"] {
            assert!(has(code::SYS, path.as_bytes()), "{path}");
        }
        assert!(!has(code::TMPFS, b"/tmp/cg/release_agent"));
        assert!(!has(code::PROC, b"/proc/self/oom_score_adj"));
        assert!(!has(code::PROC, b"/proc/sys/net/ipv4/ip_forward"));
    }
}
