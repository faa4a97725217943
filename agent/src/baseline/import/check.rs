//! Whether a behaviour that somebody wrote down is one that could have been learned.

use plimsoll_ebpf::events::privilege::op;

use crate::baseline::{
    arguments::{
        vector::{CUT, MORE, NONE},
        word,
    },
    dimension::{Context, Dimension},
    peer, shield,
    template::{MOST_DEPTH, MOST_NAME, breadth::Breadth, pattern::Pattern},
    write::{CLASSES, PLACES},
};

/// Longest key, with its scope.
const MOST_KEY: usize = 1024;

/// What is wrong with a behaviour.
pub(super) fn fault(
    dimension: Dimension,
    scope: &str,
    key: &str,
    seen: &[Context],
) -> Option<String> {
    if key.is_empty() {
        return Some("a behaviour is not empty".to_owned());
    }
    if scope.len() + key.len() > MOST_KEY {
        return Some(format!("a behaviour has at most {MOST_KEY} bytes"));
    }
    match dimension {
        Dimension::Process => process(key, seen),
        Dimension::Lineage => lineage(key),
        Dimension::Arguments => arguments(scope, key),
        Dimension::Write if scope.is_empty() => exact_write(key),
        Dimension::Write => template(scope, key),
        Dimension::Listener => listener(key),
        Dimension::Peer => peer::fault(key).map(str::to_owned),
        Dimension::Privilege => privilege(key),
        Dimension::Volume => Some("how much is used is not written down".to_owned()),
    }
}

fn process(key: &str, seen: &[Context]) -> Option<String> {
    if !key.starts_with('/') {
        return Some("a program is named by its path".to_owned());
    }
    let learned_nowhere = seen.iter().any(|context| shield::is_never_learned(key, *context));
    learned_nowhere.then(|| {
        "this program is never learned of a container that has started: allow it by an exception"
            .to_owned()
    })
}

fn lineage(key: &str) -> Option<String> {
    const FIRST: [&str; 3] = ["(container)", "(session)", "(health check)"];
    let is_sound = key.split_once(" > ").is_some_and(|(parent, child)| {
        (parent.starts_with('/') || FIRST.contains(&parent)) && child.starts_with('/')
    });
    (!is_sound).then(|| "a lineage is `/parent > /child`".to_owned())
}

/// What a program is given, and who gives it to which.
fn arguments(scope: &str, key: &str) -> Option<String> {
    if scope.is_empty() || lineage(scope).is_some() {
        return Some("`by` is `/parent > /child`, the arguments stand below it".to_owned());
    }
    let words: Vec<&str> = key.split(' ').collect();
    let is_mark = |it: &str| matches!(it, MORE | CUT);
    for (at, word) in words.iter().enumerate() {
        if *word == NONE && words.len() > 1 || is_mark(word) && at + 1 < words.len() {
            return Some(format!(
                "`{word}` stands {}",
                if *word == NONE { "alone" } else { "last" }
            ));
        }
        if let Some(fault) = word::fault(word) {
            return Some(format!("'{word}': {fault}"));
        }
    }
    None
}

/// A file that is known by its own path alone: writer, act, place and path stand in one.
fn exact_write(key: &str) -> Option<String> {
    let words: Vec<&str> = key.split(' ').collect();
    let is_act = |it: &[&str]| {
        matches!(it, [act, place, path]
            if CLASSES.contains(act) && PLACES.contains(place) && path.starts_with('/'))
    };
    let is_sound = is_program(words[0]) && words[1..].windows(3).any(is_act);
    (!is_sound)
        .then(|| "it is `/program act place /path`, or the path stands below `by`".to_owned())
}

/// A template, and who writes it how and where.
fn template(scope: &str, key: &str) -> Option<String> {
    let words: Vec<&str> = scope.split(' ').collect();
    let is_scope = matches!(words.as_slice(), [program, .., act, place]
        if is_program(program) && CLASSES.contains(act) && PLACES.contains(place));
    if !is_scope {
        let (acts, places) = (CLASSES.join(", "), PLACES.join(", "));
        return Some(format!(
            "`by` is `/program act place`: there are the acts {acts} and the places {places}"
        ));
    }
    let Some(below) = key.strip_prefix('/') else {
        return Some("a template begins with `/`".to_owned());
    };
    let mut example = String::new();
    let mut open = 0;
    for (at, name) in below.split('/').enumerate() {
        if at >= MOST_DEPTH || name.len() > MOST_NAME {
            return Some(format!("a template has at most {MOST_DEPTH} names of {MOST_NAME} bytes"));
        }
        if matches!(name, "" | "." | "..") && !below.is_empty() {
            return Some("a template has no names that are empty, `.` or `..`".to_owned());
        }
        example.push('/');
        if !name.replace("<<", "").contains('<') {
            example.push_str(&name.replace("<<", "<"));
            continue;
        }
        let Some(pattern) = Pattern::parse(name).filter(|it| it.to_string() == name) else {
            return Some(format!("'{name}' is no template of a name"));
        };
        match pattern.breadth() {
            Breadth::Learned => {}
            Breadth::Open if at > 0 => open += 1,
            Breadth::Open => {
                return Some("any name at all in `/` is broader than what is learned".to_owned());
            }
            Breadth::Broader(why) => {
                return Some(format!("'{name}' is broader than what is learned: {why}"));
            }
        }
        example.push_str(&pattern.example());
    }
    if open > 1 {
        return Some("a template takes any name in one directory at most".to_owned());
    }
    let is_removal = words[words.len() - 2] == "remove";
    (!is_removal && shield::is_shielded(&example, 0)).then(|| {
        "no template covers what others run or obey: it is known by its own path, without `by`"
            .to_owned()
    })
}

fn listener(key: &str) -> Option<String> {
    let mut words = key.split(' ').peekable();
    let protocol = words.next().unwrap_or_default();
    words.next_if_eq(&"loopback");
    let port = words.next().unwrap_or_default();
    let is_port = port == "high" || port.parse::<u16>().is_ok();
    let is_sound = peer::PROTOCOLS.contains(&protocol)
        && is_port
        && words.next().is_none_or(|program| program.starts_with('/'));
    (!is_sound).then(|| "a listener is `tcp [loopback] port /program`".to_owned())
}

fn privilege(key: &str) -> Option<String> {
    let words: Vec<&str> = key.split(' ').collect();
    // What follows `capability` is a name of its own.
    let named = match words.as_slice() {
        [program, .., "capability", _] | [program, .., _] if is_program(program) => {
            let at = words.iter().rposition(|it| *it == "capability");
            at.map_or(words.last(), |at| words.get(at)).filter(|_| words.len() > 1)
        }
        _ => None,
    };
    let Some(named) = named else {
        return Some("a privilege is `/program name`, or `/program capability NAME`".to_owned());
    };
    let codes = (0..=u8::MAX).filter(|code| op::name(*code) == *named);
    let codes: Vec<u8> = codes.collect();
    if codes.is_empty() || *named == op::name(u8::MAX) {
        return Some(format!("'{named}' is no privilege"));
    }
    codes
        .into_iter()
        .all(shield::is_unlearnable_privilege)
        .then(|| format!("'{named}' is never learned: allow it by an exception"))
}

fn is_program(word: &str) -> bool {
    word.starts_with('/') || word == "(unknown)"
}
