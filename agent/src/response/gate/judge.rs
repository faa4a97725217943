//! Whether a file of a container may be run.

use std::{
    collections::HashMap,
    os::fd::AsFd,
    sync::{Arc, Mutex, PoisonError},
};

use plimsoll_ebpf::{
    record::flags,
    rules::{self, Rule},
};
use rustix::io::pread;

use super::{Allows, group::Merged};
use crate::attribution::overlay::{
    Layer, Overlay, Provenance,
    file::{look, name},
};

/// Layer codes of the guarded mounts of a container, by the number of the mount.
pub(super) type Mounts = Arc<Mutex<HashMap<u64, u8>>>;

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It breaks no rule, or an exception allows it.
    Allowed,
    /// Nobody can tell; it is let pass.
    Untold,
    /// It breaks this rule; the path in the container.
    Denied(Rule, Vec<u8>),
}

/// Judges the files of one container.
pub(super) struct Judge {
    overlay: Overlay,
    allows: Allows,
    mounts: Mounts,
    /// Number and path of the mount on the host, where the container's files have longer names.
    on_host: (u64, Vec<u8>),
}

impl Judge {
    pub(super) fn new(overlay: Overlay, allows: Allows, merged: &Merged) -> Self {
        let on_host = (merged.mount, merged.path.clone());
        Self { overlay, allows, mounts: Mounts::default(), on_host }
    }

    /// The guarded mounts, of which the thread that marks them tells.
    pub(super) fn mounts(&self) -> Mounts {
        Arc::clone(&self.mounts)
    }

    /// Judges an open file.
    ///
    /// In doubt it is let pass: where the kernel does not tell what it is, where a layer of the
    /// overlay cannot be read, and where it is too long to be compared. None of these a container
    /// can bring about. What a container could, counts as drift: a path that is too long to be told,
    /// a name that leads to no file, a content that does not hold still.
    pub(super) fn judge(&mut self, file: impl AsFd) -> Verdict {
        let Ok(told) = look(&file) else { return Verdict::Untold };
        let mount = {
            let mounts = self.mounts.lock().unwrap_or_else(PoisonError::into_inner);
            mounts.get(&told.stx_mnt_id).copied()
        };
        if let Some(code) = mount {
            let path = name(&file).unwrap_or_default();
            return self.by_rules(&file, Layer { code, is_changed: false }, 0, path);
        }
        // The usual case, and the one that has to be quick.
        let known = self.overlay.known(&told);
        if known.is_some_and(is_as_in_the_image) {
            return Verdict::Allowed;
        }
        let path = name(&file).map(|path| self.in_container(told.stx_mnt_id, path));
        let provenance = match &path {
            Ok(path) => self.overlay.provenance_of(&file, path),
            Err(_) => Provenance::Gone,
        };
        if matches!(provenance, Provenance::Unknown(_)) {
            return Verdict::Untold;
        }
        let has_no_name = provenance == Provenance::Gone && path.is_ok();
        let bits = if has_no_name { flags::UNLINKED } else { 0 };
        self.by_rules(&file, provenance.layer(), bits, path.unwrap_or_default())
    }

    fn by_rules(&self, file: impl AsFd, layer: Layer, bits: u32, path: Vec<u8>) -> Verdict {
        let broken = if is_script(file) { rules::of_script } else { rules::of_program };
        match broken(layer.code, bits, layer.is_changed) {
            Some(rule) if !(self.allows)(rule, &path) => Verdict::Denied(rule, path),
            _ => Verdict::Allowed,
        }
    }

    /// The path in the container of what the kernel calls so. Who runs a file from outside, as a
    /// container runtime may, does so through the mount on the host.
    fn in_container(&self, mount: u64, path: Vec<u8>) -> Vec<u8> {
        let (on_host, directory) = &self.on_host;
        match path.strip_prefix(&directory[..]) {
            // By the mount too: a container may have directories of that name.
            Some(rest) if mount == *on_host => rest.to_vec(),
            _ => path,
        }
    }
}

fn is_as_in_the_image(provenance: Provenance) -> bool {
    matches!(provenance, Provenance::Image | Provenance::CopiedUp { is_changed: false })
}

/// Whether the kernel runs an interpreter for it.
fn is_script(file: impl AsFd) -> bool {
    let mut start = [0; 2];
    matches!(pread(file, &mut start, 0), Ok(2)) && start == *b"#!"
}
