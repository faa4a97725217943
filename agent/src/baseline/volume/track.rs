//! A container on its way through windows and minutes.

use std::collections::VecDeque;

use super::judge::Peer;

/// Minutes of which two have to be too much, as bits.
const LATEST: u8 = 0b111;

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Track {
    /// The running minute.
    pub(super) minute: Minute,
    /// Whether the latest minutes were far too much: bytes sent and received, memory, processes.
    above: [u8; 4],
    /// Processor time of the latest windows that all were unusually much.
    pub(super) load: Load,
}

/// What was used in a minute so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Minute {
    /// With whom bytes were exchanged.
    pub(super) peers: Vec<Peer>,
    /// How long it has been, in milliseconds.
    pub(super) span_ms: u64,
    pub(super) sent_bytes: u64,
    pub(super) received_bytes: u64,
    pub(super) memory_bytes: Option<u64>,
    pub(super) pids: Option<u64>,
}

/// A row of windows that all took much processor time.
#[derive(Clone, Debug, Default)]
pub(super) struct Load {
    /// Thousandths of a processor.
    pub(super) windows: VecDeque<u64>,
    /// Whether it was told.
    pub(super) is_told: bool,
}

impl Track {
    /// Notes whether a minute was far too much; returns whether two of the latest three were.
    pub(super) fn note_minute(&mut self, place: usize, is_above: bool) -> bool {
        let Some(above) = self.above.get_mut(place) else { return false };
        *above = (*above << 1 | u8::from(is_above)) & LATEST;
        is_above && above.count_ones() >= 2
    }
}

impl Load {
    /// Whether it is as even as what computes without being asked: its standard deviation is less
    /// than a tenth of its mean. Returns the mean.
    pub(super) fn steady(&self) -> Option<u64> {
        let count = self.windows.len() as f64;
        let mean = self.windows.iter().sum::<u64>() as f64 / count;
        let square = |it: &u64| (*it as f64 - mean).powi(2);
        let deviation = (self.windows.iter().map(square).sum::<f64>() / count).sqrt();
        (deviation < mean / 10.0).then_some(mean as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_of_three_minutes_are_needed() {
        let mut track = Track::default();
        let told: Vec<bool> = [true, false, false, true, false, true, true]
            .into_iter()
            .map(|it| track.note_minute(0, it))
            .collect();
        assert_eq!(told, [false, false, false, false, false, true, true]);
        assert!(!track.note_minute(1, true), "each metric by itself");
    }

    #[test]
    fn a_miner_is_steady_and_a_server_is_not() {
        let load =
            |windows: &[u64]| Load { windows: windows.iter().copied().collect(), is_told: false };
        assert_eq!(load(&[990, 1000, 1010, 1000]).steady(), Some(1000));
        assert_eq!(load(&[600, 1000, 800, 1200]).steady(), None);
        assert_eq!(load(&[]).steady(), None);
    }
}
