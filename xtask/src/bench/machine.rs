//! Tells on which machine the figures were taken: they mean little without it.

use std::{fs, path::Path, process::Command, thread};

use crate::{cmd, docker};

/// One line about kernel, processor and Docker.
pub(super) fn describe() -> String {
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let model = fs::read_to_string("/proc/cpuinfo").ok();
    let model = model.as_deref().and_then(cpu_model).unwrap_or("processor of unknown model");
    let cores = thread::available_parallelism().map_or(0, usize::from);
    let memory = fs::read_to_string("/proc/meminfo").ok();
    let gibibytes = memory.as_deref().and_then(total_kib).unwrap_or(0) >> 20;
    let ask =
        ["info", "--format", "Docker {{.ServerVersion}}, {{.Driver}}, cgroup v{{.CgroupVersion}}"];
    let docker = cmd::output(docker::docker().args(ask)).unwrap_or_default();
    let revision = cmd::output(
        Command::new("git")
            .current_dir(crate::paths::root())
            .args(["describe", "--always", "--dirty"]),
    );
    format!(
        "Machine: Linux {}; {model}, {cores} cores, {gibibytes} GiB; {}. Plimsoll at {}.",
        kernel.trim(),
        docker.trim(),
        revision.as_deref().unwrap_or("an unknown revision").trim(),
    )
}

/// Whether agents run beside the one that is measured, of which the user is told: what they cost
/// is in every figure.
pub(super) fn is_disturbed(measured: Option<u32>) -> bool {
    let others = other_agents(measured);
    if !others.is_empty() {
        super::progress(&format!("other agents run, which disturbs: processes {others:?}"));
    }
    !others.is_empty()
}

fn other_agents(measured: Option<u32>) -> Vec<u32> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .filter(|process| is_agent(&process.path()))
        .filter_map(|process| process.file_name().to_str()?.parse().ok())
        .filter(|&process| Some(process) != measured)
        .collect()
}

fn is_agent(process: &Path) -> bool {
    fs::read_to_string(process.join("cmdline")).is_ok_and(|line| runs_agent(&line))
}

/// By a command line as the kernel gives it, with a zero behind each word.
fn runs_agent(line: &str) -> bool {
    let mut words = line.split('\0');
    let program = words.next().and_then(|path| path.rsplit('/').next()).unwrap_or_default();
    program.starts_with("plimsoll") && words.next() == Some("run")
}

fn cpu_model(cpuinfo: &str) -> Option<&str> {
    let line = cpuinfo.lines().find(|line| line.starts_with("model name"))?;
    line.split_once(": ").map(|(_, model)| model.trim())
}

fn total_kib(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_is_known_by_its_command_line() {
        assert!(runs_agent("/usr/bin/plimsoll\0run\0-o\0none\0"));
        assert!(!runs_agent("plimsoll\0events\0") && !runs_agent("vim\0plimsoll\0run\0"));
    }

    #[test]
    fn the_model_is_that_of_the_first_processor() {
        let text = "processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\nflags\t: a\nmodel name\t: B\n";
        assert_eq!(cpu_model(text), Some("Some CPU @ 2 GHz"));
        assert_eq!(cpu_model("processor: 0\n"), None);
    }

    #[test]
    fn the_memory_is_read_from_its_line() {
        assert_eq!(total_kib("MemTotal:       24684652 kB\nMemFree: 1 kB\n"), Some(24_684_652));
        assert_eq!(total_kib(""), None);
    }
}
