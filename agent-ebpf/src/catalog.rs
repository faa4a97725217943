//! The one list of events, and what user space may ask of each.

use zerocopy::FromBytes;

use crate::{
    events::{
        accept::Accept, alert::Alert, connect::Connect, container::Container, dns::Dns, exec::Exec,
        exec_map::ExecMap, exit::Exit, file_change::FileChange, file_write::FileWrite, fork::Fork,
        gap::Gap, listen::Listen, privilege::Privilege, volume::Volume,
    },
    record::{HEADER_BYTES, Header, Tail, Wire},
    rules::Class,
    value::{Value, ValueType},
};

/// Every event, in the order of the documentation.
pub static CATALOG: &[Kind] = &[
    Kind::of::<Exec>(),
    Kind::of::<Fork>(),
    Kind::of::<Exit>(),
    Kind::of::<FileWrite>(),
    Kind::of::<FileChange>(),
    Kind::of::<ExecMap>(),
    Kind::of::<Connect>(),
    Kind::of::<Listen>(),
    Kind::of::<Accept>(),
    Kind::of::<Dns>(),
    Kind::of::<Privilege>(),
    Kind::of::<Volume>(),
    Kind::of::<Alert>(),
    Kind::of::<Container>(),
    Kind::of::<Gap>(),
];

/// What an event's file states about it.
pub trait EventType: Wire {
    /// Used in output, queries, configuration, metrics and documentation.
    const NAME: &'static str;
    /// One sentence.
    const SUMMARY: &'static str;
    /// The kernel programs that raise it in the tracepoint tier; empty for the agent's own.
    const PROBES: &'static [Probe];
    /// Its fields, beyond those that every observation has.
    const FIELDS: &'static [Field<Self>];
}

/// Name, type and meaning of a field.
#[derive(Debug, PartialEq, Eq)]
pub struct FieldInfo {
    /// Dotted name, as in JSON and queries.
    pub name: &'static str,
    /// Type of its values.
    pub value: ValueType,
    /// Whether the baseline learns it.
    pub learned: bool,
    /// One sentence.
    pub doc: &'static str,
}

/// A field of the event `E`.
pub struct Field<E: 'static> {
    info: FieldInfo,
    get: for<'a> fn(&E, Tail<'a>) -> Option<Value<'a>>,
}

impl<E> Field<E> {
    /// A field that is part of the behaviour the baseline learns.
    pub const fn learned(
        name: &'static str,
        value: ValueType,
        doc: &'static str,
        get: for<'a> fn(&E, Tail<'a>) -> Option<Value<'a>>,
    ) -> Self {
        let info = FieldInfo { name, value, learned: true, doc };
        Self { info, get }
    }

    /// A field that is recorded but not learned.
    pub const fn noted(
        name: &'static str,
        value: ValueType,
        doc: &'static str,
        get: for<'a> fn(&E, Tail<'a>) -> Option<Value<'a>>,
    ) -> Self {
        let info = FieldInfo { name, value, learned: false, doc };
        Self { info, get }
    }
}

/// A kernel program and where it is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Name of the program in the object.
    pub program: &'static str,
    /// Where it is attached.
    pub hook: Hook,
    /// Whether the agent refuses to start without it.
    pub required: bool,
}

/// A place in the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Hook {
    /// A tracepoint with typed arguments (`tp_btf`).
    Tracepoint(&'static str),
    /// Where the program at a typed tracepoint leaves off: an entry of the map `FOLLOW_UPS`.
    FollowUp(&'static str, u32),
    /// A hook of the root cgroup.
    Cgroup(CgroupHook),
    /// A hook of the kernel's security modules, where `bpf` is one of them.
    Lsm(&'static str),
}

/// The hooks of a cgroup that are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CgroupHook {
    /// `connect`, `sendmsg`, `bind` on IPv4 and IPv6 sockets.
    SockAddr,
    /// `socket`, where it makes an IPv4 or IPv6 socket.
    Sock,
    /// Packets leaving.
    Egress,
    /// Packets arriving.
    Ingress,
}

impl Probe {
    /// A program without which the agent has no use.
    pub const fn required(program: &'static str, hook: Hook) -> Self {
        Self { program, hook, required: true }
    }

    /// A program whose hook not every kernel has.
    pub const fn optional(program: &'static str, hook: Hook) -> Self {
        Self { program, hook, required: false }
    }
}

/// Programs that serve all events rather than one.
pub const SHARED_PROBES: &[Probe] = &[
    Probe::required("on_cgroup_mkdir", Hook::Tracepoint("cgroup_mkdir")),
    Probe::required("on_cgroup_rmdir", Hook::Tracepoint("cgroup_rmdir")),
    Probe::required("on_cgroup_attach", Hook::Tracepoint("cgroup_attach_task")),
    Probe::required("guard_socket", Hook::Cgroup(CgroupHook::Sock)),
];

/// Programs that refuse acts before they take effect, and the class of the rules they hold.
pub const GUARDS: &[(Class, Probe)] = &[
    (Class::Exec, Probe::optional("guard_exec", Hook::Lsm("bprm_check_security"))),
    (Class::Exec, Probe::optional("guard_map", Hook::Lsm("mmap_file"))),
    (Class::Exec, Probe::optional("guard_protect", Hook::Lsm("file_mprotect"))),
    (Class::File, Probe::optional("guard_open", Hook::Lsm("file_open"))),
    (Class::File, Probe::optional("guard_mknod", Hook::Lsm("path_mknod"))),
    (Class::File, Probe::optional("guard_mkdir", Hook::Lsm("path_mkdir"))),
    (Class::File, Probe::optional("guard_rmdir", Hook::Lsm("path_rmdir"))),
    (Class::File, Probe::optional("guard_unlink", Hook::Lsm("path_unlink"))),
    (Class::File, Probe::optional("guard_symlink", Hook::Lsm("path_symlink"))),
    (Class::File, Probe::optional("guard_link", Hook::Lsm("path_link"))),
    (Class::File, Probe::optional("guard_rename", Hook::Lsm("path_rename"))),
    (Class::File, Probe::optional("guard_truncate", Hook::Lsm("path_truncate"))),
    (Class::File, Probe::optional("guard_chmod", Hook::Lsm("path_chmod"))),
    (Class::File, Probe::optional("guard_chown", Hook::Lsm("path_chown"))),
];

/// Programs that refuse what a container does in the network, and raise events or not.
pub const NETWORK_GUARDS: &[&str] = &[
    "on_connect4",
    "on_connect6",
    "on_sendmsg4",
    "on_sendmsg6",
    "on_bind4",
    "on_bind6",
    "guard_socket",
];

/// The one program at system call exit, which raises several events.
pub const SYS_EXIT: Probe = Probe::required("on_sys_exit", Hook::Tracepoint("sys_exit"));

/// The one program at `io_uring` submission, which raises several events.
pub const IO_URING: Probe =
    Probe::optional("on_io_uring_submit", Hook::Tracepoint("io_uring_submit_req"));

/// Receives a field's index in its event, the field and its value.
pub type Visit<'v, 'a> = dyn FnMut(usize, &'static FieldInfo, Value<'a>) + 'v;

/// An [`EventType`] with its Rust type erased, so that events can be listed and looked up.
pub struct Kind {
    /// [`Wire::KIND`]
    pub number: u16,
    /// [`EventType::NAME`]
    pub name: &'static str,
    /// [`EventType::SUMMARY`]
    pub summary: &'static str,
    /// [`EventType::PROBES`]
    pub probes: &'static [Probe],
    body_bytes: usize,
    fields: fn() -> Vec<&'static FieldInfo>,
    visit: for<'a> fn(&'a [u8], &mut Visit<'_, 'a>),
}

impl Kind {
    const fn of<E: EventType>() -> Self {
        Self {
            number: E::KIND,
            name: E::NAME,
            summary: E::SUMMARY,
            probes: E::PROBES,
            body_bytes: size_of::<E>(),
            fields: || E::FIELDS.iter().map(|field| &field.info).collect(),
            visit: visit::<E>,
        }
    }

    /// The event's place in [`CATALOG`].
    pub fn index(&'static self) -> usize {
        CATALOG.iter().position(|kind| std::ptr::eq(kind, self)).unwrap_or_default()
    }

    /// The event with this number.
    pub fn by_number(number: u16) -> Option<&'static Self> {
        CATALOG.iter().find(|kind| kind.number == number)
    }

    /// The event with this name.
    pub fn by_name(name: &str) -> Option<&'static Self> {
        CATALOG.iter().find(|kind| kind.name == name)
    }

    /// The event's own fields, in the order in which they are visited.
    pub fn fields(&self) -> Vec<&'static FieldInfo> {
        (self.fields)()
    }
}

fn visit<'a, E: EventType>(body: &'a [u8], visit: &mut Visit<'_, 'a>) {
    let Ok((event, tail)) = E::read_from_prefix(body) else { return };
    for (index, field) in E::FIELDS.iter().enumerate() {
        if let Some(value) = (field.get)(&event, Tail(tail)) {
            visit(index, &field.info, value);
        }
    }
}

/// One record of the catalogue, checked for length, its fields still unread.
#[derive(Clone, Copy)]
pub struct Record<'a> {
    /// The frame.
    pub header: Header,
    /// Which event it is.
    pub kind: &'static Kind,
    body: &'a [u8],
}

/// Why bytes are no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// Fewer bytes than the header announces or the event needs.
    Truncated,
    /// No event has this number; signals are told apart before.
    UnknownKind(u16),
}

impl DecodeError {
    /// The reason as it stands in metrics and gap records.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Truncated => "truncated",
            Self::UnknownKind(_) => "unknown_kind",
        }
    }
}

/// Reads the header of a ring entry and returns what follows it, cut to the announced size.
pub fn split(entry: &[u8]) -> Result<(Header, &[u8]), DecodeError> {
    let (header, _) = Header::read_from_prefix(entry).map_err(|_| DecodeError::Truncated)?;
    let body = entry.get(HEADER_BYTES..header.size as usize).ok_or(DecodeError::Truncated)?;
    Ok((header, body))
}

impl<'a> Record<'a> {
    /// Reads one ring entry.
    pub fn decode(entry: &'a [u8]) -> Result<Self, DecodeError> {
        let (header, body) = split(entry)?;
        Self::from_parts(header, body)
    }

    /// Joins a header with the body and tail that follow it.
    pub fn from_parts(header: Header, body: &'a [u8]) -> Result<Self, DecodeError> {
        let kind = Kind::by_number(header.kind).ok_or(DecodeError::UnknownKind(header.kind))?;
        if body.len() < kind.body_bytes {
            return Err(DecodeError::Truncated);
        }
        Ok(Self { header, kind, body })
    }

    /// The event and its tail, as bytes.
    pub const fn body(&self) -> &'a [u8] {
        self.body
    }

    /// Calls `visit` with each field that has a value.
    pub fn visit(&self, visit: &mut Visit<'_, 'a>) {
        (self.kind.visit)(self.body, visit);
    }

    /// The event itself and its tail, for the stages that truly need the type.
    pub fn read<E: EventType>(&self) -> Option<(E, Tail<'a>)> {
        if E::KIND != self.header.kind {
            return None;
        }
        E::read_from_prefix(self.body).ok().map(|(event, tail)| (event, Tail(tail)))
    }
}

/// Builds a record's bytes the way the kernel side does, for the agent's own events.
pub fn encode<B: Wire>(mut header: Header, body: B, tail: &[u8]) -> Vec<u8> {
    header.kind = B::KIND;
    header.count = header.count.max(1);
    header.size = (HEADER_BYTES + size_of::<B>() + tail.len()) as u32;
    [zerocopy::IntoBytes::as_bytes(&header), body.as_bytes(), tail].concat()
}

/// Collects texts into a tail.
#[derive(Debug, Default)]
pub struct TailBuilder {
    bytes: Vec<u8>,
}

impl TailBuilder {
    /// Appends a text, cut so that the tail never outgrows what a [`crate::record::Span`] can name.
    pub fn push(&mut self, text: &[u8]) -> crate::record::Span {
        let room = usize::from(u16::MAX) - self.bytes.len();
        let text = &text[..text.len().min(room)];
        let span = crate::record::Span { offset: self.bytes.len() as u16, len: text.len() as u16 };
        self.bytes.extend_from_slice(text);
        span
    }

    /// The collected bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;
    use crate::events::file_write;

    fn sample() -> Vec<u8> {
        let mut tail = TailBuilder::default();
        let path = tail.push(b"/etc/passwd");
        let body = FileWrite { path, op: file_write::op::CREATE, ..FileWrite::default() };
        encode(Header { pid: 7, ..Header::default() }, body, tail.bytes())
    }

    #[test]
    fn a_record_reads_back() {
        let bytes = sample();
        let record = Record::decode(&bytes).expect("decodes");
        let mut seen = Vec::new();
        record.visit(&mut |_, field, value| seen.push(format!("{}={value}", field.name)));
        assert!(seen.contains(&"file.path=/etc/passwd".to_owned()), "{seen:?}");
        assert!(seen.contains(&"file.op=create".to_owned()), "{seen:?}");
        assert_eq!(record.header.pid, 7);
    }

    #[test]
    fn short_entries_are_errors_at_every_length() {
        let bytes = sample();
        for length in 0..bytes.len() {
            assert_eq!(
                Record::decode(&bytes[..length]).err(),
                Some(DecodeError::Truncated),
                "at {length} bytes"
            );
        }
    }

    #[test]
    fn a_size_that_ends_inside_the_body_is_an_error() {
        let mut bytes = sample();
        bytes[44..48].copy_from_slice(&50u32.to_ne_bytes());
        assert_eq!(Record::decode(&bytes).err(), Some(DecodeError::Truncated));
    }

    #[test]
    fn numbers_and_names_are_unique() {
        let numbers: HashSet<u16> = CATALOG.iter().map(|kind| kind.number).collect();
        let names: HashSet<&str> = CATALOG.iter().map(|kind| kind.name).collect();
        assert_eq!((numbers.len(), names.len()), (CATALOG.len(), CATALOG.len()));
    }

    #[test]
    fn one_field_name_has_one_type() {
        let mut types = std::collections::HashMap::new();
        for field in CATALOG.iter().flat_map(Kind::fields) {
            let known = *types.entry(field.name).or_insert(field.value);
            assert_eq!(known, field.value, "{}", field.name);
        }
    }

    #[test]
    fn every_text_is_one_sentence() {
        let docs = CATALOG.iter().flat_map(|kind| {
            std::iter::once(kind.summary).chain(kind.fields().into_iter().map(|field| field.doc))
        });
        for doc in docs {
            assert!(doc.ends_with('.') && doc.starts_with(char::is_uppercase), "{doc}");
        }
    }

    #[test]
    fn every_event_has_something_to_learn_or_is_the_agents_own() {
        for kind in CATALOG {
            let learns = kind.fields().iter().any(|field| field.learned);
            let lineage = ["exec", "fork", "exit"].contains(&kind.name);
            assert!(learns || lineage || kind.probes.is_empty(), "{}", kind.name);
        }
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            if let Ok(record) = Record::decode(&bytes) {
                record.visit(&mut |_, _, value| { let _ = value.to_string(); });
            }
        }

        #[test]
        fn a_true_header_over_a_random_body_never_panics(
            kind in 0..CATALOG.len(),
            body in proptest::collection::vec(any::<u8>(), 0..600),
        ) {
            let kind = CATALOG[kind].number;
            let header = Header { kind, size: (HEADER_BYTES + body.len()) as u32, ..Header::default() };
            let bytes = [zerocopy::IntoBytes::as_bytes(&header), &body].concat();
            if let Ok(record) = Record::decode(&bytes) {
                record.visit(&mut |_, _, value| { let _ = value.to_string(); });
            }
        }
    }
}
