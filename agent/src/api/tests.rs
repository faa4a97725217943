//! Server and client together, over a socket and a store of their own.

use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use plimsoll_ebpf::rules::{Class, Mode};
use serde_json::json;
use tokio::sync::oneshot;

use super::{
    activity::Activity,
    client::{self, ClientError},
    messages::{ChangeAnswer, PolicyAnswer},
    policy::Desk,
    profiles::Shelf,
    server::{self, Limits, State},
    socket,
};
use crate::{
    attribution::{
        container::Container,
        roster::{Acts, Roster},
    },
    policy::{
        book::Book,
        keeper::{Keeper, Publisher},
    },
    store::{config::Config, open::open, sample::Sample},
};

/// What was decided: nothing yet. One container runs, `web` of `nginx:1.25`.
fn desk(dir: &Path) -> Desk {
    let (tell, _) = crossbeam_channel::bounded(1);
    let publisher = Publisher { tell, wake: Box::new(|| {}) };
    let keeper = Arc::new(Keeper::open(Book::default(), dir, publisher, 1));
    let container = Container {
        id: "00".to_owned(),
        name: "web".to_owned(),
        image: "nginx:1.25".to_owned(),
        ..Container::default()
    };
    let roster = Roster::default();
    let acts = Acts { exec: 7, write: 5, connect: 3 };
    roster.show([Arc::new(container)].iter(), [("00".to_owned(), acts)].into());
    let (orders, _) = crossbeam_channel::bounded(1);
    let shelf = Shelf { data_dir: dir.to_owned(), import_key: None, orders, wake: Arc::new(|| {}) };
    Desk { keeper, roster, shelf }
}

/// A server over 1000 observations, unless more are asked for.
struct Served {
    dir: tempfile::TempDir,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Served {
    fn start(limits: Limits) -> Self {
        Self::with(1000, limits)
    }

    fn with(count: u64, limits: Limits) -> Self {
        let dir = tempfile::tempdir().expect("makes a directory");
        let max_age = Duration::from_hours(100 * 365 * 24);
        let store = dir.path().join("store");
        let (mut appender, _) = open(&Config { max_age, ..Config::new(&store) }).expect("opens");
        let sample = Sample::new();
        (0..count).for_each(|number| sample.with(number, |it| appender.append(it)));
        appender.close();
        let path = dir.path().join("socket");
        let desk = desk(dir.path());
        let (stop, stopped) = oneshot::channel();
        let (ready, is_ready) = std::sync::mpsc::channel();
        let thread = thread::spawn(move || {
            let mut builder = tokio::runtime::Builder::new_current_thread();
            let runtime = builder.enable_all().build().expect("builds");
            runtime.block_on(async {
                let listener = socket::bind(&path).expect("listens");
                let state = State::new(store, limits, desk, || json!({ "watched": 3 }));
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

    /// Waits until a query is let in.
    fn wait_for_a_place(&self) {
        let start = crate::clock::instant();
        while client::get(&self.socket(), "/v1/events?limit=1").is_err() {
            assert!(crate::clock::since(start).as_secs() < 20, "the place is not free");
            thread::sleep(Duration::from_millis(10));
        }
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
fn counts_are_made_by_the_daemon() {
    let served = Served::start(Limits { rows: 2, ..Limits::default() });
    let lines = served.lines("/v1/events?count_by=kind&where=net.rport%20%3D%20443");
    assert_eq!(lines, [json!({"count": 200, "observations": 200, "by": {"kind": "connect"}})]);
    let lines = served.lines("/v1/events?count_by=ctr.name&count_by=kind&limit=4");
    assert_eq!(lines.len(), 5, "four and the rest, whatever the limit on observations");
    assert_eq!(lines[4]["other_groups"], 6);
    let lines = served.lines("/v1/events?histogram=100ms");
    assert_eq!(lines.len(), 10);
    assert!(lines.iter().all(|it| it["count"] == 100 && it["kinds"]["connect"] == 20));
}

#[test]
fn a_count_whose_time_is_over_tells_what_it_has_and_that_there_is_more() {
    let served = Served::start(Limits { time: Duration::ZERO, ..Limits::default() });
    let lines = served.lines("/v1/events?count_by=kind&limit=1");
    assert!(lines.iter().any(|it| it.get("count").is_some()), "{lines:?}");
}

#[test]
fn what_containers_do_is_told_with_their_modes() {
    let served = Served::start(Limits::default());
    let told: Activity = client::value(&served.socket(), "/v1/activity").expect("answers");
    let [web] = &told.containers[..] else { panic!("{told:?}") };
    assert_eq!((web.name.as_str(), web.image.as_str()), ("web", "nginx:1.25"));
    assert_eq!(web.acts, Acts { exec: 7, write: 5, connect: 3 });
    assert_eq!(web.modes.get(Class::Exec), Some(Mode::Monitor));
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
    let end = json!({"notice": "stopped after 10 observations: narrow the query", "ends": true});
    assert_eq!(lines[10], end);
    // One that is told nothing.
    let follower =
        client::get(&served.socket(), "/v1/events?follow=true&kind=dns").expect("answers");
    let second = client::get(&served.socket(), "/v1/events");
    let Err(ClientError::Broken(error)) = second else { panic!("{second:?}") };
    assert!(error.to_string().contains("1 queries are running"), "{error}");
    drop(follower);
    served.wait_for_a_place();
}

#[test]
fn who_takes_nothing_of_an_answer_keeps_nobody_waiting_and_knows_that_it_is_not_whole() {
    let patience = Duration::from_millis(50);
    // More than a socket holds.
    let served = Served::with(8000, Limits { concurrent: 1, patience, ..Limits::default() });
    let mut slow = client::get(&served.socket(), "/v1/events").expect("answers");
    served.wait_for_a_place();
    let end = loop {
        match slow.next_line() {
            Ok(Some(_)) => {}
            end => break end.map(|_| ()),
        }
    };
    assert!(end.is_err(), "it was taken for whole");
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
    let why = follower.next_line().expect("is sound").expect("is told").to_owned();
    assert_eq!(why, r#"{"notice":"the agent is stopping: ask again","ends":true}"#);
    assert!(matches!(follower.next_line(), Ok(None)));
    let gone = client::get(&served.socket(), "/v1/status");
    assert!(matches!(gone, Err(ClientError::Unreachable { .. })), "{gone:?}");
}

/// What a request gets that no client of ours would send: its status and text.
fn raw(served: &Served, request: &str) -> (u16, String) {
    let mut stream = UnixStream::connect(served.socket()).expect("connects");
    // The server may have refused before it has read everything.
    let _ = stream.write_all(request.as_bytes());
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("is answered");
    let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("has a status");
    (status, answer.split("\r\n\r\n").nth(1).unwrap_or_default().trim_end().to_owned())
}

fn post(served: &Served, target: &str, body: &str) -> (u16, String) {
    let length = body.len();
    let head = format!("POST {target} HTTP/1.1\r\nhost: x\r\nconnection: close");
    raw(served, &format!("{head}\r\ncontent-length: {length}\r\n\r\n{body}"))
}

#[test]
fn modes_and_exceptions_are_changed_and_told() {
    let served = Served::start(Limits::default());
    let change = |method: &str, target: &str, body: Option<serde_json::Value>| {
        let method = method.parse().expect("is a method");
        client::change::<ChangeAnswer>(&served.socket(), method, target, body.as_ref())
    };
    let policy =
        || client::value::<PolicyAnswer>(&served.socket(), "/v1/policy").map(|it| json!(it));
    let set = json!({"image": "nginx", "exec": "enforce"});
    let set = change("POST", "/v1/modes", Some(set)).expect("is set");
    assert_eq!((set.containers, set.unsaved), (1, None));
    let told = policy().expect("is told");
    assert_eq!(told["policies"][0]["modes"], json!({"exec": "enforce"}));
    assert_eq!(told["containers"][0]["modes"]["exec"], "enforce");
    let body = json!({
        "image": "nginx", "rule": "new_executable", "place": "/opt/**", "reason": "r",
        "expires": "2100-01-01T00:00:00Z",
    });
    let allowed = change("POST", "/v1/exceptions", Some(body)).expect("is allowed");
    let exception = allowed.exception.expect("is told");
    assert_eq!((exception.uses, exception.expired), (0, false));
    assert_eq!(policy().expect("is told")["exceptions"][0], json!(exception));
    let target = format!("/v1/exceptions/{}", exception.id);
    assert!(change("DELETE", &target, None).is_ok());
    let gone = change("DELETE", &target, None);
    let Err(ClientError::Refused(reason)) = gone else { panic!("{gone:?}") };
    assert_eq!(reason, format!("there is no exception '{}'", exception.id));
    change("POST", "/v1/modes", Some(json!({"image": "nginx", "exec": "default"})))
        .expect("is reset");
    assert_eq!(policy().expect("is told")["policies"], json!([]));
}

#[test]
fn a_change_that_cannot_be_is_refused_in_one_line() {
    let served = Served::start(Limits::default());
    for (target, body, status, text) in [
        ("/v1/modes", "{", 400, "EOF while parsing"),
        ("/v1/modes", r#"{"exe": "learn"}"#, 400, "unknown field `exe`"),
        ("/v1/modes", r#"{"exec": "block"}"#, 400, "'block' is no mode"),
        ("/v1/modes", "{}", 400, "no mode is given"),
        ("/v1/modes", r#"{"exec": "learn", "file": "default"}"#, 400, "not both"),
        ("/v1/modes", r#"{"exec": "default"}"#, 409, "no mode was set"),
        (
            "/v1/exceptions",
            r#"{"image": "a", "rule": "new_executable", "place": "/**"}"#,
            400,
            "too wide",
        ),
        (
            "/v1/exceptions",
            r#"{"rule": "new_executable", "place": "/a"}"#,
            400,
            "for every container is too wide",
        ),
        ("/v1/exceptions", r#"{"image": "a", "rule": "x", "place": "/a"}"#, 400, "'x' is no rule"),
        ("/v1/policy", "", 405, "/v1/policy answers GET only"),
    ] {
        let (found, answer) = post(&served, target, body);
        assert!(found == status && answer.contains(text), "{body}: {found} {answer}");
        assert_eq!(answer.lines().count(), 1, "{answer}");
    }
}

#[test]
fn a_body_is_bounded() {
    let served = Served::start(Limits::default());
    let (status, text) = post(&served, "/v1/modes", &" ".repeat(17 << 10));
    assert_eq!((status, text.as_str()), (413, r#"{"error":"a body has at most 16384 bytes"}"#));
}
