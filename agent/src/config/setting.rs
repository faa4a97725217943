//! The types a setting may have: how each is read from text, and written.

use std::{fmt, net::SocketAddr, path::PathBuf, time::Duration};

use plimsoll_ebpf::{catalog::Kind, rules::Mode};

use super::units;

/// How a value is written in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// In quotes.
    Text,
    /// A bare number.
    Number,
    /// `true` or `false`.
    Boolean,
}

/// A type that a setting may have.
pub trait Setting: Sized {
    /// What a value looks like, to complete "expected …".
    const EXPECTED: &'static str;
    /// How it may be written in a file; the first is how it is printed.
    const FORMS: &'static [Form];
    /// Reads it; `None` when the text is no such value.
    fn parse(text: &str) -> Option<Self>;
    /// Writes it such that it reads back.
    fn show(&self) -> String;
}

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bytes(pub u64);

/// Bytes of a kernel ring: a power of two and a multiple of the page size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingBytes(pub u32);

/// A value that is found by the agent itself unless it is set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Auto<T> {
    /// To be found.
    Auto,
    /// Set.
    Set(T),
}

/// An address to listen on; none listens not at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen(pub Option<SocketAddr>);

/// A file that need not be named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptionalPath(pub Option<PathBuf>);

/// Events, by the names they have in the catalogue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kinds(pub Vec<&'static str>);

/// What becomes of enforcement when the agent ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenGone {
    /// Everything is let go.
    Release,
    /// What was stopped still is.
    Hold,
}

impl Setting for WhenGone {
    const EXPECTED: &'static str = "\"release\" or \"hold\"";
    const FORMS: &'static [Form] = &[Form::Text];

    fn parse(text: &str) -> Option<Self> {
        [Self::Release, Self::Hold].into_iter().find(|it| it.show() == text)
    }

    fn show(&self) -> String {
        match self {
            Self::Release => "release".to_owned(),
            Self::Hold => "hold".to_owned(),
        }
    }
}

impl Setting for PathBuf {
    const EXPECTED: &'static str = "an absolute path";
    const FORMS: &'static [Form] = &[Form::Text];

    fn parse(text: &str) -> Option<Self> {
        text.starts_with('/').then(|| Self::from(text))
    }

    fn show(&self) -> String {
        self.display().to_string()
    }
}

impl Setting for String {
    const EXPECTED: &'static str = "a text that is not empty";
    const FORMS: &'static [Form] = &[Form::Text];

    fn parse(text: &str) -> Option<Self> {
        (!text.trim().is_empty()).then(|| text.to_owned())
    }

    fn show(&self) -> String {
        self.clone()
    }
}

impl Setting for bool {
    const EXPECTED: &'static str = "true or false";
    const FORMS: &'static [Form] = &[Form::Boolean];

    fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Setting for u32 {
    const EXPECTED: &'static str = "a whole number";
    const FORMS: &'static [Form] = &[Form::Number];

    fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Setting for Duration {
    const EXPECTED: &'static str = "a time with its unit, such as \"200ms\", \"10s\" or \"7d\"";
    const FORMS: &'static [Form] = &[Form::Text];

    fn parse(text: &str) -> Option<Self> {
        units::time(text)
    }

    fn show(&self) -> String {
        units::show_time(*self)
    }
}

impl Setting for Bytes {
    const EXPECTED: &'static str = "a size such as \"64MiB\" or \"1GiB\"";
    const FORMS: &'static [Form] = &[Form::Text, Form::Number];

    fn parse(text: &str) -> Option<Self> {
        units::size(text).map(Self)
    }

    fn show(&self) -> String {
        units::show_size(self.0)
    }
}

impl Setting for RingBytes {
    const EXPECTED: &'static str =
        "a size that is a power of two and a multiple of the page size, such as \"4MiB\"";
    const FORMS: &'static [Form] = &[Form::Text, Form::Number];

    fn parse(text: &str) -> Option<Self> {
        let bytes = u32::try_from(units::size(text)?).ok()?;
        let page = rustix::param::page_size() as u32;
        (bytes.is_power_of_two() && bytes >= page).then_some(Self(bytes))
    }

    fn show(&self) -> String {
        units::show_size(self.0.into())
    }
}

impl Setting for Listen {
    const EXPECTED: &'static str =
        "an IP address and port, such as \"127.0.0.1:9465\", or nothing (\"\")";
    const FORMS: &'static [Form] = &[Form::Text];

    fn parse(text: &str) -> Option<Self> {
        if text.is_empty() { Some(Self(None)) } else { text.parse().ok().map(Some).map(Self) }
    }

    fn show(&self) -> String {
        self.0.map(|address| address.to_string()).unwrap_or_default()
    }
}

impl Setting for OptionalPath {
    const EXPECTED: &'static str = "an absolute path, or nothing (\"\")";
    const FORMS: &'static [Form] = &[Form::Text];

    fn parse(text: &str) -> Option<Self> {
        if text.is_empty() { Some(Self(None)) } else { PathBuf::parse(text).map(Some).map(Self) }
    }

    fn show(&self) -> String {
        self.0.as_ref().map(PathBuf::show).unwrap_or_default()
    }
}

impl Setting for Kinds {
    const EXPECTED: &'static str =
        "names of events separated by commas, such as \"file_write,fork\", or nothing (\"\")";
    const FORMS: &'static [Form] = &[Form::Text];

    fn parse(text: &str) -> Option<Self> {
        if text.trim().is_empty() {
            return Some(Self(Vec::new()));
        }
        let known = |name: &str| Kind::by_name(name.trim()).map(|kind| kind.name);
        text.split(',').map(known).collect::<Option<_>>().map(Self)
    }

    fn show(&self) -> String {
        self.0.join(",")
    }
}

impl Setting for Mode {
    const EXPECTED: &'static str = "\"learn\", \"monitor\" or \"enforce\"";
    const FORMS: &'static [Form] = &[Form::Text];

    fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.name() == text)
    }

    fn show(&self) -> String {
        self.name().to_owned()
    }
}

impl<T: Setting> Setting for Auto<T> {
    const EXPECTED: &'static str = T::EXPECTED;
    const FORMS: &'static [Form] = T::FORMS;

    fn parse(text: &str) -> Option<Self> {
        if text == "auto" { Some(Self::Auto) } else { T::parse(text).map(Self::Set) }
    }

    fn show(&self) -> String {
        match self {
            Self::Auto => "auto".to_owned(),
            Self::Set(value) => value.show(),
        }
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.show())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_is_a_power_of_two_of_whole_pages() {
        assert_eq!(RingBytes::parse("4MiB"), Some(RingBytes(4 << 20)));
        for text in ["3MiB", "1KiB", "0", "8GiB", "big"] {
            assert_eq!(RingBytes::parse(text), None, "{text}");
        }
    }

    #[test]
    fn an_empty_address_listens_not_at_all() {
        assert_eq!(Listen::parse(""), Some(Listen(None)));
        assert_eq!(Listen::parse("[::1]:9465").map(|it| it.show()).as_deref(), Some("[::1]:9465"));
        assert_eq!(Listen::parse("localhost:9465"), None);
        assert_eq!(Listen::parse("9465"), None);
    }

    #[test]
    fn events_are_named_as_in_the_catalogue() {
        assert_eq!(Kinds::parse("exit, fork"), Some(Kinds(vec!["exit", "fork"])));
        assert_eq!(Kinds::parse("exit,forks"), None);
        assert_eq!(Kinds::parse("").map(|it| it.show()).as_deref(), Some(""));
    }

    #[test]
    fn paths_are_absolute() {
        assert_eq!(PathBuf::parse("data"), None);
        assert_eq!(OptionalPath::parse("data"), None);
        assert_eq!(OptionalPath::parse(""), Some(OptionalPath(None)));
        assert_eq!(Auto::<PathBuf>::parse("auto"), Some(Auto::Auto));
        assert_eq!(Auto::<PathBuf>::parse("/p"), Some(Auto::Set("/p".into())));
    }
}
