//! A profile as people read it: per dimension and context how far it is, and what is missing.

use serde::{Deserialize, Serialize};

use super::{
    convergence::{Assessment, Reason, State},
    dimension::{Context, Dimension},
    explain::span,
    heritage::Look,
    profile::Profile,
    saved::Saved,
    settings::{LEAST_STARTS, Settings},
    volume::metric::Metric,
};

/// A profile in short.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// The image as it was asked for last.
    pub image: String,
    /// Whose profile it is, as it is shown.
    pub subject: String,
    /// Whether it is an image's rather than a service's.
    pub is_image: bool,
    /// Whole units after the start of containers, and starts.
    pub units: u32,
    /// Starts that were seen whole.
    pub starts: u32,
    /// Containers it was learned from.
    pub containers: Vec<String>,
    /// Whether an operator approved it.
    pub is_approved: bool,
    /// What it takes in memory, about, in bytes.
    pub bytes: usize,
    /// What it took over from the version of its image before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heritage: Option<Inheritance>,
    /// By dimension and context.
    pub parts: Vec<Part>,
    /// How much is used; of a service.
    #[serde(default)]
    pub volumes: Vec<Amounts>,
}

/// How much of something is used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amounts {
    /// `out`, `in`, `cpu`, `memory` or `pids`.
    pub of: String,
    /// The median.
    pub usual: u64,
    /// What 99.5 % are no more than.
    pub high: u64,
    /// The largest.
    pub most: u64,
    /// The largest hour, of bytes.
    pub hour: u64,
}

/// What a profile took over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inheritance {
    /// Digest of the version before.
    pub from: String,
    /// How far the two images were compared.
    pub look: Look,
    /// Behaviours that were taken over.
    pub inherited: u32,
    /// Of these, those that were dropped with their programs.
    pub dropped: u32,
    /// Of these, those that this version was never seen to use.
    pub unused: usize,
    /// Behaviours that the release added.
    pub added: u64,
    /// Whether what is new is still taken for what the release adds.
    pub is_open: bool,
}

impl Inheritance {
    fn of(profile: &Profile) -> Option<Self> {
        let it = profile.heritage.as_ref()?;
        let entries = profile.learned.iter().flat_map(|learned| learned.entries().iter());
        Some(Self {
            from: it.from.clone(),
            look: it.look,
            inherited: it.inherited,
            dropped: it.dropped,
            unused: entries.filter(|(_, entry)| profile.is_unused(entry)).count(),
            added: it.release.count(),
            is_open: profile.is_in_release(),
        })
    }
}

/// A dimension in a context.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// The dimension.
    pub dimension: Dimension,
    /// `start` or `steady`.
    pub context: Context,
    /// `learning`, `monitor` or `unmodelled`.
    pub state: String,
    /// Why it is not monitored; empty where it is.
    pub reason: String,
    /// Behaviours that are known in it.
    pub entries: usize,
    /// Of these, those that two containers or two starts confirm.
    pub confirmed: usize,
    /// Whole units.
    pub units: u32,
    /// Units that showed something no other did.
    pub novel_units: u32,
    /// Alerts a day that are to be expected.
    pub daily: f64,
    /// The upper bound of that, with 95 % confidence.
    pub daily_bound: f64,
    /// Behaviours that an operator denied.
    pub denied: usize,
    /// Departures since it is monitored.
    pub departures: u64,
    /// Directories with more names than are kept.
    pub open_directories: usize,
    /// Programs whose arguments are too varied for anything to be said of them.
    #[serde(default)]
    pub any_arguments: usize,
    /// What is missing until it is monitored, and about how long that takes.
    pub missing: String,
}

impl Summary {
    /// A profile that was kept, at a moment.
    pub fn of(saved: &Saved, now_s: u64) -> Self {
        let settings = saved.settings;
        let profile = saved.clone().into_profile();
        let part = |dimension: Dimension| {
            let contexts = dimension.contexts().iter();
            let part = |it: &Context| part(&profile, dimension, *it, now_s, &settings);
            contexts.map(part).collect::<Vec<_>>()
        };
        let amounts = |(of, [usual, high, most, hour]): (Metric, [u64; 4])| Amounts {
            of: of.name().to_owned(),
            usual,
            high,
            most,
            hour,
        };
        let volumes = if profile.subject.is_image() { Vec::new() } else { profile.volumes.usual() };
        Self {
            image: profile.image.clone(),
            subject: profile.subject.to_string(),
            is_image: profile.subject.is_image(),
            units: profile.exposure[Context::Steady as usize].units,
            starts: profile.exposure[Context::Start as usize].units,
            containers: profile.contributors.iter().map(|it| it.id.clone()).collect(),
            is_approved: profile.approved_s != 0,
            bytes: profile.bytes(),
            heritage: Inheritance::of(&profile),
            parts: profile.dimensions().flat_map(part).collect(),
            volumes: volumes.into_iter().map(amounts).collect(),
        }
    }

    /// Alerts a day that are to be expected of all that would be monitored once it is approved: the
    /// estimate and its upper bound.
    pub fn cost(&self) -> [f64; 2] {
        let counted = self.parts.iter().filter(|it| it.units > 0 && it.state != "unmodelled");
        counted.fold([0.0, 0.0], |[sum, bound], it| [sum + it.daily, bound + it.daily_bound])
    }

    /// The state of all dimensions after the start: the least that any is.
    pub fn state(&self) -> String {
        let states: Vec<&str> = (self.parts.iter())
            .filter(|it| it.context == Context::Steady)
            .map(|it| it.state.as_str())
            .collect();
        let monitored = states.iter().filter(|it| **it == "monitor").count();
        if monitored == states.len() {
            "monitor".to_owned()
        } else if monitored > 0 {
            format!("monitor {monitored}/{}", states.len())
        } else {
            states.first().map_or_else(String::new, |it| (*it).to_owned())
        }
    }
}

fn part(
    profile: &Profile,
    dimension: Dimension,
    context: Context,
    now_s: u64,
    settings: &Settings,
) -> Part {
    let assessment = profile.assess(dimension, context, now_s, settings);
    let evidence = profile.evidence(dimension, context, now_s);
    let learned = &profile.learned[dimension as usize];
    let is_of_context =
        |units: [super::entries::Seen; Context::COUNT]| units[context as usize].units > 0;
    let seen = learned.entries().iter().filter(|(_, entry)| is_of_context(entry.seen));
    let (mut entries, mut confirmed) = (0, 0);
    for (_, entry) in seen {
        entries += 1;
        confirmed += usize::from(entry.is_confirmed_in(context));
    }
    if dimension == Dimension::Volume {
        (entries, confirmed) = (profile.known(dimension), profile.known(dimension));
    }
    Part {
        dimension,
        context,
        state: assessment.state.name().to_owned(),
        reason: assessment.state.reason().map_or("", Reason::name).to_owned(),
        entries,
        confirmed,
        units: evidence.units,
        novel_units: evidence.novel_units,
        daily: assessment.daily[0],
        daily_bound: assessment.daily[1],
        denied: learned.entries().iter().filter(|(_, entry)| entry.is_denied).count(),
        departures: profile.standing[dimension as usize].departures,
        open_directories: learned.open(),
        any_arguments: learned.any_arguments(),
        missing: missing(profile, dimension, context, &assessment, settings),
    }
}

/// What is missing, in words.
fn missing(
    profile: &Profile,
    dimension: Dimension,
    context: Context,
    assessment: &Assessment,
    settings: &Settings,
) -> String {
    let least = if context == Context::Start { LEAST_STARTS } else { settings.least_units };
    let what = match assessment.state {
        State::Monitor => return String::new(),
        State::Unmodelled(Reason::Size) => {
            return "more than is kept: only rules that need no learning hold".to_owned();
        }
        State::Unmodelled(_) => {
            return "always something new: reset it or narrow its work".to_owned();
        }
        State::Learning(Reason::FewUnits) if dimension == Dimension::Volume => {
            format!("{least} hours")
        }
        State::Learning(Reason::FewUnits) => {
            format!("{least} units, of two containers or two starts")
        }
        State::Learning(Reason::Young) => "time".to_owned(),
        State::Learning(Reason::Idle) if profile.has_listener => {
            format!("{} accepted connections, of {}", profile.accepts, settings.least_accepts)
        }
        State::Learning(Reason::Idle) => "five runs that end well".to_owned(),
        State::Learning(Reason::Drops) => "observations that are not lost".to_owned(),
        State::Learning(_) => "units without anything new".to_owned(),
    };
    match assessment.missing_s {
        Some(seconds) => format!("{what}; about {}", span(seconds)),
        None => format!("{what}; nobody can tell how long"),
    }
}
