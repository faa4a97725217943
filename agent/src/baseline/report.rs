//! What is told of a profile as a whole, rather than of one act: what a release added, and which
//! replica differs from the others.

use std::{fmt::Write as _, sync::Arc};

use plimsoll_ebpf::{rules::Rule, value::readable};

use super::{
    heritage::{Heritage, Look},
    profile::Profile,
    settings::{DAY_S, Settings},
    subject::{Subject, short},
};
use crate::attribution::container::Container;

/// When additions are told after the first was seen, in seconds by the clock of learning, and from the
/// last on each day; besides, once no more are taken for such.
const STEPS_S: [u64; 4] = [600, 3600, 6 * 3600, DAY_S];
/// How long it is waited for that the images are compared, in real seconds.
const LOOK_S: u64 = 120;
/// Additions that are named in one report.
const MOST_NAMED: usize = 30;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The rule that it is told by.
    pub rule: Rule,
    /// The container it is about, or one of the image's.
    pub container: Arc<Container>,
    /// Its cgroup.
    pub cgroup_id: u64,
    /// How many behaviours it is about.
    pub count: u64,
    /// What is told.
    pub reason: String,
}

/// What is due to be told of a release at a moment; it is taken for told.
pub(super) fn of_release(
    profile: &mut Profile,
    now_s: u64,
    settings: &Settings,
) -> Option<(u64, String)> {
    let heritage = profile.heritage.as_mut()?;
    if !is_due(heritage, now_s, settings) {
        return None;
    }
    let release = &mut heritage.release;
    release.told = release.count();
    release.tellings += 1;
    profile.is_unsaved = true;
    let heritage = profile.heritage.as_ref()?;
    Some((heritage.release.told, words(heritage, profile)))
}

/// Whether there is more than was told, and it was waited for long enough.
fn is_due(heritage: &Heritage, now_s: u64, settings: &Settings) -> bool {
    let release = &heritage.release;
    let is_young = now_s.saturating_sub(heritage.since_s) < LOOK_S;
    if heritage.look == Look::Pending && is_young || release.count() <= release.told {
        return false;
    }
    let passed_s = now_s.saturating_sub(release.first_s) as f64;
    release.ended_s != 0 || passed_s >= settings.seconds(step_s(release.tellings))
}

/// How long after the first addition they are told once more.
fn step_s(tellings: u32) -> u64 {
    let days = u64::from(tellings).saturating_sub(STEPS_S.len() as u64 - 2);
    STEPS_S.get(tellings as usize).copied().unwrap_or(days.saturating_mul(DAY_S))
}

fn words(heritage: &Heritage, profile: &Profile) -> String {
    let release = &heritage.release;
    let count = release.count();
    let mut text = format!(
        "{} of the image {} does what the version before, {}, was not seen to do: {count} {}.",
        profile.subject,
        readable(profile.image.as_bytes()),
        short(&heritage.from),
        if count == 1 { "behaviour" } else { "behaviours" },
    );
    let (brought, others): (Vec<_>, Vec<_>) =
        release.additions.iter().partition(|it| it.is_expected);
    let mut left = MOST_NAMED;
    for (heading, additions) in [
        ("By programs that the version before had too", others),
        ("By programs that the image brings", brought),
    ] {
        if additions.is_empty() {
            continue;
        }
        let _ = write!(text, " {heading}: ");
        let named = additions.iter().take(left).map(|it| {
            let key = readable(it.key.as_bytes());
            format!("{} {key} ({})", it.dimension.name(), it.context.name())
        });
        text.push_str(&named.collect::<Vec<_>>().join("; "));
        if additions.len() > left {
            let _ = write!(text, "; and {} more", additions.len() - left);
        }
        left = left.saturating_sub(additions.len());
        text.push('.');
    }
    if release.unlisted > 0 {
        let _ = write!(text, " {} more are not listed.", release.unlisted);
    }
    if release.unlearned > 0 {
        let _ = write!(
            text,
            " {} acts were too many at once to be learned, and are told later if they go on.",
            release.unlearned
        );
    }
    let _ = write!(
        text,
        " Inherited were {} behaviours, of which {} were dropped with their programs.",
        heritage.inherited, heritage.dropped
    );
    if matches!(heritage.look, Look::Unreadable | Look::Pending) {
        text.push_str(" The images were not compared.");
    }
    if let Subject::Image { digest, .. } = &profile.subject {
        let (from, to) = (short(&heritage.from), short(digest));
        let _ = write!(
            text,
            " `plimsoll profile diff {from} {to}` compares them; if something does not belong there, \
             `plimsoll profile deny {to} --since TIME`."
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_release_adds_is_told_seldom_and_then_daily() {
        let steps_h = (1..7).map(|it| step_s(it) / 3600);
        assert_eq!(steps_h.collect::<Vec<_>>(), [1, 6, 24, 48, 72, 96]);
    }
}
