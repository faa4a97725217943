//! Server and client together, over a socket and a store of their own.

use std::{
    path::PathBuf,
    thread::{self, JoinHandle},
    time::Duration,
};

use serde_json::json;
use tokio::sync::oneshot;

use super::{
    client::{self, ClientError},
    server::{self, Limits, State},
    socket,
};
use crate::store::{config::Config, open::open, sample::Sample};

/// A server over 1000 observations.
struct Served {
    dir: tempfile::TempDir,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Served {
    fn start(limits: Limits) -> Self {
        let dir = tempfile::tempdir().expect("makes a directory");
        let max_age = Duration::from_hours(100 * 365 * 24);
        let store = dir.path().join("store");
        let (mut appender, _) = open(&Config { max_age, ..Config::new(&store) }).expect("opens");
        let sample = Sample::new();
        (0..1000).for_each(|number| sample.with(number, |it| appender.append(it)));
        appender.close();
        let path = dir.path().join("socket");
        let (stop, stopped) = oneshot::channel();
        let (ready, is_ready) = std::sync::mpsc::channel();
        let thread = thread::spawn(move || {
            let mut builder = tokio::runtime::Builder::new_current_thread();
            let runtime = builder.enable_all().build().expect("builds");
            runtime.block_on(async {
                let listener = socket::bind(&path).expect("listens");
                let state = State::new(store, limits, || json!({ "watched": 3 }));
                ready.send(()).expect("is waited for");
                server::serve(listener, state, async { stopped.await.unwrap_or_default() }).await;
            });
        });
        is_ready.recv().expect("starts");
        Self { dir, stop: Some(stop), thread: Some(thread) }
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("socket")
    }

    fn lines(&self, target: &str) -> Vec<serde_json::Value> {
        let mut lines = client::get(&self.socket(), target).expect("answers");
        let mut values = Vec::new();
        while let Some(line) = lines.next_line().expect("is whole") {
            values.push(serde_json::from_str(line).expect("is JSON"));
        }
        values
    }

    fn stop(&mut self) {
        if let (Some(stop), Some(thread)) = (self.stop.take(), self.thread.take()) {
            let _ = stop.send(());
            thread.join().expect("ends well");
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stop();
    }
}

#[test]
fn events_are_streamed_as_they_were_asked_for() {
    let served = Served::start(Limits::default());
    let lines = served.lines("/v1/events?kind=connect&container=web-5&where=net.rport%20%3D%20443");
    assert_eq!(lines.len(), 100);
    assert_eq!(lines[0]["net"]["raddr"], "10.0.0.5");
    assert!(lines.iter().all(|line| line["ctr"]["name"] == "web-5"));
    assert_eq!(served.lines("/v1/events").len(), 1000);
    assert_eq!(served.lines("/v1/events?limit=7&reverse=true").len(), 7);
    assert_eq!(served.lines("/v1/status"), [json!({ "watched": 3 })]);
}

#[test]
fn a_wrong_question_is_refused_with_its_reason() {
    let served = Served::start(Limits::default());
    let refused = client::get(&served.socket(), "/v1/events?where=proc.exee");
    let Err(ClientError::Refused(reason)) = refused else { panic!("{refused:?}") };
    assert!(reason.contains("did you mean 'proc.exe'?"), "{reason}");
    let unknown = client::get(&served.socket(), "/v2");
    assert!(matches!(unknown, Err(ClientError::Broken(_))), "{unknown:?}");
}

#[test]
fn answers_and_queries_are_limited() {
    let served = Served::start(Limits { rows: 10, concurrent: 1, ..Limits::default() });
    let lines = served.lines("/v1/events");
    assert_eq!(lines.len(), 11);
    assert_eq!(lines[10]["notice"], "stopped after 10 observations: narrow the query");
    let follower = client::get(&served.socket(), "/v1/events?follow=true").expect("answers");
    let second = client::get(&served.socket(), "/v1/events");
    let Err(ClientError::Broken(error)) = second else { panic!("{second:?}") };
    assert!(error.to_string().contains("1 queries are running"), "{error}");
    drop(follower);
    let start = crate::clock::instant();
    while client::get(&served.socket(), "/v1/events").is_err() {
        assert!(crate::clock::since(start).as_secs() < 20, "the place of who is gone is not free");
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_follower_does_not_keep_the_daemon_from_ending() {
    let mut served = Served::start(Limits::default());
    let mut follower =
        client::get(&served.socket(), "/v1/events?follow=true&limit=1").expect("answers");
    assert!(follower.next_line().expect("is sound").is_some());
    let start = crate::clock::instant();
    served.stop();
    assert!(crate::clock::since(start) < Duration::from_secs(3));
    assert!(matches!(follower.next_line(), Ok(None) | Err(_)));
    let gone = client::get(&served.socket(), "/v1/status");
    assert!(matches!(gone, Err(ClientError::Unreachable { .. })), "{gone:?}");
}
