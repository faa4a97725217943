//! The record that a stored observation came from, made anew of its fields.

use std::net::IpAddr;

use plimsoll_ebpf::{
    catalog::{TailBuilder, encode},
    events::{
        accept::Accept,
        connect::Connect,
        container::Container,
        dns::Dns,
        exec::Exec,
        exec_map::ExecMap,
        exit::Exit,
        file_change::{self, FileChange},
        file_write::{self, FileWrite},
        fork::Fork,
        gap::Gap,
        listen::Listen,
        privilege::{self, Privilege},
    },
    layer::{self, code},
    record::{Header, flags},
    value::Value,
};

/// Bytes of arguments that the kernel side keeps.
const ARGUMENT_BYTES: usize = 4096;

/// Gives the value of a field by its name.
pub type Get<'g, 'a> = dyn Fn(&str) -> Option<Value<'a>> + 'g;

/// The record of an observation with these fields, as far as a later stage asks for it; `None` for
/// what the agent told of other observations, and for events of another version.
pub fn record(get: &Get<'_, '_>, header: Header) -> Option<Vec<u8>> {
    Some(match text(get, "kind") {
        b"exec" => exec(get, header),
        b"exec_map" => exec_map(get, header),
        b"file_write" => file_write(get, header),
        b"file_change" => file_change(get, header),
        b"connect" => connect(get, header),
        b"listen" => listen(get, header),
        b"accept" => accept(get, header),
        b"privilege" => privilege(get, header),
        b"container" => container(get, header),
        b"gap" => gap(get, header),
        // Nobody looks into these once they are attributed.
        b"fork" => encode(header, Fork::default(), b""),
        b"exit" => encode(header, Exit::default(), b""),
        b"dns" => encode(header, Dns::default(), b""),
        _ => return None,
    })
}

fn exec(get: &Get<'_, '_>, header: Header) -> Vec<u8> {
    let mut texts = TailBuilder::default();
    let refused = text(get, "exec.path");
    let path = if refused.is_empty() { text(get, "proc.exe") } else { refused };
    // It is stored that the path or the arguments were too long, and arguments that were are as long
    // as what is kept of them.
    let arguments = if let Some(Value::List(args)) = get("proc.args") { args.len() } else { 0 };
    let is_cut = bit(get, "exec.truncated", 1) != 0 && arguments + 1 < ARGUMENT_BYTES;
    let body = Exec {
        path: texts.push(path),
        script: texts.push(text(get, "exec.script")),
        caps: number(get, "exec.caps"),
        layer: layer(get, "exec.layer"),
        script_layer: layer(get, "exec.script_layer"),
        flags: bit(get, "exec.unlinked", flags::UNLINKED)
            | bit(get, "exec.detached", flags::DETACHED)
            | bit(get, "exec.changed", flags::CONTENT_CHANGED)
            | bit(get, "exec.input_socket", flags::INPUT_SOCKET)
            | bit(get, "exec.script_changed", flags::SCRIPT_CHANGED)
            | if refused.is_empty() { 0 } else { flags::REFUSED }
            | if is_cut { flags::PATH_TRUNCATED } else { 0 },
        ..Exec::default()
    };
    encode(header, body, texts.bytes())
}

fn exec_map(get: &Get<'_, '_>, header: Header) -> Vec<u8> {
    let mut texts = TailBuilder::default();
    let body = ExecMap {
        path: texts.push(text(get, "file.path")),
        layer: layer(get, "file.layer"),
        flags: bit(get, "file.changed", flags::CONTENT_CHANGED)
            | bit(get, "file.unlinked", flags::UNLINKED),
        ..ExecMap::default()
    };
    encode(header, body, texts.bytes())
}

fn file_write(get: &Get<'_, '_>, header: Header) -> Vec<u8> {
    use file_write::op;
    let mut texts = TailBuilder::default();
    let is_created = text(get, "file.op") == op::name(op::CREATE).as_bytes();
    let body = FileWrite {
        path: texts.push(text(get, "file.path")),
        layer: layer(get, "file.layer"),
        mode: number(get, "file.mode") as u32,
        flags: path_flags(get),
        op: if is_created { op::CREATE } else { op::WRITE },
        ..FileWrite::default()
    };
    encode(header, body, texts.bytes())
}

/// Both names of a change lie in one mount, or the kernel would have refused it: the layer that is
/// stored is that of either.
fn file_change(get: &Get<'_, '_>, header: Header) -> Vec<u8> {
    use file_change::op;
    let mut texts = TailBuilder::default();
    let told = text(get, "file.op");
    let is_told = |op: &u8| op::name(*op).as_bytes() == told;
    let body = FileChange {
        path: texts.push(text(get, "file.path")),
        to: texts.push(text(get, "file.to")),
        layer: layer(get, "file.layer"),
        number: number(get, "file.mode"),
        flags: path_flags(get)
            | bit(get, "file.unreadable", flags::PATH_UNREADABLE)
            | bit(get, "file.directory", flags::DIRECTORY),
        op: (op::RENAME..=op::REMOVE_XATTR).find(is_told).unwrap_or_default(),
        ..FileChange::default()
    };
    encode(header, body, texts.bytes())
}

fn connect(get: &Get<'_, '_>, header: Header) -> Vec<u8> {
    let (address, port) = (address(get, "net.raddr"), port(get, "net.rport"));
    let body = Connect { address, port, protocol: protocol(get), ..Connect::default() };
    encode(header, body, b"")
}

fn listen(get: &Get<'_, '_>, header: Header) -> Vec<u8> {
    let (address, port) = (address(get, "net.laddr"), port(get, "net.lport"));
    let body = Listen { address, port, protocol: protocol(get), ..Listen::default() };
    encode(header, body, b"")
}

fn accept(get: &Get<'_, '_>, header: Header) -> Vec<u8> {
    let body = Accept {
        peer: address(get, "net.raddr"),
        address: address(get, "net.laddr"),
        peer_port: port(get, "net.rport"),
        port: port(get, "net.lport"),
        ..Accept::default()
    };
    encode(header, body, b"")
}

fn privilege(get: &Get<'_, '_>, header: Header) -> Vec<u8> {
    let mut texts = TailBuilder::default();
    let told = text(get, "priv.op");
    let is_told = |op: &u8| privilege::op::name(*op).as_bytes() == told;
    let op = (privilege::op::CAPABILITY..=privilege::op::EXECUTABLE_MEMORY).find(is_told);
    let capability = std::str::from_utf8(text(get, "priv.cap")).ok();
    let body = Privilege {
        op: op.unwrap_or_default(),
        capability: capability.and_then(privilege::capability).unwrap_or_default(),
        number: number(get, "priv.number"),
        path: texts.push(text(get, "priv.path")),
        to: texts.push(text(get, "priv.to")),
        result: signed(get, "ret"),
        ..Privilege::default()
    };
    encode(header, body, texts.bytes())
}

fn container(get: &Get<'_, '_>, header: Header) -> Vec<u8> {
    let mut texts = TailBuilder::default();
    let exit_code = get("container.exit_code").map(|_| number(get, "container.exit_code"));
    let body = Container {
        op: texts.push(text(get, "container.op")),
        command: texts.push(text(get, "container.command")),
        exit_code: exit_code.and_then(|it| it.try_into().ok()).unwrap_or(u32::MAX),
        ..Container::default()
    };
    encode(header, body, texts.bytes())
}

fn gap(get: &Get<'_, '_>, header: Header) -> Vec<u8> {
    let mut texts = TailBuilder::default();
    let body = Gap {
        lost: number(get, "gap.lost"),
        reason: texts.push(text(get, "gap.reason")),
        of: texts.push(text(get, "gap.of")),
        ..Gap::default()
    };
    encode(header, body, texts.bytes())
}

fn path_flags(get: &Get<'_, '_>) -> u32 {
    bit(get, "file.truncated", flags::PATH_TRUNCATED)
        | bit(get, "file.as_given", flags::PATH_AS_GIVEN)
}

fn protocol(get: &Get<'_, '_>) -> u8 {
    let told = std::str::from_utf8(text(get, "net.proto")).unwrap_or_default();
    Connect::protocol_by_name(told).unwrap_or_default()
}

/// Mapped into IPv6; none where it does not read.
pub fn address(get: &Get<'_, '_>, name: &str) -> [u8; 16] {
    let told = match get(name) {
        Some(Value::Address(address)) => Some(address),
        Some(Value::Text(text)) => std::str::from_utf8(text).ok().and_then(|it| it.parse().ok()),
        _ => None,
    };
    match told {
        Some(IpAddr::V4(it)) => it.to_ipv6_mapped().octets(),
        Some(IpAddr::V6(it)) => it.octets(),
        None => [0; 16],
    }
}

fn port(get: &Get<'_, '_>, name: &str) -> u16 {
    match get(name) {
        Some(Value::Port(port)) => port,
        _ => number(get, name).try_into().unwrap_or_default(),
    }
}

fn signed(get: &Get<'_, '_>, name: &str) -> i64 {
    match get(name) {
        Some(Value::Signed(number)) => number,
        _ => number(get, name).try_into().unwrap_or_default(),
    }
}

/// Text, a path or a label; empty where there is none.
pub fn text<'a>(get: &Get<'_, 'a>, name: &str) -> &'a [u8] {
    match get(name) {
        Some(Value::Text(text) | Value::Path(text)) => text,
        Some(Value::Label(label)) => label.as_bytes(),
        _ => b"",
    }
}

/// A number; 0 where there is none.
pub fn number(get: &Get<'_, '_>, name: &str) -> u64 {
    if let Some(Value::Number(number)) = get(name) { number } else { 0 }
}

fn bit(get: &Get<'_, '_>, name: &str, bit: u32) -> u32 {
    if get(name) == Some(Value::Flag(true)) { bit } else { 0 }
}

/// The code of a layer by its name.
fn layer(get: &Get<'_, '_>, name: &str) -> u8 {
    let told = text(get, name);
    let is_told = |code: &u8| layer::name(*code).as_bytes() == told;
    (code::UNKNOWN..=code::VOLUME).find(is_told).unwrap_or(code::UNKNOWN)
}
