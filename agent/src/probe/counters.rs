//! Bytes that the kernel side counted: of each container, and to and from each peer it addressed.

use std::collections::HashMap as StdHashMap;

use anyhow::Context;
use aya::{
    Ebpf,
    maps::{HashMap, MapData, PerCpuHashMap},
};
use plimsoll_ebpf::orders::{Traffic, TrafficKey};

use super::plain::Plain;

/// The maps in which bytes are counted.
pub struct Counters {
    traffic: PerCpuHashMap<MapData, u64, Plain<Traffic>>,
    peers: HashMap<MapData, Plain<TrafficKey>, Plain<Traffic>>,
}

/// What was counted of one container.
#[derive(Clone, Debug, Default)]
pub struct Counted {
    /// All of it.
    pub all: Traffic,
    /// By the address of the peer, in network order; IPv4 mapped into IPv6.
    pub peers: StdHashMap<[u32; 4], Traffic>,
}

impl Counters {
    /// Takes the maps out of the loaded object.
    pub fn take(ebpf: &mut Ebpf) -> anyhow::Result<Self> {
        let mut take = |name: &'static str| {
            ebpf.take_map(name).with_context(|| format!("the object has no map {name}"))
        };
        Ok(Self { traffic: take("TRAFFIC")?.try_into()?, peers: take("PEER_TRAFFIC")?.try_into()? })
    }

    /// What was counted, by container.
    pub fn read(&self) -> StdHashMap<u64, Counted> {
        let mut counted: StdHashMap<u64, Counted> = StdHashMap::new();
        for (container, values) in self.traffic.iter().filter_map(Result::ok) {
            let all = values.iter().fold(Traffic::default(), |sum, Plain(one)| Traffic {
                sent_bytes: sum.sent_bytes.wrapping_add(one.sent_bytes),
                received_bytes: sum.received_bytes.wrapping_add(one.received_bytes),
            });
            counted.entry(container).or_default().all = all;
        }
        for (Plain(key), Plain(traffic)) in self.peers.iter().filter_map(Result::ok) {
            // One of a container that has exchanged nothing yet.
            let Some(counted) = counted.get_mut(&key.container) else { continue };
            counted.peers.insert(key.address, traffic);
        }
        counted
    }

    /// Forgets a container that is gone, with its peers.
    pub fn forget<'p>(&mut self, container: u64, peers: impl Iterator<Item = &'p [u32; 4]>) {
        // They may have made room for others meanwhile.
        let _ = self.traffic.remove(&container);
        for address in peers {
            let _ = self.peers.remove(&Plain(TrafficKey { container, address: *address }));
        }
    }
}
