//! What is told of a program that keeps many files in a volume, and what is not.

use super::*;

const DATABASE: &str = "/usr/bin/database";

/// Its kinds of files below a directory, in alphabetical words that no template joins.
fn files(directory: &str) -> Vec<String> {
    let names = ["ab", "cd", "ef", "gh", "ij.stat", "kl.stat", "mn.conf", "op"];
    names.iter().map(|name| format!("{directory}/{name}")).collect()
}

/// A database that wrote so many of its files while it was learned.
fn learned(known: usize) -> (Stage, Arc<Process>) {
    let database = process(DATABASE, Some("/app"), Origin::Init);
    let stage = Stage::learned_with(|stage| {
        for path in files("/srv/db").iter().take(known) {
            for number in 1..=2 {
                stage.see(number, Some(&database), &write(path, 0o100_600), None);
            }
        }
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

#[test]
fn what_it_kept_at_its_start_alone_says_as_much() {
    let database = process(DATABASE, Some("/app"), Origin::Init);
    let mut stage = Stage::new();
    for number in 1..=2 {
        stage.run(number, "/app", None);
        for path in files("/srv/db").iter().chain([&"/srv/db/tmp.set".to_owned()]) {
            stage.see(number, Some(&database), &write(path, 0o100_600), None);
        }
        stage.start(number);
    }
    for _ in 0..80 {
        (1..=2).for_each(|number| stage.work(number));
        stage.pass(1);
    }
    for path in ["/srv/db/tmp.set", "/srv/db/other.set", "/srv/db/ab"] {
        assert_eq!(told(&mut stage, &database, path), None, "{path}");
    }
    assert_eq!(told(&mut stage, &database, "/srv/db/other.sql"), Some(Rule::NewWrite));
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
        for path in files("/srv/db") {
            for number in 1..=2 {
                stage.see(number, Some(&database), &write(&path, 0o100_600), None);
            }
        }
        stage.see(2, Some(&database), &write("/srv/db/mine", 0o100_600), None);
    });
    let (answer, _answered) = crossbeam_channel::bounded(1);
    let act = Act::Deny { container: Some(container(2).id.clone()), since_s: None };
    let order = Order { whom: "shop/app".to_owned(), act, answer };
    stage.baseline.carry_out(&order, stage.now_ms / 1000);
    assert_eq!(told(&mut stage, &database, "/srv/db/mine"), Some(Rule::NewWrite));
}
