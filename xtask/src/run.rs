//! Builds the agent and becomes it.

use std::{ffi::OsString, os::unix::process::CommandExt, process::Command};

use anyhow::{Context, Result, bail};

use crate::{build, cmd, docker, say};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Arguments for `plimsoll run`.
    #[arg(last = true)]
    args: Vec<OsString>,
}

pub(crate) fn main(args: &Args) -> Result<()> {
    if !cmd::is_root() {
        bail!("the agent needs root: sudo -E env PATH=\"$PATH\" cargo xtask run");
    }
    build::object()?;
    let binary = build::agent(build::Profile::Release)?;
    if !docker::socket_answers() {
        say("no Docker answers: the agent starts, and finds containers once Docker is there");
    }
    let mut agent = Command::new(&binary);
    agent.arg("run").args(&args.args).env_remove("LD_LIBRARY_PATH");
    let error = agent.exec();
    Err(error).with_context(|| format!("starting {}", binary.display()))
}
