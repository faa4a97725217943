//! Paths as callers gave them, made plain: no `.`, no `..`, no doubled slashes.

use std::borrow::Cow;

use plimsoll_ebpf::{
    catalog::{Record, TailBuilder},
    events::{
        exec::Exec,
        file_change::{FileChange, op},
        file_write::FileWrite,
    },
    layer::code,
    record::{HEADER_BYTES, Header, flags},
};
use zerocopy::IntoBytes as _;

use super::overlay::Layer;

/// Names by which a process reaches its own root directory.
const OWN_ROOTS: [&[&[u8]]; 2] =
    [&[b"proc", b"self", b"root"], &[b"proc", b"thread-self", b"root"]];

/// The path without `.`, `..` and doubled slashes. Symbolic links are not resolved, but for those
/// that lead every process to its own root.
pub fn normalise(path: &[u8]) -> Vec<u8> {
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|&byte| byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                parts.pop();
            }
            name => parts.push(name),
        }
        if path.first() == Some(&b'/') && OWN_ROOTS.contains(&parts.as_slice()) {
            parts.clear();
        }
    }
    let mut plain = Vec::with_capacity(path.len());
    if path.first() == Some(&b'/') {
        plain.push(b'/');
    }
    plain.extend_from_slice(&parts.join(&b'/'));
    plain
}

/// The same, of a path that mostly is so already.
pub(super) fn plain(path: &[u8]) -> Cow<'_, [u8]> {
    if is_plain(path) { path.into() } else { normalise(path).into() }
}

/// The last component of a path.
pub fn base(path: &[u8]) -> &[u8] {
    path.rsplit(|it| *it == b'/').next().unwrap_or(path)
}

/// Whether a path needs no [`normalise`].
fn is_plain(path: &[u8]) -> bool {
    path.first() == Some(&b'/')
        && (path.len() == 1 || path.last() != Some(&b'/'))
        && !path.windows(2).any(|pair| matches!(pair, b"//" | b"/."))
        && !path.starts_with(b"/proc/")
}

/// What was found out about the files of a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Looked {
    /// Where its script lies.
    pub script: Option<Layer>,
    /// Whether its program is the image's with another content.
    pub is_changed: bool,
    /// Whether the file whose metadata was changed is a directory.
    pub is_directory: bool,
    /// Whether the image has a file of the name, of which only the path was known.
    pub is_of_image: bool,
}

/// Rewrites the record into `buffer` where it holds paths as they were given, or where more was
/// found out; the new body lies behind the header there. `None` where nothing needs to change.
pub fn rewrite<'b>(
    record: &Record<'_>,
    looked: Looked,
    buffer: &'b mut Vec<u8>,
) -> Option<(Header, &'b [u8])> {
    let mut tail = TailBuilder::default();
    let body: &[u8];
    let (file_change, file_write, exec);
    if let Some((mut event, old)) = record.read::<FileChange>() {
        let (path, to) = (old.get(event.path), old.get(event.to));
        // A text is no path of this place.
        let is_as_given = event.flags & flags::PATH_AS_GIVEN != 0;
        let is_to_plain = !is_as_given || to.is_empty() || op::has_text(event.op) || is_plain(to);
        let is_path_plain = !is_as_given || is_plain(path);
        if is_path_plain && is_to_plain && !looked.is_directory && !looked.is_of_image {
            return None;
        }
        event.layer = if looked.is_of_image { code::IMAGE } else { event.layer };
        event.flags |= if looked.is_directory { flags::DIRECTORY } else { 0 };
        event.path = if is_path_plain { tail.push(path) } else { tail.push(&normalise(path)) };
        event.to = if is_to_plain { tail.push(to) } else { tail.push(&normalise(to)) };
        file_change = event;
        body = file_change.as_bytes();
    } else if let Some((mut event, old)) = record.read::<FileWrite>() {
        let path = old.get(event.path);
        let is_path_plain = event.flags & flags::PATH_AS_GIVEN == 0 || is_plain(path);
        if is_path_plain && !looked.is_of_image {
            return None;
        }
        event.layer = if looked.is_of_image { code::IMAGE } else { event.layer };
        event.path = if is_path_plain { tail.push(path) } else { tail.push(&normalise(path)) };
        file_write = event;
        body = file_write.as_bytes();
    } else if let Some((mut event, old)) = record.read::<Exec>() {
        let script = old.get(event.script);
        if looked == Looked::default() && (script.is_empty() || is_plain(script)) {
            return None;
        }
        if looked.is_changed {
            event.flags |= flags::CONTENT_CHANGED;
        }
        if let Some(Layer { code, is_changed }) = looked.script {
            event.script_layer = code;
            event.flags |= if is_changed { flags::SCRIPT_CHANGED } else { 0 };
        }
        let whole = if script.is_empty() {
            Vec::new()
        } else if script[0] == b'/' {
            normalise(script)
        } else {
            normalise(&[old.get(event.cwd), b"/", script].concat())
        };
        event.path = tail.push(old.get(event.path));
        event.script = tail.push(&whole);
        event.args = tail.push(old.get(event.args));
        event.cwd = tail.push(old.get(event.cwd));
        exec = event;
        body = exec.as_bytes();
    } else {
        return None;
    }
    let size = HEADER_BYTES + body.len() + tail.bytes().len();
    let header = Header { size: size as u32, ..record.header };
    buffer.clear();
    buffer.extend_from_slice(header.as_bytes());
    buffer.extend_from_slice(body);
    buffer.extend_from_slice(tail.bytes());
    Some((header, &buffer[HEADER_BYTES..]))
}

#[cfg(test)]
mod tests {
    use plimsoll_ebpf::{catalog::encode, layer::code};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn dots_and_slashes_go() {
        assert_eq!(normalise(b"/a/./b/../../c//d/"), b"/c/d");
        assert_eq!(normalise(b"/../../etc"), b"/etc");
        assert_eq!(normalise(b"/"), b"/");
        assert_eq!(normalise(b"/proc/./self/root/usr/bin/evil"), b"/usr/bin/evil");
        assert_eq!(normalise(b"/proc/self/rootless"), b"/proc/self/rootless");
    }

    #[test]
    fn a_relative_script_is_told_with_its_directory() {
        let mut tail = TailBuilder::default();
        let event = Exec {
            path: tail.push(b"/bin/sh"),
            script: tail.push(b"./run.sh"),
            cwd: tail.push(b"/srv/app"),
            ..Exec::default()
        };
        let bytes = encode(Header::default(), event, tail.bytes());
        let record = Record::decode(&bytes).expect("decodes");
        let mut buffer = Vec::new();
        let script = Some(Layer { code: code::TMPFS, is_changed: false });
        let looked = Looked { script, ..Looked::default() };
        let (header, body) = rewrite(&record, looked, &mut buffer).expect("changes");
        let record = Record::from_parts(header, body).expect("decodes");
        let (event, tail) = record.read::<Exec>().expect("an exec");
        assert_eq!(tail.get(event.script), b"/srv/app/run.sh");
        assert_eq!(tail.get(event.path), b"/bin/sh");
        assert_eq!(event.script_layer, code::TMPFS);
    }

    #[test]
    fn a_directory_whose_mode_is_changed_is_told_as_one() {
        let mut tail = TailBuilder::default();
        let event =
            FileChange { path: tail.push(b"/run/db"), op: op::CHMOD, ..FileChange::default() };
        let bytes = encode(Header::default(), event, tail.bytes());
        let record = Record::decode(&bytes).expect("decodes");
        let mut buffer = Vec::new();
        assert!(rewrite(&record, Looked::default(), &mut buffer).is_none());
        let looked = Looked { is_directory: true, ..Looked::default() };
        let (header, body) = rewrite(&record, looked, &mut buffer).expect("changes");
        let record = Record::from_parts(header, body).expect("decodes");
        let (event, tail) = record.read::<FileChange>().expect("a change");
        assert_eq!((event.flags, tail.get(event.path)), (flags::DIRECTORY, &b"/run/db"[..]));
    }

    proptest! {
        #[test]
        fn normalising_twice_changes_nothing(path in "(/|\\.|a|b|\u{e9}){0,40}") {
            let path = format!("/{path}");
            let once = normalise(path.as_bytes());
            prop_assert_eq!(&normalise(&once), &once);
            prop_assert!(!is_plain(path.as_bytes()) || path.as_bytes() == once);
        }
    }
}
