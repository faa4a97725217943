//! Frames as they are drawn, and what keys make of them.

use plimsoll_ebpf::rules::{Class, Mode};
use ratatui::{
    Terminal,
    backend::TestBackend,
    crossterm::event::{KeyCode, KeyEvent, KeyModifiers},
};
use serde_json::json;

use super::{
    draw,
    frame::{Frame, Sort},
    keys::{self, Next},
    watch::Seen,
};
use crate::{
    api::activity::{Activity, AtWork},
    attribution::roster::Acts,
    policy::modes::SomeModes,
};

const SECOND_NS: u64 = 1_000_000_000;
/// A moment at which nobody looks at the hour.
const NOW_NS: u64 = 1_764_000_000 * SECOND_NS;

fn at_work(name: &str, image: &str, acts: [u64; 3]) -> AtWork {
    let [exec, write, connect] = acts;
    let mode = |class| if class == Class::File { Mode::Learn } else { Mode::Enforce };
    AtWork {
        id: format!("id-{name}"),
        name: name.to_owned(),
        image: image.to_owned(),
        service: "shop".to_owned(),
        subject: format!("{image} (run)"),
        modes: SomeModes::of(|class| Some(mode(class))),
        acts: Acts { exec, write, connect },
    }
}

fn seen(now_ns: u64, containers: Vec<AtWork>) -> Seen {
    let alert = json!({
        "ts": "2025-11-24T16:00:00Z", "kind": "alert", "rule": "new_executable",
        "severity": "high", "reason": "It is not\u{1b}[2J in the image.",
        "ctr": {"name": "web", "image": "nginx:1"},
    });
    Seen {
        activity: Activity { now_ns, containers },
        profiles: [("nginx:1 (run)".to_owned(), "monitor".to_owned())].into(),
        alerts: vec![alert.as_object().cloned().expect("is an object")],
    }
}

/// Two looks, two seconds apart.
fn frame() -> Frame {
    let mut frame = Frame::new(Sort::Rate, String::new());
    frame.show(seen(NOW_NS, vec![at_work("web", "nginx:1", [10, 0, 0])]));
    let later =
        vec![at_work("db", "postgres:16", [3, 400, 0]), at_work("web", "nginx:1", [13, 2, 5000])];
    frame.show(seen(NOW_NS + 2 * SECOND_NS, later));
    frame
}

/// The lines of a terminal of this size.
fn drawn(frame: &Frame, width: u16, height: u16) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("has a size");
    terminal.draw(|canvas| draw::draw(frame, canvas)).expect("nothing fails");
    let buffer = terminal.backend().buffer().clone();
    let line = |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>();
    (0..height).map(|y| line(y).trim_end().to_owned()).collect()
}

fn press(frame: &mut Frame, keys: &str) -> Next {
    let mut next = Next::GoOn;
    for key in keys.chars() {
        let code = match key {
            '\n' => KeyCode::Enter,
            '\u{8}' => KeyCode::Backspace,
            '\u{1b}' => KeyCode::Esc,
            other => KeyCode::Char(other),
        };
        next = keys::press(frame, KeyEvent::new(code, KeyModifiers::NONE));
    }
    next
}

fn names(frame: &Frame) -> Vec<String> {
    frame.rows().into_iter().map(|it| it.name).collect()
}

#[test]
fn a_frame_fits_a_terminal_of_80_by_24() {
    let lines = drawn(&frame(), 80, 24);
    assert!(lines[0].starts_with("plimsoll top 2 containers, "), "{lines:#?}");
    assert!(lines[0].ends_with(", sorted by rate"), "{lines:#?}");
    let heading = "CONTAINER         IMAGE             PROFILE        MODE   EXEC/s WRITE/s CONN/s";
    assert_eq!(lines[1].trim_end(), heading, "{lines:#?}");
    let web = "web               nginx:1           monitor        e l e     1.5     1.0    2.5k";
    let db = "db                postgres:16       -              e l e     1.5   200.0     0.0";
    assert_eq!([&lines[2], &lines[3]], [web, db], "{lines:#?}");
    let alerts = lines.iter().position(|it| it == "LATEST ALERTS").expect("is there");
    let alert = &lines[alerts + 1];
    assert!(alert.contains("high     new_executable web: It is not\\x1b[2J in the"), "{lines:#?}");
    assert!(lines[23].starts_with(" q quit  s sort"), "{lines:#?}");
}

#[test]
fn the_first_look_has_no_rates_and_a_small_terminal_breaks_nothing() {
    let mut frame = Frame::new(Sort::Name, String::new());
    frame.show(seen(NOW_NS, vec![at_work("web", "nginx:1", [10, 0, 0])]));
    assert_eq!(frame.rows()[0].rates, None);
    for (width, height) in [(1, 1), (10, 3), (300, 100)] {
        assert_eq!(drawn(&frame, width, height).len(), usize::from(height));
    }
}

#[test]
fn rows_are_sorted_by_each_column_and_turned_round() {
    let mut frame = frame();
    assert_eq!(names(&frame), ["web", "db"], "by all acts");
    press(&mut frame, "ss");
    assert_eq!((frame.order().as_str(), names(&frame)), ("write", vec!["db".into(), "web".into()]));
    press(&mut frame, "r");
    assert_eq!(names(&frame), ["web", "db"]);
    press(&mut frame, "rss");
    assert_eq!((frame.order().as_str(), names(&frame)), ("name", vec!["db".into(), "web".into()]));
    press(&mut frame, "ss");
    assert_eq!(frame.order(), "rate", "after the last comes the first");
}

#[test]
fn what_is_typed_after_a_slash_filters_by_name_image_and_service() {
    let mut frame = frame();
    assert_eq!(press(&mut frame, "/NGIq\u{8}"), Next::GoOn);
    assert_eq!(names(&frame), ["web"]);
    assert!(drawn(&frame, 80, 24)[23].starts_with(" filter: NGI_"));
    press(&mut frame, "\n");
    assert!(drawn(&frame, 80, 24)[0].ends_with(", only NGI"));
    press(&mut frame, "\u{1b}/postgres");
    assert_eq!((names(&frame), frame.alerts().count()), (vec!["db".to_owned()], 0));
    press(&mut frame, "\u{1b}/shop\n");
    assert_eq!(names(&frame).len(), 2);
    assert_eq!(press(&mut frame, "q"), Next::End);
}

#[test]
fn it_scrolls_no_further_than_the_last_row() {
    let mut frame = frame();
    press(&mut frame, "jjj");
    assert_eq!(frame.above, 1);
    assert!(!drawn(&frame, 80, 24)[2].starts_with("web"), "the first row is above");
    press(&mut frame, "kkk");
    assert_eq!(frame.above, 0);
    press(&mut frame, "G/web");
    assert_eq!(frame.above, 0, "the rows that are left begin at the first");
}

#[test]
fn an_agent_that_is_gone_is_told_above_what_was_seen_last() {
    let mut frame = frame();
    frame.lose("no agent answers".to_owned());
    let lines = drawn(&frame, 80, 24);
    assert_eq!(lines[0], "no agent answers");
    assert!(lines[2].starts_with("web "));
    frame.show(seen(NOW_NS + 3 * SECOND_NS, Vec::new()));
    assert!(drawn(&frame, 80, 24)[0].starts_with("plimsoll top 0 containers"));
}

#[test]
fn text_has_every_row_and_objects_have_the_rates() {
    let frame = frame();
    let text = draw::text(&frame, 80, frame.whole_height());
    assert!(text.contains("\nweb ") && text.contains("\ndb "), "{text}");
    let objects = frame.objects();
    assert_eq!(objects[0]["connect_per_s"], 2500.0, "{objects:#?}");
    assert_eq!(
        objects[0]["modes"],
        json!({"exec": "enforce", "file": "learn", "network": "enforce"})
    );
}
