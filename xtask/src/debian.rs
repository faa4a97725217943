//! Installs Debian packages that are missing, where that is possible.

use std::{fs, process::Command, sync::OnceLock};

use anyhow::{Context, Result, bail};

use crate::{cmd, say};

/// Installs those of the packages that are missing, for the purpose named.
pub(crate) fn install(purpose: &str, packages: &[&str]) -> Result<()> {
    let missing: Vec<&str> = packages.iter().copied().filter(|name| !is_installed(name)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let list = missing.join(" ");
    if !is_debian() {
        bail!("{purpose} is missing: install what Debian packages as {list}");
    }
    if !cmd::is_root() {
        bail!("{purpose} is missing: run `sudo apt-get install {list}`, or this command as root");
    }
    say(&format!("installing {purpose} (Debian packages {list})"));
    update()?;
    // What dpkg tells of each package is of use only when it fails.
    cmd::output(
        apt_get().args(["install", "--yes", "--no-install-recommends", "--quiet=2"]).args(&missing),
    )
    .with_context(|| format!("installing {purpose}"))?;
    Ok(())
}

/// Whether this is Debian or something made from it.
pub(crate) fn is_debian() -> bool {
    fs::exists("/etc/debian_version").unwrap_or(false)
}

/// Brings the package lists up to date, once per run.
pub(crate) fn update() -> Result<()> {
    static DONE: OnceLock<()> = OnceLock::new();
    if DONE.get().is_none() {
        cmd::run(apt_get().args(["update", "--quiet=2"])).context("updating the package lists")?;
        DONE.get_or_init(|| ());
    }
    Ok(())
}

/// apt-get that asks nothing and waits for another apt to end.
pub(crate) fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive").args([
        "-o",
        "DPkg::Lock::Timeout=300",
        "-o",
        "Dpkg::Use-Pty=0",
    ]);
    command
}

fn is_installed(package: &str) -> bool {
    cmd::output(Command::new("dpkg-query").args([
        "--show",
        "--showformat=${db:Status-Status}",
        package,
    ]))
    .is_ok_and(|status| status.starts_with("installed"))
}
