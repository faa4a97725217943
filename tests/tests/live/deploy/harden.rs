//! What no command of Docker's sets for a service.

use plimsoll_tests::{
    agent::plain,
    docker::{Docker, PLIMSOLL, Swarm, unique},
    require,
};

#[test]
fn an_engine_that_would_drop_privileges_is_sent_nothing() {
    let docker = Docker::host();
    let swarm = Swarm::init(&docker);
    let name = unique("hardened");
    let create = ["service", "create", "--detach", "--no-resolve-image", "--replicas=0", "--name"];
    docker.run(&[&create[..], &[&name, PLIMSOLL]].concat());
    let version = || docker.run(&["service", "inspect", "--format", "{{.Version.Index}}", &name]);
    let before = version();
    let harden = |arguments: &[&str]| {
        let mut command = plain(&require::binary());
        command.args(["swarm", "harden", "--service", &name]).args(arguments);
        command.output().expect("the binary runs")
    };
    let output = harden(&[]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    if docker.engine() < 25 {
        assert_eq!(output.status.code(), Some(3), "{output:?}");
        for part in ["the engine is ", "from 25 on: nothing was changed", "plimsoll check"] {
            assert!(told.contains(part), "{part} is not in {told}");
        }
        assert_eq!(version(), before, "the service was changed");
    } else {
        assert!(output.status.success(), "{output:?}");
        assert_ne!(version(), before, "the service was not changed");
        let again = String::from_utf8_lossy(&harden(&[]).stdout).into_owned();
        assert!(again.contains("has it all"), "{again}");
    }
    docker.run(&["service", "rm", &name]);
    drop(swarm);
}
