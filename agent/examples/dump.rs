use plimsoll::probe::{load::{self, LoadOptions}, ring::Rings, orders::Orders};
use plimsoll_ebpf::{catalog::{Record, split}, orders::Settings, record::HEADER_BYTES};
fn main() -> anyhow::Result<()> {
    let settings = Settings { window_ns: 10_000_000_000, bulk_share: 1<<20, priority_share: 8<<20, bulk_pressure: 2<<20, priority_pressure: 4<<20, wakeup_ns: 5_000_000, agent_pid: std::process::id(), reserved: 0 };
    let mut l = load::load(LoadOptions { cgroup_root: std::path::Path::new("/sys/fs/cgroup/unified"), priority_ring_bytes: 8<<20, bulk_ring_bytes: 4<<20, max_cgroups: 16384, settings })?;
    for p in &l.probes { eprintln!("{p:?}"); }
    for (n, p) in l.ebpf.programs() { if let Ok(i)=p.info() { eprintln!("{n} {:?} {:?}", i.verified_instruction_count(), i.size_jitted()); } }
    let mut rings = Rings::take(&mut l.ebpf)?;
    let mut orders = Orders::take(&mut l.ebpf)?;
    let t = std::time::Instant::now();
    while t.elapsed().as_secs() < 15 {
        rings.drain(1000, |e| {
            let Ok((h, b)) = split(e) else { println!("BAD {}", e.len()); return };
            match Record::from_parts(h, b) {
                Ok(r) => { let mut s = String::new(); r.visit(&mut |_, f, v| s += &format!(" {}={v}", f.name)); println!("{} cg={} pid={} start={} n={}{s}", r.kind.name, h.cgroup_id, h.pid, h.start_ns, h.count);}
                Err(_) => println!("signal {} cg={} {:?}", h.kind, h.cgroup_id, String::from_utf8_lossy(&b[..b.len().min(200)])),
            }
            if h.kind == 1001 { println!("size {}", HEADER_BYTES); }
        });
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    println!("{:?}", orders.losses());
    Ok(())
}
