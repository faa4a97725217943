//! What a container used is compared with what is known of its service, and becomes part of it.

use std::net::IpAddr;

use super::{
    budget::TIMES,
    destinations::{Occasion, TooMuch},
    finding::{Finding, How},
    known::{FIRST_HOURS, Volumes},
    metric::Metric,
    pace::Pace,
    sketch::{Sketches, Usual},
    track::{Minute, Track},
};
use crate::volume::usage::Usage;

/// Peers of one minute among which the one with most bytes is looked for.
const MOST_PEERS: usize = 64;

/// What was exchanged with a peer.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    pub(super) address: IpAddr,
    /// The name it was looked up by, else its address.
    pub(super) identity: String,
    /// Bytes sent and received.
    pub(super) bytes: [u64; 2],
    /// Whether who addressed it is learned from.
    pub(super) is_learned: bool,
}

/// When something is judged, and how.
#[derive(Clone, Copy, Debug)]
pub(super) struct At<'p> {
    pub(super) pace: &'p Pace,
    pub(super) now_ms: u64,
    /// Whether what is too much is told, and not learned.
    pub(super) is_monitored: bool,
}

impl Volumes {
    /// Judges what a container used, the most telling first, and learns from it. While it is learned,
    /// what would have been told is only counted.
    pub(super) fn take(
        &mut self,
        track: &mut Track,
        usage: &Usage,
        peers: &[Peer],
        at: &At<'_>,
    ) -> Vec<Finding> {
        track.minute.add(usage, peers);
        let largest = [0, 1].map(|place| largest(&track.minute.peers, place));
        let mut findings = self.take_bursts(usage, peers, at);
        findings.extend(self.take_load(track, usage, at));
        findings.extend(self.take_minute(track, &largest, at));
        findings.extend(self.take_hours(usage, &largest, at));
        findings.extend(self.take_peers(peers, at));
        self.pass(at.now_ms, !at.is_monitored, at.pace);
        if at.is_monitored {
            return findings;
        }
        self.is_novel |= !findings.is_empty() && self.hours >= FIRST_HOURS;
        Vec::new()
    }

    fn take_bursts(&mut self, usage: &Usage, peers: &[Peer], at: &At<'_>) -> Vec<Finding> {
        let mut findings = Vec::new();
        for (place, metric) in [Metric::Out, Metric::In].into_iter().enumerate() {
            let bytes = [usage.sent_bytes, usage.received_bytes][place];
            let amount = by_span(bytes, usage.span_ms, at.pace.window_ms);
            let Some(sketches) = self.windows(metric) else { continue };
            let usual = sketches.usual();
            let is_burst = usual.is_known()
                && amount >= metric.window_floor()
                && amount > usual.most.saturating_mul(TIMES);
            // As much as would be too much of a minute: it may become one.
            let share = at.pace.minute_ms.div_ceil(at.pace.window_ms);
            let is_much = usual.is_known()
                && amount >= metric.minute_floor() / share
                && amount > usual.threshold();
            insert(sketches, amount, (is_burst || is_much) && at.is_monitored, &usual);
            if is_burst {
                let finding = Finding::of(metric, How::Burst, bytes, &usual, usage.span_ms);
                findings.push(finding.with_peer(largest(peers, place)));
            }
        }
        findings
    }

    /// Windows that take unusually much wait until it is known whether they are a steady load: else
    /// that would be usual before it is one.
    fn take_load(&mut self, track: &mut Track, usage: &Usage, at: &At<'_>) -> Option<Finding> {
        let load = &mut track.load;
        let used = usage.cpu_ns? / usage.span_ms.max(1) / 1000;
        let sketches = self.windows(Metric::Cpu)?;
        let usual = sketches.usual();
        let is_high = usual.is_known() && used > usual.high && used >= Metric::Cpu.window_floor();
        if !is_high {
            let bound = if load.is_long { usual.high } else { usual.threshold() };
            for waiting in load.windows.drain(..).chain([used]) {
                insert(sketches, waiting, at.is_monitored && waiting > bound, &usual);
            }
            (load.is_told, load.is_long) = (false, false);
            return None;
        }
        load.windows.push_back(used);
        if load.windows.len() < at.pace.load_windows {
            return None;
        }
        let mean = load.steady().filter(|_| !load.is_told);
        load.is_told |= mean.is_some();
        // Who computes for so long is not to become usual by being restless at first.
        load.is_long = true;
        let oldest = load.windows.pop_front()?;
        insert(sketches, oldest, at.is_monitored, &usual);
        let span_ms = at.pace.window_ms.saturating_mul(at.pace.load_windows as u64);
        Some(Finding::of(Metric::Cpu, How::Load, mean?, &usual, span_ms))
    }

    fn take_minute(
        &mut self,
        track: &mut Track,
        largest: &[Option<(IpAddr, String)>; 2],
        at: &At<'_>,
    ) -> Vec<Finding> {
        // Windows are seldom exactly as long as they should be.
        if track.minute.span_ms + at.pace.window_ms / 2 < at.pace.minute_ms {
            return Vec::new();
        }
        let minute = std::mem::take(&mut track.minute);
        let bytes = |it: u64| Some(by_span(it, minute.span_ms, at.pace.minute_ms));
        let amounts = [
            (Metric::Out, bytes(minute.sent_bytes)),
            (Metric::In, bytes(minute.received_bytes)),
            (Metric::Memory, minute.memory_bytes),
            (Metric::Pids, minute.pids),
        ];
        let mut findings = Vec::new();
        for (place, (metric, amount)) in amounts.into_iter().enumerate() {
            let (Some(amount), Some(sketches)) = (amount, self.minutes(metric)) else { continue };
            let usual = sketches.usual();
            let is_above =
                usual.is_known() && amount >= metric.minute_floor() && amount > usual.threshold();
            insert(sketches, amount, is_above && at.is_monitored, &usual);
            if track.note_minute(place, is_above) {
                let finding = Finding::of(metric, How::Minutes, amount, &usual, minute.span_ms);
                findings.push(finding.with_peer(largest.get(place).cloned().flatten()));
            }
        }
        findings
    }

    fn take_hours(
        &mut self,
        usage: &Usage,
        largest: &[Option<(IpAddr, String)>; 2],
        at: &At<'_>,
    ) -> Vec<Finding> {
        let bytes = [usage.sent_bytes, usage.received_bytes];
        let mut findings = Vec::new();
        for (place, metric) in [Metric::Out, Metric::In].into_iter().enumerate() {
            let budget = &mut self.budgets[place];
            if budget.add(bytes[place], metric.hour_floor()) {
                let finding = hour(metric, How::Hour, budget.running, budget.largest, at);
                findings.push(finding.with_peer(largest[place].clone()));
            }
        }
        findings
    }

    fn take_peers(&mut self, peers: &[Peer], at: &At<'_>) -> Vec<Finding> {
        let mut findings = Vec::new();
        for peer in peers {
            let may_learn = peer.is_learned && !at.is_monitored;
            let Pace { hour_ms, day_ms, .. } = *at.pace;
            let occasion = Occasion { now_ms: at.now_ms, hour_ms, day_ms, may_learn };
            let too_much = self.destinations.add(&peer.identity, peer.bytes, &occasion);
            for (metric, too_much) in [Metric::Out, Metric::In].into_iter().zip(too_much) {
                let finding = match too_much {
                    None => continue,
                    Some(TooMuch::Hour(running, largest)) => {
                        hour(metric, How::PeerHour, running, largest, at)
                    }
                    Some(TooMuch::Unknown(bytes)) => Finding {
                        span_ms: at.pace.day_ms,
                        ..hour(metric, How::UnknownPeer, bytes, 0, at)
                    },
                };
                findings.push(finding.with_peer(Some((peer.address, peer.identity.clone()))));
            }
        }
        findings
    }
}

impl Minute {
    fn add(&mut self, usage: &Usage, peers: &[Peer]) {
        for peer in peers {
            let known = self.peers.iter_mut().find(|it| it.address == peer.address);
            if let Some(known) = known {
                for (sum, bytes) in known.bytes.iter_mut().zip(peer.bytes) {
                    *sum = sum.saturating_add(bytes);
                }
            } else if self.peers.len() < MOST_PEERS {
                self.peers.push(peer.clone());
            }
        }
        self.span_ms = self.span_ms.saturating_add(usage.span_ms);
        self.sent_bytes = self.sent_bytes.saturating_add(usage.sent_bytes);
        self.received_bytes = self.received_bytes.saturating_add(usage.received_bytes);
        self.memory_bytes = usage.memory_bytes.or(self.memory_bytes);
        self.pids = usage.pids.or(self.pids);
    }
}

/// Bytes as they would be in a span of the usual length, where theirs was longer.
fn by_span(bytes: u64, span_ms: u64, usual_ms: u64) -> u64 {
    if span_ms <= usual_ms {
        return bytes;
    }
    let scaled = u128::from(bytes) * u128::from(usual_ms) / u128::from(span_ms);
    u64::try_from(scaled).unwrap_or(u64::MAX)
}

fn insert(sketches: &mut Sketches, amount: u64, is_clipped: bool, usual: &Usual) {
    sketches.insert(if is_clipped { amount.min(usual.clip) } else { amount });
}

fn hour(metric: Metric, how: How, value: u64, largest: u64, at: &At<'_>) -> Finding {
    let span_ms = at.pace.hour_ms;
    Finding { metric, how, value, usual: 0, high: largest, span_ms, peer: None }
}

/// The peer with most bytes of a direction.
fn largest(peers: &[Peer], place: usize) -> Option<(IpAddr, String)> {
    let bytes = |it: &Peer| it.bytes.get(place).copied().unwrap_or_default();
    let most = peers.iter().max_by_key(|it| bytes(it)).filter(|it| bytes(it) > 0)?;
    Some((most.address, most.identity.clone()))
}
