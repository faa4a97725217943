//! How far each event is in the segments: what of the log is there already.

use std::collections::HashMap;

use super::block::Header;

/// For each event the number after its last in a segment. Rows of the log are moved in order of
/// their numbers, all of an event at once: those before the mark are in a segment.
#[derive(Debug, Default)]
pub(super) struct Watermarks(HashMap<String, u64>);

impl Watermarks {
    /// Notes a block of a segment.
    pub(super) fn note(&mut self, header: &Header) {
        let end_seq = header.end_seq();
        for kind in &header.kinds {
            match self.0.get_mut(kind) {
                Some(mark) => *mark = (*mark).max(end_seq),
                None => drop(self.0.insert(kind.clone(), end_seq)),
            }
        }
    }

    /// Whether a row is in a segment.
    pub(super) fn hold(&self, kind: Option<&str>, seq: u64) -> bool {
        kind.and_then(|kind| self.0.get(kind)).is_some_and(|mark| seq < *mark)
    }

    /// Whether all rows of a block or frame are in segments.
    pub(super) fn hold_all(&self, header: &Header) -> bool {
        let last = header.end_seq().saturating_sub(1);
        header.kinds.iter().all(|kind| self.hold(Some(kind), last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_event_has_its_own_mark() {
        let header = |kinds: &[&str], first_seq, span| Header {
            kinds: kinds.iter().map(ToString::to_string).collect(),
            first_seq,
            span,
            ..Header::default()
        };
        let mut marks = Watermarks::default();
        marks.note(&header(&["exec"], 0, 10));
        marks.note(&header(&["exec", "connect"], 3, 2));
        assert!(marks.hold(Some("exec"), 9) && !marks.hold(Some("exec"), 10));
        assert!(marks.hold(Some("connect"), 4) && !marks.hold(Some("connect"), 5));
        assert!(!marks.hold(Some("dns"), 0) && !marks.hold(None, 0));
        assert!(marks.hold_all(&header(&["exec"], 8, 2)));
        assert!(!marks.hold_all(&header(&["exec", "connect"], 8, 2)));
    }
}
