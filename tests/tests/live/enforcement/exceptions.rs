//! What is let pass although it breaks a rule, and what lies beside it.

use std::{process::Command, time::Duration};

use plimsoll_tests::{
    agent::Setup,
    docker::{BUSYBOX, Container},
    event::text,
    guard::{FILES, Own, PROGRAMS, Stop, enforcing, exec_alerts, guarded},
    poll,
};

/// Paths that an exception covers, and neighbours that none does.
const ALLOWED: [&str; 4] = ["/opt/exact", "/opt/one/x", "/opt/all/x", "/opt/all/deep/er/x"];
const BESIDE: [&str; 7] = [
    "/opt/exactly",
    "/opt/exac",
    "/opt/one/sub/x",
    "/opt/onex",
    "/opt/allx",
    "/opt/expired",
    "/exact",
];

#[test]
fn a_program_runs_where_an_exception_says_so_and_nowhere_beside() {
    let agent = enforcing();
    let stop = Stop::of(agent, "exec");
    let container = guarded(BUSYBOX, PROGRAMS, &[]);
    container.shell("mkdir -p /opt/one/sub /opt/all/deep/er");
    for path in ALLOWED {
        container.shell(&format!("cp /usr/bin/hello {path}; {path}"));
    }
    for path in BESIDE {
        container.shell(&format!("cp /usr/bin/hello {path}"));
        stop.assert_stopped(&container.attempt(&[path]));
    }
    // Another name leads to the same file, and the file's own name counts.
    container.shell("ln -s /opt/all/x /opt/link; /opt/link; cd /opt/all; ./deep/../x");
    container.shell("ln -s /opt/onex /opt/all/link");
    stop.assert_stopped(&container.attempt(&["/opt/all/link"]));
    stop.assert_stopped(&container.attempt(&["/opt/all/../onex"]));
    // An exception is for its rule only.
    stop.assert_stopped(&container.attempt(&["/usr/bin/acts", "map-exec", "/opt/all/x"]));
    let told = exec_alerts(agent, &container);
    let programs = told.iter().filter(|it| text(it, "rule") == "new_executable");
    let told: Vec<&str> = programs.map(|it| text(it, "alert.path")).collect();
    assert!(ALLOWED.iter().all(|it| !told.contains(it)), "{told:?}");
    assert!(BESIDE.iter().all(|it| told.contains(it)), "{told:?}");
}

#[test]
fn a_file_is_written_where_an_exception_says_so_and_nowhere_beside() {
    let agent = enforcing();
    let stop = Stop::of(agent, "file");
    let container = guarded(BUSYBOX, FILES, &[]);
    let made = tempfile::tempdir().expect("a directory to copy");
    for directory in ["/opt/one", "/opt/one/sub", "/opt/all", "/opt/all/deep", "/opt/all/deep/er"] {
        container.copy_in(made.path(), directory);
    }
    for path in ALLOWED {
        container.exec(&["/usr/bin/acts", "open-write", path, "2"]);
    }
    for path in BESIDE {
        stop.assert_stopped(&container.attempt(&["/usr/bin/acts", "open-write", path, "1"]));
    }
}

/// How long an exception lives that ends during a test: enough to start an agent and a container.
const LIFE: Duration = Duration::from_secs(20);

/// The end of such a life, as the configuration writes it.
fn soon() -> String {
    let date = format!("--date={} seconds", poll::scaled(LIFE).as_secs());
    let output = Command::new("date").args(["--utc", &date, "+%FT%TZ"]).output();
    let output = output.expect("every system has this program");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn runs(container: &Container, path: &str) -> bool {
    container.attempt(&[path]).status.success()
}

#[test]
fn an_exception_ends_when_it_says_so_and_takes_no_other_with_it() {
    let soon = soon();
    let exceptions = [("/opt/brief", true), ("/opt/all/**", false), ("/opt/all/brief/*", true)]
        .map(|(path, is_brief)| {
            let expires = if is_brief { format!("expires = \"{soon}\"\n") } else { String::new() };
            format!(
                "[[exception]]\nservice = \"stop-*\"\nrule = \"new_executable\"\npath = \"{path}\"\n{expires}reason = \"a test\"\n"
            )
        });
    let policy = "[[policy]]\nservice = \"stop-programs\"\nexec = \"enforce\"\n";
    let own = Own::new();
    let config = own.config(&[policy, &exceptions.concat()].concat());
    let _agent = Setup::default().config(&config).start();
    let container = guarded(BUSYBOX, &own.label("programs"), &[]);
    container.shell("mkdir -p /opt/all/brief");
    for path in ["/opt/brief", "/opt/all/x", "/opt/all/brief/x"] {
        container.shell(&format!("cp /usr/bin/hello {path}"));
        assert!(runs(&container, path), "{path} is stopped before {soon}");
    }
    let ended = || (!runs(&container, "/opt/brief")).then_some(());
    assert!(poll::until(LIFE * 3, ended).is_some(), "{soon} is long over");
    assert!(runs(&container, "/opt/all/x"), "one that never ends has ended");
    // Known: hidden by the one that ended, until the container's exceptions are made anew.
    poll::holds("a wider one that never ends holds", || runs(&container, "/opt/all/brief/x"));
}
