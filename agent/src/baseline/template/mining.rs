//! Finds names in a directory that are one behaviour: they differ in what varies, and in nothing else.
//!
//! Words are never joined with words: `etc`, `tmp` and `var` stay three. The ending of a name is
//! always said.

use super::{
    node::{Merge, Node},
    pattern::Pattern,
    tokens::Charset,
};

/// Names of one shape that are one template.
const ALIKE: usize = 3;
/// The same, where they differ in numbers alone.
const ALIKE_IN_NUMBERS: usize = 2;
/// Names that begin and end alike, are as long and look random between, that are one template.
const ALIKE_AT_RANDOM: usize = 2;
/// Letters that random names have in common at their start.
const RANDOM_START: usize = 3;
/// Letters at random that `mkstemp` and its kin make, at least.
const RANDOM_LENGTH: usize = 6;
/// Children that a directory has at most.
pub(super) const MOST_CHILDREN: usize = 64;

/// Mines a directory until nothing more is found; tells whether anything was.
pub(super) fn mine(node: &mut Node, merge: &mut Merge<'_>) -> bool {
    let mut has_found = false;
    while let Some(found) = alike(node).or_else(|| random(node)).or_else(|| excess(node)) {
        node.pool(&found, merge);
        has_found = true;
    }
    has_found
}

/// Children of a directory that are one.
pub(super) struct Found {
    /// Those that are known by name.
    pub(super) names: Vec<Box<str>>,
    /// Those that are known by pattern.
    pub(super) patterns: Vec<Pattern>,
    /// What they are known by from now on.
    pub(super) into: Pattern,
}

/// Names of the same shape, or of the shape of a pattern that is there.
fn alike(node: &Node) -> Option<Found> {
    let mut groups: Vec<(Pattern, Vec<Box<str>>)> = Vec::new();
    for name in node.literals.keys() {
        let Some(pattern) = Pattern::of_shape(name) else { continue };
        match groups.iter_mut().find(|(it, _)| it.has_shape_of(&pattern)) {
            Some((it, names)) => {
                it.widen(&pattern);
                names.push(name.clone());
            }
            None => groups.push((pattern, vec![name.clone()])),
        }
    }
    let is_enough = |pattern: &Pattern, names: usize| {
        // Of a pattern that is there, one more is enough where it differs in length alone.
        let is_there = node
            .patterns
            .iter()
            .any(|(it, _)| it.has_shape_of(pattern) && it.has_charsets_of(pattern));
        is_there
            || names >= if pattern.varies_in_numbers_alone() { ALIKE_IN_NUMBERS } else { ALIKE }
    };
    let (into, names) =
        groups.into_iter().find(|(pattern, names)| is_enough(pattern, names.len()))?;
    Some(Found { names, patterns: Vec::new(), into })
}

/// Names of one length that begin and end alike and are random between.
fn random(node: &Node) -> Option<Found> {
    let names: Vec<&str> = node.literals.keys().map(|it| &**it).collect();
    for (index, name) in names.iter().enumerate() {
        let Some((start, run, end)) = random_parts(name) else { continue };
        let is_alike = |other: &&&str| {
            random_parts(other)
                .is_some_and(|(s, r, e)| s == start && e == end && r.len() == run.len())
        };
        let group: Vec<Box<str>> =
            names[index..].iter().filter(is_alike).map(|it| Box::from(*it)).collect();
        if group.len() >= ALIKE_AT_RANDOM {
            let charset = group.iter().fold(Charset::Digit, |charset, name| {
                let run = random_parts(name).map_or("", |(_, run, _)| run);
                charset.max(Charset::of(run))
            });
            let into = Pattern::random(start, charset, run.len(), end);
            return Some(Found { names: group, patterns: Vec::new(), into });
        }
    }
    None
}

/// What a name begins with, what looks random in it, and how it ends.
fn random_parts(name: &str) -> Option<(&str, &str, &str)> {
    if !name.is_ascii() || name.len() < RANDOM_START + RANDOM_LENGTH {
        return None;
    }
    let (stem, _) = name.split_once('.').unwrap_or((name, ""));
    // What stands before the last separator is said.
    let said = stem.rfind(['-', '+']).map_or(RANDOM_START, |at| (at + 1).max(RANDOM_START));
    let (start, run) = stem.split_at_checked(said)?;
    let is_run = run.len() >= RANDOM_LENGTH && Charset::of(run) <= Charset::Word;
    (is_run && looks_random(run)).then_some((start, run, &name[stem.len()..]))
}

/// Whether letters are mixed as in no word: digits among letters, or capitals within.
fn looks_random(run: &str) -> bool {
    let has = |is: fn(&u8) -> bool| run.bytes().any(|it| is(&it));
    let has_letter = has(u8::is_ascii_alphabetic);
    let capital_within = run.bytes().skip(1).any(|it| it.is_ascii_uppercase());
    has_letter && (has(u8::is_ascii_digit) || capital_within && has(u8::is_ascii_lowercase))
}

/// More children than a directory may have: most of those that end alike.
fn excess(node: &mut Node) -> Option<Found> {
    if node.fan_out() <= MOST_CHILDREN {
        return None;
    }
    let names = || node.literals.keys();
    // One that takes any name has taken in what it can.
    let patterns = || node.patterns.iter().map(|(it, _)| it).filter(|it| !it.takes_any());
    let mut endings: Vec<(&str, usize)> = Vec::new();
    for ending in names().map(|it| ending(it)).chain(patterns().map(ending_of)) {
        match endings.iter_mut().find(|(it, _)| *it == ending) {
            Some((_, count)) => *count += 1,
            None => endings.push((ending, 1)),
        }
    }
    let (most, _) = *endings.iter().max_by_key(|(_, count)| *count)?;
    let most = most.to_owned();
    let names: Vec<Box<str>> = names().filter(|it| ending(it) == most).cloned().collect();
    let patterns: Vec<Pattern> = patterns().filter(|it| ending_of(it) == most).cloned().collect();
    let lengths = names.iter().map(|it| it.chars().count());
    let longest = lengths.chain(patterns.iter().map(Pattern::longest)).max().unwrap_or(1);
    node.is_open = true;
    Some(Found { names, patterns, into: Pattern::any(longest, &most) })
}

/// A short ending with its dot, before which there is something.
fn ending(name: &str) -> &str {
    ending_after(name, 1)
}

/// The same of the names of a pattern.
fn ending_of(pattern: &Pattern) -> &str {
    ending_after(pattern.last_words(), 0)
}

fn ending_after(name: &str, least: usize) -> &str {
    let at = name.rfind('.').filter(|at| *at >= least && name.len() - at <= 8);
    at.map_or("", |at| &name[at..])
}
