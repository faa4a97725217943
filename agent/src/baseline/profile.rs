//! The profile of a subject: what was learned in each dimension, and from how much.

use serde::{Deserialize, Serialize};

use super::{
    arguments::templates::Pace,
    behaviour::Behaviour,
    convergence::{Assessment, Evidence, State, assess},
    dimension::{Context, Dimension},
    entries::{ENTRY_BYTES, Entry, Occasion},
    heritage::Heritage,
    learned::{Learned, MOST_KEY},
    schedule::Schedule,
    settings::{DAY_S, LEAST_STARTS, Settings},
    subject::Subject,
    survey::Executables,
    volume::known::Volumes,
};
use crate::{attribution::container::Container, stable_hash::stable_hash};

/// What a profile takes at most, in bytes.
pub const MOST_BYTES: usize = 2 << 20;
/// Containers remembered of a profile.
pub const MOST_CONTRIBUTORS: usize = 64;
/// Runs of a batch image that ended well, at least.
const LEAST_EXITS: u32 = 5;

/// Units of a context.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exposure {
    /// Those that were whole.
    pub units: u32,
    /// When the first began, in seconds since the Unix epoch; 0 before.
    pub first_s: u64,
    /// When the latest was whole, likewise.
    #[serde(default)]
    pub last_s: u64,
}

/// A container that was learned from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contributor {
    /// Hash of its id.
    pub hash: u64,
    /// The first digits of its id.
    pub id: String,
    /// Hash of what makes it a replica of others.
    pub role: u64,
    /// Units of it.
    pub units: u32,
    /// Starts of it.
    pub starts: u32,
    /// When it was at work first, in seconds since the Unix epoch; 0 where nobody knows.
    #[serde(default)]
    pub first_s: u64,
    /// When it was last, likewise.
    #[serde(default)]
    pub last_s: u64,
    /// Whether it was told that it differs from its siblings.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_told: bool,
}

/// How a dimension stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// By context, since when it is monitored, in seconds since the Unix epoch; 0 where it is not.
    pub monitored_s: [u64; Context::COUNT],
    /// By context, units that were so full of new behaviours that no more of them were learned.
    pub frozen: [u32; Context::COUNT],
    /// Departures that were seen since it is monitored.
    pub departures: u64,
    /// By context, what had been seen before it was looked at.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub before: [Exposure; Context::COUNT],
}

fn is_nothing(exposure: &[Exposure; Context::COUNT]) -> bool {
    *exposure == [Exposure::default(); Context::COUNT]
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Profile {
    /// Whose it is.
    pub subject: Subject,
    /// The image as it was asked for last.
    pub image: String,
    /// By dimension.
    pub learned: [Learned; Dimension::ALL.len()],
    /// By dimension.
    pub standing: [Standing; Dimension::ALL.len()],
    /// How much is used; of a service.
    pub volumes: Volumes,
    /// By context.
    pub exposure: [Exposure; Context::COUNT],
    /// The containers it was learned from, as far as they are remembered.
    pub contributors: Vec<Contributor>,
    /// Starts that were seen.
    pub starts: u32,
    /// Connections that were accepted.
    pub accepts: u64,
    /// Whether it listens on TCP.
    pub has_listener: bool,
    /// Containers that ended with code 0.
    pub good_exits: u32,
    /// Observations that were seen, and since any was lost half of them each day.
    pub seen: u64,
    /// Observations that were lost, likewise.
    pub lost: u64,
    /// When these were halved last, in seconds since the Unix epoch; 0 before.
    pub halved_s: u64,
    /// Work of containers that ended within a unit, short of a whole one, in milliseconds. Not kept.
    pub carried_ms: u64,
    /// The number of the latest unit.
    pub last_unit: u64,
    /// When an operator said that enough is known, in seconds since the Unix epoch; 0 for never.
    pub approved_s: u64,
    /// What it took over from the version of its image before.
    pub heritage: Option<Heritage>,
    /// The executables of its image, once somebody has looked.
    pub executables: Option<Executables>,
    /// What its image has its own scheduler do, likewise.
    pub schedule: Option<Schedule>,
    /// Whether there is more than was kept.
    pub is_unsaved: bool,
    /// Whether there is something by which a replica may differ from others.
    pub is_grown: bool,
}

impl Profile {
    /// An empty one.
    pub fn new(subject: Subject) -> Self {
        Self {
            subject,
            image: String::new(),
            learned: Default::default(),
            standing: Default::default(),
            volumes: Volumes::default(),
            exposure: Default::default(),
            contributors: Vec::new(),
            starts: 0,
            accepts: 0,
            has_listener: false,
            good_exits: 0,
            seen: 0,
            lost: 0,
            halved_s: 0,
            carried_ms: 0,
            last_unit: 0,
            approved_s: 0,
            heritage: None,
            executables: None,
            schedule: None,
            is_unsaved: true,
            is_grown: true,
        }
    }

    /// The dimensions that it has.
    pub fn dimensions(&self) -> impl Iterator<Item = Dimension> + use<> {
        let is_image = self.subject.is_image();
        Dimension::ALL.into_iter().filter(move |it| it.is_of_service() != is_image)
    }

    /// What it takes, about, in bytes.
    pub fn bytes(&self) -> usize {
        let learned: usize = self.learned.iter().map(Learned::bytes).sum();
        let executables = self.executables.as_ref().map_or(0, Executables::bytes);
        let schedule = self.schedule.as_ref().map_or(0, Schedule::bytes);
        learned + executables + schedule + self.volumes.bytes()
    }

    /// How many behaviours of a dimension are known; of volumes, peers.
    pub fn known(&self, dimension: Dimension) -> usize {
        if dimension == Dimension::Volume {
            self.volumes.destinations.known().count()
        } else {
            self.learned[dimension as usize].entries().len()
        }
    }

    /// Whether departures in a dimension are told of a context.
    pub fn is_monitored(&self, dimension: Dimension, context: Context) -> bool {
        let since_s = &self.standing[dimension as usize].monitored_s;
        // Who approves an image that has hardly worked yet has what is done by hand judged by its start.
        let is_by_start = context == Context::Session
            && self.approved_s != 0
            && since_s[Context::Start as usize] != 0;
        since_s[context.judged_by() as usize] != 0 || is_by_start
    }

    /// Whether a behaviour is told where it is not known. Of arguments, those of each program are known
    /// for themselves.
    pub fn judges(&self, it: &Behaviour<'_>, context: Context, settings: &Settings) -> bool {
        let is_known = || {
            let learned = &self.learned[it.dimension as usize];
            let unit_s = settings.seconds(settings.unit_s);
            let pace = Pace { unit_s, containers: self.containers() };
            let templates = learned.arguments(it.scope);
            templates.is_some_and(|templates| templates.is_settled(learned.entries(), pace))
        };
        self.is_monitored(it.dimension, context)
            && (it.dimension != Dimension::Arguments || is_known())
    }

    /// The part of a container at work, made where it has none yet; who gave least makes room.
    pub fn contributor(
        &mut self,
        hash: u64,
        container: &Container,
        now_s: u64,
    ) -> Option<&mut Contributor> {
        if let Some(at) = self.contributors.iter().position(|it| it.hash == hash) {
            let contributor = self.contributors.get_mut(at)?;
            contributor.last_s = contributor.last_s.max(now_s);
            return Some(contributor);
        }
        if self.contributors.len() >= MOST_CONTRIBUTORS {
            let (least, _) = self.contributors.iter().enumerate().min_by_key(|(_, it)| it.units)?;
            self.contributors.swap_remove(least);
        }
        let id = container.id.chars().take(12).collect();
        let role = stable_hash(Subject::role_of(container).as_bytes());
        let (first_s, last_s) = (now_s, now_s);
        let made = Contributor { hash, id, role, first_s, last_s, ..Contributor::default() };
        self.contributors.push(made);
        self.contributors.last_mut()
    }

    /// A unit of a context was whole.
    pub fn count_unit(&mut self, at: &Occasion, container: &Container, began_s: u64) {
        let exposure = &mut self.exposure[at.context as usize];
        exposure.units = exposure.units.saturating_add(1);
        if exposure.first_s == 0 {
            exposure.first_s = began_s;
        }
        exposure.last_s = exposure.last_s.max(at.now_s);
        if let Some(contributor) = self.contributor(at.container, container, at.now_s) {
            contributor.units = contributor.units.saturating_add(1);
        }
        self.is_grown = true;
        self.is_unsaved = true;
    }

    /// What is known of a dimension in a context, in numbers.
    pub fn evidence(&self, dimension: Dimension, context: Context, now_s: u64) -> Evidence {
        if dimension == Dimension::Volume {
            return self.volumes.evidence(now_s);
        }
        let learned = &self.learned[dimension as usize];
        let exposure = self.exposure[context as usize];
        let standing = &self.standing[dimension as usize];
        let frozen = standing.frozen[context as usize];
        let before = standing.before[context as usize];
        let first_s = exposure.first_s.max(before.first_s);
        Evidence {
            units: exposure.units.saturating_sub(before.units),
            novel_units: learned.entries().novel_units(context).saturating_add(frozen),
            least_units: LEAST_STARTS,
            starts: self.starts.max(self.contributors.len() as u32),
            is_start: context == Context::Start,
            age_s: if first_s == 0 { 0 } else { now_s.saturating_sub(first_s) },
            worked_s: if first_s == 0 { 0 } else { exposure.last_s.saturating_sub(first_s) },
            is_active: true,
            seen: self.seen,
            lost: self.lost,
            is_full: learned.is_full,
        }
    }

    /// When it was at work last, in seconds since the Unix epoch, as far as that is known.
    pub fn worked_s(&self) -> u64 {
        let containers = self.contributors.iter().map(|it| it.last_s);
        let all = containers.chain(self.exposure.map(|it| it.last_s)).chain([self.approved_s]);
        all.max().unwrap_or_default()
    }

    /// Whether departures of any kind are told.
    pub fn tells_anything(&self) -> bool {
        self.standing.iter().any(|it| it.monitored_s.iter().any(|it| *it != 0))
    }

    /// Takes those dimensions for full no more in which there is room by now.
    pub fn mend_fullness(&mut self) {
        let has_room = self.bytes() + ENTRY_BYTES + MOST_KEY <= MOST_BYTES;
        for learned in &mut self.learned {
            learned.is_full &= !has_room || learned.is_at_bound();
        }
    }

    /// Weighs what is known of a dimension in a context.
    pub fn assess(
        &self,
        dimension: Dimension,
        context: Context,
        now_s: u64,
        settings: &Settings,
    ) -> Assessment {
        let is_start = context == Context::Start;
        let evidence = Evidence {
            is_active: is_start || self.is_active(settings),
            least_units: if is_start { LEAST_STARTS } else { settings.least_units },
            ..self.evidence(dimension, context, now_s)
        };
        let mut assessment = assess(&evidence, settings);
        let is_full = matches!(assessment.state, State::Unmodelled(_)) && evidence.is_full;
        // Who is monitored stays so: what is new from then on is told and not learned.
        if self.is_monitored(dimension, context) && !is_full {
            assessment.state = State::Monitor;
            assessment.missing_s = None;
        }
        assessment
    }

    /// Whether the service was used enough for its silence to say something.
    pub fn is_active(&self, settings: &Settings) -> bool {
        if self.has_listener {
            return self.accepts >= u64::from(settings.least_accepts);
        }
        // A batch job is what ends well again and again; what does neither works by itself, and so does
        // what works for long between one end and the next.
        let units = self.exposure[Context::Steady as usize].units;
        let is_short = units < settings.least_units.saturating_mul(self.good_exits);
        self.good_exits >= LEAST_EXITS || !is_short
    }

    /// Halves what was seen and lost each day: one burst of losses long ago is no reason to distrust
    /// what is seen now. It is not kept for that alone, since it follows from the time that has passed.
    fn age_losses(&mut self, now_s: u64, settings: &Settings) {
        let day_s = (settings.seconds(DAY_S) as u64).max(1);
        if self.halved_s == 0 || self.lost == 0 {
            self.halved_s = now_s;
        }
        let passed = now_s.saturating_sub(self.halved_s) / day_s;
        let half = |it: u64| it.checked_shr(passed.min(64) as u32).unwrap_or_default();
        (self.seen, self.lost) = (half(self.seen), half(self.lost));
        self.halved_s += passed * day_s;
    }

    /// Has dimensions monitored of which enough is known; returns whether any is newly so.
    pub fn advance(&mut self, now_s: u64, settings: &Settings) -> bool {
        let mut has_changed = false;
        self.end_release(now_s, settings);
        self.age_losses(now_s, settings);
        for dimension in self.dimensions() {
            for &context in dimension.contexts() {
                let standing = &self.standing[dimension as usize];
                if standing.monitored_s[context as usize] != 0 {
                    continue;
                }
                let assessment = self.assess(dimension, context, now_s, settings);
                if assessment.state == State::Monitor {
                    self.standing[dimension as usize].monitored_s[context as usize] = now_s.max(1);
                    has_changed = true;
                }
            }
        }
        self.is_unsaved |= has_changed;
        has_changed
    }

    /// An operator says that enough is known, of every dimension and context that was seen at all.
    pub fn approve(&mut self, now_s: u64) {
        self.approved_s = now_s.max(1);
        self.settle(now_s);
        for dimension in self.dimensions() {
            for &context in dimension.contexts() {
                let learned = self.learned[dimension as usize].entries();
                let is_seen = self.evidence(dimension, context, now_s).units > 0
                    || learned.iter().any(|(_, it)| it.seen[context as usize].units > 0);
                let since = &mut self.standing[dimension as usize].monitored_s[context as usize];
                if *since == 0 && is_seen && !self.learned[dimension as usize].is_full {
                    *since = now_s.max(1);
                }
            }
        }
        self.is_unsaved = true;
    }

    /// Denies what only containers showed whose id begins so, and what was seen first at a moment
    /// or later (in seconds since the Unix epoch); returns how many behaviours.
    pub fn deny(&mut self, container: Option<&str>, since_s: Option<u64>) -> usize {
        let earlier = self.heritage.iter().flat_map(|it| &it.contributors);
        let hashes: Vec<u64> = (self.contributors.iter().chain(earlier))
            .filter(|it| container.is_some_and(|id| it.id.starts_with(id.get(..12).unwrap_or(id))))
            .map(|it| it.hash)
            .collect();
        let is_of = |entry: &Entry| {
            let supporters: Vec<u64> = entry.supporters.into_iter().filter(|it| *it != 0).collect();
            !supporters.is_empty() && supporters.iter().all(|it| hashes.contains(it))
        };
        let is_late = |entry: &Entry| since_s.is_none_or(|since_s| entry.first_s >= since_s);
        let is_meant = |entry: &Entry| is_late(entry) && (container.is_none() || is_of(entry));
        self.is_unsaved = true;
        // Whose bytes they were is not known.
        let peers = match (container, since_s) {
            (None, Some(since_s)) => self.volumes.destinations.deny(since_s),
            _ => 0,
        };
        self.learned.iter_mut().map(|learned| learned.deny(is_meant)).sum::<usize>() + peers
    }

    /// Forgets all that was learned.
    pub fn reset(&mut self) {
        self.schedule.iter_mut().for_each(Schedule::forget_runs);
        let empty = Self::new(self.subject.clone());
        let (last_unit, mut contributors) =
            (self.last_unit, std::mem::take(&mut self.contributors));
        for contributor in &mut contributors {
            (contributor.units, contributor.starts) = (0, 0);
        }
        *self = Self {
            image: std::mem::take(&mut self.image),
            executables: self.executables.take(),
            schedule: self.schedule.take(),
            last_unit,
            contributors,
            ..empty
        };
    }
}
