//! What containers use, and a Swarm of one node.

use std::fs;

use super::{Docker, unique};

/// An image that is removed with this value, once its containers are gone.
pub struct Image {
    docker: Docker,
    /// Its name, with its tag.
    pub name: String,
}

impl Image {
    /// Builds one from the lines of a Dockerfile that needs no files of the host.
    ///
    /// # Panics
    /// When that fails.
    #[track_caller]
    pub fn build(docker: &Docker, name: &str, dockerfile: &str) -> Self {
        let context = tempfile::tempdir().expect("a directory");
        let written = fs::write(context.path().join("Dockerfile"), dockerfile);
        written.expect("the directory is the test's own");
        let directory = context.path().to_str().expect("temporary paths are text");
        docker.run(&["build", "--quiet", "--tag", name, directory]);
        Self { docker: docker.clone(), name: name.to_owned() }
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        self.docker.attempt(&["rmi", "--force", &self.name]);
    }
}

/// A network that is removed with this value.
pub struct Network {
    docker: Docker,
    /// Its name.
    pub name: String,
}

impl Network {
    /// A bridge, with these options.
    #[track_caller]
    pub fn create(docker: &Docker, options: &[&str]) -> Self {
        let network = Self { docker: docker.clone(), name: unique("net") };
        docker.run(&[&["network", "create"], options, &[&network.name]].concat());
        network
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.docker.attempt(&["network", "rm", &self.name]);
    }
}

/// A volume that is removed with this value.
pub struct Volume {
    docker: Docker,
    /// Its name.
    pub name: String,
}

impl Volume {
    /// An empty one.
    #[track_caller]
    pub fn create(docker: &Docker) -> Self {
        let volume = Self { docker: docker.clone(), name: unique("vol") };
        docker.run(&["volume", "create", &volume.name]);
        volume
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        self.docker.attempt(&["volume", "rm", "--force", &self.name]);
    }
}

const GATEWAY: &str = "docker_gwbridge";

/// A Swarm of this node alone, which is left with this value.
pub struct Swarm {
    docker: Docker,
    /// Whether the network between tasks and host was there before; Docker would leave it.
    had_gateway: bool,
    /// The node's id.
    pub node_id: String,
}

impl Swarm {
    /// Makes the node a Swarm's only one.
    ///
    /// # Panics
    /// When it is in one already: that one is not the test's to leave.
    #[track_caller]
    pub fn init(docker: &Docker) -> Self {
        let state = docker.run(&["info", "--format", "{{.Swarm.LocalNodeState}}"]);
        assert_eq!(state, "inactive", "this Docker is in a Swarm: leave it to run the tests");
        let had_gateway = docker.attempt(&["network", "inspect", GATEWAY]).status.success();
        let mut swarm = Self { docker: docker.clone(), had_gateway, node_id: String::new() };
        docker.run(&["swarm", "init", "--advertise-addr", "127.0.0.1"]);
        swarm.node_id = docker.run(&["info", "--format", "{{.Swarm.NodeID}}"]);
        swarm
    }
}

impl Drop for Swarm {
    fn drop(&mut self) {
        self.docker.attempt(&["swarm", "leave", "--force"]);
        if !self.had_gateway {
            self.docker.attempt(&["network", "rm", GATEWAY]);
        }
    }
}

/// A Swarm service that is removed with this value.
pub struct Service {
    docker: Docker,
    /// Its name.
    pub name: String,
}

impl Service {
    /// Creates it, without a look at a registry and without waiting for its tasks.
    #[track_caller]
    pub fn create(docker: &Docker, options: &[&str], image: &str, command: &[&str]) -> Self {
        let service = Self { docker: docker.clone(), name: unique("svc") };
        let fixed =
            ["service", "create", "--detach", "--no-resolve-image", "--name", &service.name];
        docker.run(&[&fixed, options, &[image], command].concat());
        service
    }

    /// What Docker says of its tasks.
    pub fn tasks(&self) -> String {
        let format = "{{.Name}} {{.CurrentState}} {{.Error}}";
        let output =
            self.docker.attempt(&["service", "ps", "--no-trunc", "--format", format, &self.name]);
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.docker.attempt(&["service", "rm", &self.name]);
    }
}
