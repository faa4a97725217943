//! A thousand containers whose policies come, change and go while acts are stopped.

use std::thread;

use plimsoll_tests::{
    docker::{BUSYBOX, Container, Docker, unique},
    guard::{Own, Stop, counted, guarded, show},
    maps, poll,
};

const CONTAINERS: usize = 1000;
/// Clients of Docker at once.
const AT_ONCE: usize = 8;
const LABEL: &str = "--label=com.docker.compose.service=own-many";
const SERVICE: [&str; 2] = ["--service", "own-many"];

/// Containers that are there and do not run.
struct Many {
    names: Vec<String>,
}

impl Many {
    fn create() -> Self {
        let prefix = unique("many");
        let names: Vec<String> = (0..CONTAINERS).map(|at| format!("{prefix}-{at}")).collect();
        thread::scope(|scope| {
            for part in names.chunks(CONTAINERS / AT_ONCE) {
                scope.spawn(move || {
                    for name in part {
                        let name = format!("--name={name}");
                        let options = ["--network=none", "--expose=80", LABEL, &name];
                        Docker::host().run(&[&["create"], &options[..], &[BUSYBOX]].concat());
                    }
                });
            }
        });
        Self { names }
    }
}

impl Drop for Many {
    fn drop(&mut self) {
        thread::scope(|scope| {
            for part in self.names.chunks(CONTAINERS / AT_ONCE) {
                scope.spawn(move || {
                    for some in part.chunks(25) {
                        let names = some.iter().map(String::as_str);
                        let all: Vec<&str> = ["rm", "--force"].into_iter().chain(names).collect();
                        Docker::host().attempt(&all);
                    }
                });
            }
        });
    }
}

/// Ends the tries in a container, also where the test fails.
struct Tries<'c>(&'c Container);

impl Drop for Tries<'_> {
    fn drop(&mut self) {
        self.0.attempt(&["/bin/touch", "/scratch/over"]);
    }
}

#[test]
fn policies_of_a_thousand_containers_come_and_go_and_no_act_slips_through() {
    let own = Own::new();
    let agent = own.agent();
    let stop = Stop::of(&agent, "exec");
    let container = guarded(BUSYBOX, &own.label("programs"), &["--tmpfs=/scratch:exec"]);
    container.exec(&["/usr/bin/breach", "marker", "/opt/marker"]);
    let before = maps::orders(agent.pid());
    let script = "while [ ! -e /scratch/over ]; do
        breach exec-often /opt/marker 20; acts spin-open /scratch 200; done";
    let report = thread::scope(|scope| {
        let stopped = scope.spawn(|| container.shell(script));
        let tries = Tries(&container);
        let many = Many::create();
        let run = |line: &[&str]| {
            let output = agent.command(line);
            assert!(output.status.success(), "{line:?}: {output:?}");
        };
        let mode = |mode: &str, class: &str| {
            run(&[&["mode", mode, "--class", class, "--yes"], &SERVICE[..]].concat());
        };
        for round in 0..5 {
            mode("enforce", "exec");
            mode("enforce", "network");
            poll::holds("all are guarded", || {
                let [_, pending, _, peers] = maps::orders(agent.pid());
                pending >= CONTAINERS && peers > before[3]
            });
            let path = format!("/opt/of-round-{round}");
            let rule = ["--rule", "new_executable", "--path", &path, "--for", "1h"];
            run(&[&["profile", "allow"], &SERVICE[..], &rule].concat());
            mode("monitor", "exec");
            mode("default", "network");
            poll::holds("none is", || maps::orders(agent.pid()) == before);
        }
        mode("enforce", "exec");
        drop(many);
        poll::holds("nothing of them is left", || maps::orders(agent.pid()) == before);
        drop(tries);
        stopped.join().expect("the script ends well")
    });
    let (mut started, mut done) = (0, 0);
    for line in report.lines() {
        done += counted(line, "done");
        started += 20;
    }
    assert!(started > 0 && done == 0, "{done} of {started} went through: {report}");
    assert!(container.attempt(&["/bin/cat", "/scratch/ran"]).stdout.is_empty());
    show("a thousand containers", stop, &format!("{started} tries, none went through"));
    agent.stop();
}
