//! How much time says: work, its ends, losses, and what older files leave out.

use plimsoll_ebpf::events::container as lifecycle;

use super::*;
use crate::baseline::profile::Profile;

/// A container ends well.
pub(super) fn end() -> Vec<u8> {
    let mut texts = TailBuilder::default();
    let op = texts.push(b"die");
    let body = lifecycle::Container { op, ..lifecycle::Container::default() };
    encode(Header::default(), body, texts.bytes())
}

#[test]
fn what_works_for_long_does_so_by_itself_however_well_it_is_stopped() {
    let mut stage = Stage::new();
    (1..=2).for_each(|number| drop(stage.run(number, "/app", None)));
    for hour in 0..80 {
        if hour == 60 {
            stage.see(1, None, &end(), None);
            stage.run(3, "/app", None);
        }
        let there = if hour < 60 { [1, 2] } else { [2, 3] };
        for number in there {
            stage.run(number, "/bin/convert", Some("/app"));
        }
        stage.pass(1);
    }
    assert!(stage.is_monitored(Dimension::Process));
    let mut batch = stage.baseline.profiles()[0].clone();
    batch.exposure[Context::Steady as usize].units = 30;
    let is_active =
        |good_exits| Profile { good_exits, ..batch.clone() }.is_active(&Settings::default());
    assert_eq!([0, 1, 2, 4, 5].map(is_active), [true, true, false, false, true]);
}

#[test]
fn losses_of_long_ago_hold_nothing_back() {
    let mut stage = Stage::new();
    (1..=2).for_each(|number| stage.start(number));
    for profile in stage.baseline.profiles_mut() {
        profile.lost = 10_000;
    }
    let days = |stage: &mut Stage, days: u64| {
        for _ in 0..24 * days {
            (1..=2).for_each(|number| stage.work(number));
            stage.pass(1);
        }
        stage.is_monitored(Dimension::Process)
    };
    assert!(!days(&mut stage, 4));
    assert!(days(&mut stage, 9));
}

#[test]
fn a_profile_of_a_file_that_says_less_is_dated_by_the_file() {
    let mut stage = Stage::new();
    stage.start(1);
    stage.pass(2);
    let mut saved = Saved::of(&stage.baseline.profiles()[0], &Settings::default(), 77);
    saved.exposure[Context::Steady as usize].last_s = 0;
    let exposure = saved.into_profile().exposure;
    assert_eq!(exposure[Context::Steady as usize].last_s, 77);
    assert_eq!(exposure[Context::Session as usize].last_s, 0, "there are no units");
}
