//! Which layer has a file, by the rules of overlayfs
//! (<https://docs.kernel.org/filesystems/overlayfs.html>): whiteouts, opaque and renamed
//! directories.

use std::{
    fs::File,
    io,
    os::fd::{AsFd, OwnedFd},
    path::Path,
};

use rustix::{
    fs::{CWD, Mode, OFlags, ResolveFlags, fgetxattr, openat, openat2},
    io::Errno,
};

use super::{
    Layers,
    file::{is_regular, look, reopen},
    identity::Identity,
};

/// Set by overlayfs alone: a container cannot reach its `trusted.overlay.*`.
pub(super) const OPAQUE: &str = "trusted.overlay.opaque";
const REDIRECT: &str = "trusted.overlay.redirect";
const METACOPY: &str = "trusted.overlay.metacopy";

/// Longest value of [`REDIRECT`], a path.
const LONGEST_BYTES: usize = 4096;

/// Never out of the layer, through a link, or into what is mounted there.
pub(super) const WITHIN: ResolveFlags = ResolveFlags::BENEATH
    .union(ResolveFlags::NO_SYMLINKS)
    .union(ResolveFlags::NO_MAGICLINKS)
    .union(ResolveFlags::NO_XDEV);

/// Where a container's file lies.
#[derive(Debug)]
pub(super) struct Place {
    /// What the container sees, where it lies in its upper layer.
    pub upper: Option<Found>,
    /// The image's file of that name.
    pub lower: Option<Found>,
}

/// A regular file of a layer.
#[derive(Debug)]
pub(super) struct Found {
    /// Open for reading.
    pub file: File,
    /// Which file, and its state.
    pub identity: Identity,
    /// Whether only its metadata was copied up.
    pub has_its_content_below: bool,
}

/// What a layer tells of a path.
#[derive(Default)]
struct Sight {
    file: Option<Found>,
    /// The path by which the layers below know it; `None` where this layer hides them.
    below: Option<Vec<u8>>,
}

/// Finds the file that has this path in the container.
///
/// # Errors
/// When a layer cannot be read.
pub(super) fn find(layers: &Layers, path: &[u8]) -> io::Result<Place> {
    let Sight { file: upper, below } = sight(&layers.upper, path)?;
    let lower = below.map_or(Ok(None), |path| find_in_image(layers, &path))?;
    Ok(Place { upper, lower })
}

/// Finds the image's file of this path, whatever the container made of it.
///
/// # Errors
/// When a layer cannot be read.
pub(super) fn find_in_image(layers: &Layers, path: &[u8]) -> io::Result<Option<Found>> {
    let mut path = path.to_vec();
    for layer in &layers.lowers {
        let sight = sight(layer, &path)?;
        match (sight.file, sight.below) {
            (Some(found), _) => return Ok(Some(found)),
            (None, Some(below)) => path = below,
            (None, None) => break,
        }
    }
    Ok(None)
}

/// Opens a layer's directory, as a mere place.
pub(super) fn open(layer: &Path) -> Result<OwnedFd, Errno> {
    openat(CWD, layer, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

/// Looks for a path in one layer.
fn sight(layer: &Path, path: &[u8]) -> io::Result<Sight> {
    let names = path.split(|&byte| byte == b'/').filter(|it| !matches!(*it, b"" | b"."));
    let names: Vec<&[u8]> = names.collect();
    let Some((last, above)) = names.split_last() else { return Ok(Sight::default()) };
    let mut directory = open(layer)?;
    let mut below = Some(Vec::new());
    for (depth, name) in above.iter().enumerate() {
        directory = match enter(&directory, name) {
            Ok(inner) => inner,
            Err(Errno::NOENT) => {
                let rest = names[depth..].join(&b'/');
                return Ok(Sight { file: None, below: below.map(|it| joined(&it, &rest)) });
            }
            // A whiteout, or a file where the layers below may have a directory.
            Err(Errno::NOTDIR | Errno::LOOP) => return Ok(Sight::default()),
            Err(error) => return Err(error.into()),
        };
        let before = attribute(&directory, REDIRECT)?;
        below = below.map(|it| known_as(&it, name, before));
        if attribute(&directory, OPAQUE)?.is_some_and(|it| it == b"y") {
            below = None;
        }
    }
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let place = match openat2(&directory, *last, flags, Mode::empty(), WITHIN) {
        Ok(place) => place,
        Err(Errno::NOENT) => {
            return Ok(Sight { file: None, below: below.map(|it| joined(&it, last)) });
        }
        Err(error) => return Err(error.into()),
    };
    let told = look(&place)?;
    if !is_regular(&told) {
        return Ok(Sight::default());
    }
    let file = reopen(&place)?;
    let has_its_content_below = attribute(&file, METACOPY)?.is_some();
    let before = if has_its_content_below { attribute(&file, REDIRECT)? } else { None };
    let below = below.map(|it| known_as(&it, last, before));
    let identity = Identity::from(&told);
    Ok(Sight { file: Some(Found { file, identity, has_its_content_below }), below })
}

/// Opens a directory within one. To open a directory for reading has no side effects.
pub(super) fn enter(directory: &OwnedFd, name: &[u8]) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat2(directory, name, flags, Mode::empty(), WITHIN)
}

/// An extended attribute; `None` where there is none, or the file system knows of none.
pub(super) fn attribute(file: impl AsFd, name: &str) -> io::Result<Option<Vec<u8>>> {
    let mut value = [0; LONGEST_BYTES];
    match fgetxattr(file, name, &mut value[..]) {
        Ok(length) => Ok(Some(value[..length].to_vec())),
        Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn joined(directory: &[u8], name: &[u8]) -> Vec<u8> {
    [directory, b"/", name].concat()
}

/// The path in the layers below of what has this name here. `before` is what [`REDIRECT`] notes of
/// something that was renamed: a path from the root, or a name in the same directory.
fn known_as(directory: &[u8], name: &[u8], before: Option<Vec<u8>>) -> Vec<u8> {
    match before {
        Some(path) if path.starts_with(b"/") => path,
        Some(name) => joined(directory, &name),
        None => joined(directory, name),
    }
}
