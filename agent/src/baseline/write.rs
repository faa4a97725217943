//! Writes as behaviours: who changes files how and where, at which path.

use std::sync::Arc;

use plimsoll_ebpf::{events::file_change::op, layer::code};

use super::{
    behaviour::{Behaviour, Learning, Scratch},
    dimension::Dimension,
    program, shield,
};
use crate::attribution::{container::Container, process::Process};

/// The classes of changes.
pub(super) const CLASSES: [&str; 5] = ["write", "move", "remove", "attribute", "node"];
/// The kinds of places.
pub(super) const PLACES: [&str; 5] = ["root", "tmpfs", "volume", "proc", "sys"];

/// A change of a file.
pub(super) struct Write<'a> {
    /// The class of what was done.
    pub(super) op: &'static str,
    /// The file, or its new name.
    pub(super) path: &'a [u8],
    /// Whether all of the path is known.
    pub(super) is_whole: bool,
    /// Code of the layer it lies in.
    pub(super) layer: u8,
    /// Its permission bits, where it was made; else 0.
    pub(super) created_mode: u32,
}

/// The class of a change: what is made and what is written are one.
pub(super) const fn class_of(change: u8) -> &'static str {
    match change {
        op::RENAME | op::LINK | op::SYMLINK => "move",
        op::UNLINK | op::RMDIR => "remove",
        op::CHMOD | op::CHOWN | op::SET_XATTR | op::REMOVE_XATTR => "attribute",
        op::MKNOD => "node",
        _ => "write",
    }
}

/// The scope of putting files where the one of this scope removes them, by the same program.
pub(super) fn scope_of_moving(scope: &str) -> Option<String> {
    let (rest, place) = scope.rsplit_once(' ')?;
    let writer = rest.strip_suffix(" remove")?;
    Some(format!("{writer} move {place}"))
}

/// What lies in memory without a name is no place; what is on another file system is.
const fn place_of(layer: u8) -> Option<&'static str> {
    match layer {
        code::MEMFD => None,
        code::TMPFS => Some("tmpfs"),
        code::VOLUME | code::BIND | code::MOUNT => Some("volume"),
        code::PROC => Some("proc"),
        code::SYS => Some("sys"),
        _ => Some("root"),
    }
}

/// Hands the behaviour of a change to `take`.
pub(super) fn of_write(
    act: &Write<'_>,
    container: &Container,
    process: Option<&Arc<Process>>,
    scratch: &mut Scratch,
    take: &mut dyn FnMut(Behaviour<'_>) -> bool,
) {
    let Scratch { scope, key, object, .. } = scratch;
    let Some(place) = place_of(act.layer) else { return };
    let path = String::from_utf8_lossy(act.path);
    if !path.starts_with('/') {
        return;
    }
    match process {
        Some(process) => program::push_name(scope, &process.exe, &process.args),
        None => scope.push_str("(unknown)"),
    }
    for part in [act.op, place] {
        scope.push(' ');
        scope.push_str(part);
    }
    push_path(key, &path, act.layer, &container.id);
    object.push_str(&path);
    let learning = if !act.is_whole {
        Learning::Never
    } else if act.op != "remove" && shield::is_shielded(&path, act.created_mode) {
        Learning::Shielded
    } else if shield::is_of_image(act.layer) {
        Learning::AsItIs
    } else {
        Learning::AsTemplate
    };
    let dimension = Dimension::Write;
    take(Behaviour { dimension, scope, key, learning, object, layer: act.layer });
}

/// A path without what names its container or a process.
fn push_path(out: &mut String, path: &str, layer: u8, container: &str) {
    const SHORT_ID: usize = 12;
    if layer == code::PROC {
        for name in path.split('/').skip(1) {
            let is_process = !name.is_empty() && name.bytes().all(|it| it.is_ascii_digit());
            out.push('/');
            out.push_str(if is_process { "self" } else { name });
        }
        return;
    }
    match container.get(..SHORT_ID).filter(|id| path.contains(id)) {
        Some(id) => {
            out.push_str(&path.replace(container, "(container)").replace(id, "(container)"));
        }
        None => out.push_str(path),
    }
}
