//! Programs under other names, from other places, without names, and what the kernel runs besides.

use plimsoll_tests::{
    agent::Setup,
    docker::{BUSYBOX, Container, Docker, NGINX},
    event::text,
    guard::{
        LOADER, PROGRAMS, Stop, enforcing, exec_alerts, expect_alert, guarded, guarded_running,
        is_stopped, monitoring, sees_mappings, wait_until_guarded,
    },
    poll,
};
use serde_json::{Value, json};

use super::{UNFILTERED, start};

const ACTS: &str = "/usr/bin/acts";
const BREACH: &str = "/usr/bin/breach";
const HELLO: &str = "/usr/bin/hello";

/// An NGINX image's container that does nothing.
fn dynamic(options: &[&str]) -> Container {
    guarded_running(NGINX, options, &["/bin/sh", "-c", "while :; do sleep 1; done"])
}

#[test]
fn other_ways_to_a_path_lead_to_the_same_file() {
    let agent = monitoring();
    for way in [
        "ln -s /opt/x /dev/shm/link; /dev/shm/link",
        "/proc/self/root/opt/x",
        "cd /opt; /proc/self/cwd/x",
        "/usr/bin/../../opt/./x",
        "exec 9< /opt/x; /proc/self/fd/9",
        "/usr/bin/breach execveat /opt/x",
    ] {
        let container = start(&[]);
        container.shell(&format!("cp {HELLO} /opt/x; {way}"));
        expect_alert(agent, &container, "new_executable", "/opt/x");
    }
}

#[test]
fn a_hard_link_is_judged_by_its_content() {
    let agent = monitoring();
    let container = start(&[]);
    container.shell("ln /usr/bin/acts /opt/image; /opt/image hello");
    container.shell("cp /usr/bin/hello /opt/new; ln /opt/new /opt/new-link; /opt/new-link");
    expect_alert(agent, &container, "new_executable", "/opt/new-link");
    let told = exec_alerts(agent, &container);
    assert_eq!(told.len(), 1, "the image's program under another name is told: {told:#?}");
}

#[test]
fn no_name_is_trusted() {
    let agent = monitoring();
    let container = start(&[]);
    for path in ["/opt/busybox", "/opt/runc", "/usr/local/acts", "/.dockerenv-x"] {
        container.shell(&format!("mkdir -p /usr/local; cp {HELLO} {path}; {path}"));
        expect_alert(agent, &container, "new_executable", path);
    }
    container.exec(&[BREACH, "memfd-named", "runc", HELLO]);
    let memory = json!({"rule": "executable_in_memory", "alert.path": "memfd:runc"});
    agent.expect(&container, "alert", &memory);
}

#[test]
fn a_program_in_the_place_of_an_image_program_is_new() {
    let agent = monitoring();
    for script in [
        "cp /usr/bin/acts /opt/x; mv /opt/x /usr/bin/hello",
        "rm /usr/bin/hello; cp /usr/bin/acts /usr/bin/hello",
        "cp /usr/bin/acts /opt/hello; /usr/bin/acts exchange /opt/hello /usr/bin/hello",
    ] {
        let container = start(&[]);
        container.shell(script);
        container.exec(&[HELLO, "hello"]);
        expect_alert(agent, &container, "new_executable", HELLO);
    }
}

#[test]
fn a_program_that_was_changed_is_told_whatever_its_time_and_size_say() {
    let agent = monitoring();
    let container = start(&[]);
    container.exec(&[BREACH, "patch", HELLO]);
    container.exec(&[HELLO]);
    expect_alert(agent, &container, "changed_executable", HELLO);
    let container = start(&[]);
    container.shell("touch -r /usr/bin/hello /dev/shm/time; cat /usr/bin/acts > /usr/bin/hello");
    container.shell("touch -r /dev/shm/time /usr/bin/hello; /usr/bin/hello hello");
    expect_alert(agent, &container, "changed_executable", HELLO);
}

#[test]
fn a_program_that_was_changed_before_its_container_started_again_is_stopped() {
    let agent = enforcing();
    let stop = Stop::of(agent, "exec");
    let container = guarded(BUSYBOX, PROGRAMS, &[]);
    container.exec(&[BREACH, "patch", HELLO]);
    container.restart();
    wait_until_guarded(&container);
    stop.assert_stopped(&container.attempt(&[HELLO]));
    expect_alert(agent, &container, "changed_executable", HELLO);
}

#[test]
fn a_script_among_the_devices_is_refused() {
    let agent = enforcing();
    let container = guarded(BUSYBOX, PROGRAMS, &[]);
    container.shell("printf '#!/bin/sh\\n:\\n' > /dev/x; chmod +x /dev/x");
    let output = container.attempt(&["/dev/x"]);
    assert!(!output.status.success(), "{output:?}");
    expect_alert(agent, &container, "foreign_script", "/dev/x");
}

#[test]
fn who_starts_programs_that_have_to_be_compared_hides_nobody_elses_scripts() {
    let agent = monitoring();
    let (many, other) = (start(&[]), start(&[]));
    let often = "chmod 755 /usr/bin/hello; for i in $(seq 200); do /usr/bin/hello; done";
    let flood = std::thread::spawn(move || {
        many.shell(often);
        many
    });
    for number in 0..5 {
        let path = format!("/opt/other-{number}");
        other.shell(&format!("printf '#!/bin/sh\\n:\\n' > {path}; chmod +x {path}; {path}"));
        expect_alert(agent, &other, "foreign_script", &path);
    }
    let many = flood.join().expect("ends well");
    agent.expect(&many, "gap", &json!({"gap.reason": "not_looked_at"}));
}

#[test]
fn a_data_file_of_the_image_that_becomes_a_program_is_changed() {
    let agent = monitoring();
    let container = start(&[]);
    container.shell("cat /usr/bin/hello > /etc/passwd; chmod +x /etc/passwd");
    container.exec(&["/etc/passwd"]);
    expect_alert(agent, &container, "changed_executable", "/etc/passwd");
}

#[test]
fn however_a_program_was_written_it_is_new() {
    let agent = monitoring();
    let container = start(&[]);
    for way in ["copy-mmap", "copy-splice", "copy-range", "copy-sendfile"] {
        let path = format!("/opt/{way}");
        container.exec(&[BREACH, way, HELLO, &path]);
        container.exec(&[&path]);
        expect_alert(agent, &container, "new_executable", &path);
    }
}

#[test]
fn a_file_that_never_had_a_name_is_told_and_stopped() {
    let agent = enforcing();
    let stop = Stop::of(agent, "exec");
    let container = guarded(BUSYBOX, PROGRAMS, &["--tmpfs=/scratch:exec"]);
    for directory in ["/opt", "/scratch"] {
        let output = container.attempt(&[BREACH, "tmpfile-exec", directory, HELLO]);
        stop.assert_stopped(&output);
    }
    // Told by the number that the kernel gives it for a name.
    let told = exec_alerts(agent, &container);
    let nameless = told.iter().filter(|it| text(it, "alert.path").contains("/#"));
    assert_eq!(nameless.filter(|it| is_stopped(it)).count(), 2, "{told:#?}");
    stop.assert_stopped(&container.attempt(&[BREACH, "memfd-named", "runc", HELLO]));
    container.shell("cp /usr/bin/hello /opt/x");
    stop.assert_stopped(&container.attempt(&[BREACH, "execveat", "/opt/x"]));
}

#[test]
fn a_program_of_another_container_is_judged_where_it_lies() {
    let agent = enforcing();
    let stop = Stop::of(agent, "exec");
    let other = start(&["--tmpfs=/scratch:exec"]);
    other.shell("cp /usr/bin/hello /opt/x; cp /usr/bin/hello /scratch/x");
    let shares = format!("--pid=container:{}", other.name);
    let container = guarded(BUSYBOX, PROGRAMS, &[&shares]);
    for path in ["/proc/1/root/opt/x", "/proc/1/root/scratch/x"] {
        stop.assert_stopped(&container.attempt(&[ACTS, "exec", path]));
    }
    // Known: a program of the other's image passes for one of this image.
    container.exec(&[ACTS, "exec", "/proc/1/root/usr/bin/hello"]);
}

/// The kernel maps the loader that a program names by itself, and no call shows that. Known: on
/// kernels before 5.17 without BPF LSM it is not seen.
#[test]
fn a_loader_in_the_place_of_the_images_is_stopped() {
    let agent = enforcing();
    let is_seen = Stop::of(agent, "exec") == Stop::Refused || sees_mappings();
    let container = dynamic(&[PROGRAMS]);
    // Nothing that needs the loader runs once it is replaced.
    container
        .shell(&format!("place=$(readlink -f {LOADER}); cp $place /opt/x; exec mv /opt/x $place"));
    let output = container.attempt(&["/bin/true"]);
    assert_eq!(output.status.success(), !is_seen, "{output:?}");
    let is_loader = |event: &Value| text(event, "alert.path").contains("/ld-linux-");
    let query = ["--container", &container.name, "--kind", "alert"];
    agent.wait_for(&query, "alert of the loader's replacement", |event| {
        is_loader(event) && text(event, "rule") == "image_program_changed"
    });
    if is_seen {
        agent.wait_for(&query, "alert of the loader's run", |event| {
            is_loader(event) && text(event, "rule") == "foreign_library"
        });
    }
}

/// As in CVE-2019-5736: what the operator starts inside leads back to the runtime's own program,
/// which loads what it finds in the container.
#[test]
fn the_runtime_that_is_started_inside_is_stopped_like_any_program() {
    let agent = enforcing();
    let container = dynamic(&[PROGRAMS]);
    container.shell("cp /lib/*-linux-gnu/libc.so.6 /opt/hook.so");
    container.attempt_with(&["--env=LD_PRELOAD=/opt/hook.so"], &["/proc/self/exe", "--version"]);
    poll::holds("the program or its library is stopped", || {
        let told = agent.all(&container, "alert", &json!({}));
        told.iter().any(|it| is_stopped(it) && text(it, "alert.path") != "/tmp/sh")
    });
    let unstopped =
        json!({"rule": "foreign_library", "alert.path": "/opt/hook.so", "outcome": null});
    assert!(agent.all(&container, "alert", &unstopped).is_empty());
}

/// The kernel side, which does not see the file behind the request, goes by size and time; the agent
/// compares the content.
#[test]
fn a_program_that_was_changed_through_io_uring_is_told() {
    let agent = monitoring();
    let container = start(&[UNFILTERED]);
    // No other test writes to this one.
    container.exec(&[ACTS, "uring-patch", BREACH]);
    container.exec(&[BREACH, "anonymous-exec"]);
    expect_alert(agent, &container, "changed_executable", BREACH);
    agent.expect(&container, "file_write", &json!({"file.path": BREACH, "file.via": "io_uring"}));
    agent.expect(&container, "privilege", &json!({"priv.op": "io_uring_setup"}));
}

#[test]
fn a_program_that_was_changed_before_the_agent_started_is_told() {
    let container = Docker::host().start(BUSYBOX, &[], &[]);
    container.exec(&[BREACH, "patch", HELLO]);
    let agent = Setup::default().start();
    container.exec(&[HELLO]);
    expect_alert(&agent, &container, "changed_executable", HELLO);
}

/// Known: to an interpreter that is given a file, or reads it from its input, it is data like any
/// other.
#[test]
fn a_script_that_its_interpreter_is_given_is_not_seen() {
    let agent = enforcing();
    let container = guarded(BUSYBOX, PROGRAMS, &[]);
    container.shell("echo 'echo ran' > /opt/script");
    for way in
        ["/bin/sh /opt/script", "/bin/sh < /opt/script", ". /opt/script", "/bin/sh -c 'echo ran'"]
    {
        assert_eq!(container.shell(way), "ran");
    }
    let told = exec_alerts(agent, &container);
    assert!(told.iter().all(|it| text(it, "rule") != "foreign_script"), "{told:#?}");
}

/// Known: who may write to a process's memory changes its code without any file; that it was
/// opened is an observation, not an alert.
#[test]
fn code_that_is_changed_in_a_process_is_not_told_as_such() {
    let agent = monitoring();
    let container = start(&[]);
    container.shell("exec 3<> /proc/self/mem");
    let told = exec_alerts(agent, &container);
    assert!(told.is_empty(), "{told:#?}");
    let query = ["--container", &container.name, "--kind", "file_write"];
    agent.wait_for(&query, "write to a process's memory", |event| {
        text(event, "file.path").ends_with("/mem") && text(event, "file.layer") == "proc"
    });
}
