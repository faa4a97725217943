//! Cuts a name into what is said and what varies: words, numbers, identifiers.

/// Digits from which a number says nothing about what a file is.
const LONG_NUMBER: usize = 6;
/// Hexadecimal digits from which a mixed run is an identifier.
const LONG_HEX: usize = 16;
/// Letters of a word that a short number may follow without a separator: `ibtmp8`.
const WORD: usize = 3;
/// The groups of a UUID.
const UUID_GROUPS: [usize; 5] = [8, 4, 4, 4, 12];
/// Longest ending that is taken for a type of file though it holds a digit, as `mp3`.
pub(super) const MOST_ENDING: usize = 4;

/// Which characters a varying part is made of; each holds those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Charset {
    /// `0` to `9`.
    Digit,
    /// Hexadecimal digits.
    Hex,
    /// Letters and digits.
    Alnum,
    /// Letters, digits and `_`.
    Word,
    /// Anything a name may hold.
    Any,
}

/// A piece of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token<'a> {
    /// What is said: letters, or what stands between pieces.
    Literal(&'a str),
    /// What may vary: a run that holds a digit, or one letter alone.
    Varying(&'a str, Charset),
    /// What varies for sure: a UUID, a date, a long number, a long identifier.
    Masked(&'a str, Mask),
}

/// What a piece is that varies for sure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mask {
    /// A UUID.
    Uuid,
    /// A date, `2026-01-31` or `20260131`.
    Date,
    /// Six digits or more.
    Number,
    /// Sixteen hexadecimal digits or more, letters and digits among them.
    Identifier,
}

impl Mask {
    /// As it is shown.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Uuid => "uuid",
            Self::Date => "date",
            Self::Number => "number",
            Self::Identifier => "id",
        }
    }

    /// The mask of this name.
    pub fn by_name(name: &str) -> Option<Self> {
        [Self::Uuid, Self::Date, Self::Number, Self::Identifier]
            .into_iter()
            .find(|it| it.name() == name)
    }
}

impl Charset {
    /// The narrowest that a run is made of.
    pub fn of(run: &str) -> Self {
        let all = |is: fn(&char) -> bool| run.chars().all(|it| is(&it));
        if all(char::is_ascii_digit) {
            Self::Digit
        } else if all(char::is_ascii_hexdigit) {
            Self::Hex
        } else if all(char::is_ascii_alphanumeric) {
            Self::Alnum
        } else if all(|it| it.is_ascii_alphanumeric() || *it == '_') {
            Self::Word
        } else {
            Self::Any
        }
    }
}

/// Hands each piece of a name to `take`, in order.
pub fn tokens<'a>(name: &'a str, take: &mut dyn FnMut(Token<'a>)) {
    let mut rest = name;
    // The end of a name after its last dot.
    let ending = name.rfind('.').map_or("", |at| &name[at + 1..]);
    let is_ending_said =
        ending.len() <= MOST_ENDING && ending.contains(|it: char| it.is_alphabetic());
    while let Some(first) = rest.chars().next() {
        if let Some((mask, length)) = masked(rest) {
            take(Token::Masked(&rest[..length], mask));
            rest = &rest[length..];
            continue;
        }
        let is_run = |it: char| it.is_alphanumeric();
        let length = if is_run(first) {
            rest.find(|it| !is_run(it)).unwrap_or(rest.len())
        } else {
            first.len_utf8()
        };
        let (run, after) = rest.split_at(length);
        let is_said = after.is_empty() && is_ending_said && run == ending;
        if let Some(word) = numbered(run).filter(|_| !is_said) {
            take(Token::Literal(&run[..word]));
            rest = &rest[word..];
            continue;
        }
        take(if is_said { Token::Literal(run) } else { of_run(run) });
        rest = after;
    }
}

/// How long the word is that a number follows in a run. What may be hexadecimal is none, nor are one
/// or two letters before a short number: they may be at random.
fn numbered(run: &str) -> Option<usize> {
    let (word, number) = run.split_at(run.find(|it: char| it.is_ascii_digit())?);
    let is_word = word.is_ascii() && word.bytes().any(|it| !it.is_ascii_hexdigit());
    let is_number = number.bytes().all(|it| it.is_ascii_digit());
    let is_long = word.len() >= WORD || number.len() >= LONG_NUMBER;
    (is_word && is_number && is_long).then_some(word.len())
}

/// A path without what varies in its names: alike for paths that differ in numbers and identifiers.
pub fn shape(path: &str) -> String {
    let mut shape = String::with_capacity(path.len());
    for name in path.split('/') {
        tokens(name, &mut |token| match token {
            Token::Literal(text) => shape.push_str(text),
            Token::Varying(..) | Token::Masked(..) => shape.push('#'),
        });
        shape.push('/');
    }
    shape
}

/// Whether something in a name varies: it is one of many.
pub fn varies(name: &str) -> bool {
    let mut varies = false;
    tokens(name, &mut |token| varies |= !matches!(token, Token::Literal(_)));
    varies
}

fn of_run(run: &str) -> Token<'_> {
    let is_ascii = run.is_ascii();
    let has_digit = run.bytes().any(|it| it.is_ascii_digit());
    // One letter alone is most likely the first of many names.
    if !is_ascii || !(has_digit || run.len() == 1 && run.as_bytes()[0].is_ascii_alphabetic()) {
        return Token::Literal(run);
    }
    let charset = Charset::of(run);
    if charset == Charset::Digit && run.len() >= LONG_NUMBER {
        return Token::Masked(run, Mask::Number);
    }
    if charset == Charset::Hex && run.len() >= LONG_HEX {
        return Token::Masked(run, Mask::Identifier);
    }
    Token::Varying(run, charset)
}

/// A mask at the start of a text, and how long that is.
fn masked(text: &str) -> Option<(Mask, usize)> {
    let bytes = text.as_bytes();
    if let Some(length) = uuid(bytes) {
        return Some((Mask::Uuid, length));
    }
    date(bytes).map(|length| (Mask::Date, length))
}

fn uuid(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    for (index, &group) in UUID_GROUPS.iter().enumerate() {
        if index > 0 {
            at += usize::from(*bytes.get(at)? == b'-');
        }
        if !bytes.get(at..at + group)?.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        at += group;
    }
    // 32 digits without a dash are an identifier, and what goes on is no UUID.
    let has_dashes = at == UUID_GROUPS.iter().sum::<usize>() + UUID_GROUPS.len() - 1;
    let goes_on = bytes.get(at).is_some_and(u8::is_ascii_alphanumeric);
    (has_dashes && !goes_on).then_some(at)
}

fn date(bytes: &[u8]) -> Option<usize> {
    let number = |range: std::ops::Range<usize>| {
        let digits = bytes.get(range)?;
        let is_number = digits.iter().all(u8::is_ascii_digit);
        is_number.then(|| digits.iter().fold(0_u32, |sum, it| sum * 10 + u32::from(it - b'0')))
    };
    let year = number(0..4)?;
    let separator = *bytes.get(4)?;
    let (month, day, length) = if matches!(separator, b'-' | b'_' | b'.') {
        let same = *bytes.get(7)? == separator;
        (number(5..7)?, number(8..10).filter(|_| same)?, 10)
    } else {
        (number(4..6)?, number(6..8)?, 8)
    };
    let is_date =
        (1970..2100).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
    let goes_on = bytes.get(length).is_some_and(u8::is_ascii_digit);
    (is_date && !goes_on).then_some(length)
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    fn shown(name: &str) -> String {
        let mut text = String::new();
        tokens(name, &mut |token| match token {
            Token::Literal(it) => text += it,
            Token::Varying(it, charset) => {
                let _ = write!(text, "<{charset:?} {it}>");
            }
            Token::Masked(_, mask) => {
                let _ = write!(text, "<{}>", mask.name());
            }
        });
        text
    }

    #[test]
    fn words_are_said_and_numbers_vary() {
        assert_eq!(shown("access.log"), "access.log");
        assert_eq!(shown("temp-8215.rdb"), "temp-<Digit 8215>.rdb");
        assert_eq!(shown("song.mp3"), "song.mp3");
        assert_eq!(shown("access.log.1"), "access.log.<Digit 1>");
        assert_eq!(shown("etc"), "etc");
        assert_eq!(shown("c"), "<Hex c>");
        assert_eq!(shown("y"), "<Alnum y>");
        assert_eq!(shown("tmpa8f3k2"), "<Alnum tmpa8f3k2>");
    }

    #[test]
    fn a_word_that_is_numbered_is_said_and_its_number_varies() {
        assert_eq!(shown("ibtmp8"), "ibtmp<Digit 8>");
        assert_eq!(shown("jna5867953458090863820.tmp"), "jna<number>.tmp");
        assert_eq!(shown("z15681245544029.gz"), "z<number>.gz");
        assert_eq!(shown("ruby20261126-302"), "ruby<date>-<Digit 302>");
        for at_random in ["fab123", "xk29", "bd1"] {
            assert!(shown(at_random).starts_with('<'), "{at_random}");
        }
    }

    #[test]
    fn what_varies_for_sure_is_known_at_first_sight() {
        assert_eq!(shown("0b6a1f6e-7c0a-4e5f-9a54-08f1b3f9b8a1.jpg"), "<uuid>.jpg");
        assert_eq!(shown("dump-2026-01-31.sql"), "dump-<date>.sql");
        assert_eq!(shown("dump-20260131.sql"), "dump-<date>.sql");
        assert_eq!(shown("0000000016"), "<number>");
        assert_eq!(shown("000000010000000A000000FF"), "<id>");
        assert_eq!(shown("d41d8cd98f00b204e9800998ecf8427e"), "<id>");
    }

    proptest::proptest! {
        #[test]
        fn the_pieces_are_the_whole_name(name in "[a-z0-9._é-]{0,40}|.{0,20}") {
            let mut whole = String::new();
            tokens(&name, &mut |token| match token {
                Token::Literal(it) | Token::Varying(it, _) | Token::Masked(it, _) => whole += it,
            });
            proptest::prop_assert_eq!(whole, name);
        }
    }

    #[test]
    fn paths_that_differ_in_numbers_have_one_shape() {
        assert_eq!(shape("/base/16384/16410_fsm"), shape("/base/5/2_fsm"));
        assert_eq!(shape("/tmp/z15681245544029.gz"), shape("/tmp/z1568124554402.gz"));
        assert_ne!(shape("/base/16384/16410_fsm"), shape("/base/16384/16410_vm"));
        assert_ne!(shape("/etc/ab"), shape("/etc/yz"));
    }
}
