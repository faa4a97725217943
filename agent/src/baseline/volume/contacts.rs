//! Whom a container addressed, so that bytes have a name, a port and a process.

use std::{collections::HashMap, net::IpAddr, sync::Arc};

use plimsoll_ebpf::{events::connect::Connect, record::Header, value::address};

use crate::attribution::{observation::Observation, process::Process};

/// Peers remembered of one container; of more, those that were addressed last.
const MOST: usize = 128;

/// How a peer was addressed last.
#[derive(Clone, Debug)]
pub struct Contact {
    /// The name that it was looked up by.
    pub name: Option<String>,
    /// Port and protocol.
    pub socket: (u16, u8),
    /// Who addressed it, as the kernel side told.
    pub header: Header,
    /// Who that is.
    pub process: Option<Arc<Process>>,
    /// Whether who addressed it so is learned from.
    pub is_learned: bool,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Contacts(HashMap<IpAddr, Contact>);

impl Contacts {
    /// Takes note of an observation of a peer that was addressed. `departs` where it is one that was
    /// not learned.
    pub fn note(&mut self, observation: &Observation<'_>, connect: &Connect, departs: bool) {
        let address = address(connect.address).to_canonical();
        let contact = Contact {
            name: observation.peer_name.map(str::to_owned),
            socket: (connect.port, connect.protocol),
            header: observation.record.header,
            process: observation.process.cloned(),
            is_learned: !departs,
        };
        if self.0.len() >= MOST && !self.0.contains_key(&address) {
            let oldest = self.0.iter().min_by_key(|(_, it)| it.header.boot_ns);
            if let Some(oldest) = oldest.map(|(address, _)| *address) {
                self.0.remove(&oldest);
            }
        }
        self.0.insert(address, contact);
    }

    /// How a peer was addressed last.
    pub fn get(&self, address: IpAddr) -> Option<&Contact> {
        self.0.get(&address)
    }
}
