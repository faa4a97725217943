//! What an observation says was done, in the terms of the rules.

use plimsoll_ebpf::{
    catalog::Record,
    events::{
        connect::Connect,
        container::Container as Lifecycle,
        exec::Exec,
        exec_map::ExecMap,
        file_change::{FileChange, SETID, op},
        file_write::{self, FileWrite},
        listen::Listen,
        privilege::{self, Privilege},
        volume::Volume,
    },
    layer,
    record::{Tail, flags},
    rules::{self, Rule, outcome},
};

use super::{kernel_settings, own::Own, process_memory};
use crate::{
    attribution::{
        image_names::{is_place_of_programs, takes_place},
        inspect::is_docker_init,
        observation::Observation,
    },
    baseline::program,
    policy::{peers::Endpoint, place::Object},
};

/// A rule that was broken, and by what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Breach<'a> {
    /// The rule.
    pub rule: Rule,
    /// The program, script or file, or the peer.
    pub object: Object<'a>,
    /// Code of the layer it lies in.
    pub layer: u8,
    /// Whether more or other names belong to the path than are there: no exception covers it.
    pub is_unsure: bool,
}

impl<'a> Breach<'a> {
    const fn of_file(rule: Rule, path: &'a [u8], layer: u8) -> Self {
        Self { rule, object: Object::Path(path), layer, is_unsure: false }
    }

    const fn of_peer(rule: Rule, endpoint: Endpoint) -> Self {
        let object = Object::Peer(endpoint);
        Self { rule, object, layer: layer::code::UNKNOWN, is_unsure: false }
    }

    /// The program, script or file; empty where it is about none.
    pub const fn path(&self) -> &'a [u8] {
        match self.object {
            Object::Path(path) => path,
            Object::Peer(_) => b"",
        }
    }
}

/// The rules that an observation breaks, whatever is decided about them: the worst first.
pub fn breaches<'a>(
    observation: &Observation<'a>,
    own: &Own,
) -> impl Iterator<Item = Breach<'a>> + use<'a> {
    let record = observation.record;
    let all = match record.read::<Exec>() {
        Some((exec, tail)) => of_exec(observation, &exec, tail),
        None => [breach(observation, own), None, None],
    };
    // Most observations break none.
    all.into_iter().flatten().map(move |it| Breach { is_unsure: has_unsure_path(&record), ..it })
}

/// Whether a path is not known well enough to be compared with an exception's. One that the caller gave
/// is: of changes of names there is no other.
pub(super) fn has_unsure_path(record: &Record<'_>) -> bool {
    let bits = [
        record.read::<Exec>().map(|(it, _)| it.flags),
        record.read::<ExecMap>().map(|(it, _)| it.flags),
        record.read::<FileWrite>().map(|(it, _)| it.flags),
        record.read::<FileChange>().map(|(it, _)| it.flags),
    ];
    let bits = bits.into_iter().flatten().next().unwrap_or_default();
    bits & flags::PATH_UNSURE & !flags::PATH_AS_GIVEN != 0
}

/// The rule that anything but the start of a program breaks.
fn breach<'a>(observation: &Observation<'a>, own: &Own) -> Option<Breach<'a>> {
    let record = &observation.record;
    if let Some((map, tail)) = record.read::<ExecMap>() {
        let path = tail.get(map.path);
        let layer = observation.layer_of(map.layer, path);
        let rule = rules::of_library(layer, map.flags, is_changed(map.flags))?;
        return Some(Breach::of_file(rule, path, layer));
    }
    if let Some((write, tail)) = record.read::<FileWrite>() {
        let path = tail.get(write.path);
        if own.is_touched(observation, path, write.flags) {
            return Some(Breach::of_file(Rule::AgentAttacked, path, write.layer));
        }
        let layer = observation.layer_of(write.layer, path);
        let is_setid = write.op == file_write::op::CREATE && u64::from(write.mode) & SETID != 0;
        let rule = if kernel_settings::has(layer, path) {
            Rule::KernelSettingWritten
        } else if process_memory::is(layer, path) {
            Rule::ProcessMemoryWritten
        } else if is_setid {
            Rule::SetuidMade
        } else if write.mode == 0 {
            // Only its name is known.
            of_name(op::TRUNCATE, layer, path)?
        } else {
            rules::of_write(layer, write.mode)?
        };
        return Some(Breach::of_file(rule, path, layer));
    }
    if let Some((connect, _)) = record.read::<Connect>() {
        let rule = rules::of_peer(words(connect.address))?;
        let Connect { address, port, protocol, .. } = connect;
        return Some(Breach::of_peer(rule, Endpoint { address, port, protocol }));
    }
    if let Some((listen, _)) = record.read::<Listen>() {
        return of_listener(observation, &listen);
    }
    if let Some((privilege, tail)) = record.read::<Privilege>() {
        if privilege.op == privilege::op::RAW_SOCKET {
            let is_made = privilege.result >= 0 || record.header.outcome == outcome::DENIED;
            return is_made.then_some(Breach::of_peer(Rule::RawSocket, Endpoint::UNJUDGED));
        }
        let names = [privilege.path, privilege.to].map(|name| tail.get(name));
        return of_privilege(observation, &privilege, names, own);
    }
    let (change, tail) = record.read::<FileChange>()?;
    let names = [tail.get(change.path), tail.get(change.to)];
    if let Some(path) =
        names.into_iter().find(|path| own.is_touched(observation, path, change.flags))
    {
        return Some(Breach::of_file(Rule::AgentAttacked, path, change.layer));
    }
    of_change(observation, &change, if op::has_text(change.op) { [names[0], b""] } else { names })
}

/// An address as the kernel side holds it.
fn words(address: [u8; 16]) -> [u32; 4] {
    [0, 4, 8, 12].map(|at| {
        u32::from_ne_bytes([address[at], address[at + 1], address[at + 2], address[at + 3]])
    })
}

/// What the image announces is its own.
fn of_listener<'a>(observation: &Observation<'a>, listen: &Listen) -> Option<Breach<'a>> {
    let Listen { address, port, protocol, .. } = *listen;
    let rule = rules::of_listener(words(address), port)?;
    let is_announced = observation.container.is_some_and(|it| it.announces(port, protocol));
    let endpoint = Endpoint { address, port, protocol };
    (!is_announced).then_some(Breach::of_peer(rule, endpoint))
}

/// The peer that an observation is about, or the address at which peers are waited for.
pub fn endpoint(observation: &Observation<'_>) -> Option<Endpoint> {
    if let Some((Connect { address, port, protocol, .. }, _)) = observation.record.read::<Connect>()
    {
        return Some(Endpoint { address, port, protocol });
    }
    if let Some((Volume { address, port, protocol, .. }, _)) = observation.record.read::<Volume>() {
        // Without a port nobody knows whom an exception would be for.
        return (port != 0).then_some(Endpoint { address, port, protocol });
    }
    let (Listen { address, port, protocol, .. }, _) = observation.record.read::<Listen>()?;
    Some(Endpoint { address, port, protocol })
}

/// The kernel's programs and its modules, as an exception names them.
pub(super) const KERNEL_PROGRAMS: &[u8] = b"/kernel/bpf";
pub(super) const KERNEL_MODULES: &[u8] = b"/kernel/module";

/// What is meant for the agent, or for the kernel's programs, and what leads out of the container.
fn of_privilege<'a>(
    observation: &Observation<'a>,
    privilege: &Privilege,
    [path, to]: [&'a [u8]; 2],
    own: &Own,
) -> Option<Breach<'a>> {
    use privilege::op;
    // The runtime mounts and enters namespaces for a container before it runs.
    let is_done = privilege.result >= 0 && observation.record.header.setup == 0;
    let (rule, object) = match privilege.op {
        op::BPF => (Rule::AgentAttacked, KERNEL_PROGRAMS),
        op::MODULE => (Rule::AgentAttacked, KERNEL_MODULES),
        op::SIGNAL_AGENT | op::PTRACE_AGENT | op::AGENT_SOCKET => {
            (Rule::AgentAttacked, b"".as_slice())
        }
        op::UMOUNT if own.is_unmounted(observation, path) => (Rule::AgentAttacked, path),
        // Calls that only prepare a mount name no place for it.
        op::MOUNT if is_done && !to.is_empty() => (Rule::MountMade, to),
        op::SETNS if is_done => (Rule::NamespaceEntered, b"/namespace".as_slice()),
        _ => return None,
    };
    if rule == Rule::AgentAttacked && own.is_by_own(observation) {
        return None;
    }
    Some(Breach::of_file(rule, object, layer::code::UNKNOWN))
}

/// The rules that a container breaks as a whole when something happens to it: by what it was given,
/// once it starts, and by a network that it joins later.
pub fn breaches_of_container<'a>(observation: &Observation<'a>, own: &Own) -> Vec<Breach<'a>> {
    let Some((event, tail)) = observation.record.read::<Lifecycle>() else { return Vec::new() };
    let breach = |rule, object| Breach::of_file(rule, object, layer::code::UNKNOWN);
    match tail.get(event.op) {
        b"start" => {
            // What the agent itself was given, it was given by whoever reads this.
            let container = observation.container.filter(|it| !own.is_started_as(it));
            let grants = container.map(|it| &it.grants[..]).unwrap_or_default();
            grants.iter().map(|it| breach(it.rule, it.object.as_bytes())).collect()
        }
        b"network_connect" => vec![breach(Rule::NetworkJoined, tail.get(event.command))],
        _ => Vec::new(),
    }
}

fn is_changed(bits: u32) -> bool {
    bits & flags::CONTENT_CHANGED != 0
}

/// Of a program, of what it reads its orders from, and of its script.
fn of_exec<'a>(
    observation: &Observation<'a>,
    exec: &Exec,
    tail: Tail<'a>,
) -> [Option<Breach<'a>>; 3] {
    let (path, script) = (tail.get(exec.path), tail.get(exec.script));
    let layer = observation.layer_of(exec.layer, path);
    let is_dockers = exec.layer == layer::code::MOUNT && is_docker_init(path);
    let of_program = rules::of_program(layer, exec.flags, is_changed(exec.flags));
    let program = of_program.filter(|_| !is_dockers).map(|rule| {
        // Refused before its interpreter was looked for, a script is still the program.
        let rule = if exec.flags & flags::SCRIPT != 0 { Rule::ForeignScript } else { rule };
        Breach::of_file(rule, path, layer)
    });
    let obeys =
        exec.flags & flags::INPUT_SOCKET != 0 && program::obeys_input(path, tail.get(exec.args));
    let input = obeys.then(|| Breach::of_file(Rule::ReverseShell, path, layer));
    let script_layer = observation.layer_of(exec.script_layer, script);
    let of_script = rules::of_script(script_layer, 0, exec.flags & flags::SCRIPT_CHANGED != 0);
    let script = of_script
        .filter(|_| !script.is_empty())
        .map(|rule| Breach::of_file(rule, script, script_layer));
    [program, input, script]
}

fn of_change<'a>(
    observation: &Observation<'a>,
    change: &FileChange,
    names: [&'a [u8]; 2],
) -> Option<Breach<'a>> {
    // On a directory the bits mean something harmless: whose group what is made there is of.
    let is_file = change.flags & flags::DIRECTORY == 0;
    let is_setid = match change.op {
        op::CHMOD => change.number & SETID != 0 && is_file,
        op::MKNOD => rules::gives_rights(change.number),
        _ => false,
    };
    let mut worst: Option<Breach<'a>> = None;
    // Of a link, only what it adds changes anything.
    let names = if change.op == op::LINK { [b"".as_slice(), names[1]] } else { names };
    for path in names.into_iter().filter(|path| !path.is_empty()) {
        let layer = observation.layer_of(change.layer, path);
        let rule = if is_setid { Some(Rule::SetuidMade) } else { of_name(change.op, layer, path) };
        let Some(rule) = rule else { continue };
        let breach = Breach::of_file(rule, path, layer);
        // Who replaces a program makes up the name that it has before.
        let is_replaced = rule == Rule::ImageProgramChanged;
        let severity = rule.info().severity;
        if worst
            .is_none_or(|it| it.rule.info().severity < severity || it.rule == rule && is_replaced)
        {
            worst = Some(breach);
        }
    }
    worst
}

/// The rule that a change of a name breaks. Its place tells a program, where the file is the image's: what
/// the container made itself it may replace.
fn of_name(op: u8, layer: u8, path: &[u8]) -> Option<Rule> {
    let rule = rules::of_write(layer, 0)?;
    let is_of_image = matches!(layer, layer::code::IMAGE | layer::code::COPIED_UP);
    let is_changed = is_of_image && takes_place(op) && is_place_of_programs(path);
    Some(if is_changed { Rule::ImageProgramChanged } else { rule })
}
