//! Measures containers: what they used is judged and learned, and what is too much departs from what
//! is known.

use std::{fmt::Write as _, hash::BuildHasher as _, net::IpAddr, sync::Arc};

use plimsoll_ebpf::{
    events::volume::Volume as Event,
    layer::code,
    record::{Header, Span},
    rules::Rule,
    value::readable,
};

use super::{
    budget::magnitude,
    contacts::Contact,
    finding::Finding,
    judge::{At, Peer},
    metric::Metric,
    pace::Pace,
};
use crate::{
    attribution::{container::Container, process::Process},
    baseline::{
        departure::Departure,
        dimension::{Context, Dimension},
        explain::{DepartureKind, span},
        instance::Instance,
        known::Known,
        learner::Baseline,
        peer::push_identity,
    },
    volume::usage::Usage,
};

/// Amounts remembered of departures; of more, all are forgotten, and told once more.
const MOST_PEAKS: usize = 4096;

/// What is told of a container that used far too much.
#[derive(Clone, Debug)]
pub struct Excess {
    /// As a departure from what is known.
    pub departure: Departure,
    /// As an event, without its texts.
    pub event: Event,
    /// The peer, as it is known; may be empty.
    pub peer: String,
    /// The name by which it was looked up last.
    pub peer_name: Option<String>,
    /// Whose doing it is, as far as that is known: process and user.
    pub header: Header,
    /// Likewise.
    pub process: Option<Arc<Process>>,
}

/// The process that took most processor time.
#[derive(Clone, Debug)]
pub struct Busy {
    /// Its ids and its user.
    pub header: Header,
    /// What it is.
    pub process: Arc<Process>,
    /// Its part of what its container took, in hundredths.
    pub percent: u64,
}

impl Baseline {
    /// Measures a container. `name_of` tells by which name it looked up an address.
    pub fn measure(
        &mut self,
        container: &Arc<Container>,
        usage: &Usage,
        busy: Option<&Busy>,
        name_of: &dyn Fn(IpAddr) -> Option<String>,
        now_ms: u64,
    ) -> Vec<Excess> {
        if container.image_digest.is_empty() {
            return Vec::new();
        }
        let key = usage.cgroup_id;
        let has_ended = self.ended.iter().any(|(ended, _)| *ended == key);
        if !has_ended && !self.instances.contains_key(&key) {
            // It was there for a whole round, and did nothing that was told: it works without a word, or
            // has not begun yet.
            self.meet(key, container, false, now_ms);
            if let Some(instance) = self.instances.get_mut(&key) {
                instance.is_quiet = true;
            }
        }
        self.now_ms = self.now_ms.max(now_ms);
        let ended = self.ended.iter_mut().find(|(ended, _)| *ended == key);
        let instance = ended.map(|(_, it)| it).or_else(|| self.instances.get_mut(&key));
        let Some(instance) = instance else { return Vec::new() };
        if instance.context(None, now_ms, &self.known.settings) == Context::Start {
            return Vec::new();
        }
        let peers = peers(instance, usage, name_of);
        measure(&mut self.known, instance, usage, &peers, busy, now_ms)
    }
}

fn peers(
    instance: &Instance,
    usage: &Usage,
    name_of: &dyn Fn(IpAddr) -> Option<String>,
) -> Vec<Peer> {
    let peer = |it: &crate::volume::usage::PeerUsage| {
        let contact = instance.contacts.get(it.address);
        let name = contact.and_then(|it| it.name.clone()).or_else(|| name_of(it.address));
        let mut identity = String::new();
        push_identity(&mut identity, it.address, name.as_deref());
        Peer {
            address: it.address,
            identity,
            bytes: [it.sent_bytes, it.received_bytes],
            is_learned: contact.is_none_or(|it| it.is_learned),
        }
    };
    usage.peers.iter().map(peer).collect()
}

fn measure(
    known: &mut Known,
    instance: &mut Instance,
    usage: &Usage,
    peers: &[Peer],
    busy: Option<&Busy>,
    now_ms: u64,
) -> Vec<Excess> {
    // How much is used is the deployment's, not the image's.
    let Some(member) = &instance.members[1] else { return Vec::new() };
    let number = member.profile;
    let pace = Pace::of(&known.settings);
    let profile = &mut known.profiles[number];
    let is_monitored = profile.is_monitored(Dimension::Volume, Context::Steady);
    let at = At { pace: &pace, now_ms, is_monitored };
    let before = (profile.volumes.hours, profile.volumes.destinations.known().count());
    let findings = profile.volumes.take(&mut instance.track, usage, peers, &at);
    let after = (profile.volumes.hours, profile.volumes.destinations.known().count());
    profile.is_unsaved |= before != after;
    let mut excesses: Vec<Excess> = Vec::new();
    for finding in findings {
        let value = finding.value;
        let mut excess = excess(known, instance, number, finding, busy, now_ms);
        known.raise(&mut excess.departure, value);
        let fingerprint = excess.departure.fingerprint;
        if excesses.iter().all(|it| it.departure.fingerprint != fingerprint) {
            known.profiles[number].standing[Dimension::Volume as usize].departures += 1;
            known.counts.departures[Dimension::Volume as usize] += 1;
            excesses.push(excess);
        }
    }
    excesses
}

impl Known {
    /// Makes a departure another one when it is ten times as much as it ever was: the first is not to
    /// hide what follows.
    fn raise(&mut self, departure: &mut Departure, value: u64) {
        if !matches!(departure.rule, Rule::VolumeOut | Rule::VolumeIn) {
            return;
        }
        if self.peaks.len() >= MOST_PEAKS && !self.peaks.contains_key(&departure.fingerprint) {
            self.peaks.clear();
        }
        let peak = self.peaks.entry(departure.fingerprint).or_default();
        *peak = magnitude(value).max(*peak);
        departure.fingerprint = self.hasher.hash_one((departure.fingerprint, *peak));
    }
}

fn excess(
    known: &Known,
    instance: &Instance,
    number: usize,
    finding: Finding,
    busy: Option<&Busy>,
    now_ms: u64,
) -> Excess {
    let profile = &known.profiles[number];
    let age_s = profile.volumes.evidence(now_ms / 1000).age_s;
    let contact = finding.peer.as_ref().and_then(|(address, _)| instance.contacts.get(*address));
    let busy = busy.filter(|_| finding.metric == Metric::Cpu);
    let (header, process) = doer(contact, busy);
    let object = process.as_ref().filter(|_| busy.is_some()).map(|it| &*it.exe);
    let object = String::from_utf8_lossy(object.unwrap_or_default()).into_owned();
    let mut words = finding.words();
    if let Some(busy) = busy {
        let exe = readable(&busy.process.exe);
        let _ = write!(words, " {exe} took {} % of it.", busy.percent);
    }
    let assessment =
        profile.assess(Dimension::Volume, Context::Steady, now_ms / 1000, &known.settings);
    let _ = write!(
        words,
        " Known from {} {} over {}; at most {:.1} such a day were to be expected.",
        profile.volumes.hours,
        if profile.volumes.hours == 1 { "hour" } else { "hours" },
        span(age_s),
        assessment.daily[1],
    );
    let event = event(&finding, contact, age_s);
    let Finding { metric, peer, .. } = finding;
    let key = peer.as_ref().map(|(_, identity)| identity.clone()).unwrap_or_default();
    let fingerprint = known.hasher.hash_one((profile.line(), metric, &key, &object));
    let departure = Departure {
        dimension: Dimension::Volume,
        context: Context::Steady,
        rule: metric.rule(),
        profile: number,
        kind: DepartureKind::New,
        scope: metric.name().to_owned(),
        key: key.clone(),
        object,
        layer: code::UNKNOWN,
        fingerprint,
        words,
    };
    let peer_name = contact.and_then(|it| it.name.clone());
    Excess { departure, event, peer: key, peer_name, header, process }
}

/// Whose doing it is.
fn doer(contact: Option<&Contact>, busy: Option<&Busy>) -> (Header, Option<Arc<Process>>) {
    let known = busy.map(|it| (it.header, Some(it.process.clone())));
    let known = known.or_else(|| contact.map(|it| (it.header, it.process.clone())));
    let (header, process) = known.unwrap_or_default();
    let Header { pid, tid, uid, start_ns, .. } = header;
    (Header { pid, tid, uid, start_ns, ..Header::default() }, process)
}

fn event(finding: &Finding, contact: Option<&Contact>, known_s: u64) -> Event {
    let address = finding.peer.as_ref().map(|(address, _)| match address {
        IpAddr::V4(it) => it.to_ipv6_mapped().octets(),
        IpAddr::V6(it) => it.octets(),
    });
    let (port, protocol) = contact.map(|it| it.socket).unwrap_or_default();
    Event {
        value: finding.value,
        usual: finding.usual,
        high: finding.high,
        span_ms: finding.span_ms,
        known_s,
        address: address.unwrap_or_default(),
        peer: Span::default(),
        port,
        protocol,
        what: finding.metric.code(),
    }
}
