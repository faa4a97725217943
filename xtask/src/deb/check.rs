//! Looks at a package as a distribution's own tools would, and installs it into a copy of this host's
//! system: a layer above it that is thrown away.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail, ensure};

use crate::{cmd, debian, paths, say};

/// What must be in it, with its mode.
const WANTED: [(&str, &str); 9] = [
    ("./usr/bin/plimsoll", "-rwxr-xr-x"),
    ("./usr/lib/systemd/system/plimsoll.service", "-rw-r--r--"),
    ("./etc/plimsoll/plimsoll.toml", "-rw-r--r--"),
    ("./usr/share/bash-completion/completions/plimsoll", "-rw-r--r--"),
    ("./usr/share/zsh/vendor-completions/_plimsoll", "-rw-r--r--"),
    ("./usr/share/fish/vendor_completions.d/plimsoll.fish", "-rw-r--r--"),
    ("./usr/share/man/man1/plimsoll.1.gz", "-rw-r--r--"),
    ("./usr/share/doc/plimsoll/changelog.gz", "-rw-r--r--"),
    ("./usr/share/doc/plimsoll/copyright", "-rw-r--r--"),
];

/// Settings of a unit that take away what the agent works with: the unit says how.
const HARMFUL: [&str; 6] = [
    "MemoryDenyWriteExecute=",
    "PrivateNetwork=",
    "PrivateUsers=",
    "ProcSubset=",
    "ProtectProc=",
    "RestrictSUIDSGID=",
];

/// What happens in the copy of the system, with the package in /package.deb.
const INSTALLATION: &str = r#"
set -eux
# The host may be without what the package suggests or depends on: its own parts are looked at.
dpkg --force-depends --install /package.deb
plimsoll --version
getent group plimsoll
dpkg --verify plimsoll
[ "$(dpkg-query --show --showformat='${Conffiles}' plimsoll | grep -c /etc/plimsoll/plimsoll.toml)" = 1 ]
plimsoll check --config /etc/plimsoll/plimsoll.toml > /check || [ $? -le 3 ]
systemd-analyze verify /usr/lib/systemd/system/plimsoll.service
# What an operator wrote outlives an update.
echo '# mine' >> /etc/plimsoll/plimsoll.toml
dpkg --force-depends --force-confold --install /package.deb
grep -q '# mine' /etc/plimsoll/plimsoll.toml
mkdir -p /var/lib/plimsoll
dpkg --remove plimsoll
[ ! -e /usr/bin/plimsoll ]
[ -e /etc/plimsoll/plimsoll.toml ]
dpkg --purge plimsoll
[ ! -e /etc/plimsoll/plimsoll.toml ]
[ ! -e /var/lib/plimsoll ]
"#;

/// Makes the copy in a mount namespace of its own, where it ends with this.
const COPY: &str = r#"
set -eu
mount -t tmpfs none "$0"
mkdir "$0/upper" "$0/work" "$0/root"
mount -t overlay -o "lowerdir=/,upperdir=$0/upper,workdir=$0/work" none "$0/root"
cp "$1" "$0/root/package.deb"
mount -t proc none "$0/root/proc"
mount -t tmpfs none "$0/root/run"
mount --bind /dev "$0/root/dev"
# No file of the build's own place is above the packages' own.
rm -f "$0/root/usr/local/bin/plimsoll"
exec chroot "$0/root" sh -c "$2"
"#;

/// Checks it in every respect.
pub(super) fn check(package: &Path) -> Result<()> {
    contents(package)?;
    control(package)?;
    unit()?;
    sources(package)?;
    install(package)?;
    say(&format!("{} is in order", package.display()));
    Ok(())
}

/// Its files: whose they are, their modes, and that nothing is missing.
fn contents(package: &Path) -> Result<()> {
    let told = cmd::output(Command::new("dpkg-deb").arg("--contents").arg(package))?;
    let files = parse(&told)?;
    for (path, mode) in WANTED {
        let found = files.get(path);
        ensure!(found.is_some_and(|it| it == mode), "{path} is {found:?} and not {mode}");
    }
    let pages = files.keys().filter(|it| it.starts_with("./usr/share/man/man1/plimsoll-")).count();
    ensure!(pages > 15, "{pages} commands have a manual page");
    for (path, mode) in &files {
        let is_plain = ["-rw-r--r--", "-rwxr-xr-x", "drwxr-xr-x"].contains(&mode.as_str());
        ensure!(is_plain, "{path} has the mode {mode}");
        let is_strange = path.starts_with("./usr/local") || path.starts_with("./lib");
        ensure!(!is_strange, "{path} is no place for a package");
    }
    Ok(())
}

/// Paths with their modes, of what `dpkg-deb --contents` tells.
fn parse(told: &str) -> Result<BTreeMap<String, String>> {
    let mut files = BTreeMap::new();
    for line in told.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [mode, owner, _, _, _, path] = words[..] else { bail!("not a file: {line}") };
        ensure!(owner == "root/root", "{path} belongs to {owner}");
        files.insert(path.to_owned(), mode.to_owned());
    }
    Ok(files)
}

/// The unit: nothing in it stands in the agent's way.
fn unit() -> Result<()> {
    let path = paths::root().join("deploy/plimsoll.service");
    let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    for line in text.lines() {
        let is_harmful = HARMFUL.iter().any(|it| line.starts_with(it));
        ensure!(!is_harmful, "{line} of {} takes what the agent needs", path.display());
    }
    Ok(())
}

/// What dpkg is told.
fn control(package: &Path) -> Result<()> {
    let field = |name| cmd::output(Command::new("dpkg-deb").arg("--field").arg(package).arg(name));
    for (name, wanted) in [("Package", "plimsoll"), ("Version", env!("CARGO_PKG_VERSION"))] {
        ensure!(field(name)?.trim() == wanted, "{name} is {}", field(name)?);
    }
    let description = field("Description")?;
    let mut lines = description.lines();
    let first = lines.next().unwrap_or_default();
    ensure!(first.len() <= 80 && !first.ends_with('.'), "the synopsis is {first:?}");
    ensure!(lines.all(|it| it.len() <= 80), "the description is wider than 80 letters");
    Ok(())
}

/// What its texts say: scripts parse, the program needs no library, manual pages have no faults.
fn sources(package: &Path) -> Result<()> {
    let root = paths::made().join("deb/unpacked");
    if root.exists() {
        fs::remove_dir_all(&root)?;
    }
    cmd::output(Command::new("dpkg-deb").arg("--raw-extract").args([package, &root]))?;
    cmd::output(
        Command::new("md5sum").args(["--check", "--quiet", "DEBIAN/md5sums"]).current_dir(&root),
    )?;
    for script in ["postinst", "prerm", "postrm"] {
        cmd::output(Command::new("sh").arg("-n").arg(root.join("DEBIAN").join(script)))?;
    }
    cmd::output(Command::new("bash").arg("-n").arg(root.join(WANTED[3].0)))?;
    let program = root.join("usr/bin/plimsoll");
    let told = cmd::output(Command::new("readelf").arg("--program-headers").arg(&program))?;
    ensure!(!told.contains("INTERP"), "the program needs libraries of the host");
    let mut pages: Vec<PathBuf> = fs::read_dir(root.join("usr/share/man/man1"))?
        .map(|it| Ok(it?.path()))
        .collect::<Result<_>>()?;
    pages.sort();
    debian::install("what reads manual pages", &["man-db", "groff-base"])?;
    for page in pages {
        let mut man = Command::new("man");
        man.args(["--warnings", "--encoding=UTF-8", "--local-file"])
            .arg(&page)
            .env("LC_ALL", "C.UTF-8");
        let output = man.env("MANWIDTH", "80").output().context("starting man")?;
        let faults = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success() && faults.is_empty(), "{}: {faults}", page.display());
    }
    Ok(())
}

fn install(package: &Path) -> Result<()> {
    if !cmd::is_root() {
        say("not installed: that needs root");
        return Ok(());
    }
    debian::install("what verifies units", &["systemd"])?;
    let place = paths::made().join("deb/copy");
    fs::create_dir_all(&place)?;
    let mut copy = Command::new("unshare");
    copy.args(["--mount", "--propagation", "private", "sh", "-c", COPY]);
    copy.args([&place, package]).arg(INSTALLATION);
    let told = cmd::output(&mut copy).context("installing it")?;
    ensure!(told.contains(concat!("plimsoll ", env!("CARGO_PKG_VERSION"))), "it says {told}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_listed_with_their_modes_and_belong_to_root() {
        let line = |owner: &str| {
            format!("-rwxr-xr-x {owner} 14000000 2026-11-26 12:00 ./usr/bin/plimsoll\n")
        };
        let files = parse(&line("root/root")).expect("reads");
        assert_eq!(files["./usr/bin/plimsoll"], "-rwxr-xr-x");
        assert!(parse(&line("builder/builder")).is_err());
        assert!(parse("dpkg-deb: error").is_err());
    }
}
