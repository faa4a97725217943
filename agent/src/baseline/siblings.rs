//! The replica that shows far more that is new than the others: told while learning tells nothing.

use std::collections::HashMap;

use plimsoll_ebpf::value::readable;

use super::{
    dimension::Context,
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
    let candidates = candidates(profile);
    let count_of = |it: &Contributor| candidates.get(&it.hash).map_or(0, Vec::len);
    let mut deviants = Vec::new();
    for it in profile.contributors.iter().filter(|it| !it.is_told) {
        let is_sibling = |other: &&Contributor| {
            let least = LEAST_UNITS.max(it.units / LEAST_PART);
            other.role == it.role && other.hash != it.hash && other.units >= least
        };
        let siblings: Vec<f64> = (profile.contributors.iter().filter(is_sibling))
            .map(|it| count_of(it) as f64)
            .collect();
        if siblings.len() < LEAST_SIBLINGS {
            continue;
        }
        let (count, usual) = (count_of(it), median(siblings.clone()));
        let spread = median(siblings.iter().map(|it| (it - usual).abs()).collect());
        if count as f64 <= usual + (DEVIATIONS * spread).max(FLOOR) {
            continue;
        }
        let named = candidates.get(&it.hash).into_iter().flatten().take(MOST_NAMED);
        let named: Vec<&str> = named.map(String::as_str).collect();
        let reason = format!(
            "One replica of {} shows {count} behaviours that no other container showed; half of its \
             {} siblings show {usual} or fewer. {}{}. They are told while it is learned what is \
             usual; `plimsoll profile deny {} --container {}` keeps them from being learned.",
            profile.subject,
            siblings.len(),
            named.join("; "),
            if count > named.len() { "; and more" } else { "" },
            readable(profile.image.as_bytes()),
            it.id,
        );
        deviants.push(Deviant { hash: it.hash, count: count as u64, reason });
    }
    for it in &mut profile.contributors {
        it.is_told |= deviants.iter().any(|deviant| deviant.hash == it.hash);
    }
    profile.is_unsaved |= !deviants.is_empty();
    deviants
}

/// What only one container has shown, by that container, where it is not judged otherwise.
fn candidates(profile: &Profile) -> HashMap<u64, Vec<String>> {
    let mut all: HashMap<u64, Vec<String>> = HashMap::new();
    for dimension in profile.dimensions() {
        if profile.is_monitored(dimension, Context::Steady) && !profile.is_in_release() {
            continue;
        }
        profile.learned[dimension as usize].visit(&mut |scope, key, entry| {
            let [first, rest @ ..] = entry.supporters;
            let is_alone = first != 0 && rest.iter().all(|it| *it == 0);
            if is_alone && !entry.is_denied && !entry.is_inherited {
                let by = if scope.is_empty() { "" } else { " " };
                let key = format!("{} {scope}{by}{key}", dimension.name());
                all.entry(first).or_default().push(readable(key.as_bytes()).into_owned());
            }
        });
    }
    all
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
