//! Streams: events that are kept equally long, in segments of their own, so that whole files go.

use plimsoll_ebpf::catalog::CATALOG;

/// Which segments an event goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stream {
    /// Few and worth keeping: programs, connections, alerts.
    Lasting,
    /// Many and soon of little use: files written, processes forked.
    Brief,
}

impl Stream {
    /// Every stream.
    pub const ALL: [Self; 2] = [Self::Lasting, Self::Brief];

    /// How the names of its segments begin.
    pub(super) const fn prefix(self) -> &'static str {
        match self {
            Self::Lasting => "seg-",
            Self::Brief => "brief-",
        }
    }

    /// What it is called.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lasting => "lasting",
            Self::Brief => "brief",
        }
    }
}

/// A segment: its stream, and the number of its first observation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct SegmentId {
    pub(super) first_seq: u64,
    pub(super) stream: Stream,
}

/// Which events are brief, as bits by their place in the catalogue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BriefKinds(u64);

impl BriefKinds {
    /// The events of these names; a name that is none is passed over.
    pub fn named(names: &[impl AsRef<str>]) -> Self {
        let is_named = |name: &str| names.iter().any(|it| it.as_ref() == name);
        let bits = CATALOG.iter().enumerate().filter(|(_, kind)| is_named(kind.name));
        Self(bits.fold(0, |set, (index, _)| set | 1 << index))
    }

    /// Whether there are any.
    pub(super) fn are_none(self) -> bool {
        self.0 == 0
    }

    /// The stream of an event by its place in the catalogue.
    pub(super) fn stream(self, kind: usize) -> Stream {
        if self.0 >> kind & 1 == 1 { Stream::Brief } else { Stream::Lasting }
    }

    /// The stream of an event by its name.
    pub(super) fn stream_of(self, name: &str) -> Stream {
        let kind = CATALOG.iter().position(|kind| kind.name == name);
        kind.map_or(Stream::Lasting, |kind| self.stream(kind))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_goes_where_it_is_named_and_others_last() {
        let brief = BriefKinds::named(&["file_write", "nothing"]);
        assert_eq!(brief.stream_of("file_write"), Stream::Brief);
        assert_eq!(brief.stream_of("exec"), Stream::Lasting);
        assert_eq!(brief.stream_of("of another version"), Stream::Lasting);
        assert_eq!(BriefKinds::named(&["nothing"]), BriefKinds::default());
    }
}
