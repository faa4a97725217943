//! Gets a kernel and its modules from Debian.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};

use super::kernels::Kernel;
use crate::{apt::Apt, cmd, debian, paths, say};

/// Depends on the newest kernel of its suite: the one for virtual machines, small and complete.
const PACKAGE: &str = "linux-image-cloud-amd64";
/// The parts that a kernel's package depends on; the rest is for its installation.
const PARTS: &[&str] = &["linux-image-", "linux-base-", "linux-binary-", "linux-modules-"];
const STAMP: &str = "release";

/// A kernel that lies unpacked on this host.
#[derive(Debug)]
pub(super) struct Fetched {
    /// What `uname -r` will say.
    pub(super) release: String,
    pub(super) image: PathBuf,
    /// Where `lib/modules` is.
    pub(super) root: PathBuf,
}

impl Fetched {
    /// The kernel that was fetched before, for the same sources.
    pub(super) fn known(kernel: &Kernel) -> Option<Self> {
        let stamp = fs::read_to_string(directory(kernel).join(STAMP)).ok()?;
        let (release, sources) = stamp.split_once('\n')?;
        (sources == kernel.sources.join("\n")).then(|| Self::at(&directory(kernel), release))?.ok()
    }

    /// The kernel, fetched from the network only where it is not there or is to be renewed.
    pub(super) fn ensure(kernel: &Kernel, renew: bool) -> Result<Self> {
        if let Some(known) = Self::known(kernel).filter(|_| !renew) {
            return Ok(known);
        }
        say(&format!("fetching the kernel {} from Debian", kernel.name));
        fetch(kernel).with_context(|| format!("fetching the kernel {}", kernel.name))
    }

    fn at(directory: &Path, release: &str) -> Result<Self> {
        let root = directory.join("root");
        let modules = root.join("lib/modules").join(release);
        // Debian 14 moved the image to the modules.
        let places =
            [root.join("boot").join(format!("vmlinuz-{release}")), modules.join("vmlinuz")];
        let image = places.into_iter().find(|path| path.is_file());
        let image = image.with_context(|| format!("no image of {release} in its packages"))?;
        Ok(Self { release: release.to_owned(), image, root })
    }
}

fn directory(kernel: &Kernel) -> PathBuf {
    paths::made().join("vm/kernels").join(&kernel.name)
}

fn fetch(kernel: &Kernel) -> Result<Fetched> {
    debian::install("what unpacks kernels", &["debian-archive-keyring", "kmod"])?;
    let directory = directory(kernel);
    if directory.exists() {
        fs::remove_dir_all(&directory).context("removing the last one")?;
    }
    let apt = Apt::set_up(&directory.join("apt"), &kernel.sources)?;
    let root = directory.join("root");
    apt.unpack(parts(&apt)?, &root)?;
    if !root.join("lib").exists() {
        symlink("usr/lib", root.join("lib")).context("linking lib")?;
    }
    let release = release(&root.join("lib/modules"))?;
    cmd::run(Command::new("depmod").arg("--basedir").arg(&root).arg(&release))?;
    let fetched = Fetched::at(&directory, &release)?;
    fs::remove_dir_all(directory.join("apt")).context("removing what apt left")?;
    let stamp = format!("{release}\n{}", kernel.sources.join("\n"));
    fs::write(directory.join(STAMP), stamp).context("noting what was fetched")?;
    Ok(fetched)
}

/// The release whose modules are there.
fn release(modules: &Path) -> Result<String> {
    let entries = fs::read_dir(modules).context("the packages hold no modules")?;
    let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let names = names.collect::<Result<Vec<String>>>()?;
    ensure!(names.len() == 1, "the packages hold modules of {} kernels", names.len());
    Ok(names.concat())
}

/// The packages that hold the kernel and its modules.
fn parts(apt: &Apt) -> Result<Vec<String>> {
    let parts = apt.closure(&[PACKAGE], |depends| parts_of(depends).collect())?;
    ensure!(parts.len() > 1, "{PACKAGE} names no kernel");
    Ok(parts.into_iter().filter(|it| it != PACKAGE).collect())
}

fn parts_of(depends: &str) -> impl Iterator<Item = String> {
    depends
        .lines()
        .filter_map(|line| line.trim().strip_prefix("Depends: "))
        .filter(|name| PARTS.iter().any(|part| name.starts_with(part)))
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_holds_the_kernel_is_followed() {
        let depends = "linux-image-7\n  PreDepends: linux-base\n |Depends: dracut\n  \
            Depends: <linux-initramfs-tool>\n    dracut\n  Depends: linux-base-7\n  \
            Depends: linux-binary-7\n  Depends: linux-modules-7\n  Recommends: apparmor\n";
        assert_eq!(
            parts_of(depends).collect::<Vec<_>>(),
            ["linux-base-7", "linux-binary-7", "linux-modules-7"]
        );
    }
}
