//! What is known of how much a service uses.

use serde::{Deserialize, Serialize};

use super::{
    budget::Budget, destinations::Destinations, metric::Metric, pace::Pace, sketch::Sketches,
};
use crate::baseline::convergence::Evidence;

/// Hours after which what would be told counts against what is learned: in the first, all is new.
pub const FIRST_HOURS: u32 = 3;

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volumes {
    /// Whole hours.
    pub hours: u32,
    /// Of these, hours in which something would have been told.
    pub novel_hours: u32,
    /// When the first began, in seconds since the Unix epoch; 0 before.
    pub first_s: u64,
    /// When the running hour began, in milliseconds since the Unix epoch.
    hour_began_ms: u64,
    /// When the running week began, likewise.
    week_began_ms: u64,
    /// Whether something would have been told in the running hour.
    pub(super) is_novel: bool,
    /// By windows: bytes sent and received, processor time.
    windows: [Sketches; 3],
    /// By minutes: bytes sent and received, memory, processes.
    minutes: [Sketches; 4],
    /// Bytes sent and received by hours.
    pub(super) budgets: [Budget; 2],
    /// To and from whom.
    pub destinations: Destinations,
}

impl Volumes {
    /// Amounts of windows of a metric, where it is known by windows.
    pub(super) fn windows(&mut self, of: Metric) -> Option<&mut Sketches> {
        self.windows.get_mut(window_place(of)?)
    }

    /// Amounts of minutes, likewise.
    pub(super) fn minutes(&mut self, of: Metric) -> Option<&mut Sketches> {
        self.minutes.get_mut(minute_place(of)?)
    }

    /// Lets time pass; returns whether an hour is over.
    pub fn pass(&mut self, now_ms: u64, is_learning: bool, pace: &Pace) -> bool {
        if self.first_s == 0 {
            self.first_s = (now_ms / 1000).max(1);
            (self.hour_began_ms, self.week_began_ms) = (now_ms, now_ms);
        }
        if now_ms.saturating_sub(self.week_began_ms) >= pace.week_ms {
            self.week_began_ms = now_ms;
            self.windows.iter_mut().chain(&mut self.minutes).for_each(Sketches::rotate);
            self.budgets.iter_mut().for_each(Budget::rotate);
            self.destinations.rotate();
        }
        if now_ms.saturating_sub(self.hour_began_ms) < pace.hour_ms {
            return false;
        }
        self.hour_began_ms = now_ms;
        self.hours = self.hours.saturating_add(1);
        self.novel_hours += u32::from(std::mem::take(&mut self.is_novel));
        for (budget, metric) in self.budgets.iter_mut().zip([Metric::Out, Metric::In]) {
            budget.close(is_learning, metric.hour_floor());
        }
        self.destinations.close_hour(is_learning, now_ms, pace.day_ms);
        true
    }

    /// What is known, in numbers. How much a service uses needs no second container: one does not
    /// hide what it does by doing nothing new.
    pub fn evidence(&self, now_s: u64) -> Evidence {
        Evidence {
            units: self.hours,
            novel_units: self.novel_hours,
            starts: 2,
            age_s: if self.first_s == 0 { 0 } else { now_s.saturating_sub(self.first_s) },
            // The running hour began when the latest was over.
            worked_s: (self.hour_began_ms / 1000).saturating_sub(self.first_s),
            is_active: true,
            ..Evidence::default()
        }
    }

    /// What is usual of each metric by the finest time it is known by: the median, the high
    /// quantile, the most, and the largest hour.
    pub fn usual(&self) -> Vec<(Metric, [u64; 4])> {
        let amounts = |metric| {
            let by_windows = window_place(metric).and_then(|place| self.windows.get(place));
            let by_minutes = minute_place(metric).and_then(|place| self.minutes.get(place));
            let usual = by_windows.or(by_minutes).map(Sketches::usual).unwrap_or_default();
            let hour = match metric {
                Metric::Out => self.budgets[0].largest,
                Metric::In => self.budgets[1].largest,
                Metric::Cpu | Metric::Memory | Metric::Pids => 0,
            };
            (metric, [usual.median, usual.high, usual.most, hour])
        };
        Metric::ALL.into_iter().map(amounts).collect()
    }

    /// What it takes, about, in bytes.
    pub fn bytes(&self) -> usize {
        let sketches = self.windows.iter().chain(&self.minutes);
        sketches.map(Sketches::bytes).sum::<usize>() + self.destinations.bytes()
    }
}

const fn window_place(of: Metric) -> Option<usize> {
    match of {
        Metric::Out => Some(0),
        Metric::In => Some(1),
        Metric::Cpu => Some(2),
        Metric::Memory | Metric::Pids => None,
    }
}

const fn minute_place(of: Metric) -> Option<usize> {
    match of {
        Metric::Out => Some(0),
        Metric::In => Some(1),
        Metric::Memory => Some(2),
        Metric::Pids => Some(3),
        Metric::Cpu => None,
    }
}
