//! What is kept of one argument: what it says stays, and what varies or may be secret becomes a mask.
//!
//! All of this is done before anything is learned: what is masked never enters a profile.

use std::net::IpAddr;

use crate::baseline::template::tokens::{Charset, Mask, Token, tokens};

/// A whole number.
pub const INT: &str = "<int>";
/// Letters and digits that look random, or a long number.
pub const ID: &str = "<id>";
/// Words, or what has letters that no plain argument has.
pub const TEXT: &str = "<text>";
/// One word, where several were seen.
pub const WORD: &str = "<word>";
/// An address, or a name with a port or a user.
pub const HOST: &str = "<host>";
/// The same, of the container itself.
pub const LOCAL: &str = "<host:local>";
/// What an option's name says is nobody's to know.
pub const SECRET: &str = "<secret>";
/// What a variable of a script says.
pub const VARIABLE: &str = "<var>";
/// What begins a mask of paths, up to the directory.
pub const PATH: &str = "<path:";

/// Directories in which names say nothing.
const SCRATCH: [&str; 3] = ["/tmp", "/var/tmp", "/dev/shm"];
/// Names of a path that are kept; of a deeper one the first two.
const MOST_NAMES: usize = 12;
/// Longest argument, as it is kept; a longer one is a text.
const MOST_KEPT: usize = 96;
/// Letters from which letters and digits together are a token, and those from which letters of both
/// cases are.
const LONG_TOKEN: usize = 20;
const LONG_MIXED: usize = 16;
/// The same of a run that looks random by itself.
const SHORT_RANDOM: usize = 6;
/// Digits from which a number is as likely an identifier.
const LONG_NUMBER: usize = 16;
/// Runs of letters and of digits that a word has at most, as `x86`, `10m` and `mx512m`.
const MOST_TURNS: usize = 3;

/// Parts of names of options and variables whose values are secret.
const SECRET_NAMES: [&str; 9] =
    ["pass", "pwd", "secret", "token", "key", "auth", "cred", "cookie", "session"];

/// Whether the name of an option or variable says that its value is secret.
pub fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET_NAMES.iter().any(|it| name.contains(it))
}

/// An argument as it is kept.
pub fn masked(word: &str) -> String {
    let named = word.split_once('=').filter(|(name, _)| !name.contains("://"));
    let place = named.map_or(word, |(_, value)| value);
    let is_url = place.split_once("://").is_some_and(|(scheme, rest)| {
        scheme.bytes().all(is_plain) && rest.bytes().all(|it| it.is_ascii_graphic())
    });
    if word.is_empty() || !is_url && !word.bytes().all(is_plain) {
        return TEXT.to_owned();
    }
    let kept = if let Some((name, value)) = named {
        assigned(name, value)
    } else if word.len() > 1 && word.starts_with('-') {
        option(word)
    } else {
        value(word)
    };
    if kept.len() > MOST_KEPT { TEXT.to_owned() } else { kept }
}

/// Whether a byte is one of a plain argument: no space, no quote, nothing that a shell obeys.
const fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'-' | b'_'
                | b'.'
                | b'/'
                | b':'
                | b'@'
                | b'%'
                | b'+'
                | b','
                | b'='
                | b'*'
                | b'?'
                | b'~'
                | b'^'
                | b'#'
                | b'!'
                | b'['
                | b']'
        )
}

/// `name=value`, an option or not. What stands in the environment is a setting and may be anything.
fn assigned(name: &str, text: &str) -> String {
    let is_name = |it: char| it.is_ascii_alphanumeric() || "_-.".contains(it);
    let bare = name.trim_start_matches('-');
    if bare.is_empty() || !bare.chars().all(is_name) {
        return TEXT.to_owned();
    }
    let is_variable = bare == name && !bare.contains(|it: char| it.is_ascii_lowercase());
    let shown = if is_secret(name) {
        SECRET.to_owned()
    } else if is_variable {
        TEXT.to_owned()
    } else if text.is_empty() {
        String::new()
    } else {
        masked(text)
    };
    format!("{}={shown}", runs(name))
}

/// `-x`, `-xyz`, `--word`, and `-xVALUE`.
fn option(word: &str) -> String {
    let is_letters = |it: &str| it.chars().all(|it| it.is_ascii_alphabetic() || "-_".contains(it));
    let said = word.get(2..).unwrap_or_default();
    let is_number = word[1..].starts_with(|it: char| it.is_ascii_digit());
    if word.starts_with("--") || is_number || is_letters(said) {
        return runs(word);
    }
    format!("{}{}", runs(&word[..2]), value(said))
}

/// An argument that is no option, or the value of one.
fn value(text: &str) -> String {
    if let Some((scheme, rest)) = text.split_once("://") {
        return url(scheme, rest);
    }
    if let Some(file) = text.strip_prefix('@') {
        return format!("@{}", value(file));
    }
    if let Some(host) = host(text) {
        return host.to_owned();
    }
    if text.contains('/') {
        return path(text);
    }
    let list = text.split(',').map(name).collect::<Vec<_>>();
    match list.as_slice() {
        [first, rest @ ..] if first.contains('<') && rest.iter().all(|it| it == first) => {
            first.clone()
        }
        _ => list.join(","),
    }
}

/// Which scheme it has, and whether it leads to the container itself: whom a service speaks to is
/// known of its connections.
fn url(scheme: &str, rest: &str) -> String {
    let is_scheme = !scheme.is_empty() && scheme.bytes().all(|it| it.is_ascii_alphanumeric());
    if !is_scheme {
        return TEXT.to_owned();
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    let scheme = runs(scheme);
    let here = if authority.is_empty() || is_local(host) { ":local" } else { "" };
    format!("<url:{scheme}{here}>")
}

/// The mask of an address, and of a name that a port, a user or two dots tell from other words.
fn host(text: &str) -> Option<&'static str> {
    let (before, port) = text.rsplit_once(':').unwrap_or((text, ""));
    let has_port = !port.is_empty() && port.bytes().all(|it| it.is_ascii_digit());
    let is_label = |it: &str| {
        !it.is_empty()
            && it.bytes().all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'-')
    };
    let is_name =
        |it: &str| it.split('.').all(is_label) && it.contains(|it: char| it.is_ascii_lowercase());
    let address = text.split_once('/').map_or(text, |(address, _)| address);
    let is_address = |it: &str| it.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
    let has_dots = is_name(text)
        && text.matches('.').count() >= 2
        && text.rsplit('.').next().is_some_and(|it| it.bytes().all(|it| it.is_ascii_lowercase()));
    let is_host = text == "localhost"
        || is_address(address)
        || has_port && (is_name(before) || is_address(before))
        || has_dots
        || text.contains('@') && !text.contains('/');
    is_host.then(|| if is_local(text) { LOCAL } else { HOST })
}

/// Whether a host, with or without its port, is the container itself.
fn is_local(host: &str) -> bool {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    [host, name].iter().any(|it| {
        let it = it.trim_matches(['[', ']']);
        it == "localhost" || it.parse::<IpAddr>().is_ok_and(|it| it.to_canonical().is_loopback())
    })
}

/// A path name by name.
fn path(text: &str) -> String {
    if text.split('/').any(|it| it == "..") {
        return format!("{PATH}..>");
    }
    let is_below = |dir: &&&str| text.strip_prefix(**dir).is_some_and(|it| it.starts_with('/'));
    if let Some(dir) = SCRATCH.iter().find(is_below) {
        return format!("{PATH}{dir}>");
    }
    let names = text.split('/').map(name).collect::<Vec<_>>();
    if names.len() > MOST_NAMES {
        return format!("{PATH}{}>", names[..3].join("/"));
    }
    names.join("/")
}

/// A word, or a name of a path.
fn name(text: &str) -> String {
    let has = |is: fn(&u8) -> bool| text.bytes().filter(is).count();
    let is_token = text.bytes().all(|it| it.is_ascii_alphanumeric() || b"+=_-".contains(&it));
    let (digits, capitals, small) =
        (has(u8::is_ascii_digit), has(u8::is_ascii_uppercase), has(u8::is_ascii_lowercase));
    let is_long = text.len() >= LONG_TOKEN && digits > 2 && capitals > 0 && small > 0;
    let is_mixed = text.len() >= LONG_MIXED && capitals > 2 && small > 2 && !text.contains('-');
    if is_token && (is_long || is_mixed) { ID.to_owned() } else { runs(text) }
}

/// A text without the numbers, dates and identifiers in it.
pub fn runs(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    tokens(text, &mut |token| match token {
        Token::Masked(_, Mask::Uuid) => out.push_str("<uuid>"),
        Token::Masked(_, Mask::Date) => out.push_str("<date>"),
        // An ending may hold a digit too, as `mp3`.
        Token::Masked(run, Mask::Number | Mask::Identifier)
        | Token::Varying(run, _)
        | Token::Literal(run) => push_run(&mut out, run),
    });
    out
}

/// Letters and digits: numbers in words are masked, and what looks random is as a whole.
fn push_run(out: &mut String, run: &str) {
    let has = |is: fn(&u8) -> bool| run.bytes().any(|it| is(&it));
    let (has_digit, has_letter) = (has(u8::is_ascii_digit), has(u8::is_ascii_alphabetic));
    if !has_digit {
        out.push_str(run);
        return;
    }
    if !has_letter {
        out.push_str(if run.len() >= LONG_NUMBER { ID } else { INT });
        return;
    }
    let has_both_cases = has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase);
    let is_hex = Charset::of(run) == Charset::Hex;
    let mut turns = 0;
    let mut was_digit = None;
    for byte in run.bytes() {
        let is_digit = byte.is_ascii_digit();
        turns += usize::from(was_digit != Some(is_digit));
        was_digit = Some(is_digit);
    }
    if turns > MOST_TURNS || run.len() >= SHORT_RANDOM && (has_both_cases || is_hex) {
        out.push_str(ID);
        return;
    }
    let mut is_number = false;
    for it in run.chars() {
        if !it.is_ascii_digit() {
            out.push(it);
        } else if !is_number {
            out.push_str(INT);
        }
        is_number = it.is_ascii_digit();
    }
}
