//! Loads the kernel object and attaches each program where the catalogue says.

use std::{
    collections::HashMap,
    fs::File,
    os::fd::{AsFd, AsRawFd},
    path::Path,
    time::Duration,
};

use anyhow::{Context, bail};
use aya::{
    Btf, Ebpf, EbpfLoader,
    maps::{ProgramArray, Stack},
    programs::{
        BtfTracePoint, CgroupAttachMode, CgroupSkb, CgroupSkbAttachType, CgroupSock,
        CgroupSockAddr, Lsm, Program, links::FdLink,
    },
};
use plimsoll_ebpf::{
    catalog::{CATALOG, CgroupHook, GUARDS, Hook, Probe, SHARED_PROBES},
    offsets::Offsets,
    orders::Settings,
    syscalls,
};

use super::{
    btf, lsm, object,
    plain::Plain,
    support::{Outcome, ProbeStatus},
};

/// Programs that may be preempted at once, each in the middle of a record.
const PREEMPTED_SLOTS: u32 = 32;

/// What the kernel side is told at load.
#[derive(Clone, Copy, Debug)]
pub struct LoadOptions<'a> {
    /// Root directory of the unified cgroup hierarchy.
    pub cgroup_root: &'a Path,
    /// Bytes of the priority ring; a power of two and a multiple of the page size.
    pub priority_ring_bytes: u32,
    /// Bytes of the bulk ring; likewise.
    pub bulk_ring_bytes: u32,
    /// Most cgroups watched at once.
    pub max_cgroups: u32,
    /// Whether programs can refuse acts as a security module; if not, why.
    pub lsm: Result<(), &'a str>,
    /// Settings that the programs read.
    pub settings: Settings,
}

/// The loaded object and what became of its programs. Dropping it detaches everything.
pub struct Loaded {
    /// Maps and programs.
    pub ebpf: Ebpf,
    /// One entry per program, in the order of the catalogue.
    pub probes: Vec<ProbeStatus>,
    /// What keeps programs attached, with their names.
    links: Vec<(&'static str, FdLink)>,
    /// Runs that the kernel skipped, as far as they were told.
    missed: HashMap<&'static str, u64>,
}

/// How often a program ran and how long that took, since it was loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run<'p> {
    /// Name of the program.
    pub program: &'p str,
    /// Runs.
    pub count: u64,
    /// Time of all runs.
    pub time: Duration,
}

impl Loaded {
    /// Pins every attached program to a directory, by its name. One that cannot be pinned is detached,
    /// for the library gives no link back; it ends there, and the others stay attached.
    pub(super) fn pin(&mut self, dir: &Path) -> anyhow::Result<()> {
        for at in 0..self.links.len() {
            let (program, link) = self.links.remove(at);
            let pinned = link.pin(dir.join(program));
            let pinned = pinned.with_context(|| {
                format!(
                    "{program} could not be pinned and is detached: start the agent again, with \
                     response.when_gone = \"release\" if it happens again"
                )
            })?;
            self.links.insert(at, (program, pinned.into()));
        }
        Ok(())
    }

    /// Runs of each program that the kernel skipped since the last call, because the program was
    /// running on that processor already. Kernels before 5.12 do not count them.
    pub fn take_missed(&mut self) -> Vec<u64> {
        let mut new = Vec::new();
        for status in &self.probes {
            let Some(missed) = self.ebpf.program(status.program).and_then(missed_runs) else {
                continue;
            };
            let told = self.missed.insert(status.program, missed).unwrap_or_default();
            if missed > told {
                new.push(missed - told);
            }
        }
        new
    }

    /// How many instructions of each program the verifier followed, where the kernel tells.
    pub fn verified(&self) -> impl Iterator<Item = (&str, u32)> {
        self.ebpf.programs().filter_map(|(program, it)| {
            Some((program, it.info().ok()?.verified_instruction_count()?))
        })
    }

    /// The runs of every program; they are counted while the kernel is told to.
    pub fn runs(&self) -> impl Iterator<Item = Run<'_>> {
        self.ebpf.programs().filter_map(|(program, it)| {
            let info = it.info().ok()?;
            Some(Run { program, count: info.run_count(), time: info.run_time() })
        })
    }
}

/// Whether the kernel hands the running task to programs with its type.
pub fn has_typed_task() -> bool {
    use aya::{programs::ProgramType, sys::is_helper_supported};
    let helper = aya_obj::generated::bpf_func_id::BPF_FUNC_get_current_task_btf;
    is_helper_supported(ProgramType::RawTracePoint, helper).unwrap_or(false)
        && is_helper_supported(ProgramType::CgroupSkb, helper).unwrap_or(false)
}

/// Programs that need to know what lies at an address of a process.
const LOOKS_AT_MAPPINGS: [&str; 2] = ["on_map", "on_exec_loader"];

/// Whether the kernel tells programs what lies at an address.
fn finds_mappings() -> bool {
    use aya::{programs::ProgramType, sys::is_helper_supported};
    let helper = aya_obj::generated::bpf_func_id::BPF_FUNC_find_vma;
    has_typed_task() && is_helper_supported(ProgramType::RawTracePoint, helper).unwrap_or(false)
}

/// Whether programs may be preempted: those of security modules wherever the kernel can be, those
/// at tracepoints since Linux 7.0.
pub fn is_preemptible(has_lsm: bool) -> bool {
    has_lsm || kernel_version().is_none_or(|version| version >= (7, 0))
}

/// Major and minor number of the running kernel.
fn kernel_version() -> Option<(u32, u32)> {
    let uname = rustix::system::uname();
    let mut numbers = uname.release().to_str().ok()?.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// The program whose hook is given owners, which are structs to the kernel.
pub(super) const TAKES_OWNERS: &str = "guard_chown";

/// Whether programs may have structs for arguments.
fn hands_over_owners() -> bool {
    kernel_version().is_none_or(|version| version >= (6, 0))
}

/// Runs of a program that the kernel skipped, as its descriptor's `fdinfo` tells.
fn missed_runs(program: &Program) -> Option<u64> {
    let descriptor = program.fd().ok()?.as_fd().as_raw_fd();
    let told = std::fs::read_to_string(format!("/proc/self/fdinfo/{descriptor}")).ok()?;
    let line = told.lines().find_map(|line| line.strip_prefix("recursion_misses:"))?;
    line.trim().parse().ok()
}

/// Every program of the catalogue, once.
pub fn probes() -> Vec<Probe> {
    let mut probes: Vec<Probe> = Vec::new();
    let of_events = CATALOG.iter().flat_map(|kind| kind.probes);
    let guards = GUARDS.iter().map(|(_, probe)| probe);
    for probe in SHARED_PROBES.iter().chain(of_events).chain(guards) {
        if !probes.contains(probe) {
            probes.push(*probe);
        }
    }
    probes
}

/// Loads the object and attaches its programs.
///
/// # Errors
/// When the kernel's types cannot be read, the object is refused as a whole, or a required program
/// does not attach; the chain says which and why.
pub fn load(options: LoadOptions<'_>) -> anyhow::Result<Loaded> {
    let (offsets, missing) = btf::resolve(Path::new(btf::VMLINUX), Path::new(btf::OVERLAY))?;
    for member in missing {
        tracing::debug!(member.name, "this kernel has no such member");
    }
    if !btf::knows_overlay(&offsets) {
        tracing::warn!(
            "overlayfs is not described: a program of the image that was changed before the agent \
             ran is alerted by its content and not stopped; load the module before the agent starts \
             (modprobe overlay)"
        );
    }
    raise_memlock_limit();
    let mut ebpf = open(&options, &offsets).context("loading the kernel object")?;
    let btf = Btf::from_sys_fs().context("reading the kernel's types")?;
    let cgroup = File::open(options.cgroup_root)
        .with_context(|| format!("opening the cgroup root {}", options.cgroup_root.display()))?;
    let finds_mappings = finds_mappings();
    let (mut statuses, mut links) = (Vec::new(), Vec::new());
    for Probe { program, hook, required } in probes() {
        let outcome = match (hook, options.lsm) {
            (Hook::Lsm(_), Err(why)) => Outcome::Unsupported(why.to_owned()),
            _ if program == TAKES_OWNERS && !hands_over_owners() => Outcome::Unsupported(
                "this kernel does not hand owners to programs (before 6.0)".to_owned(),
            ),
            _ if LOOKS_AT_MAPPINGS.contains(&program) && !finds_mappings => Outcome::Unsupported(
                "this kernel does not tell what lies at an address (before 5.17)".to_owned(),
            ),
            _ => attach(&mut ebpf, program, hook, &btf, &cgroup, &mut links),
        };
        statuses.push(ProbeStatus { program, hook, required, outcome });
    }
    if let Some(status) = statuses.iter().find(|status| !status.is_acceptable()) {
        bail!("the kernel program {} does not attach: {:?}", status.program, status.outcome);
    }
    Ok(Loaded { ebpf, probes: statuses, links, missed: HashMap::new() })
}

fn open(options: &LoadOptions<'_>, offsets: &Offsets) -> anyhow::Result<Ebpf> {
    let processors = aya::util::nr_cpus().map_err(|(file, error)| {
        anyhow::Error::from(error).context(format!("counting processors in {file}"))
    })?;
    let offsets = Plain(*offsets);
    let settings = Plain(options.settings);
    let table = syscalls::table().map(Plain);
    let slots = slots(&options.settings, processors as u32);
    let mut ebpf = EbpfLoader::new()
        .override_global("OFFSETS", &offsets, true)
        .override_global("SETTINGS", &settings, true)
        .override_global("SYSCALL_TABLE", &table[..], true)
        .map_max_entries("SCRATCH", slots)
        .map_max_entries("FREE_SLOTS", slots)
        .map_max_entries("PRIORITY", options.priority_ring_bytes)
        .map_max_entries("BULK", options.bulk_ring_bytes)
        .map_max_entries("CGROUPS", options.max_cgroups)
        .load(&object())?;
    if options.settings.is_preemptible != 0 {
        let free = ebpf.map_mut("FREE_SLOTS").context("the object has no map FREE_SLOTS")?;
        let mut free: Stack<_, u32> = free.try_into()?;
        for slot in 0..slots {
            free.push(slot, 0).context("filling FREE_SLOTS")?;
        }
    }
    Ok(ebpf)
}

/// Slots to build records in: one for each processor, and some for programs that were preempted
/// while they held theirs.
fn slots(settings: &Settings, processors: u32) -> u32 {
    if settings.is_preemptible == 0 { processors } else { processors + PREEMPTED_SLOTS }
}

fn attach(
    ebpf: &mut Ebpf,
    name: &'static str,
    hook: Hook,
    btf: &Btf,
    cgroup: &impl AsFd,
    links: &mut Vec<(&'static str, FdLink)>,
) -> Outcome {
    let Some(program) = ebpf.program_mut(name) else {
        return Outcome::Broken("the object has no such program".to_owned());
    };
    if let Hook::Tracepoint(tracepoint) = hook
        && !has_tracepoint(btf, tracepoint)
    {
        return Outcome::Unsupported(format!("this kernel has no tracepoint {tracepoint}"));
    }
    if let Hook::Lsm(hook) = hook
        && let Err(why) = lsm::supports(btf, hook)
    {
        return Outcome::Unsupported(why);
    }
    let attached = try_attach(program, hook, btf, cgroup);
    match attached.and_then(|link| follow_up(ebpf, name, hook).map(|()| link)) {
        Ok(link) => {
            links.extend(link.map(|link| (name, link)));
            Outcome::Attached
        }
        Err(error) => {
            let why = format!("{error:#}");
            tracing::debug!(name, why, "refused");
            Outcome::Broken(shortened(&why))
        }
    }
}

/// Puts a program where the one it follows finds it.
fn follow_up(ebpf: &mut Ebpf, name: &str, hook: Hook) -> anyhow::Result<()> {
    let Hook::FollowUp(_, index) = hook else { return Ok(()) };
    let program = ebpf.program(name).context("the object has no such program")?.fd()?;
    let program = program.try_clone()?;
    let map = ebpf.map_mut("FOLLOW_UPS").context("the object has no map FOLLOW_UPS")?;
    ProgramArray::try_from(map)?.set(index, &program, 0)?;
    Ok(())
}

/// An error with the verifier's last word instead of its whole log.
fn shortened(why: &str) -> String {
    let Some((error, log)) = why.split_once("Verifier output:") else { return why.to_owned() };
    let is_count = |line: &&str| line.starts_with("processed ") || line.contains("prevents");
    let last = log.lines().rev().map(str::trim).find(|line| !line.is_empty() && !is_count(line));
    format!("{} the verifier says: {}", error.trim(), last.unwrap_or("nothing"))
}

/// Typed tracepoints appear in BTF as typedefs of that name.
fn has_tracepoint(btf: &Btf, tracepoint: &str) -> bool {
    let name = format!("btf_trace_{tracepoint}");
    btf.id_by_type_name_kind(&name, aya_obj::btf::BtfKind::Typedef).is_ok()
}

fn try_attach(
    program: &mut Program,
    hook: Hook,
    btf: &Btf,
    cgroup: &impl AsFd,
) -> anyhow::Result<Option<FdLink>> {
    let link = match hook {
        Hook::Tracepoint(tracepoint) => {
            let program: &mut BtfTracePoint = program.try_into()?;
            program.load(tracepoint, btf)?;
            let link = program.attach()?;
            program.take_link(link)?.into()
        }
        Hook::FollowUp(tracepoint, _) => {
            let program: &mut BtfTracePoint = program.try_into()?;
            program.load(tracepoint, btf)?;
            return Ok(None);
        }
        Hook::Lsm(hook) => {
            let program: &mut Lsm = program.try_into()?;
            program.load(hook, btf)?;
            let link = program.attach()?;
            program.take_link(link)?.into()
        }
        Hook::Cgroup(CgroupHook::SockAddr) => {
            let program: &mut CgroupSockAddr = program.try_into()?;
            program.load()?;
            let link = program.attach(cgroup, CgroupAttachMode::Single)?;
            program.take_link(link)?.try_into()?
        }
        Hook::Cgroup(CgroupHook::Sock) => {
            let program: &mut CgroupSock = program.try_into()?;
            program.load()?;
            let link = program.attach(cgroup, CgroupAttachMode::Single)?;
            program.take_link(link)?.try_into()?
        }
        Hook::Cgroup(direction @ (CgroupHook::Egress | CgroupHook::Ingress)) => {
            let program: &mut CgroupSkb = program.try_into()?;
            program.load()?;
            let direction = if direction == CgroupHook::Egress {
                CgroupSkbAttachType::Egress
            } else {
                CgroupSkbAttachType::Ingress
            };
            let link = program.attach(cgroup, direction, CgroupAttachMode::Single)?;
            program.take_link(link)?.try_into()?
        }
    };
    Ok(Some(link))
}

/// Kernels before 5.11 count maps against this limit; later ones do not look at it.
fn raise_memlock_limit() {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let unlimited = Rlimit { current: None, maximum: None };
    if let Err(error) = setrlimit(Resource::Memlock, unlimited) {
        tracing::debug!(%error, "the limit on locked memory stays as it is");
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn type_of(section: &aya_obj::ProgramSection) -> &'static str {
        use aya_obj::ProgramSection as Section;
        if matches!(section, Section::BtfTracePoint) {
            "tracepoint"
        } else if matches!(section, Section::CgroupSockAddr { .. }) {
            "sock_addr"
        } else if matches!(section, Section::CgroupSock { .. }) {
            "sock"
        } else if matches!(section, Section::CgroupSkb { .. }) {
            "skb"
        } else if matches!(section, Section::Lsm { .. }) {
            "lsm"
        } else {
            "other"
        }
    }

    #[test]
    fn the_object_and_the_catalogue_name_the_same_programs() {
        let object = aya_obj::Object::parse(&object()).expect("the object parses");
        let built: BTreeMap<&str, &str> = object
            .programs
            .iter()
            .map(|(name, program)| (name.as_str(), type_of(&program.section)))
            .collect();
        let listed: BTreeMap<&str, &str> = probes()
            .iter()
            .map(|probe| {
                let kind = match probe.hook {
                    Hook::Tracepoint(_) | Hook::FollowUp(..) => "tracepoint",
                    Hook::Lsm(_) => "lsm",
                    Hook::Cgroup(CgroupHook::SockAddr) => "sock_addr",
                    Hook::Cgroup(CgroupHook::Sock) => "sock",
                    Hook::Cgroup(_) => "skb",
                };
                (probe.program, kind)
            })
            .collect();
        assert_eq!(built, listed);
    }
}
