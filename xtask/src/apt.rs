//! Packages of other suites of Debian than the host's, by an apt that leaves the host's own alone.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use crate::{cmd, debian};

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// An apt with lists and settings of its own, which installs nothing.
pub(crate) struct Apt {
    directory: PathBuf,
}

impl Apt {
    /// Reads the lists of these sources: `http://deb.debian.org/debian trixie`.
    pub(crate) fn set_up(directory: &Path, sources: &[impl AsRef<str>]) -> Result<Self> {
        for part in ["state/lists", "cache", "etc/apt.conf.d", "etc/preferences.d"] {
            fs::create_dir_all(directory.join(part)).with_context(|| format!("creating {part}"))?;
        }
        let apt = Self { directory: directory.to_owned() };
        let lines =
            sources.iter().map(|it| format!("deb [signed-by={KEYRING}] {} main\n", it.as_ref()));
        apt.write("etc/sources.list", &lines.collect::<String>())?;
        apt.write("state/status", "")?;
        let at = |name: &str| directory.join(name).display().to_string();
        let settings = [
            ("Dir::State", at("state")),
            ("Dir::State::status", at("state/status")),
            ("Dir::Cache", at("cache")),
            ("Dir::Etc", at("etc")),
            ("APT::Architecture", "amd64".to_owned()),
            // The user that apt downloads as cannot write here.
            ("APT::Sandbox::User", "root".to_owned()),
            ("Acquire::Languages", "none".to_owned()),
            // Lists of releases that get no more updates are past their date.
            ("Acquire::Check-Valid-Until", "false".to_owned()),
        ];
        let lines = settings.map(|(key, value)| format!("{key} \"{value}\";\n"));
        apt.write("apt.conf", &lines.concat())?;
        cmd::run(apt.command(debian::apt_get()).args(["update", "--quiet=2"]))
            .context("reading Debian's package lists: is there a network?")?;
        Ok(apt)
    }

    fn write(&self, name: &str, text: &str) -> Result<()> {
        fs::write(self.directory.join(name), text).with_context(|| format!("writing {name}"))
    }

    fn command(&self, mut command: Command) -> Command {
        command.env("APT_CONFIG", self.directory.join("apt.conf")).current_dir(&self.directory);
        command
    }

    /// Fetches packages and unpacks them into a root file system, without installing them.
    pub(crate) fn unpack(
        &self,
        packages: impl IntoIterator<Item = String>,
        root: &Path,
    ) -> Result<()> {
        for package in packages {
            let deb = self.download(&package)?;
            cmd::run(Command::new("dpkg-deb").arg("--extract").arg(&deb).arg(root))?;
        }
        Ok(())
    }

    /// Fetches a package and returns where it lies.
    fn download(&self, package: &str) -> Result<PathBuf> {
        let debs = self.directory.join(package);
        fs::create_dir_all(&debs).with_context(|| format!("creating {}", debs.display()))?;
        let mut download = self.command(debian::apt_get());
        cmd::run(download.args(["--quiet=2", "download", package]).current_dir(&debs))?;
        let mut files = fs::read_dir(&debs)?;
        Ok(files.next().with_context(|| format!("{package} was not downloaded"))??.path())
    }

    /// As [`closure`], of its packages.
    pub(crate) fn closure(
        &self,
        packages: &[&str],
        followed: impl Fn(&str) -> Vec<String>,
    ) -> Result<BTreeSet<String>> {
        closure(|| self.command(Command::new("apt-cache")), packages, followed)
    }
}

/// The packages and what they depend on, as far as `followed` names it of what `apt-cache depends`
/// prints.
pub(crate) fn closure(
    apt_cache: impl Fn() -> Command,
    packages: &[&str],
    followed: impl Fn(&str) -> Vec<String>,
) -> Result<BTreeSet<String>> {
    let mut all = BTreeSet::new();
    let mut open: Vec<String> = packages.iter().map(|&name| name.to_owned()).collect();
    while let Some(package) = open.pop() {
        if all.contains(&package) {
            continue;
        }
        let mut depends = apt_cache();
        depends.args(["depends", "--no-recommends", "--no-suggests", &package]);
        open.extend(followed(&cmd::output(&mut depends)?));
        all.insert(package);
    }
    Ok(all)
}

/// The libraries that `apt-cache depends` lists; other packages are for the installation only.
pub(crate) fn libraries(depends: &str) -> Vec<String> {
    let names = depends.lines().filter_map(|line| {
        let line = line.trim();
        line.strip_prefix("Depends: ").or(line.strip_prefix("PreDepends: "))
    });
    let is_library = |name: &&str| name.starts_with("lib") || name.starts_with("zlib");
    names.filter(is_library).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_libraries_are_followed() {
        let depends = "nginx\n  Depends: libc6\n |Depends: debconf\n  Depends: <debconf-2.0>\n    cdebconf\n  \
            PreDepends: libacl1\n  Depends: zlib1g\n  Depends: iproute2\n  Breaks: libold\n";
        assert_eq!(libraries(depends), ["libc6", "libacl1", "zlib1g"]);
    }
}
