//! Packs the kernel object for the agent, or says in one line how to build it.

use std::{
    env,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

/// Packed once for each build of the object: as small as it gets.
const LEVEL: i32 = 19;

fn main() {
    println!("cargo::rerun-if-env-changed=PLIMSOLL_EBPF_OBJECT");
    let object = env::var_os("PLIMSOLL_EBPF_OBJECT").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/plimsoll-ebpf.o"),
        PathBuf::from,
    );
    println!("cargo::rerun-if-changed={}", object.display());
    if !object.is_file() {
        println!(
            "cargo::error=the eBPF object {} is missing: run `cargo xtask build` once, which makes it",
            object.display()
        );
    } else if let Err(error) = pack(&object) {
        println!("cargo::error=packing the eBPF object {}: {error}", object.display());
    }
}

fn pack(object: &Path) -> io::Result<()> {
    let directory = env::var_os("OUT_DIR").map(PathBuf::from).unwrap_or_default();
    let packed = File::create(directory.join("plimsoll-ebpf.o.zst"))?;
    zstd::stream::copy_encode(fs::read(object)?.as_slice(), packed, LEVEL)
}
