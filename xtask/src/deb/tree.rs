//! The files of the package, as they will lie on the host.

use std::{
    fmt::Write,
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};

use crate::{
    cmd,
    image::{Source, set_time},
    paths,
};

/// Where completions of each shell lie in Debian.
const COMPLETIONS: [(&str, &str); 3] = [
    ("bash", "usr/share/bash-completion/completions/plimsoll"),
    ("zsh", "usr/share/zsh/vendor-completions/_plimsoll"),
    ("fish", "usr/share/fish/vendor_completions.d/plimsoll.fish"),
];
const UNIT: &str = "usr/lib/systemd/system/plimsoll.service";
const CONFIG: &str = "etc/plimsoll/plimsoll.toml";
const SCRIPTS: [&str; 3] = ["postinst", "prerm", "postrm"];

/// Lays everything out below `root`.
pub(super) fn lay_out(
    root: &Path,
    agent: &Path,
    source: &Source,
    architecture: &str,
) -> Result<()> {
    let deploy = paths::root().join("deploy");
    let program = root.join("usr/bin/plimsoll");
    copy(agent, &program, 0o755)?;
    // What is for debuggers takes four times as much as the program.
    cmd::output(Command::new("strip").arg(&program)).context("stripping the agent")?;
    write(root, UNIT, &unit(&fs::read_to_string(deploy.join("plimsoll.service"))?)?)?;
    copy(&deploy.join("plimsoll.toml"), &root.join(CONFIG), 0o644)?;
    for (shell, place) in COMPLETIONS {
        write(root, place, &cmd::output(Command::new(&program).args(["completions", shell]))?)?;
    }
    let pages = root.join("usr/share/man/man1");
    cmd::output(Command::new(&program).arg("man").arg(&pages))?;
    let documents = root.join("usr/share/doc/plimsoll");
    copy(&deploy.join("debian/copyright"), &documents.join("copyright"), 0o644)?;
    copy(&paths::root().join("CHANGELOG.md"), &documents.join("changelog"), 0o644)?;
    pack(&documents.join("changelog"))?;
    for page in fs::read_dir(&pages)? {
        pack(&page?.path())?;
    }
    control(root, &deploy.join("debian"), source, architecture)?;
    set_time(root, source.time)
}

/// The unit with the program where a package puts it.
fn unit(text: &str) -> Result<String> {
    const BY_HAND: &str = "/usr/local/bin/plimsoll";
    ensure!(text.contains(BY_HAND), "the unit starts another program than {BY_HAND}");
    Ok(text.replace(BY_HAND, "/usr/bin/plimsoll"))
}

/// What dpkg reads.
fn control(root: &Path, from: &Path, source: &Source, architecture: &str) -> Result<()> {
    let (mut sums, mut bytes) = (String::new(), 0);
    let mut files = Vec::new();
    list(root, &mut files)?;
    files.sort();
    for file in &files {
        bytes += fs::metadata(file)?.len();
        let relative = file.strip_prefix(root)?.display();
        let told = cmd::output(Command::new("md5sum").arg("--binary").arg(file))?;
        let sum = told.split(' ').next().unwrap_or_default();
        let _ = writeln!(sums, "{sum}  {relative}");
    }
    let kib = bytes.div_ceil(1024).to_string();
    let text = fs::read_to_string(from.join("control"))?
        .replace("@VERSION@", source.version)
        .replace("@ARCHITECTURE@", architecture)
        .replace("@SIZE@", &kib);
    ensure!(!text.contains('@') || text.matches('@').count() == 1, "control has gaps:\n{text}");
    write(root, "DEBIAN/control", &text)?;
    write(root, "DEBIAN/conffiles", &format!("/{CONFIG}\n"))?;
    write(root, "DEBIAN/md5sums", &sums)?;
    for script in SCRIPTS {
        copy(&from.join(script), &root.join("DEBIAN").join(script), 0o755)?;
    }
    Ok(())
}

fn list(directory: &Path, into: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() { list(&path, into)? } else { into.push(path) }
    }
    Ok(())
}

fn write(root: &Path, place: &str, text: &str) -> Result<()> {
    let path = root.join(place);
    make_parent(&path)?;
    fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
    Ok(fs::set_permissions(&path, Permissions::from_mode(0o644))?)
}

fn copy(from: &Path, to: &Path, mode: u32) -> Result<()> {
    make_parent(to)?;
    fs::copy(from, to).with_context(|| format!("copying {}", from.display()))?;
    Ok(fs::set_permissions(to, Permissions::from_mode(mode))?)
}

fn make_parent(path: &Path) -> Result<()> {
    let parent = path.parent().context("a file lies in a directory")?;
    fs::create_dir_all(parent).with_context(|| format!("creating {}", parent.display()))
}

/// Packs a file in place, without its name and time.
fn pack(file: &Path) -> Result<()> {
    fs::set_permissions(file, Permissions::from_mode(0o644))?;
    cmd::output(Command::new("gzip").args(["-9", "--no-name", "--force"]).arg(file)).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_starts_what_the_package_installs() {
        let text = fs::read_to_string(paths::root().join("deploy/plimsoll.service"));
        let unit = unit(&text.expect("is there")).expect("starts the agent");
        assert!(unit.contains("ExecStart=/usr/bin/plimsoll run -o none\n"), "{unit}");
        assert!(!unit.contains("/usr/local"), "{unit}");
        assert!(super::unit("ExecStart=/opt/plimsoll run").is_err());
    }
}
