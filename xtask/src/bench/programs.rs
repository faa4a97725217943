//! The programs that are measured, and the image that carries them.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use crate::{
    cmd, debian,
    docker::{self, Docker},
    paths,
};

pub(super) const IMAGE: &str = "plimsoll-test/bench:1";
/// Where they lie in the image: in a layer of it, as what a container runs does.
pub(super) const MICRO: &str = "/usr/bin/micro";
pub(super) const NOP: &str = "/usr/bin/nop";

/// The programs on the host.
pub(super) struct Programs {
    pub(super) micro: PathBuf,
    pub(super) nop: PathBuf,
}

impl Programs {
    /// Compiles the programs and builds the image.
    pub(super) fn ensure(_answering: &Docker) -> Result<Self> {
        let sources = paths::root().join("tests/fixtures/bench");
        let context = super::directory().join("image");
        fs::create_dir_all(&context).with_context(|| format!("creating {}", context.display()))?;
        debian::install("a C compiler for static programs", &["gcc", "libc6-dev", "musl-tools"])?;
        let programs = Self { micro: context.join("micro"), nop: context.join("nop") };
        compile(&sources.join("micro.c"), &programs.micro)?;
        compile(&sources.join("nop.c"), &programs.nop)?;
        fs::copy(sources.join("Dockerfile"), context.join("Dockerfile"))
            .context("copying the Dockerfile")?;
        cmd::output(docker::docker().args(["build", "--quiet", "--tag", IMAGE]).arg(&context))
            .context("building the image of the benchmark")?;
        Ok(programs)
    }

    /// Processor time a process has used so far, in nanoseconds.
    pub(super) fn cpu_ns(&self, process: u32) -> Result<u64> {
        let told = cmd::output(Command::new(&self.micro).arg("cpu").arg(process.to_string()))?;
        told.trim().parse().with_context(|| format!("reading a processor time of {told:?}"))
    }
}

fn compile(source: &Path, program: &Path) -> Result<()> {
    let flags = ["-static", "-O2", "-Wall", "-Wextra", "-Werror", "-o"];
    cmd::run(Command::new("musl-gcc").args(flags).arg(program).arg(source))
}
