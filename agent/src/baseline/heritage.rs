//! What a profile took over from the version of its image before it, and what its own release
//! added to that.

use std::collections::{BTreeSet, HashSet};

use serde::{Deserialize, Serialize};

use super::{
    behaviour::{Behaviour, Learning},
    dimension::{Context, Dimension},
    entries::{Entry, Occasion},
    profile::{Contributor, Exposure, MOST_CONTRIBUTORS, Profile, Standing},
    schedule::Schedule,
    settings::Settings,
    shield,
    subject::Subject,
    survey::{Executables, Found, hash_of},
};
use crate::attribution::inspect::is_docker_init;

/// Share of executables that two versions have in common, at least, for one to inherit.
const LEAST_LIKENESS: f64 = 0.5;
/// Additions that are listed; the others are counted.
const MOST_LISTED: usize = 256;
/// Letters that are kept of one.
const MOST_LETTERS: usize = 200;
/// How many times as long as it takes at least a release may add at most, however little it works.
const LONGEST: u64 = 3;

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heritage {
    /// Digest of the version before.
    pub from: String,
    /// Digest of the earliest version that it goes back to, each like the next.
    #[serde(default)]
    pub first: String,
    /// When it was taken over, in seconds since the Unix epoch.
    pub since_s: u64,
    /// How far the two images were compared.
    pub look: Look,
    /// Behaviours that were taken over.
    pub inherited: u32,
    /// Of these, those that were dropped, since their programs are gone.
    pub dropped: u32,
    /// The latest unit of the version before.
    pub last_unit: u64,
    /// Its units of steady work.
    pub units: u32,
    /// The containers that it, and what it inherited itself, was learned from.
    pub contributors: Vec<Contributor>,
    /// Executables that it had not, as hashes of their paths.
    pub brought: BTreeSet<u64>,
    /// What the release added.
    pub release: Release,
}

/// How far two images were compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Look {
    /// Not yet.
    #[default]
    Pending,
    /// They are alike.
    Alike,
    /// They are too different for anything to be inherited.
    Different,
    /// One of them could not be looked into.
    Unreadable,
}

/// What a release does that the version before was not seen to do, in the time after its first
/// start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// Each that is listed.
    pub additions: Vec<Addition>,
    /// How many are not.
    pub unlisted: u64,
    /// Acts that were too many at once to be learned.
    pub unlearned: u64,
    /// When the first was seen, in seconds since the Unix epoch; 0 before.
    pub first_s: u64,
    /// When that time was over, likewise; 0 before.
    pub ended_s: u64,
    /// Additions that were told, and how often they were.
    pub told: u64,
    /// Likewise.
    pub tellings: u32,
}

/// A behaviour that a release added.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Addition {
    /// What it is about.
    pub dimension: Dimension,
    /// In what context.
    pub context: Context,
    /// The whole key, cut where it is long.
    pub key: String,
    /// Whether a program does it that the image brought.
    pub is_expected: bool,
}

impl Release {
    /// How many additions there are.
    pub fn count(&self) -> u64 {
        self.additions.len() as u64 + self.unlisted
    }
}

impl Heritage {
    /// Whether all that its release added was told.
    pub(super) fn is_told(&self) -> bool {
        self.release.count() <= self.release.told
    }

    fn note(&mut self, it: &Behaviour<'_>, context: Context, now_s: u64) {
        let release = &mut self.release;
        if release.first_s == 0 {
            release.first_s = now_s.max(1);
        }
        if release.additions.len() >= MOST_LISTED {
            release.unlisted += 1;
            return;
        }
        let mut programs = programs_of(it.dimension, it.scope, it.key);
        let is_expected =
            programs.any(|program| self.brought.contains(&hash_of(program.as_bytes())));
        let by = if it.scope.is_empty() { "" } else { " " };
        let key = it.scope.chars().chain(by.chars()).chain(it.key.chars());
        let (dimension, key) = (it.dimension, key.take(MOST_LETTERS).collect());
        release.additions.push(Addition { dimension, context, key, is_expected });
    }
}

/// The programs and scripts that a behaviour is of.
pub fn programs_of<'k>(
    dimension: Dimension,
    scope: &'k str,
    key: &'k str,
) -> impl Iterator<Item = &'k str> {
    // A path that is written or given is no program; one without templates stands behind its writer.
    let text = match (dimension, scope) {
        (Dimension::Write, "") => key.split_once(" /").map_or(key, |(writer, _)| writer),
        (Dimension::Write | Dimension::Arguments, scope) => scope,
        _ => key,
    };
    text.split(' ').filter(|word| word.starts_with('/') && !is_docker_init(word.as_bytes()))
}

/// Whether a behaviour of a profile with this heritage was inherited and never used since.
pub fn is_unused(heritage: Option<&Heritage>, entry: &Entry) -> bool {
    let last_unit = heritage.map_or(0, |it| it.last_unit);
    entry.is_inherited && entry.seen.iter().all(|it| it.last <= last_unit)
}

impl Profile {
    /// Whether enough is known for a later version to inherit it.
    pub fn may_bequeath(&self) -> bool {
        let is_settled = self.heritage.as_ref().is_none_or(|it| it.release.ended_s != 0);
        let mut dimensions = self.dimensions();
        is_settled && dimensions.any(|dimension| self.is_monitored(dimension, Context::Steady))
    }

    /// When anything that it knows was seen last, in seconds since the Unix epoch.
    pub fn last_s(&self) -> u64 {
        let all = self.learned.iter().flat_map(|learned| learned.entries().iter());
        all.map(|(_, entry)| entry.last_s).max().unwrap_or_default()
    }

    /// Takes over what the version before is known to do, and how surely.
    ///
    /// What only one of several containers showed is left behind, in each context. What an operator
    /// denied stays denied.
    pub fn inherit(&mut self, from: &Self, now_s: u64) {
        let Subject::Image { digest, .. } = &from.subject else { return };
        let earlier = from.heritage.iter().flat_map(|it| &it.contributors);
        let contributors = from.contributors.iter().chain(earlier).take(MOST_CONTRIBUTORS);
        let contributors: Vec<Contributor> = contributors.cloned().collect();
        let is_lone = contributors.len() <= 1;
        let mut inherited = 0;
        for dimension in from.dimensions() {
            let (theirs, own) =
                (&from.learned[dimension as usize], &mut self.learned[dimension as usize]);
            theirs.visit(&mut |scope, key, entry| {
                let is_whole = is_lone || entry.is_denied;
                let sure = if is_whole { Some(entry.clone()) } else { entry.confirmed() };
                if let Some(entry) = sure {
                    let entry = Entry { is_inherited: !entry.is_denied, ..entry };
                    let is_counted = entry.is_inherited;
                    let fits = own.restore(dimension, scope, key, entry);
                    inherited += u32::from(fits && is_counted);
                }
            });
            own.is_full = theirs.is_full;
            let standing = from.standing[dimension as usize];
            let since = |it: u64| if it == 0 { 0 } else { now_s.max(1) };
            self.standing[dimension as usize] = Standing {
                monitored_s: standing.monitored_s.map(since),
                departures: 0,
                ..standing
            };
        }
        self.mend_fullness();
        self.exposure = from.exposure;
        (self.starts, self.good_exits) = (from.starts, from.good_exits);
        (self.accepts, self.has_listener) = (from.accepts, from.has_listener);
        // What was lost of the version before says nothing of this one.
        (self.seen, self.last_unit) = (from.seen, from.last_unit);
        self.heritage = Some(Heritage {
            from: digest.clone(),
            first: from.line().0.to_owned(),
            since_s: now_s,
            inherited,
            last_unit: from.last_unit,
            units: from.exposure[Context::Steady as usize].units,
            contributors,
            ..Heritage::default()
        });
        self.is_unsaved = true;
    }

    /// Who departures are of: of an image, the earliest version that it goes back to. What was told
    /// of one version is not told anew of the next, which does the same.
    pub(super) fn line(&self) -> (&str, &str) {
        let like = self.heritage.iter().filter(|it| it.look != Look::Different);
        let first = like.map(|it| it.first.as_str()).find(|it| !it.is_empty());
        match &self.subject {
            Subject::Image { digest, variant } => (first.unwrap_or(digest), variant),
            Subject::Service { name } => (name, ""),
        }
    }

    /// The programs and scripts of all that is known of it.
    pub fn programs(&self) -> Vec<String> {
        let mut all = BTreeSet::new();
        for dimension in self.dimensions() {
            self.learned[dimension as usize].visit(&mut |scope, key, _| {
                let programs = programs_of(dimension, scope, key);
                all.extend(programs.map(str::to_owned));
            });
        }
        all.into_iter().collect()
    }

    /// Its image was looked into. What was inherited of programs that are gone is dropped, and all of
    /// it where too little of the version before is left.
    pub fn look_into(&mut self, found: Found, before: Option<&Executables>, now_s: u64) {
        // What was known before is so still where it cannot be read now.
        self.executables = found.executables.or(self.executables.take());
        if let Some(mut schedule) = found.schedule {
            if let Some(before) = &self.schedule {
                schedule.go_on(before);
            }
            self.schedule = Some(schedule);
        }
        self.is_unsaved = true;
        let wanted = self.programs().len();
        let Some(heritage) = self.heritage.as_mut().filter(|it| it.look == Look::Pending) else {
            return;
        };
        let Some(own) = &self.executables else {
            heritage.look = Look::Unreadable;
            return;
        };
        let likeness = match before {
            Some(before) => own.likeness(before),
            None if wanted == 0 => 1.0,
            None => 1.0 - found.gone.len() as f64 / wanted as f64,
        };
        if likeness < LEAST_LIKENESS {
            self.disinherit(now_s);
            return;
        }
        heritage.look = Look::Alike;
        heritage.brought = before.map(|before| own.beyond(before)).unwrap_or_default();
        let dropped = self.drop_gone(&found.gone);
        if let Some(heritage) = &mut self.heritage {
            heritage.dropped = dropped;
        }
    }

    /// Drops what was inherited of programs that are gone; returns how many behaviours.
    fn drop_gone(&mut self, gone: &HashSet<String>) -> u32 {
        let mut dropped = 0;
        if gone.is_empty() {
            return 0;
        }
        for dimension in self.dimensions() {
            dropped += self.learned[dimension as usize].retain(dimension, |scope, key, entry| {
                let is_gone = programs_of(dimension, scope, key).any(|it| gone.contains(it));
                (!entry.is_inherited || !is_gone).then(|| entry.clone())
            });
        }
        dropped as u32
    }

    /// Gives back what was inherited; what was seen since is its own.
    fn disinherit(&mut self, now_s: u64) {
        let Some(heritage) = &mut self.heritage else { return };
        heritage.look = Look::Different;
        heritage.release = Release { ended_s: now_s.max(1), ..Release::default() };
        heritage.contributors.clear();
        let last_unit = heritage.last_unit;
        let own: Vec<u64> = self.contributors.iter().map(|it| it.hash).collect();
        for dimension in self.dimensions() {
            self.learned[dimension as usize].retain(dimension, |_, _, entry| {
                if entry.is_inherited {
                    entry.since_unit(last_unit, &own)
                } else {
                    Some(entry.clone())
                }
            });
            self.learned[dimension as usize].is_full = false;
            self.standing[dimension as usize] = Standing::default();
        }
        self.schedule.iter_mut().for_each(Schedule::forget_runs);
        self.exposure = [Exposure::default(); Context::COUNT];
        self.starts = self.contributors.iter().map(|it| it.starts).sum();
        (self.accepts, self.good_exits, self.seen, self.lost) = (0, 0, 0, 0);
    }

    /// Whether what is new is what its release adds.
    pub fn is_in_release(&self) -> bool {
        self.heritage.as_ref().is_some_and(|it| it.release.ended_s == 0)
    }

    /// Whether something new in a monitored dimension is taken for an addition of the release rather
    /// than for a departure. What others run or obey is not, nor what somebody does by hand.
    pub(super) fn takes_as_addition(
        &self,
        it: &Behaviour<'_>,
        entry: Option<&Entry>,
        at: &Occasion,
    ) -> bool {
        let (context, asked_in) = (at.context, it.dimension.asked_in(at.context));
        self.is_in_release()
            && it.learning != Learning::Shielded
            && context != Context::Session
            && !entry.is_some_and(|entry| self.is_doubted(entry, asked_in, at.container))
            && !(context == Context::Steady && self.is_intrusion(it))
    }

    /// Whether it is about a shell that the version before had as well and was not seen to run so, or
    /// about code in memory of such a program: a release has little reason to, and who breaks in does
    /// little else.
    fn is_intrusion(&self, it: &Behaviour<'_>) -> bool {
        let is_of_intruders = match it.dimension {
            Dimension::Process | Dimension::Lineage => shield::is_of_shell(it.key),
            Dimension::Privilege => shield::is_of_code(it.key),
            Dimension::Arguments
            | Dimension::Write
            | Dimension::Listener
            | Dimension::Peer
            | Dimension::Volume => false,
        };
        let brought = self.heritage.as_ref().map(|heritage| &heritage.brought);
        let is_brought = |program: &str| {
            brought.is_some_and(|brought| brought.contains(&hash_of(program.as_bytes())))
        };
        is_of_intruders && !programs_of(it.dimension, it.scope, it.key).any(is_brought)
    }

    /// The release added something.
    pub(super) fn note_addition(&mut self, it: &Behaviour<'_>, context: Context, now_s: u64) {
        if let Some(heritage) = &mut self.heritage {
            heritage.note(it, context, now_s);
            self.is_unsaved = true;
        }
    }

    /// The release did more at once than is learned.
    pub(super) fn note_unlearned(&mut self) {
        if let Some(heritage) = &mut self.heritage {
            heritage.release.unlearned += 1;
        }
    }

    /// Ends the time in which the release adds: an operator says that it is over.
    pub(super) fn settle(&mut self, now_s: u64) {
        if let Some(heritage) = self.heritage.as_mut().filter(|it| it.release.ended_s == 0) {
            heritage.release.ended_s = now_s.max(1);
        }
    }

    /// Ends the time in which the release adds, once it was long enough and saw enough work; what
    /// hardly works does not go on adding for ever.
    pub(super) fn end_release(&mut self, now_s: u64, settings: &Settings) {
        let units = self.exposure[Context::Steady as usize].units;
        let Some(heritage) = &mut self.heritage else { return };
        let passed_s = now_s.saturating_sub(heritage.since_s);
        let is_long = passed_s >= settings.ready_after_s();
        let is_used = units.saturating_sub(heritage.units) >= settings.least_units;
        let is_over = is_long && is_used || passed_s >= longest_s(settings);
        if heritage.release.ended_s == 0 && is_over {
            heritage.release.ended_s = now_s.max(1);
            self.is_unsaved = true;
        }
    }

    /// How many containers its units are of, those of the version before among them.
    pub fn containers(&self) -> usize {
        let earlier = self.heritage.as_ref().map_or(0, |it| it.contributors.len());
        self.contributors.len() + earlier
    }

    /// Whether a behaviour was inherited and this version was never seen to use it.
    pub fn is_unused(&self, entry: &Entry) -> bool {
        is_unused(self.heritage.as_ref(), entry)
    }
}

/// When a release adds no more in any case: work without a pause would have been enough by far.
fn longest_s(settings: &Settings) -> u64 {
    let units_ms = settings.unit_ms().saturating_mul(u64::from(settings.least_units));
    settings.ready_after_s().max(units_ms / 1000).saturating_mul(LONGEST)
}
