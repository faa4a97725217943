//! Which profiles are in memory: of more than there is room for, those that are missed most.

use super::{heritage::Heritage, known::Known, profile::Profile, subject::Subject};

/// Profiles kept at most; beyond it one makes room that was not at work for long, and where there is
/// none, containers are not learned from.
pub const MOST_PROFILES: usize = 512;
/// How long it was not, at least, in seconds: by then what is told of it is settled.
const RESTING_S: u64 = 2 * 3600;

impl Known {
    /// The place of a subject's profile, made where there is none; `None` where there is no room.
    pub fn place_of(&mut self, subject: &Subject, now_s: u64) -> Option<usize> {
        if let Some(place) = self.places.get(subject) {
            return Some(*place);
        }
        let profile = Profile::new(subject.clone());
        let place = if self.profiles.len() < MOST_PROFILES {
            self.profiles.push(profile);
            self.profiles.len() - 1
        } else if let Some(place) = self.resting(now_s) {
            let gone = std::mem::replace(&mut self.profiles[place], profile);
            tracing::info!(subject = %gone.subject, "a profile makes room, its file stays");
            self.places.remove(&gone.subject);
            self.reused.push(place);
            place
        } else {
            self.counts.refused_profiles += 1;
            return None;
        };
        self.places.insert(subject.clone(), place);
        Some(place)
    }

    /// The profile that is missed least: kept on disk, of no container, not at work for long; of those
    /// one that nothing is told of yet, and the one whose work is the longest ago.
    fn resting(&self, now_s: u64) -> Option<usize> {
        let is_resting = |(place, it): &(usize, &Profile)| {
            let rested_s = now_s.saturating_sub(it.worked_s());
            let has_worked = !it.contributors.is_empty();
            let is_told = it.heritage.as_ref().is_none_or(Heritage::is_told);
            let is_kept = has_worked && is_told && !it.is_unsaved;
            is_kept && !self.living.contains(place) && rested_s >= RESTING_S
        };
        let resting = self.profiles.iter().enumerate().filter(is_resting);
        let least = resting.min_by_key(|(_, it)| (it.tells_anything(), it.worked_s()));
        least.map(|(place, _)| place)
    }
}
