//! Docker by its command line: containers, networks, volumes and daemons that a test made end with
//! it.

mod container;
mod daemon;
mod nodes;
mod resources;

use std::{
    path::PathBuf,
    process::{Command, Output},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

pub use container::Container;
pub use daemon::Daemon;
pub use nodes::Nodes;
pub use resources::{Image, Network, Service, Swarm, Volume};

use crate::require;

/// Static programs: busybox under all its names, `/usr/bin/hello` and `/usr/bin/acts`.
pub const BUSYBOX: &str = "plimsoll-test/busybox:1";
/// The same with files in three more layers.
pub const LAYERED: &str = "plimsoll-test/layered:1";
/// The same with a health check each second: `/usr/bin/acts hello`.
pub const HEALTHY: &str = "plimsoll-test/healthy:1";
/// A server with its libraries.
pub const NGINX: &str = "plimsoll-test/nginx:1";

/// The agent itself.
pub const PLIMSOLL: &str = "plimsoll-test/plimsoll:1";

/// The images that every host with live tests has; the agent itself is for those that deploy it.
pub const IMAGES: [&str; 4] = [BUSYBOX, LAYERED, HEALTHY, NGINX];

/// A Docker to talk to.
#[derive(Clone, Debug)]
pub struct Docker {
    /// Its socket, where it is not the host's own Docker.
    socket: Option<PathBuf>,
}

impl Docker {
    /// The host's Docker.
    ///
    /// # Panics
    /// When it does not answer, or lacks the images.
    pub fn host() -> Self {
        static READY: OnceLock<()> = OnceLock::new();
        READY.get_or_init(require::docker);
        Self { socket: None }
    }

    /// The output of a command that may fail.
    ///
    /// # Panics
    /// When there is no `docker`.
    pub fn attempt(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new("docker");
        if let Some(socket) = &self.socket {
            command.arg(format!("--host=unix://{}", socket.display()));
        }
        command.args(arguments).output().expect("docker is installed")
    }

    /// The standard output of a command that must succeed, without the last line's end.
    ///
    /// # Panics
    /// When it fails.
    #[track_caller]
    pub fn run(&self, arguments: &[&str]) -> String {
        let output = self.attempt(arguments);
        assert!(
            output.status.success(),
            "docker {}: {}{}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stderr),
            String::from_utf8_lossy(&output.stdout)
        );
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    /// The number of the engine's version before its first point.
    ///
    /// # Panics
    /// When it tells none.
    pub fn engine(&self) -> u32 {
        let version = self.run(&["version", "--format", "{{.Server.Version}}"]);
        let number = version.split('.').next().and_then(|it| it.parse().ok());
        number.expect("a version begins with a number")
    }

    /// Starts a container that goes on.
    #[track_caller]
    pub fn start(&self, image: &str, options: &[&str], command: &[&str]) -> Container {
        Container::start(self, image, options, command)
    }

    /// Runs a container to its end, which must be a good one.
    #[track_caller]
    pub fn run_to_end(&self, image: &str, options: &[&str], command: &[&str]) -> Container {
        let container = self.start(image, options, command);
        assert_eq!(container.wait(), 0, "{command:?} failed: {}", container.logs());
        container
    }

    /// The content digest of an image, or its id where it never was in a registry.
    #[track_caller]
    fn digest_of(&self, image: &str) -> String {
        let format = "{{range .RepoDigests}}{{.}} {{end}}{{.Id}}";
        let known = self.run(&["image", "inspect", "--format", format, image]);
        let first = known.split(' ').next().unwrap_or_default();
        first.rsplit('@').next().unwrap_or_default().to_owned()
    }
}

/// A name that no other test and no other run has.
pub fn unique(what: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("plimsoll-{what}-{}-{number}", std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique() {
        assert_ne!(unique("a"), unique("a"));
    }
}
