//! rsyslogd, by each way that leads to it.

use plimsoll_tests::{
    agent::{Agent, Setup},
    event::{self, text},
    poll,
    receiver::Syslog,
};
use serde_json::Value;

use super::{breach, container, expect_told, metric, programs, said, sink, test, told};

fn start(syslog: &Syslog) -> Agent {
    let unix = format!("address = \"unix:{}\"", syslog.socket().display());
    let udp = format!("address = \"udp://{}\"\nfacility = \"local3\"", syslog.address);
    let tcp = format!("address = \"tcp://{}\"\nfacility = \"authpriv\"", syslog.address);
    let sinks = [("unix", unix), ("udp", udp), ("tcp", tcp)];
    let config = sinks.map(|(name, keys)| sink(name, "syslog", &keys));
    Setup::default().config(&config.concat()).start()
}

/// What came by one way.
fn by(syslog: &Syslog, from: &str) -> Vec<Value> {
    let mut messages = syslog.messages();
    messages.retain(|it| it["from"] == from);
    messages
}

/// The alerts in the texts of messages.
fn alerts<'m>(messages: impl IntoIterator<Item = &'m Value>) -> Vec<Value> {
    let messages = messages.into_iter();
    messages.flat_map(|it| event::parse(text(it, "text").trim_start())).collect()
}

#[test]
fn each_way_brings_whole_messages_with_their_header() {
    let syslog = Syslog::start();
    let agent = start(&syslog);
    let container = container();
    breach(&container, 0..3);
    for (from, facility) in [("imuxsock", "daemon"), ("imudp", "local3"), ("imtcp", "authpriv")] {
        expect_told(&agent, &programs(0..3), || told(&alerts(&by(&syslog, from))));
        let message = by(&syslog, from).swap_remove(0);
        let header = ["app", "id", "severity", "facility"].map(|name| text(&message, name));
        assert_eq!(header, ["plimsoll", "new_executable", "crit", facility], "{from}: {message}");
        let alert = &alerts([&message])[0];
        assert_eq!(text(&message, "host"), text(alert, "node.name"), "{from}: {message}");
    }
    for name in ["unix", "udp", "tcp"] {
        assert!(said(&test(&agent, name)).contains("sent"), "{name}");
    }
    agent.stop();
}

#[test]
fn a_daemon_that_ends_and_begins_anew_is_told_what_it_missed() {
    let mut syslog = Syslog::start();
    let agent = start(&syslog);
    let container = container();
    breach(&container, 0..3);
    expect_told(&agent, &programs(0..3), || told(&alerts(&by(&syslog, "imtcp"))));
    expect_told(&agent, &programs(0..3), || told(&alerts(&by(&syslog, "imuxsock"))));
    syslog.kill();
    breach(&container, 3..6);
    for name in ["tcp", "unix"] {
        poll::holds("they wait", || metric(&agent, "queue_length", [name, "syslog"], "") >= 3.0);
    }
    syslog.restart();
    for from in ["imtcp", "imuxsock"] {
        expect_told(&agent, &programs(0..6), || told(&alerts(&by(&syslog, from))));
    }
    agent.stop();
}
