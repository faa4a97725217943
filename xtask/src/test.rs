//! Runs the tests by parts: lint, unit, monitoring, package, live, engine, deny.

use std::{
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Result, bail, ensure};
use clap::ValueEnum;

use crate::{
    build, cmd, deb, debian, docker::Docker, engine, image, images, monitoring, receivers, say, vm,
};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The parts to run; all of them if none is named.
    #[arg(value_enum)]
    parts: Vec<Part>,
    /// Leaves a dockerd that was started for the tests running.
    #[arg(long)]
    keep_docker: bool,
    /// Arguments for the test binaries, for example a test's name.
    #[arg(last = true)]
    filter: Vec<String>,
}

/// A part of the tests, in the order they run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
enum Part {
    /// Formatting and clippy, warnings refused.
    Lint,
    /// What needs neither root nor Docker.
    Unit,
    /// What Prometheus, Alertmanager and Grafana are given, by promtool and amtool.
    Monitoring,
    /// The Debian package: what is in it, and what becomes of a system that it is installed into.
    Package,
    /// What needs root and Docker: real containers under a real agent.
    Live,
    /// What depends on Docker, under the newest there is, whose images containerd keeps.
    Engine,
    /// What needs a kernel with BPF LSM, which is booted: containers whose acts are refused.
    Deny,
}

/// What the names of those live tests hold that a change in Docker may break.
const OF_DOCKER: [&str; 10] = [
    "attribution::",
    "deploy::",
    "docker_restart::",
    "earlier::",
    "evasions::programs::a_program_that_was_changed",
    "foreign_scripts::",
    "gate::",
    "names::",
    "posture::",
    "rules::harmless::",
];

struct Outcome {
    part: Part,
    took: Duration,
    result: Result<()>,
}

pub(crate) fn main(args: &Args) -> Result<()> {
    let outcomes: Vec<Outcome> =
        selected(&args.parts).into_iter().map(|part| run(part, args)).collect();
    for Outcome { part, took, result } in &outcomes {
        let seconds = took.as_secs();
        match result {
            Ok(()) => say(&format!("{}: passed in {seconds} s", part.name())),
            Err(error) => say(&format!("{}: FAILED in {seconds} s: {error:#}", part.name())),
        }
    }
    match outcomes.iter().filter(|outcome| outcome.result.is_err()).count() {
        0 => Ok(()),
        failed => bail!("{failed} of {} parts failed", outcomes.len()),
    }
}

fn run(part: Part, args: &Args) -> Outcome {
    say(&format!("── {} ──", part.name()));
    let start = Instant::now();
    let result = match part {
        Part::Lint => lint(),
        Part::Unit => unit(&args.filter),
        Part::Monitoring => monitoring::check(),
        Part::Package => package(),
        Part::Live => live(args),
        Part::Engine => engine(),
        Part::Deny => deny(),
    };
    Outcome { part, took: start.elapsed(), result }
}

/// The named parts in their order, each once.
fn selected(named: &[Part]) -> Vec<Part> {
    let all = Part::value_variants().iter().copied();
    all.filter(|part| named.is_empty() || named.contains(part)).collect()
}

fn lint() -> Result<()> {
    ensure_linters()?;
    build::object()?;
    let clippy = ["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"];
    // Each runs even where one before it failed: to mend one at a time takes longer.
    let results = [
        shown(cmd::cargo().args(["fmt", "--all", "--check"])),
        shown(cmd::cargo().args(clippy)),
        build::lint_object(),
    ];
    let failed: Vec<_> = results.iter().filter_map(|result| result.as_ref().err()).collect();
    ensure!(failed.is_empty(), "{}", joined(&failed));
    Ok(())
}

fn unit(filter: &[String]) -> Result<()> {
    build::object()?;
    let packages = ["--package", "plimsoll", "--package", "plimsoll-ebpf", "--package", "xtask"];
    shown(cmd::cargo().args(["test", "--no-fail-fast"]).args(packages).arg("--").args(filter))
}

/// Runs the long tests, which are left out of the unit tests.
pub(crate) fn fuzz() -> Result<()> {
    build::object()?;
    let long = ["ten_million_", "the_same_a_hundred_times"];
    let test = ["test", "--release", "--package", "plimsoll", "--lib", "--", "--ignored"];
    shown(cmd::cargo().args(test).args(long))
}

fn need_root(part: Part) -> Result<()> {
    let part = part.name();
    ensure!(cmd::is_root(), "it needs root: sudo -E env PATH=\"$PATH\" cargo xtask test {part}");
    Ok(())
}

/// Sees to it that there is what the live tests need but for Docker; returns the agent.
fn prepare_live() -> Result<PathBuf> {
    build::object()?;
    let agent = build::agent(build::Profile::Release)?;
    receivers::ensure()?;
    Ok(agent)
}

fn live(args: &Args) -> Result<()> {
    need_root(Part::Live)?;
    let agent = prepare_live()?;
    let docker = Docker::ensure()?;
    let images = images::ensure(&docker).and_then(|()| image::ensure(&docker, &agent));
    let result = images.and_then(|()| {
        shown(
            cmd::cargo()
                .args(["test", "--no-fail-fast", "--package", "plimsoll-tests"])
                .args(["--", "--test-threads=1"])
                .args(&args.filter)
                .env("PLIMSOLL_BIN", agent),
        )
    });
    if args.keep_docker {
        docker.keep();
    }
    result
}

fn package() -> Result<()> {
    need_root(Part::Package)?;
    build::object()?;
    deb::prove(&build::agent(build::Profile::Release)?)
}

/// Runs those live tests in which Docker has the greater part under another.
fn engine() -> Result<()> {
    need_root(Part::Engine)?;
    // All that has to be fetched: that place has no way out.
    prepare_live()?;
    cmd::run(cmd::cargo().args(["test", "--no-run", "--quiet", "--package", "plimsoll-tests"]))?;
    images::ensure(&Docker::ensure()?)?;
    cmd::run(&mut engine::alone(&[&["test", "live", "--"], &OF_DOCKER[..]].concat())?)
}

fn deny() -> Result<()> {
    need_root(Part::Deny)?;
    vm::prove()
}

fn joined(errors: &[&anyhow::Error]) -> String {
    errors.iter().map(|error| format!("{error:#}")).collect::<Vec<_>>().join("; ")
}

/// Runs a command after showing it.
fn shown(command: &mut Command) -> Result<()> {
    say(&cmd::line(command).replacen(&cmd::line(&cmd::cargo()), "cargo", 1));
    cmd::run(command)
}

fn ensure_linters() -> Result<()> {
    let present = |tool| cmd::succeeds(cmd::cargo().args([tool, "--version"]));
    if present("fmt") && present("clippy") {
        return Ok(());
    }
    let add = ["component", "add", "clippy", "rustfmt"];
    if cmd::succeeds(Command::new("rustup").args(add)) {
        return Ok(());
    }
    debian::install("clippy and rustfmt", &["rust-web-clippy", "rustfmt-web"])
}

impl Part {
    fn name(self) -> &'static str {
        match self {
            Self::Lint => "lint",
            Self::Unit => "unit",
            Self::Monitoring => "monitoring",
            Self::Package => "package",
            Self::Live => "live",
            Self::Engine => "engine",
            Self::Deny => "deny",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_parts_run_when_none_is_named() {
        assert_eq!(
            selected(&[]),
            [
                Part::Lint,
                Part::Unit,
                Part::Monitoring,
                Part::Package,
                Part::Live,
                Part::Engine,
                Part::Deny
            ]
        );
    }

    #[test]
    fn named_parts_run_once_and_in_order() {
        assert_eq!(selected(&[Part::Live, Part::Unit, Part::Live]), [Part::Unit, Part::Live]);
    }
}
