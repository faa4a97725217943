//! What images hold, as far as it says how alike two versions are: asked for here, found elsewhere.

use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use super::{schedule::Schedule, subject::Subject};
use crate::{attribution::container::Container, stable_hash::stable_hash};

/// Executables that are kept of an image, as hashes of their paths. Of more, those with the least
/// hashes are kept, which say as much of two images as all would.
const MOST_KEPT: usize = 4096;

/// What a hash takes in a tree, about, in bytes.
const HASH_BYTES: usize = 16;

/// An image that is to be looked into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// Whose profile needs it.
    pub subject: Subject,
    /// A container of the image, which runs.
    pub container: Arc<Container>,
    /// Files that are looked for.
    pub wanted: Vec<String>,
}

impl Wish {
    /// The answer where the image cannot be read.
    pub fn unfulfilled(self) -> Found {
        Found { subject: self.subject, executables: None, gone: HashSet::new(), schedule: None }
    }
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Whose profile needed it.
    pub subject: Subject,
    /// The image's executables; `None` where it could not be read.
    pub executables: Option<Executables>,
    /// Of the files that were looked for, those that it does not have.
    pub gone: HashSet<String>,
    /// What the image has its own scheduler do; `None` where it could not be read.
    pub schedule: Option<Schedule>,
}

/// The executables of an image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Executables {
    hashes: BTreeSet<u64>,
    /// Whether there were no more.
    is_whole: bool,
}

/// The hash of a path. Its order says nothing of the path, so that those with the least are a fair
/// sample.
pub fn hash_of(path: &[u8]) -> u64 {
    // The finalizer of SplitMix64.
    let mixed = [(30, 0xbf58_476d_1ce4_e5b9), (27, 0x94d0_49bb_1331_11eb)];
    let hash = mixed.into_iter().fold(stable_hash(path), |hash, (by, factor): (u32, u64)| {
        (hash ^ hash >> by).wrapping_mul(factor)
    });
    hash ^ hash >> 31
}

impl Executables {
    /// None, to begin with.
    pub fn new() -> Self {
        Self { hashes: BTreeSet::new(), is_whole: true }
    }

    /// Takes in the path of one.
    pub fn insert(&mut self, path: &[u8]) {
        self.hashes.insert(hash_of(path));
        if self.hashes.len() > MOST_KEPT {
            self.hashes.pop_last();
            self.is_whole = false;
        }
    }

    /// There were some that nobody saw.
    pub fn are_not_all(&mut self) {
        self.is_whole = false;
    }

    /// What they take, about, in bytes.
    pub fn bytes(&self) -> usize {
        self.hashes.len() * HASH_BYTES
    }

    /// Up to which hash it is known what there is.
    fn limit(&self) -> u64 {
        let last = self.hashes.last().copied().unwrap_or_default();
        if self.is_whole { u64::MAX } else { last }
    }

    /// The share of those in both of those in either; about, where not all are kept.
    pub fn likeness(&self, other: &Self) -> f64 {
        let limit = self.limit().min(other.limit());
        let known = |it: &&u64| **it <= limit;
        let both = self.hashes.intersection(&other.hashes).filter(known).count();
        let either = self.hashes.union(&other.hashes).filter(known).count();
        if either == 0 { 1.0 } else { both as f64 / either as f64 }
    }

    /// Those that another has not, as hashes of their paths.
    pub fn beyond(&self, other: &Self) -> BTreeSet<u64> {
        let limit = other.limit();
        self.hashes.difference(&other.hashes).filter(|it| **it <= limit).copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(range: std::ops::Range<u32>) -> Executables {
        let mut all = Executables::new();
        range.for_each(|it| all.insert(format!("/usr/bin/program-{it}").as_bytes()));
        all
    }

    #[test]
    fn likeness_is_the_share_of_what_both_have() {
        assert!((of(0..30).likeness(&of(10..40)) - 0.5).abs() < 1e-9);
        assert!((of(0..3).likeness(&of(0..3)) - 1.0).abs() < 1e-9);
        assert!(of(0..3).likeness(&of(3..9)) < 1e-9);
        assert_eq!(of(0..30).beyond(&of(10..40)).len(), 10);
    }

    #[test]
    fn of_large_images_a_sample_says_about_the_same() {
        let likeness = of(0..9000).likeness(&of(3000..12_000));
        assert!((0.45..0.55).contains(&likeness), "{likeness}");
        assert!(of(0..9000).hashes.len() <= MOST_KEPT);
        let (large, larger) = (of(0..9000), of(0..10_000));
        let limit = large.limit();
        assert!(larger.beyond(&large).iter().all(|it| *it <= limit), "the rest nobody knows");
    }
}
