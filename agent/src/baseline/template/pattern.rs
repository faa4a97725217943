//! One component of a path template: words that are said, and parts whose kind and length are known.

use std::{
    fmt::{self, Write as _},
    ops::RangeInclusive,
};

use super::{
    MOST_NAME,
    tokens::{Charset, MOST_ENDING, Mask, Token, tokens},
};

/// How many more digits than were seen a number may have, and how many it may always have.
const MORE_DIGITS: usize = 3;
pub(super) const ALWAYS_DIGITS: usize = 10;

/// What is known by its form is hardly longer, but for identifiers.
const LONGEST_MASKED: usize = 64;

/// Steps in which a name is compared with a pattern, at most: runs that may hold what stands behind
/// them can share a name out among them in very many ways.
const MOST_STEPS: usize = 4096;

/// Endings of files that were compressed when they were rotated.
const COMPRESSED: [&str; 6] = ["gz", "bz2", "xz", "zst", "lz4", "Z"];
/// Digits of the number of a rotated file, at most.
const MOST_ROTATED: usize = 3;

/// A part of a pattern.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Part {
    /// Exactly this.
    Literal(Box<str>),
    /// A run of these characters, this long.
    Run { charset: Charset, least: usize, most: usize },
    /// Something that is known by its form.
    Masked(Mask),
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pattern(Vec<Part>);

impl Pattern {
    /// The pattern that a name is known by at first sight: it holds a UUID, a date, a long number
    /// or a long identifier, or is one of several that are numbered. What varies beside that stays as
    /// it is.
    pub fn at_first_sight(name: &str) -> Option<Self> {
        let mut parts = Vec::new();
        let (mut is_masked, mut varying) = (false, 0);
        tokens(name, &mut |token| match token {
            Token::Literal(text) => push_literal(&mut parts, text),
            Token::Varying(text, charset) => {
                varying += 1;
                parts.push(run(text, charset));
            }
            Token::Masked(_, mask) => {
                is_masked = true;
                parts.push(Part::Masked(mask));
            }
        });
        let is_one_of_many = is_numbered(name) || is_counter(name);
        (is_masked || varying == 1 && is_one_of_many).then_some(Self(parts))
    }

    /// The pattern of names that say the same and differ in what may vary; `None` where the name
    /// has nothing that may.
    pub fn of_shape(name: &str) -> Option<Self> {
        let mut parts = Vec::new();
        let mut varies = false;
        tokens(name, &mut |token| match token {
            Token::Literal(text) => push_literal(&mut parts, text),
            Token::Varying(text, charset) => {
                varies = true;
                parts.push(run(text, charset));
            }
            Token::Masked(_, mask) => parts.push(Part::Masked(mask)),
        });
        varies.then_some(Self(parts))
    }

    /// Hexadecimal digits, as many as those of a name.
    pub(super) fn hexadecimal(name: &str) -> Self {
        let length = name.len();
        Self(vec![Part::Run { charset: Charset::Hex, least: length, most: length }])
    }

    /// A name that begins so, goes on at random, and ends so.
    pub fn random(start: &str, charset: Charset, length: usize, end: &str) -> Self {
        let mut parts = Vec::new();
        push_literal(&mut parts, start);
        parts.push(Part::Run { charset, least: length, most: length });
        push_literal(&mut parts, end);
        Self(parts)
    }

    /// Any name of this length at most that ends so.
    pub fn any(most: usize, end: &str) -> Self {
        let mut parts = vec![Part::Run { charset: Charset::Any, least: 1, most }];
        push_literal(&mut parts, end);
        Self(parts)
    }

    /// Its parts.
    pub(super) fn parts(&self) -> &[Part] {
        &self.0
    }

    /// Whether both say the same in the same places, whatever varies.
    pub fn has_shape_of(&self, other: &Self) -> bool {
        let is_alike = |(a, b): (&Part, &Part)| match (a, b) {
            (Part::Run { .. }, Part::Run { .. }) => true,
            (a, b) => a == b,
        };
        self.0.len() == other.0.len()
            && self.0.iter().zip(&other.0).all(is_alike)
            && self.ending_run().map(is_number) == other.ending_run().map(is_number)
    }

    /// The run that is all of a name's ending; a number there counts files, and anything else is what
    /// they are.
    fn ending_run(&self) -> Option<&Part> {
        let (last, before) = self.0.split_last()?;
        let is_ending = matches!(before.last(), Some(Part::Literal(text)) if text.ends_with('.'));
        (is_ending && matches!(last, Part::Run { .. })).then_some(last)
    }

    /// Whether its names may end with any short word.
    pub(super) fn is_open_at_its_end(&self) -> bool {
        self.ending_run().is_some_and(|run| {
            !is_number(run) && matches!(run, Part::Run { least, .. } if *least <= MOST_ENDING)
        })
    }

    /// Whether another of its shape is made of no other characters.
    pub fn has_charsets_of(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).all(|parts| match parts {
            (Part::Run { charset, .. }, Part::Run { charset: others, .. }) => charset >= others,
            (Part::Literal(_) | Part::Masked(_) | Part::Run { .. }, _) => true,
        })
    }

    /// Whether nothing varies but numbers.
    pub fn varies_in_numbers_alone(&self) -> bool {
        self.0.iter().all(|part| match part {
            Part::Run { charset, .. } => *charset == Charset::Digit,
            Part::Literal(_) | Part::Masked(_) => true,
        })
    }

    /// Whether it takes any name, but for its ending.
    pub(super) fn takes_any(&self) -> bool {
        self.0.iter().any(|part| matches!(part, Part::Run { charset: Charset::Any, .. }))
    }

    /// What is said at its end; empty where that varies.
    pub(super) fn last_words(&self) -> &str {
        match self.0.last() {
            Some(Part::Literal(text)) => text,
            Some(Part::Run { .. } | Part::Masked(_)) | None => "",
        }
    }

    /// How long a name of it may be, in letters.
    pub(super) fn longest(&self) -> usize {
        let lengths = self.0.iter().map(|part| match part {
            Part::Literal(text) => text.chars().count(),
            Part::Run { most, .. } => *most,
            Part::Masked(_) => LONGEST_MASKED,
        });
        lengths.sum::<usize>().min(MOST_NAME)
    }

    /// Takes in whatever another of the same shape takes in.
    pub fn widen(&mut self, other: &Self) {
        for (own, others) in self.0.iter_mut().zip(&other.0) {
            if let (
                Part::Run { charset, least, most },
                Part::Run { charset: c, least: l, most: m },
            ) = (own, others)
            {
                *charset = (*charset).max(*c);
                *least = (*least).min(*l);
                *most = (*most).max(*m);
            }
        }
    }

    /// Whether a name is meant.
    pub fn matches(&self, name: &str) -> bool {
        matches(&self.0, name, &mut { MOST_STEPS })
    }
}

fn is_number(part: &Part) -> bool {
    matches!(part, Part::Run { charset: Charset::Digit, .. })
}

/// Whether a name ends with a short number of its own, as files do that are rotated: `error.log.3.gz`.
fn is_numbered(name: &str) -> bool {
    let compressed = name.rsplit_once('.').filter(|(_, ending)| COMPRESSED.contains(ending));
    let plain = compressed.map_or(name, |(plain, _)| plain);
    plain.rsplit_once('.').is_some_and(|(before, number)| {
        let is_number = number.bytes().all(|it| it.is_ascii_digit());
        !before.is_empty() && (1..=MOST_ROTATED).contains(&number.len()) && is_number
    })
}

/// Whether a name is a number with zeros before it, as those of files are that are counted: `0001`.
fn is_counter(name: &str) -> bool {
    name.len() >= 2 && name.starts_with('0') && name.bytes().all(|it| it.is_ascii_digit())
}

fn matches(parts: &[Part], name: &str, steps: &mut usize) -> bool {
    let Some(left) = steps.checked_sub(1) else { return false };
    *steps = left;
    let Some((part, later)) = parts.split_first() else { return name.is_empty() };
    match part {
        Part::Literal(text) => {
            name.strip_prefix(&**text).is_some_and(|rest| matches(later, rest, steps))
        }
        Part::Masked(mask) => {
            let mut length = None;
            tokens(name, &mut |token| {
                if length.is_none() {
                    length = Some(match token {
                        Token::Masked(text, found) if found == *mask => text.len(),
                        Token::Literal(_) | Token::Varying(..) | Token::Masked(..) => 0,
                    });
                }
            });
            let length = length.unwrap_or_default();
            length > 0 && matches(later, &name[length..], steps)
        }
        Part::Run { charset, least, most } => {
            matches_run((*charset, *least..=*most), later, name, steps)
        }
    }
}

/// A run is as long as it can be: what follows begins with another character, or is the end.
fn matches_run(
    (charset, lengths): (Charset, RangeInclusive<usize>),
    later: &[Part],
    name: &str,
    steps: &mut usize,
) -> bool {
    if charset == Charset::Any {
        let end = match later.first() {
            Some(Part::Literal(end)) => &**end,
            _ => "",
        };
        let is_whole = name.strip_suffix(end);
        return is_whole.is_some_and(|run| lengths.contains(&run.chars().count()));
    }
    let (least, most) = lengths.into_inner();
    let length = name.find(|it: char| !is_in(it, charset)).unwrap_or(name.len());
    // A random run between words may be followed by a letter that says something.
    let longest = length.min(most);
    if length > most && !later.first().is_some_and(|it| matches!(it, Part::Literal(_))) {
        return false;
    }
    (least..=longest)
        .rev()
        .any(|at| name.is_char_boundary(at) && matches(later, &name[at..], steps))
}

pub(super) fn is_in(it: char, charset: Charset) -> bool {
    match charset {
        Charset::Digit => it.is_ascii_digit(),
        Charset::Hex => it.is_ascii_hexdigit(),
        Charset::Alnum => it.is_ascii_alphanumeric(),
        Charset::Word => it.is_ascii_alphanumeric() || it == '_',
        Charset::Any => true,
    }
}

fn run(text: &str, charset: Charset) -> Part {
    if charset == Charset::Digit {
        // Numbers count up and down.
        let most = ALWAYS_DIGITS.max(text.len() + MORE_DIGITS);
        return Part::Run { charset, least: 1, most };
    }
    Part::Run { charset, least: text.len(), most: text.len() }
}

fn push_literal(parts: &mut Vec<Part>, text: &str) {
    if let Some(Part::Literal(before)) = parts.last_mut() {
        *before = format!("{before}{text}").into();
    } else if !text.is_empty() {
        parts.push(Part::Literal(text.into()));
    }
}

/// As it is shown and kept: `temp-<d 1-6>.rdb`. What is `<` in a name is doubled.
impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in &self.0 {
            match part {
                Part::Literal(text) => f.write_str(&escaped(text))?,
                Part::Masked(mask) => write!(f, "<{}>", mask.name())?,
                Part::Run { charset, least, most } => {
                    write!(f, "<{} {least}-{most}>", letter(*charset))?;
                }
            }
        }
        Ok(())
    }
}

impl Pattern {
    /// Reads what [`fmt::Display`] writes; a name without anything that varies is none.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(it) = rest.chars().next() {
            if let Some(after) = rest.strip_prefix("<<") {
                literal.push('<');
                rest = after;
            } else if it == '<' {
                push_literal(&mut parts, &literal);
                literal.clear();
                let (inside, after) = rest[1..].split_once('>')?;
                parts.push(parse_part(inside)?);
                rest = after;
            } else {
                literal.push(it);
                rest = &rest[it.len_utf8()..];
            }
        }
        push_literal(&mut parts, &literal);
        let varies = parts.iter().any(|it| !matches!(it, Part::Literal(_)));
        varies.then_some(Self(parts))
    }
}

/// A name as it stands among patterns.
pub fn escaped(name: &str) -> String {
    name.replace('<', "<<")
}

fn parse_part(text: &str) -> Option<Part> {
    let Some((charset, range)) = text.split_once(' ') else {
        return Mask::by_name(text).map(Part::Masked);
    };
    let (least, most) = range.split_once('-')?;
    let (least, most) = (least.parse().ok()?, most.parse().ok()?);
    let is_sound = (1..=most).contains(&least) && most <= super::MOST_NAME;
    is_sound.then_some(Part::Run { charset: charset_of(charset)?, least, most })
}

const LETTERS: [(Charset, char); 5] = [
    (Charset::Digit, 'd'),
    (Charset::Hex, 'h'),
    (Charset::Alnum, 'a'),
    (Charset::Word, 'w'),
    (Charset::Any, '*'),
];

fn letter(charset: Charset) -> char {
    LETTERS.into_iter().find(|(it, _)| *it == charset).map_or('*', |(_, letter)| letter)
}

fn charset_of(text: &str) -> Option<Charset> {
    let mut letters = String::new();
    LETTERS.into_iter().find_map(|(charset, letter)| {
        letters.clear();
        let _ = letters.write_char(letter);
        (letters == text).then_some(charset)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_shape_takes_in_numbers_a_little_longer_than_those_seen() {
        let mut pattern = Pattern::of_shape("temp-8215.rdb").expect("varies");
        pattern.widen(&Pattern::of_shape("temp-31.rdb").expect("varies"));
        assert_eq!(pattern.to_string(), "temp-<d 1-10>.rdb");
        assert!(pattern.matches("temp-12345.rdb") && pattern.matches("temp-1.rdb"));
        assert!(!pattern.matches("temp-8215.sh") && !pattern.matches("temp-x.rdb"));
        assert!(Pattern::of_shape("access.log").is_none());
    }

    #[test]
    fn what_is_known_at_first_sight_matches_its_like_alone() {
        let pattern = Pattern::at_first_sight("0b6a1f6e-7c0a-4e5f-9a54-08f1b3f9b8a1.jpg");
        let pattern = pattern.expect("holds a UUID");
        assert!(pattern.matches("ffffffff-7c0a-4e5f-9a54-08f1b3f9b8a1.jpg"));
        assert!(!pattern.matches("ffffffff-7c0a-4e5f-9a54-08f1b3f9b8a1.php"));
        assert!(!pattern.matches("evil.jpg"));
    }

    #[test]
    fn rotated_files_are_one_at_first_sight() {
        let pattern = Pattern::at_first_sight("error.log.1").expect("is numbered");
        assert!(pattern.matches("error.log.12") && !pattern.matches("access.log.1"));
        assert!(!pattern.matches("error.log.1.gz") && !pattern.matches("error.log.sh"));
        let pattern = Pattern::at_first_sight("error.log.2.gz").expect("is numbered");
        assert!(pattern.matches("error.log.3.gz") && !pattern.matches("error.log.3"));
        for name in ["error.log", "python3.11", "core.1234", ".1", "v1", "report.1.sh", "a.b.1"] {
            assert_eq!(Pattern::at_first_sight(name), None, "{name}");
        }
    }

    #[test]
    fn counted_files_are_one_at_first_sight() {
        let pattern = Pattern::at_first_sight("0000").expect("is counted");
        assert!(pattern.matches("0001") && pattern.matches("0123"));
        assert!(!pattern.matches("0001.sh") && !pattern.matches("000x"));
        for name in ["0", "1000", "7", "0x", "00a"] {
            assert_eq!(Pattern::at_first_sight(name), None, "{name}");
        }
    }

    #[test]
    fn a_random_run_stands_between_what_is_said() {
        let pattern = Pattern::random("tmp", Charset::Word, 8, ".part");
        assert!(pattern.matches("tmpab_d1234.part"));
        assert!(!pattern.matches("tmpab_d12345.part") && !pattern.matches("tmpabcdefgh"));
        assert!(Pattern::any(20, ".txt").matches("anything at all.txt"));
        assert!(!Pattern::any(5, "").matches("longer"));
    }

    #[test]
    fn a_pattern_whose_runs_hold_what_follows_them_takes_no_time() {
        let pattern = Pattern::parse(&"x<a 1-64>".repeat(25)).expect("is a pattern");
        assert!(!pattern.matches(&format!("{}-", "x".repeat(200))));
        let few = Pattern::parse("x<a 1-64>x<a 1-64>").expect("is a pattern");
        assert!(few.matches("xyxy") && !few.matches("xyy-"));
    }

    #[test]
    fn a_number_at_the_end_and_an_ending_are_not_of_one_shape() {
        let shape = |name| Pattern::of_shape(name).expect("varies");
        assert!(!shape("core.12").has_shape_of(&shape("core.a1b2c3")));
        assert!(shape("core.12").has_shape_of(&shape("core.7")));
        assert!(shape("core-12").has_shape_of(&shape("core-a1b2c3")));
    }

    proptest! {
        #[test]
        fn a_pattern_matches_what_it_was_made_of(name in "[a-f0-9._-]{1,30}|[a-z0-9<>]{1,20}") {
            for pattern in [Pattern::of_shape(&name), Pattern::at_first_sight(&name)] {
                let Some(pattern) = pattern else { continue };
                prop_assert!(pattern.matches(&name), "{} {}", pattern, name);
                let read = Pattern::parse(&pattern.to_string());
                prop_assert_eq!(read.as_ref(), Some(&pattern));
            }
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".{0,40}|[<>d0-9 -]{0,20}", name in ".{0,20}") {
            if let Some(pattern) = Pattern::parse(&text) {
                let _ = pattern.matches(&name);
            }
        }
    }
}
