//! What becomes of arguments that are seen unit by unit.

use proptest::prelude::*;

use crate::baseline::{
    arguments::templates::{MOST_TEMPLATES, Pace, Templates, print_of},
    dimension::Context,
    entries::{Entries, Occasion},
};

const PACE: Pace = Pace { unit_s: 1.0, containers: 1 };

/// What is known of one program.
#[derive(Default)]
struct Known {
    templates: Templates,
    entries: Entries,
}

impl Known {
    /// Sees arguments in a unit; returns whether they were known.
    fn see(&mut self, unit: u64, key: &str) -> bool {
        let Self { templates, entries } = self;
        let found = templates.find(key, entries);
        let number = found.or_else(|| templates.insert(key, entries, unit)).expect("has room");
        let at = Occasion {
            context: Context::Steady,
            unit,
            container: 1,
            start_s: Some(1),
            now_s: unit,
            apart_s: 1,
        };
        entries.record(number, &at);
        found.is_some()
    }

    fn knows(&self, key: &str) -> bool {
        self.templates.find(key, &self.entries).is_some()
    }

    fn templates(&self) -> Vec<String> {
        let mut all = Vec::new();
        self.templates.visit(&mut |key, _| all.push(key.to_owned()));
        all
    }

    fn is_settled(&self) -> bool {
        self.templates.is_settled(&self.entries, PACE)
    }
}

#[test]
fn what_is_half_the_same_widens_a_template_and_what_is_said_first_stays() {
    let mut known = Known::default();
    known.see(1, "hosts redis");
    known.see(2, "hosts api");
    assert_eq!(known.templates(), ["hosts <word>"]);
    assert!(known.knows("hosts db") && !known.knows("passwd root") && !known.knows("hosts /etc/x"));
    known.see(3, "passwd root");
    assert_eq!(known.templates().len(), 2);
    known.see(4, "-c {convert}");
    known.see(4, "-c {identify}");
    assert!(!known.knows("-c {curl;sh}"), "programs are never one: {:?}", known.templates());
}

#[test]
fn paths_of_one_directory_are_one_from_the_third_on() {
    let mut known = Known::default();
    known.see(1, "/data/a.txt");
    known.see(1, "/data/b.txt");
    assert!(!known.knows("/data/c.txt"));
    known.see(2, "/data/c.txt");
    assert_eq!(known.templates(), ["<path:/data>"]);
    assert!(known.knows("/data/d.txt") && !known.knows("/data/d.sh") && !known.knows("/etc/d.txt"));
}

#[test]
fn of_a_program_whose_arguments_always_differ_nothing_is_said() {
    let mut known = Known::default();
    for unit in 1..=20 {
        known.see(unit, "run");
    }
    for unit in 1..=16_u64 {
        known.see(unit, &format!("{}-only", char::from(b'a' + unit as u8)));
    }
    assert_eq!(known.templates(), ["..."], "more than {MOST_TEMPLATES}");
    assert!(known.knows("whatever it -is") && !known.is_settled());
    let mut restless = Known::default();
    for unit in 1..=4_u64 {
        assert!(!restless.templates.is_open(), "{unit}");
        restless.see(unit, &format!("{}", char::from(b'a' + unit as u8)));
    }
    assert!(restless.templates.is_open(), "early, where most units bring something new");
}

#[test]
fn arguments_are_judged_once_they_were_seen_often_and_seldom_new() {
    let mut known = Known::default();
    for unit in 1..=5 {
        assert!(!known.is_settled(), "{unit}");
        known.see(unit, "run");
    }
    assert!(known.is_settled());
    known.see(6, "stop");
    assert!(!known.is_settled());
    for unit in 7..=10 {
        known.see(unit, "run");
    }
    assert!(!known.is_settled());
    known.see(11, "run");
    assert!(known.is_settled(), "one of ten is new");
    known.see(12, "start");
    assert!(!known.is_settled());
    known.see(13, "start");
    assert!(known.is_settled(), "it is seen again");
}

#[test]
fn two_that_take_turns_show_no_more_than_there_is_time_for() {
    let mut known = Known::default();
    for unit in [1, 2, 1, 2, 1, 2, 1, 2] {
        known.see(unit, "run");
    }
    assert!(!known.is_settled());
}

#[test]
fn what_is_denied_is_never_widened_nor_forgotten() {
    let mut known = Known::default();
    known.see(1, "fetch evil");
    let number = known.templates.find("fetch evil", &known.entries).expect("is there");
    assert_eq!(known.entries.deny(|_| true), 1);
    known.see(2, "fetch good");
    assert_eq!(known.templates(), ["fetch evil", "fetch good"]);
    for unit in 3..=30_u64 {
        known.see(unit, &format!("do-{}", char::from(b'a' + (unit % 26) as u8)));
    }
    assert!(known.templates.is_open());
    assert_eq!(known.templates.find("fetch evil", &known.entries), Some(number));
}

#[test]
fn what_is_alike_is_told_as_one() {
    assert_eq!(print_of("-c {curl;sh} x"), "{curl;sh}");
    assert_eq!(print_of("<int> fetch x"), "fetch");
    assert_eq!(print_of("-o <path:/tmp> x --y=<int> <url:http>"), "-o --y");
    assert_eq!(print_of("<int>"), "");
}

proptest! {
    #[test]
    fn templates_know_what_they_learned_and_survive_being_kept(
        seen in proptest::collection::vec(
            (1..40_u64, "(run|stop|-x|/data/[a-d]|/data/e/[a-d]|<int>|<id>|[a-d]|--u=[a-c]|\\{[a-c]\\})( (run|/data/[a-d]|<int>|<text>|[a-d])){0,3}"),
            1..60,
        ),
    ) {
        let mut seen = seen;
        seen.sort();
        let mut known = Known::default();
        for (unit, key) in &seen {
            known.see(*unit, key);
        }
        prop_assert!(known.templates().len() <= MOST_TEMPLATES, "{:?}", known.templates());
        let (mut entries, mut kept) = (Entries::default(), Templates::default());
        known.templates.visit(&mut |key, number| {
            let entry = known.entries.get(number).expect("is there");
            let number = entries.restore(entry.clone()).expect("has room");
            assert!(kept.restore(key, number, &entries));
        });
        for (_, key) in &seen {
            prop_assert!(known.knows(key), "{} in {:?}", key, known.templates());
            prop_assert!(kept.find(key, &entries).is_some());
        }
        prop_assert_eq!(known.entries.len(), entries.len());
        prop_assert_eq!(known.is_settled(), kept.is_settled(&entries, PACE));
    }
}
