//! Scripts: what runs is the interpreter, what matters is the script.

use plimsoll_tests::{
    agent::Agent,
    docker::{BUSYBOX, Docker, LAYERED},
};
use serde_json::json;

#[test]
fn a_script_of_the_image_is_told_with_its_interpreter() {
    const SCRIPT: &str = "/usr/local/bin/script.sh";
    let agent = Agent::shared();
    let container = Docker::host().run_to_end(LAYERED, &[], &[SCRIPT, "argument"]);
    let wanted = json!({
        "proc.exe": "/bin/busybox",
        "proc.args": ["/bin/sh", SCRIPT, "argument"],
        "exec.script": SCRIPT,
        "exec.layer": "image",
    });
    agent.expect(&container, "exec", &wanted);
}

#[test]
fn a_script_that_was_written_in_the_container_is_told() {
    const SCRIPT: &str = "/opt/script.sh";
    let agent = Agent::shared();
    let container = Docker::host().start(BUSYBOX, &[], &[]);
    container.shell(&format!(
        "printf '#!/bin/sh\\necho ran\\n' > {SCRIPT}; chmod +x {SCRIPT}; {SCRIPT}"
    ));
    let exec = json!({"proc.exe": "/bin/busybox", "exec.script": SCRIPT});
    agent.expect(&container, "exec", &exec);
    let write = json!({"file.path": SCRIPT, "file.op": "create", "file.layer": "upper"});
    agent.expect(&container, "file_write", &write);
    let chmod = json!({"file.path": SCRIPT, "file.op": "chmod", "file.layer": "upper"});
    agent.expect(&container, "file_change", &chmod);
}

#[test]
fn a_script_that_is_called_from_its_directory_is_told_by_its_full_name() {
    let agent = Agent::shared();
    let container = Docker::host().start(LAYERED, &[], &[]);
    container.shell("cd /usr/local; ./bin/../bin/script.sh relative");
    let wanted = json!({"exec.script": "/usr/local/bin/script.sh", "proc.cwd": "/usr/local"});
    agent.expect(&container, "exec", &wanted);
}
