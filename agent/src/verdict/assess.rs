//! What becomes of one observation, and of one second: learned from, judged, told. The agent at work
//! and a replay of what it recorded both come here.

use std::sync::Arc;

use super::judge::{Judge, Tell};
use crate::{
    attribution::{container::Container, observation::Observation},
    baseline::learner::Baseline,
};

/// Learns from an observation, where anything is learned, and judges it.
pub fn observe(
    baseline: Option<&mut Baseline>,
    judge: &mut Judge,
    observation: &Observation<'_>,
    tell: &mut Tell<'_>,
) {
    let Some(baseline) = baseline else {
        judge.observe(observation, None, tell);
        return;
    };
    let departure = baseline.observe(observation);
    judge.observe(observation, departure.as_ref().map(|it| (it, &*baseline)), tell);
}

/// Receives an alert of a profile as a whole, with the container that it is told of.
pub type TellReport<'t> = dyn FnMut(&[u8], &Arc<Container>) + 't;

/// Tells what is to be told of profiles as a whole, at this moment since boot.
pub fn report(baseline: &mut Baseline, judge: &mut Judge, now_ns: u64, tell: &mut TellReport<'_>) {
    for report in baseline.take_reports() {
        let alert = judge.report(&report, now_ns);
        tell(&alert, &report.container);
    }
}
