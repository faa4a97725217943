//! A text with wildcards, to name containers by.

use serde::{Deserialize, Serialize};

/// Longest pattern in bytes; no name that Docker gives is longer.
const MOST_BYTES: usize = 512;

/// A literal text in which `*` stands for anything, nothing among it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern(String);

/// Why a text is no pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// There is nothing to match.
    #[error("a pattern cannot be empty")]
    Empty,
    /// No name is that long.
    #[error("a pattern has at most {MOST_BYTES} bytes")]
    Long,
    /// No name has those.
    #[error("a pattern has no spaces or control characters")]
    Space,
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// When it is empty, too long, or holds what no name holds.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        if text.is_empty() {
            return Err(PatternError::Empty);
        }
        if text.len() > MOST_BYTES {
            return Err(PatternError::Long);
        }
        if text.contains(|it: char| it.is_whitespace() || it.is_control()) {
            return Err(PatternError::Space);
        }
        Ok(Self(text.to_owned()))
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it matches this text. An empty text is the absence of one, which nothing matches.
    pub fn matches(&self, text: &str) -> bool {
        !text.is_empty() && is_match(&self.0, text)
    }
}

/// Whether a pattern names anything in particular.
pub(super) fn is_literal(pattern: &str) -> bool {
    pattern.contains(char::is_alphanumeric)
}

/// Whether a text is as a pattern with wildcards says.
pub(super) fn is_match(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut at, mut from) = (0, 0);
    // Where the last wildcard stands, and what of the text it has not swallowed.
    let mut last: Option<(usize, usize)> = None;
    while from < text.len() {
        if pattern.get(at) == Some(&b'*') {
            last = Some((at, from));
            at += 1;
        } else if pattern.get(at) == Some(&text[from]) {
            (at, from) = (at + 1, from + 1);
        } else if let Some((star, swallowed)) = last {
            last = Some((star, swallowed + 1));
            (at, from) = (star + 1, swallowed + 1);
        } else {
            return false;
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

impl TryFrom<String> for Pattern {
    type Error = PatternError;

    fn try_from(text: String) -> Result<Self, PatternError> {
        Self::parse(&text)
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> Self {
        pattern.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn naive(pattern: &[u8], text: &[u8]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some((b'*', rest)) => (0..=text.len()).any(|from| naive(rest, &text[from..])),
            Some((byte, rest)) => text.first() == Some(byte) && naive(rest, &text[1..]),
        }
    }

    proptest! {
        #[test]
        fn wildcards_agree_with_a_naive_reference(pattern in "[ab*]{0,8}", text in "[ab]{0,10}") {
            let expected = naive(pattern.as_bytes(), text.as_bytes());
            prop_assert_eq!(is_match(&pattern, &text), expected);
        }
    }

    #[test]
    fn what_is_absent_is_matched_by_nothing() {
        let all = Pattern::parse("*").expect("is one");
        assert!(all.matches("web") && !all.matches("") && !is_literal(all.as_str()));
    }

    #[test]
    fn a_text_that_no_name_can_have_is_refused() {
        assert_eq!(Pattern::parse(""), Err(PatternError::Empty));
        assert_eq!(Pattern::parse("a b"), Err(PatternError::Space));
        assert_eq!(Pattern::parse(&"a".repeat(513)), Err(PatternError::Long));
    }
}
