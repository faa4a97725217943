//! rsyslogd, which reads by the rules of RFC 5424 and keeps what it read as JSON.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;
use tempfile::TempDir;

use super::{free_address, wait_until_it_listens};
use crate::{event, poll, process::Process, require};

/// See the module.
pub struct Syslog {
    process: Process,
    /// Where it listens, by UDP and TCP.
    pub address: SocketAddr,
    home: TempDir,
}

impl Syslog {
    /// Starts it.
    pub fn start() -> Self {
        let home = tempfile::tempdir().expect("a directory for rsyslogd");
        let address = free_address();
        let config = config(home.path(), address.port());
        fs::write(home.path().join("config"), config).expect("the directory is its own");
        let syslog = Self { process: process(home.path()), address, home };
        syslog.wait();
        syslog
    }

    /// Its socket in the file system.
    pub fn socket(&self) -> PathBuf {
        self.home.path().join("socket")
    }

    /// Ends it, as a crash would.
    pub fn kill(&mut self) {
        self.process.kill();
        let _ = fs::remove_file(self.home.path().join("pid"));
        let _ = fs::remove_file(self.socket());
    }

    /// Starts it again where it was.
    pub fn restart(&mut self) {
        self.process = process(self.home.path());
        self.wait();
    }

    #[track_caller]
    fn wait(&self) {
        wait_until_it_listens("rsyslogd", self.address);
        poll::holds("rsyslogd has its socket", || self.socket().exists());
    }

    /// The messages that it read, with `from`, `host`, `app`, `id`, `severity`, `facility`, `text`.
    pub fn messages(&self) -> Vec<Value> {
        let read = fs::read_to_string(self.home.path().join("messages")).unwrap_or_default();
        event::parse(read.rfind('\n').map_or("", |end| &read[..end]))
    }
}

fn config(home: &Path, port: u16) -> String {
    let home = home.display();
    format!(
        r#"
global(workDirectory="{home}" maxMessageSize="64k")
module(load="imuxsock" SysSock.Use="off")
module(load="imudp")
module(load="imtcp")
template(name="read" type="list" option.jsonf="on") {{
    property(outname="from" name="inputname" format="jsonf")
    property(outname="host" name="hostname" format="jsonf")
    property(outname="app" name="app-name" format="jsonf")
    property(outname="id" name="msgid" format="jsonf")
    property(outname="severity" name="syslogseverity-text" format="jsonf")
    property(outname="facility" name="syslogfacility-text" format="jsonf")
    property(outname="text" name="msg" format="jsonf")
}}
ruleset(name="keep") {{
    action(type="omfile" file="{home}/messages" template="read")
}}
input(type="imuxsock" Socket="{home}/socket" UseSpecialParser="off" ruleset="keep")
input(type="imudp" address="127.0.0.1" port="{port}" ruleset="keep")
input(type="imtcp" address="127.0.0.1" port="{port}" ruleset="keep")
"#
    )
}

fn process(home: &Path) -> Process {
    let mut command = Command::new(require::program("rsyslogd"));
    command.arg("-n").arg("-f").arg(home.join("config")).arg("-i").arg(home.join("pid"));
    Process::start(&mut command, Some(home))
}
