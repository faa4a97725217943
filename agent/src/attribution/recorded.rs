//! Observations put back together from what was recorded of them, for the stages that judge.
//!
//! Not everything is recorded. When a process started is known, and so is when the machine booted:
//! never later than any process of that boot was seen to be as old as it was.

use std::{collections::HashMap, sync::Arc};

use plimsoll_ebpf::{catalog::Record, record::Header, rules::outcome, value::Value};

use super::{
    circumstances,
    container::{Container, next_serial},
    node::Node,
    observation::Observation,
    process::{Ancestor, Lineage, Origin, Process},
    restored::{self, Get, number, text},
};
use crate::{fields::Fields, stable_hash::stable_hash};

/// Containers, and processes of either generation, that are remembered at most.
const MOST: usize = 65_536;

/// Who did it, by process id and start.
type Identity = (u32, u64);

/// See the module.
#[derive(Debug, Default)]
pub struct Restorer {
    node: Arc<Node>,
    /// The latest moment at which this boot can have begun, since the Unix epoch.
    boot_ns: Option<u64>,
    /// What containers were started as, by id.
    circumstances: HashMap<String, Container>,
    /// What containers of an image are taken to be started as where that is not recorded.
    assumed: HashMap<String, String>,
    containers: HashMap<String, Arc<Container>>,
    /// Parents of processes: of those seen lately, and of those before.
    parents: [HashMap<Identity, Identity>; 2],
}

/// An observation as it was before it was recorded.
#[derive(Debug)]
pub struct Restored {
    ts_ns: u64,
    entry: Vec<u8>,
    node: Arc<Node>,
    container: Option<Arc<Container>>,
    process: Option<Arc<Process>>,
    peer_name: Option<String>,
}

impl Restored {
    /// Hands it out.
    pub fn with<R>(&self, take: impl FnOnce(&Observation<'_>) -> R) -> Option<R> {
        Some(take(&Observation {
            ts_ns: self.ts_ns,
            record: Record::decode(&self.entry).ok()?,
            node: &self.node,
            container: self.container.as_ref(),
            process: self.process.as_ref(),
            peer_name: self.peer_name.as_deref(),
            former_name: None,
        }))
    }
}

impl Restorer {
    /// Takes note of what a container was started as, where an event tells that. All of them are to
    /// be shown before the first is put together: Docker tells of a start when it is over.
    pub fn prepare(&mut self, recorded: &dyn Fields) {
        let Some(found) = circumstances::of_start(recorded) else { return };
        let id = string(recorded, "ctr.id");
        if self.circumstances.len() < MOST || self.circumstances.contains_key(&id) {
            self.circumstances.insert(id, found);
        }
    }

    /// Containers of an image are taken to be started as this where it is not recorded.
    pub fn assume(&mut self, digest: String, entrypoint: String) {
        self.assumed.insert(digest, entrypoint);
    }

    /// The host of what was put together last.
    pub fn node(&self) -> &Arc<Node> {
        &self.node
    }

    /// When this boot began, as far as that is known: since the Unix epoch.
    pub fn boot_ns(&self) -> u64 {
        self.boot_ns.unwrap_or_default()
    }

    /// Puts an observation together; `None` for what is none of a container's acts.
    pub fn restore(&mut self, recorded: &dyn Fields) -> Option<Restored> {
        let get: &Get<'_, '_> = &|name| recorded.get(name);
        let Some(Value::Time(ts_ns)) = recorded.get("ts") else { return None };
        self.meet_node(recorded);
        let start_ns = number(get, "proc.start");
        if start_ns > 0 {
            let latest = ts_ns.saturating_sub(start_ns);
            self.boot_ns = Some(self.boot_ns.map_or(latest, |it| it.min(latest)));
        }
        let container = self.container(recorded);
        let process = self.process(recorded);
        let pid = number(get, "proc.pid") as u32;
        let tid = number(get, "proc.tid") as u32;
        let told = text(get, "outcome");
        let is_told = |code: &u8| outcome::name(*code).is_some_and(|it| it.as_bytes() == told);
        let header = Header {
            boot_ns: ts_ns.saturating_sub(self.boot_ns()),
            cgroup_id: container.as_ref().map_or(0, |it| stable_hash(it.id.as_bytes()).max(1)),
            start_ns,
            pid,
            tid: if tid == 0 { pid } else { tid },
            uid: number(get, "proc.uid") as u32,
            count: number(get, "count").try_into().unwrap_or(u32::MAX),
            outcome: [outcome::DENIED, outcome::KILLED].into_iter().find(is_told).unwrap_or(0),
            ..Header::default()
        };
        let entry = restored::record(get, header)?;
        let peer_name = string(recorded, "net.dns");
        Some(Restored {
            ts_ns,
            entry,
            node: self.node.clone(),
            container,
            process,
            peer_name: (!peer_name.is_empty()).then_some(peer_name),
        })
    }

    /// Another boot counts its time anew.
    fn meet_node(&mut self, recorded: &dyn Fields) {
        let boot_id = string(recorded, "node.boot_id");
        if boot_id == self.node.boot_id && !self.node.name.is_empty() {
            return;
        }
        if boot_id != self.node.boot_id {
            self.boot_ns = None;
            self.parents = Default::default();
        }
        let [name, id] = ["node.name", "node.id"].map(|name| string(recorded, name));
        self.node = Arc::new(Node { name, id, boot_id });
    }

    fn container(&mut self, recorded: &dyn Fields) -> Option<Arc<Container>> {
        let id = string(recorded, "ctr.id");
        if id.is_empty() {
            return None;
        }
        let [name, image, image_digest] =
            ["ctr.name", "ctr.image", "ctr.image_digest"].map(|name| string(recorded, name));
        if let Some(known) = self.containers.get(&id)
            && (&known.name, &known.image, &known.image_digest) == (&name, &image, &image_digest)
        {
            return Some(known.clone());
        }
        let text = |name| string(recorded, name);
        let found = self.circumstances.get(&id).cloned().unwrap_or_else(|| Container {
            entrypoint: self.assumed.get(&image_digest).cloned().unwrap_or_default(),
            ..Container::default()
        });
        let container = Arc::new(Container {
            serial: next_serial(),
            id: id.clone(),
            name,
            image,
            image_digest,
            service: text("swarm.service"),
            service_id: text("swarm.service_id"),
            task: text("swarm.task"),
            task_id: text("swarm.task_id"),
            stack: text("swarm.stack"),
            node_id: text("swarm.node_id"),
            compose_project: text("compose.project"),
            compose_service: text("compose.service"),
            ..found
        });
        if self.containers.len() >= MOST {
            self.containers.clear();
        }
        self.containers.insert(id, container.clone());
        Some(container)
    }

    fn process(&mut self, recorded: &dyn Fields) -> Option<Arc<Process>> {
        let get: &Get<'_, '_> = &|name| recorded.get(name);
        let Some(Value::Label(origin)) = recorded.get("proc.origin") else { return None };
        let all = [Origin::Init, Origin::Exec, Origin::Health, Origin::Unknown];
        let identity = (number(get, "proc.pid") as u32, number(get, "proc.start"));
        let parent = (number(get, "proc.parent.pid") as u32, number(get, "proc.parent.start"));
        if parent.0 != 0 {
            self.remember(identity, parent);
        }
        let programs = recorded.get("proc.ancestors");
        let mut next = Some(parent);
        let ancestors = programs.iter().flat_map(Value::parts).map(|exe| {
            let (pid, start_ns) = next.unwrap_or_default();
            next = next.and_then(|it| self.parent_of(it));
            Ancestor { pid, start_ns, exe: exe.into() }
        });
        let lineage = Lineage::of(ancestors);
        Some(Arc::new(Process {
            serial: next_serial(),
            pid: identity.0,
            start_ns: identity.1,
            ppid: number(get, "proc.ppid") as u32,
            exe: text(get, "proc.exe").into(),
            args: match recorded.get("proc.args") {
                Some(Value::List(args)) => args.into(),
                _ => Arc::default(),
            },
            cwd: text(get, "proc.cwd").into(),
            origin: all.into_iter().find(|it| it.name() == origin).unwrap_or_default(),
            lineage,
            is_runtime: false,
            is_foreign: false,
        }))
    }

    fn remember(&mut self, identity: Identity, parent: Identity) {
        let [lately, before] = &mut self.parents;
        if lately.len() >= MOST {
            *before = std::mem::take(lately);
        }
        lately.insert(identity, parent);
    }

    fn parent_of(&self, identity: Identity) -> Option<Identity> {
        self.parents.iter().find_map(|it| it.get(&identity)).copied()
    }
}

/// Text or a label; empty where there is none.
fn string(recorded: &dyn Fields, name: &str) -> String {
    String::from_utf8_lossy(text(&|name| recorded.get(name), name)).into_owned()
}
