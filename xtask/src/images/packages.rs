//! Unpacks Debian packages into a root file system, without installing them.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail, ensure};

use crate::{apt, cmd, debian, paths};

/// Unpacks the packages and the libraries they need.
pub(crate) fn unpack(packages: &[&str], root: &Path) -> Result<()> {
    if !debian::is_debian() {
        bail!("the images are made of Debian packages, which this machine cannot fetch");
    }
    let debs = paths::made().join("images/debs");
    fs::create_dir_all(&debs).with_context(|| format!("creating {}", debs.display()))?;
    // Lists that are old name packages that are no longer there.
    let all = match closure(packages) {
        Ok(all) if all.iter().all(|name| downloaded(&debs, name).is_some()) => all,
        _ => {
            debian::update()?;
            let all = closure(packages)?;
            download(&all, &debs)?;
            all
        }
    };
    for package in &all {
        let deb =
            downloaded(&debs, package).with_context(|| format!("{package} was not downloaded"))?;
        unpack_one(&deb, root).with_context(|| format!("unpacking {}", deb.display()))?;
    }
    Ok(())
}

/// The packages and all libraries under them.
fn closure(packages: &[&str]) -> Result<BTreeSet<String>> {
    apt::closure(|| Command::new("apt-cache"), packages, apt::libraries)
}

fn download(packages: &BTreeSet<String>, directory: &Path) -> Result<()> {
    // The user that apt downloads as cannot write here.
    let as_root = ["-o", "APT::Sandbox::User=root"];
    cmd::run(
        debian::apt_get()
            .args(as_root)
            .args(["--quiet=2", "download"])
            .args(packages)
            .current_dir(directory),
    )
    .context("downloading the images' packages")
}

fn downloaded(directory: &Path, package: &str) -> Option<PathBuf> {
    let prefix = format!("{package}_");
    super::rootfs::files(directory).ok()?.into_iter().find(|path| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&prefix))
    })
}

fn unpack_one(deb: &Path, root: &Path) -> Result<()> {
    let mut archive = Command::new("dpkg-deb");
    archive.arg("--fsys-tarfile").arg(deb).stdout(Stdio::piped());
    let mut archive = archive.spawn().context("starting dpkg-deb")?;
    let files = archive.stdout.take().context("dpkg-deb has no output")?;
    let mut tar = Command::new("tar");
    // `/bin` may be a link here and a directory in the package.
    tar.args([
        "--extract",
        "--keep-directory-symlink",
        "--exclude=./usr/share/doc",
        "--exclude=./usr/share/man",
    ])
    .args(["--exclude=./usr/share/locale", "--directory"])
    .arg(root)
    .stdin(files);
    cmd::run(&mut tar)?;
    ensure!(archive.wait()?.success(), "dpkg-deb failed");
    Ok(())
}
