//! Observations that the agent makes itself: of names, of containers, of repeats, of losses.

use std::{net::IpAddr, sync::Arc};

use plimsoll_ebpf::{
    catalog::{Record, TailBuilder, encode},
    events::{container::Container as Lifecycle, dns::Dns, gap::Gap},
    record::{Header, Tail},
    signals::DnsAnswer,
};

use super::{
    attributor::{Attributor, Out},
    circumstances,
    container::Container,
    directory::Standing,
    dns,
    observation::Observation,
    process::Process,
    repeats::Count,
};

/// Observations that were lost.
#[derive(Clone, Copy, Debug)]
pub struct Loss<'a> {
    /// The container's cgroup; 0 where it is not known.
    pub cgroup_id: u64,
    /// The event that was lost; empty where it is not known.
    pub of: &'a str,
    /// Why.
    pub reason: &'a str,
    /// How many.
    pub count: u64,
    /// Earliest moment, in nanoseconds since the Unix epoch.
    pub from_ns: u64,
    /// Latest moment, likewise.
    pub to_ns: u64,
}

impl Attributor {
    /// A name server answered: remembered for connects, and told.
    pub(super) fn resolved(
        &mut self,
        header: Header,
        answer: DnsAnswer,
        tail: Tail<'_>,
        container: &Arc<Container>,
        out: &mut Out<'_>,
    ) {
        let Ok(parsed) = dns::parse(tail.get(answer.message)) else { return };
        for address in &parsed.addresses {
            self.names.insert(header.cgroup_id, *address, &parsed.name);
        }
        let answers: Vec<String> = (parsed.addresses.iter().map(IpAddr::to_string))
            .chain(parsed.aliases.iter().cloned())
            .collect();
        let mut texts = TailBuilder::default();
        let body = Dns {
            server: answer.server,
            name: texts.push(parsed.name.as_bytes()),
            answers: texts.push(answers.join("\0").as_bytes()),
            query_type: parsed.query_type,
            response: parsed.response,
            reserved: 0,
        };
        self.tell(&encode(header, body, texts.bytes()), Some(container), out);
    }

    /// Something happened to a container as a whole, at a moment since the Unix epoch.
    pub fn lifecycle(
        &mut self,
        id: &str,
        op: &str,
        command: &str,
        exit_code: Option<u32>,
        epoch_ns: u64,
        out: &mut Out<'_>,
    ) {
        let container = self.directory.by_id(id).cloned();
        let header = Header {
            boot_ns: epoch_ns.saturating_sub(self.boot_to_epoch_ns),
            cgroup_id: self.directory.cgroup_of(id).unwrap_or_default(),
            ..Header::default()
        };
        let mut texts = TailBuilder::default();
        let body = Lifecycle {
            op: texts.push(op.as_bytes()),
            command: texts.push(command.as_bytes()),
            exit_code: exit_code.unwrap_or(u32::MAX),
            ..Lifecycle::default()
        };
        let started = container.as_ref().filter(|_| op == "start");
        let body = started.map_or(body, |it| circumstances::with(body, it, &mut texts));
        self.tell(&encode(header, body, texts.bytes()), container.as_ref(), out);
    }

    /// Tells of acts that were repeated and will not be reported again; `take` asks the kernel side
    /// how often an act was. `now_ns` counts since boot.
    pub fn repeated(
        &mut self,
        now_ns: u64,
        take: &mut dyn FnMut(u64) -> Option<Count>,
        out: &mut Out<'_>,
    ) {
        while let Some(report) = self.repeats.next_due(now_ns) {
            let Some(count) = take(report.act()) else { continue };
            let told = report.observation(count, &self.node, self.boot_to_epoch_ns);
            told.iter().for_each(&mut *out);
        }
    }

    /// Observations were lost: tells whose, of what, why, how many and when (since the epoch).
    pub fn lost(&mut self, loss: &Loss<'_>, out: &mut Out<'_>) {
        let container = match self.directory.standing(loss.cgroup_id) {
            Standing::Known(container) => Some(container.clone()),
            Standing::Held | Standing::Dismissed | Standing::Unheard => None,
        };
        let header = Header {
            boot_ns: loss.to_ns.saturating_sub(self.boot_to_epoch_ns),
            cgroup_id: loss.cgroup_id,
            ..Header::default()
        };
        let mut texts = TailBuilder::default();
        let body = Gap {
            lost: loss.count,
            from_ns: loss.from_ns,
            to_ns: loss.to_ns,
            reason: texts.push(loss.reason.as_bytes()),
            of: texts.push(loss.of.as_bytes()),
        };
        self.tell(&encode(header, body, texts.bytes()), container.as_ref(), out);
    }

    /// Hands out an observation that a later stage made of no container.
    pub fn tell_own(&self, entry: &[u8], out: &mut Out<'_>) {
        self.tell(entry, None, out);
    }

    /// Hands out an observation that a later stage made of a container's process.
    pub fn tell_of(
        &self,
        entry: &[u8],
        container: &Arc<Container>,
        process: Option<&Arc<Process>>,
        peer_name: Option<&str>,
        mut out: impl FnMut(&Observation<'_>),
    ) {
        let Ok(record) = Record::decode(entry) else { return };
        out(&Observation {
            ts_ns: record.header.boot_ns.saturating_add(self.boot_to_epoch_ns),
            record,
            node: &self.node,
            container: Some(container),
            process,
            peer_name,
            former_name: None,
        });
    }

    /// Hands out an observation that the agent itself made.
    fn tell(&self, entry: &[u8], container: Option<&Arc<Container>>, out: &mut Out<'_>) {
        let record = Record::decode(entry).expect("`encode` writes what `decode` reads");
        out(&Observation {
            ts_ns: record.header.boot_ns.saturating_add(self.boot_to_epoch_ns),
            record,
            node: &self.node,
            container,
            process: None,
            peer_name: None,
            former_name: None,
        });
    }
}
