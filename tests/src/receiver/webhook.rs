//! An HTTP server, Python's, that keeps what it is sent.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;
use tempfile::TempDir;

use super::{free_address, wait_until_it_listens};
use crate::{event, process::Process, require};

const SERVER: &str = include_str!("server.py");

/// See the module.
pub struct Webhook {
    process: Process,
    /// Where it listens.
    pub address: SocketAddr,
    token: String,
    certificate: PathBuf,
    home: TempDir,
}

/// A certificate authority of a test's own, and a server's certificate from it.
pub struct Certificates {
    home: TempDir,
}

impl Webhook {
    /// Starts one that takes whatever it is sent.
    pub fn start() -> Self {
        Self::start_with("", Path::new(""))
    }

    /// Starts one that speaks TLS and asks for a bearer token.
    pub fn start_tls(certificates: &Certificates, token: &str) -> Self {
        Self::start_with(token, &certificates.server())
    }

    fn start_with(token: &str, certificate: &Path) -> Self {
        let home = tempfile::tempdir().expect("a directory for the server");
        fs::write(home.path().join("server.py"), SERVER).expect("the directory is the test's own");
        fs::write(home.path().join("answer"), "200").expect("the directory is the test's own");
        let address = free_address();
        let process = process(home.path(), address, token, certificate);
        let (token, certificate) = (token.to_owned(), certificate.to_owned());
        let server = Self { process, address, token, certificate, home };
        wait_until_it_listens("the server", address);
        server
    }

    /// Answers this from now on: a status, or `hang` for nothing at all.
    pub fn answer(&self, answer: &str) {
        let draft = self.home.path().join("draft");
        fs::write(&draft, answer).expect("the directory is the test's own");
        fs::rename(draft, self.home.path().join("answer")).expect("it is there");
    }

    /// Ends it, as a crash would.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again where it was.
    pub fn restart(&mut self) {
        self.process = process(self.home.path(), self.address, &self.token, &self.certificate);
        wait_until_it_listens("the server", self.address);
    }

    /// What it took: path, type and body of each request.
    pub fn taken(&self) -> Vec<Value> {
        let taken = fs::read_to_string(self.home.path().join("taken")).unwrap_or_default();
        event::parse(taken.rfind('\n').map_or("", |end| &taken[..end]))
    }

    /// The bodies that it took.
    pub fn bodies(&self) -> Vec<Value> {
        self.taken().into_iter().map(|mut it| it["body"].take()).collect()
    }
}

fn process(home: &Path, address: SocketAddr, token: &str, certificate: &Path) -> Process {
    let mut command = Command::new(require::program("python3"));
    command.arg(home.join("server.py")).arg(address.port().to_string()).arg(home);
    command.arg(token).arg(certificate);
    Process::start(&mut command, Some(home))
}

impl Certificates {
    /// Makes them, for 127.0.0.1 and for a server that is called so.
    ///
    /// # Panics
    /// When openssl cannot.
    pub fn make(server: &str) -> Self {
        let home = tempfile::tempdir().expect("a directory for certificates");
        let names = format!("subjectAltName=IP:127.0.0.1,DNS:{server}\n");
        fs::write(home.path().join("san"), names).expect("is written");
        let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
        let run = |arguments: &[&str]| {
            let mut command = Command::new(require::program("openssl"));
            let output = command.args(arguments).current_dir(home.path()).output();
            let output = output.expect("openssl runs");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        };
        let ca = ["req", "-x509", "-subj", "/CN=test CA", "-keyout", "ca.key", "-out", "ca.pem"];
        run(&[&ca, &key[..]].concat());
        let request = ["req", "-subj", "/CN=server", "-keyout", "server.key", "-out", "server.csr"];
        run(&[&request, &key[..]].concat());
        let sign = ["x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key"];
        run(&[&sign, &["-CAcreateserial", "-extfile", "san", "-out", "server.crt"][..]].concat());
        let read = |name| fs::read_to_string(home.path().join(name)).expect("openssl wrote it");
        let both = [read("server.key"), read("server.crt")].concat();
        fs::write(home.path().join("server.pem"), both).expect("is written");
        Self { home }
    }

    /// The authority's own.
    pub fn authority(&self) -> PathBuf {
        self.home.path().join("ca.pem")
    }

    /// The server's, with its key.
    pub fn server(&self) -> PathBuf {
        self.home.path().join("server.pem")
    }
}
