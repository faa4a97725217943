//! What one word of a template takes in, and the word that takes in two.

use super::{
    mask::{self, HOST, ID, INT, LOCAL, PATH, SECRET, TEXT, WORD},
    vector::{CUT, MORE, NONE},
};
use crate::baseline::shield;

/// Directories of the kernel, of which one file says nothing of another.
const UNALIKE: [&str; 3] = ["/proc", "/sys", "/dev"];

/// What a word is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind<'a> {
    /// An option, a URL, the commands of a program, or a mark: only itself.
    Fixed,
    /// `name=value`.
    Assigned(&'a str, &'a str),
    /// A path, or a mask of some.
    Path(&'a str),
    /// Any other word.
    Plain,
}

fn kind(word: &str) -> Kind<'_> {
    if matches!(word, MORE | CUT | NONE) || word.starts_with('{') || word.starts_with("<url:") {
        return Kind::Fixed;
    }
    if let Some(dir) = word.strip_prefix(PATH).and_then(|it| it.strip_suffix('>')) {
        return Kind::Path(dir);
    }
    if let Some((name, value)) = word.split_once('=') {
        return Kind::Assigned(name, value);
    }
    if word.starts_with(['-', '+', '@']) {
        return Kind::Fixed;
    }
    if word.contains('/') { Kind::Path(word) } else { Kind::Plain }
}

/// Whether a word says something: nothing in it varies.
pub fn is_said(word: &str) -> bool {
    !word.contains('<')
}

/// Whether a word is a path.
pub fn is_path(word: &str) -> bool {
    matches!(kind(word), Kind::Path(_))
}

/// Whether two words are the same, but that an identifier happens to be a number.
pub fn is_same(a: &str, b: &str) -> bool {
    a == b || a.contains('<') && as_ids(a) == as_ids(b)
}

fn as_ids(word: &str) -> String {
    word.replace(INT, ID)
}

/// Whether a word of a template takes in a word.
pub fn covers(template: &str, word: &str) -> bool {
    if template == word || template == as_ids(word) && template.contains('<') {
        return true;
    }
    match (kind(template), kind(word)) {
        (Kind::Assigned(a, of), Kind::Assigned(b, it)) => a == b && covers(of, it),
        (Kind::Path(dir), Kind::Path(path)) => {
            let is_mask = template.starts_with(PATH);
            let below =
                path.strip_prefix(dir).is_some_and(|it| it.is_empty() || it.starts_with('/'));
            let is_itself = path == dir && !word.starts_with(PATH);
            is_mask && below && !is_itself && !is_shielded(path)
        }
        (Kind::Plain, Kind::Plain) => match template {
            TEXT => true,
            WORD => !matches!(word, TEXT | SECRET),
            ID => is_number(word),
            _ => false,
        },
        _ => false,
    }
}

/// The word that takes in both; `None` where there is none that is narrow enough.
pub fn joined(a: &str, b: &str) -> Option<String> {
    if a == b {
        return Some(a.to_owned());
    }
    if is_same(a, b) {
        return Some(as_ids(a));
    }
    match (kind(a), kind(b)) {
        (Kind::Assigned(name, of), Kind::Assigned(other, it)) if name == other => {
            joined(of, it).map(|value| format!("{name}={value}"))
        }
        (Kind::Path(one), Kind::Path(other)) => {
            let dir = common(directory(a, one), directory(b, other))?;
            let is_alike = !UNALIKE.contains(&dir) && !is_shielded(one) && !is_shielded(other);
            is_alike.then(|| format!("{PATH}{dir}>"))
        }
        (Kind::Plain, Kind::Plain) => {
            let is_text = |it: &str| matches!(it, TEXT | SECRET);
            let mask = if is_text(a) || is_text(b) {
                TEXT
            } else if is_number(a) && is_number(b) {
                ID
            } else {
                WORD
            };
            Some(mask.to_owned())
        }
        _ => None,
    }
}

fn is_number(word: &str) -> bool {
    matches!(word, INT | ID | "<uuid>" | "<date>")
}

/// Whether a path is one that no mask takes in: others run or obey what lies there.
fn is_shielded(path: &str) -> bool {
    path.split('/').any(|it| it == "..") || shield::is_shielded(path, 0)
}

/// Of a mask its directory, of a path the one that it lies in.
fn directory<'a>(word: &str, path: &'a str) -> &'a str {
    if word.starts_with(PATH) {
        return path;
    }
    path.rsplit_once('/').map_or("", |(dir, _)| dir)
}

/// The directory that both have in common, at least one name deep.
fn common<'a>(a: &'a str, b: &str) -> Option<&'a str> {
    let mut ends = a.match_indices('/').map(|(at, _)| at).chain([a.len()]).collect::<Vec<_>>();
    ends.reverse();
    let is_common =
        |dir: &&str| b == *dir || b.strip_prefix(*dir).is_some_and(|it| it.starts_with('/'));
    let found = ends.into_iter().map(|at| &a[..at]).find(is_common)?;
    (!found.is_empty() && found != "~" && found != ".").then_some(found)
}

/// What is wrong with a word that somebody wrote down.
pub fn fault(word: &str) -> Option<&'static str> {
    if matches!(word, MORE | CUT | NONE) {
        return None;
    }
    if let Some(inner) = word.strip_prefix('{') {
        let is_sound = inner.strip_suffix('}').is_some_and(|it| {
            let is_name = |it: &str| !it.contains('/') && is_said(it) && mask::runs(it) == it;
            let is_inner = |it: &str| is_name(it) || fault_of_value(it).is_none();
            it.is_empty() || it.split(';').all(is_inner)
        });
        return (!is_sound).then_some("commands stand in braces, `{one;other}`");
    }
    match kind(word) {
        Kind::Assigned(name, value) => {
            let value_fault = if value.is_empty() { None } else { fault(value) };
            let is_bare = mask::is_secret(name) && value != SECRET;
            let is_secret = is_bare.then_some("the value of such a name is `<secret>`");
            is_secret.or(fault_of_value(name)).or(value_fault)
        }
        Kind::Fixed | Kind::Path(_) | Kind::Plain => fault_of_value(word),
    }
}

/// The same of a word without a name: as it is masked it stays.
fn fault_of_value(word: &str) -> Option<&'static str> {
    const WHOLE: [&str; 8] = [INT, ID, TEXT, WORD, HOST, LOCAL, SECRET, mask::VARIABLE];
    if WHOLE.contains(&word) {
        return None;
    }
    if let Some(file) = word.strip_prefix('@').filter(|_| word.contains('<')) {
        return fault_of_value(file);
    }
    if let Some((option, value)) = word.split_at_checked(2)
        && option.starts_with('-')
        && option != "--"
        && value.starts_with(['<', '@'])
        && is_stable(option)
    {
        return fault_of_value(value);
    }
    if let Some(dir) = word.strip_prefix(PATH) {
        let is_sound = dir.strip_suffix('>').is_some_and(|dir| {
            let is_wide = dir.trim_matches(['/', '.', '~']).is_empty() || UNALIKE.contains(&dir);
            dir == ".." || !is_wide && !dir.starts_with(PATH) && is_stable(dir)
        });
        return (!is_sound).then_some("a mask of paths is `<path:/directory>`, not of `/`");
    }
    if let Some(scheme) = word.strip_prefix("<url:") {
        let scheme = scheme.strip_suffix(":local>").or_else(|| scheme.strip_suffix('>'));
        let is_sound =
            scheme.is_some_and(|it| !it.is_empty() && is_stable(it) && !it.contains(':'));
        return (!is_sound).then_some("a mask of URLs is `<url:scheme>` or `<url:scheme:local>`");
    }
    (!is_stable(word)).then_some("an argument stands as it is masked")
}

/// Whether masking a word again, with something in place of its masks, leaves it as it is.
fn is_stable(word: &str) -> bool {
    const EXAMPLES: [(&str, &str); 5] = [
        (INT, "7"),
        (ID, "0123456789abcdef0123"),
        ("<uuid>", "0b6a1f6e-7c0a-4e5f-9a54-08f1b3f9b8a1"),
        ("<date>", "2026-01-31"),
        (SECRET, "x"),
    ];
    let example = EXAMPLES.iter().fold(word.to_owned(), |word, (mask, it)| word.replace(mask, it));
    if example.contains(['<', '>']) {
        return false;
    }
    let again = mask::masked(&example);
    // What a mask stands for may be longer, so that the whole looks like something else.
    again == word || example != word && (again == example || mask::runs(&example) == word)
}
