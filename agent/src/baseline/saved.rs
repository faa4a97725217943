//! A profile as it is kept: the form between memory and file.

use serde::{Deserialize, Serialize};

use super::{
    dimension::{Context, Dimension},
    entries::Entry,
    heritage::Heritage,
    profile::{Contributor, Exposure, Profile, Standing},
    schedule::Schedule,
    settings::Settings,
    subject::Subject,
    survey::Executables,
    volume::known::Volumes,
};

/// Version of the form; one that is changed is still read.
pub const FORMAT: u32 = 2;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saved {
    /// [`FORMAT`] of whoever wrote it.
    pub format: u32,
    /// Whose profile it is.
    pub subject: Subject,
    /// The image as it was asked for last.
    pub image: String,
    /// When it was written, in seconds since the Unix epoch.
    pub written_s: u64,
    /// What was learned.
    pub dimensions: Vec<SavedDimension>,
    /// How much is used; nothing in files of the first version.
    #[serde(default)]
    pub volumes: Volumes,
    /// By context.
    pub exposure: [Exposure; Context::COUNT],
    /// The containers it was learned from.
    pub contributors: Vec<Contributor>,
    /// See [`Profile`].
    pub starts: u32,
    /// See [`Profile`].
    pub accepts: u64,
    /// See [`Profile`].
    pub has_listener: bool,
    /// See [`Profile`].
    pub good_exits: u32,
    /// See [`Profile`].
    pub seen: u64,
    /// See [`Profile`].
    pub lost: u64,
    /// See [`Profile`].
    #[serde(default)]
    pub halved_s: u64,
    /// See [`Profile`].
    pub last_unit: u64,
    /// See [`Profile`].
    pub approved_s: u64,
    /// See [`Profile`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heritage: Option<Heritage>,
    /// See [`Profile`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub executables: Option<Executables>,
    /// See [`Profile`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<Schedule>,
    /// What it was learned by.
    pub settings: Settings,
}

/// A dimension.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedDimension {
    /// Which.
    pub dimension: Dimension,
    /// How it stands.
    pub standing: Standing,
    /// Whether there was more than is kept.
    pub is_full: bool,
    /// Scope, key or template, and what was seen of it.
    pub entries: Vec<(String, String, Entry)>,
}

impl Saved {
    /// A profile at a moment.
    pub fn of(profile: &Profile, settings: &Settings, now_s: u64) -> Self {
        let dimension = |dimension: Dimension| {
            let learned = &profile.learned[dimension as usize];
            let mut entries = Vec::with_capacity(learned.entries().len());
            learned.visit(&mut |scope, key, entry| {
                entries.push((scope.to_owned(), key.to_owned(), entry.clone()));
            });
            let standing = profile.standing[dimension as usize];
            SavedDimension { dimension, standing, is_full: learned.is_full, entries }
        };
        Self {
            format: FORMAT,
            subject: profile.subject.clone(),
            image: profile.image.clone(),
            written_s: now_s,
            dimensions: profile.dimensions().map(dimension).collect(),
            volumes: profile.volumes.clone(),
            exposure: profile.exposure,
            contributors: profile.contributors.clone(),
            starts: profile.starts,
            accepts: profile.accepts,
            has_listener: profile.has_listener,
            good_exits: profile.good_exits,
            seen: profile.seen,
            lost: profile.lost,
            halved_s: profile.halved_s,
            last_unit: profile.last_unit,
            approved_s: profile.approved_s,
            heritage: profile.heritage.clone(),
            executables: profile.executables.clone(),
            schedule: profile.schedule.clone(),
            settings: *settings,
        }
    }

    /// The profile again; what does not fit into its bounds is left out.
    pub fn into_profile(self) -> Profile {
        let mut profile = Profile::new(self.subject);
        // What the agent that wrote it did not look at is learned from then on.
        let missing =
            profile.dimensions().filter(|it| self.dimensions.iter().all(|of| of.dimension != *it));
        for dimension in missing {
            let before = |it: Exposure| Exposure { first_s: self.written_s, ..it };
            profile.standing[dimension as usize].before = self.exposure.map(before);
        }
        for SavedDimension { dimension, standing, is_full, entries } in self.dimensions {
            let learned = &mut profile.learned[dimension as usize];
            learned.is_full = is_full;
            for (scope, key, entry) in entries {
                learned.restore(dimension, &scope, &key, entry);
            }
            profile.standing[dimension as usize] = standing;
        }
        let mut profile = Profile {
            image: self.image,
            volumes: self.volumes,
            exposure: self.exposure.map(|it| dated(it, self.written_s)),
            contributors: self.contributors.into_iter().take(64).collect(),
            starts: self.starts,
            accepts: self.accepts,
            has_listener: self.has_listener,
            good_exits: self.good_exits,
            seen: self.seen,
            lost: self.lost,
            halved_s: self.halved_s,
            last_unit: self.last_unit,
            approved_s: self.approved_s,
            heritage: self.heritage,
            executables: self.executables,
            schedule: self.schedule,
            is_unsaved: false,
            ..profile
        };
        profile.mend_fullness();
        profile
    }
}

/// Units of a file that does not say when the latest was: it was written with it.
fn dated(exposure: Exposure, written_s: u64) -> Exposure {
    let last_s =
        if exposure.units > 0 && exposure.last_s == 0 { written_s } else { exposure.last_s };
    Exposure { last_s, ..exposure }
}
