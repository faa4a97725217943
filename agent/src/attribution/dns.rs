//! Answers of name servers (RFC 1035), and which names a container's peers go by.

use std::{
    collections::{HashMap, VecDeque},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use super::neighbours::Neighbour;

const HEADER_BYTES: usize = 12;
const TYPE_A: u16 = 1;
const TYPE_CNAME: u16 = 5;
const TYPE_AAAA: u16 = 28;

/// Pointers followed within one name; more is a loop or malice.
const MOST_POINTERS: usize = 16;
/// Longest name in text, RFC 1035 section 2.3.4.
const LONGEST_NAME: usize = 255;
/// Records read of one answer.
const MOST_RECORDS: u16 = 64;

/// What an answer says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The name asked for: lower case, without the final dot.
    pub name: String,
    /// Type of the question.
    pub query_type: u16,
    /// Response code.
    pub response: u16,
    /// Addresses in the answer.
    pub addresses: Vec<IpAddr>,
    /// Canonical names in the answer.
    pub aliases: Vec<String>,
    /// Seconds for which all of that may be used: the shortest of the records'; 0 without records.
    pub ttl: u32,
}

/// The bytes are no answer to one question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed DNS answer")]
pub struct Malformed;

/// Reads an answer. One that was cut short yields what came before the cut.
///
/// # Errors
/// When it is a question, has not exactly one question, or that question is damaged.
pub fn parse(message: &[u8]) -> Result<Answer, Malformed> {
    let flags = word(message, 2).ok_or(Malformed)?;
    let questions = word(message, 4).ok_or(Malformed)?;
    let records = word(message, 6).ok_or(Malformed)?.min(MOST_RECORDS);
    if flags & 0x8000 == 0 || questions != 1 {
        return Err(Malformed);
    }
    let (name, after) = name_at(message, HEADER_BYTES).ok_or(Malformed)?;
    let query_type = word(message, after).ok_or(Malformed)?;
    let mut answer = Answer { name, query_type, response: flags & 0xf, ..Answer::default() };
    let mut at = after + 4;
    let mut ttl = u32::MAX;
    for _ in 0..records {
        let Some(next) = record(message, at, &mut answer, &mut ttl) else { break };
        at = next;
    }
    answer.ttl = if ttl == u32::MAX { 0 } else { ttl };
    Ok(answer)
}

fn word(message: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*message.get(at..)?.first_chunk()?))
}

/// Reads one resource record and returns where the next begins.
fn record(message: &[u8], at: usize, answer: &mut Answer, ttl: &mut u32) -> Option<usize> {
    let (_, after) = name_at(message, at)?;
    let (kind, length) = (word(message, after)?, usize::from(word(message, after + 8)?));
    let seconds = u32::from_be_bytes(*message.get(after + 4..)?.first_chunk()?);
    let data = message.get(after + 10..after + 10 + length)?;
    match kind {
        TYPE_A => {
            let bytes: [u8; 4] = data.try_into().ok()?;
            answer.addresses.push(Ipv4Addr::from(bytes).into());
        }
        TYPE_AAAA => {
            let bytes: [u8; 16] = data.try_into().ok()?;
            answer.addresses.push(Ipv6Addr::from(bytes).to_canonical());
        }
        TYPE_CNAME => answer.aliases.push(name_at(message, after + 10)?.0),
        _ => {}
    }
    if matches!(kind, TYPE_A | TYPE_AAAA | TYPE_CNAME) {
        *ttl = seconds.min(*ttl);
    }
    Some(after + 10 + length)
}

/// Reads a name and returns where what follows it begins.
fn name_at(message: &[u8], mut at: usize) -> Option<(String, usize)> {
    let mut name = Vec::new();
    let mut end = None;
    let mut pointers = 0;
    loop {
        let length = *message.get(at)?;
        if length & 0xc0 == 0xc0 {
            pointers += 1;
            if pointers > MOST_POINTERS {
                return None;
            }
            end = end.or(Some(at + 2));
            at = usize::from(word(message, at)? & 0x3fff);
        } else if length == 0 {
            let text = String::from_utf8_lossy(&name).to_lowercase();
            return Some((text, end.unwrap_or(at + 1)));
        } else if length & 0xc0 != 0 {
            // Kinds of labels that never came into use.
            return None;
        } else {
            let label = message.get(at + 1..at + 1 + usize::from(length))?;
            if !name.is_empty() {
                name.push(b'.');
            }
            name.extend_from_slice(label);
            if name.len() > LONGEST_NAME {
                return None;
            }
            at += 1 + usize::from(length);
        }
    }
}

/// Addresses remembered per container.
const MOST_ADDRESSES: usize = 1024;
/// Containers whose addresses are remembered.
const MOST_CONTAINERS: usize = 256;

#[derive(Default)]
struct Names {
    by_address: HashMap<IpAddr, (String, u64)>,
    /// Addresses in the order of their resolving, each with its number; an address resolved again
    /// stands there again, and only its last number counts.
    order: VecDeque<(IpAddr, u64)>,
    /// Number of the latest resolving.
    latest: u64,
}

impl Names {
    fn make_room(&mut self, evicted: &mut u64) {
        let by_address = &self.by_address;
        let is_current = |(address, number): &(IpAddr, u64)| {
            by_address.get(address).is_some_and(|(_, latest)| latest == number)
        };
        if self.order.len() > 2 * MOST_ADDRESSES {
            self.order.retain(is_current);
        }
        while self.by_address.len() > MOST_ADDRESSES {
            let Some((oldest, number)) = self.order.pop_front() else { return };
            if self.by_address.get(&oldest).is_some_and(|(_, latest)| *latest == number) {
                self.by_address.remove(&oldest);
                *evicted += 1;
            }
        }
    }
}

/// What a peer is called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PeerName<'n> {
    /// By whom has its address now.
    pub current: Option<&'n str>,
    /// By who had it when its name was last resolved, where that was another: whom the container
    /// means, who may not know yet.
    pub former: Option<&'n str>,
}

/// Names by container and address. A name outlives its time to live: connections are kept, pooled
/// and made anew to addresses that were resolved long before, and programs keep answers for longer
/// than they may. The newest name wins; what was resolved longest ago goes first.
#[derive(Default)]
pub struct Cache {
    containers: HashMap<u64, Names>,
    evicted: u64,
    resolved: u64,
}

impl Cache {
    /// A container resolved a name to an address.
    pub fn insert(&mut self, cgroup_id: u64, address: IpAddr, name: &str) {
        if self.containers.len() >= MOST_CONTAINERS && !self.containers.contains_key(&cgroup_id) {
            self.evict_container();
        }
        self.resolved += 1;
        let number = self.resolved;
        let names = self.containers.entry(cgroup_id).or_default();
        names.latest = number;
        names.by_address.insert(address, (name.to_owned(), number));
        names.order.push_back((address, number));
        names.make_room(&mut self.evicted);
    }

    /// The container that resolved nothing for longest makes room.
    fn evict_container(&mut self) {
        let quietest = self.containers.iter().min_by_key(|(_, names)| names.latest);
        if let Some((&cgroup_id, _)) = quietest
            && let Some(names) = self.containers.remove(&cgroup_id)
        {
            self.evicted += names.by_address.len() as u64;
        }
    }

    /// The name of a peer to a container: the one by which the container last resolved the address,
    /// unless a neighbour has got the address since, whom it does not mean.
    pub fn name_of<'n>(
        &'n self,
        cgroup_id: u64,
        address: IpAddr,
        neighbour: Option<&'n Neighbour>,
    ) -> PeerName<'n> {
        let names = self.containers.get(&cgroup_id).map(|it| &it.by_address);
        let resolved = names.and_then(|it| it.get(&address));
        let is_current = |(name, number): &(String, u64)| {
            neighbour.is_none_or(|it| it.was_there(*number) || it.goes_by(name))
        };
        if let Some(it) = resolved.filter(|it| is_current(it)) {
            return PeerName { current: Some(&it.0), former: None };
        }
        // One name for one peer, whether or not it was looked up this time.
        let current = neighbour.map(|neighbour| {
            let others = names.into_iter().flat_map(HashMap::values);
            let latest = others.filter(|(name, _)| neighbour.goes_by(name)).max_by_key(|it| it.1);
            latest.map_or_else(|| neighbour.name(), |(name, _)| name)
        });
        PeerName { current, former: resolved.map(|(name, _)| name.as_str()) }
    }

    /// How many answers were taken so far.
    pub fn resolved(&self) -> u64 {
        self.resolved
    }

    /// A container is gone.
    pub fn forget(&mut self, cgroup_id: u64) {
        self.containers.remove(&cgroup_id);
    }

    /// Names that made room for others, since the last call.
    pub fn take_evicted(&mut self) -> u64 {
        std::mem::take(&mut self.evicted)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::attribution::{container::Container, neighbours::Neighbours};

    /// `web.test` is an alias of `a.test` at 10.0.0.7, with a compressed name.
    fn sample() -> Vec<u8> {
        let mut bytes = vec![0, 1, 0x81, 0x80, 0, 1, 0, 2, 0, 0, 0, 0];
        bytes.extend_from_slice(b"\x03Web\x04test\0\0\x01\0\x01");
        bytes.extend_from_slice(b"\xc0\x0c\0\x05\0\x01\0\0\0\x3c\0\x04\x01a\xc0\x10");
        bytes.extend_from_slice(b"\xc0\x26\0\x01\0\x01\0\0\0\x3c\0\x04\x0a\0\0\x07");
        bytes
    }

    #[test]
    fn an_answer_with_an_alias_is_read() {
        let answer = parse(&sample()).expect("parses");
        assert_eq!((answer.name.as_str(), answer.query_type), ("web.test", 1));
        assert_eq!(answer.addresses, [IpAddr::from([10, 0, 0, 7])]);
        assert_eq!(answer.aliases, ["a.test"]);
        assert_eq!(answer.ttl, 60);
    }

    #[test]
    fn a_question_or_an_answer_to_two_is_refused() {
        let (mut question, mut two) = (sample(), sample());
        question[2] = 1;
        two[5] = 2;
        assert_eq!((parse(&question), parse(&two)), (Err(Malformed), Err(Malformed)));
    }

    #[test]
    fn a_name_that_does_not_exist_is_told_as_such() {
        let mut bytes = sample();
        (bytes[3], bytes[7]) = (0x83, 0);
        let answer = parse(&bytes).expect("parses");
        assert_eq!((answer.response, answer.addresses.len(), answer.ttl), (3, 0, 0));
    }

    #[test]
    fn a_cut_answer_yields_what_came_before() {
        let bytes = sample();
        let answer = parse(&bytes[..bytes.len() - 1]).expect("parses");
        assert!(answer.addresses.is_empty() && answer.aliases == ["a.test"]);
    }

    #[test]
    fn a_name_that_points_at_itself_is_malformed() {
        let bytes = [0, 1, 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0, 0xc0, 12, 0, 1, 0, 1];
        assert_eq!(parse(&bytes), Err(Malformed));
    }

    #[test]
    fn the_newest_name_wins_and_the_cache_is_bounded() {
        let mut cache = Cache::default();
        for host in 0..=MOST_ADDRESSES as u32 {
            cache.insert(1, Ipv4Addr::from(host).into(), "old");
        }
        assert_eq!(cache.name_of(1, Ipv4Addr::from(0).into(), None).current, None);
        assert_eq!(cache.take_evicted(), 1);
        cache.insert(1, Ipv4Addr::from(1).into(), "new");
        cache.insert(1, Ipv4Addr::from(0).into(), "newer");
        assert_eq!(
            cache.name_of(1, Ipv4Addr::from(1).into(), None).current,
            Some("new"),
            "resolved again"
        );
        assert_eq!(
            cache.name_of(1, Ipv4Addr::from(2).into(), None).current,
            None,
            "the oldest makes room"
        );
        assert_eq!(cache.name_of(2, Ipv4Addr::from(1).into(), None).current, None);
        cache.forget(1);
        assert_eq!(cache.name_of(1, Ipv4Addr::from(1).into(), None).current, None);
    }

    #[test]
    fn an_address_that_passed_to_another_has_the_others_name() {
        let place: IpAddr = [172, 18, 0, 2].into();
        let named = |id: &str, alias: &str| {
            let (id, name) = (id.to_owned(), id.to_owned());
            let (addresses, aliases) = (vec![place], vec![alias.to_owned()]);
            Arc::new(Container { id, name, addresses, aliases, ..Container::default() })
        };
        let (mut cache, mut neighbours) = (Cache::default(), Neighbours::default());
        let name = |cache: &Cache, neighbours: &Neighbours| {
            let PeerName { current, former } = cache.name_of(1, place, neighbours.at(place));
            [current, former].map(|it| it.unwrap_or_default().to_owned())
        };
        neighbours.known(&named("a", "db"), cache.resolved());
        assert_eq!(name(&cache, &neighbours), ["a", ""], "never looked up");
        cache.insert(1, place, "link");
        assert_eq!(name(&cache, &neighbours), ["link", ""], "whatever it goes by");
        neighbours.known(&named("b", "web"), cache.resolved());
        assert_eq!(name(&cache, &neighbours), ["b", "link"]);
        cache.insert(1, [172, 18, 0, 9].into(), "web");
        assert_eq!(name(&cache, &neighbours), ["web", "link"], "it knows it by that name");
        cache.insert(1, place, "web");
        neighbours.known(&named("c", "web"), cache.resolved());
        assert_eq!(name(&cache, &neighbours), ["web", ""], "its successor is the same");
    }

    #[test]
    fn one_address_resolved_for_ever_takes_no_room() {
        let mut cache = Cache::default();
        cache.insert(1, Ipv4Addr::from(8).into(), "once");
        for _ in 0..5 * MOST_ADDRESSES {
            cache.insert(1, Ipv4Addr::from(7).into(), "same");
        }
        assert_eq!(cache.name_of(1, Ipv4Addr::from(8).into(), None).current, Some("once"));
        assert!(cache.containers[&1].order.len() <= 2 * MOST_ADDRESSES);
        assert_eq!(cache.name_of(1, Ipv4Addr::from(7).into(), None).current, Some("same"));
        assert_eq!(cache.take_evicted(), 0);
    }

    #[test]
    fn the_quietest_container_makes_room() {
        let mut cache = Cache::default();
        for cgroup_id in 0..MOST_CONTAINERS as u64 {
            cache.insert(cgroup_id, Ipv4Addr::LOCALHOST.into(), "name");
        }
        cache.insert(0, Ipv4Addr::LOCALHOST.into(), "name");
        cache.insert(999, Ipv4Addr::LOCALHOST.into(), "name");
        let knows = |cgroup_id| {
            cache.name_of(cgroup_id, Ipv4Addr::LOCALHOST.into(), None).current.is_some()
        };
        assert!(knows(0) && knows(999) && !knows(1));
        assert_eq!(cache.take_evicted(), 1);
    }

    proptest! {
        #[test]
        fn random_and_mangled_messages_never_panic(
            random in proptest::collection::vec(any::<u8>(), 0..600),
            at in 0..60usize,
            byte: u8,
        ) {
            let _ = parse(&random);
            let mut mangled = sample();
            if let Some(place) = mangled.get_mut(at) { *place = byte; }
            let _ = parse(&mangled);
        }
    }
}
