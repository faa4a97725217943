//! Finds or installs what turns the kernel programs into a BPF object.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use crate::{cmd, debian, paths, say};

/// The linker's line whose LLVM fits the compilers below.
const LINKER: &str = "0.13.0";
/// The oldest compiler that builds the kernel programs, and Debian's LLVM behind it.
const OLDEST: (u32, u32) = (1, 95);
const DEBIAN_LLVM: &str = "22";
pub(crate) const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_PACKAGES: &[&str] =
    &["rustc-web", "rust-web-src", "libstd-rust-web-dev", "rust-web-llvm"];
const DEBIAN_LINKER_PACKAGES: &[&str] =
    &["gcc", "libc6-dev", "llvm-22-dev", "libpolly-22-dev", "libzstd-dev"];

/// A compiler with the source of `core`, and the linker for BPF.
pub(crate) struct Toolchain {
    pub(crate) compiler: Compiler,
    pub(crate) linker: PathBuf,
}

/// Which compiler builds the kernel programs.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Compiler {
    /// Debian's, which is stable and allowed to build `core`.
    Debian,
    /// A nightly of rustup's, by its name.
    Rustup(String),
}

/// Returns the toolchain, after installing what is missing of it.
pub(crate) fn ensure() -> Result<Toolchain> {
    let compiler = ensure_compiler()?;
    let linker = ensure_linker(&compiler)?;
    Ok(Toolchain { compiler, linker })
}

/// What copies objects for BPF: Debian's LLVM, or what comes with the compiler.
pub(crate) fn objcopy(toolchain: &Toolchain) -> Option<Command> {
    let debians = PathBuf::from(format!("/usr/lib/llvm-{DEBIAN_LLVM}/bin/llvm-objcopy"));
    if debians.is_file() {
        return Some(Command::new(debians));
    }
    let Compiler::Rustup(name) = &toolchain.compiler else { return None };
    let mut sysroot = Command::new("rustup");
    sysroot.args(["run", name, "rustc", "--print", "sysroot"]).env_remove("LD_LIBRARY_PATH");
    let sysroot = PathBuf::from(cmd::output(&mut sysroot).ok()?.trim_end());
    let program = sysroot.join("lib/rustlib/x86_64-unknown-linux-gnu/bin/rust-objcopy");
    let mut objcopy = Command::new(&program);
    objcopy.env("LD_LIBRARY_PATH", sysroot.join("lib"));
    program.is_file().then_some(objcopy)
}

fn ensure_compiler() -> Result<Compiler> {
    if debian_serves() {
        return Ok(Compiler::Debian);
    }
    let mut refused = String::new();
    if debian::is_debian() {
        match debian::install("the eBPF toolchain", DEBIAN_PACKAGES) {
            Ok(()) if debian_serves() => return Ok(Compiler::Debian),
            Ok(()) => {
                refused = format!("Debian's packages hold no Rust {}.{}\n", OLDEST.0, OLDEST.1);
            }
            Err(error) => refused = format!("{error:#}\n"),
        }
    }
    match ensure_nightly() {
        Ok(nightly) => Ok(Compiler::Rustup(nightly)),
        Err(error) => bail!(
            "no compiler for the kernel programs\n{refused}rustup: {error:#}\n\
             install either the Debian packages {} or, with rustup, `rustup toolchain install nightly --component rust-src`",
            DEBIAN_PACKAGES.join(" ")
        ),
    }
}

/// Whether Debian's compiler is new enough, has the LLVM of our linker and the source of `core`.
fn debian_serves() -> bool {
    Path::new("/usr/lib/rustlib/src/rust/library/core").exists()
        && cmd::output(Command::new(DEBIAN_RUSTC).env_remove("LD_LIBRARY_PATH").arg("-vV"))
            .is_ok_and(|version| serves(&version))
}

fn serves(verbose_version: &str) -> bool {
    let value = |key| verbose_version.lines().find_map(|line| line.strip_prefix(key));
    let release = value("release: ").and_then(version);
    let llvm = value("LLVM version: ").and_then(|llvm| llvm.split('.').next());
    release.is_some_and(|release| release >= OLDEST) && llvm == Some(DEBIAN_LLVM)
}

/// The first two numbers of a version.
fn version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.trim().split(['.', '-']).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

fn ensure_nightly() -> Result<String> {
    let listed = cmd::output(Command::new("rustup").args(["toolchain", "list"]))?;
    if let Some(nightly) = nightlies(&listed).find(|name| has_source(name)) {
        return Ok(nightly.to_owned());
    }
    say("installing the eBPF toolchain (rustup's nightly with rust-src)");
    let mut install = Command::new("rustup");
    install.args([
        "toolchain",
        "install",
        "nightly",
        "--profile",
        "minimal",
        "--component",
        "rust-src",
    ]);
    cmd::run(&mut install)?;
    Ok("nightly".to_owned())
}

fn nightlies(listed: &str) -> impl Iterator<Item = &str> {
    listed
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| name.starts_with("nightly"))
}

fn has_source(toolchain: &str) -> bool {
    let mut sysroot = Command::new("rustup");
    sysroot.args(["run", toolchain, "rustc", "--print", "sysroot"]).env_remove("LD_LIBRARY_PATH");
    cmd::output(&mut sysroot).is_ok_and(|path| {
        Path::new(path.trim_end()).join("lib/rustlib/src/rust/library/core").exists()
    })
}

fn ensure_linker(compiler: &Compiler) -> Result<PathBuf> {
    let ours = paths::made().join("tools/bin/bpf-linker");
    let cargo_home = env::home_dir().map(|home| home.join(".cargo/bin/bpf-linker"));
    let known = [Some(ours.clone()), paths::find_program("bpf-linker"), cargo_home];
    if let Some(linker) = known.into_iter().flatten().find(|path| is_our_linker(path)) {
        return Ok(linker);
    }
    say(&format!("building bpf-linker {LINKER} (once, about a minute)"));
    install_linker(compiler).with_context(|| format!("installing bpf-linker {LINKER}"))?;
    Ok(ours)
}

fn is_our_linker(path: &Path) -> bool {
    path.is_file()
        && cmd::output(Command::new(path).arg("--version").env_remove("LD_LIBRARY_PATH"))
            .is_ok_and(|said| fits(&said))
}

fn fits(said: &str) -> bool {
    said.split_whitespace().last().and_then(version) == version(LINKER)
}

fn install_linker(compiler: &Compiler) -> Result<()> {
    let tools = paths::made().join("tools");
    fs::create_dir_all(&tools)?;
    let mut install = cmd::cargo();
    install
        .args(["install", "bpf-linker", "--locked", "--quiet", "--version", LINKER, "--root"])
        .arg(&tools);
    // Its own directory, so that the workspace's settings and artefacts stay out of it.
    install.env("CARGO_TARGET_DIR", tools.join("build")).current_dir(&tools);
    if *compiler == Compiler::Debian {
        debian::install("LLVM for bpf-linker", DEBIAN_LINKER_PACKAGES)?;
        install.args(["--no-default-features", "--features", &format!("llvm-{DEBIAN_LLVM}")]);
        install.env("RUSTFLAGS", format!("-L /usr/lib/llvm-{DEBIAN_LLVM}/lib"));
    }
    cmd::run(&mut install)?;
    fs::remove_dir_all(tools.join("build")).context("removing the build directory of bpf-linker")
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEBIAN: &str = "rustc 1.96.0 (ac68faa20 2026-05-25) (built from a source tarball)\n\
        release: 1.96.0\nLLVM version: 22.1.8\n";

    #[test]
    fn debians_web_compiler_serves() {
        assert!(serves(DEBIAN));
    }

    #[test]
    fn an_older_compiler_or_another_llvm_does_not_serve() {
        assert!(!serves(&DEBIAN.replace("release: 1.96.0", "release: 1.63.0")));
        assert!(!serves(&DEBIAN.replace("22.1.8", "14.0.6")));
        assert!(!serves("rustc 1.96.0"));
    }

    #[test]
    fn versions_are_compared_by_their_first_two_numbers() {
        assert_eq!(version("1.97.0-nightly"), Some((1, 97)));
        assert_eq!(version("none"), None);
        assert!(fits("bpf-linker 0.13.4\n"));
        assert!(!fits("bpf-linker 0.14.0\n") && !fits(""));
    }

    #[test]
    fn nightlies_are_found_among_toolchains() {
        let listed = "stable-x86_64-unknown-linux-gnu (active, default)\nnightly-2026-05-20-x86_64 (override)\n";
        assert_eq!(nightlies(listed).collect::<Vec<_>>(), ["nightly-2026-05-20-x86_64"]);
    }
}
