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
    programs::{
        BtfTracePoint, CgroupAttachMode, CgroupSkb, CgroupSkbAttachType, CgroupSockAddr, Program,
    },
};
use plimsoll_ebpf::{
    catalog::{CATALOG, CgroupHook, Hook, Probe, SHARED_PROBES},
    offsets::Offsets,
    orders::Settings,
    syscalls,
};

use super::{
    OBJECT, btf,
    plain::Plain,
    support::{Outcome, ProbeStatus},
};

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
    /// Settings that the programs read.
    pub settings: Settings,
}

/// The loaded object and what became of its programs. Dropping it detaches everything.
pub struct Loaded {
    /// Maps and programs.
    pub ebpf: Ebpf,
    /// One entry per program, in the order of the catalogue.
    pub probes: Vec<ProbeStatus>,
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
    for probe in SHARED_PROBES.iter().chain(CATALOG.iter().flat_map(|kind| kind.probes)) {
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
    let (offsets, missing) = btf::resolve(Path::new(btf::VMLINUX))?;
    for member in missing {
        tracing::debug!(member.name, "this kernel has no such member");
    }
    raise_memlock_limit();
    let mut ebpf = open(&options, &offsets).context("loading the kernel object")?;
    let btf = Btf::from_sys_fs().context("reading the kernel's types")?;
    let cgroup = File::open(options.cgroup_root)
        .with_context(|| format!("opening the cgroup root {}", options.cgroup_root.display()))?;
    let mut statuses = Vec::new();
    for Probe { program, hook, required } in probes() {
        let outcome = attach(&mut ebpf, program, hook, &btf, &cgroup);
        statuses.push(ProbeStatus { program, hook, required, outcome });
    }
    if let Some(status) = statuses.iter().find(|status| !status.is_acceptable()) {
        bail!("the kernel program {} does not attach: {:?}", status.program, status.outcome);
    }
    Ok(Loaded { ebpf, probes: statuses, missed: HashMap::new() })
}

fn open(options: &LoadOptions<'_>, offsets: &Offsets) -> anyhow::Result<Ebpf> {
    let processors = aya::util::nr_cpus().map_err(|(file, error)| {
        anyhow::Error::from(error).context(format!("counting processors in {file}"))
    })?;
    let offsets = Plain(*offsets);
    let settings = Plain(options.settings);
    let table = syscalls::table().map(Plain);
    Ok(EbpfLoader::new()
        .override_global("OFFSETS", &offsets, true)
        .override_global("SETTINGS", &settings, true)
        .override_global("SYSCALL_TABLE", &table[..], true)
        .map_max_entries("SCRATCH", processors as u32)
        .map_max_entries("PRIORITY", options.priority_ring_bytes)
        .map_max_entries("BULK", options.bulk_ring_bytes)
        .map_max_entries("CGROUPS", options.max_cgroups)
        .load(OBJECT)?)
}

fn attach(
    ebpf: &mut Ebpf,
    name: &'static str,
    hook: Hook,
    btf: &Btf,
    cgroup: &impl AsFd,
) -> Outcome {
    let Some(program) = ebpf.program_mut(name) else {
        return Outcome::Broken("the object has no such program".to_owned());
    };
    if let Hook::Tracepoint(tracepoint) = hook
        && !has_tracepoint(btf, tracepoint)
    {
        return Outcome::Unsupported(format!("this kernel has no tracepoint {tracepoint}"));
    }
    match try_attach(program, hook, btf, cgroup) {
        Ok(()) => Outcome::Attached,
        Err(error) => Outcome::Broken(format!("{error:#}")),
    }
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
) -> anyhow::Result<()> {
    match hook {
        Hook::Tracepoint(tracepoint) => {
            let program: &mut BtfTracePoint = program.try_into()?;
            program.load(tracepoint, btf)?;
            program.attach()?;
        }
        Hook::Cgroup(CgroupHook::SockAddr) => {
            let program: &mut CgroupSockAddr = program.try_into()?;
            program.load()?;
            program.attach(cgroup, CgroupAttachMode::Single)?;
        }
        Hook::Cgroup(direction @ (CgroupHook::Egress | CgroupHook::Ingress)) => {
            let program: &mut CgroupSkb = program.try_into()?;
            program.load()?;
            let direction = if direction == CgroupHook::Egress {
                CgroupSkbAttachType::Egress
            } else {
                CgroupSkbAttachType::Ingress
            };
            program.attach(cgroup, direction, CgroupAttachMode::Single)?;
        }
    }
    Ok(())
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
        } else if matches!(section, Section::CgroupSkb { .. }) {
            "skb"
        } else {
            "other"
        }
    }

    #[test]
    fn the_object_and_the_catalogue_name_the_same_programs() {
        let object = aya_obj::Object::parse(OBJECT).expect("the object parses");
        let built: BTreeMap<&str, &str> = object
            .programs
            .iter()
            .map(|(name, program)| (name.as_str(), type_of(&program.section)))
            .collect();
        let listed: BTreeMap<&str, &str> = probes()
            .iter()
            .map(|probe| {
                let kind = match probe.hook {
                    Hook::Tracepoint(_) => "tracepoint",
                    Hook::Cgroup(CgroupHook::SockAddr) => "sock_addr",
                    Hook::Cgroup(_) => "skb",
                };
                (probe.program, kind)
            })
            .collect();
        assert_eq!(built, listed);
    }
}
