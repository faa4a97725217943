//! Makes the first file system of a guest: busybox, the modules for the root, and a script.

use std::{
    fs::{self, File},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};

use super::fetch::Fetched;
use crate::{cmd, debian, images, paths};

/// What the root file system is mounted with; a kernel may have some of it built in.
const MODULES: &[&str] = &["virtio_pci", "virtiofs", "overlay"];

/// Builds it with these files in it, and returns the archive.
pub(super) fn build(
    kernel: &Fetched,
    directory: &Path,
    files: &[(&str, String)],
) -> Result<PathBuf> {
    debian::install("what packs a first file system", &["cpio", "kmod", "xz-utils", "zstd"])?;
    let root = directory.join("initramfs");
    if root.exists() {
        fs::remove_dir_all(&root).context("removing the last one")?;
    }
    for place in ["bin", "modules", "proc", "dev", "host", "upper", "root"] {
        fs::create_dir_all(root.join(place)).with_context(|| format!("creating {place}"))?;
    }
    fs::copy(busybox()?, root.join("bin/busybox")).context("copying busybox")?;
    for (number, module) in modules(kernel)?.iter().enumerate() {
        // The name has the order of loading; the end tells nothing any more.
        unpack(module, &root.join(format!("modules/{number:02}.ko")))?;
    }
    script(&root.join("init"), include_str!("init.sh"))?;
    script(&root.join("guest"), include_str!("guest.sh"))?;
    script(&root.join("docker"), include_str!("docker.sh"))?;
    for (name, text) in files {
        script(&root.join(name), text)?;
    }
    pack(&root, &directory.join("initramfs.cpio"))
}

/// The static busybox of this Debian, which is not installed.
fn busybox() -> Result<PathBuf> {
    let root = paths::made().join("vm/busybox");
    let find = || ["bin/busybox", "usr/bin/busybox"].map(|it| root.join(it)).into_iter();
    if let Some(present) = find().find(|path| path.is_file()) {
        return Ok(present);
    }
    fs::create_dir_all(&root).with_context(|| format!("creating {}", root.display()))?;
    images::packages::unpack(&["busybox-static"], &root)?;
    find().find(|path| path.is_file()).context("finding busybox in its package")
}

/// The files of the modules and of what they need, in the order of loading.
fn modules(kernel: &Fetched) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for module in MODULES {
        let mut depends =
            Command::new(paths::find_program("modprobe").context("finding modprobe")?);
        depends.args(["--show-depends", "--set-version", &kernel.release, "--dirname"]);
        let listed = cmd::output(depends.arg(&kernel.root).arg(module))?;
        files.extend(
            loaded(&listed).map(PathBuf::from).filter(|it| !files.contains(it)).collect::<Vec<_>>(),
        );
    }
    Ok(files)
}

/// The files that modprobe would load.
fn loaded(listed: &str) -> impl Iterator<Item = &str> {
    listed.lines().filter_map(|line| line.strip_prefix("insmod ")).map(str::trim_end)
}

/// Busybox loads no packed modules.
fn unpack(from: &Path, to: &Path) -> Result<()> {
    let program = match from.extension().and_then(|it| it.to_str()) {
        Some("xz") => "xz",
        Some("zst") => "zstd",
        _ => "cat",
    };
    let mut unpack = Command::new(program);
    if program != "cat" {
        unpack.args(["--decompress", "--stdout"]);
    }
    let file = File::create(to).with_context(|| format!("creating {}", to.display()))?;
    cmd::run(unpack.arg(from).stdout(file))
}

fn script(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("writing {}", path.display()))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
        .with_context(|| format!("setting the mode of {}", path.display()))
}

fn pack(root: &Path, to: &Path) -> Result<PathBuf> {
    let mut find = Command::new("find");
    let mut find = find.arg(".").current_dir(root).stdout(Stdio::piped()).spawn()?;
    let names = find.stdout.take().context("find has no output")?;
    let file = File::create(to).with_context(|| format!("creating {}", to.display()))?;
    let mut cpio = Command::new("cpio");
    cpio.args(["--create", "--format=newc", "--quiet"]).current_dir(root).stdin(names).stdout(file);
    cmd::run(&mut cpio)?;
    ensure!(find.wait()?.success(), "find failed");
    Ok(to.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_built_in_has_no_file() {
        let listed = "builtin fuse\ninsmod /k/virtio.ko.xz \ninsmod /k/virtiofs.ko.xz \n";
        assert_eq!(loaded(listed).collect::<Vec<_>>(), ["/k/virtio.ko.xz", "/k/virtiofs.ko.xz"]);
    }
}
