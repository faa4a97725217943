//! Boots other kernels, and runs a command or the live tests under them.

mod fetch;
mod guest;
mod initramfs;
mod kernels;

use std::{
    io::Write,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

use crate::{docker::Docker, images, paths, say};
use fetch::Fetched;
use guest::{Job, Places};
use kernels::Kernel;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Names from tests/kernels.toml; all kernels if none is given.
    kernels: Vec<String>,
    /// Runs this in the guests, with bash: the host's files are there, changes to them are lost
    /// but for those in $`VM_OUT`.
    #[arg(long, value_name = "COMMAND")]
    run: Option<String>,
    /// Starts a dockerd in the guest, with the images of the tests, before the command.
    #[arg(long, requires = "run")]
    docker: bool,
    /// Lists the kernels and which are here.
    #[arg(long, conflicts_with = "run")]
    list: bool,
    /// Fetches the newest package of each kernel, though one is here.
    #[arg(long)]
    update: bool,
    /// More for the kernel's command line.
    #[arg(long, value_name = "WORDS", default_value = "", allow_hyphen_values = true)]
    append: String,
    /// The memory of a guest, which holds all files that it writes.
    #[arg(long, value_name = "MIB", default_value_t = 3072)]
    memory: u32,
    /// How long a guest may take.
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    timeout: u64,
}

pub(crate) fn main(args: &Args) -> Result<()> {
    let kernels = kernels::select(&args.kernels)?;
    if args.list {
        return list(&kernels);
    }
    guest::ensure()?;
    let Some(command) = &args.run else { bail!("say what to --run") };
    let mut failed = Vec::new();
    let images = args.docker.then(images).transpose()?;
    for kernel in &kernels {
        let start = Instant::now();
        let result = run(kernel, command, images.as_deref(), args);
        let seconds = start.elapsed().as_secs();
        match result {
            Ok(0) => say(&format!("{}: done in {seconds} s", kernel.name)),
            Ok(code) => {
                say(&format!("{}: exit code {code} after {seconds} s", kernel.name));
                failed.push(kernel.name.as_str());
            }
            Err(error) => {
                say(&format!("{error:#}"));
                failed.push(kernel.name.as_str());
            }
        }
    }
    if failed.is_empty() { Ok(()) } else { bail!("failed on {}", failed.join(", ")) }
}

/// The images of the tests, in a file that a guest's dockerd reads.
fn images() -> Result<PathBuf> {
    let docker = Docker::ensure()?;
    let file = paths::made().join("vm/images.tar");
    images::ensure(&docker)?;
    images::save(&docker, &file)?;
    Ok(file)
}

fn run(kernel: &Kernel, command: &str, images: Option<&Path>, args: &Args) -> Result<i32> {
    let fetched = Fetched::ensure(kernel, args.update)?;
    say(&format!("booting {} (console: {})", fetched.release, Places::of(kernel).log.display()));
    let agent = paths::cargo_target().join("release/plimsoll");
    let job = Job {
        command,
        images,
        agent: &agent,
        append: &args.append,
        memory_mib: args.memory,
        limit: Duration::from_secs(args.timeout),
    };
    guest::run(kernel, &fetched, &job)
}

fn list(kernels: &[Kernel]) -> Result<()> {
    for kernel in kernels {
        let known = Fetched::known(kernel);
        let release = known.map_or("not fetched".to_owned(), |fetched| fetched.release);
        writeln!(std::io::stdout(), "{:<8} {release}", kernel.name)?;
    }
    Ok(())
}
