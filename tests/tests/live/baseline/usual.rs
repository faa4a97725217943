//! What is new and still no departure: one more file among a program's own, and the first run of a job
//! that the image schedules.

use std::time::Duration;

use plimsoll_tests::{
    docker::{BUSYBOX, Docker, Image, unique},
    event::text,
    guard::alerts,
    poll,
};
use serde_json::json;

use super::{WORK, fast, have_done, wait_until_monitored};

/// How long it may take until a scheduler's next minute has begun, and some.
const MINUTE: Duration = Duration::from_secs(90);

#[test]
fn one_more_file_that_a_program_keeps_in_its_volume_is_not_told() {
    const VARIANT: &str = "-bv";
    let agent = fast().start();
    let kept = "for it in ab cd ef gh ij kl mn op; do echo > /data/$it; done";
    let work = WORK.replace("do echo", &format!("do {kept}; echo"));
    let command = ["/bin/sh", VARIANT, "-c", &work];
    let start = || Docker::host().start(BUSYBOX, &["--volume=/data"], &command);
    let (container, _twin) = (start(), start());
    wait_until_monitored(&agent, VARIANT);
    let of_volume = "plimsoll_alerts_suppressed_total{reason=\"own_data\"}";
    have_done(&container, "mkdir /data/sub; echo > /data/sub/qr; echo > /data/st");
    poll::holds("it is counted", || agent.metric(of_volume) >= 2.0);
    have_done(&container, "echo > /data/dump.sql; echo > /dev/shm/st");
    for path in ["/data/dump.sql", "/dev/shm/st"] {
        agent.expect(&container, "alert", &json!({"rule": "new_write", "alert.path": path}));
    }
    let told = agent.all(&container, "alert", &json!({"rule": "new_write"}));
    let paths: Vec<&str> = told.iter().map(|it| text(it, "alert.path")).collect();
    assert!(!paths.contains(&"/data/sub/qr") && !paths.contains(&"/data/st"), "{paths:?}");
    agent.stop();
}

#[test]
fn the_first_run_of_a_job_that_the_image_schedules_is_learned() {
    const VARIANT: &str = "-bx";
    let agent = fast().start();
    let job = "/bin/stat / > /dev/null; echo > /dev/shm/job; echo > /dev/shm/job.sh";
    let lines = format!(
        "FROM {BUSYBOX}\nRUN mkdir -p /etc/crontabs && echo '* * * * * {job}' > /etc/crontabs/root\n"
    );
    let image = Image::build(&Docker::host(), &format!("{}:1", unique("jobs")), &lines);
    let start = || Docker::host().start(&image.name, &[], &["/bin/sh", VARIANT, "-c", WORK]);
    let (container, _twin) = (start(), start());
    wait_until_monitored(&agent, VARIANT);
    have_done(&container, "/bin/crond -b -L /dev/null -c /etc/crontabs");
    // What others run is nobody's usual work, a job's or not.
    let script = json!({"rule": "new_sensitive_write", "alert.path": "/dev/shm/job.sh"});
    let is_told = || (!agent.all(&container, "alert", &script).is_empty()).then_some(());
    assert!(poll::until(MINUTE, is_told).is_some(), "the job runs: {}", agent.log());
    have_done(&container, "/bin/id > /dev/null");
    let by_hand = json!({"rule": "discovery", "alert.path": "/bin/busybox/id"});
    agent.expect(&container, "alert", &by_hand);
    let all = alerts(&agent, &container);
    let of_job = |it: &&serde_json::Value| {
        ["/bin/busybox/stat", "/dev/shm/job"].contains(&text(it, "alert.path"))
    };
    assert_eq!(all.iter().filter(of_job).count(), 0, "{all:#?}");
    agent.stop();
}
