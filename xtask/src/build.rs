//! Builds the kernel object, then the agent that carries it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use crate::{
    cmd, debian, paths, say,
    setup::{self, Compiler, Toolchain},
};

const TARGET: &str = "bpfel-unknown-none";
const PACKAGE: &str = "plimsoll-ebpf";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Builds the agent without optimisation.
    #[arg(long)]
    debug: bool,
    /// Builds the kernel object only.
    #[arg(long, conflicts_with = "debug")]
    object: bool,
}

/// Which agent to build.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Profile {
    Debug,
    Release,
}

pub(crate) fn main(args: &Args) -> Result<()> {
    object()?;
    if args.object {
        return Ok(());
    }
    let profile = if args.debug { Profile::Debug } else { Profile::Release };
    let binary = agent(profile)?;
    say(&format!("built {}", binary.strip_prefix(paths::root()).unwrap_or(&binary).display()));
    Ok(())
}

/// Builds the kernel object and puts it where the agent's build script takes it.
pub(crate) fn object() -> Result<()> {
    let toolchain = setup::ensure()?;
    let mut cargo = object_cargo(&toolchain);
    cargo.args(["build", "--bin", PACKAGE]);
    cmd::run(with_object_flags(&mut cargo, &toolchain)).context("building the kernel object")?;
    let built = paths::made().join("bpf").join(TARGET).join("release").join(PACKAGE);
    let stripped = built.with_extension("stripped");
    let object = if strip(&toolchain, &built, &stripped)? { stripped } else { built };
    copy_if_changed(&object, &paths::made().join("plimsoll-ebpf.o"))
}

/// Leaves out what is for debuggers, four fifths of the object; the kernel reads the types apart from
/// that. False where no tool for it is there: it does no harm.
fn strip(toolchain: &Toolchain, from: &Path, to: &Path) -> Result<bool> {
    let Some(mut objcopy) = setup::objcopy(toolchain) else { return Ok(false) };
    objcopy.arg("--strip-debug").args([from, to]);
    cmd::output(&mut objcopy).context("stripping the kernel object").map(|_| true)
}

/// Lints the kernel programs as what they are, with their own compiler's clippy.
pub(crate) fn lint_object() -> Result<()> {
    let toolchain = setup::ensure()?;
    let mut cargo = object_cargo(&toolchain);
    match toolchain.compiler {
        Compiler::Debian => {
            debian::install("clippy for the kernel programs", &["rust-web-clippy"])?;
            // What `cargo clippy` does, which would look for the driver beside cargo.
            cargo.arg("check").env("RUSTC_WORKSPACE_WRAPPER", "/usr/bin/clippy-driver");
            cargo.env("CLIPPY_ARGS", "-D__CLIPPY_HACKERY__warnings__CLIPPY_HACKERY__");
        }
        Compiler::Rustup(_) => {
            cargo.arg("clippy").env("CLIPPY_ARGS", "-Dwarnings");
        }
    }
    cargo.args(["--quiet", "--bin", PACKAGE]);
    cmd::run(with_object_flags(&mut cargo, &toolchain)).context("linting the kernel programs")
}

/// Builds the agent; the kernel object must be there.
pub(crate) fn agent(profile: Profile) -> Result<PathBuf> {
    agent_of(profile, None)
}

/// Builds the agent, which tells this revision of its sources.
pub(crate) fn agent_of(profile: Profile, revision: Option<&str>) -> Result<PathBuf> {
    let mut cargo = cmd::cargo();
    cargo.args(["rustc", "--package", "plimsoll", "--bin", "plimsoll"]);
    let directory = match profile {
        Profile::Debug => "debug",
        Profile::Release => {
            cargo.arg("--release");
            "release"
        }
    };
    if let Some(revision) = revision {
        cargo.env("PLIMSOLL_REVISION", revision);
    }
    // One file that runs on any Linux, and alone in an image. glibc's own resolver is in it: it reads
    // /etc/hosts and /etc/resolv.conf.
    cargo.args(["--", "-C", "target-feature=+crt-static"]);
    cmd::run(&mut cargo).context("building the agent")?;
    Ok(paths::cargo_target().join(directory).join("plimsoll"))
}

/// Cargo set to the compiler of the kernel programs.
fn object_cargo(toolchain: &Toolchain) -> Command {
    match &toolchain.compiler {
        Compiler::Debian => {
            let mut cargo = cmd::cargo();
            cargo.env("RUSTC", setup::DEBIAN_RUSTC).env("RUSTC_BOOTSTRAP", "1");
            cargo
        }
        Compiler::Rustup(name) => {
            let mut cargo = Command::new("rustup");
            cargo.args(["run", name, "cargo"]).current_dir(paths::root());
            // What cargo told us about itself is of another toolchain.
            cargo.env_remove("LD_LIBRARY_PATH").env_remove("CARGO").env_remove("RUSTC");
            cargo
        }
    }
}

fn with_object_flags<'a>(cargo: &'a mut Command, toolchain: &Toolchain) -> &'a mut Command {
    let linker = format!("linker={}", toolchain.linker.display());
    let flags = ["-C", &linker, "-C", "link-arg=--btf", "-C", "debuginfo=2"];
    cargo
        .args(["--package", PACKAGE, "-Zbuild-std=core", "--target", TARGET, "--release"])
        .arg("--target-dir")
        .arg(paths::made().join("bpf"))
        // The form that allows a space in the linker's path.
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"))
        // The workspace's release profile is for user space.
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "3")
        .env("CARGO_PROFILE_RELEASE_LTO", "true")
        .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "1")
        .env("CARGO_PROFILE_RELEASE_PANIC", "abort")
        .env("CARGO_PROFILE_RELEASE_DEBUG", "2")
}

/// Leaves an equal file alone, so that its time does not make cargo build the agent anew.
fn copy_if_changed(from: &Path, to: &Path) -> Result<()> {
    let content = fs::read(from).with_context(|| format!("reading {}", from.display()))?;
    if fs::read(to).is_ok_and(|present| present == content) {
        return Ok(());
    }
    fs::write(to, content).with_context(|| format!("writing {}", to.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_equal_object_keeps_its_time() {
        let directory = std::env::temp_dir().join(format!("xtask-copy-{}", std::process::id()));
        fs::create_dir_all(&directory).expect("a directory for the test");
        let (from, to) = (directory.join("from"), directory.join("to"));
        let time =
            || fs::metadata(&to).and_then(|file| file.modified()).expect("the copy is there");
        fs::write(&from, "one").expect("the first object");
        copy_if_changed(&from, &to).expect("the first copy");
        let first = time();
        copy_if_changed(&from, &to).expect("the second copy");
        assert_eq!(time(), first);
        fs::write(&from, "two").expect("the second object");
        copy_if_changed(&from, &to).expect("the third copy");
        assert_eq!(fs::read(&to).expect("the copy is there"), b"two");
        fs::remove_dir_all(&directory).expect("the test's directory is its own");
    }
}
