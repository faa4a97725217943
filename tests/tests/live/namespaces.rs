//! A container is its cgroup: namespaces that are shared, entered or nested do not change whose an
//! act is.

use plimsoll_tests::{
    agent::Agent,
    cgroup,
    docker::{BUSYBOX, Docker},
    event::number,
};
use serde_json::json;

const ACTS: &str = "/usr/bin/acts";

#[test]
fn a_container_that_shares_namespaces_with_the_host_is_still_itself() {
    let agent = Agent::shared();
    for option in ["--pid=host", "--network=host", "--cgroupns=host", "--ipc=host", "--uts=host"] {
        let script = "/usr/bin/hello shared; echo > /opt/shared";
        let container = Docker::host().run_to_end(BUSYBOX, &[option], &["/bin/sh", "-c", script]);
        let exec = json!({
            "proc.args": ["/usr/bin/hello", "shared"],
            "proc.origin": "init",
            "exec.layer": "image",
        });
        agent.expect(&container, "exec", &exec);
        let write = json!({"file.path": "/opt/shared", "file.layer": "upper"});
        agent.expect(&container, "file_write", &write);
    }
}

#[test]
fn a_cgroup_below_a_containers_belongs_to_the_container() {
    let agent = Agent::shared();
    let act = "/usr/bin/hello nested; echo > /opt/nested";
    let script = format!("until [ -e /tmp/go ]; do usleep 20000; done; {act}; exec {ACTS} wait");
    let container = Docker::host().start(BUSYBOX, &[], &["/bin/sh", "-c", &script]);
    let pid = container.pid();
    let nested = cgroup::make(&cgroup::of(pid), "nested");
    let deeper = cgroup::make(&nested, "deeper");
    cgroup::enter(&deeper, pid);
    container.exec(&["/bin/touch", "/tmp/go"]);
    let exec = json!({"proc.args": ["/usr/bin/hello", "nested"], "proc.origin": "init"});
    let event = agent.expect(&container, "exec", &exec);
    assert_eq!(number(&event, "proc.ppid"), i64::from(pid));
    agent.expect(&container, "file_write", &json!({"file.path": "/opt/nested"}));
}

#[test]
fn a_cgroup_that_a_container_makes_itself_belongs_to_it() {
    let agent = Agent::shared();
    let mount = format!("--volume={}:/cgroup", cgroup::root().display());
    let container = Docker::host().start(BUSYBOX, &["--cgroupns=host", &mount], &[]);
    let own = cgroup::of(container.pid());
    let own = own.strip_prefix(cgroup::root()).expect("it is below the root").display().to_string();
    container.shell(&format!(
        "mkdir /cgroup/{own}/made; echo $$ > /cgroup/{own}/made/cgroup.procs
         /usr/bin/hello made; true"
    ));
    let exec = json!({
        "proc.args": ["/usr/bin/hello", "made"],
        "proc.origin": "exec",
        "proc.ancestors": ["/bin/busybox"],
    });
    agent.expect(&container, "exec", &exec);
    let write =
        json!({"file.path": format!("/cgroup/{own}/made/cgroup.procs"), "file.layer": "sys"});
    agent.expect(&container, "file_write", &write);
    let mkdir = json!({"file.op": "mkdir", "file.path": format!("/cgroup/{own}/made")});
    agent.expect(&container, "file_change", &mkdir);
}

#[test]
fn containers_that_share_a_network_are_told_apart() {
    let agent = Agent::shared();
    let docker = Docker::host();
    let server = docker.start(BUSYBOX, &[], &[ACTS, "listen", "7301"]);
    server.wait_for_log("listening");
    let shared = format!("--network=container:{}", server.name);
    let sidecar = docker.run_to_end(BUSYBOX, &[&shared], &[ACTS, "tcp", "127.0.0.1", "7301"]);
    let connect = json!({"net.raddr": "127.0.0.1", "net.rport": 7301, "proc.origin": "init"});
    agent.expect(&sidecar, "connect", &connect);
    let accept = json!({"net.raddr": "127.0.0.1", "net.lport": 7301, "proc.exe": ACTS});
    agent.expect(&server, "accept", &accept);
    assert!(agent.all(&server, "connect", &json!({})).is_empty());
    assert!(agent.all(&sidecar, "accept", &json!({})).is_empty());
}

#[test]
fn who_enters_anothers_namespaces_is_still_itself() {
    let agent = Agent::shared();
    let docker = Docker::host();
    let victim = docker.start(BUSYBOX, &[], &[]);
    victim.shell("cp /usr/bin/hello /opt/planted");
    let shared = format!("--pid=container:{}", victim.name);
    let options = [&shared, "--cap-add=SYS_ADMIN", "--cap-add=SYS_PTRACE"];
    let command = ["/bin/nsenter", "-t", "1", "-m", "/opt/planted", "entered"];
    let intruder = docker.run_to_end(BUSYBOX, &options, &command);
    let setns = json!({"priv.op": "setns", "ret": 0, "proc.exe": "/bin/busybox"});
    agent.expect(&intruder, "privilege", &setns);
    let exec = json!({
        "proc.args": ["/opt/planted", "entered"],
        "proc.exe": "/opt/planted",
        "proc.origin": "init",
        "exec.layer": "upper",
    });
    agent.expect(&intruder, "exec", &exec);
    assert!(agent.all(&victim, "exec", &json!({"proc.exe": "/opt/planted"})).is_empty());
}

#[test]
fn what_a_container_mounts_itself_is_told_for_what_it_is() {
    let agent = Agent::shared();
    let script = "mkdir /mine; mount -t tmpfs mine /mine; cp /usr/bin/hello /mine; /mine/hello";
    let options = ["--cap-add=SYS_ADMIN", "--security-opt=apparmor=unconfined"];
    let container = Docker::host().run_to_end(BUSYBOX, &options, &["/bin/sh", "-ec", script]);
    let mount = json!({
        "priv.op": "mount",
        "priv.path": "mine",
        "priv.to": "/mine",
        "ret": 0,
        "proc.exe": "/bin/busybox",
    });
    agent.expect(&container, "privilege", &mount);
    let write = json!({"file.path": "/mine/hello", "file.layer": "tmpfs", "file.op": "create"});
    agent.expect(&container, "file_write", &write);
    let exec = json!({"proc.exe": "/mine/hello", "exec.layer": "tmpfs"});
    agent.expect(&container, "exec", &exec);
}
