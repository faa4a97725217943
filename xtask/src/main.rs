//! The project's own commands: set up, build, run and test Plimsoll.

mod apt;
mod bench;
mod build;
mod cmd;
mod dashboards;
mod deb;
mod debian;
mod docker;
mod engine;
mod eval;
mod image;
mod images;
mod monitoring;
mod paths;
mod receivers;
mod run;
mod setup;
mod test;
mod vm;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(bin_name = "cargo xtask", about = "Sets up, builds, runs and tests Plimsoll.")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Installs what is missing to build the kernel programs.
    Setup,
    /// Builds the kernel programs and the agent: target/release/plimsoll.
    Build(build::Args),
    /// Builds, then starts the agent on this host: `cargo xtask run -- --help`.
    Run(run::Args),
    /// Runs the tests, all or some parts: `cargo xtask test unit -- name`.
    Test(test::Args),
    /// Builds the agent's image: `plimsoll:VERSION`.
    Image(image::Args),
    /// Builds the Debian package: `target/deb/plimsoll_VERSION_ARCHITECTURE.deb`.
    Deb(deb::Args),
    /// Builds the container images the live tests start.
    Images(images::Args),
    /// Makes the dashboards of dashboards/ anew.
    Dashboards(dashboards::Args),
    /// Boots other kernels and runs the tests there: `cargo xtask vm --run 'uname -a' 6.1`.
    Vm(vm::Args),
    /// Gives the store's decoders and the query's parser ten million inputs each, and kills a store a
    /// hundred times.
    Fuzz,
    /// Measures what the agent costs and loses: `cargo xtask bench inline --rounds 3`.
    Bench(bench::Args),
    /// Attacks real services and tells what was detected: `cargo xtask eval --corpus DIR`.
    Eval(eval::Args),
}

fn main() -> ExitCode {
    match dispatch(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn dispatch(command: Command) -> Result<()> {
    match command {
        Command::Setup => setup::ensure().map(|_| ()),
        Command::Build(args) => build::main(&args),
        Command::Run(args) => run::main(&args),
        Command::Test(args) => test::main(&args),
        Command::Image(args) => image::main(&args),
        Command::Deb(args) => deb::main(&args),
        Command::Images(args) => images::main(&args),
        Command::Dashboards(args) => dashboards::main(&args),
        Command::Vm(args) => vm::main(&args),
        Command::Fuzz => test::fuzz(),
        Command::Bench(args) => bench::main(&args),
        Command::Eval(args) => eval::main(&args),
    }
}

/// Tells the user what is being done, apart from the results on stdout.
fn say(message: &str) {
    eprintln!("xtask: {message}");
}
