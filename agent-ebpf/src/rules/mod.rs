//! The immutability rules: what a container must not do, whatever its image was seen to do.
//!
//! To add a rule: its line in the list below, and the case in which it is broken in one of the
//! functions of `judge.rs`.

mod judge;

pub use judge::{gives_rights, of_library, of_listener, of_peer, of_program, of_script, of_write};

/// What a rule is about; each has a mode of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Class {
    /// Programs, scripts and libraries that run.
    Exec = 0,
    /// Files that are written, renamed, removed.
    File = 1,
    /// Peers and ports.
    Network = 2,
}

impl Class {
    /// Every class.
    pub const ALL: [Self; 3] = [Self::Exec, Self::File, Self::Network];

    /// The name in configuration, output and documentation.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Exec => "exec",
            Self::File => "file",
            Self::Network => "network",
        }
    }
}

/// How bad it is when a rule is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Worth keeping.
    Info,
    /// Worth a look some day.
    Low,
    /// Worth a look today.
    Medium,
    /// Worth a look now.
    High,
    /// An intrusion, most likely.
    Critical,
}

impl Severity {
    /// Every severity, mildest first.
    pub const ALL: [Self; 5] = [Self::Info, Self::Low, Self::Medium, Self::High, Self::Critical];

    /// The name in output and queries.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// What is told of a rule.
#[derive(Clone, Copy, Debug)]
pub struct RuleInfo {
    /// Name in output, configuration and documentation.
    pub name: &'static str,
    /// What it is about.
    pub class: Class,
    /// How bad it is when it is broken.
    pub severity: Severity,
    /// Technique of MITRE ATT&CK.
    pub technique: &'static str,
    /// Tactic of MITRE ATT&CK.
    pub tactic: &'static str,
    /// One sentence that says what happened.
    pub summary: &'static str,
    /// One paragraph: what it means, what is harmless, what to do.
    pub doc: &'static str,
}

macro_rules! rules {
    ($(
        $number:literal $rule:ident $name:literal $class:ident $severity:ident $technique:literal $tactic:literal
        $summary:literal
        $doc:literal;
    )+) => {
        /// A rule.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Rule {
            $( #[doc = $summary] $rule = $number, )+
        }

        impl Rule {
            /// Every rule, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$( Self::$rule, )+];

            /// The rule with this number.
            pub const fn by_number(number: u8) -> Option<Self> {
                match number {
                    $( $number => Some(Self::$rule), )+
                    _ => None,
                }
            }

            /// What it is about.
            #[inline(always)]
            pub const fn class(self) -> Class {
                match self {
                    $( Self::$rule => Class::$class, )+
                }
            }

            /// What is told of it.
            pub const fn info(self) -> &'static RuleInfo {
                match self {
                    $( Self::$rule => &RuleInfo {
                        name: $name,
                        class: Class::$class,
                        severity: Severity::$severity,
                        technique: $technique,
                        tactic: $tactic,
                        summary: $summary,
                        doc: $doc,
                    }, )+
                }
            }
        }
    };
}

rules! {
    1 NewExecutable "new_executable" Exec Critical "T1105" "command-and-control"
        "A program ran that was written in this container."
        "The file is in the container's writable layer and its image has none of that name: somebody brought it or built it here. Images that install or compile at start do this; have them do it when the image is built, or allow the path for that image.";
    2 ChangedExecutable "changed_executable" Exec Critical "T1554" "persistence"
        "A program of the image ran whose content was changed in this container."
        "The image has a file of this name, and the container's writable layer holds another content for it. A mere change of owner or mode does not break this rule. A package upgrade in a running container does: deploy a new image instead.";
    3 ExecutableInTmpfs "executable_in_tmpfs" Exec Critical "T1059" "execution"
        "A program ran from memory that is mounted as a directory."
        "What lies in a tmpfs, /dev/shm among them, came after the start and leaves no trace on disk. Programs that unpack themselves there are rare; mount the tmpfs with noexec, or allow the path.";
    4 ExecutableInMemory "executable_in_memory" Exec Critical "T1620" "defense-evasion"
        "A program ran from anonymous memory that has no name anywhere."
        "The file was made by memfd_create and never had a name: the usual way to run something without leaving a file. Few services do it in earnest; some launchers seal themselves this way.";
    5 UnlinkedExecutable "unlinked_executable" Exec Critical "T1070.004" "defense-evasion"
        "A program ran whose file has been removed."
        "The file was written in this container and removed before it ran, through an open descriptor or /proc. It hides what ran from whoever looks later.";
    6 ExecutableInMount "executable_in_mount" Exec High "T1105" "command-and-control"
        "A program ran from a volume or bind mount."
        "What lies in a volume is data to the image, and others may write it. Plug-ins and hooks that are kept in a volume on purpose are to be allowed by path; for all else mount the volume with noexec.";
    7 ForeignScript "foreign_script" Exec High "T1059" "execution"
        "A script ran that the image does not contain."
        "An interpreter of the image was started by a script that was written in the container or lies in a tmpfs or volume. Hooks of version control in a volume do this too: allow those by path.";
    8 ForeignLibrary "foreign_library" Exec Critical "T1574.006" "persistence"
        "A process mapped code from a file that the image does not contain."
        "A library was loaded, or a program was run through the dynamic loader (ld.so ./program), from a file that was written in the container or lies in a tmpfs or volume. Native modules that are installed at run time do this: install them when the image is built, or allow the path.";
    9 WriteOutsideVolumes "write_outside_volumes" File Low "T1565.001" "impact"
        "A file on the container's own root file system was made, written, renamed or removed."
        "State belongs in volumes and scratch in a tmpfs; what is written elsewhere vanishes with the container and shows that the image could not run with --read-only. Services that keep logs, caches or rendered configuration on their root do it all the time: give them a tmpfs or allow the path.";
    10 ImageProgramChanged "image_program_changed" File High "T1554" "persistence"
        "A program or library of the image was opened for writing, replaced or removed."
        "Programs of an image do not change while it runs, except in a package upgrade, which belongs into a new image. Otherwise somebody plants a program under a trusted name.";
    11 SetuidMade "setuid_made" File High "T1548.001" "privilege-escalation"
        "A file was given the set-user-id or set-group-id bit."
        "Whoever runs the file gains its owner's rights. Package installations do this; nothing else has a reason to in a running container.";
    12 AgentAttacked "agent_attacked" Exec Critical "T1562.001" "defense-evasion"
        "A container's process reached for the kernel's programs or for the agent itself."
        "It tried to load programs or modules into the kernel, to kill, stop or trace the agent, to write its store, to unmount or remove its pins, or to ask it on its socket, whether or not it was let. Few services have a reason to. Tools that load programs or modules into the kernel, such as other sensors and those of the network, are to be allowed by the paths /kernel/bpf and /kernel/module; nothing allows what is meant for the agent.";
    13 ForeignPeer "foreign_peer" Network Medium "T1071" "command-and-control"
        "A process addressed a peer that is not on its container's list."
        "The list is what exceptions of this rule name: addresses, ports and protocols. Loopback is always free. Where the class is not enforced this shows what would have to be on the list; a service whose peers are few and fixed is worth one.";
    14 ForeignListener "foreign_listener" Network Medium "T1571" "command-and-control"
        "A process opened a port that its image does not announce."
        "An image announces ports by EXPOSE; others are named by exceptions of this rule. Loopback is free. A shell that waits for its master listens on a port that nobody announced; so does a service whose image announces none.";
    15 MetadataService "metadata_service" Network High "T1552.005" "credential-access"
        "A process addressed the metadata service of the cloud that the host runs in."
        "Whoever reaches it can ask for the host's own credentials. Few containers have a reason to: allow it to those, and let the others have none.";
    16 RawSocket "raw_socket" Network Medium "T1095" "command-and-control"
        "A process opened a socket past the protocols whose peers are judged."
        "Raw and packet sockets send to anybody without being asked, and so do protocols other than TCP and UDP. ping and other tools of diagnosis use them; services do not.";
    17 PrivilegedContainer "privileged_container" Exec High "T1611" "privilege-escalation"
        "A container was started with all privileges."
        "It has every capability, every device and no filter of system calls (docker run --privileged): who breaks into it has the host. Give it the capabilities and devices that it needs, one by one; where it has to be, allow it for its image.";
    18 HostNamespace "host_namespace" Exec High "T1611" "privilege-escalation"
        "A container was started in a namespace of the host."
        "With the host's processes it sees and signals them and reads their files through /proc; with the host's network it reaches what listens on the host's loopback; with its IPC, users or control groups likewise. Agents that watch a host do this on purpose: allow those.";
    19 SharedNamespace "shared_namespace" Exec Medium "T1610" "execution"
        "A container was started in a namespace of another container."
        "It shares processes, network or IPC with a neighbour, whose secrets and connections it then sees. Side cars are made so; a container that joins a service of yours and is none is somebody who looks over its shoulder.";
    20 RuntimeSocket "runtime_socket" Exec High "T1611" "privilege-escalation"
        "A container was given the socket of a container engine."
        "Whoever may ask the engine may start a privileged container, and so has the host; read-only mounts of a socket change nothing. Deployment tools and proxies need it: give them a proxy that lets through what they ask for, and allow it for that image alone.";
    21 HostPath "host_path" Exec Medium "T1611" "privilege-escalation"
        "A container was given a directory of the host that the host itself obeys."
        "The root, /etc, /proc, /sys, /dev, programs, boot files, root's home, schedules, or the engine's own data: who writes there changes the host, who reads there learns its secrets. Mount what is needed below, and read-only.";
    22 ExtraCapability "extra_capability" Exec Medium "T1548" "privilege-escalation"
        "A container was given a capability that leads out of it."
        "Of the capabilities that Docker does not give by itself, this one gives a hold on the kernel, on other processes or on the host's network or devices. plimsoll profile show tells which ones an image was seen to use.";
    23 HostDevice "host_device" Exec Medium "T1611" "privilege-escalation"
        "A container was given a device of the host."
        "A disk holds the host's files whatever is mounted, and memory holds everything. Devices made to be shared (null, random, tun, fuse, sound, graphics) are not told.";
    24 UnconfinedContainer "unconfined_container" Exec Medium "T1562.001" "defense-evasion"
        "A container was started without one of the engine's safeguards."
        "The filter of system calls, AppArmor, SELinux labels, or the masks over /proc and /sys are off, and what they kept from the kernel is open to whoever breaks in.";
    25 MountMade "mount_made" Exec High "T1611" "privilege-escalation"
        "A process mounted something."
        "A mount can show a disk of the host, hide a process, or lie over a file that others trust. Containers get their mounts from the engine before they start and have no need to make any; file servers and builders of images do, and are to be allowed.";
    26 NamespaceEntered "namespace_entered" Exec High "T1611" "privilege-escalation"
        "A process entered another namespace."
        "From inside a container this leads into another container or the host (nsenter). Tools of the network that serve other containers do it all the time; services never.";
    27 NetworkJoined "network_joined" Network Medium "T1599" "defense-evasion"
        "A running container was connected to another network."
        "Networks keep services apart, and a container in two of them is a way between. Who deploys does this when a container starts; by hand and later it is a repair, or somebody who builds that way.";
    28 ReverseShell "reverse_shell" Exec Critical "T1059.004" "execution"
        "A shell or interpreter was started whose input is a network connection."
        "Whoever is at the other end types and the container obeys: the usual end of an intrusion, by a program that called out or by a port that was left open. Servers that start a shell for each connection (inetd) do this; few are left. It is told, not stopped.";
    29 NewShell "new_shell" Exec High "T1059.004" "execution"
        "A shell ran that this image was not seen to run, or an interpreter was given its program as an argument."
        "Services are broken into to be given orders, and orders are given to a shell. It is told of what the container itself and its health check start; a shell that somebody starts by docker exec is a `new_process`. Rare branches of a program and scripts for maintenance start shells too.";
    30 NewTool "new_tool" Exec Medium "T1105" "command-and-control"
        "A program of the image that fetches, sends, unpacks, builds or traces ran, and this image was not seen to run it."
        "Downloaders, encoders, compilers, package managers, tracers and programs that carry a shell elsewhere: intruders use what is there before they bring their own. An image that needs none of them is better without.";
    31 Discovery "discovery" Exec Medium "T1082" "discovery"
        "A program of the image that looks around ran, and this image was not seen to run it."
        "Who am I, what runs here, whom does it talk to, what is there to find: the first minutes of an intrusion, and of whoever repairs something by hand.";
    32 NewProcess "new_process" Exec Medium "T1059" "execution"
        "A program of the image ran that this image was not seen to run."
        "Enough of the image is known to tell: the alert says how much, and what comes nearest. A new release does this, and so does whoever looks around after breaking in. How images are learned is in baseline.md.";
    33 NewLineage "new_lineage" Exec Medium "T1059" "execution"
        "A program started another that it was not seen to start."
        "Both are known, but not that one starts the other: a service that never ran a shell does so now. Rare branches of a program do this the first time they are taken. An exception lets any program start it.";
    34 NewWrite "new_write" File Medium "T1565.001" "impact"
        "A program wrote where it was not seen to write."
        "The place fits none of the templates that were learned of this program. Rotations, upgrades and rare tasks do this the first time; let them happen while the image is learned, or allow the path.";
    35 NewSensitiveWrite "new_sensitive_write" File High "T1546" "persistence"
        "A program wrote a file that others run or obey, and was not seen to write it."
        "A program, script, library, account, key or schedule: what is written there gains hold of what runs later. No template covers such files; each that is meant is to be seen while the image is learned, or allowed by its path.";
    36 NewListener "new_listener" Network Medium "T1571" "command-and-control"
        "A program listens on a port that it was not seen to listen on."
        "A service opens its ports when it starts, and the same ones each time. Another is a new feature, a changed configuration, or a way in that somebody left.";
    37 NewPeer "new_peer" Network Medium "T1071" "command-and-control"
        "A service addressed a peer that it was not seen to address."
        "Peers are known by the name they were looked up by, else by address. A changed configuration does this, and so does what somebody brought in and what calls home.";
    38 NewPrivilege "new_privilege" Exec Medium "T1068" "privilege-escalation"
        "A program used a privilege that it was not seen to use."
        "A capability or a system call that changes who may do what. Services use theirs when they start and few later; a container that does without can be run without.";
    39 VolumeOut "volume_out" Network High "T1048" "exfiltration"
        "A container sent far more than its service usually does."
        "In ten seconds, some minutes or an hour, or to a peer that the service never sent to before: the alert says how much, whereto, and what is usual. Backups and migrations do this the first time; so does whoever carries data away. How volumes are learned is in baseline.md.";
    40 VolumeIn "volume_in" Network Medium "T1105" "command-and-control"
        "A container received far more than its service usually does."
        "A restored backup or a new customer does this, a flood of requests, and so do tools that somebody brings along.";
    41 CpuLoad "cpu_load" Exec High "T1496" "impact"
        "A container computed more than its service usually does, and as steadily as one who mines."
        "Services compute when they are asked to, and that varies. What takes more than ever and the same amount for ten minutes is a loop without an end, a long computation, or somebody who uses the processor for himself. The alert names the program that took most.";
    42 MemoryUse "memory_use" Exec Low "T1499" "impact"
        "A container took far more memory than its service usually does."
        "A leak or a larger task does this. Besides, miners of some currencies take gigabytes, and whoever gathers data before sending it.";
    43 Pids "pids" Exec Medium "T1499" "impact"
        "A container had far more processes than its service usually does."
        "Processes and threads that multiply without end stop the whole host (a fork bomb) where no limit is set. A pool that grows with its load does this too.";
    47 RecordingStopped "recording_stopped" Exec High "T1562.006" "defense-evasion"
        "The agent cannot keep what happens on this host."
        "The disk of its store is full, or cannot be written: what containers do is still judged, stopped and told, but not remembered until there is room again; the gap is recorded then. Whoever wants no witness fills the disk first. The runbook says how to make room.";
    48 ReleaseDiff "release_diff" Exec Low "T1195.002" "initial-access"
        "A new version of an image does what the one before was not seen to do."
        "One report for each release, told a while after its first new act and again when there is more. Read it as you would read a diff: what was meant is learned; what was not is denied with `plimsoll profile deny`, or the image rolled back. What breaks another rule is told by itself.";
    49 ReplicaDiffers "replica_differs" Exec Medium "T1059" "execution"
        "One replica does much that none of the others does."
        "While an image or service is learned nothing new is told; but replicas do about the same, and one that shows far more that is new than its siblings is told at once. An elected leader does this, and so does a replica that somebody broke into: `plimsoll profile deny --container` keeps what it did from being learned.";
    50 NewArguments "new_arguments" Exec Medium "T1059" "execution"
        "A program was given arguments that it was not seen to be given."
        "The program is known, and who starts it, but not what it is told to do: a shell that ran one command is given another, a server is given another configuration. Numbers, names of hosts, identifiers and secrets do not count, and of a program given as an argument only its commands. A new task does this the first time, and so does who has a known program do his work; arguments of programs that always differ are not judged. An exception lets the program have any arguments: of a shell, better approve the profile once it knows them.";
    51 KernelSettingWritten "kernel_setting_written" File High "T1611" "privilege-escalation"
        "A process wrote a setting by which the host's kernel runs a program, or stops."
        "The handler of core dumps, of modules, of devices or of control groups that are empty runs on the host, with all rights; so does what is registered for a format of programs. Containers that prepare a host do this on purpose, such as those that register emulators: allow those. It is told, not stopped.";
    52 ProcessMemoryWritten "process_memory_written" File High "T1055.009" "defense-evasion"
        "A process opened the memory of a process to write it."
        "Through /proc/PID/mem it puts its own code into a program that runs, or changes its data: no file is written and nothing new is started. Debuggers do this; services do not, to others nor to themselves. It is told, not stopped.";
}

impl Rule {
    /// Whether it is about what a container was given as a whole, rather than what it does.
    #[cfg(not(target_arch = "bpf"))]
    pub const fn is_of_container(self) -> bool {
        matches!(
            self,
            Self::PrivilegedContainer
                | Self::HostNamespace
                | Self::SharedNamespace
                | Self::RuntimeSocket
                | Self::HostPath
                | Self::ExtraCapability
                | Self::HostDevice
                | Self::UnconfinedContainer
                | Self::NetworkJoined
        )
    }

    /// How likely it is, in percent, that one act that breaks it means something by itself.
    #[cfg(not(target_arch = "bpf"))]
    pub const fn weight(self) -> u8 {
        match (self, self.info().severity) {
            // Each is what something harmless does some day; together they seldom are.
            (Self::NewWrite | Self::NewArguments, _) => 10,
            (Self::NewLineage | Self::NewPeer, _) => 25,
            (_, Severity::Critical) => 90,
            (_, Severity::High) => 50,
            (_, Severity::Medium) => 30,
            (_, Severity::Low) => 10,
            (_, Severity::Info) => 5,
        }
    }

    /// The rule with this name.
    #[cfg(not(target_arch = "bpf"))]
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|rule| rule.info().name == name)
    }
}

/// The protocol by which raw sockets, and those of protocols whose peers are not judged, go in
/// allowances: that of raw packets, which no socket has on the wire.
pub const RAW: u8 = 255;

/// How a class is treated in a container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Mode {
    /// What can be learned is learned and not alerted. What no image does is alerted.
    #[default]
    Learn = 0,
    /// Broken rules are alerted.
    Monitor = 1,
    /// Broken rules are alerted, and the act is stopped.
    Enforce = 2,
}

impl Mode {
    /// Every mode, mildest first.
    pub const ALL: [Self; 3] = [Self::Learn, Self::Monitor, Self::Enforce];

    /// The name in configuration and output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Learn => "learn",
            Self::Monitor => "monitor",
            Self::Enforce => "enforce",
        }
    }
}

/// What became of an act, as it stands in a record's header.
pub mod outcome {
    /// It took place.
    pub const DONE: u8 = 0;
    /// It was refused with `EPERM` before it had an effect.
    pub const DENIED: u8 = 1;
    /// The process was killed for it.
    pub const KILLED: u8 = 2;

    /// The name in output and queries; `None` for what took place.
    pub const fn name(code: u8) -> Option<&'static str> {
        match code {
            DENIED => Some("denied"),
            KILLED => Some("killed"),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn numbers_and_names_lead_back_to_their_rule() {
        let names: HashSet<&str> = Rule::ALL.iter().map(|rule| rule.info().name).collect();
        assert_eq!(names.len(), Rule::ALL.len());
        for &rule in Rule::ALL {
            assert_eq!(Rule::by_number(rule as u8), Some(rule));
            assert_eq!(Rule::by_name(rule.info().name), Some(rule));
            assert_eq!(rule.class(), rule.info().class);
        }
        assert_eq!(Rule::by_number(0), None);
    }

    #[test]
    fn every_text_is_made_of_sentences() {
        for rule in Rule::ALL {
            let info = rule.info();
            for text in [info.summary, info.doc] {
                assert!(text.ends_with('.') && text.starts_with(char::is_uppercase), "{text}");
            }
            assert!(info.technique.starts_with('T'), "{}", info.technique);
        }
    }
}
