//! What becomes of one observation, and of one second: learned from, judged, told. The agent at work
//! and a replay of what it recorded both come here.

use std::sync::Arc;

use super::judge::{Judge, Tell};
use crate::{
    attribution::{container::Container, observation::Observation},
    baseline::{departure::Judged, learner::Baseline},
};

/// Learns from an observation, where anything is learned, and judges it. Returns whether it is known
/// to be usual, and nothing is told or allowed of it.
pub fn observe(
    baseline: Option<&mut Baseline>,
    judge: &mut Judge,
    observation: &Observation<'_>,
    tell: &mut Tell<'_>,
) -> bool {
    let Some(baseline) = baseline else {
        judge.observe(observation, None, tell);
        return false;
    };
    let Judged { departure, is_known } = baseline.observe(observation);
    let is_settled =
        judge.observe(observation, departure.as_ref().map(|it| (it, &*baseline)), tell);
    is_known && !is_settled
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
