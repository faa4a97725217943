//! Who reaches for the agent.

use plimsoll_tests::guard::monitoring;
use serde_json::json;

use super::start;

#[test]
fn who_sends_a_signal_to_the_agent_is_told() {
    let agent = monitoring();
    let container = start(&["--pid=host"]);
    // Signal 0 asks only whether it could be sent; that it is asked counts.
    container.attempt_shell(&format!("kill -0 {}", agent.pid()));
    let wanted = json!({"rule": "agent_attacked", "alert.of": "privilege", "severity": "critical"});
    agent.expect(&container, "alert", &wanted);
    agent.expect(&container, "privilege", &json!({"priv.op": "signal_agent"}));
}

#[test]
fn a_signal_to_another_process_raises_nothing() {
    let agent = monitoring();
    let container = start(&[]);
    container.shell("sleep 100 & kill $!; /usr/bin/hello");
    agent.expect(&container, "exec", &json!({"proc.exe": "/usr/bin/hello"}));
    let told = agent.all(&container, "alert", &json!({"rule": "agent_attacked"}));
    assert!(told.is_empty(), "{told:#?}");
}
