//! Builds the Debian package of the agent, and checks it as who installs it would find it.

mod check;
mod tree;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::SystemTime,
};

use anyhow::{Context, Result};

use crate::{
    build::{self, Profile},
    cmd, debian,
    image::Source,
    paths, say,
};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Builds the agent without optimisation.
    #[arg(long)]
    debug: bool,
    /// Packs this agent, and builds none.
    #[arg(long, value_name = "FILE", conflicts_with = "debug")]
    agent: Option<PathBuf>,
    /// Checks the package besides, and installs it into a copy of this host's system.
    #[arg(long)]
    check: bool,
}

pub(crate) fn main(args: &Args) -> Result<()> {
    let source = Source::read();
    let agent = if let Some(agent) = &args.agent {
        fs::canonicalize(agent).context("looking for the agent")?
    } else {
        build::object()?;
        let profile = if args.debug { Profile::Debug } else { Profile::Release };
        build::agent_of(profile, Some(&source.revision))?
    };
    let package = build(&agent, &source)?;
    say(&format!("made {}", package.display()));
    if args.check { check::check(&package) } else { Ok(()) }
}

/// Builds and checks the package of an agent that was built.
pub(crate) fn prove(agent: &Path) -> Result<()> {
    let package = build(agent, &Source::read())?;
    check::check(&package)
}

fn build(agent: &Path, source: &Source) -> Result<PathBuf> {
    debian::install("what packs", &["dpkg", "binutils", "gzip"])?;
    let architecture = cmd::output(Command::new("dpkg").arg("--print-architecture"))?;
    let architecture = architecture.trim();
    let made = paths::made().join("deb");
    let root = made.join("root");
    if root.exists() {
        fs::remove_dir_all(&root).context("removing the last build's tree")?;
    }
    tree::lay_out(&root, agent, source, architecture)?;
    let package = made.join(format!("plimsoll_{}_{architecture}.deb", source.version));
    let mut pack = Command::new("dpkg-deb");
    // Files are root's, whoever builds, and as old as the commit: equal files make equal packages.
    pack.args(["--root-owner-group", "-Zxz", "--build"]).arg(&root).arg(&package);
    let seconds = source.time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    pack.env("SOURCE_DATE_EPOCH", seconds.to_string());
    cmd::output(&mut pack)?;
    Ok(package)
}
