//! A webhook: outages, hanging receivers, TLS and secrets, and the form that falcosidekick takes.

use std::fs;

use plimsoll_tests::{
    agent::Setup,
    event::text,
    poll,
    receiver::{Certificates, Webhook},
};
use serde_json::{Value, json};

use super::{breach, container, expect_told, metric, programs, said, sink, test, told};

const NAMES: [&str; 2] = ["hook", "webhook"];

fn hook(server: &Webhook, keys: &str) -> String {
    sink("hook", "webhook", &format!("url = \"http://{}/alerts\"\n{keys}", server.address))
}

#[test]
fn an_outage_loses_nothing_not_even_when_the_agent_is_killed_in_it() {
    let mut server = Webhook::start();
    let data = tempfile::tempdir().expect("a directory");
    let config = hook(&server, "");
    let start = || Setup::default().config(&config).data_dir(data.path()).start();
    let agent = start();
    let container = container();
    breach(&container, 0..5);
    expect_told(&agent, &programs(0..5), || told(&server.bodies()));
    // What was taken and not answered would be told again.
    poll::holds("all is answered", || metric(&agent, "queue_length", NAMES, "") < 0.5);
    server.kill();
    breach(&container, 5..25);
    poll::holds("what cannot be told waits", || metric(&agent, "queue_length", NAMES, "") >= 20.0);
    assert!(metric(&agent, "failures_total", NAMES, "") > 0.0);
    agent.kill();
    let agent = start();
    breach(&container, 25..30);
    poll::holds("all of it waits", || metric(&agent, "queue_length", NAMES, "") >= 25.0);
    agent.kill();
    let agent = start();
    server.restart();
    expect_told(&agent, &programs(0..30), || told(&server.bodies()));
    poll::holds("nothing waits", || metric(&agent, "queue_length", NAMES, "") < 0.5);
    let delivered = metric(&agent, "alerts_total", NAMES, ",result=\"delivered\"");
    assert!(delivered >= 25.0, "{delivered}");
    assert!(metric(&agent, "last_success_age_seconds", NAMES, "") < 60.0);
    agent.stop();
}

#[test]
fn a_receiver_that_hangs_delays_neither_store_nor_other_sinks_nor_the_end() {
    let server = Webhook::start();
    server.answer("hang");
    let data = tempfile::tempdir().expect("a directory");
    let file = data.path().join("alerts");
    let keys = format!("path = \"{}\"", file.display());
    let config = [hook(&server, "timeout = \"1h\""), sink("file", "file", &keys)].concat();
    let agent = Setup::default().config(&config).data_dir(data.path()).start();
    let container = container();
    breach(&container, 0..30);
    let written = || fs::read_to_string(&file).unwrap_or_default();
    expect_told(&agent, &programs(0..30), || told(&plimsoll_tests::event::parse(&written())));
    agent.expect(&container, "alert", &json!({"alert.path": "/opt/p29"}));
    assert_eq!(server.taken(), Vec::<Value>::new());
    // It must end in time.
    agent.stop();
    server.answer("200");
    let agent = Setup::default().config(&config).data_dir(data.path()).start();
    expect_told(&agent, &programs(0..30), || told(&server.bodies()));
    agent.stop();
}

#[test]
fn what_a_receiver_refuses_does_not_hold_up_the_rest_and_is_counted() {
    let server = Webhook::start();
    server.answer("400");
    let agent = Setup::default().config(&hook(&server, "")).start();
    let container = container();
    breach(&container, 0..1);
    poll::holds("it is refused", || {
        metric(&agent, "alerts_total", NAMES, ",result=\"refused\"") > 0.5
    });
    assert!(agent.log().contains("400 Bad Request"), "{}", agent.log());
    // Not able is not the same as not willing.
    server.answer("503");
    breach(&container, 1..3);
    poll::holds("it is tried", || metric(&agent, "failures_total", NAMES, "") > 0.5);
    server.answer("200");
    expect_told(&agent, &programs(1..3), || told(&server.bodies()));
    agent.stop();
}

#[test]
fn over_tls_only_who_is_trusted_gets_the_secret_and_nobody_is_shown_it() {
    let certificates = Certificates::make("localhost");
    let server = Webhook::start_tls(&certificates, "s3cret-token");
    let home = tempfile::tempdir().expect("a directory");
    let secret = home.path().join("token");
    fs::write(&secret, "wrong-s3cret\n").expect("is written");
    let url = format!("url = \"https://{}/s3cret-path\"\n", server.address);
    let keys = format!("{url}secret_file = \"{}\"\n", secret.display());
    let trusted = format!("{keys}ca_file = \"{}\"", certificates.authority().display());
    let config = [sink("strange", "webhook", &keys), sink("hook", "webhook", &trusted)].concat();
    let agent = Setup::default().config(&config).start();
    let container = container();
    breach(&container, 0..1);
    poll::holds("a wrong secret is no reason to give up", || {
        metric(&agent, "failures_total", NAMES, "") > 0.5
    });
    let refused = test(&agent, "hook");
    assert_eq!(refused.status.code(), Some(3));
    assert!(said(&refused).contains("401 Unauthorized"), "{}", said(&refused));
    fs::write(&secret, "s3cret-token\n").expect("is written");
    expect_told(&agent, &programs(0..1), || told(&server.bodies()));
    assert_eq!(server.taken()[0]["path"], "/s3cret-path");
    let tested = test(&agent, "hook");
    // The server repeats what it was sent: a careless one may.
    assert!(said(&tested).contains("200 OK said Bearer ***"), "{}", said(&tested));
    let distrusted = test(&agent, "strange");
    assert!(said(&distrusted).contains("certificate"), "{}", said(&distrusted));
    let config = agent.config();
    let check = agent.command(&["check", "--config", config.to_str().expect("is text")]);
    for said in [agent.log(), said(&check), said(&refused), said(&tested), said(&distrusted)] {
        assert!(!said.contains("s3cret"), "{said}");
    }
    assert!(said(&check).contains("everybody may read"), "{}", said(&check));
    agent.stop();
}

#[test]
fn falcosidekick_is_given_what_it_reads() {
    const PRIORITIES: [&str; 8] =
        ["Emergency", "Alert", "Critical", "Error", "Warning", "Notice", "Informational", "Debug"];
    let server = Webhook::start();
    let agent = Setup::default().config(&hook(&server, "format = \"falco\"")).start();
    let container = container();
    breach(&container, 0..1);
    poll::holds("it is told", || !server.bodies().is_empty());
    let taken = server.taken().swap_remove(0);
    assert_eq!(taken["type"], "application/json");
    let body = &taken["body"];
    assert!(PRIORITIES.contains(&text(body, "priority")), "{body}");
    assert_eq!([text(body, "priority"), text(body, "rule")], ["Critical", "new_executable"]);
    assert!(text(body, "output").contains("/opt/p0"), "{body}");
    let time: Result<jiff::Timestamp, _> = text(body, "time").parse();
    assert!(time.is_ok() && text(body, "time").ends_with('Z'), "{body}");
    assert!(!text(body, "hostname").is_empty() && !text(body, "source").is_empty(), "{body}");
    let tags = body["tags"].as_array().expect("there are some");
    assert!(tags.iter().all(Value::is_string) && tags.contains(&json!("T1105")), "{body}");
    let fields = &body["output_fields"];
    let wanted = json!({
        "container.id": &container.id[..12],
        "container.name": container.name,
        "container.image.repository": "plimsoll-test/busybox",
        "container.image.tag": "1",
        "proc.name": "p0",
        "proc.cmdline": "/opt/p0",
        "proc.pname": "busybox",
    });
    for (name, value) in wanted.as_object().expect("is one") {
        assert_eq!(&fields[name], value, "{name} of {body}");
    }
    assert!(fields["evt.time"].is_u64(), "{body}");
    assert!(fields.as_object().is_some_and(|it| it.values().all(|it| !it.is_object())), "{body}");
    poll::holds("the command line shows the same", || {
        let shown = agent.command(&["alerts", "-o", "falco", "--container", &container.name]);
        plimsoll_tests::event::parse(&said(&shown)).first() == Some(body)
    });
    agent.stop();
}
