//! The kernel's maps of one agent, counted past the agent.

use std::{collections::BTreeSet, fs};

use aya::maps::{HashMap, Map, MapData, MapInfo, lpm_trie::LpmTrie};
use plimsoll_ebpf::orders::{AllowedPath, AllowedPeer, ID_BYTES};

/// Ids of the maps that a process holds.
fn held(pid: u32) -> BTreeSet<u32> {
    let entries = fs::read_dir(format!("/proc/{pid}/fdinfo")).into_iter().flatten().flatten();
    let texts = entries.filter_map(|entry| fs::read_to_string(entry.path()).ok());
    let id = |text: String| {
        let line = text.lines().find_map(|line| line.strip_prefix("map_id:"))?;
        line.trim().parse().ok()
    };
    texts.filter_map(id).collect()
}

/// Entries of the maps in which an agent keeps what is stopped: `POLICIES`, `PENDING`, `ALLOWED` and
/// `PEERS`.
///
/// # Panics
/// When a map is missing or not as it was.
#[track_caller]
pub fn orders(pid: u32) -> [usize; 4] {
    let held: Vec<(String, u32)> = held(pid).into_iter().filter_map(named).collect();
    let map = |name: &str| open(&held, name);
    let policies = HashMap::<_, u64, [u8; 16]>::try_from(Map::HashMap(map("POLICIES")));
    let pending = HashMap::<_, [u8; ID_BYTES], [u8; 16]>::try_from(Map::HashMap(map("PENDING")));
    let allowed = LpmTrie::<_, [u8; size_of::<AllowedPath>()], [u8; 16]>::try_from(Map::LpmTrie(
        map("ALLOWED"),
    ));
    let peers = LpmTrie::<_, [u8; size_of::<AllowedPeer>()], [u8; 16]>::try_from(Map::LpmTrie(
        map("PEERS"),
    ));
    [
        policies.expect("is as it was").keys().count(),
        pending.expect("is as it was").keys().count(),
        allowed.expect("is as it was").keys().count(),
        peers.expect("is as it was").keys().count(),
    ]
}

/// Whether an agent has told the kernel what to stop in the container with this id, once it starts.
///
/// # Panics
/// When the map is missing or not as it was.
#[track_caller]
pub fn expects(pid: u32, id: &str) -> bool {
    let held: Vec<(String, u32)> = held(pid).into_iter().filter_map(named).collect();
    let pending = Map::HashMap(open(&held, "PENDING"));
    let pending = HashMap::<_, [u8; ID_BYTES], [u8; 16]>::try_from(pending);
    let id: [u8; ID_BYTES] = id.as_bytes().try_into().expect("it is a whole id");
    pending.expect("is as it was").get(&id, 0).is_ok()
}

#[track_caller]
fn open(held: &[(String, u32)], name: &str) -> MapData {
    let (_, id) = held.iter().find(|(it, _)| it == name).expect("the agent holds the map");
    MapData::from_id(*id).expect("the map opens")
}

fn named(id: u32) -> Option<(String, u32)> {
    Some((MapInfo::from_id(id).ok()?.name_as_str()?.to_owned(), id))
}
