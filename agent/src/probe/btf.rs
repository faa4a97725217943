//! Finds the members of kernel structs in the running kernel's BTF.
//!
//! Only what is needed for offsets is read (`Documentation/bpf/btf.rst`); every read is checked, so
//! that a damaged file is an error and no panic.

use std::{collections::HashMap, path::Path};

use plimsoll_ebpf::offsets::{ABSENT, MEMBERS, Member, Offsets};
use zerocopy::{FromBytes, IntoBytes};

/// Where the kernel shows its own types.
pub const VMLINUX: &str = "/sys/kernel/btf/vmlinux";

/// Where it shows those of overlayfs, where that is a module. Kernels before 5.11 do not.
pub const OVERLAY: &str = "/sys/kernel/btf/overlay";

const MAGIC: u16 = 0xeb9f;
const STRUCT: u32 = 4;
const UNION: u32 = 5;

/// Why the kernel's types could not be used.
#[derive(Debug, thiserror::Error)]
pub enum BtfError {
    /// The file could not be read.
    #[error("reading the kernel's types from {path}")]
    Read {
        /// Which file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not what it should be.
    #[error("the kernel's types are damaged at byte {0}")]
    Damaged(usize),
}

/// Whether it is known where overlayfs keeps the image's file behind one that was copied up. Not where
/// the module has not been loaded yet, nor before 5.11, when modules are not described.
pub fn knows_overlay(offsets: &Offsets) -> bool {
    offsets.ovl_vfs_inode != ABSENT
}

/// Resolves the table of members. Members that this kernel lacks stay [`ABSENT`] and are listed.
pub fn resolve(kernel: &Path, module: &Path) -> Result<(Offsets, Vec<&'static Member>), BtfError> {
    let read = |path: &Path| {
        std::fs::read(path)
            .map_err(|source| BtfError::Read { path: path.display().to_string(), source })
    };
    let mut data = read(kernel)?;
    let kernel_bytes = data.len();
    if module.exists() {
        data.extend(read(module)?);
    }
    resolve_in(&data, kernel_bytes)
}

/// The types of the kernel, and behind them those of a module, which build on them.
fn resolve_in(
    data: &[u8],
    kernel_bytes: usize,
) -> Result<(Offsets, Vec<&'static Member>), BtfError> {
    let mut types = Types::new(data);
    types.read(0)?;
    if kernel_bytes < data.len() {
        types.read(kernel_bytes)?;
    }
    let mut missing = Vec::new();
    let mut words = Vec::with_capacity(MEMBERS.len());
    for member in MEMBERS {
        let offset = types.offset(member)?;
        if offset.is_none() && !member.path.starts_with('?') {
            missing.push(member);
        }
        words.push(offset.unwrap_or(ABSENT));
    }
    let offsets = Offsets::read_from_bytes(words.as_bytes()).map_err(|_| BtfError::Damaged(0))?;
    Ok((offsets, missing))
}

struct Types<'a> {
    data: &'a [u8],
    /// Where the kernel's texts begin, and how many bytes they have.
    texts: (usize, usize),
    /// Where those of the module begin: their offsets count on from the kernel's.
    module_texts: usize,
    /// Byte position of each type, by its number; 0 is `void`.
    places: Vec<usize>,
    structs: HashMap<&'a [u8], Vec<u32>>,
}

impl<'a> Types<'a> {
    fn new(data: &'a [u8]) -> Self {
        Self { data, texts: (0, 0), module_texts: 0, places: vec![0], structs: HashMap::new() }
    }

    /// Reads the types that begin at a byte.
    fn read(&mut self, at: usize) -> Result<(), BtfError> {
        if self.word(at)? as u16 != MAGIC {
            return Err(BtfError::Damaged(at));
        }
        let header = at.saturating_add(self.word(at + 4)? as usize);
        let (start, bytes) = (self.word(at + 8)? as usize, self.word(at + 12)? as usize);
        let texts = header.saturating_add(self.word(at + 16)? as usize);
        if at == 0 {
            self.texts = (texts, self.word(at + 20)? as usize);
        }
        self.module_texts = texts;
        let mut place = header.saturating_add(start);
        let end = place.saturating_add(bytes);
        while place < end {
            let info = self.word(place + 4)?;
            let (kind, members) = (info >> 24 & 0x1f, (info & 0xffff) as usize);
            if kind == STRUCT || kind == UNION {
                let name = self.text(self.word(place)?)?;
                self.structs.entry(name).or_default().push(self.places.len() as u32);
            }
            self.places.push(place);
            place += 12 + trailing_bytes(kind, members).ok_or(BtfError::Damaged(place))?;
        }
        Ok(())
    }

    fn word(&self, at: usize) -> Result<u32, BtfError> {
        let bytes = self.data.get(at..).and_then(|rest| rest.first_chunk::<4>());
        bytes.map(|bytes| u32::from_le_bytes(*bytes)).ok_or(BtfError::Damaged(at))
    }

    fn text(&self, offset: u32) -> Result<&'a [u8], BtfError> {
        let (texts, bytes) = self.texts;
        let start = match (offset as usize).checked_sub(bytes) {
            Some(beyond) => self.module_texts.saturating_add(beyond),
            None => texts.saturating_add(offset as usize),
        };
        let rest = self.data.get(start..).ok_or(BtfError::Damaged(start))?;
        let end = rest.iter().position(|&byte| byte == 0).ok_or(BtfError::Damaged(start))?;
        Ok(&rest[..end])
    }

    fn place(&self, number: u32) -> Result<usize, BtfError> {
        self.places.get(number as usize).copied().ok_or(BtfError::Damaged(0))
    }

    /// Follows typedefs and qualifiers to the type behind them.
    fn behind(&self, mut number: u32) -> Result<u32, BtfError> {
        for _ in 0..32 {
            let place = self.place(number)?;
            // typedef, volatile, const, restrict, type tag
            if number == 0 || !matches!(self.word(place + 4)? >> 24 & 0x1f, 8..=11 | 18) {
                return Ok(number);
            }
            number = self.word(place + 8)?;
        }
        Err(BtfError::Damaged(0))
    }

    /// Bit offset and type of a member, looking into anonymous structs and unions.
    fn find(&self, number: u32, name: &[u8], depth: u8) -> Result<Option<(u32, u32)>, BtfError> {
        let place = self.place(number)?;
        let info = self.word(place + 4)?;
        if depth > 8 || !matches!(info >> 24 & 0x1f, STRUCT | UNION) {
            return Ok(None);
        }
        let has_bitfields = info >> 31 == 1;
        for index in 0..(info & 0xffff) as usize {
            let member = place + 12 + 12 * index;
            let (member_name, member_type) =
                (self.text(self.word(member)?)?, self.word(member + 4)?);
            let offset = self.word(member + 8)?;
            let offset = if has_bitfields { offset & 0x00ff_ffff } else { offset };
            if member_name == name {
                return Ok(Some((offset, member_type)));
            }
            if member_name.is_empty()
                && let Some((inner, inner_type)) =
                    self.find(self.behind(member_type)?, name, depth + 1)?
            {
                return Ok(Some((offset.wrapping_add(inner), inner_type)));
            }
        }
        Ok(None)
    }

    fn offset(&self, member: &Member) -> Result<Option<u32>, BtfError> {
        let Some(roots) = self.structs.get(member.structure.as_bytes()) else { return Ok(None) };
        if member.path.is_empty() {
            return Ok(Some(self.word(self.place(roots[0])? + 8)?));
        }
        for path in member.path.trim_start_matches('?').split('|') {
            for &root in roots {
                if let Some(bits) = self.bits(root, path)?
                    && bits % 8 == 0
                {
                    return Ok(Some(bits / 8));
                }
            }
        }
        Ok(None)
    }

    fn bits(&self, root: u32, path: &str) -> Result<Option<u32>, BtfError> {
        let (mut number, mut bits) = (root, 0u32);
        for part in path.split('.') {
            let Some((offset, member)) = self.find(number, part.as_bytes(), 0)? else {
                return Ok(None);
            };
            bits = bits.wrapping_add(offset);
            number = self.behind(member)?;
        }
        Ok(Some(bits))
    }
}

/// Bytes that follow the common part of a type.
fn trailing_bytes(kind: u32, members: usize) -> Option<usize> {
    Some(match kind {
        // int, variable, declaration tag
        1 | 14 | 17 => 4,
        3 => 12,
        // struct, union, data section, 64-bit enumeration
        4 | 5 | 15 | 19 => 12 * members,
        // enumeration, function prototype
        6 | 13 => 8 * members,
        2 | 7..=12 | 16 | 18 => 0,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn damaged_types_never_panic(
            mut bytes in proptest::collection::vec(any::<u8>(), 24..2000),
        ) {
            bytes[..8].copy_from_slice(&[0x9f, 0xeb, 1, 0, 24, 0, 0, 0]);
            bytes[8..12].copy_from_slice(&0u32.to_le_bytes());
            let kernel_bytes = bytes.len() / 2;
            let _ = resolve_in(&bytes, bytes.len());
            let _ = resolve_in(&bytes, kernel_bytes);
        }
    }

    #[test]
    fn another_file_is_no_btf() {
        assert!(matches!(resolve_in(b"\x7fELF0000", 8), Err(BtfError::Damaged(0))));
    }

    #[test]
    fn the_running_kernel_has_what_every_record_needs() {
        let (offsets, missing) =
            resolve(Path::new(VMLINUX), Path::new(OVERLAY)).expect("this kernel shows its types");
        let core = ["task_tgid", "dentry_parent", "mount_mnt", "inode_size", "kernfs_id"];
        assert!(missing.iter().all(|member| !core.contains(&member.name)), "{missing:?}");
        assert!(offsets.task_tgid > 0 && offsets.inode_size > 100);
    }
}
