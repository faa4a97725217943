//! Builds the agent's image: `deploy/Dockerfile` from a context that holds the static program.

use std::{
    fs::{self, File, Permissions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, SystemTime},
};

use anyhow::{Context, Result, bail};

use crate::{
    build::{self, Profile},
    cmd, debian,
    docker::{self, Docker},
    paths, say,
};

/// What the live tests start.
const TEST_TAG: &str = "plimsoll-test/plimsoll:1";
/// Where Debian and most others keep the certificates that a host trusts.
const CERTIFICATES: &str = "/etc/ssl/certs/ca-certificates.crt";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Builds the agent without optimisation.
    #[arg(long)]
    debug: bool,
    /// Makes the context in target/image and leaves the build to others.
    #[arg(long)]
    context: bool,
    /// Name of the image; it gets the version, and the version with the commit, as tags.
    #[arg(long, default_value = "plimsoll")]
    name: String,
}

/// What an image is made of.
pub(crate) struct Source {
    pub(crate) version: &'static str,
    pub(crate) revision: String,
    /// When the commit was made: no file is newer, so that equal files make equal layers.
    pub(crate) time: SystemTime,
}

pub(crate) fn main(args: &Args) -> Result<()> {
    let source = Source::read();
    build::object()?;
    let profile = if args.debug { Profile::Debug } else { Profile::Release };
    let context = prepare(&build::agent_of(profile, Some(&source.revision))?, &source)?;
    if args.context {
        say(&format!("made {}", context.display()));
        return Ok(());
    }
    let _docker = Docker::ensure()?;
    let Source { version, revision, .. } = &source;
    let tags = [version.to_string(), format!("{version}-{revision}")]
        .map(|tag| format!("{}:{tag}", args.name));
    build(&context, &source, &tags)?;
    say(&format!("built {}", tags.join(" and ")));
    Ok(())
}

/// Builds the image that the live tests start, from the agent that they test.
pub(crate) fn ensure(_answering: &Docker, agent: &Path) -> Result<()> {
    let source = Source::read();
    let context = prepare(agent, &source)?;
    build(&context, &source, &[TEST_TAG.to_owned()]).context("building the agent's image")
}

/// Lays out the context; returns where.
fn prepare(agent: &Path, source: &Source) -> Result<PathBuf> {
    let context = paths::made().join("image");
    if context.exists() {
        fs::remove_dir_all(&context).context("removing the last build's context")?;
    }
    let root = context.join("root");
    let files =
        [(agent, "usr/local/bin/plimsoll", 0o755), (certificates()?, &CERTIFICATES[1..], 0o644)];
    for (from, to, mode) in files {
        let to = root.join(to);
        let parent = to.parent().context("a file lies in a directory")?;
        fs::create_dir_all(parent).with_context(|| format!("creating {}", parent.display()))?;
        fs::copy(from, &to).with_context(|| format!("copying {}", from.display()))?;
        if from == agent {
            // What is for debuggers takes four times as much as the program.
            cmd::output(Command::new("strip").arg(&to)).context("stripping the agent")?;
        }
        fs::set_permissions(&to, Permissions::from_mode(mode))?;
    }
    // The agent makes the others; this one holds what containers must not read.
    let data = root.join("var/lib/plimsoll");
    fs::create_dir_all(&data)?;
    set_time(&root, source.time)?;
    fs::set_permissions(&data, Permissions::from_mode(0o700))?;
    Ok(context)
}

fn certificates() -> Result<&'static Path> {
    let path = Path::new(CERTIFICATES);
    if !path.exists() {
        debian::install("the certificates that sinks trust", &["ca-certificates"])?;
    }
    Ok(path)
}

/// Gives everything below a directory, and itself, one time and no rights for others to write.
pub(crate) fn set_time(path: &Path, time: SystemTime) -> Result<()> {
    if path.is_dir() {
        for entry in fs::read_dir(path)? {
            set_time(&entry?.path(), time)?;
        }
        fs::set_permissions(path, Permissions::from_mode(0o755))?;
    }
    let opened = File::open(path).and_then(|file| file.set_modified(time));
    opened.with_context(|| format!("setting the time of {}", path.display()))
}

fn build(context: &Path, source: &Source, tags: &[String]) -> Result<()> {
    let Source { version, revision, .. } = source;
    let mut build = docker::docker();
    build.args(["build", "--quiet", "--file"]).arg(paths::root().join("deploy/Dockerfile"));
    build.args(["--build-arg", &format!("VERSION={version}")]);
    build.args(["--build-arg", &format!("REVISION={revision}")]);
    build.args(tags.iter().flat_map(|tag| ["--tag", tag])).arg(context);
    cmd::output(&mut build).map(|_| ())
}

impl Source {
    /// What git says of the sources; without git they have no revision.
    pub(crate) fn read() -> Self {
        let version = env!("CARGO_PKG_VERSION");
        match commit() {
            Ok((revision, time)) => Self { version, revision, time },
            Err(_) => {
                Self { version, revision: "unknown".to_owned(), time: SystemTime::UNIX_EPOCH }
            }
        }
    }
}

/// The commit, marked where files were changed since, and when it was made.
fn commit() -> Result<(String, SystemTime)> {
    let git = |arguments: &[&str]| {
        cmd::output(Command::new("git").args(arguments).current_dir(paths::root()))
    };
    let told = git(&["log", "-1", "--abbrev=12", "--format=%h %ct"])?;
    let changed = git(&["status", "--porcelain", "--untracked-files=no"])?;
    parse(&told, !changed.is_empty())
}

fn parse(told: &str, is_changed: bool) -> Result<(String, SystemTime)> {
    let Some((commit, seconds)) = told.trim_end().split_once(' ') else {
        bail!("git says {told:?}")
    };
    let mark = if is_changed { "-changed" } else { "" };
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.parse()?);
    Ok((format!("{commit}{mark}"), time))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_revision_tells_whether_files_were_changed() {
        let (revision, time) = parse("0123456789ab 1700000000\n", false).expect("is a commit");
        assert_eq!(revision, "0123456789ab");
        assert_eq!(time, SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000));
        let (revision, _) = parse("0123456789ab 1700000000", true).expect("is a commit");
        assert_eq!(revision, "0123456789ab-changed");
        assert!(parse("", false).is_err());
    }

    #[test]
    fn equal_files_have_equal_times() {
        let directory = std::env::temp_dir().join(format!("xtask-time-{}", std::process::id()));
        fs::create_dir_all(directory.join("a")).expect("a directory for the test");
        fs::write(directory.join("a/b"), "").expect("a file");
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(7);
        set_time(&directory, time).expect("is the test's own");
        for path in ["", "a", "a/b"] {
            let found = fs::metadata(directory.join(path)).and_then(|it| it.modified());
            assert_eq!(found.expect("is there"), time, "{path}");
        }
        fs::remove_dir_all(&directory).expect("the test's directory is its own");
    }
}
