//! Runs other programs, and says clearly what was run when one fails.

use std::{
    os::unix::fs::MetadataExt,
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result, anyhow, bail};

/// Runs the command with this terminal, and fails unless it succeeds.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("starting `{}`", line(command)))?;
    if status.success() {
        return Ok(());
    }
    bail!("`{}` failed ({status})", line(command))
}

/// Runs the command and returns its standard output; its standard error is shown on failure only.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("starting `{}`", line(command)))?;
    if output.status.success() {
        return String::from_utf8(output.stdout)
            .with_context(|| format!("reading the output of `{}`", line(command)));
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(anyhow!("`{}` failed ({}): {}", line(command), output.status, said.trim_end()))
}

/// Whether the command starts and succeeds; it prints nothing.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Asks a process to end.
pub(crate) fn terminate(process: &Child) {
    let kill = ["-c", "kill -TERM \"$0\"", &process.id().to_string()];
    succeeds(Command::new("sh").args(kill));
}

/// A process that ends with this value.
pub(crate) struct Process(pub(crate) Child);

impl Drop for Process {
    fn drop(&mut self) {
        // Asked, not killed: some have processes of their own to end.
        if matches!(self.0.try_wait(), Ok(None)) {
            terminate(&self.0);
            let _ = self.0.wait();
        }
    }
}

/// The command as one could type it.
pub(crate) fn line(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| quoted(&word.to_string_lossy()))
        .collect::<Vec<_>>()
        .join(" ")
}

/// Cargo as it runs this program, without what `cargo run` put in the environment.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // It names the libraries of the toolchain that built xtask, which is not always the one called.
    command.env_remove("LD_LIBRARY_PATH").current_dir(crate::paths::root());
    command
}

/// Whether this process may do what only root may.
pub(crate) fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=./:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_can_be_typed_into_a_shell() {
        let mut command = Command::new("nginx");
        command.args(["-g", "daemon off;", ""]);
        assert_eq!(line(&command), "nginx -g 'daemon off;' ''");
    }

    #[test]
    fn a_failure_names_the_command_its_status_and_what_it_said() {
        let error = output(Command::new("sh").args(["-c", "echo no luck >&2; exit 3"]));
        let message = error.expect_err("it exits with 3").to_string();
        assert!(message.contains("exit status: 3") && message.ends_with("no luck"), "{message}");
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let error = run(&mut Command::new("no-such-program")).expect_err("there is none");
        assert_eq!(error.to_string(), "starting `no-such-program`");
    }
}
