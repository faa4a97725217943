//! The replica that shows far more that is new than the others: told while learning tells nothing.

use std::collections::HashMap;

use plimsoll_ebpf::value::readable;

use super::{
    dimension::{Context, Dimension},
    entries::Entry,
    learned::Learned,
    profile::{Contributor, Profile},
};

/// Units that a sibling has worked for at least, and what part of the units of the one it is
/// compared with.
const LEAST_UNITS: u32 = 3;
const LEAST_PART: u32 = 2;
/// Siblings that are needed to say what is usual.
const LEAST_SIBLINGS: usize = 2;
/// How many deviations above the median are told, and how many behaviours at least.
const DEVIATIONS: f64 = 3.0;
const FLOOR: f64 = 3.0;
/// Behaviours that are named.
const MOST_NAMED: usize = 10;

/// A replica that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Deviant {
    /// Hash of its id.
    pub(super) hash: u64,
    /// Behaviours that it alone has shown.
    pub(super) count: u64,
    /// What is told.
    pub(super) reason: String,
}

/// The replicas that differ from their siblings and were not told; they are taken for told.
pub(super) fn take_deviants(profile: &mut Profile) -> Vec<Deviant> {
    profile.is_grown = false;
    if profile.contributors.len() <= LEAST_SIBLINGS {
        return Vec::new();
    }
    let counts = counts(profile);
    let count_of = |it: &Contributor| counts.get(&it.hash).copied().unwrap_or_default();
    let mut deviants = Vec::new();
    for it in profile.contributors.iter().filter(|it| !it.is_told) {
        let is_sibling = |other: &&Contributor| {
            let least = LEAST_UNITS.max(it.units / LEAST_PART);
            other.role == it.role && other.hash != it.hash && other.units >= least
        };
        let siblings: Vec<f64> = (profile.contributors.iter().filter(is_sibling))
            .map(|it| f64::from(count_of(it)))
            .collect();
        if siblings.len() < LEAST_SIBLINGS {
            continue;
        }
        let (count, usual) = (count_of(it), median(siblings.clone()));
        let spread = median(siblings.iter().map(|it| (it - usual).abs()).collect());
        if f64::from(count) <= usual + (DEVIATIONS * spread).max(FLOOR) {
            continue;
        }
        let named = named(profile, it.hash);
        let reason = format!(
            "One replica of {} shows {count} behaviours that no other container showed; half of its \
             {} siblings show {usual} or fewer. {}{}. They are told while it is learned what is \
             usual; `plimsoll profile deny {} --container {}` keeps them from being learned.",
            profile.subject,
            siblings.len(),
            named.join("; "),
            if count as usize > named.len() { "; and more" } else { "" },
            readable(profile.image.as_bytes()),
            it.id,
        );
        deviants.push(Deviant { hash: it.hash, count: count.into(), reason });
    }
    for it in &mut profile.contributors {
        it.is_told |= deviants.iter().any(|deviant| deviant.hash == it.hash);
    }
    profile.is_unsaved |= !deviants.is_empty();
    deviants
}

/// How many behaviours only one container has shown, by that container.
fn counts(profile: &Profile) -> HashMap<u64, u32> {
    let mut counts = HashMap::new();
    for learned in judged_here(profile) {
        let alone = learned.entries().iter().filter_map(|(_, entry)| alone(entry));
        alone.for_each(|it| *counts.entry(it).or_default() += 1);
    }
    counts
}

/// Some of the behaviours that this container alone has shown.
fn named(profile: &Profile, hash: u64) -> Vec<String> {
    let mut named = Vec::new();
    for learned in judged_here(profile) {
        learned.visit(&mut |scope, key, entry| {
            if named.len() < MOST_NAMED && alone(entry) == Some(hash) {
                let by = if scope.is_empty() { "" } else { " " };
                named.push(readable(format!("{scope}{by}{key}").as_bytes()).into_owned());
            }
        });
    }
    named
}

/// The dimensions that are learned still, in which nothing new is told otherwise. What programs are
/// given differs more among replicas than what they do.
fn judged_here(profile: &Profile) -> impl Iterator<Item = &Learned> {
    let is_learned = |it: &Dimension| {
        let is_monitored = profile.is_monitored(*it, Context::Steady) && !profile.is_in_release();
        *it != Dimension::Arguments && !is_monitored
    };
    profile.dimensions().filter(is_learned).map(|it| &profile.learned[it as usize])
}

/// The one container that has shown something. Sessions do not count: whoever repairs something or looks
/// after it does so in one replica.
fn alone(entry: &Entry) -> Option<u64> {
    let [first, rest @ ..] = entry.supporters;
    let is_own = entry.units(&[Context::Start, Context::Steady, Context::Health]) > 0;
    let is_alone = first != 0 && rest.iter().all(|it| *it == 0);
    (is_alone && is_own && !entry.is_denied && !entry.is_inherited).then_some(first)
}

fn median(mut of: Vec<f64>) -> f64 {
    of.sort_by(f64::total_cmp);
    let middle = of.len() / 2;
    match (of.get(middle), of.len() % 2) {
        (Some(upper), 0) => f64::midpoint(of[middle - 1], *upper),
        (Some(it), _) => *it,
        (None, _) => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert!((median(vec![3.0, 1.0, 2.0]) - 2.0).abs() < 1e-9);
        assert!((median(vec![4.0, 1.0]) - 2.5).abs() < 1e-9);
        assert!(median(Vec::new()).abs() < 1e-9);
    }
}
