//! Whether a pattern that somebody wrote down is no broader than what is learned.

use super::{
    pattern::{ALWAYS_DIGITS, Part, Pattern, is_in},
    tokens::Charset,
};

/// How long a run may be that is not as long each time.
const MOST_VARIED: usize = 64;
/// Longest ending of names of a directory that takes any.
const MOST_ENDING: usize = 8;
/// What stands before a run at random, at least, and how long that is.
const RANDOM_START: usize = 3;
const RANDOM_LENGTH: usize = 6;

/// How much a pattern takes in, beside what learning makes of names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breadth {
    /// Learning could have made it.
    Learned,
    /// The same, but only in a directory with more names than are kept: it takes any.
    Open,
    /// Learning makes none such, for this reason.
    Broader(&'static str),
}

impl Pattern {
    /// See [`Breadth`].
    pub fn breadth(&self) -> Breadth {
        let parts = self.parts();
        let is_run = |part: &Part| matches!(part, Part::Run { .. });
        if parts.windows(2).any(|pair| pair.iter().all(is_run)) {
            return Breadth::Broader("two runs never stand side by side");
        }
        if parts.windows(2).any(|pair| holds(&pair[0], &pair[1])) {
            return Breadth::Broader("what stands behind a run is none of its letters");
        }
        if self.is_open_at_its_end() {
            return Breadth::Broader("the ending of a name is always said");
        }
        let takes_any = |part: &Part| matches!(part, Part::Run { charset: Charset::Any, .. });
        if parts.iter().any(takes_any) {
            return of_any(parts);
        }
        let broader = parts.iter().enumerate().find_map(|(at, part)| match part {
            Part::Run { charset, least, most } => {
                of_run(*charset, *least, *most, &parts[..at], &parts[at + 1..])
            }
            Part::Literal(_) | Part::Masked(_) => None,
        });
        broader.map_or(Breadth::Learned, Breadth::Broader)
    }

    /// A name that it takes in, by its form.
    pub fn example(&self) -> String {
        let shown = self.parts().iter().map(|part| match part {
            Part::Literal(text) => &**text,
            Part::Run { .. } | Part::Masked(_) => "x",
        });
        shown.collect()
    }
}

/// Whether a run could go on with what stands behind it: a name is cut where its letters change.
fn holds(run: &Part, behind: &Part) -> bool {
    let Part::Run { charset, .. } = run else { return false };
    match behind {
        Part::Literal(text) => {
            *charset != Charset::Any && text.starts_with(|it| is_in(it, *charset))
        }
        Part::Masked(_) => true,
        Part::Run { .. } => false,
    }
}

/// Of a directory that takes any name the ending is said, and nothing else.
fn of_any(parts: &[Part]) -> Breadth {
    match parts {
        [Part::Run { least: 1, .. }] => Breadth::Open,
        [Part::Run { least: 1, .. }, Part::Literal(end)]
            if end.starts_with('.') && end.len() <= MOST_ENDING =>
        {
            Breadth::Open
        }
        _ => Breadth::Broader("of any name only the ending is said"),
    }
}

fn of_run(
    charset: Charset,
    least: usize,
    most: usize,
    before: &[Part],
    after: &[Part],
) -> Option<&'static str> {
    if charset == Charset::Digit && most > ALWAYS_DIGITS {
        return Some("a number has ten digits at most");
    }
    if least < most && most > MOST_VARIED {
        return Some("a run of 64 letters or more is always as long");
    }
    let is_random = match (before, after) {
        ([Part::Literal(start)], [] | [Part::Literal(_)]) => {
            start.chars().count() >= RANDOM_START && least >= RANDOM_LENGTH
        }
        _ => false,
    };
    (charset == Charset::Word && !is_random)
        .then_some("a run with `_` stands behind three letters that are said, and is six long")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn breadth(text: &str) -> Breadth {
        Pattern::parse(text).expect("is a pattern").breadth()
    }

    #[test]
    fn what_learning_never_makes_is_broader() {
        for text in
            ["temp-<d 1-10>.rdb", "tmp<w 8-8>", "<uuid>.jpg", "<a 9-9>", "<h 1-1>", "x.<d 1-10>"]
        {
            assert_eq!(breadth(text), Breadth::Learned, "{text}");
        }
        for text in ["<* 1-20>", "<* 1-20>.txt"] {
            assert_eq!(breadth(text), Breadth::Open, "{text}");
        }
        for text in [
            "a<* 1-20>",
            "<* 1-20><* 1-20>",
            "<* 1-9>.long-ending",
            "<d 1-11>",
            "<w 1-9>",
            "<a 1-255>",
            "<a 1-9><d 1-3>",
            "<* 3-9>",
            "x<a 1-64>x<a 1-64>",
            "<h 2-8>a",
            "<d 1-10><date>",
            "<a 1-64>.<a 1-4>",
        ] {
            assert!(matches!(breadth(text), Breadth::Broader(_)), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_made_of_a_name_is_never_broader(name in "[a-z0-9._-]{1,40}|[0-9a-f]{1,20}") {
            for pattern in [Pattern::of_shape(&name), Pattern::at_first_sight(&name)] {
                let breadth = pattern.map_or(Breadth::Learned, |it| it.breadth());
                prop_assert_eq!(breadth, Breadth::Learned);
            }
        }
    }
}
