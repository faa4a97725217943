//! The profiles at work: behaviours are looked up in them, learned into them, or told.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
    hash::{BuildHasher, RandomState},
};

use plimsoll_ebpf::rules::Rule;

use super::{
    arguments::templates::print_of,
    behaviour::{Behaviour, Learning},
    counts::Counts,
    departure::{Departure, Looked},
    dimension::{Context, Dimension},
    entries::{ENTRY_BYTES, Occasion},
    explain::DepartureKind,
    instance::{Instance, Member},
    learned::Learnt,
    own_data,
    profile::{MOST_BYTES, Profile},
    schedule,
    settings::Settings,
    shield,
    slots::MOST_PROFILES,
    start::{is_told_at_start, vouches},
    subject::{Subject, is_named, repository},
    survey::Found,
    template::tokens,
};
use crate::attribution::container::Container;

/// What all profiles together take at most, about, in bytes.
const MOST_TOTAL_BYTES: usize = 64 << 20;
/// New behaviours of one dimension that one unit may show before no more of them are learned: it is
/// a flood, or somebody who looks around.
const MOST_FRESH: u32 = 50;
/// The same of the first units, in which everything is new.
const MOST_FRESH_FIRST: u32 = 1000;
/// Units that count as the first.
const FIRST_UNITS: u32 = 3;

/// See the module.
pub struct Known {
    /// What an operator set.
    pub settings: Settings,
    /// All profiles; their places do not change, but that one may be given to another.
    pub profiles: Vec<Profile>,
    /// The places of those that a container is at work of, as they were a moment ago.
    pub(super) living: HashSet<usize>,
    /// Places that were given to another since somebody asked.
    pub(super) reused: Vec<usize>,
    /// What happened that metrics tell of.
    pub counts: Counts,
    pub(super) places: HashMap<Subject, usize>,
    pub(super) hasher: RandomState,
    /// Digits of the largest amounts that were found of each service, metric and peer.
    pub(super) peaks: HashMap<u64, u32>,
    /// What all profiles take, as it was weighed last, and what came since.
    pub(super) total_bytes: usize,
}

/// Who acts, as far as it matters to what is learned.
#[derive(Clone, Copy, Debug)]
pub struct Actor<'c> {
    /// Its container.
    pub container: &'c Container,
    /// Whether its program is not the image's, or an ancestor's.
    pub is_foreign: bool,
    /// Whether it belongs to one of the first runs of a job that the image schedules.
    pub is_scheduled: bool,
}

impl Known {
    /// Nothing.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            profiles: Vec::new(),
            living: HashSet::new(),
            reused: Vec::new(),
            counts: Counts::default(),
            places: HashMap::new(),
            hasher: RandomState::new(),
            peaks: HashMap::new(),
            total_bytes: 0,
        }
    }

    /// Goes on with a profile that was kept.
    pub fn restore(&mut self, profile: Profile) {
        if self.profiles.len() < MOST_PROFILES && !self.places.contains_key(&profile.subject) {
            self.places.insert(profile.subject.clone(), self.profiles.len());
            self.profiles.push(profile);
        }
    }

    /// Weighs what all profiles take.
    pub fn weigh(&mut self) {
        self.total_bytes = self.profiles.iter().map(Profile::bytes).sum();
    }

    /// A container becomes part of its subject's profile.
    pub fn join(&mut self, subject: &Subject, instance: &Instance) -> Option<Member> {
        let (container, sees_start) = (&instance.container, instance.saw_start());
        let is_new = !self.places.contains_key(subject);
        let before = if is_new { self.version_before(subject, &container.image) } else { None };
        let place = self.place_of(subject, instance.start_ms / 1000)?;
        if let Some(before) = before
            && let Ok([profile, before]) = self.profiles.get_disjoint_mut([place, before])
        {
            profile.inherit(before, instance.start_ms / 1000);
            self.total_bytes += profile.bytes();
            tracing::info!(%subject, from = %before.subject, "a new version");
        }
        let profile = &mut self.profiles[place];
        profile.image.clone_from(&container.image);
        if sees_start {
            profile.starts = profile.starts.saturating_add(1);
        }
        let now_s = instance.start_ms / 1000;
        if let Some(contributor) = profile.contributor(instance.hash, container, now_s) {
            contributor.starts = contributor.starts.saturating_add(u32::from(sees_start));
        }
        profile.last_unit += 1;
        profile.is_unsaved = true;
        Some(Member { profile: place, start_unit: profile.last_unit, ..Member::default() })
    }

    /// The version before of an image in its use: of those enough is known of, the one that was at
    /// work last.
    fn version_before(&self, subject: &Subject, image: &str) -> Option<usize> {
        let Subject::Image { variant, .. } = subject else { return None };
        let is_before = |it: &Profile| {
            let is_same_use =
                matches!(&it.subject, Subject::Image { variant: its, .. } if its == variant);
            is_same_use && repository(&it.image) == repository(image) && it.may_bequeath()
        };
        let all =
            self.profiles.iter().enumerate().filter(|(_, it)| is_named(image) && is_before(it));
        let (before, profile) = all.max_by_key(|(_, it)| it.last_s())?;
        let has_room = self.total_bytes + profile.bytes() <= MOST_TOTAL_BYTES;
        has_room.then_some(before)
    }

    /// An image was looked into.
    pub fn look_into(&mut self, found: Found, now_s: u64) {
        let Some(place) = self.places.get(&found.subject).copied() else { return };
        let from = self.profiles[place].heritage.as_ref().map(|it| it.from.clone());
        let before = from.zip(found.subject.variant().map(str::to_owned));
        let before = before.map(|(digest, variant)| Subject::Image { digest, variant });
        let before = before.and_then(|subject| self.places.get(&subject));
        let before = before.and_then(|place| self.profiles[*place].executables.clone());
        self.profiles[place].look_into(found, before.as_ref(), now_s);
    }

    /// Looks a behaviour up: known, it is counted; new, it is learned, or told where enough is known
    /// for that.
    pub fn look_up(
        &mut self,
        it: &Behaviour<'_>,
        member: &mut Member,
        at: &Occasion,
        who: &Actor<'_>,
    ) -> Looked {
        let (dimension, context) = (it.dimension, at.context);
        let profile = &mut self.profiles[member.profile];
        let number = profile.learned[dimension as usize].find(it);
        let entry = number.and_then(|number| profile.learned[dimension as usize].entry(number));
        let actor = at.container;
        let is_monitored = profile.judges(it, context, &self.settings)
            || is_told_at_start(profile, it, entry, context);
        let is_known =
            entry.is_some_and(|entry| vouches(profile, dimension, entry, (context, actor)));
        let is_denied = entry.is_some_and(|entry| entry.is_denied);
        let may_learn = !who.is_foreign && it.learning != Learning::Never;
        let may_add = is_monitored && may_learn && !profile.learned[dimension as usize].is_full;
        let is_addition = may_add && profile.takes_as_addition(it, entry, at);
        let is_first_run = may_add && who.is_scheduled && schedule::is_learned(it);
        if is_known {
            if let Some(number) = number.filter(|_| may_learn) {
                profile.learned[dimension as usize].record(number, at);
            }
            return if is_monitored { Looked::Known } else { Looked::Open };
        }
        if (!is_monitored || is_addition || is_first_run) && !is_denied {
            let learnt = may_learn.then(|| self.learn(it, member, at, is_addition));
            self.counts.unlearnable += u64::from(!may_learn);
            // What a release adds and nobody can learn departs from what was known before, and so does
            // what a job does for which there is no room.
            let is_told = match learnt {
                Some(Learnt::Unfit) => is_monitored,
                Some(Learnt::Refused) => is_first_run && !is_addition,
                Some(Learnt::Known | Learnt::New) | None => false,
            };
            if !is_told {
                return Looked::Open;
            }
            if is_first_run {
                self.profiles[member.profile].learned[dimension as usize].is_full = false;
            }
        }
        let learned = &self.profiles[member.profile].learned[dimension as usize];
        if learned.is_full && !is_denied && it.learning != Learning::Shielded {
            return Looked::Open;
        }
        let moved = learned.find_moved(it).and_then(|number| learned.entry(number));
        let profile = &self.profiles[member.profile];
        let vouches = |entry: &_| vouches(profile, dimension, entry, (context, actor));
        if !is_denied && moved.is_some_and(vouches) {
            return Looked::Known;
        }
        if !is_denied && own_data::is_one_more(profile, it, number, at, who) {
            self.counts.one_more += 1;
            return Looked::Open;
        }
        self.depart(it, member.profile, number, at)
    }

    /// What is to be told of a behaviour that is not known; `number` is that of its entry, if it has
    /// one.
    fn depart(
        &mut self,
        it: &Behaviour<'_>,
        place: usize,
        number: Option<u32>,
        at: &Occasion,
    ) -> Looked {
        let (dimension, context) = (it.dimension, at.context);
        let asked_in = dimension.asked_in(context);
        let profile = &mut self.profiles[place];
        let entry = number.and_then(|number| profile.learned[dimension as usize].entry(number));
        let kind = match entry {
            Some(entry) if entry.is_denied => DepartureKind::Denied,
            Some(entry) if profile.is_doubted(entry, asked_in, at.container) => {
                DepartureKind::OneContainer
            }
            Some(entry) if entry.seen[Context::Start as usize].units > 0 => {
                DepartureKind::AtStartOnly { starts: entry.seen[Context::Start as usize].units }
            }
            _ => DepartureKind::New,
        };
        profile.standing[dimension as usize].departures += 1;
        self.counts.departures[dimension as usize] += 1;
        // What is new at the start and after it is new once.
        let course = if context == Context::Start { Context::Steady } else { context };
        let of = (profile.line(), dimension, course, whose(it), alike(it));
        let fingerprint = self.hasher.hash_one(of);
        Looked::Departs(Box::new(Departure {
            dimension,
            context,
            rule: rule_of(it, context),
            profile: place,
            kind,
            scope: it.scope.to_owned(),
            key: it.key.to_owned(),
            object: it.object.to_owned(),
            layer: it.layer,
            fingerprint,
            words: String::new(),
        }))
    }

    /// Learns a behaviour, which may be what a release adds.
    fn learn(
        &mut self,
        it: &Behaviour<'_>,
        member: &mut Member,
        at: &Occasion,
        is_addition: bool,
    ) -> Learnt {
        let profile = &mut self.profiles[member.profile];
        let is_first = profile.exposure[at.context as usize].units < FIRST_UNITS && !is_addition;
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
            if is_addition {
                profile.note_unlearned();
            }
            return Learnt::Refused;
        }
        let own_room = MOST_BYTES.saturating_sub(profile.bytes());
        let room = own_room.min(MOST_TOTAL_BYTES.saturating_sub(self.total_bytes));
        let learned = &mut profile.learned[it.dimension as usize];
        let was_full = learned.is_full;
        let learnt = learned.learn(it, at, room);
        let needed = ENTRY_BYTES + it.scope.len() + it.key.len();
        if learnt == Learnt::Refused && room < needed && needed <= own_room {
            // All profiles together lack room, and have it again when one goes: there was something
            // new, and no more of it is asked for in this unit.
            learned.is_full = was_full;
            profile.standing[it.dimension as usize].frozen[at.context as usize] += 1;
            *fresh = most + 1;
        }
        if is_addition && matches!(learnt, Learnt::Known | Learnt::New) {
            profile.note_addition(it, at.context, at.now_s);
        }
        match learnt {
            Learnt::Known => {}
            Learnt::New => {
                *fresh += 1;
                profile.is_grown = true;
                self.total_bytes += ENTRY_BYTES + it.scope.len() + it.key.len();
                profile.is_unsaved = true;
                self.counts.learned[it.dimension as usize] += 1;
            }
            Learnt::Unfit | Learnt::Refused => self.counts.refused += 1,
        }
        learnt
    }

    /// Ends units whose time is over, and a start that is.
    pub fn roll(&mut self, instance: &mut Instance, now_ms: u64) {
        let unit_ms = self.settings.unit_ms();
        let start_ends_ms = instance.start_ends_ms(&self.settings);
        let saw_start = instance.saw_start();
        let begins_ms = instance.work_begins_ms(&self.settings);
        let (start_ms, at) = (instance.start_ms, instance.occasions(now_ms, &self.settings));
        for member in instance.members.iter_mut().flatten() {
            let profile = &mut self.profiles[member.profile];
            if saw_start && !member.is_start_counted && now_ms >= start_ends_ms {
                member.is_start_counted = true;
                let at = at(Context::Start, member.start_unit);
                profile.count_unit(&at, &instance.container, start_ms / 1000);
            }
            if member.unit == 0 {
                profile.last_unit += 1;
                member.unit = profile.last_unit;
            }
            if member.unit_began_ms == 0 {
                // As long as it starts nobody knows how long that takes.
                if now_ms < begins_ms {
                    continue;
                }
                member.unit_began_ms = begins_ms.max(1);
            }
            if now_ms.saturating_sub(member.unit_began_ms) < unit_ms {
                continue;
            }
            if member.is_active {
                let at = at(Context::Steady, member.unit);
                profile.count_unit(&at, &instance.container, member.unit_began_ms / 1000);
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

    /// Takes note of the units that a container at its end did not work through: those of several that
    /// live shorter than a unit make a whole one together.
    pub fn carry(&mut self, instance: &Instance, now_ms: u64) {
        let (unit_ms, at) = (self.settings.unit_ms(), instance.occasions(now_ms, &self.settings));
        let has_begun = |it: &&Member| it.unit_began_ms != 0 && it.is_active;
        for member in instance.members.iter().flatten().filter(has_begun) {
            let profile = &mut self.profiles[member.profile];
            profile.carried_ms += now_ms.saturating_sub(member.unit_began_ms);
            if profile.carried_ms < unit_ms {
                continue;
            }
            profile.carried_ms %= unit_ms;
            let at = at(Context::Steady, member.unit);
            profile.count_unit(&at, &instance.container, member.unit_began_ms / 1000);
        }
    }
}

/// The rule that a behaviour breaks which is not known in a context.
fn rule_of(it: &Behaviour<'_>, context: Context) -> Rule {
    if it.learning == Learning::Shielded {
        return Rule::NewSensitiveWrite;
    }
    if it.dimension != Dimension::Process {
        return it.dimension.rule();
    }
    // Whoever enters a container starts a shell.
    if context != Context::Session && shield::is_of_shell(it.key) {
        Rule::NewShell
    } else if shield::is_tool(it.key) {
        Rule::NewTool
    } else if shield::is_discovery(it.key) {
        Rule::Discovery
    } else {
        it.dimension.rule()
    }
}

/// Of a path, who changes it where, whatever the change is: who rotates a file writes, moves and
/// removes it.
fn whose<'k>(it: &Behaviour<'k>) -> (&'k str, &'k str) {
    let place = it.scope.rsplit_once(' ').filter(|_| it.dimension == Dimension::Write);
    place.map_or((it.scope, ""), |(rest, place)| {
        (rest.rsplit_once(' ').map_or(rest, |(writer, _)| writer), place)
    })
}

/// What stands for a behaviour and those that are like it: of many files whose names differ in
/// numbers the first is told, and the others are counted.
fn alike<'k>(it: &Behaviour<'k>) -> Cow<'k, str> {
    match (it.dimension, it.learning) {
        (Dimension::Write, Learning::AsTemplate) => Cow::Owned(tokens::shape(it.key)),
        (Dimension::Arguments, _) => Cow::Owned(print_of(it.key)),
        _ => Cow::Borrowed(it.key),
    }
}
