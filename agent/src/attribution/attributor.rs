//! Turns ring entries into observations: the directory, the process table and the names that
//! containers resolved, put together.
//!
//! Pure but for [`Host`], through which it asks about processes that no record has told of.

use std::{net::IpAddr, sync::Arc};

use plimsoll_ebpf::{
    catalog::{DecodeError, Record, split},
    events::{
        accept::Accept, connect::Connect, exec::Exec, exit::Exit, fork::Fork, listen::Listen,
    },
    orders::SELF_TEST,
    record::{Header, Tail, Wire, flags},
    rules::outcome,
    signals::{CgroupEntered, CgroupMade, CgroupRemoved, DnsAnswer, Heartbeat},
    value::address,
};

use super::{
    cgroup,
    container::Container,
    directory::{Directory, Standing},
    inventory::{self, Inhabitants},
    listeners::Listeners,
    looks::Looks,
    neighbours::Neighbours,
    node::Node,
    normal,
    observation::Observation,
    overlay::Layer,
    peer_names::PeerNames,
    process::Process,
    process_table::{Found, ProcessTable},
    repeats::Repeats,
};

/// What is asked of the host when a record names something unheard of.
pub trait Host {
    /// A running process.
    fn process(&mut self, pid: u32) -> Option<Found>;
    /// Path of the cgroup a running process is in.
    fn cgroup_path(&mut self, pid: u32) -> Option<String>;
    /// Where the file lies that a process of a container calls by a path, beginning in a directory.
    fn layer_of(
        &mut self,
        container: &Container,
        pid: u32,
        directory: &[u8],
        path: &[u8],
    ) -> Option<Layer>;
    /// Files whose content was compared with the image's for that, since the last call.
    fn take_comparisons(&mut self) -> u32;
    /// Whether what a process of a container calls by a path is a directory, as far as that can be seen.
    fn is_directory(&mut self, container: &Container, pid: u32, path: &[u8]) -> bool;
    /// Whether a container's image has a file at a path, as far as that can be seen.
    fn is_in_image(&mut self, container: &Container, path: &[u8]) -> bool;
}

/// Receives observations.
pub type Out<'o> = dyn FnMut(&Observation<'_>) + 'o;

/// Bounds of what is kept in memory.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Records held for containers not yet known.
    pub held_records: usize,
    /// Processes tracked.
    pub processes: usize,
    /// How long a container may stay unknown, in nanoseconds.
    pub patience_ns: u64,
    /// How long the kernel side counts repeats of an act before it reports it again, in nanoseconds.
    pub window_ns: u64,
    /// The same for acts that what was learned vouches for.
    pub known_ns: u64,
}

/// See the module.
pub struct Attributor {
    /// Which container a cgroup belongs to.
    pub directory: Directory,
    /// Who runs what.
    pub processes: ProcessTable,
    pub(super) node: Arc<Node>,
    /// What peers are called.
    pub names: PeerNames,
    neighbours: Neighbours,
    pub(super) repeats: Repeats,
    listeners: Listeners,
    limits: Limits,
    buffer: Vec<u8>,
    looks: Looks,
    heartbeat: u64,
    unattributed: u64,
    pub(super) boot_to_epoch_ns: u64,
}

impl Attributor {
    /// An attributor for this host.
    pub fn new(node: Arc<Node>, limits: Limits) -> Self {
        Self {
            directory: Directory::new(limits.held_records),
            processes: ProcessTable::new(limits.processes),
            node,
            names: PeerNames::default(),
            neighbours: Neighbours::default(),
            repeats: Repeats::new([limits.window_ns, limits.known_ns], limits.processes),
            listeners: Listeners::default(),
            limits,
            buffer: Vec::with_capacity(4096),
            looks: Looks::default(),
            heartbeat: 0,
            unattributed: 0,
            boot_to_epoch_ns: 0,
        }
    }

    /// The host turned out to be this Swarm node.
    pub fn set_node_id(&mut self, id: String) {
        self.node = Arc::new(Node { id, ..Node::clone(&self.node) });
    }

    /// What to add to a moment since boot to get one since the Unix epoch.
    pub fn set_clock(&mut self, boot_to_epoch_ns: u64) {
        self.boot_to_epoch_ns = boot_to_epoch_ns;
    }

    /// The name of a peer to a container; see [`PeerNames::name_of`].
    pub fn name_of(&self, cgroup_id: u64, address: IpAddr) -> Option<&str> {
        self.names.name_of(cgroup_id, address, self.neighbours.at(address)).current
    }

    /// An act that was reported is known: it is counted for longer before it is reported again.
    pub fn known_act(&mut self, act: u64) {
        self.repeats.known(act);
    }

    /// Docker told of a container. Returns the cgroups whose records are released by this.
    pub fn known(&mut self, container: Arc<Container>) -> Vec<u64> {
        self.neighbours.known(&container, self.names.resolved());
        self.directory.known(container)
    }

    /// Docker removed a container.
    pub fn destroyed(&mut self, id: &str) {
        self.neighbours.removed(id);
        self.directory.destroyed(id);
    }

    /// Number of the latest knock that came back.
    pub fn heartbeat(&self) -> u64 {
        self.heartbeat
    }

    /// Records, since the last call, of a cgroup that nobody told of and whose process was gone
    /// when it was asked.
    pub fn take_unattributed(&mut self) -> u64 {
        std::mem::take(&mut self.unattributed)
    }

    /// What was not looked for, since the last call, by container cgroup: of those acts it is not known
    /// who did them, or whether they are with the image's own files.
    pub fn take_unlooked(&mut self) -> impl Iterator<Item = (u64, u64)> + use<> {
        self.looks.take_refused()
    }

    /// Takes one ring entry.
    ///
    /// # Errors
    /// When the bytes are no record; nothing else is affected.
    pub fn entry(
        &mut self,
        entry: &[u8],
        host: &mut dyn Host,
        out: &mut Out<'_>,
    ) -> Result<(), DecodeError> {
        let (header, body) = split(entry)?;
        if header.cgroup_id == SELF_TEST {
            return Ok(());
        }
        match header.kind {
            CgroupMade::KIND => {
                let (made, tail) = read::<CgroupMade>(body)?;
                let path = String::from_utf8_lossy(tail.get(made.path)).into_owned();
                let id = cgroup::container_id_of(&path);
                if self.directory.made(header.cgroup_id, &path, id, header.boot_ns) {
                    self.replay(header.cgroup_id, host, out);
                }
            }
            CgroupRemoved::KIND => {
                let (removed, _) = read::<CgroupRemoved>(body)?;
                if removed.cgroup_id == header.cgroup_id {
                    self.directory.removed(header.cgroup_id, header.boot_ns);
                }
            }
            Heartbeat::KIND => self.heartbeat = read::<Heartbeat>(body)?.0.number,
            CgroupEntered::KIND | DnsAnswer::KIND => {
                self.of_container(header, body, entry, host, out)?;
            }
            _ => {
                Record::from_parts(header, body)?;
                self.of_container(header, body, entry, host, out)?;
            }
        }
        Ok(())
    }

    /// An entry that belongs to a container: attributed, or held until the container is known.
    fn of_container(
        &mut self,
        header: Header,
        body: &[u8],
        entry: &[u8],
        host: &mut dyn Host,
        out: &mut Out<'_>,
    ) -> Result<(), DecodeError> {
        let header = Header { cgroup_id: self.directory.own(header.cgroup_id), ..header };
        match self.directory.standing(header.cgroup_id) {
            Standing::Known(container) => {
                let container = container.clone();
                self.attribute(header, body, &container, host, out)
            }
            Standing::Held => {
                self.directory.keep(header.cgroup_id, entry);
                Ok(())
            }
            Standing::Dismissed => Ok(()),
            Standing::Unheard => self.unheard(header, body, entry, host, out),
        }
    }

    /// The signal of a cgroup's birth was lost: a running process still tells where it is.
    fn unheard(
        &mut self,
        header: Header,
        body: &[u8],
        entry: &[u8],
        host: &mut dyn Host,
        out: &mut Out<'_>,
    ) -> Result<(), DecodeError> {
        let Some(path) = host.cgroup_path(header.pid) else {
            self.unattributed += 1;
            return Ok(());
        };
        if self.directory.adopt(header.cgroup_id, &path).is_some() {
            return self.of_container(header, body, entry, host, out);
        }
        if let Some(id) = cgroup::container_id_of(&path) {
            self.directory.hold(header.cgroup_id, &path, id, header.boot_ns);
            self.directory.keep(header.cgroup_id, entry);
        }
        Ok(())
    }

    /// Attributes what was held for a container that is now known.
    pub fn replay(&mut self, cgroup_id: u64, host: &mut dyn Host, out: &mut Out<'_>) {
        let Standing::Known(container) = self.directory.standing(cgroup_id) else { return };
        let container = container.clone();
        for entry in self.directory.release(cgroup_id) {
            if let Ok((header, body)) = split(&entry) {
                // It decoded once, when it was held.
                let _ = self.attribute(header, body, &container, host, out);
            }
        }
    }

    fn attribute(
        &mut self,
        header: Header,
        body: &[u8],
        container: &Arc<Container>,
        host: &mut dyn Host,
        out: &mut Out<'_>,
    ) -> Result<(), DecodeError> {
        match header.kind {
            CgroupEntered::KIND => {
                let (entered, _) = read::<CgroupEntered>(body)?;
                self.processes.entered(&header, entered);
                return Ok(());
            }
            DnsAnswer::KIND => {
                let (answer, tail) = read::<DnsAnswer>(body)?;
                self.resolved(header, answer, tail, container, out);
                return Ok(());
            }
            _ => {}
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        let record = Record::from_parts(header, body)?;
        let looked = self.looks.look(&record, container, host);
        let record = match normal::rewrite(&record, looked, &mut buffer) {
            Some((header, body)) => Record::from_parts(header, body)?,
            None => record,
        };
        if header.kind == Exit::KIND && self.processes.has_exited(&header) {
            // Two threads that end at once may each be taken for the last one.
            return Ok(());
        }
        let executed = self.follow(&record, container);
        let process = executed.or_else(|| self.process_of(&record, host));
        let is_runtime = process.as_ref().is_some_and(|process| process.is_runtime);
        // What the runtime does is not the container's doing, but what was refused was to be.
        if header.outcome != outcome::DONE || header.setup == 0 && !is_runtime {
            let peer = record.read::<Connect>().map(|(connect, _)| {
                let address = address(connect.address);
                self.names.name_of(header.cgroup_id, address, self.neighbours.at(address))
            });
            let peer = peer.unwrap_or_default();
            let observation = Observation {
                ts_ns: header.boot_ns.saturating_add(self.boot_to_epoch_ns),
                record,
                node: &self.node,
                container: Some(container),
                process: process.as_ref(),
                peer_name: peer.current,
                former_name: peer.former,
            };
            self.repeats.reported(&observation);
            out(&observation);
        }
        if header.kind == Exit::KIND {
            self.processes.exited(&header);
        }
        self.buffer = buffer;
        Ok(())
    }

    /// Lets the process table follow the life of processes; returns one that began a program.
    fn follow(&mut self, record: &Record<'_>, container: &Container) -> Option<Arc<Process>> {
        if let Some((exec, tail)) = record.read::<Exec>()
            && exec.flags & flags::REFUSED == 0
        {
            let health = |args: &[u8]| inventory::is_command(args, &container.health_command);
            return Some(self.processes.executed(&record.header, &exec, tail, health));
        }
        if let Some((fork, _)) = record.read::<Fork>() {
            self.processes.forked(&record.header, fork);
        }
        None
    }

    /// The process of a record; for an inbound connection, the one that listens.
    fn process_of(&mut self, record: &Record<'_>, host: &mut dyn Host) -> Option<Arc<Process>> {
        let header = &record.header;
        if let Some((accept, _)) = record.read::<Accept>() {
            return self.listeners.get(header.cgroup_id, accept.port);
        }
        if header.pid == 0 {
            return None;
        }
        let process = self.processes.of(header).unwrap_or_else(|| self.look_up(header, host));
        if let Some((listen, _)) = record.read::<Listen>() {
            self.listeners.insert(header.cgroup_id, listen.port, process.clone());
        }
        Some(process)
    }

    /// A process that no record has told of, or that found no room.
    fn look_up(&mut self, header: &Header, host: &mut dyn Host) -> Arc<Process> {
        if self.looks.take(header.cgroup_id) {
            let found = host.process(header.pid);
            if let Some(mut found) = found
                && found.is_of(header.start_ns)
            {
                return self.processes.found(found, header.cgroup_id);
            }
        }
        self.processes.stranger(header)
    }

    /// What runs in a container that was there before the agent.
    pub fn inhabited(&mut self, inhabitants: Inhabitants) {
        let Inhabitants { id, processes, listeners } = inhabitants;
        let Some(cgroup_id) = self.directory.cgroup_of(&id) else { return };
        for found in processes {
            let process = self.processes.found(found, cgroup_id);
            for (_, port) in listeners.iter().filter(|(pid, _)| *pid == process.pid) {
                self.listeners.insert(cgroup_id, *port, process.clone());
            }
        }
    }

    /// Forgets a container that is long gone. Not at its end: its acts may still be on the bulk
    /// ring then.
    pub fn forget(&mut self, cgroup_id: u64) {
        self.processes.forget(cgroup_id);
        self.names.forget(cgroup_id);
        self.listeners.forget(cgroup_id);
    }

    /// Tells what is held, with the id of its container alone: nobody will name it any more.
    pub fn give_up(&mut self, now_ns: u64, host: &mut dyn Host, out: &mut Out<'_>) {
        for cgroup_id in self.directory.tick(now_ns, 0) {
            self.replay(cgroup_id, host, out);
        }
    }

    /// Lets go of what is over; `now_ns` counts since boot.
    pub fn tick(&mut self, now_ns: u64, host: &mut dyn Host, out: &mut Out<'_>) {
        self.looks.tick();
        self.processes.tick(now_ns);
        for cgroup_id in self.directory.tick(now_ns, self.limits.patience_ns) {
            self.replay(cgroup_id, host, out);
        }
    }
}

fn read<B: Wire>(body: &[u8]) -> Result<(B, Tail<'_>), DecodeError> {
    let (signal, tail) = B::read_from_prefix(body).map_err(|_| DecodeError::Truncated)?;
    Ok((signal, Tail(tail)))
}
