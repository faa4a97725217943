//! Replicas that are compared while they are learned.

use super::*;
use crate::baseline::report::Report;

/// Three replicas that have worked for a few hours.
fn replicas() -> Stage {
    let mut stage = Stage::new();
    (1..=3).for_each(|it| stage.start(it));
    for _ in 0..5 {
        (1..=3).for_each(|it| stage.work(it));
        stage.pass(1);
    }
    assert_eq!(stage.baseline.take_reports(), []);
    stage
}

fn told(stage: &mut Stage) -> Vec<Report> {
    stage.pass(0);
    stage.baseline.take_reports()
}

#[test]
fn a_replica_that_does_much_that_is_new_is_told_while_nothing_else_is() {
    let mut stage = replicas();
    for name in ["id", "uname", "cat"] {
        assert_eq!(stage.run(2, &format!("/bin/{name}"), None), None, "it is learned still");
    }
    assert_eq!(told(&mut stage).len(), 1, "programs, and that the container starts them");
    assert_eq!(told(&mut stage), [], "once");
    stage.run(2, "/bin/more", None);
    assert_eq!(told(&mut stage), [], "once");
}

#[test]
fn what_is_told_of_a_replica_names_it_and_what_it_did() {
    let mut stage = replicas();
    (0..9).for_each(|it| drop(stage.run(3, &format!("/bin/tool-{it}"), Some("/app"))));
    let reports = told(&mut stage);
    let [report] = reports.as_slice() else { panic!("{reports:?}") };
    assert_eq!((report.rule, report.count), (Rule::ReplicaDiffers, 18));
    assert_eq!(report.container.id, container(3).id);
    let id = &container(3).id[..12];
    for part in ["18 behaviours", "2 siblings", "/bin/tool-0", "and more", id] {
        assert!(report.reason.contains(part), "{part}: {}", report.reason);
    }
}

#[test]
fn who_has_no_siblings_or_young_ones_is_compared_with_nobody() {
    let mut stage = Stage::new();
    stage.start(1);
    for hour in 0..20 {
        stage.work(1);
        stage.run(1, &format!("/bin/hourly-{hour}"), Some("/app"));
        stage.pass(1);
    }
    stage.start(2);
    stage.start(3);
    for _ in 0..4 {
        (2..=3).for_each(|it| stage.work(it));
        stage.pass(1);
    }
    assert_eq!(told(&mut stage), [], "it has worked for far longer");
}

#[test]
fn replicas_that_differ_a_little_are_usual() {
    let mut stage = replicas();
    stage.run(1, "/bin/rare", Some("/app"));
    assert_eq!(told(&mut stage), []);
}

#[test]
fn what_somebody_does_in_one_of_them_by_sessions_makes_it_no_other() {
    let mut stage = replicas();
    for name in 0..9 {
        let session = process(&format!("/bin/tool-{name}"), None, Origin::Exec);
        stage.see(3, Some(&session), &exec(code::IMAGE), None);
    }
    assert_eq!(told(&mut stage), []);
}
