//! What was learned outlives the agent, however that ends.

use std::fs;

use plimsoll_tests::{event::text, poll};
use serde_json::{Value, json};

use super::{fast, have_done, is_monitored, profiles, wait_until_monitored, worker};

#[test]
fn what_was_learned_outlives_an_agent_that_is_killed_again_and_again() {
    const VARIANT: &str = "-x";
    const KILLS: usize = 8;
    let home = tempfile::tempdir().expect("a directory");
    let container = worker(VARIANT);
    let _second = worker(VARIANT);
    let mut known = 0;
    for _ in 0..KILLS {
        let agent = fast().data_dir(home.path()).start();
        poll::holds("something is known", || {
            let now = entries(&profiles(&agent, VARIANT));
            now > 0 && now >= known
        });
        known = entries(&profiles(&agent, VARIANT));
        assert!(!agent.log().contains("is damaged"), "{}", agent.log());
        agent.kill();
    }
    let agent = fast().data_dir(home.path()).start();
    wait_until_monitored(&agent, VARIANT);
    agent.kill();
    let agent = fast().data_dir(home.path()).start();
    assert!(is_monitored(&agent, VARIANT), "{:#?}", profiles(&agent, VARIANT));
    have_done(&container, "/usr/bin/hello; /bin/stat / > /dev/null");
    let wanted = json!({"rule": "new_process", "proc.origin": "init"});
    let alert = agent.expect(&container, "alert", &wanted);
    assert_eq!(text(&alert, "alert.path"), "/bin/busybox/stat");
    agent.stop();
}

#[test]
fn a_damaged_profile_is_set_aside_and_learned_anew() {
    const VARIANT: &str = "-bu";
    let home = tempfile::tempdir().expect("a directory");
    let agent = fast().data_dir(home.path()).start();
    let _container = worker(VARIANT);
    poll::holds("something is known", || entries(&profiles(&agent, VARIANT)) > 0);
    agent.stop();
    let listed = || fs::read_dir(home.path().join("profiles")).expect("is there");
    for entry in listed() {
        let path = entry.expect("is there").path();
        let bytes = fs::read(&path).expect("reads");
        fs::write(&path, &bytes[..bytes.len() / 2]).expect("is written");
    }
    let agent = fast().data_dir(home.path()).start();
    assert!(agent.log().contains("learned anew"), "{}", agent.log());
    poll::holds("something is known again", || entries(&profiles(&agent, VARIANT)) > 0);
    agent.stop();
    let damaged = |path: std::path::PathBuf| path.extension().is_some_and(|it| it == "damaged");
    assert!(listed().any(|entry| damaged(entry.expect("is there").path())));
}

#[test]
fn a_profile_is_exported_approved_and_reset() {
    const VARIANT: &str = "-b";
    let agent = fast().start();
    let container = worker(VARIANT);
    poll::holds("there are units", || {
        profiles(&agent, VARIANT).iter().all(|it| it["units"].as_u64() > Some(2))
            && profiles(&agent, VARIANT).len() == 2
    });
    let image = &container.image;
    let exported = agent.command(&["profile", "export", image]);
    let text = String::from_utf8_lossy(&exported.stdout).into_owned();
    assert!(text.contains("  - behaviour: \"/usr/bin/hello\"\n"), "{text}");
    let shown = agent.command(&["profile", "show", image]);
    assert!(String::from_utf8_lossy(&shown.stdout).contains("two containers or two starts"));
    let refused = agent.command(&["profile", "approve", image]);
    assert_eq!(refused.status.code(), Some(2), "there is no terminal to ask on");
    let cost = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(cost.contains("alerts a day of new behaviours are to be expected"), "{cost}");
    agent.told(&["profile", "approve", image, "--yes"]);
    let limit = poll::scaled(poll::PATIENCE);
    let approved = poll::until(limit, || is_monitored(&agent, VARIANT).then_some(()));
    assert!(approved.is_some(), "{:#?}", profiles(&agent, VARIANT));
    agent.told(&["profile", "reset", image, "--yes"]);
    poll::holds("it is learned anew", || !is_monitored(&agent, VARIANT));
    assert_eq!(agent.command(&["profile", "show", "nobody/at-all"]).status.code(), Some(2));
    agent.stop();
}

/// Behaviours that are known of all.
fn entries(profiles: &[Value]) -> u64 {
    let parts = profiles.iter().flat_map(|it| it["parts"].as_array().into_iter().flatten());
    parts.filter_map(|it| it["entries"].as_u64()).sum()
}
