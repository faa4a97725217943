//! Who executes what, and where it comes from.

use std::fs;

use plimsoll_tests::{
    agent::Agent,
    docker::{BUSYBOX, Docker, Volume},
    event::{list, number, text},
};
use serde_json::json;

#[test]
fn a_program_of_the_image_is_told_whole() {
    let agent = Agent::shared();
    let command = ["/usr/bin/hello", "one", "two words"];
    let container = Docker::host().run_to_end(BUSYBOX, &["--workdir=/opt"], &command);
    let event = agent.expect(
        &container,
        "exec",
        &json!({
            "proc.exe": "/usr/bin/hello",
            "proc.args": command,
            "proc.cwd": "/opt",
            "proc.origin": "init",
            "proc.uid": 0,
            "proc.parent.exe": null,
            "proc.ancestors": null,
            "exec.layer": "image",
            "exec.script": null,
            "exec.unlinked": false,
            "exec.truncated": null,
        }),
    );
    assert!(number(&event, "proc.pid") > 1, "{event}");
    assert!(text(&event, "ts").ends_with('Z'), "{event}");
    assert!(!text(&event, "node.name").is_empty(), "{event}");
    agent.expect(&container, "exit", &json!({"proc.exe": "/usr/bin/hello", "exit.code": 0}));
}

#[test]
fn the_first_program_is_the_first_thing_told_of_a_container() {
    let agent = Agent::shared();
    let container = Docker::host().run_to_end(BUSYBOX, &[], &["/usr/bin/hello"]);
    agent.expect(&container, "exec", &json!({"proc.exe": "/usr/bin/hello"}));
    let execs = agent.all(&container, "exec", &json!({}));
    assert_eq!(execs.len(), 1, "the runtime's own programs are told too: {execs:#?}");
}

#[test]
fn a_program_that_was_copied_in_the_container_is_of_the_upper_layer() {
    let agent = Agent::shared();
    let container = Docker::host().start(BUSYBOX, &[], &[]);
    for path in ["/opt/copied", "/tmp/copied", "/usr/bin/copied"] {
        container.shell(&format!("cp /usr/bin/hello {path}; {path}"));
        agent.expect(&container, "exec", &json!({"proc.exe": path, "exec.layer": "upper"}));
    }
}

#[test]
fn a_program_on_a_mount_is_told_with_the_kind_of_mount() {
    let agent = Agent::shared();
    let docker = Docker::host();
    let volume = Volume::create(&docker);
    let directory = tempfile::tempdir().expect("a directory to mount");
    let named = format!("--volume={}:/named", volume.name);
    let bound = format!("--volume={}:/bound", directory.path().display());
    let options = ["--tmpfs=/scratch:exec", "--volume=/anonymous", &named, &bound];
    let container = docker.start(BUSYBOX, &options, &[]);
    for (path, layer) in [
        ("/scratch/copied", "tmpfs"),
        ("/anonymous/copied", "volume"),
        ("/named/copied", "volume"),
        ("/bound/copied", "bind"),
    ] {
        container.shell(&format!("cp /usr/bin/hello {path}; {path}"));
        agent.expect(&container, "exec", &json!({"proc.exe": path, "exec.layer": layer}));
    }
    assert!(fs::exists(directory.path().join("copied")).is_ok_and(|it| it));
}

#[test]
fn a_program_from_memory_is_told() {
    let agent = Agent::shared();
    let container = Docker::host().start(BUSYBOX, &[], &[]);
    container.exec(&["/usr/bin/acts", "memfd", "/usr/bin/hello"]);
    let wanted = json!({"exec.layer": "memfd", "proc.args": ["/usr/bin/hello"]});
    let event = agent.expect(&container, "exec", &wanted);
    assert!(text(&event, "proc.exe").contains("memory"), "the memory's name is lost: {event}");
}

#[test]
fn a_program_whose_file_is_gone_is_told() {
    let agent = Agent::shared();
    let container = Docker::host().start(BUSYBOX, &[], &[]);
    container.exec(&["/usr/bin/acts", "unlinked", "/usr/bin/hello"]);
    let wanted = json!({"proc.exe": "/tmp/u", "exec.layer": "upper", "exec.unlinked": true});
    agent.expect(&container, "exec", &wanted);
}

#[test]
fn an_image_program_that_was_changed_is_told_from_one_that_is_new() {
    let agent = Agent::shared();
    let container = Docker::host().start(BUSYBOX, &[], &[]);
    container.shell("chmod 711 /usr/bin/hello; /usr/bin/hello");
    let chmod = json!({"file.op": "chmod", "file.path": "/usr/bin/hello", "file.mode": 0o711});
    agent.expect(&container, "file_change", &chmod);
    let exec = json!({"proc.exe": "/usr/bin/hello", "exec.layer": "copied_up"});
    agent.expect(&container, "exec", &exec);
}

#[test]
fn a_program_that_gives_its_owners_rights_is_told_as_such() {
    let agent = Agent::shared();
    let container = Docker::host().start(BUSYBOX, &[], &[]);
    container.shell("cp /usr/bin/hello /opt/root; chmod 4755 /opt/root; su www-data -c /opt/root");
    let exec = json!({"proc.exe": "/opt/root", "exec.setuid": true, "exec.layer": "upper"});
    agent.expect(&container, "exec", &exec);
    let chmod = json!({"file.op": "chmod", "file.path": "/opt/root", "file.mode": 0o4755});
    agent.expect(&container, "file_change", &chmod);
}

#[test]
fn a_file_that_is_not_the_images_and_is_mapped_as_code_is_told() {
    let agent = Agent::shared();
    let container = Docker::host().start(BUSYBOX, &["--tmpfs=/scratch:exec"], &[]);
    container.exec(&["/usr/bin/acts", "map-exec", "/usr/bin/hello"]);
    for (path, layer) in [("/opt/code.so", "upper"), ("/scratch/code.so", "tmpfs")] {
        container.shell(&format!("cp /usr/bin/hello {path}; /usr/bin/acts map-exec {path}"));
        let wanted = json!({"file.path": path, "file.layer": layer, "proc.exe": "/usr/bin/acts"});
        agent.expect(&container, "exec_map", &wanted);
    }
    // Told in order: had the image's file been told, it would be there by now.
    let images = agent.all(&container, "exec_map", &json!({"file.path": "/usr/bin/hello"}));
    assert!(images.is_empty(), "the image's own code is told: {images:#?}");
}

#[test]
fn long_arguments_are_cut_and_that_is_told() {
    let agent = Agent::shared();
    let long = "x".repeat(9000);
    let command = ["/usr/bin/hello", "first", &long];
    let container = Docker::host().run_to_end(BUSYBOX, &[], &command);
    let wanted = json!({"proc.exe": "/usr/bin/hello", "exec.truncated": true});
    let event = agent.expect(&container, "exec", &wanted);
    let args = list(&event, "proc.args");
    assert_eq!(args[..2], command[..2]);
    assert!(args[2].len() > 1000, "{} bytes of the long argument", args[2].len());
}

#[test]
fn arguments_that_just_fit_are_whole() {
    let agent = Agent::shared();
    // 4095 bytes with every argument's end.
    let long = "y".repeat(4095 - "/usr/bin/hello".len() - 2);
    let command = ["/usr/bin/hello", &long];
    let container = Docker::host().run_to_end(BUSYBOX, &[], &command);
    let wanted = json!({"proc.args": command, "exec.truncated": null});
    agent.expect(&container, "exec", &wanted);
}

#[test]
fn a_process_is_told_with_its_ancestors() {
    let agent = Agent::shared();
    let script = "/bin/env /usr/bin/acts forkexec /usr/bin/hello 1 leaf; true";
    let container = Docker::host().run_to_end(BUSYBOX, &[], &["/bin/sh", "-c", script]);
    let wanted = json!({
        "proc.args": ["/usr/bin/hello", "leaf"],
        "proc.parent.exe": "/usr/bin/acts",
        "proc.ancestors": ["/usr/bin/acts", "/bin/busybox"],
        "proc.origin": "init",
    });
    let leaf = agent.expect(&container, "exec", &wanted);
    let acts = agent.expect(&container, "exec", &json!({"proc.exe": "/usr/bin/acts"}));
    assert_eq!(number(&leaf, "proc.parent.pid"), number(&acts, "proc.pid"));
    assert_eq!(number(&leaf, "proc.ppid"), number(&acts, "proc.pid"));
    assert_eq!(number(&leaf, "proc.parent.start"), number(&acts, "proc.start"));
    let shell = agent.expect(&container, "exec", &json!({"proc.args": ["/bin/sh", "-c", script]}));
    assert_eq!(number(&acts, "proc.parent.pid"), number(&shell, "proc.pid"));
}

#[test]
fn an_orphan_keeps_its_ancestors() {
    let agent = Agent::shared();
    let orphan = "until [ -e /tmp/go ]; do usleep 20000; done; /usr/bin/hello orphan; true";
    let script =
        format!("/bin/sh -c '/bin/env /bin/sh -c \"{orphan}\" & true'; exec /bin/sleep 60");
    let container = Docker::host().start(BUSYBOX, &[], &["/bin/sh", "-c", &script]);
    agent.expect(&container, "exec", &json!({"proc.args": ["/bin/sleep", "60"]}));
    container.exec(&["/bin/touch", "/tmp/go"]);
    let wanted = json!({"proc.args": ["/usr/bin/hello", "orphan"], "proc.origin": "init"});
    let event = agent.expect(&container, "exec", &wanted);
    assert_eq!(list(&event, "proc.ancestors"), ["/bin/busybox"; 3], "{event}");
}

#[test]
fn a_program_that_a_second_thread_executes_is_its_processs() {
    let agent = Agent::shared();
    let command = ["/usr/bin/acts", "thread-exec", "/usr/bin/hello", "thread"];
    let container = Docker::host().run_to_end(BUSYBOX, &[], &command);
    let first = agent.expect(&container, "exec", &json!({"proc.args": command}));
    let wanted = json!({
        "proc.args": ["/usr/bin/hello", "thread"],
        "proc.exe": "/usr/bin/hello",
        "proc.pid": number(&first, "proc.pid"),
        "proc.origin": "init",
    });
    agent.expect(&container, "exec", &wanted);
    let end = json!({"proc.pid": number(&first, "proc.pid"), "exit.code": 0});
    agent.expect(&container, "exit", &end);
    assert_eq!(agent.all(&container, "exit", &json!({})).len(), 1, "a process ends once");
}

#[test]
fn no_program_of_a_burst_is_missing() {
    const TIMES: usize = 1000;
    let agent = Agent::shared();
    let times = TIMES.to_string();
    let command = ["/usr/bin/acts", "forkexec", "/usr/bin/hello", &times, "burst"];
    let container = Docker::host().run_to_end(BUSYBOX, &[], &command);
    let exit = json!({"proc.exe": "/usr/bin/acts", "exit.code": 0});
    agent.expect(&container, "exit", &exit);
    let burst = json!({"proc.args": ["/usr/bin/hello", "burst"]});
    // Of any container: what a program in the kernel missed names none.
    let gaps = || agent.events(&["--kind", "gap"]);
    assert_eq!(agent.all(&container, "exec", &burst).len(), TIMES, "{:#?}", gaps());
    let ends = json!({"proc.exe": "/usr/bin/hello"});
    assert_eq!(agent.all(&container, "exit", &ends).len(), TIMES, "{:#?}", gaps());
}
