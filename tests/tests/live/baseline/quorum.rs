//! One replica of three that is hostile from its first minute.

use plimsoll_tests::poll;
use serde_json::{Value, json};

use super::{fast, profiles, wait_until_monitored, worker};

#[test]
fn what_one_hostile_replica_of_three_does_is_not_confirmed_and_is_told() {
    const VARIANT: &str = "-v";
    let agent = fast().start();
    let _honest = [worker(VARIANT), worker(VARIANT)];
    let hostile = worker(VARIANT);
    let script = "while :; do /usr/bin/acts tcp 192.0.2.66 4444; echo > /dev/shm/evil; \
                  /bin/stat / > /dev/null; sleep 1; done &";
    super::have_done(&hostile, script);
    wait_until_monitored(&agent, VARIANT);
    poll::holds("enough is known of the honest", || {
        profiles(&agent, VARIANT).iter().all(|it| it["units"].as_u64() > Some(100))
    });
    let shown = agent.told(&["profile", "show", &hostile.image, "--behaviours"]);
    let behaviours = shown.iter().flat_map(|it| it["behaviours"].as_array().into_iter().flatten());
    let confirmed: Vec<&Value> = behaviours.filter(|it| it["confirmed"] == true).collect();
    for evil in ["192.0.2.66", "/dev/shm/evil", "/bin/busybox stat"] {
        let is_evil = |it: &&Value| it["behaviour"].as_str().is_some_and(|it| it.contains(evil));
        assert!(!confirmed.iter().any(is_evil), "{evil}: {confirmed:#?}");
    }
    agent.expect(&hostile, "alert", &json!({"rule": "new_peer"}));
    agent.stop();
}
