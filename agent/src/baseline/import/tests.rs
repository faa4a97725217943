//! Texts that are taken, and hostile ones that are not.

use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;
use crate::baseline::{
    behaviour::{Behaviour, Learning},
    entries::Occasion,
    export::export,
    saved::Saved,
    settings::Settings,
};

const DIGEST: &str = "sha256:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

/// A profile of an image that knows this.
fn profile(behaviours: &[(Dimension, &str, &str, Learning)]) -> Profile {
    let subject = Subject::Image { digest: DIGEST.to_owned(), variant: "/app".to_owned() };
    let mut profile = Profile::new(subject);
    profile.image = "shop/app:1".to_owned();
    for (unit, (dimension, scope, key, learning)) in behaviours.iter().enumerate() {
        let (dimension, learning) = (*dimension, *learning);
        let it = Behaviour { dimension, scope, key, learning, object: "", layer: 0 };
        let at = Occasion {
            context: Context::ALL[unit % 2],
            unit: unit as u64 + 1,
            container: 1,
            start_s: Some(1),
            now_s: 1,
            apart_s: 1,
        };
        profile.learned[dimension as usize].learn(&it, &at, MOST_BYTES);
    }
    profile
}

fn text_of(profile: &Profile) -> String {
    export(&[Saved::of(profile, &Settings::default(), 1)])
}

fn sample() -> String {
    text_of(&profile(&[
        (Dimension::Process, "", "/app", Learning::AsItIs),
        (Dimension::Lineage, "", "(container) > /app", Learning::AsItIs),
        (Dimension::Arguments, "/app > /bin/sh -c", "-c {convert}", Learning::AsTemplate),
        (Dimension::Arguments, "/app > /bin/sh -c", "-c {convert} ...", Learning::AsTemplate),
        (Dimension::Arguments, "/bin/sh > /bin/gzip", "-f <path:/data>", Learning::AsTemplate),
        (Dimension::Write, "/app write tmpfs", "/cache/temp-12.rdb", Learning::AsTemplate),
        (Dimension::Write, "/app write tmpfs", "/cache/temp-3456.rdb", Learning::AsTemplate),
        (Dimension::Write, "/app write tmpfs", "/cache/hook one.sh", Learning::Shielded),
        (Dimension::Listener, "", "tcp 80 /app", Learning::AsItIs),
        (Dimension::Privilege, "", "/app capability sys_admin", Learning::AsItIs),
        (Dimension::Privilege, "", "/bin/busybox mount setuid", Learning::AsItIs),
    ]))
}

/// The faults of the sample after a text in it was replaced.
fn faults(from: &str, to: &str) -> Vec<String> {
    let text = sample();
    assert!(text.contains(from), "{from}: {text}");
    match parse(&text.replacen(from, to, 1)) {
        Ok(_) => Vec::new(),
        Err(faults) => faults.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn what_was_exported_is_the_same_text_once_it_was_imported() {
    let text = sample();
    let documents = parse(&text).expect("is sound");
    let mut again = Profile::new(documents[0].subject.clone());
    again.import(&documents[0], true, 7);
    assert_eq!(text_of(&again), text);
    assert!(again.is_monitored(Dimension::Process, Context::Start));
    // Evidence stays where there is some.
    let mut known = profile(&[(Dimension::Process, "", "/app", Learning::AsItIs)]);
    known.import(&documents[0], false, 7);
    let entry = known.learned[Dimension::Process as usize].entry(0).expect("is there");
    assert_eq!((entry.supporters[0], entry.seen[0].units), (1, 2));
    assert!(!known.is_monitored(Dimension::Process, Context::Start));
    let removed = text.replace("process:\n", "process: []\n");
    assert!(parse(&removed).is_err(), "behaviours stand below it still");
}

#[test]
fn comments_and_empty_lines_are_a_reviewers_to_write() {
    let text =
        format!("# reviewed\n\n{}", sample().replace("lineage:", "# who starts whom\nlineage:"));
    assert_eq!(parse(&text).expect("is sound").len(), 1);
}

#[test]
fn faults_are_told_with_their_line() {
    for (from, to, wanted) in [
        ("---\n", "", "line 1: a profile begins with `---`"),
        ("schema: 1", "schema: 2", "line 2: the schema is 1, said once"),
        ("image: ", "picture: ", "line 3: `picture` is no key of a profile"),
        ("image: \"shop/app:1\"", "image: shop/app:1", "line 3: a text stands in double quotes"),
        ("digest: \"sha256:0011", "digest: \"sha256:zz11", "`digest` is no sha256:"),
        ("    seen: [", "    sene: [", "line 8: `sene` is no key of a behaviour"),
        ("    seen: [start]", "    seen: [begin]", "line 8: 'begin' is no context"),
        ("    confirmed: false", "    confirmed: maybe", "line 9: it is true or false"),
        ("    seen: [start]\n", "", "that of line 7 lacks one of behaviour, seen, confirmed"),
        ("    seen: [start]", "    seen: []", "that of line 7 was seen nowhere"),
        ("process:\n", "processes:\n", "line 6: `processes` is no key of a profile"),
        ("listener:\n", "write:\n", "`write` is said twice"),
        ("listener:\n", "peer:\n", "`peer` is a service's"),
        ("listener:\n", "listener:\n    denied: true\n", "it belongs to no behaviour"),
        ("...\n", "", "does not end with `...`: it is cut"),
        ("...\n", "...\nmore\n", "a profile begins with `---`"),
        ("-f <path:/data>", "-f <path:/>", "not of `/`"),
        ("-f <path:/data>", "-f /data/7", "'/data/7': an argument stands as it is masked"),
        ("-f <path:/data>", "-f --token=x", "the value of such a name is `<secret>`"),
        ("-f <path:/data>", "... -f", "`...` stands last"),
        ("-f <path:/data>", "(none) -f", "`(none)` stands alone"),
        ("/bin/sh > /bin/gzip", "/bin/gzip", "`by` is `/parent > /child`"),
        ("-c {convert} ...", "-c {convert}", "it is there already"),
        (
            "  - behaviour: \"/app\"",
            "  - behaviour: \"app\"",
            "line 7: a program is named by its path",
        ),
        ("\"tcp 80 /app\"", "\"tcp 80000 /app\"", "a listener is"),
        ("/app capability sys_admin", "/app ptrace", "'ptrace' is never learned"),
        ("/bin/busybox mount setuid", "/bin/busybox setuid mount", "'mount' is never learned"),
        ("/app capability sys_admin", "/app anything", "'anything' is no privilege"),
        ("(container) > /app", "/app", "a lineage is"),
        ("/app write tmpfs\"", "/app writes tmpfs\"", "there are the acts write, move"),
        (
            "/app write tmpfs /cache/hook",
            "/app write /cache/hook",
            "it is `/program act place /path`",
        ),
    ] {
        let faults = faults(from, to);
        assert!(faults.iter().any(|it| it.contains(wanted)), "{from} {to}: {faults:#?}");
    }
    let tool = faults("seen: [start]", "seen: [steady]");
    assert_eq!(tool, [] as [&str; 0]);
    let text = sample().replace("\"/app\"", "\"/usr/bin/nmap\"").replace("[start]", "[steady]");
    assert!(parse(&text).is_err());
}

#[test]
fn a_template_broader_than_what_is_learned_is_refused() {
    let faults_of = |template: &str| faults("/cache/temp-<d 1-10>.rdb", template);
    for template in ["/cache/<* 1-20>.rdb", "/cache/<uuid>.jpg", "/cache/tmp<w 8-8>", "/a<<b/c"] {
        assert_eq!(faults_of(template), [] as [&str; 0], "{template}");
    }
    for template in [
        "/<* 1-20>",
        "/cache/<* 1-20>/<* 1-20>",
        "/cache/a<* 1-20>",
        "/cache/<* 1-999>",
        "/cache/<w 1-20>",
        "/cache/<d 1-255>",
        "/cache/<a 1-255>",
        "/cache/*",
        "/cache/<**>",
        "/cache/<d 1-10",
        "/cache/<d 10-1>",
        "/cache/<D 1-10>",
        "/cache/../etc/passwd",
        "/cache//x",
        "cache/x",
        "/etc/cron.d/<d 1-10>",
        "/cache/<uuid>.sh",
        "/root/.ssh/x",
        "/cache/<a 1-9>.so",
        "/cache/<a 1-64>.<a 1-4>",
        "/cache/x<a 1-64>x<a 1-64>",
    ] {
        let is_literal = template == "/cache/*";
        assert_eq!(faults_of(template).is_empty(), is_literal, "{template}");
    }
}

#[test]
fn peers_are_refused_that_cover_more_than_a_network_or_domain() {
    let text = |key: &str| {
        format!(
            "---\nschema: 1\nimage: \"x\"\nservice: \"swarm x\"\npeer:\n  - behaviour: \"{key}\"\n    \
             seen: [steady]\n    confirmed: true\n...\n"
        )
    };
    for key in ["tcp db 5432", "tcp <label>.s3.test 443", "udp 10.1.2.0/24 53", "tcp ::1 high"] {
        assert!(parse(&text(key)).is_ok(), "{key}");
    }
    for key in [
        "tcp <label>.com 443",
        "tcp <label>.co.uk 443",
        "tcp <label>.s3.amazonaws.com 443",
        "tcp <label>.github.io 443",
        "tcp <label>.<label>.test 443",
        "tcp * 443",
        "tcp 10.0.0.0/8 443",
        "tcp 0.0.0.0/0 443",
        "tcp 10.1.2.3/24 443",
        "tcp db *",
        "tcp db 60000",
        "icmp db 1",
        "tcp db",
    ] {
        assert!(parse(&text(key)).is_err(), "{key}");
    }
}

#[test]
fn what_is_too_much_is_refused_before_it_takes_room() {
    let long = "x".repeat(MOST_TEXT + 1);
    assert!(parse(&long).expect_err("is long")[0].text.contains("longer than"));
    let mut many = String::new();
    for number in 0..=MOST_ENTRIES {
        let _ = write!(
            many,
            "  - behaviour: \"/bin/{number}\"\n    seen: [start]\n    confirmed: true\n"
        );
    }
    let many = sample().replacen("process:\n", &format!("process:\n{many}"), 1);
    assert!(parse(&many).expect_err("are many")[0].text.contains("at most 4096"));
    let twice = sample().replacen(
        "process:\n",
        "process:\n  - behaviour: \"/app\"\n    seen: [start]\n    confirmed: true\n",
        1,
    );
    assert!(parse(&twice).expect_err("is there twice")[0].text.contains("already"));
    assert_eq!(
        parse(&sample().repeat(MOST_DOCUMENTS + 1)).expect_err("are many").len(),
        MOST_FAULTS
    );
}

/// Names that no learned template may take in, in a directory of its own.
const STRANGERS: [&str; 4] = ["payload of mine", "e v i l", "nc.traditional.old", "...x"];

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in ".{0,300}", lines in proptest::collection::vec(
        "---|\\.\\.\\.|schema: 1|image: \"x\"|(digest|variant|service): \"[a-z]{0,3}\"|process:|peer: \\[\\]|  - (by|behaviour): \"[/a<> *-]{0,9}\"|    (seen|confirmed|denied): [a-z\\[\\], ]{0,12}", 0..30,
    )) {
        let _ = parse(&text);
        let _ = parse(&lines.join("\n"));
    }

    #[test]
    fn a_text_that_is_cut_is_never_taken(cut in 0..10_000_usize) {
        let text = sample();
        let cut = cut % (text.len() - 1);
        if let Some(head) = text.get(..cut) {
            prop_assert!(parse(head).is_err(), "{}", head);
        }
    }

    #[test]
    fn a_text_with_a_byte_changed_never_knows_more_than_one_could_learn(
        at in 0..10_000_usize, by in proptest::char::range(' ', '~'),
    ) {
        let mut text: Vec<char> = sample().chars().collect();
        let at = at % text.len();
        text[at] = by;
        let text: String = text.into_iter().collect();
        let Ok(documents) = parse(&text) else { return Ok(()) };
        let mut profile = Profile::new(documents[0].subject.clone());
        profile.import(&documents[0], false, 1);
        for name in STRANGERS {
            let key = format!("/cache/{name}");
            let it = Behaviour {
                dimension: Dimension::Write,
                scope: "/app write tmpfs",
                key: &key,
                learning: Learning::AsTemplate,
                object: "",
                layer: 0,
            };
            prop_assert!(profile.learned[Dimension::Write as usize].find(&it).is_none(), "{}", text);
        }
    }

    #[test]
    fn no_template_is_taken_that_covers_many_unlike_names(
        name in "(<[dhaw*] [0-9]{1,3}-[0-9]{1,3}>|<(uuid|id|date|number)>|[a-z.*_-]{1,4}){1,4}",
        directory in "/[a-z]{1,4}(/[a-z]{1,4}|/<[dhaw*] [0-9]{1,3}-[0-9]{1,3}>){0,2}",
    ) {
        let template = format!("{directory}/{name}");
        if !faults("/cache/temp-<d 1-10>.rdb", &template).is_empty() {
            return Ok(());
        }
        let text = sample().replacen("/cache/temp-<d 1-10>.rdb", &template, 1);
        let document = parse(&text).expect("is sound").remove(0);
        let mut profile = Profile::new(document.subject.clone());
        profile.import(&document, false, 1);
        let knows = |key: &str, learning| {
            let (dimension, scope) = (Dimension::Write, "/app write tmpfs");
            let it = Behaviour { dimension, scope, key, learning, object: "", layer: 0 };
            profile.learned[Dimension::Write as usize].find(&it).is_some()
        };
        // Never any name at the root, never what is shielded, never what lies deeper.
        prop_assert!(!knows("/x y z", Learning::AsTemplate), "{}", template);
        let sensitive = ["/etc/passwd", "/data/x.sh", "/usr/lib/libx.so", "/root/.ssh/id"];
        for path in sensitive {
            prop_assert!(!knows(path, Learning::Shielded), "{}", template);
        }
        let deeper = template.split('/').skip(1).map(|_| "/x").collect::<String>() + "/x/x";
        prop_assert!(!knows(&deeper, Learning::AsTemplate), "{}", template);
    }

    #[test]
    fn whatever_was_learned_is_taken_again_as_it_is(
        paths in proptest::collection::vec("(/[a-c0-9._-]{1,6}){1,4}|/d/tmp[a-zA-Z0-9_]{8}", 1..40),
        programs in proptest::collection::vec("/bin/x[a-z]{1,7}( x[a-z]{1,3})?", 1..10),
    ) {
        let paths = paths.iter().filter(|path| {
            let is_plain = |name: &str| !matches!(name, "." | "..");
            path.split('/').all(is_plain) && !crate::baseline::shield::is_shielded(path, 0)
        });
        let paths = paths.map(|it| (Dimension::Write, "/app write root", it.as_str(), Learning::AsTemplate));
        let programs =
            programs.iter().map(|it| (Dimension::Process, "", it.as_str(), Learning::AsItIs));
        let known: Vec<_> = paths.chain(programs).collect();
        let profile = profile(&known);
        let text = text_of(&profile);
        let documents = parse(&text);
        prop_assert!(documents.is_ok(), "{:?}\n{}", documents, text);
        let mut again = Profile::new(profile.subject.clone());
        again.import(&documents.expect("is sound")[0], false, 1);
        prop_assert_eq!(text_of(&again), text);
    }
}
