//! What a block's paths and addresses may hold, told by its header: a set of hashed pieces.
//!
//! A path is taken apart into its runs of three bytes, an IPv4 address into its first three. A
//! block that lacks a piece of what is searched holds no match and is not read; one that has all
//! pieces may hold one.

use plimsoll_ebpf::value::ValueType;

/// Bits while a block is filled. They are folded to what its pieces need.
const FULL_BITS: usize = 1 << 16;
/// Bits for each piece: one of eight unknown pieces then seems known, and a text has many.
const BITS_PER_PIECE: usize = 8;
const MIN_BYTES: usize = 32;
/// Bytes of a piece.
const PIECE: usize = 3;

/// What is searched for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Needle {
    /// A path that has this part.
    Text(Vec<u8>),
    /// An IPv4 address that begins so.
    Address([u8; PIECE]),
}

/// Gathers the pieces of a block.
pub(super) struct Pieces(Vec<u64>);

impl Default for Pieces {
    fn default() -> Self {
        Self(vec![0; FULL_BITS / 64])
    }
}

impl Pieces {
    /// Adds a value of a column of this type.
    pub(super) fn add(&mut self, value: ValueType, bytes: &[u8]) {
        match (value, bytes) {
            (ValueType::Path, _) => {
                for piece in bytes.array_windows::<PIECE>() {
                    self.set(hash(*piece, false));
                }
            }
            (ValueType::Address, &[a, b, c, _]) => self.set(hash([a, b, c], true)),
            _ => {}
        }
    }

    fn set(&mut self, bit: usize) {
        self.0[bit / 64] |= 1 << (bit % 64);
    }

    /// The set as a header has it; gathering begins anew.
    pub(super) fn take(&mut self) -> Vec<u8> {
        let count: usize = self.0.iter().map(|word| word.count_ones() as usize).sum();
        let wanted = (count * BITS_PER_PIECE).next_power_of_two().max(MIN_BYTES * 8);
        let mut words = self.0.len();
        while words * 64 > wanted {
            words /= 2;
            let (lower, upper) = self.0.split_at_mut(words);
            lower.iter_mut().zip(upper).for_each(|(lower, upper)| *lower |= *upper);
        }
        let bytes = self.0[..words].iter().flat_map(|word| word.to_le_bytes()).collect();
        self.0.fill(0);
        bytes
    }
}

/// Whether a block with this set may hold what is searched for. A set that is none says nothing.
pub(super) fn may_hold(set: &[u8], needle: &Needle) -> bool {
    if !set.len().is_power_of_two() {
        return true;
    }
    let has = |bit: usize| {
        let bit = bit & (set.len() * 8 - 1);
        set[bit / 8] >> (bit % 8) & 1 == 1
    };
    match needle {
        Needle::Text(text) => text.array_windows::<PIECE>().all(|piece| has(hash(*piece, false))),
        Needle::Address(start) => has(hash(*start, true)),
    }
}

/// The place of a piece in the full set; that in a folded one is its lower part.
fn hash(piece: [u8; PIECE], is_address: bool) -> usize {
    let [a, b, c] = piece.map(u32::from);
    let number = a | b << 8 | c << 16 | u32::from(is_address) << 24;
    let mixed = (number ^ number >> 11).wrapping_mul(0x9e37_79b1);
    (mixed >> 16) as usize % FULL_BITS
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(needle: &str) -> Needle {
        Needle::Text(needle.as_bytes().to_vec())
    }

    #[test]
    fn what_is_not_there_is_left_out() {
        let mut pieces = Pieces::default();
        for number in 0..200 {
            let path = format!("/var/lib/app/file-{number}");
            pieces.add(ValueType::Path, path.as_bytes());
            pieces.add(ValueType::Address, &[10, 0, number, 9]);
        }
        let set = pieces.take();
        assert!(set.len() <= 1024, "{} bytes", set.len());
        assert!(may_hold(&set, &text("app/file-77")) && may_hold(&set, &text("zz")));
        assert!(!may_hold(&set, &text("/etc/shadow")));
        assert!(may_hold(&set, &Needle::Address([10, 0, 3])));
        let foreign = (0..=255).filter(|it| may_hold(&set, &Needle::Address([203, 0, *it])));
        assert!(foreign.count() < 128);
        assert_eq!(pieces.take().len(), MIN_BYTES, "gathering begins anew");
        assert!(may_hold(&[], &text("/etc/shadow")), "without a set all may be there");
    }

    proptest! {
        #[test]
        fn what_is_there_is_never_left_out(
            paths in proptest::collection::vec("[ -~]{0,40}", 1..300),
            which in any::<proptest::sample::Index>(),
            from in 0..40_usize,
            to in 0..40_usize,
        ) {
            let mut pieces = Pieces::default();
            for path in &paths {
                pieces.add(ValueType::Path, path.as_bytes());
            }
            let path = which.get(&paths).as_bytes();
            let (from, to) = (from.min(to).min(path.len()), from.max(to).min(path.len()));
            let needle = Needle::Text(path[from..to].to_vec());
            prop_assert!(may_hold(&pieces.take(), &needle));
        }
    }
}
