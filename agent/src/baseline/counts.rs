//! What happened while learning, in numbers.

use super::dimension::Dimension;

/// See the module; all count from the agent's start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Behaviours that were learned, by dimension.
    pub learned: [u64; Dimension::ALL.len()],
    /// Departures, by dimension.
    pub departures: [u64; Dimension::ALL.len()],
    /// Acts that are never learned: of foreign programs, with tools, in doubtful ways.
    pub unlearnable: u64,
    /// Changes that are not told: one more file among those that a program keeps in a volume.
    pub one_more: u64,
    /// Behaviours that found no room in their profile.
    pub refused: u64,
    /// Behaviours that came in a flood and were not learned for that.
    pub frozen: u64,
    /// Containers for which no profile was made, because there are too many.
    pub refused_profiles: u64,
}
