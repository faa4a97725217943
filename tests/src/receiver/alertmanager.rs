//! An Alertmanager.

use std::{fs, net::SocketAddr, path::Path, process::Command, process::Stdio};

use serde_json::Value;
use tempfile::TempDir;

use super::{free_address, wait_until_it_listens};
use crate::{http, process::Process, require};

const CONFIG: &str = "route: {receiver: none}\nreceivers: [{name: none}]\n";

/// An Alertmanager that notifies nobody; its silences and its log end with it.
pub struct Alertmanager {
    process: Process,
    /// Where it listens.
    pub address: SocketAddr,
    home: TempDir,
}

impl Alertmanager {
    /// Starts it.
    pub fn start() -> Self {
        let home = tempfile::tempdir().expect("a directory for Alertmanager");
        fs::write(home.path().join("config.yml"), CONFIG).expect("the directory is its own");
        let address = free_address();
        let process = process(home.path(), address);
        let alertmanager = Self { process, address, home };
        wait_until_it_listens("Alertmanager", address);
        alertmanager
    }

    /// Ends it, as a crash would.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again where it was; it remembers no alerts.
    pub fn restart(&mut self) {
        self.process = process(self.home.path(), self.address);
        wait_until_it_listens("Alertmanager", self.address);
    }

    /// The alerts that stand.
    pub fn alerts(&self) -> Vec<Value> {
        let answer = http::get(self.address, "/api/v2/alerts");
        let body = answer.filter(|(status, _)| *status == 200).map(|(_, body)| body);
        body.and_then(|body| serde_json::from_str(&body).ok()).unwrap_or_default()
    }
}

fn process(home: &Path, address: SocketAddr) -> Process {
    let mut command = Command::new(require::program("prometheus-alertmanager"));
    command
        .arg(format!("--config.file={}", home.join("config.yml").display()))
        .arg(format!("--storage.path={}", home.join("data").display()))
        .arg(format!("--web.listen-address={address}"))
        .arg("--cluster.listen-address=")
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    Process::start(&mut command, Some(home))
}
