//! What the tests need of the machine. What is missing fails them: a test that is left out proves
//! nothing.

use std::{env, fs, os::unix::fs::MetadataExt, path::PathBuf, process::Command};

const HOW: &str = "run `cargo xtask test live` as root";

/// The agent's binary.
///
/// # Panics
/// In one line that says what is missing: the binary, or root.
pub fn binary() -> PathBuf {
    let Some(path) = env::var_os("PLIMSOLL_BIN").map(PathBuf::from) else {
        panic!("PLIMSOLL_BIN does not name the agent's binary: {HOW}");
    };
    assert!(path.is_file(), "PLIMSOLL_BIN is {}, which is no file: {HOW}", path.display());
    let is_root = fs::metadata("/proc/self").is_ok_and(|it| it.uid() == 0);
    assert!(is_root, "these tests need root: {HOW}");
    path
}

/// A program of the host.
///
/// # Panics
/// In one line that says which is missing.
pub fn program(name: &str) -> PathBuf {
    let path = env::var_os("PATH").unwrap_or_default();
    // Daemons are not always where everybody looks.
    let places = env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    let found = places.map(|place| place.join(name)).find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("there is no {name}: {HOW}"))
}

/// See to it that Docker answers and has the images.
///
/// # Panics
/// In one line that says which of both is missing.
pub fn docker() {
    let succeeds = |arguments: &[&str]| {
        Command::new("docker").args(arguments).output().is_ok_and(|it| it.status.success())
    };
    assert!(succeeds(&["version", "--format", "{{.Server.Version}}"]), "no Docker answers: {HOW}");
    for image in crate::docker::IMAGES {
        assert!(succeeds(&["image", "inspect", image]), "there is no image {image}: {HOW}");
    }
}
