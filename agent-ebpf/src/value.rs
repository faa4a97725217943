//! The values a field can have. Later stages match on these, never on events.

use std::{
    borrow::Cow,
    fmt::{self, Write as _},
    net::IpAddr,
};

/// A field's value in one observation; texts borrow from the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// An unsigned number.
    Number(u64),
    /// A signed number, such as a system call's result.
    Signed(i64),
    /// Yes or no.
    Flag(bool),
    /// A moment, in nanoseconds since the Unix epoch.
    Time(u64),
    /// Free text; any bytes.
    Text(&'a [u8]),
    /// A file path as the container sees it; any bytes but NUL.
    Path(&'a [u8]),
    /// Texts with a NUL byte after each but the last.
    List(&'a [u8]),
    /// One of a closed set of names.
    Label(&'a str),
    /// An IP address; IPv4 is never mapped into IPv6.
    Address(IpAddr),
    /// A TCP or UDP port.
    Port(u16),
    /// The layer a file lies in: a code of [`crate::layer::code`] and the file's path, by which
    /// user space tells volumes from bind mounts.
    Layer(u8, &'a [u8]),
}

/// The type of a [`Value`], for documentation, storage and the query language.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ValueType {
    /// [`Value::Number`]
    Number,
    /// [`Value::Signed`]
    Signed,
    /// [`Value::Flag`]
    Flag,
    /// [`Value::Time`]
    Time,
    /// [`Value::Text`]
    Text,
    /// [`Value::Path`]
    Path,
    /// [`Value::List`]
    List,
    /// [`Value::Label`] and [`Value::Layer`]
    Label,
    /// [`Value::Address`]
    Address,
    /// [`Value::Port`]
    Port,
}

impl ValueType {
    /// The word used in documentation.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Number => "number",
            Self::Signed => "signed number",
            Self::Flag => "flag",
            Self::Time => "time",
            Self::Text => "text",
            Self::Path => "path",
            Self::List => "list of texts",
            Self::Label => "label",
            Self::Address => "IP address",
            Self::Port => "port",
        }
    }
}

impl<'a> Value<'a> {
    /// The type of this value.
    pub const fn value_type(&self) -> ValueType {
        match self {
            Self::Number(_) => ValueType::Number,
            Self::Signed(_) => ValueType::Signed,
            Self::Flag(_) => ValueType::Flag,
            Self::Time(_) => ValueType::Time,
            Self::Text(_) => ValueType::Text,
            Self::Path(_) => ValueType::Path,
            Self::List(_) => ValueType::List,
            Self::Label(_) | Self::Layer(..) => ValueType::Label,
            Self::Address(_) => ValueType::Address,
            Self::Port(_) => ValueType::Port,
        }
    }

    /// The parts of a [`Value::List`]; nothing for other values.
    pub fn parts(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let bytes: &'a [u8] = if let Value::List(bytes) = self { bytes } else { &[] };
        bytes.split(|&byte| byte == 0).take(if bytes.is_empty() { 0 } else { usize::MAX })
    }
}

/// Address from 16 bytes in network order, with mapped IPv4 turned back into IPv4.
pub fn address(bytes: [u8; 16]) -> IpAddr {
    IpAddr::from(bytes).to_canonical()
}

/// Text for people and JSON: valid UTF-8 stays as it is; other bytes, control characters and those
/// that turn the direction of writing become `\xNN`. A backslash is doubled only in texts with
/// such an escape, or with what looks like one, so that no two texts read alike.
pub fn readable(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.chars().any(is_harmful) && !text.contains("\\x") => Cow::Borrowed(text),
        _ => Cow::Owned(escape(bytes)),
    }
}

/// Whether a terminal would obey a character, or show what follows it in another order.
fn is_harmful(character: char) -> bool {
    let turns = ['\u{200e}', '\u{200f}', '\u{61c}'];
    character.is_control()
        || turns.contains(&character)
        || ('\u{202a}'..='\u{202e}').contains(&character)
        || ('\u{2066}'..='\u{2069}').contains(&character)
}

fn escape(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() + 16);
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '\\' => text.push_str("\\\\"),
                control if is_harmful(control) => {
                    let mut buffer = [0; 4];
                    for byte in control.encode_utf8(&mut buffer).bytes() {
                        let _ = write!(text, "\\x{byte:02x}");
                    }
                }
                other => text.push(other),
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) | Self::Time(number) => number.fmt(f),
            Self::Signed(number) => number.fmt(f),
            Self::Flag(flag) => flag.fmt(f),
            Self::Text(bytes) | Self::Path(bytes) => readable(bytes).fmt(f),
            Self::List(_) => {
                for (index, part) in self.parts().enumerate() {
                    if index > 0 {
                        f.write_str(" ")?;
                    }
                    readable(part).fmt(f)?;
                }
                Ok(())
            }
            Self::Label(label) => label.fmt(f),
            Self::Address(address) => address.fmt(f),
            Self::Port(port) => port.fmt(f),
            Self::Layer(code, _) => crate::layer::name(*code).fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_bytes_are_escaped_and_plain_text_is_not() {
        assert_eq!(readable(b"/usr/bin/caf\xc3\xa9"), "/usr/bin/caf\u{e9}");
        assert_eq!(readable(b"/tmp/\x1b[31m\xff\\"), "/tmp/\\x1b[31m\\xff\\\\");
        assert_eq!(readable(b"C:\\y"), "C:\\y");
    }

    #[test]
    fn no_two_texts_read_alike() {
        assert_eq!(readable(b"\\x1b"), "\\\\x1b");
        assert_eq!(readable(b"\x1b"), "\\x1b");
        assert_eq!(readable("a\u{202e}b".as_bytes()), "a\\xe2\\x80\\xaeb");
    }

    #[test]
    fn a_list_keeps_empty_arguments() {
        let parts: Vec<&[u8]> = Value::List(b"sh\0\0-c").parts().collect();
        assert_eq!(parts, [b"sh".as_slice(), b"", b"-c"]);
        assert_eq!(Value::List(b"").parts().count(), 0);
    }
}
