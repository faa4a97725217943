//! Where a file of a container comes from, found in the layers of its overlay from user space.
//!
//! A container writes its upper layer as it likes, and it may do so while this code looks. So
//! nothing here follows a symbolic link, leaves a layer, opens what is no regular file, or trusts a
//! time that a container could have set.

mod content;
pub mod file;
pub mod filesystem;
mod identity;
pub mod image;
mod lookup;
mod mounted;
pub mod script;

use std::{collections::HashMap, io, os::fd::AsFd, path::PathBuf};

use anyhow::Context as _;
use plimsoll_ebpf::layer::code;
use rustix::fs::Statx;

use crate::clock;
use content::Comparison;
use identity::Identity;
use image::Image;
use lookup::{Found, Place};

/// Bytes of a file that are compared with the image's; a longer one is not judged. Some programs
/// of images have 200 MB, and a change of owner copies them up.
const MOST_COMPARED_BYTES: u64 = 512 << 20;

/// Files whose provenance is kept.
const MOST_KNOWN: usize = 4096;

/// How old a file's last change must be for its provenance to be kept. Kernels before 6.13 stamp
/// changes by their tick, so that two within one look like one.
const SETTLED_NS: u64 = 1_000_000_000;
/// The same where nobody waits for a file to be written out: the kernel does that by itself within half
/// a minute (`vm.dirty_expire_centisecs`), and stamps the next change.
const WRITTEN_OUT_NS: u64 = 120_000_000_000;

/// How often a file is compared that changes meanwhile.
const TRIES: u32 = 3;

/// What the kernel puts behind the path of a file that was unlinked.
const DELETED: &[u8] = b" (deleted)";

/// The directories of a container's overlay, on the host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layers {
    /// What the container wrote.
    pub upper: PathBuf,
    /// The image's layers, the topmost first.
    pub lowers: Vec<PathBuf>,
    /// Where the overlay is mounted while the container runs.
    pub merged: PathBuf,
}

impl Layers {
    /// Makes sure that every layer is there.
    ///
    /// # Errors
    /// With the one that cannot be opened.
    pub fn check(&self) -> anyhow::Result<()> {
        for layer in std::iter::once(&self.upper).chain(&self.lowers) {
            lookup::open(layer)
                .with_context(|| format!("opening the layer {}", layer.display()))?;
        }
        Ok(())
    }
}

/// Where a file comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provenance {
    /// From the image, untouched.
    Image,
    /// Written in the container, under a name that the image does not have.
    New,
    /// Written in the container, under a name that the image has too.
    CopiedUp {
        /// Whether its content is another than the image's; owner, mode and times do not count.
        is_changed: bool,
    },
    /// No layer has a regular file of that name.
    Gone,
    /// It could not be told, for this reason.
    Unknown(&'static str),
}

impl Provenance {
    /// Its [`code`], and whether an image file has another content.
    pub fn layer(self) -> Layer {
        let of = |code, is_changed| Layer { code, is_changed };
        match self {
            Self::Image => of(code::IMAGE, false),
            Self::New | Self::Gone => of(code::UPPER, false),
            Self::CopiedUp { is_changed } => of(code::COPIED_UP, is_changed),
            Self::Unknown(_) => of(code::UNKNOWN, false),
        }
    }
}

/// A layer as the rules judge it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layer {
    /// One of [`code`].
    pub code: u8,
    /// Whether an image file that was copied up has another content.
    pub is_changed: bool,
}

/// A container's overlay, and what was found out of its files.
#[derive(Debug)]
pub struct Overlay {
    layers: Layers,
    most_compared_bytes: u64,
    /// Whether files may be written out first, for what is found to be kept.
    may_wait: bool,
    comparisons: u32,
    known: HashMap<Identity, Provenance>,
}

impl Overlay {
    /// The overlay of these layers, which need not be there yet.
    pub fn new(layers: Layers) -> Self {
        Self {
            layers,
            most_compared_bytes: MOST_COMPARED_BYTES,
            may_wait: true,
            comparisons: 0,
            known: HashMap::new(),
        }
    }

    /// The same, judging only files of at most this many bytes, and never waiting for one to be
    /// written out: how long that takes, its container has in its hands.
    #[must_use]
    pub fn comparing_at_most(self, bytes: u64) -> Self {
        Self { most_compared_bytes: bytes, may_wait: false, ..self }
    }

    /// Files whose bytes were compared since the last call.
    pub fn take_comparisons(&mut self) -> u32 {
        std::mem::take(&mut self.comparisons)
    }

    /// Where the file comes from that has this path in the container.
    pub fn provenance(&mut self, path: &[u8]) -> Provenance {
        let Ok(place) = lookup::find(&self.layers, path) else {
            return Provenance::Unknown("a layer could not be read");
        };
        let Some(upper) = &place.upper else { return lower_alone(&place) };
        if upper.has_its_content_below && place.lower.is_some() {
            return Provenance::CopiedUp { is_changed: false };
        }
        self.judge(&upper.file, &place, path)
    }

    /// Where an open file comes from. `path` is what the kernel calls it, in the container; it need
    /// not be right, for names change: what it leads to counts only if it is the same file or has
    /// the same content.
    pub fn provenance_of(&mut self, file: impl AsFd, path: &[u8]) -> Provenance {
        if let Some(known) = file::look(&file).ok().and_then(|told| self.known(&told)) {
            return known;
        }
        match lookup::find(&self.layers, path) {
            Ok(place) => self.judge(file, &place, path),
            Err(_) => Provenance::Unknown("a layer could not be read"),
        }
    }

    /// Whether the image has a regular file at a path, whatever the container made of it.
    ///
    /// # Errors
    /// When a layer cannot be read.
    pub fn image_has(&self, path: &[u8]) -> io::Result<bool> {
        Image::open(&self.layers)?.has_file(path)
    }

    /// What was found out before of the file that the kernel tells this of.
    pub fn known(&self, told: &Statx) -> Option<Provenance> {
        self.known.get(&Identity::from(told)).copied()
    }

    fn judge(&mut self, file: impl AsFd, place: &Place, path: &[u8]) -> Provenance {
        let Ok(identity) = Identity::of(&file) else {
            return Provenance::Unknown("the file could not be looked at");
        };
        match (&place.upper, &place.lower) {
            (None, None) => self.unlinked(identity, path),
            (Some(_), None) => Provenance::New,
            (None, Some(lower)) if lower.identity.is_seen_as(&identity) => {
                self.keep(identity, Provenance::Image)
            }
            // Without an upper file too: an overlay may number its files anew, and a mount may hide
            // the file that has the name.
            (_, Some(lower)) => self.compared(file, lower),
        }
    }

    /// Of a file that no layer has under its name: it may be the image's, removed in the container
    /// and still held open by somebody.
    fn unlinked(&mut self, identity: Identity, path: &[u8]) -> Provenance {
        let Some(name) = path.strip_suffix(DELETED) else { return Provenance::Gone };
        match lookup::find_in_image(&self.layers, name) {
            Ok(Some(lower)) if lower.identity.is_seen_as(&identity) => {
                self.keep(identity, Provenance::Image)
            }
            Ok(_) => Provenance::Gone,
            Err(_) => Provenance::Unknown("a layer could not be read"),
        }
    }

    /// Of a file and the image's file of its name, by their contents.
    fn compared(&mut self, file: impl AsFd, lower: &Found) -> Provenance {
        for _ in 0..TRIES {
            let limit = self.most_compared_bytes;
            let (is_clean, settled_ns) = match content::compare_lengths(&file, &lower.file, limit) {
                // Pages that are dirty in a mapping change without a new time; once written out, the
                // next change stamps the file.
                Ok(Ok(_)) => {
                    self.comparisons += 1;
                    if self.may_wait {
                        (rustix::fs::fdatasync(&file).is_ok(), SETTLED_NS)
                    } else {
                        (true, WRITTEN_OUT_NS)
                    }
                }
                // No mapping changes a length.
                _ => (true, SETTLED_NS),
            };
            let Ok(before) = Identity::of(&file) else { break };
            let is_settled = is_clean && before.age_ns(clock::now_ns()) > settled_ns;
            let is_changed = match content::compare(&file, &lower.file, limit) {
                Ok(Comparison::Same) => false,
                Ok(Comparison::Different) => true,
                Ok(Comparison::TooLong) => return Provenance::Unknown("the file is too long"),
                Err(_) => return Provenance::Unknown("the file could not be read"),
            };
            if Identity::of(&file).is_ok_and(|after| after == before) {
                let provenance = Provenance::CopiedUp { is_changed };
                return if is_settled { self.keep(before, provenance) } else { provenance };
            }
        }
        // Who keeps a program from holding still has no business to run it.
        Provenance::CopiedUp { is_changed: true }
    }

    fn keep(&mut self, identity: Identity, provenance: Provenance) -> Provenance {
        if self.known.len() >= MOST_KNOWN {
            // Each is found out again when it is asked for.
            self.known.clear();
        }
        self.known.insert(identity, provenance);
        provenance
    }
}

/// Of a path that the upper layer does not have.
fn lower_alone(place: &Place) -> Provenance {
    if place.lower.is_some() { Provenance::Image } else { Provenance::Gone }
}

#[cfg(test)]
mod tests;
