//! The stage as a whole: precedence, changes, and what outlives the agent.

use std::{
    fs,
    path::Path,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use crossbeam_channel::Receiver;
use plimsoll_ebpf::rules::{Class, Mode, Rule};
use proptest::prelude::*;

use super::{
    book::{Book, Policy},
    configured,
    exception::{Source, Terms},
    keeper::{ChangeError, Keeper, Publisher},
    modes::{Modes, SomeModes},
    pattern::Pattern,
    place::Place,
    selector::Selector,
};
use crate::{
    attribution::container::Container,
    config::{load::Sources, sections::Config},
};

const SECOND: u64 = 1_000_000_000;

fn config(text: &str) -> Config {
    let file = tempfile::NamedTempFile::new().expect("a file");
    fs::write(file.path(), text).expect("is written");
    let sources = Sources { file: Some(file.path().to_owned()), ..Sources::default() };
    sources.load().expect("loads").config
}

fn book(text: &str) -> Book {
    configured::book(&config(text)).expect("is right")
}

fn image(text: &str) -> Selector {
    let image = Some(Pattern::parse(text).expect("is a pattern"));
    Selector { image, ..Selector::default() }
}

fn container(image: &str) -> Container {
    Container { image: image.to_owned(), ..Container::default() }
}

fn only(class: Class, mode: Mode) -> SomeModes {
    SomeModes::of(|it| (it == class).then_some(mode))
}

fn terms(selector: Selector, path: &str) -> Terms {
    Terms {
        selector,
        rule: Rule::NewExecutable,
        place: Place::parse(path).expect("is a place"),
        expires_ns: None,
        reason: String::new(),
    }
}

fn keeper(dir: &Path, book: Book) -> (Keeper, Receiver<Arc<Book>>) {
    let (tell, books) = crossbeam_channel::bounded(2);
    let publisher = Publisher { tell, wake: Box::new(|| {}) };
    (Keeper::open(book, dir, publisher, SECOND), books)
}

#[test]
fn without_configuration_nothing_is_stopped_and_the_defaults_agree() {
    let book = book("");
    assert_eq!(book.modes, Modes::default());
    let modes = Class::ALL.map(|class| book.modes_of(&container("nginx")).get(class));
    assert_eq!(modes, [Mode::Monitor, Mode::Learn, Mode::Learn]);
}

#[test]
fn later_policies_win_and_the_command_line_wins_over_the_file() {
    let book = book(
        "[modes]\nnetwork = \"monitor\"\n\
         [[policy]]\nimage = \"nginx\"\nexec = \"enforce\"\nfile = \"monitor\"\n\
         [[policy]]\nexec = \"learn\"\n",
    );
    let of = |book: &Book| Class::ALL.map(|class| book.modes_of(&container("nginx")).get(class));
    assert_eq!(of(&book), [Mode::Learn, Mode::Monitor, Mode::Monitor]);
    let book = book.with_modes(image("nginx:*"), only(Class::Exec, Mode::Enforce), 1);
    assert_eq!(of(&book), [Mode::Enforce, Mode::Monitor, Mode::Monitor]);
    assert_eq!(book.modes_of(&container("redis")).get(Class::Exec), Mode::Learn);
    let book = book.with_modes(Selector::default(), only(Class::Exec, Mode::Monitor), 2);
    assert_eq!(of(&book)[0], Mode::Monitor);
    let book = book.with_modes(image("nginx:*"), only(Class::Exec, Mode::Enforce), 3);
    assert_eq!((of(&book)[0], book.policies.len()), (Mode::Enforce, 4));
    let book = book.without_modes(&image("nginx:*"), only(Class::Exec, Mode::Learn));
    assert_eq!((of(&book)[0], book.policies.len()), (Mode::Monitor, 3));
}

#[test]
fn exceptions_are_for_their_containers_and_end() {
    let text = "[[exception]]\nimage = \"nginx\"\nrule = \"foreign_script\"\npath = \"/a/**\"\n\
                expires = \"1970-01-01T00:00:10Z\"\nreason = \"r\"\n";
    let book = book(text);
    assert_eq!(book.exceptions_of(&container("nginx:1"), 9 * SECOND).len(), 1);
    assert_eq!(book.exceptions_of(&container("nginx:1"), 10 * SECOND).len(), 0);
    assert_eq!(book.exceptions_of(&container("redis"), 0).len(), 0);
}

#[test]
fn what_the_configuration_cannot_mean_is_named_with_its_line() {
    let text = "[[policy]]\nimage = \"a b\"\nexec = \"learn\"\n\
                [[exception]]\nimage = \"*\"\nrule = \"new_executable\"\npath = \"/a\"\nreason = \"r\"\n\
                [[exception]]\nimage = \"x\"\nrule = \"new_executable\"\npath = \"/a/**/b\"\nreason = \"r\"\n\
                [[exception]]\nimage = \"x\"\nrules = [\"new_executable\", \"new_executable\"]\n\
                path = \"/a\"\nreason = \"r\"\n";
    assert_eq!(
        configured::book(&config(text)).expect_err("is wrong"),
        [
            "[[policy]]: 'image' at line 2 cannot be 'a b': a pattern has no spaces or control \
             characters",
            "[[exception]] at line 4: an exception for every container is too wide: name an image, \
             service or container",
            "[[exception]]: 'path' at line 12 cannot be '/a/**/b': '*' stands at the end of the \
             last component only: /a/b/*, /a/b/pre* or /a/b/**",
            "[[exception]] at line 14 allows what the one at line 14 allows",
        ]
    );
}

#[test]
fn a_change_is_told_and_outlives_the_agent() {
    let dir = tempfile::tempdir().expect("a directory");
    let (first, books) = keeper(dir.path(), Book::default());
    let changed =
        first.set_modes(image("nginx"), only(Class::Exec, Mode::Enforce), 5).expect("set");
    assert_eq!(changed.unsaved, None);
    let id = first.allow(terms(image("nginx"), "/opt/*"), 6).expect("allowed").value.id.clone();
    let told = books.try_iter().last().expect("is told");
    assert!(Arc::ptr_eq(&told, &first.book()));
    told.exceptions_of(&container("nginx"), 7)[0].count(3, 7);
    first.close(8);
    let (second, _) = keeper(dir.path(), book("[[policy]]\nexec = \"learn\"\n"));
    let kept = second.book();
    assert_eq!(kept.modes_of(&container("nginx")).get(Class::Exec), Mode::Enforce);
    assert_eq!(kept.policies[1].source, Source::Operator { made_ns: 5 });
    assert_eq!(kept.exception(&id).map(|it| it.uses.load(Relaxed)), Some(3));
    second.revoke(&id, 9).expect("is revoked");
    second.reset_modes(&image("nginx"), only(Class::Exec, Mode::Learn), 9).expect("is reset");
    let (third, _) = keeper(dir.path(), Book::default());
    assert_eq!((third.book().policies.len(), third.book().exceptions.len()), (0, 0));
}

#[test]
fn the_same_exception_again_replaces_the_first_and_is_counted_on() {
    let dir = tempfile::tempdir().expect("a directory");
    let (keeper, _books) = keeper(dir.path(), Book::default());
    let first = keeper.allow(terms(image("a"), "/b"), 5).expect("allowed").value;
    first.count(2, 6);
    let longer = Terms { expires_ns: Some(100), ..terms(image("a"), "/b") };
    let second = keeper.allow(longer, 7).expect("allowed").value;
    assert_eq!((&first.id, second.uses.load(Relaxed)), (&second.id, 2));
    assert_eq!(keeper.book().exceptions.len(), 1);
}

#[test]
fn what_cannot_be_changed_says_why() {
    let dir = tempfile::tempdir().expect("a directory");
    let text =
        "[[exception]]\nimage = \"a\"\nrule = \"new_executable\"\npath = \"/b\"\nreason = \"r\"\n";
    let (keeper, _books) = keeper(dir.path(), book(text));
    let id = keeper.book().exceptions[0].id.clone();
    let configured = ChangeError::Configured { id: id.clone(), line: 1 };
    let error = |result: Result<_, ChangeError>| result.map(|_| ()).expect_err("is refused");
    assert_eq!(error(keeper.revoke(&id, 5)), configured);
    assert_eq!(error(keeper.allow(terms(image("a"), "/b"), 5)), configured);
    assert_eq!(error(keeper.revoke("x", 5)), ChangeError::NoException("x".to_owned()));
    let over = Terms { expires_ns: Some(5), ..terms(image("a"), "/c") };
    assert_eq!(error(keeper.allow(over, 5)), ChangeError::Over);
    let reset = keeper.reset_modes(&image("a"), only(Class::Exec, Mode::Learn), 5);
    assert_eq!(reset.expect_err("nothing"), ChangeError::NothingSet("image a".to_owned()));
}

#[test]
fn a_damaged_file_is_moved_aside_and_the_configuration_holds() {
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join("policy.json"), b"{\"format\":1,\xff").expect("is written");
    let (keeper, _books) = keeper(dir.path(), book("[[policy]]\nexec = \"enforce\"\n"));
    assert_eq!(keeper.book().policies.len(), 1);
    let names = fs::read_dir(dir.path()).expect("reads");
    let names: Vec<_> = names.map(|entry| entry.expect("is there").file_name()).collect();
    assert_eq!(names, ["policy.json.bad.1000000000"]);
}

#[test]
fn what_cannot_be_saved_holds_all_the_same_and_is_tried_again() {
    let dir = tempfile::tempdir().expect("a directory");
    let data_dir = dir.path().join("data");
    let (keeper, _books) = keeper(&data_dir, Book::default());
    let changed = keeper.set_modes(image("a"), only(Class::File, Mode::Monitor), 2 * SECOND);
    assert!(changed.expect("is set").unsaved.is_some_and(|it| it.contains("policy.json")));
    assert_eq!(keeper.book().policies.len(), 1);
    assert!(!keeper.is_due(3 * SECOND) && keeper.is_due(62 * SECOND));
    fs::create_dir(&data_dir).expect("is made");
    keeper.tick(62 * SECOND);
    assert!(!keeper.is_due(200 * SECOND) && data_dir.join("policy.json").exists());
}

#[test]
fn a_book_is_told_again_when_an_exception_expires_or_nobody_listened() {
    let dir = tempfile::tempdir().expect("a directory");
    let (keeper, books) = keeper(dir.path(), Book::default());
    let until = Terms { expires_ns: Some(10 * SECOND), ..terms(image("a"), "/b") };
    keeper.allow(until, 2 * SECOND).expect("is allowed");
    assert_eq!(books.try_iter().count(), 1);
    assert!(!keeper.is_due(9 * SECOND) && keeper.is_due(10 * SECOND));
    keeper.tick(10 * SECOND);
    assert_eq!((books.try_iter().count(), keeper.is_due(11 * SECOND)), (1, false));
    for at in 11..15 {
        keeper.set_modes(Selector::default(), only(Class::Exec, Mode::Learn), at).expect("is set");
    }
    assert_eq!((books.try_iter().count(), keeper.is_due(15 * SECOND)), (2, true));
    keeper.tick(15 * SECOND);
    let told = books.try_iter().last().expect("is told");
    assert!(Arc::ptr_eq(&told, &keeper.book()) && !keeper.is_due(16 * SECOND));
}

fn any_modes() -> impl Strategy<Value = SomeModes> {
    let one = || proptest::option::of(proptest::sample::select(Mode::ALL.to_vec()));
    (one(), one(), one()).prop_map(|(exec, file, network)| {
        SomeModes::of(|class| match class {
            Class::Exec => exec,
            Class::File => file,
            Class::Network => network,
        })
    })
}

proptest! {
    #[test]
    fn of_the_policies_that_match_the_last_that_sets_a_class_decides(
        policies in proptest::collection::vec((any_modes(), "[ab*]{1,2}"), 0..8),
    ) {
        let source = Source::Config { line: 1 };
        let policies: Vec<Policy> = policies
            .into_iter()
            .map(|(modes, text)| Policy { selector: image(&text), modes, source })
            .collect();
        let book = Book { policies, ..Book::default() };
        let it = container("ab");
        for class in Class::ALL {
            let mut meant = book.policies.iter().rev().filter(|policy| policy.selector.matches(&it));
            let expected = meant.find_map(|policy| policy.modes.get(class));
            let expected = expected.unwrap_or_else(|| Modes::default().get(class));
            prop_assert_eq!(book.modes_of(&it).get(class), expected);
        }
    }
}
