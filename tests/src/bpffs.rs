//! A BPF file system of a test's own, and what is pinned there.

use std::{fs, path::Path};

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use tempfile::TempDir;

/// What the kernel puts into each.
const KERNELS_OWN: [&str; 2] = ["maps.debug", "progs.debug"];

/// The file system; what is pinned there goes with this value.
pub struct BpfFs(TempDir);

impl BpfFs {
    /// Mounts one.
    #[track_caller]
    pub fn mount() -> Self {
        let dir = tempfile::tempdir().expect("a directory to mount on");
        mount("bpf", dir.path(), "bpf", MountFlags::empty(), None).expect("the kernel has bpffs");
        Self(dir)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// The names of everything in it, with those of directories before what is in them.
    pub fn names(&self) -> Vec<String> {
        let mut names = Vec::new();
        let mut left = vec![self.path().to_owned()];
        while let Some(dir) = left.pop() {
            for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
                let name = entry.file_name().to_string_lossy().into_owned();
                if !KERNELS_OWN.contains(&name.as_str()) {
                    names.push(name);
                }
                if entry.path().is_dir() {
                    left.push(entry.path());
                }
            }
        }
        names
    }
}

impl Drop for BpfFs {
    fn drop(&mut self) {
        // Whoever still looks at it keeps it for a moment.
        let _ = unmount(self.path(), UnmountFlags::DETACH);
    }
}
