//! Learns from observations and tells departures: all profiles, and the containers at work.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
};

use plimsoll_ebpf::{
    events::{
        accept::Accept, connect::Connect, container as lifecycle, exec::Exec, exit::Exit,
        fork::Fork, gap::Gap, listen::Listen,
    },
    rules::{Rule, outcome},
    value::address,
};

use super::{
    behaviour::{Scratch, behaviours, is_foreign},
    counts::Counts,
    departure::{Departure, Judged, Looked},
    dimension::{Context, Dimension},
    explain::explain,
    heritage::Look,
    instance::Instance,
    known::{Actor, Known},
    profile::Profile,
    report::{self, Report},
    schedule,
    settings::Settings,
    siblings,
    start::{is_start, tells_readiness},
    subject::Subject,
    survey::{Found, Wish},
};
use crate::{
    attribution::{
        container::Container,
        observation::Observation,
        process::{Origin, Process},
    },
    stable_hash::stable_hash,
};

/// Containers that are remembered after their end, for what they used last.
const MOST_ENDED: usize = 64;

/// See the module.
pub struct Baseline {
    pub(super) known: Known,
    /// Containers at work, by their cgroup.
    pub(super) instances: HashMap<u64, Instance>,
    /// Those that ended last, with their cgroup.
    pub(super) ended: VecDeque<(u64, Instance)>,
    scratch: Scratch,
    pub(super) now_ms: u64,
    /// The profile that is looked at first when some are kept.
    pub(super) next_unsaved: usize,
    /// Images that are to be looked into, and the profiles for which that was asked.
    wishes: Vec<Wish>,
    wished: HashSet<usize>,
    /// By profile, who ran a release last that something is still to be told of: its cgroup too.
    released: HashMap<usize, (u64, Arc<Container>)>,
}

impl Baseline {
    /// Learns from nothing.
    pub fn new(settings: Settings) -> Self {
        let known = Known::new(settings);
        Self {
            known,
            instances: HashMap::new(),
            ended: VecDeque::new(),
            scratch: Scratch::default(),
            now_ms: 0,
            next_unsaved: 0,
            wishes: Vec::new(),
            wished: HashSet::new(),
            released: HashMap::new(),
        }
    }

    /// Goes on with a profile that was kept.
    pub fn restore(&mut self, profile: Profile) {
        self.known.restore(profile);
    }

    /// What an operator set.
    pub fn settings(&self) -> &Settings {
        &self.known.settings
    }

    /// All profiles.
    pub fn profiles(&self) -> &[Profile] {
        &self.known.profiles
    }

    /// All profiles, to change them.
    pub fn profiles_mut(&mut self) -> &mut [Profile] {
        &mut self.known.profiles
    }

    /// The profile of a subject, made where there is none; `None` where there is no room.
    pub fn profile_mut(&mut self, subject: &Subject) -> Option<&mut Profile> {
        let place = self.known.place_of(subject, self.now_ms / 1000)?;
        self.known.profiles.get_mut(place)
    }

    /// What happened that metrics tell of.
    pub fn counts(&self) -> &Counts {
        &self.known.counts
    }

    /// Learns from an observation; returns what departs from what is known, the most telling first.
    pub fn observe(&mut self, observation: &Observation<'_>) -> Judged {
        let header = &observation.record.header;
        let Some(container) = observation.container else { return Judged::default() };
        if header.outcome != outcome::DONE || container.image_digest.is_empty() {
            return Judged::default();
        }
        let now_ms = observation.ts_ns / 1_000_000;
        self.now_ms = self.now_ms.max(now_ms);
        if let Some((event, tail)) = observation.record.read::<lifecycle::Container>() {
            let text = |span| std::str::from_utf8(tail.get(span)).unwrap_or_default();
            self.happened(container, text(event.op), text(event.command), event.exit_code, now_ms);
            return Judged::default();
        }
        let key = header.cgroup_id;
        let met = self.instances.get(&key);
        // What is told late of one that has ended it did before.
        let over = if met.is_some() { None } else { self.ended.iter().position(|it| it.0 == key) };
        if over.is_none() && met.is_none_or(|it| it.is_quiet) {
            let sees_start = is_start(observation);
            // One that was measured before its first program ran starts only now.
            if met.is_none() || sees_start {
                self.meet(key, container, sees_start, now_ms);
            }
        }
        let ended = over.and_then(|place| self.ended.get_mut(place)).map(|(_, it)| it);
        let instance = ended.or_else(|| self.instances.get_mut(&key));
        let Some(instance) = instance else { return Judged::default() };
        instance.is_quiet = false;
        let now_ms = instance.moment(now_ms);
        follow(&mut self.known, instance, observation, now_ms);
        let judged = judge(&mut self.known, instance, &mut self.scratch, observation, now_ms);
        if let Some((connect, _)) = observation.record.read::<Connect>() {
            let is_foreign = observation.process.is_some_and(|it| instance.is_foreign(it));
            instance.contacts.note(observation, &connect, is_foreign || judged.departure.is_some());
        }
        judged
    }

    /// A container that was not met yet; `sees_start` where its first program is what was met.
    pub(super) fn meet(
        &mut self,
        key: u64,
        container: &Arc<Container>,
        sees_start: bool,
        now_ms: u64,
    ) {
        let hash = stable_hash(container.id.as_bytes());
        let mut instance = Instance::new(container.clone(), hash, now_ms, sees_start);
        if !sees_start {
            instance.join_start(&self.known.settings);
        }
        let subjects = [Subject::image_of(container), Subject::service_of(container)];
        instance.members = subjects.map(|subject| self.known.join(&subject?, &instance));
        for place in self.known.reused.drain(..) {
            self.wished.remove(&place);
            self.released.remove(&place);
        }
        if let Some(member) = instance.members[0] {
            self.wish(member.profile, key, container);
        }
        self.instances.insert(key, instance);
    }

    /// Has the image of a container looked into, where that is not known yet.
    fn wish(&mut self, place: usize, key: u64, container: &Arc<Container>) {
        let profile = &self.known.profiles[place];
        let heritage = profile.heritage.as_ref();
        if heritage
            .is_some_and(|it| it.release.ended_s == 0 || it.release.count() > it.release.told)
        {
            self.released.insert(place, (key, container.clone()));
        }
        let is_pending = heritage.is_some_and(|it| it.look == Look::Pending);
        let is_missing = profile.executables.is_none() || profile.schedule.is_none() || is_pending;
        if !is_missing || !self.wished.insert(place) {
            return;
        }
        let (subject, wanted) = (profile.subject.clone(), profile.programs());
        self.wishes.push(Wish { subject, container: container.clone(), wanted });
    }

    /// Images that are to be looked into, since the last call.
    pub fn take_wishes(&mut self) -> Vec<Wish> {
        std::mem::take(&mut self.wishes)
    }

    /// An image was looked into.
    pub fn look_into(&mut self, found: Found) {
        self.known.look_into(found, self.now_ms / 1000);
    }

    /// What is to be told of profiles as a whole.
    pub fn take_reports(&mut self) -> Vec<Report> {
        let Self { known, released, now_ms, .. } = self;
        let mut reports = Vec::new();
        released.retain(|place, (cgroup_id, container)| {
            let Some(profile) = known.profiles.get_mut(*place) else { return false };
            if let Some((count, reason)) =
                report::of_release(profile, *now_ms / 1000, &known.settings)
            {
                let (cgroup_id, container) = (*cgroup_id, container.clone());
                let rule = Rule::ReleaseDiff;
                reports.push(Report { rule, container, cgroup_id, count, reason });
            }
            profile.is_in_release()
        });
        reports.extend(self.deviants());
        reports
    }

    /// Replicas at work that differ from their siblings.
    fn deviants(&mut self) -> Vec<Report> {
        let Self { known, instances, .. } = self;
        let mut reports = Vec::new();
        let grown = known.profiles.iter_mut().filter(|it| it.is_grown);
        for deviant in grown.flat_map(siblings::take_deviants) {
            let its = instances.iter().find(|(_, it)| it.hash == deviant.hash);
            if let Some((cgroup_id, instance)) = its {
                let container = instance.container.clone();
                let (cgroup_id, count, reason) = (*cgroup_id, deviant.count, deviant.reason);
                let rule = Rule::ReplicaDiffers;
                reports.push(Report { rule, container, cgroup_id, count, reason });
            }
        }
        reports
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
        // One that was started again has its id too, and began after what is told late of the first.
        let is_meant = |it: &Instance| it.container.id == container.id && it.start_ms <= now_ms;
        let meant = self.instances.iter().filter(|(_, it)| is_meant(it));
        let Some((&key, _)) = meant.max_by_key(|(_, it)| it.start_ms) else { return };
        match op {
            "health_status" if command == "healthy" => {
                if let Some(instance) = self.instances.get_mut(&key) {
                    instance.is_ready(now_ms, &self.known.settings);
                }
            }
            "die" => {
                let Some(mut instance) = self.instances.remove(&key) else { return };
                // What ends while it starts has started as far as it ever will.
                instance.is_ready(now_ms, &Settings { start_least_s: 0, ..self.known.settings });
                self.known.roll(&mut instance, now_ms);
                self.known.carry(&instance, now_ms);
                for member in instance.members.iter().flatten() {
                    let profile = &mut self.known.profiles[member.profile];
                    profile.good_exits =
                        profile.good_exits.saturating_add(u32::from(exit_code == 0));
                    profile.is_unsaved = true;
                }
                instance.ended_ms = Some(now_ms);
                self.ended.truncate(MOST_ENDED - 1);
                self.ended.push_front((key, instance));
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
            self.known.roll(&mut instance, now_ms);
            if is_there(key) {
                self.instances.insert(key, instance);
            }
        }
        self.known.weigh();
        let ended = self.ended.iter().map(|(_, it)| it);
        let members = self.instances.values().chain(ended).flat_map(|it| &it.members);
        self.known.living = members.flatten().map(|it| it.profile).collect();
        for profile in &mut self.known.profiles {
            profile.advance(now_ms / 1000, &self.known.settings);
        }
    }

    /// The words of a departure.
    pub fn explain(&self, departure: &Departure) -> String {
        if !departure.words.is_empty() {
            return departure.words.clone();
        }
        let Some(profile) = self.known.profiles.get(departure.profile) else {
            return String::new();
        };
        explain(departure, profile, &self.known.settings, self.now_ms / 1000)
    }
}

/// Follows what an observation says of its container: its unit, its use, its readiness.
fn follow(known: &mut Known, instance: &mut Instance, observation: &Observation<'_>, now_ms: u64) {
    let record = &observation.record;
    let process = observation.process.map(|it| &**it);
    known.roll(instance, now_ms);
    let count = u64::from(record.header.count);
    // Health checks come over loopback: that somebody uses the service they do not say.
    let accepted = record
        .read::<Accept>()
        .is_some_and(|(accept, _)| !address(accept.peer).to_canonical().is_loopback());
    let listens = record.read::<Listen>();
    let gap = record.read::<Gap>();
    let is_own =
        accepted || process.is_some_and(|it| matches!(it.origin, Origin::Init | Origin::Unknown));
    for member in instance.members.iter_mut().flatten() {
        let profile = &mut known.profiles[member.profile];
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
        instance.is_ready(now_ms, &known.settings);
    }
    if let Some(process) = process {
        follow_foreign(instance, observation, process, now_ms);
        if record.read::<Exec>().is_some() {
            follow_scheduled(known, instance, process, now_ms);
        }
    }
}

/// Follows the first runs of jobs that the image has its own scheduler do.
fn follow_scheduled(known: &mut Known, instance: &mut Instance, process: &Process, now_ms: u64) {
    if schedule::is_scheduler(process) {
        instance.note_scheduler(process, now_ms);
    }
    let Some(member) = &instance.members[0] else { return };
    let profile = &mut known.profiles[member.profile];
    let Some(schedule) = profile.schedule.as_mut() else { return };
    let is_by_one = schedule::is_by_scheduler(process) || instance.is_by_scheduler(process);
    if is_by_one && schedule.is_first_run(process) {
        profile.is_unsaved = true;
        instance.note_scheduled(process, now_ms);
    }
}

/// Follows which processes run what is not the image's, and what descends from them.
fn follow_foreign(
    instance: &mut Instance,
    observation: &Observation<'_>,
    process: &Process,
    now_ms: u64,
) {
    let record = &observation.record;
    let is_made_by_one = record.read::<Fork>().is_some() && instance.is_foreign(process);
    if is_made_by_one || is_foreign(observation) {
        instance.note_foreign(process, now_ms);
    } else if record.read::<Exit>().is_some() {
        instance.note_exit(process, now_ms);
    }
}

/// Looks each behaviour up, learns or tells it.
fn judge(
    known: &mut Known,
    instance: &mut Instance,
    scratch: &mut Scratch,
    observation: &Observation<'_>,
    now_ms: u64,
) -> Judged {
    let process: Option<&Process> = observation.process.map(|it| &**it);
    let context = instance.context(process, now_ms, &known.settings);
    let is_foreign = process.is_some_and(|it| instance.is_foreign(it));
    let is_scheduled = process.is_some_and(|it| instance.is_scheduled(it, now_ms, &known.settings));
    let peer_name = instance.members[usize::from(Dimension::Peer.is_of_service())]
        .as_ref()
        .and_then(|member| known.meant_peer(observation, member, context));
    let observation = &Observation { peer_name, ..*observation };
    let mut judged = Judged::default();
    let at = instance.occasions(now_ms, &known.settings);
    let Instance { container, members, .. } = instance;
    let actor = Actor { container, is_foreign, is_scheduled };
    let (mut known_ones, mut all) = (0, 0);
    behaviours(observation, context, scratch, &mut |behaviour| {
        let member = usize::from(behaviour.dimension.is_of_service());
        all += 1;
        let Some(member) = members[member].as_mut() else { return true };
        let at = at(context, member.unit_of(context));
        match known.look_up(&behaviour, member, &at, &actor) {
            Looked::Known => known_ones += 1,
            Looked::Open => {}
            Looked::Departs(departure) => judged.departure = Some(*departure),
        }
        judged.departure.is_none()
    });
    judged.is_known = all > 0 && known_ones == all && context == Context::Steady && !is_foreign;
    judged
}
