//! Who reaches for the agent.

use std::process::Command;

use plimsoll_tests::{
    agent::{Agent, Setup},
    bpffs::BpfFs,
    cgroup,
    docker::Container,
    event::text,
    guard::monitoring,
};
use serde_json::{Value, json};

use super::start;

const ACTS: &str = "/usr/bin/acts";

/// Waits for the alert that the agent was reached for, from an event with these fields.
#[track_caller]
fn expect_attack(agent: &Agent, container: &Container, of: &str, fields: &Value) -> Value {
    agent.expect(container, of, fields);
    let wanted = json!({"rule": "agent_attacked", "alert.of": of, "severity": "critical"});
    agent.expect(container, "alert", &wanted)
}

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
fn a_signal_to_the_agent_is_told_by_whatever_call_and_thread_it_is_sent() {
    let agent = monitoring();
    for way in ["queue", "thread", "pidfd"] {
        let container = start(&["--pid=host"]);
        let thread = format!("ls /proc/{}/task | tail -n 1", agent.pid());
        let id = if way == "thread" { thread } else { format!("echo {}", agent.pid()) };
        container.shell(&format!("{ACTS} signal-by {way} $({id})"));
        let sent = json!({"priv.op": "signal_agent", "priv.number": 18});
        expect_attack(agent, &container, "privilege", &sent);
    }
}

#[test]
fn a_signal_to_another_process_raises_nothing() {
    let agent = monitoring();
    let container = start(&[]);
    // There the agent's number is nobody's, or another's.
    container.attempt_shell(&format!("kill -0 {}", agent.pid()));
    container.shell("sleep 100 & kill $!; /usr/bin/hello");
    agent.expect(&container, "exec", &json!({"proc.exe": "/usr/bin/hello"}));
    let told = agent.all(&container, "alert", &json!({"rule": "agent_attacked"}));
    assert!(told.is_empty(), "{told:#?}");
}

#[test]
fn who_asks_the_kernel_for_its_programs_or_loads_a_module_is_told() {
    let agent = monitoring();
    let container = start(&[]);
    container.exec(&[ACTS, "bpf-try"]);
    expect_attack(agent, &container, "privilege", &json!({"priv.op": "bpf"}));
    container.exec(&[ACTS, "module-try"]);
    expect_attack(agent, &container, "privilege", &json!({"priv.op": "module_load"}));
}

#[test]
fn who_traces_the_agent_is_told_and_who_traces_itself_is_not() {
    let agent = monitoring();
    let container = start(&["--pid=host"]);
    container.exec(&[ACTS, "ptrace", &agent.pid().to_string()]);
    expect_attack(agent, &container, "privilege", &json!({"priv.op": "ptrace_agent"}));
    let container = start(&[]);
    container.exec(&[ACTS, "ptrace-self"]);
    agent.expect(&container, "privilege", &json!({"priv.op": "ptrace"}));
    let told = agent.all(&container, "alert", &json!({"rule": "agent_attacked"}));
    assert!(told.is_empty(), "{told:#?}");
}

#[test]
fn who_writes_the_agents_store_is_told_and_who_writes_beside_it_is_not() {
    let parent = tempfile::tempdir().expect("a directory");
    let (store, beside) = (parent.path().join("store"), parent.path().join("store-of-others"));
    std::fs::create_dir(&beside).expect("is made");
    let agent = Setup::default().data_dir(&store).start();
    let container = start(&[&format!("--volume={}:/there", parent.path().display())]);
    container.shell("echo > /there/store-of-others/x; rm /there/store-of-others/x");
    container.shell("echo > /there/store/planted");
    let alert = expect_attack(
        &agent,
        &container,
        "file_write",
        &json!({"file.path": "/there/store/planted"}),
    );
    assert_eq!(text(&alert, "alert.path"), "/there/store/planted");
    container.shell("rm /there/store/planted");
    let wanted = json!({"file.op": "unlink", "file.path": "/there/store/planted"});
    expect_attack(&agent, &container, "file_change", &wanted);
    let told = agent.all(&container, "alert", &json!({"rule": "agent_attacked"}));
    let is_meant = |it: &&Value| text(it, "alert.path") == "/there/store/planted";
    assert!(told.iter().all(|it| is_meant(&it)), "{told:#?}");
    agent.stop();
}

#[test]
fn who_unmounts_or_removes_the_agents_pins_is_told() {
    let fs = BpfFs::mount();
    let pins = fs.path().join("plimsoll");
    std::fs::create_dir(&pins).expect("is made");
    let agent = Setup::default().config(&format!("[response]\npins = \"{}\"\n", pins.display()));
    let agent = agent.start();
    let container = start(&[&format!("--volume={}:/pins", fs.path().display())]);
    container.exec(&[ACTS, "umount-try", "/pins"]);
    expect_attack(&agent, &container, "privilege", &json!({"priv.op": "umount"}));
    let container = start(&[&format!("--volume={}:/pins", fs.path().display())]);
    container.shell("rmdir /pins/plimsoll");
    expect_attack(&agent, &container, "file_change", &json!({"file.path": "/pins/plimsoll"}));
    let container = start(&[]);
    container.exec(&[ACTS, "umount-try", "/proc"]);
    agent.expect(&container, "privilege", &json!({"priv.op": "umount"}));
    let told = agent.all(&container, "alert", &json!({"rule": "agent_attacked"}));
    assert!(told.is_empty(), "{told:#?}");
    agent.stop();
}

/// The process is the test's own, and runs where those of the container do.
#[test]
fn a_containers_process_that_asks_the_agent_is_refused_and_told() {
    let agent = monitoring();
    let container = start(&[]);
    let procs = cgroup::of(container.pid()).join("cgroup.procs");
    let script = format!(
        "echo $$ > {} && exec \"$0\" mode --socket {}",
        procs.display(),
        agent.socket.display()
    );
    let output = Command::new("/bin/sh")
        .args(["-c", &script])
        .arg(plimsoll_tests::require::binary())
        .output()
        .expect("the shell runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("containers are not answered"), "{output:?}");
    expect_attack(agent, &container, "privilege", &json!({"priv.op": "agent_socket"}));
}
