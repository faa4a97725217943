//! A new version of an image: one report of what it adds, and a rollback that is known at once.

use plimsoll_tests::{
    agent::Agent,
    docker::{BUSYBOX, Container, Docker, Image},
    event::text,
    guard::alerts,
    poll,
};
use serde_json::{Value, json};

use super::{WORK, fast, have_done, profiles, wait_until_monitored};

const VARIANT: &str = "-a";

/// A version of an image with a program of its own.
fn version(repository: &str, version: u32, program: &str) -> Image {
    let lines =
        format!("FROM {BUSYBOX}\nCOPY --from={BUSYBOX} /usr/bin/hello /usr/bin/{program}\n");
    Image::build(&Docker::host(), &format!("{repository}:{version}"), &lines)
}

/// A container at work, which runs whichever of both programs its image has.
fn worker(image: &Image) -> Container {
    let own = "for it in old fresh; do [ ! -f /usr/bin/$it ] || /usr/bin/$it > /dev/null; done";
    let work = WORK.replace("do echo", &format!("do {own}; echo"));
    Docker::host().start(&image.name, &[], &["/bin/sh", VARIANT, "-c", &work])
}

/// The rules that a container broke by itself.
fn broken(agent: &Agent, container: &Container) -> Vec<String> {
    let all = alerts(agent, container);
    let own = all.iter().filter(|it| text(it, "proc.origin") == "init");
    own.map(|it| text(it, "rule").to_owned()).filter(|it| it.starts_with("new_")).collect()
}

fn shown(agent: &Agent, container: &Container) -> Value {
    let digest = &container.digest;
    agent.told(&["profile", "show", digest, "--behaviours"]).pop().expect("has a profile")
}

#[test]
fn a_release_is_one_report_and_a_rollback_is_known_at_once() {
    let agent = fast().start();
    let repository = plimsoll_tests::docker::unique("versions");
    let images = [version(&repository, 1, "old"), version(&repository, 2, "fresh")];
    let first = [worker(&images[0]), worker(&images[0])];
    wait_until_monitored(&agent, VARIANT);
    let next = [worker(&images[1]), worker(&images[1])];
    let report = || {
        let of = |it: &Container| agent.all(it, "alert", &json!({"rule": "release_diff"}));
        next.iter().flat_map(of).find(|it| text(it, "reason").contains("/usr/bin/fresh"))
    };
    let report = poll::until(poll::PATIENCE, report).expect("the release is told");
    let reason = text(&report, "reason");
    for part in ["programs that the image brings: ", "process /usr/bin/fresh", "were dropped"] {
        assert!(reason.contains(part), "{part}: {reason}");
    }
    assert_eq!(text(&report, "severity"), "low");
    for container in &next {
        assert_eq!(broken(&agent, container), [] as [&str; 0]);
    }
    let heritage = shown(&agent, &next[0])["heritage"].clone();
    assert!(heritage["dropped"].as_u64() > Some(0) && heritage["look"] == "alike", "{heritage}");
    // What others run is told at once all the same.
    have_done(&next[0], "echo > /dev/shm/hook.sh");
    agent.expect(&next[0], "alert", &json!({"rule": "new_sensitive_write"}));
    let [old, new] = [&first[0], &next[0]].map(|it| it.digest.clone());
    let difference = agent.command(&["profile", "diff", &old, &new]);
    let table = String::from_utf8_lossy(&difference.stdout).into_owned();
    assert_eq!(difference.status.code(), Some(1), "{table}");
    for (sign, program) in [("+", "/usr/bin/fresh"), ("-", "/usr/bin/old")] {
        let is_it = |line: &str| line.starts_with(sign) && line.contains(program);
        assert!(table.lines().any(is_it), "{sign} {program}: {table}");
    }
    drop((first, next));
    let back = worker(&images[0]);
    // What happens while it starts is learned still: that takes three starts.
    poll::holds("it has started", || shown(&agent, &back)["starts"].as_u64() >= Some(3));
    have_done(&back, "/usr/bin/hello > /dev/null");
    assert_eq!(broken(&agent, &back), [] as [&str; 0]);
    have_done(&back, "/bin/stat / > /dev/null");
    agent.expect(&back, "alert", &json!({"rule": "new_process", "proc.origin": "init"}));
    let reports = agent.all(&back, "alert", &json!({"rule": "release_diff"}));
    assert_eq!(reports.len(), 0, "{reports:#?}");
    agent.stop();
}

#[test]
fn a_replica_that_does_much_that_is_new_is_told_while_it_is_learned() {
    const VARIANT: &str = "-ab";
    let agent = fast().start();
    let repository = plimsoll_tests::docker::unique("replicas");
    let image = version(&repository, 1, "old");
    let start = || Docker::host().start(&image.name, &[], &["/bin/sh", VARIANT, "-c", WORK]);
    let replicas = [start(), start(), start()];
    let of_image = || {
        let all = profiles(&agent, VARIANT).into_iter();
        all.filter(|it| it["image"] == json!(image.name) && it["is_image"] == json!(true))
    };
    poll::holds("all have worked for a while", || {
        of_image().any(|it| it["units"].as_u64() > Some(12))
    });
    let script = "for it in stat id uname date ls; do /bin/$it > /dev/null; done";
    have_done(&replicas[1], script);
    let alert = agent.expect(&replicas[1], "alert", &json!({"rule": "replica_differs"}));
    assert!(text(&alert, "reason").contains("/bin/busybox uname"), "{alert}");
    for honest in [&replicas[0], &replicas[2]] {
        assert_eq!(agent.all(honest, "alert", &json!({"rule": "replica_differs"})).len(), 0);
    }
    agent.stop();
}
