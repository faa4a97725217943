//! Why a departure is one: the nearest that was learned, and the counts behind the claim.

use std::fmt::Write as _;

use plimsoll_ebpf::value::readable;

use super::{
    departure::Departure,
    dimension::{Context, Dimension},
    heritage::Look,
    profile::Profile,
    settings::Settings,
    subject::short,
};

/// Letters that two keys must share at their start for one to be worth naming beside the other.
const LEAST_ALIKE: usize = 4;

/// What is told of a departure, after what was done.
pub(super) fn explain(
    departure: &Departure,
    profile: &Profile,
    settings: &Settings,
    now_s: u64,
) -> String {
    let mut text = String::new();
    let judged_by = departure.context.judged_by();
    let evidence = profile.evidence(departure.dimension, judged_by, now_s);
    let assessment = profile.assess(departure.dimension, judged_by, now_s, settings);
    let (units, what) = (evidence.units, unit_word(judged_by, evidence.units));
    let containers = profile.containers();
    if departure.dimension == Dimension::Arguments {
        let _ = write!(text, "It was given `{}`. ", readable(departure.key.as_bytes()));
    }
    let _ = match departure.kind {
        DepartureKind::New => write!(text, "Not seen in {units} {what}"),
        DepartureKind::AtStartOnly { starts } => {
            write!(text, "Seen in {starts} starts and never after one, in {units} {what}")
        }
        DepartureKind::Denied => {
            write!(text, "It was denied by an operator; known are {units} {what}")
        }
        DepartureKind::OneContainer => {
            write!(text, "Of all containers only one has ever done so, in {units} {what}")
        }
    };
    let _ = write!(
        text,
        " of {containers} {} over {}",
        if containers == 1 { "container" } else { "containers" },
        span(evidence.age_s),
    );
    if let Some(heritage) = profile.heritage.as_ref().filter(|it| it.look != Look::Different) {
        let _ =
            write!(text, ", those of the version before ({}) among them", short(&heritage.from));
    }
    let _ = write!(text, "; at most {:.1} such a day were to be expected.", assessment.daily[1]);
    if let Some((nearest, units)) = nearest(departure, profile) {
        let _ = write!(text, " Nearest learned: {} ({units} units).", readable(nearest.as_bytes()));
    }
    let _ = write!(text, " {}.", circumstance(departure.context));
    text
}

/// Why something is a departure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DepartureKind {
    /// It was never seen.
    New,
    /// It was seen, but only while containers started.
    AtStartOnly {
        /// In how many units.
        starts: u32,
    },
    /// It was seen, but only in one container, while others did without.
    OneContainer,
    /// It was seen, and an operator said that it does not belong here.
    Denied,
}

const fn unit_word(context: Context, units: u32) -> &'static str {
    match (context, units) {
        (Context::Start, 1) => "start",
        (Context::Start, _) => "starts",
        (_, 1) => "unit",
        _ => "units",
    }
}

const fn circumstance(context: Context) -> &'static str {
    match context {
        Context::Start => "Done by the container itself while it started",
        Context::Steady => "Done by the container itself after its start",
        Context::Health => "Done by the health check",
        Context::Session => "Done in a docker exec session",
    }
}

/// A time in words.
pub fn span(seconds: u64) -> String {
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7199 => format!("{} min", seconds / 60),
        7200..=172_799 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// The learned behaviour that begins most alike, and the units that showed it.
fn nearest(departure: &Departure, profile: &Profile) -> Option<(String, u32)> {
    if departure.dimension == Dimension::Arguments {
        return nearest_arguments(departure, profile);
    }
    let mut best: Option<(usize, String, u32)> = None;
    let wanted = departure.full_key();
    profile.learned[departure.dimension as usize].visit(&mut |scope, key, entry| {
        let shown = if scope.is_empty() { key.to_owned() } else { format!("{scope} {key}") };
        let alike = shown.bytes().zip(wanted.bytes()).take_while(|(a, b)| a == b).count();
        let is_better = best.as_ref().is_none_or(|(most, ..)| alike > *most);
        if alike >= LEAST_ALIKE && is_better && shown != wanted {
            best = Some((alike, shown, entry.units(&Context::ALL)));
        }
    });
    best.map(|(_, shown, units)| (shown, units))
}

/// The arguments that the same program was given by the same one and that have most in common with
/// these.
fn nearest_arguments(departure: &Departure, profile: &Profile) -> Option<(String, u32)> {
    let learned = &profile.learned[departure.dimension as usize];
    let templates = learned.arguments(&departure.scope)?;
    let (template, number) = templates.nearest(&departure.key, learned.entries())?;
    let units = learned.entry(number).map_or(0, |entry| entry.units(&Context::ALL));
    Some((format!("`{template}`"), units))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_the_unit_that_fits() {
        assert_eq!(span(90), "90 s");
        assert_eq!(span(3600), "60 min");
        assert_eq!(span(50 * 3600), "2 days");
        assert_eq!(span(40 * 3600), "40 h");
    }
}
