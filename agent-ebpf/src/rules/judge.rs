//! Which rule an act breaks.
//!
//! Kernel programs and agent judge by these functions alike, so that what is told is what is stopped.

use super::Rule;
use crate::{events::file_change::SETID, layer::code as layer, record::flags};

/// The rule that running a file breaks, given its [`crate::layer::code`], its
/// [`crate::record::flags`] and whether an image file that was copied up has another content now.
#[inline(always)]
pub const fn of_program(code: u8, bits: u32, is_changed: bool) -> Option<Rule> {
    let rule = match code {
        layer::UPPER => Rule::NewExecutable,
        layer::COPIED_UP if is_changed => Rule::ChangedExecutable,
        layer::TMPFS => Rule::ExecutableInTmpfs,
        layer::MEMFD => return Some(Rule::ExecutableInMemory),
        layer::MOUNT | layer::BIND | layer::VOLUME => Rule::ExecutableInMount,
        _ => return None,
    };
    if bits & flags::UNLINKED != 0 { Some(Rule::UnlinkedExecutable) } else { Some(rule) }
}

/// The rule that mapping a file as code breaks.
#[inline(always)]
pub const fn of_library(code: u8, bits: u32, is_changed: bool) -> Option<Rule> {
    match of_program(code, bits, is_changed) {
        Some(_) => Some(Rule::ForeignLibrary),
        None => None,
    }
}

/// The rule that running a script breaks.
#[inline(always)]
pub const fn of_script(code: u8, bits: u32, is_changed: bool) -> Option<Rule> {
    match of_program(code, bits, is_changed) {
        Some(_) => Some(Rule::ForeignScript),
        None => None,
    }
}

/// `include/uapi/linux/stat.h`
const EXECUTABLE: u32 = 0o111;

/// The rule that writing a file breaks, or changing its name or metadata; `mode` are its
/// permission bits, 0 where they are not known.
#[inline(always)]
pub const fn of_write(code: u8, mode: u32) -> Option<Rule> {
    match code {
        layer::IMAGE | layer::COPIED_UP if mode & EXECUTABLE != 0 => {
            Some(Rule::ImageProgramChanged)
        }
        layer::IMAGE | layer::COPIED_UP | layer::UPPER | layer::ROOTFS => {
            Some(Rule::WriteOutsideVolumes)
        }
        _ => None,
    }
}

/// Type of a file in its mode, and that of a regular one: `include/uapi/linux/stat.h`.
const S_IFMT: u64 = 0o170_000;
const S_IFREG: u64 = 0o100_000;

/// Whether a file that is made with this mode runs with its owner's rights, wherever it lies. An open gives
/// no type; a pipe or a device has nobody's rights.
#[inline(always)]
pub const fn gives_rights(mode: u64) -> bool {
    matches!(mode & S_IFMT, 0 | S_IFREG) && mode & SETID != 0
}

/// The rule that addressing a peer breaks; IPv4 addresses are mapped into IPv6.
#[inline(always)]
pub const fn of_peer(address: [u32; 4]) -> Option<Rule> {
    if is_local(address) {
        return None;
    }
    let is_mapped = address[0] == 0 && address[1] == 0 && address[2] == MAPPED;
    // The one address that all clouds agree on, and the IPv6 one of the largest.
    if is_mapped && address[3] == u32::from_ne_bytes([169, 254, 169, 254])
        || address[0] == u32::from_ne_bytes([0xfd, 0, 0x0e, 0xc2])
            && address[1] == 0
            && address[2] == 0
            && address[3] == u32::from_ne_bytes([0, 0, 2, 0x54])
    {
        return Some(Rule::MetadataService);
    }
    Some(Rule::ForeignPeer)
}

/// The rule that waiting for peers at a local address breaks. The kernel chooses port 0.
#[inline(always)]
pub const fn of_listener(address: [u32; 4], port: u16) -> Option<Rule> {
    let is_any = address[3] == 0;
    if port == 0 || !is_any && is_local(address) { None } else { Some(Rule::ForeignListener) }
}

/// The third word of an IPv4 address that is mapped into IPv6.
const MAPPED: u32 = u32::from_ne_bytes([0, 0, 0xff, 0xff]);

/// Whether an address is the container itself: loopback, or none, which stands for it.
#[inline(always)]
const fn is_local(address: [u32; 4]) -> bool {
    let [a, b, c, d] = address;
    if a != 0 || b != 0 {
        return false;
    }
    if c == MAPPED {
        return d == 0 || d.to_ne_bytes()[0] == 127;
    }
    c == 0 && (d == 0 || d == 1_u32.to_be())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_gives_rights_and_a_pipe_or_directory_does_not() {
        for mode in [0o4755, 0o2755, 0o104_755] {
            assert!(gives_rights(mode), "{mode:o}");
        }
        for mode in [0o755, 0o100_755, 0o014_755, 0o042_755, 0o024_755] {
            assert!(!gives_rights(mode), "{mode:o}");
        }
    }

    #[test]
    fn an_image_file_is_no_drift_unless_its_content_changed() {
        assert_eq!(of_program(layer::IMAGE, flags::UNLINKED, false), None);
        assert_eq!(of_program(layer::COPIED_UP, 0, false), None);
        assert_eq!(of_program(layer::COPIED_UP, 0, true), Some(Rule::ChangedExecutable));
        assert_eq!(of_program(layer::UPPER, 0, false), Some(Rule::NewExecutable));
        assert_eq!(
            of_program(layer::UPPER, flags::UNLINKED, false),
            Some(Rule::UnlinkedExecutable)
        );
        assert_eq!(
            of_program(layer::MEMFD, flags::UNLINKED, false),
            Some(Rule::ExecutableInMemory)
        );
    }

    #[test]
    fn the_container_itself_is_no_foreign_peer() {
        let words = |text: &str| {
            let address: std::net::IpAddr = text.parse().expect("is an address");
            let bytes = match address {
                std::net::IpAddr::V4(it) => it.to_ipv6_mapped().octets(),
                std::net::IpAddr::V6(it) => it.octets(),
            };
            [0, 4, 8, 12].map(|at| {
                u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
            })
        };
        for local in ["127.0.0.1", "127.9.8.7", "0.0.0.0", "::1", "::"] {
            assert_eq!(of_peer(words(local)), None, "{local}");
        }
        for foreign in ["10.0.0.1", "128.0.0.1", "::2", "fe80::1", "1.0.0.127"] {
            assert_eq!(of_peer(words(foreign)), Some(Rule::ForeignPeer), "{foreign}");
        }
        for metadata in ["169.254.169.254", "fd00:ec2::254"] {
            assert_eq!(of_peer(words(metadata)), Some(Rule::MetadataService));
        }
        for (address, port, rule) in [
            ("0.0.0.0", 80, Some(Rule::ForeignListener)),
            ("::", 80, Some(Rule::ForeignListener)),
            ("10.0.0.1", 80, Some(Rule::ForeignListener)),
            ("127.0.0.1", 80, None),
            ("::1", 80, None),
            ("0.0.0.0", 0, None),
        ] {
            assert_eq!(of_listener(words(address), port), rule, "{address}");
        }
    }

    #[test]
    fn writes_in_volumes_and_memory_break_no_rule() {
        for code in [layer::TMPFS, layer::MOUNT, layer::VOLUME, layer::PROC, layer::MEMFD] {
            assert_eq!(of_write(code, 0o755), None);
        }
        assert_eq!(of_write(layer::IMAGE, 0o755), Some(Rule::ImageProgramChanged));
        assert_eq!(of_write(layer::IMAGE, 0o644), Some(Rule::WriteOutsideVolumes));
        assert_eq!(of_write(layer::UPPER, 0o755), Some(Rule::WriteOutsideVolumes));
    }
}
