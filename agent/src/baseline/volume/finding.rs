//! Something of which far too much was used, and its words.

use std::{fmt::Write as _, net::IpAddr};

use plimsoll_ebpf::value::readable;

use super::{metric::Metric, sketch::Usual};
use crate::baseline::explain::span;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Of what.
    pub metric: Metric,
    /// By what measure.
    pub how: How,
    /// How much it was.
    pub value: u64,
    /// The median of what is known, or 0.
    pub usual: u64,
    /// What is seldom or never exceeded.
    pub high: u64,
    /// In what time, in milliseconds.
    pub span_ms: u64,
    /// The peer that most of it went to or came from, and under which name it is kept.
    pub peer: Option<(IpAddr, String)>,
}

/// By what measure it is far too much.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum How {
    /// One window is several times the largest.
    Burst,
    /// Two of three minutes are beyond what is usual.
    Minutes,
    /// Many windows in a row are, and all the same.
    Load,
    /// An hour is several times the largest.
    Hour,
    /// The same with one peer.
    PeerHour,
    /// A peer was not known.
    UnknownPeer,
}

impl Finding {
    /// What was found of a metric beside what is usual of it.
    pub fn of(metric: Metric, how: How, value: u64, usual: &Usual, span_ms: u64) -> Self {
        let high = if how == How::Burst { usual.most } else { usual.high };
        Self { metric, how, value, usual: usual.median, high, span_ms, peer: None }
    }

    /// The same, of which most went to or came from a peer.
    #[must_use]
    pub fn with_peer(self, peer: Option<(IpAddr, String)>) -> Self {
        Self { peer, ..self }
    }

    /// How much it was and what is usual, in words.
    pub fn words(&self) -> String {
        let shown = |amount| self.metric.shown(amount);
        let (value, usual, high) = (shown(self.value), shown(self.usual), shown(self.high));
        let time = time(self.span_ms);
        let mut text = match self.how {
            How::Burst => {
                format!("It was {value} in {time}; usual is {usual}, and the most was {high}.")
            }
            How::Minutes => format!(
                "It was {value} in {time}, for the second of three such times; usual is {usual}, \
                 and 99.5 % were at most {high}."
            ),
            How::Load => format!(
                "It was {value} on average for {time} and hardly varied; usual is {usual}, and \
                 99.5 % were at most {high}."
            ),
            How::Hour | How::PeerHour => {
                format!("It was {value} within {time}; the most in as long a time was {high}.")
            }
            How::UnknownPeer => {
                format!("It was {value} within {time}, to a peer that was not learned.")
            }
        };
        if let Some((_, peer)) = &self.peer {
            let peer = readable(peer.as_bytes());
            let _ = match (self.how, self.metric) {
                (How::UnknownPeer | How::PeerHour, _) => write!(text, " The peer is {peer}."),
                (_, Metric::In) => write!(text, " Most came from {peer}."),
                _ => write!(text, " Most went to {peer}."),
            };
        }
        text
    }
}

/// A time in words; a short one with its tenths.
fn time(ms: u64) -> String {
    if ms < 10_000 { format!("{}.{} s", ms / 1000, ms % 1000 / 100) } else { span(ms / 1000) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_tell_how_much_how_long_and_what_is_usual() {
        let finding = Finding {
            metric: Metric::Out,
            how: How::Burst,
            value: 209_715_200,
            usual: 3100,
            high: 9000,
            span_ms: 10_000,
            peer: Some((IpAddr::from([10, 0, 0, 9]), "evil.example".to_owned())),
        };
        assert_eq!(
            finding.words(),
            "It was 209.7 MB in 10 s; usual is 3.1 kB, and the most was 9.0 kB. \
             Most went to evil.example."
        );
        let slow = Finding { how: How::UnknownPeer, span_ms: 500, ..finding };
        assert!(slow.words().starts_with("It was 209.7 MB within 0.5 s, to a peer that was"));
    }
}
