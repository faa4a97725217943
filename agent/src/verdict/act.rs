//! What an observation says was done, in the terms of the rules.

use plimsoll_ebpf::{
    events::{
        exec::Exec,
        exec_map::ExecMap,
        file_change::{FileChange, op},
        file_write::{self, FileWrite},
        privilege::{self, Privilege},
    },
    layer,
    record::flags,
    rules::{self, Rule},
};

use crate::attribution::{inspect::DOCKER_INIT, observation::Observation};

/// Set-user-id and set-group-id (`include/uapi/linux/stat.h`).
const SETID: u64 = 0o6000;

/// Directories in which images keep programs and libraries.
const PROGRAM_DIRS: [&[u8]; 13] = [
    b"/bin/",
    b"/sbin/",
    b"/lib/",
    b"/lib32/",
    b"/lib64/",
    b"/usr/bin/",
    b"/usr/sbin/",
    b"/usr/lib/",
    b"/usr/lib32/",
    b"/usr/lib64/",
    b"/usr/local/bin/",
    b"/usr/local/sbin/",
    b"/usr/local/lib/",
];

/// A rule that was broken, and by what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Breach<'a> {
    /// The rule.
    pub rule: Rule,
    /// The program, script or file.
    pub path: &'a [u8],
    /// Code of the layer it lies in.
    pub layer: u8,
}

/// The rules that an observation breaks, whatever is decided about them: the worst first.
pub fn breach<'a>(observation: &Observation<'a>) -> Option<Breach<'a>> {
    let record = &observation.record;
    if let Some((exec, tail)) = record.read::<Exec>() {
        return of_exec(observation, &exec, tail.get(exec.path), tail.get(exec.script));
    }
    if let Some((map, tail)) = record.read::<ExecMap>() {
        let path = tail.get(map.path);
        let layer = observation.layer_of(map.layer, path);
        let rule = rules::of_library(layer, map.flags, is_changed(map.flags))?;
        return Some(Breach { rule, path, layer });
    }
    if let Some((write, tail)) = record.read::<FileWrite>() {
        let path = tail.get(write.path);
        let layer = observation.layer_of(write.layer, path);
        let is_setid = write.op == file_write::op::CREATE && u64::from(write.mode) & SETID != 0;
        let rule = if is_setid {
            Rule::SetuidMade
        } else if write.mode == 0 {
            // Only its name is known.
            of_name(op::TRUNCATE, layer, path)?
        } else {
            rules::of_write(layer, write.mode)?
        };
        return Some(Breach { rule, path, layer });
    }
    if let Some((privilege, _)) = record.read::<Privilege>() {
        let is_meant = matches!(
            privilege.op,
            privilege::op::BPF
                | privilege::op::MODULE
                | privilege::op::SIGNAL_AGENT
                | privilege::op::PTRACE_AGENT
        );
        let (path, layer) = (b"".as_slice(), layer::code::UNKNOWN);
        return is_meant.then_some(Breach { rule: Rule::AgentAttacked, path, layer });
    }
    let (change, tail) = record.read::<FileChange>()?;
    let names = [tail.get(change.path), tail.get(change.to)];
    of_change(observation, &change, if op::has_text(change.op) { [names[0], b""] } else { names })
}

fn is_changed(bits: u32) -> bool {
    bits & flags::CONTENT_CHANGED != 0
}

fn of_exec<'a>(
    observation: &Observation<'a>,
    exec: &Exec,
    path: &'a [u8],
    script: &'a [u8],
) -> Option<Breach<'a>> {
    let layer = observation.layer_of(exec.layer, path);
    let is_dockers = exec.layer == layer::code::MOUNT && path == DOCKER_INIT;
    if let Some(rule) = rules::of_program(layer, exec.flags, is_changed(exec.flags))
        && !is_dockers
    {
        // Refused before its interpreter was looked for, a script is still the program.
        let rule = if exec.flags & flags::SCRIPT != 0 { Rule::ForeignScript } else { rule };
        return Some(Breach { rule, path, layer });
    }
    if script.is_empty() {
        return None;
    }
    let layer = observation.layer_of(exec.script_layer, script);
    let rule = rules::of_script(layer, 0, exec.flags & flags::SCRIPT_CHANGED != 0)?;
    Some(Breach { rule, path: script, layer })
}

fn of_change<'a>(
    observation: &Observation<'a>,
    change: &FileChange,
    names: [&'a [u8]; 2],
) -> Option<Breach<'a>> {
    let is_setid = change.op == op::CHMOD && change.number & SETID != 0;
    let mut worst: Option<Breach<'a>> = None;
    // Of a link, only what it adds changes anything.
    let names = if change.op == op::LINK { [b"".as_slice(), names[1]] } else { names };
    for path in names.into_iter().filter(|path| !path.is_empty()) {
        let layer = observation.layer_of(change.layer, path);
        let rule = if is_setid { Some(Rule::SetuidMade) } else { of_name(change.op, layer, path) };
        let Some(rule) = rule else { continue };
        let breach = Breach { rule, path, layer };
        if worst.is_none_or(|worst| worst.rule.info().severity < rule.info().severity) {
            worst = Some(breach);
        }
    }
    worst
}

/// The rule that a change of a name breaks. Where the file is not known, its place tells a program.
fn of_name(op: u8, layer: u8, path: &[u8]) -> Option<Rule> {
    let rule = rules::of_write(layer, 0)?;
    let takes_place = matches!(op, op::RENAME | op::UNLINK | op::TRUNCATE | op::SYMLINK | op::LINK);
    let is_program = PROGRAM_DIRS.iter().any(|dir| path.starts_with(dir));
    Some(if takes_place && is_program { Rule::ImageProgramChanged } else { rule })
}
