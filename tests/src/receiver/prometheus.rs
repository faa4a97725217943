//! A Prometheus that scrapes one agent.

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

use super::{free_address, wait_until_it_listens};
use crate::{http, process::Process, require};

/// See the module. Its data end with it.
pub struct Prometheus {
    _process: Process,
    /// Where it listens.
    pub address: SocketAddr,
    _home: TempDir,
}

impl Prometheus {
    /// Starts it with this configuration.
    ///
    /// # Panics
    /// When it does not listen in time.
    pub fn start(config: &str) -> Self {
        let home = tempfile::tempdir().expect("a directory for Prometheus");
        fs::write(home.path().join("config.yml"), config).expect("the directory is its own");
        let address = free_address();
        let process = process(home.path(), address);
        wait_until_it_listens("Prometheus", address);
        Self { _process: process, address, _home: home }
    }

    /// What a query finds now; what it says is wrong with it.
    ///
    /// # Errors
    /// When it does not answer, or not as it should.
    pub fn query(&self, query: &str) -> Result<Vec<Value>, String> {
        let answer = http::get(self.address, &format!("/api/v1/query?query={}", encoded(query)));
        let (status, body) = answer.ok_or_else(|| "no answer".to_owned())?;
        let body: Value = serde_json::from_str(&body).map_err(|error| error.to_string())?;
        match body["data"]["result"].as_array() {
            Some(found) if status == 200 => Ok(found.clone()),
            _ => Err(body["error"].to_string()),
        }
    }

    /// The targets that it scrapes, and how that goes.
    pub fn targets(&self) -> String {
        http::get(self.address, "/api/v1/targets?state=active").map_or_else(String::new, |it| it.1)
    }
}

fn process(home: &Path, address: SocketAddr) -> Process {
    let mut command = Command::new(require::program("prometheus"));
    command
        .arg(format!("--config.file={}", home.join("config.yml").display()))
        .arg(format!("--storage.tsdb.path={}", home.join("data").display()))
        .arg(format!("--web.listen-address={address}"))
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    Process::start(&mut command, Some(home))
}

/// A text as part of an address.
fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_means_something_in_an_address_is_encoded() {
        assert_eq!(encoded("a{b=\"c d\"}+1"), "a%7Bb%3D%22c%20d%22%7D%2B1");
    }
}
