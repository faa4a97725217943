//! Lays out what every image's root file system needs.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

const FILES: &[(&str, &str)] = &[
    ("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nwww-data:x:33:33:www-data:/var/www:/bin/sh\n"),
    ("etc/group", "root:x:0:\nwww-data:x:33:\n"),
    ("etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n"),
];

/// Makes the directories and the few files that programs expect.
pub(super) fn skeleton(root: &Path) -> Result<()> {
    for directory in
        ["dev", "etc", "opt", "proc", "root", "run", "sys", "tmp", "usr/bin", "usr/sbin", "var/log"]
    {
        fs::create_dir_all(root.join(directory))
            .with_context(|| format!("creating {directory}"))?;
    }
    fs::set_permissions(root.join("tmp"), fs::Permissions::from_mode(0o1777))?;
    for (path, content) in FILES {
        fs::write(root.join(path), content).with_context(|| format!("writing {path}"))?;
    }
    Ok(())
}

/// Makes `/bin` and its like names for the directories under `/usr`, as Debian does.
pub(super) fn merge_usr(root: &Path) -> Result<()> {
    for directory in ["bin", "sbin", "lib", "lib64"] {
        let merged = Path::new("usr").join(directory);
        fs::create_dir_all(root.join(&merged))?;
        symlink(&merged, root.join(directory)).with_context(|| format!("linking {directory}"))?;
    }
    Ok(())
}

/// The files right in a directory, by name.
pub(super) fn files(directory: &Path) -> Result<Vec<PathBuf>> {
    let entries =
        fs::read_dir(directory).with_context(|| format!("reading {}", directory.display()))?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    paths.retain(|path| path.is_file());
    paths.sort();
    Ok(paths)
}

/// Copies the files right in a directory.
pub(super) fn copy_files(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("creating {}", to.display()))?;
    for file in files(from)? {
        let name = file.file_name().expect("a listed file has a name");
        fs::copy(&file, to.join(name)).with_context(|| format!("copying {}", file.display()))?;
    }
    Ok(())
}
