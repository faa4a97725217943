//! Where things lie, seen from the root of the workspace.

use std::{
    env,
    path::{Path, PathBuf},
};

/// The workspace's root.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the workspace")
}

/// Where xtask keeps what it makes itself: the kernel object, tools, images.
pub(crate) fn made() -> PathBuf {
    root().join("target")
}

/// Where cargo puts user-space binaries, which the user may have moved.
pub(crate) fn cargo_target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(made, |dir| root().join(dir))
}

/// The first file of this name in the directories.
pub(crate) fn find_in(
    directories: impl IntoIterator<Item = PathBuf>,
    name: &str,
) -> Option<PathBuf> {
    directories.into_iter().map(|directory| directory.join(name)).find(|path| path.is_file())
}

/// The program a shell would run under this name.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    // An ordinary user's PATH lacks the last two, where daemons lie.
    let system = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    find_in(env::split_paths(&path).chain(system), name)
}
