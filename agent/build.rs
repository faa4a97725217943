//! Hands the kernel object to the agent, or says in one line how to build it.

use std::{env, path::PathBuf};

fn main() {
    println!("cargo::rerun-if-env-changed=PLIMSOLL_EBPF_OBJECT");
    let object = env::var_os("PLIMSOLL_EBPF_OBJECT").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/plimsoll-ebpf.o"),
        PathBuf::from,
    );
    println!("cargo::rerun-if-changed={}", object.display());
    match object.canonicalize() {
        Ok(path) => println!("cargo::rustc-env=PLIMSOLL_EBPF_OBJECT={}", path.display()),
        Err(_) => println!(
            "cargo::error=the eBPF object {} is missing: run `cargo xtask build` once, which makes it",
            object.display()
        ),
    }
}
