//! The small image: static programs, so that little is in the way of what a test does.

use std::{fs, os::unix::fs::symlink, path::Path, process::Command};

use anyhow::{Context, Result};

use super::{packages, rootfs};
use crate::{cmd, debian};

pub(super) fn prepare(context: &Path) -> Result<()> {
    let root = context.join("rootfs");
    rootfs::skeleton(&root)?;
    packages::unpack(&["busybox-static"], &root)?;
    applets(&root)?;
    compile(context, &root.join("usr/bin"))
}

/// Gives busybox all its names. Its shell runs most of them by itself, without an exec.
fn applets(root: &Path) -> Result<()> {
    let busybox = root.join("bin/busybox");
    fs::create_dir_all(root.join("bin"))?;
    if !busybox.exists() {
        // Newer packages put it here.
        fs::rename(root.join("usr/bin/busybox"), &busybox)
            .context("finding busybox in its package")?;
    }
    let names = cmd::output(Command::new(&busybox).arg("--list"))?;
    for name in names.lines().filter(|&name| name != "busybox") {
        let link = root.join("bin").join(name);
        if !link.exists() {
            symlink("busybox", &link).with_context(|| format!("linking {}", link.display()))?;
        }
    }
    Ok(())
}

/// Compiles each C source of the context to a static program of its name.
fn compile(context: &Path, programs: &Path) -> Result<()> {
    debian::install("a C compiler for static programs", &["gcc", "libc6-dev", "musl-tools"])?;
    let multiarch = cmd::output(Command::new("gcc").arg("-print-multiarch"))?;
    // musl brings no kernel headers; the host's come last, so that its libc's are not taken.
    let headers = ["/usr/include".to_owned(), format!("/usr/include/{}", multiarch.trim_end())];
    for source in
        rootfs::files(context)?.iter().filter(|path| path.extension().is_some_and(|e| e == "c"))
    {
        let name = source.file_stem().context("a source without a name")?;
        let mut compiler = Command::new("musl-gcc");
        compiler.args(["-static", "-O2", "-Wall", "-Wextra", "-Werror"]);
        compiler.args(headers.iter().flat_map(|directory| ["-idirafter", directory]));
        cmd::run(compiler.arg("-o").arg(programs.join(name)).arg(source))?;
    }
    Ok(())
}
