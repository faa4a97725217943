//! Learns from observations and tells departures: all profiles, and the containers at work.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::Arc,
};

use plimsoll_ebpf::{
    events::{accept::Accept, container as lifecycle, exec::Exec, gap::Gap, listen::Listen},
    rules::{Rule, outcome},
    value::address,
};

use super::{
    behaviour::{Behaviour, Learning, Scratch, behaviours, is_foreign},
    counts::Counts,
    dimension::{Context, Dimension},
    entries::Occasion,
    explain::{DepartureKind, explain},
    instance::{Instance, Member},
    learned::Learnt,
    profile::{MOST_BYTES, Profile},
    settings::Settings,
    subject::Subject,
};
use crate::attribution::{
    container::Container,
    observation::Observation,
    process::{Origin, Process},
};

/// Profiles kept at most; containers beyond it are not learned from.
pub const MOST_PROFILES: usize = 512;
/// New behaviours of one dimension that one unit may show before no more of them are learned: it is
/// a flood, or somebody who looks around.
const MOST_FRESH: u32 = 50;
/// The same of the first units, in which everything is new.
const MOST_FRESH_FIRST: u32 = 1000;
/// Units that count as the first.
const FIRST_UNITS: u32 = 3;

/// Something that an image or service was not seen to do, though enough of it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Departure {
    /// What it is about.
    pub dimension: Dimension,
    /// In what context.
    pub context: Context,
    /// The rule that it breaks.
    pub rule: Rule,
    /// Whose profile it departs from.
    pub profile: usize,
    /// Why it is one.
    pub kind: DepartureKind,
    /// Of a path, who wrote it how and where; else empty.
    pub scope: String,
    /// The key, or the path.
    pub key: String,
    /// The program, file or peer, as an exception names it.
    pub object: String,
    /// Code of the layer of a file.
    pub layer: u8,
    /// The same for the same departure of whichever container of the image.
    pub fingerprint: u64,
}

impl Departure {
    /// The whole key.
    pub fn full_key(&self) -> String {
        if self.scope.is_empty() { self.key.clone() } else { format!("{} {}", self.scope, self.key) }
    }
}

/// See the module.
pub struct Baseline {
    settings: Settings,
    profiles: Vec<Profile>,
    places: HashMap<Subject, usize>,
    instances: HashMap<u64, Instance>,
    scratch: Scratch,
    hasher: RandomState,
    /// What happened that metrics tell of.
    pub counts: Counts,
    now_ms: u64,
}

impl Baseline {
    /// Learns from nothing.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            profiles: Vec::new(),
            places: HashMap::new(),
            instances: HashMap::new(),
            scratch: Scratch::default(),
            hasher: RandomState::new(),
            counts: Counts::default(),
            now_ms: 0,
        }
    }

    /// Goes on with a profile that was kept.
    pub fn restore(&mut self, profile: Profile) {
        if self.profiles.len() < MOST_PROFILES && !self.places.contains_key(&profile.subject) {
            self.places.insert(profile.subject.clone(), self.profiles.len());
            self.profiles.push(profile);
        }
    }

    /// What an operator set.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// All profiles.
    pub fn profiles(&self) -> &[Profile] {
        &self.profiles
    }

    /// All profiles, to change them.
    pub fn profiles_mut(&mut self) -> &mut [Profile] {
        &mut self.profiles
    }

    /// Learns from an observation; returns what departs from what is known, the most telling first.
    pub fn observe(&mut self, observation: &Observation<'_>) -> Option<Departure> {
        let header = &observation.record.header;
        let container = observation.container?;
        if header.outcome != outcome::DONE || container.image_digest.is_empty() {
            return None;
        }
        let now_ms = observation.ts_ns / 1_000_000;
        self.now_ms = self.now_ms.max(now_ms);
        if let Some((event, tail)) = observation.record.read::<lifecycle::Container>() {
            let text = |span| std::str::from_utf8(tail.get(span)).unwrap_or_default();
            self.happened(container, text(event.op), text(event.command), event.exit_code, now_ms);
            return None;
        }
        let key = header.cgroup_id;
        if !self.instances.contains_key(&key) {
            self.meet(key, container, observation, now_ms);
        }
        let mut instance = self.instances.remove(&key)?;
        let departure = self.follow(&mut instance, observation, now_ms);
        self.instances.insert(key, instance);
        departure
    }

    /// A container that was not met yet.
    fn meet(
        &mut self,
        key: u64,
        container: &Arc<Container>,
        observation: &Observation<'_>,
        now_ms: u64,
    ) {
        let is_first = observation.process.is_some_and(|process| {
            process.origin == Origin::Init && process.lineage.ancestors.is_empty()
        });
        let sees_start = is_first && observation.record.read::<Exec>().is_some();
        let hash = stable_hash(container.id.as_bytes());
        let mut instance = Instance::new(container.clone(), hash, now_ms, sees_start);
        let subjects = [Subject::image_of(container), Subject::service_of(container)];
        for (member, subject) in instance.members.iter_mut().zip(subjects) {
            *member = subject.and_then(|subject| self.join(subject, container, hash));
        }
        self.instances.insert(key, instance);
    }

    /// A container becomes part of its subject's profile.
    fn join(&mut self, subject: Subject, container: &Container, hash: u64) -> Option<Member> {
        let profile = match self.places.get(&subject) {
            Some(place) => *place,
            None if self.profiles.len() >= MOST_PROFILES => {
                self.counts.refused_profiles += 1;
                return None;
            }
            None => {
                self.places.insert(subject.clone(), self.profiles.len());
                self.profiles.push(Profile::new(subject));
                self.profiles.len() - 1
            }
        };
        let it = &mut self.profiles[profile];
        it.image.clone_from(&container.image);
        it.starts = it.starts.saturating_add(1);
        if let Some(contributor) = it.contributor(hash, &container.id) {
            contributor.starts = contributor.starts.saturating_add(1);
        }
        it.last_unit += 1;
        it.is_unsaved = true;
        Some(Member { profile, start_unit: it.last_unit, ..Member::default() })
    }

    fn follow(
        &mut self,
        instance: &mut Instance,
        observation: &Observation<'_>,
        now_ms: u64,
    ) -> Option<Departure> {
        let record = &observation.record;
        let process = observation.process.map(|it| &**it);
        self.roll(instance, now_ms);
        let count = u64::from(record.header.count);
        let accepted = record.read::<Accept>().is_some();
        let listens = record.read::<Listen>();
        let gap = record.read::<Gap>();
        let is_own = accepted
            || process.is_some_and(|it| matches!(it.origin, Origin::Init | Origin::Unknown));
        for member in instance.members.iter_mut().flatten() {
            let profile = &mut self.profiles[member.profile];
            member.is_active |= is_own;
            if let Some((gap, _)) = gap {
                profile.lost = profile.lost.saturating_add(gap.lost);
                continue;
            }
            profile.seen = profile.seen.saturating_add(count);
            if accepted {
                profile.accepts = profile.accepts.saturating_add(count);
            }
            if let Some((listen, _)) = listens {
                let is_local = address(listen.address).to_canonical().is_loopback();
                profile.has_listener |= listen.protocol == 6 && !is_local && is_own;
            }
        }
        if let Some((listen, _)) = listens
            && is_own
            && tells_readiness(&instance.container, &listen)
        {
            instance.is_ready(now_ms, &self.settings);
        }
        if let Some(process) = process
            && is_foreign(observation)
        {
            instance.note_foreign(process);
        }
        self.judge(instance, observation, now_ms)
    }

    /// Looks each behaviour up, learns or tells it.
    fn judge(
        &mut self,
        instance: &mut Instance,
        observation: &Observation<'_>,
        now_ms: u64,
    ) -> Option<Departure> {
        let process: Option<&Process> = observation.process.map(|it| &**it);
        let context = instance.context(process, now_ms, &self.settings);
        let is_foreign = process.is_some_and(|it| instance.is_foreign(it));
        let mut scratch = std::mem::take(&mut self.scratch);
        let mut found = None;
        behaviours(observation, context, &mut scratch, &mut |behaviour| {
            let member = usize::from(behaviour.dimension.is_of_service());
            let (hash, start_ms) = (instance.hash, instance.start_ms);
            let Some(member) = instance.members[member].as_mut() else { return true };
            let at = Occasion {
                context,
                unit: member.unit_of(context),
                container: hash,
                start_s: start_ms / 1000,
                now_s: now_ms / 1000,
                apart_s: self.settings.apart_s(),
            };
            found = self.look_up(&behaviour, member, &at, is_foreign);
            found.is_none()
        });
        self.scratch = scratch;
        found
    }

    fn look_up(
        &mut self,
        it: &Behaviour<'_>,
        member: &mut Member,
        at: &Occasion,
        is_foreign: bool,
    ) -> Option<Departure> {
        let (dimension, context) = (it.dimension, at.context);
        let profile = &mut self.profiles[member.profile];
        let is_monitored = profile.is_monitored(dimension, context);
        let number = profile.learned[dimension as usize].find(it);
        let entry = number.and_then(|number| profile.learned[dimension as usize].entry(number));
        let vouches = entry.is_some_and(|entry| profile.vouches(entry, context));
        let may_learn = !is_foreign && it.learning != Learning::Never;
        if vouches {
            if let Some(number) = number.filter(|_| may_learn) {
                profile.learned[dimension as usize].record(number, at);
            }
            return None;
        }
        if !is_monitored {
            if may_learn {
                self.learn(it, member, at);
            } else {
                self.counts.unlearnable += 1;
            }
            return None;
        }
        if profile.learned[dimension as usize].is_full {
            return None;
        }
        let kind = match entry {
            Some(entry) if profile.is_doubted(entry) => DepartureKind::OneContainer,
            Some(entry) if entry.seen[Context::Start as usize].units > 0 => {
                DepartureKind::AtStartOnly { starts: entry.seen[Context::Start as usize].units }
            }
            _ => DepartureKind::New,
        };
        profile.standing[dimension as usize].departures += 1;
        self.counts.departures[dimension as usize] += 1;
        let rule = if it.learning == Learning::Shielded { Rule::NewSensitiveWrite } else { dimension.rule() };
        let subject = &profile.subject;
        Some(Departure {
            dimension,
            context,
            rule,
            profile: member.profile,
            kind,
            scope: it.scope.to_owned(),
            key: it.key.to_owned(),
            object: it.object.to_owned(),
            layer: it.layer,
            fingerprint: self.hasher.hash_one((subject, dimension, context, it.scope, it.key)),
        })
    }

    fn learn(&mut self, it: &Behaviour<'_>, member: &mut Member, at: &Occasion) {
        let profile = &mut self.profiles[member.profile];
        let is_first = profile.exposure[at.context as usize].units < FIRST_UNITS;
        let most = if is_first { MOST_FRESH_FIRST } else { MOST_FRESH };
        let fresh = member.fresh_of(at.context, it.dimension);
        if *fresh >= most {
            if *fresh == most {
                *fresh += 1;
                let standing = &mut profile.standing[it.dimension as usize];
                standing.frozen[at.context as usize] += 1;
                profile.is_unsaved = true;
            }
            self.counts.frozen += 1;
            return;
        }
        let room = MOST_BYTES.saturating_sub(profile.bytes());
        match profile.learned[it.dimension as usize].learn(it, at, room) {
            Learnt::Known => {}
            Learnt::New => {
                *fresh += 1;
                profile.is_unsaved = true;
                self.counts.learned[it.dimension as usize] += 1;
            }
            Learnt::Refused => self.counts.refused += 1,
        }
    }

    /// Ends units whose time is over, and a start that is.
    fn roll(&mut self, instance: &mut Instance, now_ms: u64) {
        let unit_ms = self.settings.unit_ms();
        let start_ends_ms = instance.start_ends_ms(&self.settings);
        let saw_start = instance.saw_start();
        let begins_ms = if saw_start { start_ends_ms } else { instance.start_ms };
        let (hash, start_ms) = (instance.hash, instance.start_ms);
        for member in instance.members.iter_mut().flatten() {
            let profile = &mut self.profiles[member.profile];
            let at = |context, unit| Occasion {
                context,
                unit,
                container: hash,
                start_s: start_ms / 1000,
                now_s: now_ms / 1000,
                apart_s: self.settings.apart_s(),
            };
            if saw_start && !member.is_start_counted && now_ms >= start_ends_ms {
                member.is_start_counted = true;
                let at = at(Context::Start, member.start_unit);
                profile.count_unit(&at, &instance.container.id, start_ms / 1000);
            }
            if member.unit_began_ms == 0 {
                profile.last_unit += 1;
                member.unit = profile.last_unit;
                member.unit_began_ms = begins_ms.max(1);
            }
            if now_ms.saturating_sub(member.unit_began_ms) < unit_ms {
                continue;
            }
            if member.is_active {
                let at = at(Context::Steady, member.unit);
                profile.count_unit(&at, &instance.container.id, member.unit_began_ms / 1000);
            }
            profile.last_unit += 1;
            let passed = (now_ms - member.unit_began_ms) / unit_ms;
            *member = Member {
                unit: profile.last_unit,
                unit_began_ms: member.unit_began_ms + passed * unit_ms,
                is_active: false,
                fresh: Default::default(),
                ..*member
            };
        }
    }

    /// Docker tells of a container as a whole.
    fn happened(
        &mut self,
        container: &Container,
        op: &str,
        command: &str,
        exit_code: u32,
        now_ms: u64,
    ) {
        let key = self.instances.iter().find(|(_, it)| it.container.id == container.id);
        let Some(key) = key.map(|(key, _)| *key) else { return };
        match op {
            "health_status" if command == "healthy" => {
                if let Some(instance) = self.instances.get_mut(&key) {
                    instance.is_ready(now_ms, &self.settings);
                }
            }
            "die" => {
                let Some(mut instance) = self.instances.remove(&key) else { return };
                // What ends while it starts has started as far as it ever will.
                instance.is_ready(now_ms, &Settings { start_least_s: 0, ..self.settings });
                self.roll(&mut instance, now_ms);
                for member in instance.members.iter().flatten() {
                    let profile = &mut self.profiles[member.profile];
                    profile.good_exits = profile.good_exits.saturating_add(u32::from(exit_code == 0));
                    profile.is_unsaved = true;
                }
            }
            _ => {}
        }
    }

    /// Lets time pass: ends units, forgets containers that are not among these cgroups, and has
    /// dimensions monitored of which enough is known.
    pub fn tick(&mut self, now_ms: u64, is_there: impl Fn(u64) -> bool) {
        self.now_ms = self.now_ms.max(now_ms);
        let keys: Vec<u64> = self.instances.keys().copied().collect();
        for key in keys {
            let Some(mut instance) = self.instances.remove(&key) else { continue };
            self.roll(&mut instance, now_ms);
            if is_there(key) {
                self.instances.insert(key, instance);
            }
        }
        let now_s = now_ms / 1000;
        for profile in &mut self.profiles {
            profile.advance(now_s, &self.settings);
        }
    }

    /// The words of a departure.
    pub fn explain(&self, departure: &Departure) -> String {
        let Some(profile) = self.profiles.get(departure.profile) else { return String::new() };
        explain(departure, profile, &self.settings, self.now_ms / 1000)
    }

    /// Forgets a profile: what was learned, not that its containers are there.
    pub fn reset(&mut self, place: usize) {
        if let Some(profile) = self.profiles.get_mut(place) {
            profile.reset();
        }
    }
}

/// Whether listening tells that a container has started: on a port of its image, or on any where
/// its image names none.
fn tells_readiness(container: &Container, listen: &Listen) -> bool {
    let port = format!("{}/{}", listen.port, super::peer::protocol(listen.protocol));
    let is_local = address(listen.address).to_canonical().is_loopback();
    !is_local && (container.exposed.is_empty() || container.exposed.contains(&port))
}

/// FNV-1a of 64 bits, the same in every run; never 0.
pub fn stable_hash(bytes: &[u8]) -> u64 {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0100_0000_01b3;
    let hash = bytes.iter().fold(OFFSET, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(PRIME));
    hash.max(1)
}
