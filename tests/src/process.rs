//! A daemon that a test starts, and that ends with the test however the test ends.

use std::{
    fs,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};

use crate::poll;

/// Waits for the end of its input, which comes with the end of the test, and clears up.
const WATCH: &str = r#"cat >/dev/null; kill -KILL "$0"; [ -z "$1" ] || rm -rf "$1""#;

/// See the module.
pub struct Process {
    child: Child,
    /// A test that is killed drops nothing, and what is shared by tests is never dropped.
    watch: Child,
}

impl Process {
    /// Starts it. `home` is removed with it where the test cannot do that.
    ///
    /// # Panics
    /// When the program cannot be started.
    pub fn start(command: &mut Command, home: Option<&Path>) -> Self {
        let program = command.get_program().to_owned();
        let child = command
            .stdin(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("starting {}: {error}", program.display()));
        let watch = Command::new("sh")
            .args(["-c", WATCH, &child.id().to_string()])
            .arg(home.unwrap_or(Path::new("")))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("there is a shell");
        Self { child, watch }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it did.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be waited for")
    }

    /// Waits for its end.
    pub fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        poll::until(limit, || self.ended())
    }

    /// Asks it to end.
    pub fn terminate(&mut self) {
        if self.ended().is_none() {
            signal(self.id(), Signal::TERM);
        }
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        // Killed, not told: the process's number may be another's by now.
        let _ = self.watch.kill();
        let _ = self.watch.wait();
    }
}

/// Sends a signal to a process; that it is gone already is no fault.
pub fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid.cast_signed()) {
        let _ = kill_process(pid, signal);
    }
}

/// Ends every process whose command line holds a text: something that only a test's own have, such
/// as its directory.
pub fn kill_all_that_name(text: &str) {
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let command = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        if String::from_utf8_lossy(&command).contains(text) {
            signal(pid, Signal::KILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_ends_when_it_is_told_to() {
        let mut process = Process::start(Command::new("sleep").arg("60"), None);
        assert!(process.ended().is_none());
        process.terminate();
        let status = process.wait(poll::PATIENCE).expect("ends");
        assert!(!status.success());
    }
}
