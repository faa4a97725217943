//! What is in memory where there is more than there is room for.

use super::*;
use crate::baseline::{
    profile::{Contributor, Profile},
    slots::MOST_PROFILES,
    subject::Subject,
};

/// As many profiles as there is room for, each of a service that rests the longer the higher its
/// number.
fn full() -> Stage {
    let mut stage = Stage::new();
    for number in 1..=MOST_PROFILES as u64 {
        let mut profile = Profile::new(Subject::Service { name: format!("old {number}") });
        let last_s = BEGIN_MS / 1000 - 3 * 3600 - number;
        profile.contributors.push(Contributor { last_s, ..Contributor::default() });
        profile.is_unsaved = false;
        stage.baseline.restore(profile);
    }
    stage
}

fn is_there(stage: &Stage, number: usize) -> bool {
    let subject = Subject::Service { name: format!("old {number}") };
    stage.baseline.profiles().iter().any(|it| it.subject == subject)
}

#[test]
fn a_profile_that_rests_for_longest_makes_room_unless_it_is_needed() {
    let mut stage = full();
    let profiles = stage.baseline.profiles_mut();
    profiles[MOST_PROFILES - 1].standing[0].monitored_s[1] = 1;
    profiles[MOST_PROFILES - 2].is_unsaved = true;
    profiles[MOST_PROFILES - 3].contributors.clear();
    stage.start(1);
    assert_eq!(stage.baseline.profiles().len(), MOST_PROFILES);
    let gone: Vec<usize> =
        (1..=MOST_PROFILES).filter(|number| !is_there(&stage, *number)).collect();
    assert_eq!(gone, [MOST_PROFILES - 4, MOST_PROFILES - 3], "for an image and its service");
    assert_eq!(stage.baseline.counts().refused_profiles, 0);
    assert_eq!(stage.baseline.take_wishes().len(), 1);
    assert_eq!(stage.run(1, "/bin/convert", Some("/app")), None);
    let is_image = |it: &&Profile| it.subject.is_image();
    let image = stage.baseline.profiles().iter().find(is_image).expect("has room");
    assert_eq!(image.learned[Dimension::Process as usize].entries().len(), 2);
}

#[test]
fn what_is_at_work_makes_no_room() {
    let mut stage = full();
    for profile in stage.baseline.profiles_mut() {
        profile.contributors[0].last_s = BEGIN_MS / 1000 - 60;
    }
    stage.start(1);
    assert_eq!(stage.baseline.counts().refused_profiles, 2);
    assert!((1..=MOST_PROFILES).all(|number| is_there(&stage, number)));
}

#[test]
fn room_that_all_profiles_together_lack_is_there_again() {
    let mut stage = Stage::new();
    stage.start(1);
    let of = |stage: &Stage| {
        let profile = &stage.baseline.profiles()[0];
        let learned = &profile.learned[Dimension::Process as usize];
        let frozen = profile.standing[Dimension::Process as usize].frozen;
        (learned.entries().len(), learned.is_full, frozen[Context::Steady as usize])
    };
    stage.baseline.known.total_bytes = usize::MAX / 2;
    for exe in ["/bin/one", "/bin/two"] {
        assert_eq!(stage.run(1, exe, Some("/app")), None);
    }
    assert_eq!(of(&stage), (1, false, 1));
    stage.pass(2);
    stage.run(1, "/bin/one", Some("/app"));
    assert_eq!(of(&stage), (2, false, 1));
}

#[test]
fn a_dimension_that_has_room_again_is_full_no_more() {
    let mut stage = Stage::learned();
    for profile in stage.baseline.profiles_mut() {
        profile.learned[Dimension::Process as usize].is_full = true;
    }
    stage.start(VERSION + 1);
    let profiles = stage.baseline.profiles();
    let is_full = |it: &Profile| it.learned[Dimension::Process as usize].is_full;
    assert!(profiles.iter().any(|it| it.heritage.is_some() && !is_full(it)));
    let saved = Saved::of(&profiles[0], &Settings::default(), 1);
    assert!(is_full(&profiles[0]) && !is_full(&saved.into_profile()));
}
