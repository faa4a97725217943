//! Orders to the kernel side on what is stopped where, and what is let pass all the same.

use anyhow::Context;
use aya::{
    Ebpf,
    maps::{
        HashMap, MapData, MapError,
        lpm_trie::{Key, LpmTrie},
    },
};
use plimsoll_ebpf::{
    orders::{
        ALLOWED_HEAD_BITS, ALLOWED_PATH_BYTES, Allowed, AllowedPath, AllowedPeer, ID_BYTES,
        PEER_HEAD_BITS, Policy,
    },
    rules::Rule,
};

use super::plain::Plain;

/// The maps through which the agent tells its programs what to stop.
pub struct Policies {
    running: HashMap<MapData, u64, Plain<Policy>>,
    pending: HashMap<MapData, [u8; ID_BYTES], Plain<Policy>>,
    allowed: LpmTrie<MapData, Plain<AllowedPath>, Plain<Allowed>>,
    peers: LpmTrie<MapData, Plain<AllowedPeer>, Plain<Allowed>>,
}

/// A container, as an order names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Whom {
    /// The one with this cgroup.
    There(u64),
    /// The one with this id, once it has a cgroup.
    Expected([u8; ID_BYTES]),
}

impl Whom {
    /// The container with this id; `None` where that is none.
    pub fn expected(id: &str) -> Option<Self> {
        id.as_bytes().try_into().ok().map(Self::Expected)
    }
}

/// Paths that a rule does not hold for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paths<'p> {
    /// How they begin, or the whole path; at most [`ALLOWED_PATH_BYTES`] less one byte.
    pub text: &'p [u8],
    /// Whether `text` is the whole path.
    pub is_whole: bool,
    /// How many components they have; 0 for any number.
    pub components: u32,
}

/// Peers and ports that a rule does not hold for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sockets {
    /// How addresses begin, IPv4 mapped into IPv6; the bits behind are zero.
    pub address: [u8; 16],
    /// How many bits that are.
    pub bits: u8,
    /// The port; 0 for any.
    pub port: u16,
    /// Number of the protocol.
    pub protocol: u8,
}

impl Policies {
    /// Takes the maps out of the loaded object.
    pub fn take(ebpf: &mut Ebpf) -> anyhow::Result<Self> {
        let mut take = |name: &'static str| {
            ebpf.take_map(name).with_context(|| format!("the object has no map {name}"))
        };
        Ok(Self {
            running: take("POLICIES")?.try_into()?,
            pending: take("PENDING")?.try_into()?,
            allowed: take("ALLOWED")?.try_into()?,
            peers: take("PEERS")?.try_into()?,
        })
    }

    /// Stops acts in a container from now on, or from its first process on.
    pub fn stop(&mut self, container: Whom, policy: Policy) -> Result<(), MapError> {
        match container {
            Whom::There(cgroup_id) => self.running.insert(cgroup_id, Plain(policy), 0),
            Whom::Expected(id) => self.pending.insert(id, Plain(policy), 0),
        }
    }

    /// Leaves a container alone.
    pub fn leave(&mut self, container: Whom) {
        // It may not have been told to stop anything, and the kernel side forgets who is gone.
        let _ = match container {
            Whom::There(cgroup_id) => self.running.remove(&cgroup_id),
            Whom::Expected(id) => self.pending.remove(&id),
        };
    }

    /// Lets acts pass that break a rule, for policies with this set, until a moment since boot.
    pub fn allow(
        &mut self,
        set: u32,
        rule: Rule,
        paths: Paths<'_>,
        until_ns: u64,
    ) -> Result<(), MapError> {
        let value = Allowed { until_ns, components: paths.components, reserved: 0 };
        self.allowed.insert(&key(set, rule, paths), Plain(value), 0)
    }

    /// Ends what [`Self::allow`] began.
    pub fn disallow(&mut self, set: u32, rule: Rule, paths: Paths<'_>) {
        // It may have found no room.
        let _ = self.allowed.remove(&key(set, rule, paths));
    }

    /// Like [`Self::allow`], for peers and ports.
    pub fn allow_sockets(
        &mut self,
        set: u32,
        rule: Rule,
        sockets: Sockets,
        until_ns: u64,
    ) -> Result<(), MapError> {
        let value = Allowed { until_ns, ..Allowed::default() };
        self.peers.insert(&peer_key(set, rule, sockets), Plain(value), 0)
    }

    /// Ends what [`Self::allow_sockets`] began.
    pub fn disallow_sockets(&mut self, set: u32, rule: Rule, sockets: Sockets) {
        // It may have found no room.
        let _ = self.peers.remove(&peer_key(set, rule, sockets));
    }
}

fn peer_key(set: u32, rule: Rule, sockets: Sockets) -> Key<Plain<AllowedPeer>> {
    let Sockets { address, bits, port, protocol } = sockets;
    let address = [0, 4, 8, 12].map(|at| {
        u32::from_ne_bytes([address[at], address[at + 1], address[at + 2], address[at + 3]])
    });
    let data = AllowedPeer { set, rule: rule as u8, protocol, port, address };
    Key::new(PEER_HEAD_BITS + u32::from(bits), Plain(data))
}

fn key(set: u32, rule: Rule, paths: Paths<'_>) -> Key<Plain<AllowedPath>> {
    let mut path = [0; ALLOWED_PATH_BYTES];
    let bytes = paths.text.len().min(ALLOWED_PATH_BYTES - 1);
    path[..bytes].copy_from_slice(&paths.text[..bytes]);
    let compared = bytes + usize::from(paths.is_whole);
    let bits = ALLOWED_HEAD_BITS + 8 * compared as u32;
    Key::new(bits, Plain(AllowedPath { set, rule: rule as u32, path }))
}
