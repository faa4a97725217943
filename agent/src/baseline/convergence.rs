//! Whether enough is known: how likely the next unit is to show something new, and what that means
//! in alerts a day.

use serde::{Deserialize, Serialize};

use super::settings::{DAY_S, Settings};

/// One-sided 95 % of the normal distribution.
const Z: f64 = 1.645;
/// Days after which what does not converge is given up.
const PATIENCE_DAYS: f64 = 14.0;
/// Wall-clock gates that stand in for a second container or start.
const ALONE_GATES: u64 = 7;
/// Share of observations that may be lost.
const MOST_LOST: f64 = 0.001;

/// How far a dimension is in a context.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state", content = "reason")]
pub enum State {
    /// What is seen is learned, and nothing new is told.
    Learning(Reason),
    /// What is new is told, and not learned.
    Monitor,
    /// Too much or too varied to be learned: nothing new is told.
    Unmodelled(Reason),
}

/// Why a dimension is not monitored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Too few units, or all of one start of one container.
    FewUnits,
    /// Too little time has passed.
    Young,
    /// The service was hardly used.
    Idle,
    /// Too much is new still.
    NotConverging,
    /// Observations were lost.
    Drops,
    /// There was more than is kept.
    Size,
}

impl State {
    /// Every state without its reason, as labels of metrics.
    pub const NAMES: [&'static str; 3] = ["learning", "monitor", "unmodelled"];

    /// The name without the reason.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Learning(_) => "learning",
            Self::Monitor => "monitor",
            Self::Unmodelled(_) => "unmodelled",
        }
    }

    /// The reason, where it has one.
    pub const fn reason(self) -> Option<Reason> {
        match self {
            Self::Learning(reason) | Self::Unmodelled(reason) => Some(reason),
            Self::Monitor => None,
        }
    }
}

impl Reason {
    /// The name in output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::FewUnits => "few_units",
            Self::Young => "young",
            Self::Idle => "idle",
            Self::NotConverging => "not_converging",
            Self::Drops => "drops",
            Self::Size => "size",
        }
    }
}

/// What is known of a dimension in a context, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Evidence {
    /// Units that were whole.
    pub units: u32,
    /// Units that showed something no other did.
    pub novel_units: u32,
    /// How many are seen at least.
    pub least_units: u32,
    /// Containers and starts that the units are of.
    pub starts: u32,
    /// Whether these are starts, of which there are few: how seldom they are is known by the time that
    /// passes without any.
    pub is_start: bool,
    /// Seconds since the first unit began.
    pub age_s: u64,
    /// Seconds from then until the latest unit was whole: what passes without work shows nothing.
    pub worked_s: u64,
    /// Whether the service was used enough.
    pub is_active: bool,
    /// Observations that were seen and lost.
    pub seen: u64,
    /// Likewise.
    pub lost: u64,
    /// Whether there was more than is kept.
    pub is_full: bool,
}

/// What follows from that.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Assessment {
    /// The state.
    pub state: State,
    /// Share of units that will show something new: the estimate and its upper bound.
    pub share: [f64; 2],
    /// Alerts a day that are to be expected: the estimate and its upper bound.
    pub daily: [f64; 2],
    /// About how long it takes until it is monitored if nothing new is seen, in seconds.
    pub missing_s: Option<u64>,
}

/// Upper end of Wilson's interval for a share, of which `hits` in `tries` were seen.
pub fn wilson_upper(hits: f64, tries: f64) -> f64 {
    if tries <= 0.0 {
        return 1.0;
    }
    let (share, square) = (hits / tries, Z * Z);
    let center = share + square / (2.0 * tries);
    let spread = Z * (share * (1.0 - share) / tries + square / (4.0 * tries * tries)).sqrt();
    ((center + spread) / (1.0 + square / tries)).min(1.0)
}

/// Weighs evidence.
pub fn assess(evidence: &Evidence, settings: &Settings) -> Assessment {
    let units = f64::from(evidence.units);
    let novel = f64::from(evidence.novel_units.min(evidence.units));
    let bound = wilson_upper(novel, units);
    let days = (evidence.paced_s() as f64 / settings.seconds(DAY_S)).max(1e-9);
    let is_young = evidence.age_s < settings.ready_after_s();
    let pace = units / days;
    let share = [if units > 0.0 { novel / units } else { 1.0 }, bound];
    // What a few seconds show is no pace: what is told goes by one unit's time at least. Before there
    // is any, a service at work is taken to fill every hour.
    let unit_days = settings.unit_s as f64 / DAY_S as f64;
    let shown_pace = if units > 0.0 { units / days.max(unit_days) } else { 24.0 };
    let daily = share.map(|share| share * shown_pace);
    let alone = evidence.starts < 2
        && evidence.age_s < settings.ready_after_s().saturating_mul(ALONE_GATES);
    let lost = evidence.lost as f64;
    let state = if evidence.is_full {
        State::Unmodelled(Reason::Size)
    } else if evidence.units < evidence.least_units || alone {
        State::Learning(Reason::FewUnits)
    } else if is_young {
        State::Learning(Reason::Young)
    } else if !evidence.is_active {
        State::Learning(Reason::Idle)
    } else if lost > MOST_LOST * (lost + evidence.seen as f64) {
        State::Learning(Reason::Drops)
    } else if bound * pace <= settings.most_daily() && evidence.units >= evidence.least_settled() {
        State::Monitor
    } else if days > PATIENCE_DAYS {
        State::Unmodelled(Reason::NotConverging)
    } else {
        State::Learning(Reason::NotConverging)
    };
    let missing_s = match state {
        State::Learning(_) => missing_s(evidence, settings, alone, novel, shown_pace),
        State::Monitor | State::Unmodelled(_) => None,
    };
    Assessment { state, share, daily, missing_s }
}

impl Evidence {
    /// The time that the units are spread over.
    fn paced_s(&self) -> u64 {
        if self.is_start { self.age_s } else { self.worked_s }
    }

    /// How many units there have to be for what is new among them to be the exception. Starts are so
    /// few that a pace alone would have three that differ in everything taken for known after days.
    fn least_settled(&self) -> u32 {
        if self.is_start { self.novel_units.saturating_mul(2) } else { 0 }
    }
}

/// The longest of the waits: for time to pass, and for units without anything new.
fn missing_s(
    evidence: &Evidence,
    settings: &Settings,
    alone: bool,
    novel: f64,
    pace: f64,
) -> Option<u64> {
    let gate = settings.ready_after_s();
    let gate = if alone { gate.saturating_mul(ALONE_GATES) } else { gate };
    let by_clock = gate.saturating_sub(evidence.age_s);
    if pace <= 0.0 {
        return None;
    }
    let day_s = settings.seconds(DAY_S);
    let needed = |days: f64| wilson_upper(novel, (pace * days).max(1.0)) * pace;
    // More days make the bound smaller: found by halving.
    let (mut least, mut most) = (evidence.paced_s() as f64 / day_s, 3650.0);
    if needed(most) > settings.most_daily() {
        return None;
    }
    for _ in 0..40 {
        let middle = f64::midpoint(least, most);
        if needed(middle) <= settings.most_daily() {
            most = middle;
        } else {
            least = middle;
        }
    }
    let by_bound = ((most * day_s) as u64).saturating_sub(evidence.paced_s());
    let least_units = evidence.least_units.max(evidence.least_settled());
    let by_units = f64::from(least_units.saturating_sub(evidence.units)) / pace * day_s;
    Some(by_clock.max(by_bound).max(by_units as u64))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn settled(units: u32, days: u64) -> Evidence {
        Evidence {
            units,
            least_units: 24,
            starts: 2,
            age_s: days * DAY_S,
            worked_s: days * DAY_S,
            is_active: true,
            seen: 1000,
            ..Evidence::default()
        }
    }

    fn state(evidence: Evidence) -> State {
        assess(&evidence, &Settings::default()).state
    }

    #[test]
    fn without_anything_new_the_bounds_are_those_of_the_rule_of_three() {
        for (units, bound) in [(52.0, 0.05), (133.0, 0.02), (268.0, 0.01)] {
            assert!((wilson_upper(0.0, units) - bound).abs() < 0.001, "{units}");
        }
        assert!(wilson_upper(0.0, 0.0) >= 1.0);
    }

    #[test]
    fn quiet_days_make_a_dimension_monitored_and_each_gate_holds_it_back() {
        assert_eq!(state(settled(72, 3)), State::Monitor);
        let few = State::Learning(Reason::FewUnits);
        assert_eq!(state(settled(23, 3)), few);
        assert_eq!(state(Evidence { starts: 1, ..settled(72, 3) }), few);
        assert_eq!(state(Evidence { starts: 1, ..settled(200, 8) }), State::Monitor);
        let young = Evidence { age_s: DAY_S / 2, ..settled(72, 1) };
        assert_eq!(state(young), State::Learning(Reason::Young));
        let idle = Evidence { is_active: false, ..settled(72, 3) };
        assert_eq!(state(idle), State::Learning(Reason::Idle));
        let dropping = Evidence { lost: 2, ..settled(72, 3) };
        assert_eq!(state(dropping), State::Learning(Reason::Drops));
        let restless = Evidence { novel_units: 10, ..settled(72, 3) };
        assert_eq!(state(restless), State::Learning(Reason::NotConverging));
        let never = Evidence { novel_units: 200, ..settled(400, 15) };
        assert_eq!(state(never), State::Unmodelled(Reason::NotConverging));
        let full = Evidence { is_full: true, ..settled(72, 3) };
        assert_eq!(state(full), State::Unmodelled(Reason::Size));
    }

    #[test]
    fn what_passes_without_work_shows_nothing() {
        let restless = Evidence { novel_units: 12, ..settled(24, 1) };
        let stopped = Evidence { age_s: 30 * DAY_S, ..restless };
        let learning = State::Learning(Reason::NotConverging);
        assert_eq!((state(restless), state(stopped)), (learning, learning));
    }

    #[test]
    fn starts_that_show_something_new_more_often_than_not_are_not_known() {
        let starts = Evidence { is_start: true, least_units: 3, worked_s: 0, ..settled(3, 3) };
        assert_eq!(state(starts), State::Monitor, "how seldom it starts is known");
        let new = Evidence { novel_units: 3, ..starts };
        assert_eq!(state(new), State::Learning(Reason::NotConverging));
        let missing_s = assess(&new, &Settings::default()).missing_s;
        assert_eq!(missing_s, Some(3 * DAY_S), "three more starts");
        let half = Evidence { units: 6, age_s: 6 * DAY_S, ..new };
        assert_eq!(state(half), State::Monitor);
    }

    #[test]
    fn a_second_is_no_measure_of_a_day() {
        let settings = Settings::default();
        let new = Evidence { age_s: 1, units: 1, novel_units: 1, ..settled(1, 0) };
        let [expected, bound] = assess(&new, &settings).daily;
        assert!((expected - 24.0).abs() < 1e-6 && bound <= 24.0, "{expected} {bound}");
        // What it takes to be monitored goes by the time that has passed.
        let hasty = Settings { ready_after_s: 0, most_daily_percent: 30_000, ..settings };
        let quick = Evidence { age_s: 60, ..settled(24, 0) };
        assert!(assess(&quick, &hasty).daily[1] <= hasty.most_daily());
        assert_eq!(assess(&quick, &hasty).state, State::Learning(Reason::NotConverging));
    }

    #[test]
    fn what_is_missing_is_about_three_times_the_promise() {
        let assessment = assess(&settled(24, 1), &Settings::default());
        assert_eq!(assessment.state, State::Learning(Reason::NotConverging));
        let missing_h = assessment.missing_s.expect("is foreseen") / 3600;
        assert!((30..50).contains(&missing_h), "{missing_h}");
    }

    #[test]
    fn a_faster_clock_shortens_the_gates_and_leaves_the_bound() {
        let settings = Settings { time_scale: 24, ..Settings::default() };
        let evidence = Evidence { age_s: 3 * 3600, ..settled(72, 3) };
        assert_eq!(assess(&evidence, &settings).state, State::Monitor);
        let [_, bound] = assess(&evidence, &settings).share;
        let [_, slow] = assess(&settled(72, 3), &Settings::default()).share;
        assert!((bound - slow).abs() < 1e-9);
    }

    proptest! {
        #[test]
        fn the_bound_is_no_less_than_the_estimate_and_falls_with_quiet_units(
            hits in 0..500_u32, more in 0..500_u32,
        ) {
            let tries = f64::from(hits + more).max(1.0);
            let bound = wilson_upper(f64::from(hits), tries);
            prop_assert!(bound + 1e-9 >= f64::from(hits) / tries && bound <= 1.0);
            prop_assert!(wilson_upper(f64::from(hits), tries + 1.0) <= bound + 1e-9);
        }
    }
}
