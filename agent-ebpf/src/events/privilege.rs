//! `privilege`: a process used, or tried to use, a privilege of the kernel.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::record::{Span, Wire};

/// Codes of `op`.
pub mod op {
    /// A capability was checked.
    pub const CAPABILITY: u8 = 1;
    /// `ptrace`
    pub const PTRACE: u8 = 2;
    /// `mount`, `move_mount`, `fsmount`, `open_tree`
    pub const MOUNT: u8 = 3;
    /// `umount2`
    pub const UMOUNT: u8 = 4;
    /// `setns`
    pub const SETNS: u8 = 5;
    /// `unshare`
    pub const UNSHARE: u8 = 6;
    /// `init_module`, `finit_module`, `delete_module`
    pub const MODULE: u8 = 7;
    /// `bpf`
    pub const BPF: u8 = 8;
    /// `io_uring_setup`
    pub const IO_URING_SETUP: u8 = 9;
    /// `pivot_root`, `chroot`
    pub const CHROOT: u8 = 10;
    /// `process_vm_readv`, `process_vm_writev`
    pub const PROCESS_MEMORY: u8 = 11;
    /// `perf_event_open`
    pub const PERF: u8 = 12;
    /// `setuid` and its kin
    pub const SETUID: u8 = 13;
    /// `userfaultfd`
    pub const USERFAULTFD: u8 = 14;
    /// `kexec_load`, `kexec_file_load`, `reboot`
    pub const REBOOT: u8 = 15;
    /// `keyctl`
    pub const KEYCTL: u8 = 16;
    /// `socket`, where it asks for whole packets, or for a protocol whose peers are not seen
    pub const RAW_SOCKET: u8 = 17;

    /// `setgid` and its kin, `setgroups`
    pub const SETGID: u8 = 18;
    /// `capset`
    pub const CAPSET: u8 = 19;
    /// `clone` into new namespaces
    pub const CLONE: u8 = 20;
    /// `clone3` into new namespaces
    pub const CLONE3: u8 = 21;
    /// `pidfd_getfd`
    pub const PIDFD_GETFD: u8 = 22;
    /// `iopl`, `ioperm`
    pub const IO_PORTS: u8 = 23;
    /// A signal to the agent, or an attempt to send one
    pub const SIGNAL_AGENT: u8 = 24;
    /// `ptrace`, where the agent is meant
    pub const PTRACE_AGENT: u8 = 25;

    /// A connection to the agent's socket, which the agent tells itself
    pub const AGENT_SOCKET: u8 = 26;

    /// `mmap`, `mprotect` of memory that is no file's, to be executed
    pub const EXECUTABLE_MEMORY: u8 = 27;

    /// The name of a code.
    #[cfg(not(target_arch = "bpf"))]
    pub const fn name(op: u8) -> &'static str {
        match op {
            CAPABILITY => "capability",
            PTRACE => "ptrace",
            MOUNT => "mount",
            UMOUNT => "umount",
            SETNS => "setns",
            UNSHARE => "unshare",
            MODULE => "module_load",
            BPF => "bpf",
            IO_URING_SETUP => "io_uring_setup",
            CHROOT => "chroot",
            PROCESS_MEMORY => "process_memory",
            PERF => "perf_event_open",
            SETUID => "setuid",
            USERFAULTFD => "userfaultfd",
            REBOOT => "reboot",
            KEYCTL => "keyctl",
            RAW_SOCKET => "raw_socket",
            SETGID => "setgid",
            CAPSET => "capset",
            CLONE | CLONE3 => "clone",
            PIDFD_GETFD => "pidfd_getfd",
            IO_PORTS => "io_ports",
            SIGNAL_AGENT => "signal_agent",
            PTRACE_AGENT => "ptrace_agent",
            AGENT_SOCKET => "agent_socket",
            EXECUTABLE_MEMORY => "executable_memory",
            _ => "unknown",
        }
    }
}

/// Raised after each system call, whether or not it succeeded; capabilities once per window.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct Privilege {
    /// What the call returned; negative numbers are errors.
    pub result: i64,
    /// The call's telling argument: request, flags, command.
    pub number: u64,
    /// A path the call was given.
    pub path: Span,
    /// A second path the call was given.
    pub to: Span,
    /// Code of [`op`].
    pub op: u8,
    /// Number of the capability, for [`op::CAPABILITY`].
    pub capability: u8,
    /// Zero.
    pub reserved: [u8; 6],
}

impl Wire for Privilege {
    const KIND: u16 = 11;
}

#[cfg(not(target_arch = "bpf"))]
mod meaning {
    use super::{Privilege, op};
    use crate::{
        catalog::{EventType, Field, Hook, Probe, SYS_EXIT},
        value::{Value, ValueType},
    };

    /// Names of the capabilities by number (`include/uapi/linux/capability.h`).
    const CAPABILITIES: [&str; 41] = [
        "CHOWN",
        "DAC_OVERRIDE",
        "DAC_READ_SEARCH",
        "FOWNER",
        "FSETID",
        "KILL",
        "SETGID",
        "SETUID",
        "SETPCAP",
        "LINUX_IMMUTABLE",
        "NET_BIND_SERVICE",
        "NET_BROADCAST",
        "NET_ADMIN",
        "NET_RAW",
        "IPC_LOCK",
        "IPC_OWNER",
        "SYS_MODULE",
        "SYS_RAWIO",
        "SYS_CHROOT",
        "SYS_PTRACE",
        "SYS_PACCT",
        "SYS_ADMIN",
        "SYS_BOOT",
        "SYS_NICE",
        "SYS_RESOURCE",
        "SYS_TIME",
        "SYS_TTY_CONFIG",
        "MKNOD",
        "LEASE",
        "AUDIT_WRITE",
        "AUDIT_CONTROL",
        "SETFCAP",
        "MAC_OVERRIDE",
        "MAC_ADMIN",
        "SYSLOG",
        "WAKE_ALARM",
        "BLOCK_SUSPEND",
        "AUDIT_READ",
        "PERFMON",
        "BPF",
        "CHECKPOINT_RESTORE",
    ];

    /// The number of a capability by its name, without `CAP_`.
    pub fn capability(name: &str) -> Option<u8> {
        CAPABILITIES.iter().position(|it| *it == name).and_then(|it| it.try_into().ok())
    }

    impl EventType for Privilege {
        const NAME: &'static str = "privilege";
        const SUMMARY: &'static str = "A process used, or tried to use, a privilege of the kernel.";
        const PROBES: &'static [Probe] = &[
            SYS_EXIT,
            Probe::required("on_signal", Hook::Tracepoint("signal_generate")),
            Probe::optional("on_capability", Hook::Tracepoint("cap_capable")),
        ];
        const FIELDS: &'static [Field<Self>] = &[
            Field::learned("priv.op", ValueType::Label, "What was used.", |e, _| {
                Some(Value::Label(op::name(e.op)))
            }),
            Field::learned(
                "priv.cap",
                ValueType::Label,
                "The capability, without CAP_.",
                |e, _| {
                    (e.op == op::CAPABILITY).then(|| {
                        let name = CAPABILITIES.get(usize::from(e.capability));
                        Value::Label(name.copied().unwrap_or("unknown"))
                    })
                },
            ),
            Field::noted(
                "priv.number",
                ValueType::Number,
                "The call's telling argument: request, flags or command.",
                |e, _| (e.op != op::CAPABILITY).then_some(Value::Number(e.number)),
            ),
            Field::noted("priv.path", ValueType::Path, "A path given to the call.", |e, tail| {
                (e.path.len > 0).then(|| Value::Path(tail.get(e.path)))
            }),
            Field::noted(
                "priv.to",
                ValueType::Path,
                "A second path given to the call: the place of a mount.",
                |e, tail| (e.to.len > 0).then(|| Value::Path(tail.get(e.to))),
            ),
            Field::noted(
                "ret",
                ValueType::Signed,
                "What the call returned; negative numbers are errors.",
                |e, _| Some(Value::Signed(e.result)),
            ),
        ];
    }
}

#[cfg(not(target_arch = "bpf"))]
pub use meaning::capability;
