//! What the agent refuses, with which exit code, and what it says.

use std::{
    fs::{self, Permissions},
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Output},
};

use plimsoll_tests::{
    agent::{Setup, plain},
    require,
};

const USAGE: i32 = 2;
const ENVIRONMENT: i32 = 3;
const UNREACHABLE: i32 = 4;

/// Runs the binary and returns exit code and standard error; it must end by itself.
fn run(arguments: &[&str]) -> (Option<i32>, String) {
    of(&plain(&require::binary()).args(arguments).output().expect("the binary runs"))
}

fn of(output: &Output) -> (Option<i32>, String) {
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn path(path: &Path) -> &str {
    path.to_str().expect("temporary paths are text")
}

#[test]
fn who_is_not_root_is_told_so() {
    // Where it lies, others may not be able to run it.
    let directory = tempfile::tempdir().expect("a directory for the binary");
    let binary = directory.path().join("plimsoll");
    fs::copy(require::binary(), &binary).expect("there is room for a copy");
    for path in [directory.path(), &binary] {
        fs::set_permissions(path, Permissions::from_mode(0o755)).expect("it is the test's own");
    }
    let nobody = ["--reuid=65534", "--regid=65534", "--clear-groups"];
    let home = directory.path().join("home");
    let mut command = Command::new("setpriv");
    command.args(nobody).arg(&binary).args(["run", "--metrics-listen="]);
    command.args(["--data-dir", path(&home), "--socket", path(&home.join("socket"))]);
    let (code, told) = of(&command.output().expect("setpriv is part of util-linux"));
    assert_eq!(code, Some(ENVIRONMENT), "{told}");
    assert!(told.contains("root"), "{told}");
}

/// Runs the agent where one thing of the host is hidden from it, in mounts of its own.
fn run_without(hide: &str) -> (Option<i32>, String) {
    let directory = tempfile::tempdir().expect("a directory for the agent");
    let at = |name: &str| path(&directory.path().join(name)).to_owned();
    let script = format!("{hide} && exec \"$0\" run --metrics-listen= --data-dir $1 --socket $2");
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", &script]).arg(require::binary());
    command.args([at("data"), at("socket")]);
    of(&command.output().expect("unshare is part of util-linux"))
}

#[test]
fn a_kernel_that_does_not_show_its_types_is_told() {
    let (code, told) = run_without("mount --bind /dev/null /sys/kernel/btf/vmlinux");
    assert_eq!(code, Some(ENVIRONMENT), "{told}");
    assert!(told.contains("BTF"), "{told}");
}

#[test]
fn a_host_without_the_second_version_of_cgroups_is_told() {
    let (code, told) = run_without("mount -t tmpfs none /sys/fs/cgroup");
    assert_eq!(code, Some(ENVIRONMENT), "{told}");
    assert!(told.contains("cgroup v2"), "{told}");
}

#[test]
fn a_configuration_that_is_not_there_is_named() {
    let (code, told) = run(&["run", "--config", "/nonexistent/plimsoll.toml"]);
    assert_eq!(code, Some(USAGE), "{told}");
    assert!(told.contains("/nonexistent/plimsoll.toml"), "{told}");
}

#[test]
fn a_configuration_that_cannot_be_read_is_named() {
    // Root may read every file, but no directory as a file.
    let directory = tempfile::tempdir().expect("a directory");
    let (code, told) = run(&["run", "--config", path(directory.path())]);
    assert_eq!(code, Some(ENVIRONMENT), "{told}");
    assert!(told.contains(path(directory.path())), "{told}");
}

#[test]
fn an_unknown_setting_is_named_with_its_line() {
    let config = "[agent]\nnode_name = \"a\"\n\n[store]\nmax_byte = \"1GiB\"\n";
    let (code, told) = Setup::default().config(config).refused();
    assert_eq!(code, USAGE, "{told}");
    assert!(told.contains("max_byte") && told.contains("line 5"), "{told}");
}

#[test]
fn a_value_that_makes_no_sense_is_named_with_its_line() {
    let (code, told) = Setup::default().config("[store]\nmax_age = \"soon\"\n").refused();
    assert_eq!(code, USAGE, "{told}");
    assert!(told.contains("max_age") && told.contains("line 2"), "{told}");
}

#[test]
fn unknown_options_are_usage() {
    for arguments in [&["run", "--nonsense"][..], &["events", "--since", "soon"], &["nonsense"]] {
        let (code, told) = run(arguments);
        assert_eq!(code, Some(USAGE), "{arguments:?}: {told}");
    }
}

#[test]
fn a_store_of_a_later_version_is_left_alone() {
    let data = tempfile::tempdir().expect("a directory for the store");
    fs::write(data.path().join("VERSION"), "999\n").expect("the directory is the test's own");
    let (code, told) = Setup::default().data_dir(data.path()).refused();
    assert_eq!(code, ENVIRONMENT, "{told}");
    assert!(told.contains("999") && told.contains(path(data.path())), "{told}");
    let version = fs::read_to_string(data.path().join("VERSION"));
    assert_eq!(version.expect("it is still there"), "999\n");
}

#[test]
fn a_data_directory_that_is_a_file_is_named() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let (code, told) = Setup::default().data_dir(file.path()).refused();
    assert_eq!(code, ENVIRONMENT, "{told}");
    assert!(told.contains(path(file.path())), "{told}");
}

#[test]
fn one_store_has_one_agent() {
    let data = tempfile::tempdir().expect("a directory for the store");
    let mut first = Setup::default().data_dir(data.path()).start();
    let (code, told) = Setup::default().data_dir(data.path()).refused();
    assert_eq!(code, ENVIRONMENT, "{told}");
    assert!(told.contains("in use") && told.contains(path(data.path())), "{told}");
    assert!(first.runs());
    assert_eq!(first.health().0, 200);
}

#[test]
fn one_socket_has_one_agent() {
    let directory = tempfile::tempdir().expect("a directory for the socket");
    let socket = directory.path().join("socket");
    let mut first = Setup::default().socket(&socket).start();
    let (code, told) = Setup::default().socket(&socket).refused();
    assert_eq!(code, ENVIRONMENT, "{told}");
    assert!(told.contains(path(&socket)), "{told}");
    assert!(first.runs());
    // Its socket still is its own.
    assert!(first.query(&["--limit=1"]).status.success());
}

#[test]
fn a_port_that_is_taken_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let address = listener.local_addr().expect("it is bound");
    let (code, told) = Setup::default().metrics(address).refused();
    assert_eq!(code, ENVIRONMENT, "{told}");
    assert!(told.contains(&address.to_string()), "{told}");
}

#[test]
fn a_question_that_nobody_answers_is_told_as_such() {
    let directory = tempfile::tempdir().expect("a directory");
    let socket = directory.path().join("socket");
    let (code, told) = run(&["events", "--socket", path(&socket)]);
    assert_eq!(code, Some(UNREACHABLE), "{told}");
    assert!(told.contains(path(&socket)), "{told}");
}
