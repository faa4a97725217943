//! Who vouches for what only one container showed, and who doubts it.

use super::{time::end, *};
use crate::stable_hash::stable_hash;

/// What only one container does, seldom.
const JOB: &str = "/bin/job";

impl Stage {
    fn work_for(&mut self, hours: u64, containers: &[u64]) {
        for _ in 0..hours {
            for number in containers {
                self.work(*number);
            }
            self.pass(1);
        }
    }

    /// Containers end, and others take their place.
    fn replace(&mut self, olds: &[u64], news: &[u64]) {
        for old in olds {
            self.see(*old, None, &end(), None);
        }
        self.pass(1);
        for new in news {
            self.start(*new);
        }
    }

    fn does_job(&mut self, number: u64) -> Option<String> {
        let departure = self.run(number, JOB, Some("/app"))?;
        Some(self.baseline.explain(&departure))
    }
}

fn is_doubt(told: Option<String>) -> bool {
    told.is_some_and(|it| it.contains("only one"))
}

#[test]
fn what_all_do_at_their_start_vouches_for_no_single_one_after_it() {
    let mut stage = Stage::new();
    for number in 1..=3 {
        stage.run(number, "/app", None);
        stage.run(number, JOB, Some("/app"));
        stage.start(number);
    }
    assert_eq!(stage.does_job(3), None, "it is learned");
    stage.work_for(120, &[1, 2, 3]);
    assert!(is_doubt(stage.does_job(3)));
    assert!(is_doubt(stage.does_job(1)), "it has worked for long without");
}

#[test]
fn who_is_remembered_no_more_is_doubted_all_the_same() {
    let mut stage = Stage::new();
    (1..=3).for_each(|it| stage.start(it));
    assert_eq!(stage.does_job(3), None, "it is learned");
    stage.work_for(120, &[1, 2, 3]);
    let hash = stable_hash(container(3).id.as_bytes());
    for profile in stage.baseline.profiles_mut() {
        profile.contributors.retain(|it| it.hash != hash);
    }
    assert!(is_doubt(stage.does_job(3)));
}

#[test]
fn a_seldom_job_is_known_of_those_that_take_the_place_of_the_first() {
    let mut stage = Stage::new();
    stage.start(1);
    assert_eq!(stage.does_job(1), None, "it is learned");
    stage.work_for(170, &[1]);
    assert!(stage.is_monitored(Dimension::Process));
    stage.replace(&[1], &[4]);
    stage.work_for(40, &[4]);
    stage.replace(&[4], &[5]);
    stage.work_for(40, &[5]);
    assert_eq!(stage.does_job(5), None);
}

#[test]
fn a_seldom_job_is_known_when_replicas_are_added() {
    let mut stage = Stage::new();
    stage.start(1);
    assert_eq!(stage.does_job(1), None, "it is learned");
    stage.work_for(170, &[1]);
    (2..=3).for_each(|it| stage.start(it));
    stage.work_for(40, &[1, 2, 3]);
    assert_eq!(stage.does_job(1), None);
}

#[test]
fn who_takes_the_place_of_one_that_was_doubted_confirms_it() {
    let mut stage = Stage::new();
    (1..=3).for_each(|it| stage.start(it));
    assert_eq!(stage.does_job(1), None, "it is learned");
    stage.work_for(120, &[1, 2, 3]);
    assert!(is_doubt(stage.does_job(2)), "the first is at work");
    stage.replace(&[1, 2, 3], &[4, 5, 6]);
    stage.work_for(2, &[4, 5, 6]);
    assert_eq!(stage.does_job(4), None);
    assert_eq!(stage.does_job(5), None, "two have shown it");
}

#[test]
fn a_file_that_all_write_vouches_for_no_multitude_that_one_writes() {
    let mut stage = Stage::new();
    (1..=3).for_each(|it| stage.start(it));
    (1..=3).for_each(|it| stage.work(it));
    let app = process("/app", None, Origin::Init);
    let colours = ["red", "green", "blue", "yellow", "white", "black", "grey", "brown", "pink"];
    let animals = ["fox", "horse", "mouse", "cat", "elephant", "dog", "wolf", "beaver", "owl"];
    let writes = |stage: &mut Stage, number, name: &str| {
        let path = format!("/cache/{name}.html");
        let departure = stage.see(number, Some(&app), &write(&path, 0o100_644), None)?;
        Some(stage.baseline.explain(&departure))
    };
    for (colour, animal) in colours.iter().flat_map(|it| animals.map(|other| (it, other))) {
        let name = format!("{colour}{animal}");
        assert_eq!(writes(&mut stage, 3, &name), None, "it is learned");
    }
    stage.work_for(120, &[1, 2, 3]);
    assert!(stage.is_monitored(Dimension::Write));
    assert!(is_doubt(writes(&mut stage, 3, "another")));
    assert_eq!(writes(&mut stage, 1, "page"), None);
}
