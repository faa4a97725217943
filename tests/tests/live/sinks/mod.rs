//! Where alerts are told: real receivers, their outages, and what is lost by them, which is nothing.

mod alertmanager;
mod bounds;
mod files;
mod latency;
mod syslog;
mod webhook;

use std::{ops::Range, process::Output, time::Duration};

use plimsoll_tests::{
    agent::{Agent, plain},
    docker::{BUSYBOX, Container, Docker},
    event::text,
    poll, require,
};
use serde_json::Value;

/// How long a sink may wait before it tries again.
const RETRY: Duration = Duration::from_secs(45);

/// A table of the configuration: a sink of this name and type, with more keys.
fn sink(name: &str, of_type: &str, keys: &str) -> String {
    format!("[[sink]]\nname = \"{name}\"\ntype = \"{of_type}\"\n{keys}\n")
}

fn container() -> Container {
    Docker::host().start(BUSYBOX, &[], &[])
}

/// Breaks a rule once for each number, each time by a program of another name.
fn breach(container: &Container, numbers: Range<usize>) {
    breach_with(container, numbers, "");
}

/// Does that, and this after each.
fn breach_with(container: &Container, numbers: Range<usize>, after: &str) {
    let Range { start, end } = numbers;
    let act = format!("cp /usr/bin/hello /opt/p$i; /opt/p$i; {after}i=$((i+1))");
    container.shell(&format!("i={start}; while [ $i -lt {end} ]; do {act}; done"));
}

/// The names of the programs that [`breach`] ran.
fn programs(numbers: Range<usize>) -> Vec<String> {
    numbers.map(|number| format!("/opt/p{number}")).collect()
}

/// The programs that alerts in native form are about, in their order.
fn told(alerts: &[Value]) -> Vec<String> {
    let paths = alerts.iter().map(|it| text(it, "alert.path").to_owned());
    paths.filter(|it| it.starts_with("/opt/p")).collect()
}

/// Waits until what was told is what was to be told, once each and in order.
#[track_caller]
fn expect_told(agent: &Agent, wanted: &[String], told: impl Fn() -> Vec<String>) {
    let all = poll::until(RETRY, || (told() == wanted).then_some(()));
    assert!(all.is_some(), "wanted {wanted:?}\ngot {:?}\n{}", told(), agent.log());
}

/// The value of a series of a sink.
#[track_caller]
fn metric(agent: &Agent, name: &str, sink: [&str; 2], more: &str) -> f64 {
    let [name_of_sink, of_type] = sink;
    let labels = format!("sink=\"{name_of_sink}\",sink_type=\"{of_type}\"{more}");
    agent.metric(&format!("plimsoll_sink_{name}{{{labels}}}"))
}

/// Runs `plimsoll sink test` with an agent's configuration.
fn test(agent: &Agent, name: &str) -> Output {
    let mut command = plain(&require::binary());
    command.args(["sink", "test", name, "--config"]).arg(agent.config());
    command.output().expect("the binary runs")
}

/// All that a command said.
fn said(output: &Output) -> String {
    [&output.stdout[..], &output.stderr].map(String::from_utf8_lossy).concat()
}
