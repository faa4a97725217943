//! What is more than a sink can hold is lost to that sink alone, and counted.

use std::{fs, process::Command};

use plimsoll_tests::{agent::Setup, event, poll, receiver::Webhook, require};

use super::{RETRY, breach, container, expect_told, metric, programs, sink, told};

/// More than wait in memory, and more bytes than the queue on disk may have.
const ACTS: usize = 1600;

#[test]
fn what_is_over_a_bound_is_lost_to_that_sink_alone_and_counted() {
    let mut server = Webhook::start();
    server.kill();
    let home = tempfile::tempdir().expect("a directory");
    let (fifo, file) = (home.path().join("fifo"), home.path().join("alerts"));
    let made = Command::new(require::program("mkfifo")).arg(&fifo).status();
    assert!(made.is_ok_and(|status| status.success()), "there is a fifo");
    let url = format!("url = \"http://{}/\"\nqueue_bytes = \"1MiB\"", server.address);
    let path = |path: &std::path::Path| format!("path = \"{}\"", path.display());
    let sinks = [
        // Nobody reads it: who opens it hangs.
        sink("stuck", "file", &path(&fifo)),
        sink("hook", "webhook", &url),
        sink("file", "file", &path(&file)),
    ];
    let agent = Setup::default().config(&sinks.concat()).start();
    let container = container();
    breach(&container, 0..ACTS);
    let written = || told(&event::parse(&fs::read_to_string(&file).unwrap_or_default()));
    expect_told(&agent, &programs(0..ACTS), written);
    let (stuck, hook) = (["stuck", "file"], ["hook", "webhook"]);
    let full = metric(&agent, "alerts_total", stuck, ",result=\"sink_queue_full\"");
    assert!(full >= 500.0, "{full}");
    // Each sink's thread gets there in its own time.
    poll::holds("the queue on disk is at its bound", || {
        let over = metric(&agent, "alerts_total", hook, ",result=\"over_bound\"");
        over >= 1.0 && metric(&agent, "queue_length", hook, "") >= 100.0
    });
    let log = agent.log();
    assert!(log.contains("over its bound") && log.contains("its queue is full"), "{log}");
    server.restart();
    let is_empty = || (metric(&agent, "queue_length", hook, "") < 0.5).then_some(());
    assert!(poll::until(RETRY, is_empty).is_some(), "what is left is told: {}", agent.log());
    let left = told(&server.bodies());
    assert_eq!(left, programs(ACTS - left.len()..ACTS), "the newest, in order");
    // Also with a thread that hangs it ends in time.
    agent.stop();
}
