//! Observations as a busy host makes them: three in ten are programs, five are files written, two
//! are connections; few containers make most of them, and few paths are most of the paths.

use std::{
    io::{self, Write},
    net::Ipv4Addr,
    sync::Arc,
};

use plimsoll::attribution::{
    container::Container,
    node::Node,
    observation::Observation,
    process::{Ancestor, Lineage, Origin, Process},
};
use plimsoll_ebpf::{
    catalog::{Record, TailBuilder, encode},
    events::{
        connect::Connect,
        exec::Exec,
        file_write::{self, FileWrite},
    },
    layer,
    record::Header,
};

/// The moment of the first observation; all lie within a day.
pub(super) const START_NS: u64 = 1_750_000_000_000_000_000;
pub(super) const DAY_NS: u64 = 86_400_000_000_000;
/// Different observations; after these they repeat, with other times and processes beside them.
const DISTINCT: usize = 1 << 18;
const PROCESSES: usize = 1 << 16;
const CONTAINERS: usize = 50;
const PATHS: u64 = 200_000;

/// A program that few run, a path that few write and an address that few connect to.
pub(super) const RARE_PATH: &str = "/srv/quarterly/ledger-needle.xlsx";
pub(super) const RARE_ADDRESS: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 77);

struct Template {
    bytes: Vec<u8>,
    container: usize,
    process: usize,
    peer_name: Option<String>,
}

/// See the module.
pub(super) struct Generator {
    node: Arc<Node>,
    containers: Vec<Arc<Container>>,
    processes: Vec<Arc<Process>>,
    templates: Vec<Template>,
    step_ns: u64,
}

/// Numbers without order that are the same each time (xorshift64*).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A rank below `count`, of which the first are the most frequent: near Zipf's law.
    fn rank(&mut self, count: u64, exponent: f64) -> u64 {
        let (unit, count) = (self.unit(), count as f64);
        let rank = if (exponent - 1.0).abs() < 0.01 {
            count.powf(unit)
        } else {
            let power = 1.0 - exponent;
            ((count.powf(power) - 1.0) * unit + 1.0).powf(power.recip())
        };
        (rank as u64).saturating_sub(1)
    }
}

impl Generator {
    pub(super) fn new(rows: u64) -> Self {
        let mut dice = Dice(0x5eed_1234_abcd_0001);
        let containers: Vec<_> = (0..CONTAINERS).map(|it| Arc::new(container(it))).collect();
        let processes: Vec<_> = (0..PROCESSES).map(|it| Arc::new(process(it, &mut dice))).collect();
        let mut newest = [0; CONTAINERS];
        let mut next_process = 0;
        let templates = (0..DISTINCT)
            .map(|number| {
                let container = dice.rank(CONTAINERS as u64, 0.7) as usize % CONTAINERS;
                let roll = dice.below(10);
                if roll < 3 {
                    next_process = (next_process + 1) % PROCESSES;
                    newest[container] = next_process;
                }
                let process = newest[container];
                template(number, roll, container, process, &processes[process], &mut dice)
            })
            .collect();
        let node = Arc::new(Node {
            name: "host-a".to_owned(),
            id: "k3jd8s0fj2lq".to_owned(),
            boot_id: "5d3b1c1e-8f0e-4a27-9a53-1f6d3c0b7a44".to_owned(),
        });
        Self { node, containers, processes, templates, step_ns: DAY_NS / rows.max(1) }
    }

    /// Hands observation `number` to `take`.
    pub(super) fn with<R>(&mut self, number: u64, take: impl FnOnce(&Observation<'_>) -> R) -> R {
        let template = &self.templates[number as usize % DISTINCT];
        let observation = Observation {
            ts_ns: self.ts_ns(number),
            record: Record::decode(&template.bytes).expect("was encoded here"),
            node: &self.node,
            container: Some(&self.containers[template.container]),
            process: Some(&self.processes[template.process]),
            peer_name: template.peer_name.as_deref(),
            former_name: None,
        };
        take(&observation)
    }

    fn ts_ns(&self, number: u64) -> u64 {
        // Not evenly: as clocks tick when things happen.
        START_NS
            + number * self.step_ns
            + (number.wrapping_mul(0x9e37_79b9) >> 16) % self.step_ns.max(1)
    }

    /// Writes observation `number` as a line of values separated by commas.
    pub(super) fn write_csv(&mut self, number: u64, out: &mut impl Write) -> io::Result<()> {
        use plimsoll::fields::Fields as _;
        self.with(number, |it| {
            let text = |name| it.get(name).map_or_else(String::new, |value| value.to_string());
            let process = it.process.expect("each has one");
            write!(out, "{number},{},{},", it.ts_ns, it.record.kind.name)?;
            let container = it.container.expect("each has one");
            write!(out, "{},{},{},", container.id, container.name, container.image)?;
            let args = process.args.split(|byte| *byte == 0);
            let args: Vec<_> = args.map(String::from_utf8_lossy).collect();
            write!(out, "{},{},{},", process.pid, process.start_ns, process.ppid)?;
            write!(out, "{},{},", String::from_utf8_lossy(&process.exe), args.join(" "))?;
            let names = ["proc.uid", "file.path", "file.op", "net.raddr", "net.rport", "net.dns"];
            let values: Vec<String> = names.iter().map(|name| text(name)).collect();
            writeln!(out, "{}", values.join(","))
        })
    }
}

fn container(number: usize) -> Container {
    const IMAGES: [&str; 12] = [
        "nginx:1.25",
        "postgres:16",
        "redis:7",
        "node:20",
        "python:3.12",
        "haproxy:3.0",
        "rabbitmq:3.13",
        "grafana/grafana:11",
        "traefik:3",
        "mysql:8",
        "memcached:1.6",
        "busybox:1",
    ];
    let mut dice = Dice(number as u64 + 77);
    let digits: Vec<String> = (0..4).map(|_| format!("{:016x}", dice.next())).collect();
    let id = digits.concat();
    let image = IMAGES[number % IMAGES.len()];
    let service = format!("shop_{}", image.split([':', '/']).next().unwrap_or_default());
    Container {
        serial: number as u64,
        name: format!("{service}.{number}.{}", &id[..12]),
        image: image.to_owned(),
        image_digest: format!("sha256:{:016x}{:016x}", dice.next(), dice.next()),
        service,
        stack: "shop".to_owned(),
        id,
        ..Container::default()
    }
}

fn process(number: usize, dice: &mut Dice) -> Process {
    const PROGRAMS: [&str; 12] = [
        "/bin/sh",
        "/usr/bin/curl",
        "/usr/local/bin/node",
        "/usr/bin/psql",
        "/usr/bin/python3.12",
        "/bin/cat",
        "/usr/bin/env",
        "/usr/bin/pg_isready",
        "/usr/bin/redis-cli",
        "/bin/sleep",
        "/usr/sbin/nginx",
        "/usr/bin/id",
    ];
    let program = PROGRAMS[dice.rank(PROGRAMS.len() as u64, 0.7) as usize % PROGRAMS.len()];
    let name = program.rsplit('/').next().unwrap_or_default();
    let args = match dice.below(4) {
        0 => format!("{name}\0-c\0exit {}", dice.below(3)),
        1 => format!("{name}\0--host\0db-{}\0--port\0{}", dice.below(9), 5432),
        2 => format!("{name}\0/var/lib/app/job-{}.json", dice.below(10_000)),
        _ => name.to_owned(),
    };
    let pid = 2000 + number as u32;
    let parent: Arc<[u8]> = b"/usr/local/bin/entrypoint".as_slice().into();
    let ancestor = Ancestor { pid: pid - 1, start_ns: number as u64 * 500, exe: parent };
    Process {
        serial: number as u64,
        pid,
        start_ns: number as u64 * 1_300_000,
        ppid: 2000 + dice.below(number as u64 + 1) as u32,
        exe: program.as_bytes().into(),
        args: args.into_bytes().into(),
        cwd: b"/app".as_slice().into(),
        origin: Origin::Init,
        lineage: Lineage::of([ancestor]),
        ..Process::default()
    }
}

fn template(
    number: usize,
    roll: u64,
    container: usize,
    process: usize,
    by: &Process,
    dice: &mut Dice,
) -> Template {
    let header = Header { pid: by.pid, tid: by.pid, uid: 33, ..Header::default() };
    let mut peer_name = None;
    let is_rare = number.is_multiple_of(DISTINCT / 2) && number > 0;
    let bytes = if number == DISTINCT / 4 {
        write(header, RARE_PATH)
    } else if is_rare {
        connect(header, RARE_ADDRESS, 443)
    } else if roll < 3 {
        let mut tail = TailBuilder::default();
        let path = tail.push(&by.exe);
        let args = tail.push(&by.args);
        let ino = dice.below(4000);
        let body = Exec {
            path,
            args,
            ino,
            ppid: by.ppid,
            mode: 0o755,
            layer: layer::code::IMAGE,
            ..Exec::default()
        };
        encode(header, body, tail.bytes())
    } else if roll < 8 {
        write(header, &path_of(dice))
    } else {
        let host = dice.rank(3000, 1.0);
        peer_name = host.is_multiple_of(3).then(|| format!("node-{host}.internal.example.org"));
        let port = [443, 5432, 6379, 80][dice.below(4) as usize];
        connect(header, Ipv4Addr::from_bits(0x0a00_0000 + host as u32), port)
    };
    Template { bytes, container, process, peer_name }
}

fn write(header: Header, path: &str) -> Vec<u8> {
    let mut tail = TailBuilder::default();
    let path = tail.push(path.as_bytes());
    let (op, layer) = (file_write::op::CREATE, layer::code::UPPER);
    encode(header, FileWrite { path, op, layer, ..FileWrite::default() }, tail.bytes())
}

fn connect(header: Header, address: Ipv4Addr, port: u16) -> Vec<u8> {
    let mut mapped = [0; 16];
    mapped[10..12].fill(0xff);
    mapped[12..].copy_from_slice(&address.octets());
    let body = Connect { address: mapped, port, protocol: 6, ..Connect::default() };
    encode(header, body, &[])
}

fn path_of(dice: &mut Dice) -> String {
    const ROOTS: [&str; 8] = [
        "/var/lib/app/data",
        "/tmp/cache",
        "/var/log/app",
        "/app/node_modules/.cache",
        "/var/spool",
        "/var/lib/postgresql/16/main/base",
        "/srv/uploads",
        "/run/app",
    ];
    const ENDINGS: [&str; 5] = ["json", "tmp", "log", "dat", "lock"];
    let rank = dice.rank(PATHS, 1.0);
    let root = ROOTS[(rank % 8) as usize];
    let ending = ENDINGS[(rank / 8 % 5) as usize];
    format!("{root}/{:02x}/{}.{ending}", rank % 61, rank.wrapping_mul(7919) % 1_000_003)
}
