//! The host's files, served to one guest.

use std::{
    fs::{self, File},
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use crate::{cmd::Process, debian};

/// Debian 12 has it with QEMU, later ones by itself.
const PROGRAMS: [&str; 2] = ["/usr/lib/qemu/virtiofsd", "/usr/libexec/virtiofsd"];
const DEADLINE: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(20);

/// Installs virtiofsd where QEMU came without it.
pub(super) fn ensure() -> Result<()> {
    if program().is_none() {
        debian::install("virtiofsd", &["virtiofsd"])?;
    }
    Ok(())
}

fn program() -> Option<&'static str> {
    PROGRAMS.into_iter().find(|path| Path::new(path).is_file())
}

/// Serves all files to the guest that connects to the socket, until the value ends.
pub(super) fn serve(socket: &Path) -> Result<Process> {
    let program = program().context("virtiofsd is missing after its installation")?;
    // One that was killed leaves it.
    let _ = fs::remove_file(socket);
    let log = socket.with_extension("log");
    let said = File::create(&log).with_context(|| format!("creating {}", log.display()))?;
    let mut command = Command::new(program);
    command.arg(format!("--socket-path={}", socket.display()));
    command.args(["-o", "source=/", "-o", "sandbox=chroot", "-o", "cache=always", "-o", "xattr"]);
    command.stdin(Stdio::null()).stdout(said.try_clone()?).stderr(said);
    let mut process = Process(command.spawn().context("starting virtiofsd")?);
    let deadline = Instant::now() + DEADLINE;
    while !socket.exists() {
        let is_over = process.0.try_wait().context("waiting for virtiofsd")?.is_some();
        if is_over || Instant::now() > deadline {
            let said = fs::read_to_string(&log).unwrap_or_default();
            bail!("virtiofsd does not serve: {}", said.trim_end());
        }
        thread::sleep(POLL);
    }
    Ok(process)
}
