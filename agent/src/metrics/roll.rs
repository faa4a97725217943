//! Names that come and go as values of a label, in bounded number.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Names that are shown by themselves; the others are one series together.
const MOST_NAMES: usize = 48;

/// The value that stands for all names which found no room.
pub const OTHER: &str = "other";

/// How long a counter of a name that is gone is still shown: it may have been counted after the last
/// look at it, and whoever looks needs several.
const KEPT: Duration = Duration::from_mins(10);

/// A bounded roll of names. Each has a place, which it keeps until it goes.
#[derive(Debug, Default)]
pub struct Roll {
    places: Mutex<Vec<Option<Place>>>,
}

#[derive(Debug)]
struct Place {
    name: String,
    /// Since when nothing has this name.
    gone: Option<Instant>,
}

impl Roll {
    /// Places of any roll: of its names, and the last of all the others.
    pub const PLACES: usize = MOST_NAMES + 1;

    /// The place of a name, and whether it was given to it just now. Where there is no room, the one
    /// that has been gone for longest makes it.
    pub(super) fn place(&self, name: &str) -> (usize, bool) {
        if name == OTHER {
            return (MOST_NAMES, false);
        }
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let is_it = |it: &Option<Place>| it.as_ref().is_some_and(|it| it.name == name);
        if let Some(known) = places.iter().position(is_it) {
            return (known, false);
        }
        let gone = |it: &Option<Place>| it.as_ref().and_then(|it| it.gone);
        let longest = || {
            let gone = places.iter().enumerate().filter_map(|(at, it)| Some((gone(it)?, at)));
            gone.min().map(|(_, at)| at)
        };
        let place = Some(Place { name: name.to_owned(), gone: None });
        match places.iter().position(Option::is_none) {
            None if places.len() < MOST_NAMES => {
                places.push(place);
                (places.len() - 1, true)
            }
            free => match free.or_else(longest) {
                Some(at) => {
                    places[at] = place;
                    (at, true)
                }
                None => (MOST_NAMES, false),
            },
        }
    }

    /// Whether a name has a place.
    pub(super) fn knows(&self, name: &str) -> bool {
        let places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        places.iter().flatten().any(|it| it.name == name)
    }

    /// Has every name go that is not among these.
    pub(super) fn keep_only(&self, stays: impl Fn(&str) -> bool) {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        for place in places.iter_mut() {
            if place.as_ref().is_some_and(|it| !stays(&it.name)) {
                *place = None;
            }
        }
    }

    /// The same, but after a while.
    pub(super) fn keep_for_a_while(&self, now: Instant, stays: impl Fn(&str) -> bool) {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        for place in places.iter_mut() {
            let Some(it) = place else { continue };
            if stays(&it.name) {
                it.gone = None;
            } else if now.saturating_duration_since(*it.gone.get_or_insert(now)) > KEPT {
                *place = None;
            }
        }
    }

    /// The name at a place, if it is one.
    pub(super) fn name_at(&self, place: usize) -> Option<String> {
        if place == MOST_NAMES {
            return Some(OTHER.to_owned());
        }
        let places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        places.get(place)?.as_ref().map(|it| it.name.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_keeps_its_place_until_it_goes() {
        let roll = Roll::default();
        assert_eq!((roll.place("a"), roll.place("b")), ((0, true), (1, true)));
        assert_eq!(roll.place("a"), (0, false));
        roll.keep_only(|name| name == "b");
        assert_eq!((roll.name_at(0), roll.name_at(1)), (None, Some("b".to_owned())));
        assert_eq!(roll.place("c"), (0, true));
    }

    #[test]
    fn what_finds_no_room_is_among_the_others() {
        let roll = Roll::default();
        for number in 0..MOST_NAMES {
            assert!(roll.place(&number.to_string()).1);
        }
        assert_eq!(roll.place("more"), (MOST_NAMES, false));
        assert_eq!(roll.name_at(MOST_NAMES).as_deref(), Some(OTHER));
    }

    #[test]
    fn a_counter_outlives_its_name_for_a_while_unless_the_place_is_needed() {
        let (roll, start) = (Roll::default(), crate::clock::instant());
        let knows = |roll: &Roll| ["a", "b"].map(|it| roll.knows(it));
        roll.place("a");
        roll.place("b");
        roll.keep_for_a_while(start, |name| name == "b");
        roll.keep_for_a_while(start + KEPT, |name| name == "b");
        assert_eq!(knows(&roll), [true, true]);
        roll.keep_for_a_while(start + 2 * KEPT, |name| name == "b");
        assert_eq!(knows(&roll), [false, true]);
        roll.keep_for_a_while(start + 2 * KEPT, |_| false);
        for number in 0..MOST_NAMES {
            roll.place(&number.to_string());
        }
        assert_eq!(knows(&roll), [false, false]);
        assert_eq!(roll.place(OTHER), (MOST_NAMES, false), "whoever is called so");
    }
}
