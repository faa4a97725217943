//! Who writes what: opens for writing, and changes of names and metadata.

use std::collections::BTreeSet;

use plimsoll_tests::{
    agent::Agent,
    docker::{BUSYBOX, Container, Docker, LAYERED, Volume},
    event::text,
    poll,
};
use serde_json::json;

const ACTS: &str = "/usr/bin/acts";

fn start(options: &[&str]) -> Container {
    Docker::host().start(BUSYBOX, options, &[])
}

#[test]
fn a_file_is_told_when_it_is_created_and_when_it_is_opened_for_writing() {
    let agent = Agent::shared();
    let container = start(&[]);
    container.exec(&[ACTS, "open-write", "/opt/file", "1"]);
    container.exec(&[ACTS, "open-write", "/opt/file", "1"]);
    for op in ["create", "write"] {
        let wanted = json!({
            "file.path": "/opt/file",
            "file.op": op,
            "file.layer": "upper",
            "file.via": null,
            "file.as_given": null,
            "proc.exe": ACTS,
            "proc.origin": "exec",
            "count": 1,
        });
        agent.expect(&container, "file_write", &wanted);
    }
}

#[test]
fn what_is_only_read_is_not_told() {
    let agent = Agent::shared();
    let container = start(&[]);
    container.exec(&[ACTS, "open-read", "/etc/passwd", "5"]);
    container.exec(&[ACTS, "open-write", "/opt/after", "1"]);
    agent.expect(&container, "file_write", &json!({"file.path": "/opt/after"}));
    let read = agent.all(&container, "file_write", &json!({"file.path": "/etc/passwd"}));
    assert!(read.is_empty(), "{read:#?}");
}

#[test]
fn a_file_is_told_with_the_kind_of_place_it_is_in() {
    let agent = Agent::shared();
    let docker = Docker::host();
    let volume = Volume::create(&docker);
    let directory = tempfile::tempdir().expect("a directory to mount");
    let named = format!("--volume={}:/named", volume.name);
    let bound = format!("--volume={}:/bound", directory.path().display());
    let container = start(&["--tmpfs=/scratch", &named, &bound]);
    for (path, layer) in [
        ("/opt/file", "upper"),
        ("/scratch/file", "tmpfs"),
        ("/dev/shm/file", "tmpfs"),
        ("/named/file", "volume"),
        ("/bound/file", "bind"),
    ] {
        container.exec(&[ACTS, "open-write", path, "1"]);
        let write = json!({"file.path": path, "file.layer": layer, "file.op": "create"});
        agent.expect(&container, "file_write", &write);
        container.shell(&format!("rm {path}"));
        let unlink = json!({"file.path": path, "file.layer": layer, "file.op": "unlink"});
        agent.expect(&container, "file_change", &unlink);
    }
    container.shell("echo 0 > /proc/self/oom_score_adj");
    let wanted = |event: &_| text(event, "file.layer") == "proc";
    let arguments = ["--container", &container.name, "--kind", "file_write"];
    agent.wait_for(&arguments, "write to /proc", wanted);
}

#[test]
fn a_write_to_a_file_of_the_image_is_told_as_such() {
    let agent = Agent::shared();
    let container = Docker::host().start(LAYERED, &[], &[]);
    container.exec(&[ACTS, "open-write", "/etc/app/app.conf", "1"]);
    let wanted = json!({
        "file.path": "/etc/app/app.conf",
        "file.op": "write",
        "file.layer": "copied_up",
    });
    agent.expect(&container, "file_write", &wanted);
}

#[test]
fn changes_of_names_are_told_with_both_names() {
    let agent = Agent::shared();
    let container = start(&[]);
    container.shell(
        "echo > /opt/a; mv /opt/a /opt/b; ln /opt/b /opt/hard; ln -s ../away /opt/soft
         rm /opt/hard; mkdir /opt/d; rmdir /opt/d; mknod /opt/pipe p",
    );
    for (op, path, to) in [
        ("rename", "/opt/a", Some("/opt/b")),
        ("link", "/opt/b", Some("/opt/hard")),
        ("symlink", "/opt/soft", Some("../away")),
        ("unlink", "/opt/hard", None),
        ("mkdir", "/opt/d", None),
        ("rmdir", "/opt/d", None),
        ("mknod", "/opt/pipe", None),
    ] {
        let wanted = json!({
            "file.op": op,
            "file.path": path,
            "file.to": to,
            "file.layer": "upper",
            "proc.exe": "/bin/busybox",
        });
        agent.expect(&container, "file_change", &wanted);
    }
}

#[test]
fn an_exchange_of_two_names_is_told() {
    let agent = Agent::shared();
    let container = start(&[]);
    container.shell(&format!("echo > /opt/a; echo > /opt/b; {ACTS} exchange /opt/a /opt/b"));
    let wanted = json!({"file.op": "rename", "file.path": "/opt/a", "file.to": "/opt/b"});
    agent.expect(&container, "file_change", &wanted);
}

#[test]
fn changes_of_metadata_and_size_are_told() {
    let agent = Agent::shared();
    let container = start(&[]);
    container.shell(&format!(
        "echo > /opt/a; chmod +x /opt/a; {ACTS} cap-chown /opt/a
         echo > /opt/b; {ACTS} truncate /opt/b; echo > /opt/c; {ACTS} ftruncate /opt/c"
    ));
    for (op, path) in
        [("chmod", "/opt/a"), ("chown", "/opt/a"), ("truncate", "/opt/b"), ("truncate", "/opt/c")]
    {
        let wanted = json!({"file.op": op, "file.path": path, "file.layer": "upper"});
        agent.expect(&container, "file_change", &wanted);
    }
}

#[test]
fn relative_names_are_told_whole() {
    let agent = Agent::shared();
    let container = start(&[]);
    container.shell("mkdir -p /opt/sub; cd /opt/sub; echo > ../a; mv ../a ./b; cd /; rm opt/sub/b");
    let write = json!({"file.op": "create", "file.path": "/opt/a"});
    agent.expect(&container, "file_write", &write);
    let rename = json!({"file.op": "rename", "file.path": "/opt/a", "file.to": "/opt/sub/b"});
    agent.expect(&container, "file_change", &rename);
    let unlink = json!({"file.op": "unlink", "file.path": "/opt/sub/b"});
    agent.expect(&container, "file_change", &unlink);
}

#[test]
fn a_change_that_failed_did_not_happen() {
    let agent = Agent::shared();
    let container = start(&[]);
    container.shell("mv /opt/none /opt/nowhere 2>/dev/null || true; mkdir /opt/after");
    agent.expect(&container, "file_change", &json!({"file.path": "/opt/after"}));
    let failed = agent.all(&container, "file_change", &json!({"file.path": "/opt/none"}));
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn a_file_without_a_name_is_told_and_so_is_its_naming() {
    let agent = Agent::shared();
    let container = start(&[]);
    container.exec(&[ACTS, "tmpfile", "/opt", "/opt/named"]);
    let arguments = ["--container", &container.name, "--kind", "file_write"];
    agent.wait_for(&arguments, "write to a file without a name", |event| {
        text(event, "file.path").starts_with("/opt/#") && text(event, "proc.exe") == ACTS
    });
    agent.expect(&container, "file_change", &json!({"file.op": "link", "file.to": "/opt/named"}));
}

#[test]
fn every_call_that_opens_for_writing_is_watched() {
    let agent = Agent::shared();
    let container = start(&[]);
    for act in ["creat", "openat2", "thread-write"] {
        let path = format!("/opt/{act}");
        container.exec(&[ACTS, act, &path]);
        let wanted = json!({"file.path": path, "file.op": "create", "file.layer": "upper"});
        let event = agent.expect(&container, "file_write", &wanted);
        let is_thread = !event["proc"]["tid"].is_null();
        assert_eq!(is_thread, act == "thread-write", "{event}");
        assert_eq!(text(&event, "proc.exe"), ACTS, "a thread belongs to its process: {event}");
    }
}

#[test]
fn what_is_named_by_descriptor_is_told_by_its_path() {
    let agent = Agent::shared();
    let container = start(&[]);
    container.shell(&format!(
        "mkdir /opt/d; echo > /opt/d/a; {ACTS} renameat /opt/d a b; {ACTS} fchmod /opt/d/b"
    ));
    let rename = json!({"file.op": "rename", "file.path": "/opt/d/a", "file.to": "/opt/d/b"});
    agent.expect(&container, "file_change", &rename);
    let chmod = json!({"file.op": "chmod", "file.path": "/opt/d/b", "file.mode": 0o755});
    agent.expect(&container, "file_change", &chmod);
}

#[test]
fn the_32_bit_door_is_watched() {
    let agent = Agent::shared();
    let container = start(&[]);
    container.exec(&[ACTS, "open32", "/opt/compat"]);
    let wanted = json!({"file.path": "/opt/compat", "file.op": "create", "file.via": "compat"});
    agent.expect(&container, "file_write", &wanted);
}

#[test]
fn io_uring_is_watched() {
    let agent = Agent::shared();
    // Later versions of Docker forbid these calls by default.
    let container = start(&["--security-opt=seccomp=unconfined"]);
    container.exec(&[ACTS, "uring-open", "/opt/ring"]);
    let wanted = json!({
        "file.path": "/opt/ring",
        "file.op": "create",
        "file.layer": "upper",
        "file.via": "io_uring",
        "proc.exe": ACTS,
    });
    agent.expect(&container, "file_write", &wanted);
    agent.expect(&container, "privilege", &json!({"priv.op": "io_uring_setup"}));
}

#[test]
fn an_extended_attribute_is_told_when_it_is_set_and_removed() {
    let agent = Agent::shared();
    let container = start(&[]);
    container.exec(&[ACTS, "open-write", "/opt/file", "1"]);
    container.exec(&[ACTS, "xattr", "/opt/file"]);
    for (op, as_given) in
        [("set_xattr", json!(true)), ("set_xattr", json!(null)), ("remove_xattr", json!(true))]
    {
        let wanted = json!({
            "file.path": "/opt/file",
            "file.op": op,
            "file.to": "user.plimsoll",
            "file.layer": "upper",
            "file.as_given": as_given,
            "proc.exe": ACTS,
        });
        agent.expect(&container, "file_change", &wanted);
    }
}

#[test]
fn a_call_with_idle_bits_in_its_number_is_told() {
    let agent = Agent::shared();
    let container = start(&[]);
    container.exec(&[ACTS, "high-bits", "/opt/file"]);
    let wanted = json!({"file.path": "/opt/file", "file.op": "create", "proc.exe": ACTS});
    agent.expect(&container, "file_write", &wanted);
}

#[test]
fn a_file_that_is_emptied_by_a_reader_is_told() {
    let agent = Agent::shared();
    let container = start(&[]);
    container.exec(&[ACTS, "empty", "/etc/passwd"]);
    let wanted = json!({"file.path": "/etc/passwd", "file.op": "write", "proc.exe": ACTS});
    agent.expect(&container, "file_write", &wanted);
}

#[test]
fn the_oldest_32_bit_calls_are_told() {
    let agent = Agent::shared();
    let container = start(&[]);
    container.exec(&[ACTS, "open-write", "/opt/file", "1"]);
    container.exec(&[ACTS, "old32", "/opt/file"]);
    for op in ["chown", "truncate"] {
        let wanted = json!({"file.path": "/opt/file", "file.op": op, "file.via": "compat"});
        agent.expect(&container, "file_change", &wanted);
    }
}

#[test]
fn what_is_closed_at_once_is_told_all_the_same() {
    const FILES: usize = 500;
    let agent = Agent::shared();
    let container = start(&[]);
    container.exec(&[ACTS, "closed-opens", "/opt", &FILES.to_string()]);
    poll::holds("every file is told", || {
        let told = agent.all(&container, "file_write", &json!({"file.op": "create"}));
        let paths: BTreeSet<&str> = told.iter().map(|it| text(it, "file.path")).collect();
        paths.iter().filter(|path| path.starts_with("/opt/c")).count() == FILES
    });
}

#[test]
fn a_second_mode_is_not_hidden_by_the_first() {
    let agent = Agent::shared();
    let container = start(&[]);
    container.shell("echo > /opt/file; chmod 600 /opt/file; chmod 4755 /opt/file");
    for mode in [0o600, 0o4755] {
        let wanted = json!({"file.path": "/opt/file", "file.op": "chmod", "file.mode": mode});
        agent.expect(&container, "file_change", &wanted);
    }
}

#[test]
fn a_file_that_was_renamed_is_another_file() {
    let agent = Agent::shared();
    let container = start(&[]);
    container.shell("echo > /opt/a; echo >> /opt/a; mv /opt/a /opt/b; echo >> /opt/b");
    for path in ["/opt/a", "/opt/b"] {
        let wanted = json!({"file.path": path, "file.op": "write"});
        agent.expect(&container, "file_write", &wanted);
    }
}
