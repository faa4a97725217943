//! A container of a test.

use std::{net::IpAddr, path::Path, process::Output};

use serde_json::Value;

use super::{Docker, unique};
use crate::{event::text, poll};

/// A container that is removed with this value.
pub struct Container {
    docker: Docker,
    /// Its name.
    pub name: String,
    /// Its full id.
    pub id: String,
    /// Its image as it was asked for.
    pub image: String,
    /// Its image's digest, or id.
    pub digest: String,
}

impl Container {
    #[track_caller]
    pub(super) fn start(docker: &Docker, image: &str, options: &[&str], command: &[&str]) -> Self {
        let name = unique("ctr");
        let mut arguments = vec!["run", "--detach", "--name", &name];
        arguments.extend_from_slice(options);
        arguments.push(image);
        arguments.extend_from_slice(command);
        // Before it runs: if the start fails, what was created has to go too.
        let mut container = Self {
            docker: docker.clone(),
            name: name.clone(),
            id: String::new(),
            image: image.to_owned(),
            digest: docker.digest_of(image),
        };
        container.id = docker.run(&arguments);
        container
    }

    /// Runs a program in it, as `docker exec` does; it must succeed.
    #[track_caller]
    pub fn exec(&self, command: &[&str]) -> String {
        self.docker.run(&[&["exec", &self.name], command].concat())
    }

    /// Runs a program in it that may fail, with these options of `docker exec`.
    pub fn attempt_with(&self, options: &[&str], command: &[&str]) -> Output {
        self.docker.attempt(&[&["exec"], options, &[&self.name], command].concat())
    }

    /// Runs a program in it that may fail.
    pub fn attempt(&self, command: &[&str]) -> Output {
        self.attempt_with(&[], command)
    }

    /// Runs a script in it by its shell, which may fail.
    pub fn attempt_shell(&self, script: &str) -> Output {
        self.attempt(&["/bin/sh", "-c", script])
    }

    /// Copies a file of the host into it, as `docker cp` does.
    ///
    /// # Panics
    /// When that fails.
    #[track_caller]
    pub fn copy_in(&self, from: &Path, to: &str) {
        let from = from.to_str().expect("temporary paths are text");
        self.docker.run(&["cp", from, &format!("{}:{to}", self.name)]);
    }

    /// Stops it and starts it again.
    #[track_caller]
    pub fn restart(&self) {
        self.docker.run(&["restart", "--time=0", &self.name]);
    }

    /// Runs a script in it by its shell. The shell runs most commands by itself: only what is named
    /// with its directory is executed.
    #[track_caller]
    pub fn shell(&self, script: &str) -> String {
        self.exec(&["/bin/sh", "-e", "-c", script])
    }

    /// Asks Docker about it, by a template.
    #[track_caller]
    pub fn inspect(&self, template: &str) -> String {
        self.docker.run(&["inspect", "--format", template, &self.name])
    }

    /// Process id of its first process.
    ///
    /// # Panics
    /// When it does not run.
    #[track_caller]
    pub fn pid(&self) -> u32 {
        let pid = self.inspect("{{.State.Pid}}").parse().expect("a number");
        assert_ne!(pid, 0, "{} does not run: {}", self.name, self.logs());
        pid
    }

    /// Its IPv4 and IPv6 addresses on its only network.
    ///
    /// # Panics
    /// When it has no network.
    #[track_caller]
    pub fn addresses(&self) -> (IpAddr, Option<IpAddr>) {
        let template =
            "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{.GlobalIPv6Address}}{{end}}";
        let addresses = self.inspect(template);
        let mut addresses = addresses.split(' ').map(str::parse);
        let first = addresses.next().and_then(Result::ok).expect("it has an address");
        (first, addresses.next().and_then(Result::ok))
    }

    /// What it wrote.
    pub fn logs(&self) -> String {
        let output = self.docker.attempt(&["logs", &self.name]);
        [output.stdout, output.stderr].map(|it| String::from_utf8_lossy(&it).into_owned()).concat()
    }

    /// Waits until it has written a text.
    ///
    /// # Panics
    /// When it does not in time.
    #[track_caller]
    pub fn wait_for_log(&self, wanted: &str) {
        poll::holds(&format!("{} writes {wanted:?}", self.name), || self.logs().contains(wanted));
    }

    /// Waits for its end, and returns its exit code.
    #[track_caller]
    pub fn wait(&self) -> i32 {
        self.docker.run(&["wait", &self.name]).parse().expect("a number")
    }

    /// Checks that an event names this container and its image.
    ///
    /// # Panics
    /// When it does not.
    #[track_caller]
    pub fn assert_named_by(&self, event: &Value) {
        let found =
            ["ctr.name", "ctr.id", "ctr.image", "ctr.image_digest"].map(|it| text(event, it));
        let wanted = [&self.name, &self.id, &self.image, &self.digest].map(String::as_str);
        assert_eq!(found, wanted, "an event names the wrong container: {event}");
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        self.docker.attempt(&["rm", "--force", "--volumes", &self.name]);
    }
}
