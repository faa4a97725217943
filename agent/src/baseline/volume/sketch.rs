//! Amounts as counts of logarithmic bins (`DDSketch`, Masson et al. 2019): every quantile is known to
//! within a twentieth, and two of them are joined without loss.

use serde::{Deserialize, Serialize};

/// How far a bin's ends lie apart, as a factor: what is known is exact to (GAMMA - 1) / (GAMMA + 1).
const GAMMA: f64 = 1.105;
/// Amounts that are known before any is judged.
const LEAST_KNOWN: u64 = 30;

/// The quantiles that are told, in rising order.
const SHARES: [f64; 5] = [0.25, 0.5, 0.75, 0.995, 0.999];

/// One week of amounts. There are at most 445 bins.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sketch {
    /// Amounts of 0.
    zeros: u32,
    /// Number and count of each bin that holds any, in rising order.
    bins: Vec<(u16, u32)>,
    /// The largest amount.
    most: u64,
}

/// What is usual, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usual {
    /// How many amounts that is from.
    pub count: u64,
    /// Half were less.
    pub median: u64,
    /// 99.5 % were no more.
    pub high: u64,
    /// As this are amounts remembered that were far too large.
    pub clip: u64,
    /// The largest.
    pub most: u64,
    /// A quarter was less.
    lower: u64,
    /// Three quarters were less.
    upper: u64,
}

/// Two weeks of amounts: the running one and the one before.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sketches {
    now: Sketch,
    before: Sketch,
}

/// The bin of an amount above 0.
fn bin_of(amount: u64) -> u16 {
    ((amount as f64).ln() / GAMMA.ln()).ceil() as u16
}

/// The upper end of a bin.
fn end_of(bin: u16) -> u64 {
    GAMMA.powi(i32::from(bin)) as u64
}

impl Sketch {
    fn insert(&mut self, amount: u64) {
        self.most = self.most.max(amount);
        if amount == 0 {
            self.zeros = self.zeros.saturating_add(1);
            return;
        }
        let bin = bin_of(amount);
        match self.bins.binary_search_by_key(&bin, |(bin, _)| *bin) {
            Ok(at) => self.bins[at].1 = self.bins[at].1.saturating_add(1),
            Err(at) => self.bins.insert(at, (bin, 1)),
        }
    }
}

impl Sketches {
    /// Remembers an amount.
    pub fn insert(&mut self, amount: u64) {
        self.now.insert(amount);
    }

    /// A week is over.
    pub fn rotate(&mut self) {
        self.before = std::mem::take(&mut self.now);
    }

    /// What both weeks say.
    pub fn usual(&self) -> Usual {
        let zeros = u64::from(self.now.zeros) + u64::from(self.before.zeros);
        let mut bins: Vec<(u16, u32)> = [&*self.now.bins, &*self.before.bins].concat();
        // Two rows in order, which this sort joins.
        bins.sort_by_key(|(bin, _)| *bin);
        let count = zeros + bins.iter().map(|(_, count)| u64::from(*count)).sum::<u64>();
        let most = self.now.most.max(self.before.most);
        let mut quantiles = [0; SHARES.len()];
        let (mut seen, mut end, mut bins) = (zeros, 0, bins.into_iter());
        for (quantile, share) in quantiles.iter_mut().zip(SHARES) {
            let rank = (share * count as f64).ceil() as u64;
            while seen < rank
                && let Some((bin, count)) = bins.next()
            {
                seen += u64::from(count);
                end = end_of(bin).min(most);
            }
            *quantile = end;
        }
        let [lower, median, upper, high, clip] = quantiles;
        Usual { count, median, high, clip, most, lower, upper }
    }

    /// What it takes, about, in bytes.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + (self.now.bins.len() + self.before.bins.len()) * size_of::<(u16, u32)>()
    }
}

impl Usual {
    /// Whether enough is known for anything to be unusual.
    pub fn is_known(&self) -> bool {
        self.count >= LEAST_KNOWN
    }

    /// What is far too much: the high quantile, and beyond it as much as the middle half spreads; at
    /// least twice and at most ten times the quantile, so that neither the even nor the restless
    /// escape.
    pub fn threshold(&self) -> u64 {
        let above = |amount: u64| amount.saturating_add(1) as f64;
        let spread = (above(self.upper) / above(self.lower)).clamp(2.0, 10.0);
        (above(self.high) * spread) as u64
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(amounts: impl IntoIterator<Item = u64>) -> Sketches {
        let mut sketches = Sketches::default();
        amounts.into_iter().for_each(|it| sketches.insert(it));
        sketches
    }

    #[test]
    fn quantiles_are_exact_to_a_twentieth() {
        let usual = of(1..=10_000).usual();
        for (told, exact) in [(usual.median, 5000.0), (usual.high, 9950.0), (usual.lower, 2500.0)] {
            let off = told as f64 / exact;
            assert!((0.9..1.11).contains(&off), "{told} for {exact}");
        }
        assert_eq!((usual.count, usual.most), (10_000, 10_000));
    }

    #[test]
    fn the_even_and_the_restless_both_have_a_threshold() {
        let even = of(std::iter::repeat_n(1000, 100)).usual();
        assert!((1900..2200).contains(&even.threshold()), "{}", even.threshold());
        let restless = of((0..100).map(|it| if it % 2 == 0 { 0 } else { 1000 })).usual();
        assert!((9000..11_000).contains(&restless.threshold()), "{}", restless.threshold());
        let idle = of(std::iter::repeat_n(0, 100)).usual();
        assert_eq!((idle.high, idle.threshold()), (0, 2));
        assert!(!of([7; 29]).usual().is_known() && of([7; 30]).usual().is_known());
    }

    #[test]
    fn what_is_two_weeks_old_is_forgotten() {
        let mut sketches = of([1000; 50]);
        sketches.rotate();
        sketches.insert(10);
        assert_eq!(sketches.usual().count, 51);
        sketches.rotate();
        assert_eq!((sketches.usual().count, sketches.usual().most), (1, 10));
    }

    proptest! {
        #[test]
        fn no_amount_is_told_as_less_than_it_is(amounts in proptest::collection::vec(any::<u64>(), 1..200)) {
            let most = amounts.iter().copied().max().unwrap_or_default();
            let sketches = of(amounts);
            let usual = sketches.usual();
            prop_assert_eq!(usual.most, most);
            prop_assert!(usual.lower <= usual.median && usual.median <= usual.upper);
            prop_assert!(usual.upper <= usual.high && usual.high <= usual.clip);
            prop_assert!(sketches.bytes() <= 445 * 8 + size_of::<Sketches>());
        }
    }
}
