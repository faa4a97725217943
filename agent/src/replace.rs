//! Replaces a file as a whole, so that a crash leaves the old or the new one.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

/// Writes a file of these parts, one after the other, for its owner alone. It is written beside its
/// place, with `.new` behind its name, and is there once this returns, whatever becomes of the host.
///
/// # Errors
/// Those of the file system; the old file is left as it was.
pub fn replace(path: &Path, parts: &[&[u8]]) -> io::Result<()> {
    let mut draft = path.as_os_str().to_owned();
    draft.push(".new");
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    for part in parts {
        file.write_all(part)?;
    }
    file.sync_all()?;
    fs::rename(&draft, path)?;
    File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
}
