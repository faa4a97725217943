//! A virtual machine that runs one command on the host's files, and its end.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail};

use super::{fetch::Fetched, initramfs, kernels::Kernel, virtiofs};
use crate::{
    cmd::{self, Process},
    debian, paths, say,
};

/// Where virtiofsd serves the host's files, seen from the guest's directory.
const SOCKET: &str = "virtiofsd.socket";
/// How often a guest is started that dies before its command ends.
const TRIES: u32 = 2;
/// Lines of a dead guest's console that are shown.
const TAIL: usize = 30;
/// How `timeout` tells that it ended what it ran.
const TIMED_OUT: i32 = 124;

/// What a guest is to do.
pub(super) struct Job<'a> {
    /// Run by bash, in the root of the workspace.
    pub(super) command: &'a str,
    /// The directory that it may write to, and the host sees; what is in it is removed.
    pub(super) out: &'a Path,
    /// The images of a dockerd that is to be there.
    pub(super) images: Option<&'a Path>,
    /// The agent that tests run, in the guest's `PLIMSOLL_BIN`.
    pub(super) agent: &'a Path,
    /// More for the kernel's command line.
    pub(super) append: &'a str,
    pub(super) memory_mib: u32,
    /// How long it may take, from the first instruction on.
    pub(super) limit: Duration,
}

/// Where what a guest writes on its console is kept.
pub(super) fn log(kernel: &Kernel) -> PathBuf {
    paths::made().join("vm").join(format!("{}.log", kernel.name))
}

/// Installs what guests are made with.
pub(super) fn ensure() -> Result<()> {
    if !cmd::is_root() {
        bail!("a guest reads all files of this host: run this command as root");
    }
    debian::install("QEMU", &["qemu-system-x86", "qemu-system-common"])?;
    virtiofs::ensure()
}

/// Boots the kernel, runs the command and returns its exit code. An emulated machine dies of itself
/// at times: it is given another try.
pub(super) fn run(kernel: &Kernel, fetched: &Fetched, job: &Job<'_>) -> Result<i32> {
    for _ in 0..TRIES {
        match boot(kernel, fetched, job)? {
            End::Code(code) => return Ok(code),
            End::Died => {}
            End::TimedOut => {
                let (seconds, log) = (job.limit.as_secs(), log(kernel));
                let log = log.display();
                bail!("not done within {seconds} s: give it more with --timeout, or look at {log}");
            }
        }
    }
    bail!("the guest died {TRIES} times: look at the end of {}", log(kernel).display())
}

/// How a guest ended.
pub(super) enum End {
    /// Its command ended with this code.
    Code(i32),
    /// Before its command did. The end of its console was shown.
    Died,
    /// At the limit.
    TimedOut,
}

/// Boots the kernel once, and runs the command.
pub(super) fn boot(kernel: &Kernel, fetched: &Fetched, job: &Job<'_>) -> Result<End> {
    let (out, log) = (job.out, log(kernel));
    let work = paths::made().join("vm/work").join(&kernel.name);
    fs::create_dir_all(&work).with_context(|| format!("creating {}", work.display()))?;
    let lock = File::create(work.join("lock")).context("creating the lock")?;
    if lock.try_lock().is_err() {
        bail!("a guest of this kernel runs already: end it, or take another kernel");
    }
    if out.exists() {
        fs::remove_dir_all(out).context("removing what the last guest left")?;
    }
    fs::create_dir_all(out).with_context(|| format!("creating {}", out.display()))?;
    let files = [("settings", settings(kernel, fetched, job)), ("command", job.command.to_owned())];
    let first_files = initramfs::build(fetched, &work, &files)?;
    let _files = virtiofs::serve(&work.join(SOCKET))?;
    let mut machine =
        Process(qemu(kernel, fetched, job, &work, &first_files).spawn().context("starting QEMU")?);
    let console = machine.0.stdout.take().context("QEMU has no output")?;
    follow(console, &kernel.name, &log)?;
    let status = machine.0.wait().context("waiting for QEMU")?;
    if let Ok(code) = fs::read_to_string(out.join("exit")) {
        return code.trim().parse().map(End::Code).context("reading the exit code");
    }
    if status.code() == Some(TIMED_OUT) {
        return Ok(End::TimedOut);
    }
    show_end(kernel, status, &log);
    Ok(End::Died)
}

/// Shows how a guest died, and the last lines of its console.
fn show_end(kernel: &Kernel, status: ExitStatus, log: &Path) {
    let name = &kernel.name;
    say(&format!("{name}: the guest died ({status}); the end of its console:"));
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    for line in &lines[lines.len().saturating_sub(TAIL)..] {
        say(&format!("{name}| {line}"));
    }
}

/// What the scripts in the guest read, as a shell does.
fn settings(kernel: &Kernel, fetched: &Fetched, job: &Job<'_>) -> String {
    let modules = fetched.root.join("lib/modules");
    let values = [
        ("kernel", kernel.name.as_str()),
        ("out", &job.out.to_string_lossy()),
        ("modules", &modules.to_string_lossy()),
        ("directory", &paths::root().to_string_lossy()),
        ("binary", &job.agent.to_string_lossy()),
        ("images", &job.images.unwrap_or(Path::new("")).to_string_lossy()),
    ]
    .map(|(name, value)| format!("{name}='{}'\n", value.replace('\'', r"'\''")));
    values.concat()
}

fn qemu(
    kernel: &Kernel,
    fetched: &Fetched,
    job: &Job<'_>,
    work: &Path,
    first_files: &Path,
) -> Command {
    let memory = job.memory_mib;
    let mut command = Command::new("timeout");
    // In this process group, so that Ctrl-C reaches it.
    command.arg("--foreground").arg(job.limit.as_secs().to_string()).arg("qemu-system-x86_64");
    // Without cx16: QEMU 7.2 breaks that instruction, and with it the kernel's allocator. Without
    // erms: it copies byte by byte where the kernel counts on more.
    command.args(["-accel", "tcg,thread=multi", "-cpu", "max,-cx16,-erms", "-smp", "2"]);
    command.args(["-m", &format!("{memory}M"), "-numa", "node,memdev=memory"]);
    // virtiofsd reads and writes the guest's memory.
    command.args(["-object", &format!("memory-backend-memfd,id=memory,size={memory}M,share=on")]);
    command.arg("-chardev").arg(format!("socket,id=host,path={}", work.join(SOCKET).display()));
    command.args(["-device", "vhost-user-fs-pci,chardev=host,tag=host"]);
    command.args(["-display", "none", "-vga", "none", "-monitor", "none", "-serial", "stdio"]);
    command.args(["-nic", "none", "-no-reboot"]);
    command.arg("-kernel").arg(&fetched.image).arg("-initrd").arg(first_files);
    // A panic ends the machine, and a processor that is stuck for two minutes is one. The timer is
    // late where the host is busy. Programs lie where they lay before: what QEMU made of their
    // code serves again, which halves the time that a container takes to start. Docker would look
    // for the tools of AppArmor and a policy of SELinux.
    let fixed = "console=ttyS0 quiet panic=-1 softlockup_panic=1 watchdog_thresh=60 \
        no_timer_check norandmaps apparmor=0 selinux=0";
    command.args(["-append", &format!("{fixed} {} {}", kernel.cmdline, job.append)]);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    command
}

/// Shows what the guest writes, and keeps it.
fn follow(console: impl Read, name: &str, log: &Path) -> Result<()> {
    let mut kept = File::create(log).with_context(|| format!("creating {}", log.display()))?;
    let mut console = BufReader::new(console);
    let mut line = Vec::new();
    while console.read_until(b'\n', &mut line).context("reading the guest's console")? > 0 {
        let text = plain(&line);
        writeln!(kept, "{text}").context("writing the guest's log")?;
        // Whoever reads this may have gone; the guest goes on.
        let _ = writeln!(std::io::stdout(), "{name}| {text}");
        line.clear();
    }
    Ok(())
}

/// A line without what is for terminals only: control characters, and sequences that end in a letter.
fn plain(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    let mut parts = text.trim_end().split("\x1b[");
    let first = parts.next().unwrap_or_default();
    let rest = parts.map(|it| it.split_once(|c: char| c.is_alphabetic()).map_or("", |it| it.1));
    let shown = std::iter::once(first).chain(rest).collect::<String>();
    shown.chars().filter(|it| !it.is_control() || *it == '\t').collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_console_is_kept_without_what_drives_a_terminal() {
        assert_eq!(plain(b"\x1b[1;2mone\ttwo\x1b[0m\r\n"), "one\ttwo");
        assert_eq!(plain(b"\x1bcone\r\n"), "cone");
    }
}
