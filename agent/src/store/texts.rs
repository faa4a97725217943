//! What a block may hold, told by its header: a set of hashed pieces of paths, addresses and process
//! ids.
//!
//! A path is taken apart into its runs of three bytes, of an IPv4 address the first three count. A
//! block that lacks a piece of what is searched holds no match and is not read; one that has all
//! pieces may hold one.

use std::net::IpAddr;

use plimsoll_ebpf::{
    catalog::FieldInfo,
    value::{Value, ValueType},
};

/// Bits while a block is filled. They are folded to what its pieces need.
const FULL_BITS: usize = 1 << 16;
/// Bits for each that is set: one of four unknown pieces of a path then seems known at most, and a
/// text has many.
const BITS_PER_SET: usize = 4;
const MIN_BYTES: usize = 32;
/// Bytes of a piece.
const PIECE: usize = 3;
/// Bits that an address sets, which is a piece by itself.
const ADDRESS_BITS: usize = 4;
/// Bits that a process id sets.
const ID_BITS: usize = 2;
/// The fields whose numbers are in the set.
const IDS: [&str; 3] = ["proc.pid", "proc.ppid", "proc.parent.pid"];
/// The first format whose blocks have process ids in their sets, and all bits of an address.
const IDS_SINCE: u16 = 3;

/// What an observation must have to be asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Needle {
    /// The field.
    pub field: &'static FieldInfo,
    /// What its value has.
    pub part: Part,
}

/// What a value has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// These bytes somewhere in a text.
    Text(Vec<u8>),
    /// This beginning of an IPv4 address.
    Address([u8; PIECE]),
    /// This number.
    Number(i128),
}

/// A set of pieces as a header has it, and the format of its block. One that is empty says nothing.
#[derive(Clone, Copy)]
pub(super) struct Set<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) format: u16,
}

impl Set<'_> {
    /// Whether a block with this set may hold what is searched for.
    pub(super) fn may_hold(self, needle: &Needle) -> bool {
        if !self.bytes.len().is_power_of_two() {
            return true;
        }
        let has_ids = self.format >= IDS_SINCE;
        match &needle.part {
            Part::Text(text) if needle.field.value == ValueType::Path => {
                text.array_windows::<PIECE>().all(|piece| self.has(hash(*piece, false)))
            }
            Part::Address(start) if has_ids => {
                address_bits(*start).into_iter().all(|it| self.has(it))
            }
            Part::Address(start) => self.has(hash(*start, true)),
            Part::Number(number) if has_ids && IDS.contains(&needle.field.name) => {
                let id = u64::try_from(*number);
                id.is_ok_and(|id| id_bits(id).into_iter().all(|it| self.has(it)))
            }
            Part::Text(_) | Part::Number(_) => true,
        }
    }

    fn has(self, bit: usize) -> bool {
        let bit = bit & (self.bytes.len() * 8 - 1);
        self.bytes[bit / 8] >> (bit % 8) & 1 == 1
    }
}

impl Needle {
    /// Whether a value has it. Values of other types than the field's are left to whoever asks.
    pub(super) fn is_in(&self, value: Value<'_>) -> bool {
        match (&self.part, value) {
            (Part::Text(part), Value::Text(text) | Value::Path(text) | Value::List(text)) => {
                contains(text, part)
            }
            (Part::Text(part), Value::Label(label)) => contains(label.as_bytes(), part),
            (Part::Address(start), Value::Address(IpAddr::V4(it))) => {
                it.octets().starts_with(start)
            }
            (Part::Address(_), Value::Address(IpAddr::V6(_))) => false,
            (Part::Number(number), Value::Number(it) | Value::Time(it)) => *number == it.into(),
            (Part::Number(number), Value::Signed(it)) => *number == it.into(),
            (Part::Number(number), Value::Port(it)) => *number == it.into(),
            (Part::Text(_) | Part::Address(_) | Part::Number(_), _) => true,
        }
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    let Some(first) = part.first() else { return true };
    text.windows(part.len()).any(|window| window[0] == *first && window == part)
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
            (ValueType::Address, &[a, b, c, _]) => {
                for bit in address_bits([a, b, c]) {
                    self.set(bit);
                }
            }
            _ => {}
        }
    }

    /// Adds a number of a column of this name.
    pub(super) fn add_ids(&mut self, name: &str, numbers: &[u64]) {
        if IDS.contains(&name) {
            numbers.iter().flat_map(|id| id_bits(*id)).for_each(|it| self.set(it));
        }
    }

    fn set(&mut self, bit: usize) {
        self.0[bit / 64] |= 1 << (bit % 64);
    }

    /// The set as a header has it; gathering begins anew.
    pub(super) fn take(&mut self) -> Vec<u8> {
        let count: usize = self.0.iter().map(|word| word.count_ones() as usize).sum();
        let wanted = (count * BITS_PER_SET).next_power_of_two().max(MIN_BYTES * 8);
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

/// The place of a piece in the full set; that in a folded one is its lower part.
fn hash(piece: [u8; PIECE], is_address: bool) -> usize {
    let [a, b, c] = piece.map(u32::from);
    let number = a | b << 8 | c << 16 | u32::from(is_address) << 24;
    let mixed = (number ^ number >> 11).wrapping_mul(0x9e37_79b1);
    (mixed >> 16) as usize % FULL_BITS
}

/// The places of an address, of which nothing else is in the set.
fn address_bits([a, b, c]: [u8; PIECE]) -> [usize; ADDRESS_BITS] {
    spread(u64::from_le_bytes([a, b, c, 1, 0, 0, 0, 0]))
}

/// The places of a process id.
fn id_bits(id: u64) -> [usize; ID_BITS] {
    spread(id)
}

/// Places that a number alone has.
fn spread<const N: usize>(number: u64) -> [usize; N] {
    let mixed = (number ^ number >> 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ mixed >> 32).wrapping_mul(0xd6e8_feb8_6659_fd93);
    std::array::from_fn(|which| (mixed >> (16 * which)) as usize % FULL_BITS)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::attribution::fields::by_name;

    fn needle(name: &str, part: Part) -> Needle {
        Needle { field: by_name(name).expect("is a field"), part }
    }

    fn text(part: &str) -> Needle {
        needle("file.path", Part::Text(part.as_bytes().to_vec()))
    }

    fn address(start: [u8; PIECE]) -> Needle {
        needle("net.raddr", Part::Address(start))
    }

    fn process(id: i128) -> Needle {
        needle("proc.ppid", Part::Number(id))
    }

    fn newest(bytes: &[u8]) -> Set<'_> {
        Set { bytes, format: IDS_SINCE }
    }

    fn gathered() -> Vec<u8> {
        let mut pieces = Pieces::default();
        for number in 0..200 {
            let path = format!("/var/lib/app/file-{number}");
            pieces.add(ValueType::Path, path.as_bytes());
            pieces.add(ValueType::Address, &[10, 0, number, 9]);
        }
        pieces.add_ids("proc.pid", &(1000..1200).collect::<Vec<_>>());
        pieces.add_ids("proc.start", &[7]);
        let set = pieces.take();
        assert_eq!(pieces.take().len(), MIN_BYTES, "gathering begins anew");
        set
    }

    #[test]
    fn what_is_not_there_is_left_out() {
        let bytes = gathered();
        assert!(bytes.len() <= 2048, "{} bytes", bytes.len());
        let set = newest(&bytes);
        assert!(set.may_hold(&text("app/file-77")) && set.may_hold(&text("zz")));
        assert!(!set.may_hold(&text("/etc/shadow")));
        assert!((0..200).all(|it| set.may_hold(&address([10, 0, it]))));
        let foreign = (0..=255).filter(|it| set.may_hold(&address([203, 0, *it])));
        assert!(foreign.count() < 10);
        assert!((1000..1200).all(|it| set.may_hold(&process(it))));
        let foreign = (5000..6000).filter(|it| set.may_hold(&process(*it)));
        assert!(foreign.count() < 150);
        assert!(!set.may_hold(&process(-1)));
    }

    #[test]
    fn what_a_set_does_not_tell_may_be_there() {
        let bytes = gathered();
        let (op, start) = (Part::Text(b"/etc/shadow".to_vec()), Part::Number(5_000_000));
        assert!(newest(&bytes).may_hold(&needle("file.op", op)), "no path");
        assert!(newest(&bytes).may_hold(&needle("proc.start", start)), "no process id");
        assert!(newest(&[]).may_hold(&text("/etc/shadow")), "without a set all may be there");
        let earlier = Set { bytes: &bytes, format: 2 };
        assert!((5000..6000).all(|it| earlier.may_hold(&process(it))));
        assert!(!earlier.may_hold(&text("/etc/shadow")));
    }

    #[test]
    fn an_address_in_a_set_of_the_second_format_is_one_bit() {
        let mut pieces = Pieces::default();
        pieces.set(hash([10, 1, 2], true));
        let bytes = pieces.take();
        let earlier = Set { bytes: &bytes, format: 2 };
        assert!(earlier.may_hold(&address([10, 1, 2])) && !earlier.may_hold(&address([10, 1, 3])));
    }

    #[test]
    fn a_value_is_asked_by_its_type() {
        assert!(text("b/c").is_in(Value::Path(b"/a/b/c")) && text("").is_in(Value::Path(b"")));
        assert!(
            !text("b/d").is_in(Value::Path(b"/a/b/c")) && !text("abc").is_in(Value::Path(b"ab"))
        );
        assert!(text("re").is_in(Value::Label("create")) && text("x").is_in(Value::Number(7)));
        let network = address([10, 1, 2]);
        assert!(network.is_in(Value::Address([10, 1, 2, 9].into())));
        assert!(!network.is_in(Value::Address([10, 1, 3, 9].into())));
        assert!(!network.is_in(Value::Address([0u16; 8].into())));
        assert!(process(7).is_in(Value::Number(7)) && !process(7).is_in(Value::Number(8)));
        assert!(process(-7).is_in(Value::Signed(-7)) && !process(7).is_in(Value::Port(8)));
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
            let part = Part::Text(path[from..to].to_vec());
            prop_assert!(newest(&pieces.take()).may_hold(&needle("file.path", part.clone())));
            prop_assert!(needle("file.path", part).is_in(Value::Path(path)));
        }
    }
}
