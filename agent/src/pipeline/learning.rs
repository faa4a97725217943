//! What the pipeline does for the baseline: feeds it, lets time pass, has profiles kept.

use crossbeam_channel::Receiver;

use super::{subjects, surveyor::Surveyor};
use crate::{
    attribution::attributor::Attributor,
    baseline::{
        convergence::State,
        dimension::{Context, Dimension},
        learner::Baseline,
        orders::Order,
        survey::Wish,
    },
    clock,
    metrics::names::Metrics,
    store::profiles::ProfileWriter,
    verdict::judge::Judge,
};

/// See the module.
pub struct Learning {
    baseline: Option<Baseline>,
    orders: Receiver<Order>,
    profiles: ProfileWriter,
    surveyor: Surveyor,
    /// Images that the surveyor had no room for.
    wishes: Vec<Wish>,
}

impl Learning {
    /// Learns into `baseline`, where there is one; does as `orders` say, has images looked into and
    /// profiles written.
    pub fn new(
        baseline: Option<Baseline>,
        orders: Receiver<Order>,
        profiles: ProfileWriter,
        surveyor: Surveyor,
    ) -> Self {
        Self { baseline, orders, profiles, surveyor, wishes: Vec::new() }
    }

    /// What is known, where anything is learned.
    pub(super) fn baseline(&self) -> Option<&Baseline> {
        self.baseline.as_ref()
    }

    /// What learns and measures, likewise.
    pub(super) fn baseline_mut(&mut self) -> Option<&mut Baseline> {
        self.baseline.as_mut()
    }

    /// Does what an operator asked for; returns whether there was anything.
    pub(super) fn carry_out(&mut self) -> bool {
        let Some(baseline) = &mut self.baseline else { return false };
        let orders = self.orders.try_iter();
        orders.map(|it| baseline.carry_out(&it, clock::now_ns() / 1_000_000_000)).count() > 0
    }

    /// Lets time pass, and hands over at most so many profiles to be written.
    pub(super) fn tick(&mut self, attributor: &Attributor, now_ns: u64, most: usize) {
        let Some(baseline) = &mut self.baseline else { return };
        let there: std::collections::HashSet<u64> =
            attributor.directory.there().map(|(cgroup_id, _)| cgroup_id).collect();
        self.surveyor.found().for_each(|found| baseline.look_into(found));
        self.wishes.extend(baseline.take_wishes());
        let surveyor = &self.surveyor;
        self.wishes = self.wishes.drain(..).filter_map(|wish| surveyor.ask(wish)).collect();
        baseline.tick(now_ns / 1_000_000, |cgroup_id| there.contains(&cgroup_id));
        let most = most.min(self.profiles.room());
        for saved in baseline.take_unsaved(most, now_ns / 1_000_000_000) {
            let subject = saved.subject.clone();
            if self.profiles.write(saved).is_some() {
                tracing::debug!(%subject, "a profile waits to be written");
            }
        }
    }

    /// Hands over all that is not written and waits for it.
    pub(super) fn close(&mut self, attributor: &Attributor, now_ns: u64) {
        self.tick(attributor, now_ns, usize::MAX);
        self.profiles.close();
    }

    /// Shows what is known in the metrics.
    pub(super) fn show(&self, judge: &Judge, metrics: &Metrics) {
        let Some(baseline) = &self.baseline else { return };
        let now_s = clock::now_ns() / 1_000_000_000;
        let mut states = [0_u64; State::NAMES.len()];
        let mut behaviours = [0_u64; Dimension::ALL.len()];
        for profile in baseline.profiles() {
            for dimension in profile.dimensions() {
                let settings = baseline.settings();
                let state = profile.assess(dimension, Context::Steady, now_s, settings).state;
                let at = State::NAMES.iter().position(|name| *name == state.name());
                states[at.unwrap_or_default()] += 1;
                behaviours[dimension as usize] += profile.known(dimension) as u64;
            }
        }
        subjects::show_profiles(metrics, baseline, now_s);
        for (name, count) in State::NAMES.into_iter().zip(states) {
            metrics.profiles.set_to(name, count);
        }
        let counts = baseline.counts();
        for dimension in Dimension::ALL {
            let at = dimension as usize;
            metrics.behaviours.set_to(dimension.name(), behaviours[at]);
            metrics.behaviours_learned.set_to(dimension.name(), counts.learned[at]);
            metrics.departures.set_to(dimension.name(), counts.departures[at]);
        }
        for (reason, count) in [
            ("never_learned", counts.unlearnable),
            ("no_room", counts.refused),
            ("flood", counts.frozen),
            ("too_many_profiles", counts.refused_profiles),
        ] {
            metrics.behaviours_refused.set_to(reason, count);
        }
        metrics.alerts_held_back.set_to("repeated", judge.departures().repeated());
        metrics.alerts_held_back.set_to("budget", judge.departures().suppressed());
        metrics.alerts_held_back.set_to("alike", judge.departures().alike());
        metrics.alerts_held_back.set_to("own_data", counts.one_more);
    }
}
