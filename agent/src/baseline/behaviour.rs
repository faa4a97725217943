//! What an observation says was done, as the normalised keys that are learned.

use std::{fmt::Write as _, sync::Arc};

use plimsoll_ebpf::{
    events::{
        connect::Connect,
        exec::Exec,
        file_change::{FileChange, op},
        file_write::{self, FileWrite},
        listen::Listen,
        privilege::{self, Privilege},
    },
    layer::code,
    record::flags,
    rules,
    value::{Value, address},
};

use super::{
    arguments::vector,
    dimension::{Context, Dimension},
    learned::MOST_KEY,
    peer, program, shield,
    write::{Write, class_of, of_write},
};
use crate::attribution::{
    container::Container,
    inspect::is_docker_init,
    observation::Observation,
    process::{Origin, Process},
};

/// Arguments that the kernel side keeps, in bytes.
const MOST_ARGUMENTS: usize = 4096;

/// A behaviour. It borrows from what is written anew for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Behaviour<'a> {
    /// What it is about.
    pub dimension: Dimension,
    /// Of a path, who writes it how and where; else empty.
    pub scope: &'a str,
    /// The key, or the path.
    pub key: &'a str,
    /// How it may be learned.
    pub learning: Learning,
    /// The program, file or privilege, as an exception names it; empty for peers and ports.
    pub object: &'a str,
    /// Code of the layer of a file.
    pub layer: u8,
}

impl<'a> Behaviour<'a> {
    /// That of addressing a peer.
    pub(super) const fn of_peer(key: &'a str) -> Self {
        Self {
            dimension: Dimension::Peer,
            scope: "",
            key,
            learning: Learning::AsTemplate,
            object: "",
            layer: code::UNKNOWN,
        }
    }
}

/// How a behaviour may be learned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Learning {
    /// As part of a template.
    AsTemplate,
    /// By its own key alone.
    AsItIs,
    /// The same, and what is done so is worse than most.
    Shielded,
    /// Not at all.
    Never,
}

/// Texts that are written anew for each observation.
#[derive(Debug, Default)]
pub struct Scratch {
    pub(super) scope: String,
    pub(super) key: String,
    pub(super) object: String,
    pub(super) arguments: String,
}

/// Hands each behaviour of an observation to `take`, the most telling first; ends when it returns
/// `false`.
pub fn behaviours(
    observation: &Observation<'_>,
    context: Context,
    scratch: &mut Scratch,
    take: &mut dyn FnMut(Behaviour<'_>) -> bool,
) {
    let Scratch { scope, key, object, arguments } = scratch;
    for text in [&mut *scope, &mut *key, &mut *object, arguments] {
        text.clear();
    }
    let record = &observation.record;
    let (Some(container), process) = (observation.container, observation.process) else { return };
    if let Some((exec, tail)) = record.read::<Exec>() {
        if let Some(process) = process {
            let script = tail.get(exec.script);
            if of_exec(&exec, script, process, context, scratch, take) {
                of_arguments(&exec, process, scratch, take);
            }
        }
    } else if let Some((write, tail)) = record.read::<FileWrite>() {
        let act = Write {
            op: "write",
            path: tail.get(write.path),
            is_whole: write.flags & flags::PATH_TRUNCATED == 0,
            layer: observation.layer_of(write.layer, tail.get(write.path)),
            created_mode: if write.op == file_write::op::CREATE { write.mode } else { 0 },
        };
        of_write(&act, container, process, scratch, take);
    } else if let Some((change, tail)) = record.read::<FileChange>() {
        let name = if matches!(change.op, op::RENAME | op::LINK) && change.to.len > 0 {
            change.to
        } else {
            change.path
        };
        let act = Write {
            op: class_of(change.op),
            path: tail.get(name),
            is_whole: change.flags & (flags::PATH_TRUNCATED | flags::PATH_UNREADABLE) == 0,
            layer: observation.layer_of(change.layer, tail.get(name)),
            created_mode: 0,
        };
        of_write(&act, container, process, scratch, take);
    } else if let Some((listen, _)) = record.read::<Listen>() {
        of_listener(&listen, container, process, scratch, take);
    } else if let Some((connect, _)) = record.read::<Connect>() {
        peer::push_key(key, &connect, address(connect.address), observation.peer_name);
        take(Behaviour::of_peer(key));
    } else if let Some((used, _)) = record.read::<Privilege>() {
        of_privilege(observation, &used, process, scratch, take);
    }
}

/// Whether an exec makes its process, and all that descends from it, one that nothing is learned
/// of: its program or script is not the image's, nor what whoever started the container gave it to
/// begin with.
pub fn is_foreign(observation: &Observation<'_>) -> bool {
    let Some((exec, tail)) = observation.record.read::<Exec>() else { return false };
    let (path, script) = (tail.get(exec.path), tail.get(exec.script));
    if exec.layer == code::MOUNT && is_docker_init(path) {
        return false;
    }
    let is_changed = |bit| exec.flags & bit != 0;
    let layer = observation.layer_of(exec.layer, path);
    let program = rules::of_program(layer, exec.flags, is_changed(flags::CONTENT_CHANGED));
    let script_layer = observation.layer_of(exec.script_layer, script);
    let of_script = rules::of_script(script_layer, 0, is_changed(flags::SCRIPT_CHANGED));
    let is_given = |layer, path| {
        let (container, process) = (observation.container, observation.process);
        container.zip(process).is_some_and(|(it, process)| it.has_given(process, layer, path))
    };
    program.is_some() && !is_given(layer, path)
        || of_script.is_some() && !is_given(script_layer, script)
}

/// Returns whether its arguments are to be looked at: that it runs, and by whose doing, may be learned
/// and is not told.
fn of_exec(
    exec: &Exec,
    script: &[u8],
    process: &Process,
    context: Context,
    scratch: &mut Scratch,
    take: &mut dyn FnMut(Behaviour<'_>) -> bool,
) -> bool {
    let Scratch { scope, key, object, .. } = scratch;
    program::push_invocation(key, &process.exe, &process.args);
    if !script.is_empty() {
        key.push(' ');
        key.push_str(&String::from_utf8_lossy(script));
    }
    let ran = if script.is_empty() { &process.exe } else { script };
    object.push_str(&String::from_utf8_lossy(ran));
    if script.is_empty() {
        program::push_applet(object, &process.exe, &process.args);
    }
    let is_never = shield::is_never_learned(key, context);
    let is_whole = exec.flags & flags::PATH_TRUNCATED == 0;
    let learning = if is_never || !is_whole { Learning::Never } else { Learning::AsItIs };
    let behaviour = |dimension, key| Behaviour {
        dimension,
        scope: "",
        key,
        learning,
        object,
        layer: exec.layer,
    };
    if !take(behaviour(Dimension::Process, key)) {
        return false;
    }
    // Hops within one program say nothing: a shell that starts a shell.
    let parent = process.lineage.ancestors.iter().find(|it| it.exe != process.exe);
    match (parent, process.origin) {
        (Some(parent), _) => scope.push_str(&String::from_utf8_lossy(&parent.exe)),
        (None, Origin::Init) => scope.push_str("(container)"),
        (None, Origin::Exec) => scope.push_str("(session)"),
        (None, Origin::Health) => scope.push_str("(health check)"),
        (None, Origin::Unknown) => return false,
    }
    // What somebody starts in a session is not the image's to say, beyond which program it is.
    if parent.is_none() && process.origin == Origin::Exec {
        return false;
    }
    scope.push_str(" > ");
    scope.push_str(key);
    take(behaviour(Dimension::Lineage, scope)) && learning != Learning::Never
}

/// What a program is given by the one that starts it.
fn of_arguments(
    exec: &Exec,
    process: &Process,
    scratch: &mut Scratch,
    take: &mut dyn FnMut(Behaviour<'_>) -> bool,
) {
    let Scratch { scope, object, arguments, .. } = scratch;
    // What was stored has no mark of its own for arguments that are cut.
    let is_cut =
        exec.flags & flags::ARGS_TRUNCATED != 0 || process.args.len() + 1 >= MOST_ARGUMENTS;
    if !vector::are_judged(process)
        || !vector::push(arguments, &process.exe, &process.args, is_cut)
        || scope.len() + arguments.len() > MOST_KEY
    {
        return;
    }
    take(Behaviour {
        dimension: Dimension::Arguments,
        scope,
        key: arguments,
        learning: Learning::AsTemplate,
        object,
        layer: exec.layer,
    });
}

fn of_listener(
    listen: &Listen,
    container: &Container,
    process: Option<&Arc<Process>>,
    scratch: &mut Scratch,
    take: &mut dyn FnMut(Behaviour<'_>) -> bool,
) {
    let Scratch { scope, key, object, .. } = scratch;
    let protocol = peer::protocol(listen.protocol);
    let is_loopback = address(listen.address).to_canonical().is_loopback();
    key.push_str(protocol);
    if is_loopback {
        key.push_str(" loopback");
    }
    if container.announces(listen.port, listen.protocol) {
        let _ = write!(key, " {}", listen.port);
    } else {
        peer::push_port(key, listen.port);
    }
    if let Some(process) = process {
        key.push(' ');
        program::push_name(key, &process.exe, &process.args);
    }
    take(Behaviour {
        dimension: Dimension::Listener,
        scope,
        key,
        learning: Learning::AsItIs,
        object,
        layer: code::UNKNOWN,
    });
}

fn of_privilege(
    observation: &Observation<'_>,
    used: &Privilege,
    process: Option<&Arc<Process>>,
    scratch: &mut Scratch,
    take: &mut dyn FnMut(Behaviour<'_>) -> bool,
) {
    let Scratch { scope, key, object, .. } = scratch;
    // A capability that was looked for and not there changes nothing.
    if used.op == privilege::op::CAPABILITY && used.result < 0 {
        return;
    }
    match process {
        Some(process) => program::push_name(key, &process.exe, &process.args),
        None => key.push_str("(unknown)"),
    }
    object.push('/');
    observation.record.visit(&mut |_, field, value| {
        if let ("priv.op" | "priv.cap", Value::Label(name)) = (field.name, value) {
            key.push(' ');
            key.push_str(name);
            object.push_str(if field.name == "priv.cap" { "/" } else { "" });
            object.push_str(name);
        }
    });
    let is_never = shield::is_unlearnable_privilege(used.op);
    take(Behaviour {
        dimension: Dimension::Privilege,
        scope,
        key,
        learning: if is_never { Learning::Never } else { Learning::AsItIs },
        object,
        layer: code::UNKNOWN,
    });
}
