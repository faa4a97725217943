//! A departure in each dimension, and its benign twin.

use plimsoll_tests::{
    event::{self, text},
    guard::alerts,
    poll,
};
use serde_json::json;

use super::{fast, have_done, profiles, wait_until_monitored, worker};

/// The option that tells this test's use of the image from others'.
const VARIANT: &str = "-u";

#[test]
fn what_departs_from_a_learned_image_is_told_with_its_reasons() {
    let agent = fast().start();
    let container = worker(VARIANT);
    let twin = worker(VARIANT);
    wait_until_monitored(&agent, VARIANT);
    have_done(&container, "/usr/bin/hello; echo > /dev/shm/state");
    let departs = |alert: &serde_json::Value| text(alert, "rule").starts_with("new_");
    let found: Vec<_> = alerts(&agent, &twin).into_iter().filter(departs).collect();
    let of_service = |it: &&serde_json::Value| text(it, "proc.origin") == "init";
    assert_eq!(found.iter().filter(of_service).count(), 0, "{found:#?}");
    have_done(
        &container,
        "/bin/stat / > /dev/null; echo > /dev/shm/other; /usr/bin/acts listen 4444 & \
         /usr/bin/acts udp 192.0.2.7 9999",
    );
    for (rule, field, object) in [
        ("new_process", "alert.path", "/bin/busybox/stat"),
        ("new_arguments", "alert.path", "/usr/bin/acts"),
        ("new_write", "alert.path", "/dev/shm/other"),
        ("new_listener", "alert.peer", ""),
        ("new_peer", "alert.peer", "192.0.2.7:9999/udp"),
    ] {
        let mut wanted = json!({"rule": rule, "proc.origin": "init"});
        if !object.is_empty() {
            wanted[field] = json!(object);
        }
        let alert = agent.expect(&container, "alert", &wanted);
        let reason = text(&alert, "reason");
        for part in ["Not seen in ", " units of 2 containers", "such a day", "after its start."] {
            assert!(reason.contains(part), "{rule}: {reason}");
        }
        assert!(event::text(&alert, "alert.allow").contains(rule), "{alert}");
    }
    // The same in another container of the image is the same departure.
    have_done(&twin, "/bin/stat / > /dev/null");
    let again = json!({"rule": "new_process", "proc.origin": "init"});
    alerts(&agent, &twin);
    assert_eq!(agent.all(&twin, "alert", &again).len(), 0);
    poll::holds("the repeat is counted", || {
        agent.metric("plimsoll_departures_total{dimension=\"process\"}") >= 2.0
            && agent.metric("plimsoll_alerts_suppressed_total{reason=\"repeated\"}") >= 1.0
    });
    let image = &profiles(&agent, VARIANT)[0];
    assert!(image["units"].as_u64().is_some_and(|units| units > 20), "{image}");
    agent.stop();
}

#[test]
fn an_operator_allows_what_departed() {
    const VARIANT: &str = "-f";
    let agent = fast().start();
    let container = worker(VARIANT);
    let _second = worker(VARIANT);
    wait_until_monitored(&agent, VARIANT);
    let rule = ["--rule", "new_write", "--path", "/dev/shm/allowed"];
    agent.told(&[&["profile", "allow", "--container", &container.name][..], &rule].concat());
    poll::holds("the pipeline has it", || agent.metric("plimsoll_exceptions") > 0.0);
    have_done(&container, "echo > /dev/shm/allowed; echo > /dev/shm/forbidden");
    let wanted = |path: &str| json!({"rule": "new_write", "alert.path": path});
    agent.expect(&container, "alert", &wanted("/dev/shm/forbidden"));
    assert_eq!(agent.all(&container, "alert", &wanted("/dev/shm/allowed")).len(), 0);
    agent.stop();
}
