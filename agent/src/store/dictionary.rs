//! Distinct texts of a column, numbered in order of appearance.

use std::hash::{BuildHasher, RandomState};

/// Texts in one buffer, found by an open-addressing table of their numbers.
pub(super) struct Dictionary {
    bytes: Vec<u8>,
    ends: Vec<u32>,
    table: Vec<u32>,
    seed: u64,
    /// The number that was asked for last: neighbouring rows often have the same text.
    last: u32,
}

const EMPTY: u32 = u32::MAX;
const FIRST_TABLE: usize = 64;
/// Largest table that is kept for the next block.
const KEPT_TABLE: usize = 1 << 14;

impl Dictionary {
    pub(super) fn new() -> Self {
        // The texts come from containers: a seed that they cannot know keeps the table even.
        let seed = RandomState::new().hash_one(0u8) | 1;
        let table = vec![EMPTY; FIRST_TABLE];
        Self { bytes: Vec::new(), ends: Vec::new(), table, seed, last: EMPTY }
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn texts(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.ends.len()).map(|number| self.text(number))
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn text(&self, number: usize) -> &[u8] {
        let start = number.checked_sub(1).map_or(0, |before| self.ends[before] as usize);
        &self.bytes[start..self.ends[number] as usize]
    }

    /// The number of this text, which is added if it is new.
    pub(super) fn number_of(&mut self, text: &[u8]) -> u32 {
        if self.last == EMPTY || self.text(self.last as usize) != text {
            self.last = self.find_or_add(text);
        }
        self.last
    }

    fn find_or_add(&mut self, text: &[u8]) -> u32 {
        let mut slot = self.slot_of(text);
        let known = self.table[slot];
        if known != EMPTY {
            return known;
        }
        if (self.ends.len() + 1) * 2 > self.table.len() {
            self.grow();
            slot = self.slot_of(text);
        }
        let number = self.ends.len() as u32;
        self.bytes.extend_from_slice(text);
        self.ends.push(self.bytes.len() as u32);
        self.table[slot] = number;
        number
    }

    /// Where this text stands in the table, or the empty slot where it would.
    fn slot_of(&self, text: &[u8]) -> usize {
        let mask = self.table.len() - 1;
        let mut slot = hash(self.seed, text) as usize & mask;
        while self.table[slot] != EMPTY && self.text(self.table[slot] as usize) != text {
            slot = (slot + 1) & mask;
        }
        slot
    }

    fn grow(&mut self) {
        let size = self.table.len() * 2;
        self.table.clear();
        self.table.resize(size, EMPTY);
        for number in 0..self.ends.len() {
            let slot = self.slot_of(self.text(number));
            self.table[slot] = number as u32;
        }
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.table.truncate(KEPT_TABLE);
        self.table.fill(EMPTY);
        self.last = EMPTY;
    }
}

/// Multiply-and-fold over words, good enough for a table that lives for one block.
fn hash(seed: u64, text: &[u8]) -> u64 {
    let mix = |state: u64, word: u64| {
        let wide = u128::from(state ^ word) * 0x9e37_79b9_7f4a_7c15;
        (wide >> 64) as u64 ^ wide as u64
    };
    let (words, rest) = text.as_chunks::<8>();
    let mut state = mix(seed, text.len() as u64);
    for word in words {
        state = mix(state, u64::from_le_bytes(*word));
    }
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    mix(state, u64::from_le_bytes(last))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn equal_texts_share_a_number(texts in proptest::collection::vec("[ab]{0,12}", 0..400)) {
            let mut dictionary = Dictionary::new();
            for round in 0..2 {
                let numbers: Vec<u32> =
                    texts.iter().map(|text| dictionary.number_of(text.as_bytes())).collect();
                for (text, number) in texts.iter().zip(&numbers) {
                    prop_assert_eq!(dictionary.text(*number as usize), text.as_bytes());
                }
                let mut distinct = texts.clone();
                distinct.sort();
                distinct.dedup();
                prop_assert_eq!(dictionary.len(), distinct.len());
                if round == 0 {
                    dictionary.clear();
                }
            }
        }
    }
}
