//! The larger image: a real server with its shared libraries, a shell, and commands that are files.

use std::{fs, os::unix::fs::symlink, path::Path};

use anyhow::{Context, Result};

use super::{packages, rootfs};

const PACKAGES: &[&str] = &["nginx", "nginx-common", "dash", "coreutils"];

pub(super) fn prepare(context: &Path) -> Result<()> {
    let root = context.join("rootfs");
    rootfs::skeleton(&root)?;
    rootfs::merge_usr(&root)?;
    packages::unpack(PACKAGES, &root)?;
    // The packages leave these to their installation.
    for directory in ["var/log/nginx", "var/lib/nginx"] {
        fs::create_dir_all(root.join(directory))
            .with_context(|| format!("creating {directory}"))?;
    }
    let shell = root.join("usr/bin/sh");
    if !shell.exists() {
        symlink("dash", &shell).context("linking sh")?;
    }
    Ok(())
}
