//! What is told of a program that keeps many files in a volume, and what is not.

use plimsoll_ebpf::events::file_change::{FileChange, op};

use super::*;

const DATABASE: &str = "/usr/bin/database";

/// Its kinds of files below a directory, in alphabetical words that no template joins.
fn files(directory: &str) -> Vec<String> {
    let names = ["ab", "cd", "ef", "gh", "ij.stat", "kl.stat", "mn.conf", "op"];
    names.iter().map(|name| format!("{directory}/{name}")).collect()
}

/// Both containers write these.
fn keep(stage: &mut Stage, database: &Arc<Process>, paths: &[String]) {
    for path in paths {
        for number in 1..=2 {
            stage.see(number, Some(database), &write(path, 0o100_600), None);
        }
    }
}

/// A database that wrote so many of its files while it was learned.
fn learned(known: usize) -> (Stage, Arc<Process>) {
    let database = process(DATABASE, Some("/app"), Origin::Init);
    let stage = Stage::learned_with(|stage| {
        keep(stage, &database, &files("/srv/db")[..known]);
    });
    assert!(stage.is_monitored(Dimension::Write));
    (stage, database)
}

fn told(stage: &mut Stage, who: &Arc<Process>, path: &str) -> Option<Rule> {
    rule(stage.see(1, Some(who), &write(path, 0o100_600), None))
}

#[test]
fn one_more_file_of_a_database_is_not_told() {
    let (mut stage, database) = learned(8);
    for path in ["/srv/db/sub/0001", "/srv/db/tmp7.0", "/srv/db/other.stat"] {
        assert_eq!(told(&mut stage, &database, path), None, "{path}");
        assert!(!stage.is_known, "it is not learned: {path}");
    }
    assert_eq!(stage.baseline.counts().one_more, 3);
}

/// A database that kept some files at its start alone, and so many in its work.
fn started(at_start: &[String], at_work: usize) -> (Stage, Arc<Process>) {
    let database = process(DATABASE, Some("/app"), Origin::Init);
    let mut stage = Stage::new();
    for number in 1..=2 {
        stage.run(number, "/app", None);
        for path in at_start {
            stage.see(number, Some(&database), &write(path, 0o100_600), None);
        }
        stage.start(number);
    }
    for _ in 0..80 {
        (1..=2).for_each(|number| stage.work(number));
        keep(&mut stage, &database, &files("/srv/db")[..at_work]);
        stage.pass(1);
    }
    (stage, database)
}

#[test]
fn a_name_that_it_gave_at_its_start_alone_is_one_of_its_own() {
    let (mut stage, database) = started(&["/srv/db/tmp.set".to_owned()], 8);
    for path in ["/srv/db/tmp.set", "/srv/db/other.set"] {
        assert_eq!(told(&mut stage, &database, path), None, "{path}");
    }
    assert_eq!(told(&mut stage, &database, "/srv/db/other.sql"), Some(Rule::NewWrite));
}

#[test]
fn what_it_kept_at_its_start_alone_says_nothing_of_its_work() {
    let (mut stage, database) = started(&files("/srv/db"), 3);
    for path in ["/srv/db/gh", "/srv/db/qr"] {
        assert_eq!(told(&mut stage, &database, path), Some(Rule::NewWrite), "{path}");
    }
}

#[test]
fn what_lies_in_a_volume_within_says_nothing_of_the_one_around() {
    let database = process(DATABASE, Some("/app"), Origin::Init);
    let mut stage = Stage::learned_with(|stage| {
        keep(stage, &database, &files("/srv/db/inner"));
        keep(stage, &database, &files("/srv/db")[..2]);
    });
    assert_eq!(told(&mut stage, &database, "/srv/db/inner/qr"), None);
    assert_eq!(told(&mut stage, &database, "/srv/db/qr"), Some(Rule::NewWrite));
}

#[test]
fn names_that_files_are_given_are_told_and_so_is_the_removal_of_what_others_obey() {
    let database = process(DATABASE, Some("/app"), Origin::Init);
    let change = |op, path: &str| {
        let mut texts = TailBuilder::default();
        let path = texts.push(path.as_bytes());
        let body = FileChange { op, path, to: path, layer: code::VOLUME, ..FileChange::default() };
        encode(Header::default(), body, texts.bytes())
    };
    let mut stage = Stage::learned_with(|stage| {
        for path in files("/srv/db").into_iter().chain(["/srv/db/old.php".to_owned()]) {
            for (number, op) in [(1, op::UNLINK), (2, op::UNLINK), (1, op::RENAME), (2, op::RENAME)]
            {
                stage.see(number, Some(&database), &change(op, &path), None);
            }
        }
    });
    let mut told = |op, path: &str| rule(stage.see(1, Some(&database), &change(op, path), None));
    assert_eq!(told(op::UNLINK, "/srv/db/qr"), None);
    for (op, path) in [
        (op::RENAME, "/srv/db/qr"),
        (op::SYMLINK, "/srv/db/qs"),
        (op::UNLINK, "/srv/db/hook.php"),
        (op::UNLINK, "/srv/db/app.js"),
        (op::UNLINK, "/srv/db/other.conf"),
        (op::CHMOD, "/srv/db/ab"),
    ] {
        assert_eq!(told(op, path), Some(Rule::NewWrite), "{path}");
    }
}

#[test]
fn what_is_not_like_its_files_is_told() {
    let (mut stage, database) = learned(8);
    for path in ["/srv/db/.x", "/srv/db/.y/z", "/srv/db/dump.sql", "/backup/ab", "/srv/dbx/ab"] {
        assert_eq!(told(&mut stage, &database, path), Some(Rule::NewWrite), "{path}");
    }
    assert_eq!(told(&mut stage, &database, "/srv/db/x.so"), Some(Rule::NewSensitiveWrite));
    for who in
        [process("/bin/convert", Some("/app"), Origin::Init), process(DATABASE, None, Origin::Exec)]
    {
        let rules = [Some(Rule::NewWrite), Some(Rule::NewProcess)];
        assert!(rules.contains(&told(&mut stage, &who, "/srv/db/qr")), "{who:?}");
    }
}

#[test]
fn who_keeps_few_files_is_told_of_each() {
    let (mut stage, database) = learned(7);
    assert_eq!(told(&mut stage, &database, "/srv/db/sub/0001"), Some(Rule::NewWrite));
}

#[test]
fn what_somebody_denied_is_told() {
    let database = process(DATABASE, Some("/app"), Origin::Init);
    let mut stage = Stage::learned_with(|stage| {
        keep(stage, &database, &files("/srv/db"));
        stage.see(2, Some(&database), &write("/srv/db/mine", 0o100_600), None);
    });
    let (answer, _answered) = crossbeam_channel::bounded(1);
    let act = Act::Deny { container: Some(container(2).id.clone()), since_s: None };
    let order = Order { whom: "shop/app".to_owned(), act, answer };
    stage.baseline.carry_out(&order, stage.now_ms / 1000);
    assert_eq!(told(&mut stage, &database, "/srv/db/mine"), Some(Rule::NewWrite));
}
