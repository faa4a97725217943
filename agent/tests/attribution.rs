//! Ring entries in, observations out: what the attributor makes of them.

use std::{net::Ipv4Addr, sync::Arc};

use plimsoll::{
    attribution::{
        attributor::{Attributor, Host, Limits},
        container::Container,
        node::Node,
        overlay::Layer,
        process_table::Found,
    },
    fields::Fields,
};
use plimsoll_ebpf::{
    catalog::{TailBuilder, encode},
    events::{accept::Accept, connect::Connect, exec::Exec, listen::Listen},
    record::{Header, Span},
    signals::{CgroupEntered, CgroupMade, DnsAnswer},
};
use proptest::prelude::*;

const CGROUP: u64 = 40;
const PID: u32 = 7;
const ID: &str = "bcf792e740345a08d46a44e7987a9e4f1c0b1eac0db0029711cb8426498bd85f";

/// A host on which nothing runs any more.
struct Gone;

impl Host for Gone {
    fn process(&mut self, _: u32) -> Option<Found> {
        None
    }

    fn cgroup_path(&mut self, _: u32) -> Option<String> {
        None
    }

    fn layer_of(&mut self, _: &Container, _: u32, _: &[u8], _: &[u8]) -> Option<Layer> {
        None
    }

    fn take_comparisons(&mut self) -> u32 {
        0
    }

    fn is_directory(&mut self, _: &Container, _: u32, _: &[u8]) -> bool {
        false
    }

    fn is_in_image(&mut self, _: &Container, _: &[u8]) -> bool {
        false
    }
}

fn attributor() -> Attributor {
    let limits = Limits {
        held_records: 100,
        processes: 100,
        patience_ns: 1 << 40,
        window_ns: 1 << 30,
        known_ns: 1 << 30,
    };
    Attributor::new(Arc::new(Node::default()), limits)
}

fn header() -> Header {
    Header {
        cgroup_id: CGROUP,
        pid: PID,
        tid: PID,
        start_ns: 70,
        boot_ns: 100,
        ..Header::default()
    }
}

/// What comes out of an entry, as `name=value` texts of the fields asked for.
fn told(attributor: &mut Attributor, entry: &[u8], fields: &[&str]) -> Vec<String> {
    let mut told = Vec::new();
    attributor
        .entry(entry, &mut Gone, &mut |it| told.push(texts(it, fields)))
        .expect("the entry is sound");
    told
}

fn texts(observation: &impl Fields, fields: &[&str]) -> String {
    let text = |name: &&str| {
        let value = observation.get(name).map(|value| value.to_string());
        format!("{name}={}", value.unwrap_or_default())
    };
    fields.iter().map(text).collect::<Vec<_>>().join(" ")
}

fn made() -> Vec<u8> {
    let mut tail = TailBuilder::default();
    let path = tail.push(format!("/docker/{ID}").as_bytes());
    encode(Header { pid: 1, ..header() }, CgroupMade { path }, tail.bytes())
}

fn exec(path: &str) -> Vec<u8> {
    let mut tail = TailBuilder::default();
    let body = Exec { mnt_ns: 2, path: tail.push(path.as_bytes()), ..Exec::default() };
    encode(header(), body, tail.bytes())
}

fn mapped(address: Ipv4Addr) -> [u8; 16] {
    address.to_ipv6_mapped().octets()
}

fn container() -> Arc<Container> {
    Arc::new(Container { id: ID.to_owned(), name: "web".to_owned(), ..Container::default() })
}

/// With a container that is known and runs `/bin/app`.
fn running() -> Attributor {
    let mut attributor = attributor();
    attributor.directory.known(container());
    told(&mut attributor, &made(), &[]);
    told(&mut attributor, &encode(header(), CgroupEntered { mnt_ns: 1, ppid: 1 }, &[]), &[]);
    told(&mut attributor, &exec("/bin/app"), &[]);
    attributor
}

#[test]
fn what_happens_before_docker_has_spoken_is_told_after_it_has() {
    let mut attributor = attributor();
    assert!(told(&mut attributor, &made(), &[]).is_empty());
    assert!(told(&mut attributor, &exec("/bin/app"), &[]).is_empty(), "it is held");
    let released = attributor.directory.known(container());
    assert_eq!(released, [CGROUP]);
    let mut names = Vec::new();
    let fields = ["ctr.name", "proc.exe"];
    attributor.replay(CGROUP, &mut Gone, &mut |it| names.push(texts(it, &fields)));
    assert_eq!(names, ["ctr.name=web proc.exe=/bin/app"]);
}

#[test]
fn a_peer_goes_by_the_name_its_container_resolved() {
    let mut attributor = running();
    let mut message = vec![0, 1, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0];
    message.extend_from_slice(b"\x02db\x04test\0\0\x01\0\x01");
    message.extend_from_slice(b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\x0a\0\0\x07");
    let server = mapped(Ipv4Addr::LOCALHOST);
    let span = Span { offset: 0, len: message.len() as u16 };
    let answer = encode(header(), DnsAnswer { server, message: span }, &message);
    let dns = told(&mut attributor, &answer, &["kind", "dns.name", "dns.answers"]);
    assert_eq!(dns, ["kind=dns dns.name=db.test dns.answers=10.0.0.7"]);
    let address = mapped(Ipv4Addr::new(10, 0, 0, 7));
    let connect = Connect { address, port: 5432, protocol: 6, ..Connect::default() };
    let fields = ["net.raddr", "net.dns", "proc.exe"];
    let connect = told(&mut attributor, &encode(header(), connect, &[]), &fields);
    assert_eq!(connect, ["net.raddr=10.0.0.7 net.dns=db.test proc.exe=/bin/app"]);
}

#[test]
fn a_connection_is_told_with_the_process_that_listens() {
    let mut attributor = running();
    let listen = Listen { port: 80, protocol: 6, ..Listen::default() };
    told(&mut attributor, &encode(header(), listen, &[]), &[]);
    let nobody = Header { pid: 0, tid: 0, start_ns: 0, ..header() };
    let accept = |port| encode(nobody, Accept { port, ..Accept::default() }, &[]);
    assert_eq!(told(&mut attributor, &accept(80), &["proc.exe"]), ["proc.exe=/bin/app"]);
    assert_eq!(told(&mut attributor, &accept(81), &["proc.exe"]), ["proc.exe="]);
}

#[test]
fn an_entry_that_is_cut_short_is_an_error_and_nothing_else() {
    let mut attributor = running();
    let entry = exec("/bin/other");
    for length in 0..entry.len() {
        assert!(attributor.entry(&entry[..length], &mut Gone, &mut |_| {}).is_err(), "{length}");
    }
    assert_eq!(told(&mut attributor, &entry, &["proc.exe"]), ["proc.exe=/bin/other"]);
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(
        kind in prop_oneof![0..20u16, 1000..1010u16],
        body in proptest::collection::vec(any::<u8>(), 0..400),
    ) {
        let mut attributor = running();
        let size = (size_of::<Header>() + body.len()) as u32;
        let header = Header { kind, size, ..header() };
        let entry = [zerocopy::IntoBytes::as_bytes(&header), &body].concat();
        let _ = attributor.entry(&entry, &mut Gone, &mut |it| { texts(it, &["proc.exe"]); });
    }
}
