//! Programs and libraries that must not run.

use plimsoll_tests::{
    docker::{BUSYBOX, Docker, HEALTHY, NGINX, Volume},
    event::{number, text},
    guard::{
        ALL, LOADER, PROGRAMS, Stop, counted, enforcing, exec_alerts, expect_alert, guarded,
        guarded_running, is_stopped, settle, show, wait_until_guarded,
    },
    maps, poll,
};
use serde_json::json;

use super::TRIES;

#[test]
fn no_instruction_of_a_program_that_is_not_the_images_is_executed() {
    let agent = enforcing();
    let stop = Stop::of(agent, "exec");
    let container = guarded(BUSYBOX, PROGRAMS, &["--tmpfs=/scratch:exec"]);
    // A byte is appended to /scratch/ran by its first instructions.
    for path in ["/opt/marker", "/scratch/marker"] {
        container.exec(&["/usr/bin/breach", "marker", path]);
        let often = ["/usr/bin/breach", "exec-often", path, &TRIES.to_string()];
        let report = container.exec(&often);
        let marks = container.attempt(&["/bin/cat", "/scratch/ran"]).stdout.len();
        show(path, stop, &format!("{} marks={marks}", report.trim_end()));
        assert_eq!(marks, 0, "{report}");
        assert_eq!(counted(&report, "done"), 0, "{report}");
    }
    let alert = expect_alert(agent, &container, "new_executable", "/opt/marker");
    assert!(is_stopped(&alert) && text(&alert, "alert.mode") == "enforce", "{alert}");
    poll::holds("every try is counted", || {
        let wanted = json!({"rule": "new_executable", "alert.path": "/opt/marker"});
        let told = agent.all(&container, "alert", &wanted);
        told.iter().map(|it| number(it, "count")).sum::<i64>() == i64::from(TRIES)
    });
}

#[test]
fn whatever_way_a_program_comes_in_it_is_stopped() {
    let agent = enforcing();
    let stop = Stop::of(agent, "exec");
    let volume = Volume::create(&Docker::host());
    let options = ["--tmpfs=/scratch:exec", &format!("--volume={}:/data", volume.name)];
    let container = guarded(BUSYBOX, PROGRAMS, &options);
    for path in ["/opt/x", "/scratch/x", "/data/x", "/usr/bin/x"] {
        container.shell(&format!("cp /usr/bin/hello {path}"));
        stop.assert_stopped(&container.attempt(&[path]));
        stop.assert_stopped(&container.attempt(&["/usr/bin/acts", "exec", path]));
        stop.assert_stopped(&container.attempt(&["/usr/bin/acts", "thread-exec", path]));
        stop.assert_stopped(&container.attempt(&["/usr/bin/acts", "map-exec", path]));
    }
    stop.assert_stopped(&container.attempt(&["/usr/bin/acts", "memfd", "/usr/bin/hello"]));
    stop.assert_stopped(&container.attempt(&["/usr/bin/acts", "unlinked", "/usr/bin/hello"]));
    container.shell("echo >> /usr/bin/hello");
    stop.assert_stopped(&container.attempt(&["/usr/bin/hello"]));
    container.exec(&["/usr/bin/acts", "hello"]);
    let told = exec_alerts(agent, &container);
    assert!(told.iter().all(is_stopped), "{told:#?}");
}

#[test]
fn a_library_that_is_not_the_images_is_not_loaded() {
    let agent = enforcing();
    let stop = Stop::of(agent, "exec");
    let keep = ["/bin/sh", "-c", "while :; do sleep 1; done"];
    let container = guarded_running(NGINX, &[PROGRAMS], &keep);
    container.shell("cp /bin/true /opt/x; cp /lib/*-linux-gnu/libc.so.6 /opt/hook.so");
    let output = container.attempt(&[LOADER, "/opt/x"]);
    assert!(!output.status.success(), "{output:?}");
    let preload = ["--env=LD_PRELOAD=/opt/hook.so"];
    let output = container.attempt_with(&preload, &["/bin/true"]);
    // Where it is refused, the loader goes on without it.
    assert_eq!(output.status.success(), stop == Stop::Refused, "{output:?}");
    for path in ["/opt/x", "/opt/hook.so"] {
        let alert = expect_alert(agent, &container, "foreign_library", path);
        assert!(is_stopped(&alert), "{alert}");
    }
    container.exec(&[LOADER, "/bin/true"]);
}

#[test]
fn what_the_image_brings_runs_on() {
    let agent = enforcing();
    let nginx = guarded_running(NGINX, &[PROGRAMS, "--init"], &[]);
    let (address, _) = nginx.addresses();
    poll::holds("it serves", || {
        plimsoll_tests::http::get((address, 80).into(), "/").is_some_and(|it| it.0 < 500)
    });
    // Copied up for its owner's and mode's sake, its content is the image's.
    let container = guarded(BUSYBOX, PROGRAMS, &["--init"]);
    container.shell("chown 33 /usr/bin/acts; chmod 751 /usr/bin/acts; /usr/bin/acts hello");
    container.exec(&["/usr/bin/breach", "anonymous-exec"]);
    container.exec(&["/usr/bin/acts", "forkexec", "/usr/bin/hello", "100"]);
    settle(agent, &container);
    let stopped = exec_alerts(agent, &container);
    let trials = |path: &str| path == "/tmp/sh";
    assert!(stopped.iter().all(|it| trials(text(it, "alert.path"))), "{stopped:#?}");
}

#[test]
fn containers_of_every_kind_start_and_stay() {
    let agent = enforcing();
    let docker = Docker::host();
    let stop = Stop::of(agent, "exec");
    for options in [
        &["--init"][..],
        &["--read-only", "--tmpfs=/tmp:exec"],
        &["--tmpfs=/scratch", "--volume=/data", "--workdir=/made/for/it"],
        &["--user=33:33", "--cap-drop=ALL", "--security-opt=no-new-privileges"],
        &["--network=none", "--tty", "--interactive"],
    ] {
        for label in [PROGRAMS, ALL] {
            let options = [&[label], options].concat();
            let end = docker.start(BUSYBOX, &options, &["/usr/bin/hello"]);
            assert_eq!(end.wait(), 0, "{options:?}: {}", end.logs());
            let container = docker.start(BUSYBOX, &options, &[]);
            stop.assert_stopped(&{
                let memfd = ["/usr/bin/acts", "memfd", "/usr/bin/hello"];
                let tried = || Some(container.attempt(&memfd)).filter(|it| stop.is_seen_in(it));
                poll::until(poll::PATIENCE, tried).unwrap_or_else(|| container.attempt(&memfd))
            });
            container.exec(&["/usr/bin/hello"]);
            assert_eq!(container.inspect("{{.State.Running}}"), "true", "{options:?}");
        }
    }
}

#[test]
fn health_checks_go_on() {
    enforcing();
    let container = guarded(HEALTHY, ALL, &[]);
    let state = || container.inspect("{{.State.Health.Status}}");
    poll::holds("it is healthy", || state() == "healthy");
    let log = container.inspect("{{range .State.Health.Log}}{{.ExitCode}} {{end}}");
    assert!(log.split_whitespace().all(|code| code == "0"), "{log}");
}

#[test]
fn a_container_that_is_started_again_is_guarded_again() {
    let agent = enforcing();
    let stop = Stop::of(agent, "exec");
    let container = guarded(BUSYBOX, PROGRAMS, &[]);
    container.shell("cp /usr/bin/hello /opt/kept");
    container.restart();
    wait_until_guarded(&container);
    stop.assert_stopped(&container.attempt(&["/opt/kept"]));
}

/// From the moment on at which the agent knows the container: Docker tells when it is made, and it
/// is started later.
#[test]
fn a_first_program_that_is_not_the_images_is_stopped() {
    let agent = enforcing();
    let stop = Stop::of(agent, "exec");
    let docker = Docker::host();
    let volume = Volume::create(&docker);
    let mount = format!("--volume={}:/data", volume.name);
    docker.run_to_end(BUSYBOX, &[&mount], &["/bin/cp", "/usr/bin/acts", "/data/acts"]);
    for _ in 0..20 {
        let name = plimsoll_tests::docker::unique("first");
        let made = ["create", "--rm", "--name", &name, PROGRAMS, &mount, BUSYBOX, "/data/acts"];
        let id = docker.run(&[&made[..], &["hello"]].concat());
        poll::holds("the agent expects the container", || maps::expects(agent.pid(), &id));
        let output = docker.attempt(&["start", "--attach", &name]);
        assert!(stop.is_seen_in(&output), "{output:?}");
    }
}
