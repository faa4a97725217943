//! Profiles that are written down, reviewed, signed and taken in again.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use plimsoll_tests::{agent::Agent, docker::Container, poll, require};
use serde_json::json;

use super::{FAST, fast, have_done, profiles, wait_until_monitored, worker};

const VARIANT: &str = "-af";

/// Makes a private key, and returns its public one.
fn keys(private: &Path) -> PathBuf {
    let public = private.with_extension("pub");
    let run = |arguments: &[&str]| {
        let output = Command::new(require::program("openssl")).args(arguments).output();
        let output = output.expect("openssl runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    let [key, public_key] = [private, &public].map(|it| it.to_str().expect("is text"));
    run(&["genpkey", "-algorithm", "ed25519", "-out", key]);
    run(&["pkey", "-in", key, "-pubout", "-out", public_key]);
    public
}

/// Exit code, and what was said of it.
fn import(agent: &Agent, arguments: &[&str]) -> (Option<i32>, String) {
    let output = agent.command(&[&["profile", "import"], arguments].concat());
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// What an agent exports of the image of a container, and of its service.
fn export(agent: &Agent, container: &Container, to: &str, more: &[&str]) {
    let output =
        agent.command(&[&["profile", "export", &container.image, "--to", to], more].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_signed_profile_makes_another_agent_tell_departures_from_the_start() {
    let home = tempfile::tempdir().expect("a directory");
    let at = |name: &str| home.path().join(name).to_str().expect("is text").to_owned();
    let (key, file, again) = (at("key"), at("app.yaml"), at("again.yaml"));
    let public = keys(Path::new(&key));
    let public = public.to_str().expect("is text");
    let container = worker(VARIANT);
    let second = worker(VARIANT);
    let learning = fast().start();
    wait_until_monitored(&learning, VARIANT);
    export(&learning, &container, &file, &["--sign", &key]);
    learning.stop();

    let demanding = FAST.replace("[baseline]", &format!("[baseline]\nimport_key = \"{public}\""));
    let agent = fast().config(&demanding).start();
    let text = fs::read_to_string(&file).expect("was written");
    let (code, said) = import(&agent, &[&file, "--signature", &key]);
    assert_eq!(code, Some(2), "no signature: {said}");
    let broad = text.replacen("/todo\"", "/<* 1-255>\"", 1);
    fs::write(at("broad.yaml"), &broad).expect("is written");
    let (code, said) = import(&agent, &[&at("broad.yaml")]);
    let line = broad.lines().position(|it| it.contains("<* 1-255>")).expect("is there");
    assert_eq!(code, Some(2), "{said}");
    // A behaviour begins with the line before its path.
    assert!(said.contains(&format!("broad.yaml:{line}: any name at all in `/`")), "{said}");
    fs::write(at("unsigned.yaml"), &text).expect("is written");
    let (code, said) = import(&agent, &[&at("unsigned.yaml"), "--approve"]);
    assert!(code == Some(2) && said.contains("signed profiles only"), "{said}");
    let (code, said) = import(&agent, &[&file, "--verify", public, "--approve"]);
    assert_eq!(code, Some(0), "{said}");
    let is_monitored =
        || profiles(&agent, VARIANT).iter().any(|it| it["is_approved"] == json!(true));
    poll::holds("it is approved", is_monitored);
    export(&agent, &container, &again, &[]);
    let difference = agent.command(&["profile", "diff", &file, &again]);
    let table = String::from_utf8_lossy(&difference.stdout).into_owned();
    assert_eq!(difference.status.code(), Some(0), "{table}");
    have_done(&second, "/bin/stat / > /dev/null");
    agent.expect(&second, "alert", &json!({"rule": "new_process", "proc.origin": "init"}));
    agent.stop();
}
