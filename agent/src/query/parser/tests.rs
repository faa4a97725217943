//! Expressions that are right, and what is said of those that are not.

use proptest::prelude::*;

use super::*;
use crate::store::sample::Sample;

fn holds(text: &str, number: u64) -> bool {
    let expr = parse(text).unwrap_or_else(|error| panic!("{error}"));
    Sample::new().with(number, |observation| expr.holds(observation))
}

/// Observation 5 is a connect to 10.0.0.5:443, 6 an exec, 8 a write of file-8.
#[test]
fn expressions_select_by_the_type_of_their_field() {
    for (text, number) in [
        ("kind = connect", 5),
        ("kind != connect", 6),
        ("net.raddr in 10.0.0.0/8 and net.rport = 443", 5),
        ("net.raddr in (192.168.0.0/16, 10.0.0.5)", 5),
        ("net.rport >= 443 and net.rport <= 443", 5),
        ("net.rport in (80, 443)", 5),
        ("not (net.rport < 443 or net.rport > 443)", 5),
        ("file.path ^= /var/lib and file.path ~ 'file-[0-9]$'", 8),
        ("file.path ~ \"^/var/\"", 8),
        ("proc.args = --number", 8),
        ("exec.unlinked = false", 6),
        ("file.path", 8),
        ("not file.path", 5),
        ("net.raddr not in 192.168.0.0/16", 5),
        ("net.raddr not in (192.168.0.0/16, 10.0.0.6)", 5),
        ("net.rport not in (80, 8080)", 5),
        ("proc.exe !~ '^/bin/'", 5),
        ("ts > 2020-01-01 and ts < '2030-01-01T00:00:00Z'", 5),
        ("proc.uid = 0x21 or proc.uid = 34", 5),
    ] {
        assert!(holds(text, number), "{text}");
    }
    for (text, number) in [
        ("net.raddr in 11.0.0.0/8", 5),
        ("net.rport > 443", 5),
        ("net.raddr not in 10.0.0.0/8", 5),
        ("proc.exe !~ tool", 5),
        ("net.rport >= 1", 8),
        ("file.path ~ FILE", 8),
        ("file.path = /var", 8),
        ("kind = exec and kind = connect or kind = exit", 5),
    ] {
        assert!(!holds(text, number), "{text}");
    }
}

#[test]
fn faults_are_shown_under_a_caret() {
    for (text, shown) in [
        (
            "proc.exee = x",
            "unknown field 'proc.exee', did you mean 'proc.exe'?\n  proc.exee = x\n  ^^^^^^^^^",
        ),
        (
            "path ^= /etc",
            "unknown field 'path', did you mean 'exec.path' or 'file.path' or 'priv.path' or 'alert.path'?\n  path ^= /etc\n  ^^^^",
        ),
        (
            "favourite_dish = red",
            "unknown field 'favourite_dish': docs/events.md lists them\n  favourite_dish = red\n  ^^^^^^^^^^^^^^",
        ),
        (
            "kind in (exec, conect)",
            "there is no event 'conect', did you mean 'connect'?\n  kind in (exec, conect)\n                 ^^^^^^",
        ),
        (
            "net.raddr not 10.0.0.1",
            "expected `in`\n  net.raddr not 10.0.0.1\n                ^^^^^^^^",
        ),
        (
            "kind = exec and net.rport = http",
            "net.rport is a port, and `http` is not\n  kind = exec and net.rport = http\n                              ^^^^",
        ),
        ("(kind = exec", "expected `)`\n  (kind = exec\n              ^"),
        ("kind < exec", "kind is a label, which has no order\n  kind < exec\n       ^"),
        ("kind =", "expected a value\n  kind =\n        ^"),
        ("kind = exec b", "expected `and`, `or` or the end\n  kind = exec b\n              ^"),
        (
            "net.raddr in 10.0.0.0/33",
            "expected an address or a network such as 10.0.0.0/8\n  net.raddr in 10.0.0.0/33\n               ^^^^^^^^^^^",
        ),
    ] {
        assert_eq!(parse(text).map_err(|error| error.to_string()).err().as_deref(), Some(shown));
    }
    let error = parse("file.path ~ '('").map_err(|error| error.to_string()).err();
    assert!(
        error.is_some_and(|error| error.starts_with("not a regular expression: unclosed group"))
    );
}

#[test]
fn depth_and_length_are_bounded() {
    assert!(parse(&"(".repeat(10_000)).is_err());
    assert!(parse(&"not ".repeat(1000)).is_err());
    assert!(parse(&"kind = a or ".repeat(3000)).is_err());
}

fn read_or_refuse(text: &str) {
    if let Err(error) = parse(text) {
        let _ = error.to_string();
    }
}

/// What expressions are made of, in any order.
fn pieces() -> impl Strategy<Value = Vec<&'static str>> {
    let pieces = vec![
        "kind",
        "net.raddr",
        "ts",
        "proc.args",
        "and",
        "or",
        "not",
        "(",
        ")",
        "=",
        "!=",
        "<=",
        "~",
        "!~",
        "^=",
        "in",
        ",",
        "'x",
        "\"y\"",
        "10.0.0.0/8",
        "1",
        "é",
        "\\",
    ];
    proptest::collection::vec(proptest::sample::select(pieces), 0..24)
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in ".{0,80}") {
        read_or_refuse(&text);
    }

    #[test]
    fn any_sequence_of_pieces_is_read_or_refused(pieces in pieces()) {
        read_or_refuse(&pieces.join(" "));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000_000))]

    #[test]
    #[ignore = "takes minutes: `cargo xtask fuzz`"]
    fn ten_million_expressions_are_read_or_refused(
        pieces in pieces(),
        text in ".{0,20}",
        place in 0..24_usize,
    ) {
        let mut pieces = pieces;
        pieces.insert(place.min(pieces.len()), &text);
        read_or_refuse(&pieces.join(" "));
    }
}
