//! Names that come and go as values of a label, in bounded number.

use std::sync::{Mutex, PoisonError};

/// Names that are shown by themselves; the others are one series together.
const MOST_NAMES: usize = 48;

/// The value that stands for all names which found no room.
pub const OTHER: &str = "other";

/// A bounded roll of names. Each has a place, which it keeps until it goes.
#[derive(Debug, Default)]
pub struct Roll {
    places: Mutex<Vec<Option<String>>>,
}

impl Roll {
    /// Places of any roll: of its names, and the last of all the others.
    pub const PLACES: usize = MOST_NAMES + 1;

    /// The place of a name, and whether it was given to it just now.
    pub(super) fn place(&self, name: &str) -> (usize, bool) {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = places.iter().position(|it| it.as_deref() == Some(name)) {
            return (known, false);
        }
        let free = places.iter().position(Option::is_none);
        match free {
            Some(place) => {
                places[place] = Some(name.to_owned());
                (place, true)
            }
            None if places.len() < MOST_NAMES => {
                places.push(Some(name.to_owned()));
                (places.len() - 1, true)
            }
            None => (MOST_NAMES, false),
        }
    }

    /// Whether a name has a place.
    pub(super) fn knows(&self, name: &str) -> bool {
        let places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        places.iter().any(|it| it.as_deref() == Some(name))
    }

    /// Has every name go that is not among these.
    pub(super) fn keep_only(&self, stays: impl Fn(&str) -> bool) {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        for place in places.iter_mut() {
            if place.as_deref().is_some_and(|name| !stays(name)) {
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
        places.get(place).cloned().flatten()
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
}
