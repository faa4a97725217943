//! The agent's test of its own hooks: acts of a thread of its own that they have to refuse.
//!
//! A program of the security module may load, attach, and never be asked: only what was refused
//! here counts.

mod files;
mod sockets;

use std::{collections::HashMap, fs, io, path::Path};

use anyhow::Context;
use plimsoll_ebpf::{
    orders::{Policy, SELF_TEST, stop},
    rules::Class,
};

use self::files::Place;
use super::{
    knock::knock,
    load::Loaded,
    orders::Orders,
    policies::{Policies, Whom},
    support::{Outcome, ProbeStatus},
};

/// An act that a program has to refuse, in a directory made ready for it.
type Act = fn(&Path) -> io::Result<()>;

/// Tests every program that refuses acts and is attached; what does not refuse is marked as broken.
///
/// # Errors
/// When the test cannot be made: nothing is proved then, and every such program marked.
pub fn run(
    loaded: &mut Loaded,
    orders: &mut Orders,
    policies: &mut Policies,
    data_dir: &Path,
    proc_root: &Path,
) {
    let is_tried = |it: &&mut ProbeStatus| {
        it.outcome == Outcome::Attached && acts().any(|(program, _)| *program == it.program)
    };
    let programs: Vec<&str> =
        loaded.probes.iter_mut().filter(is_tried).map(|it| it.program).collect();
    let results = test(&programs, orders, policies, data_dir, proc_root);
    for status in loaded.probes.iter_mut().filter(is_tried) {
        let why = match &results {
            Ok(doubts) => doubts.get(status.program).map(|it| (*it).to_owned()),
            Err(error) => Some(format!("could not be tested: {error:#}")),
        };
        if let Some(why) = why {
            status.outcome = Outcome::Broken(why);
        }
    }
}

/// Of each program that is not proved, why: its act has to be refused while it is told to, and not
/// before, or be one that nobody can do on this host.
fn test(
    programs: &[&'static str],
    orders: &mut Orders,
    policies: &mut Policies,
    data_dir: &Path,
    proc_root: &Path,
) -> anyhow::Result<HashMap<&'static str, &'static str>> {
    knock(0);
    let cgroup = orders.agent_cgroup().context("the kernel programs do not answer")?;
    let places = [Place::new(data_dir, "control")?, Place::new(data_dir, "test")?];
    let tid = own_tid(proc_root)?;
    orders.watch(cgroup, SELF_TEST)?;
    let before: Vec<Tried> = programs.iter().map(|it| attempt(it, &places[0].0)).collect();
    let everything = Class::ALL.iter().fold(stop::EVERY_LAYER, |all, it| all | stop::deny(*it));
    let policy = Policy { stop: everything, only_tid: tid, ..Policy::default() };
    policies.stop(Whom::There(SELF_TEST), policy)?;
    let after: Vec<Tried> = programs.iter().map(|it| attempt(it, &places[1].0)).collect();
    policies.leave(Whom::There(SELF_TEST));
    orders.unwatch(cgroup);
    let tried = before.into_iter().zip(after).map(|(before, after)| doubt(before, after));
    Ok(programs.iter().zip(tried).filter_map(|(program, why)| Some((*program, why?))).collect())
}

/// Why a program is not proved whose act went so before it was told to refuse it, and after.
fn doubt(before: Tried, after: Tried) -> Option<&'static str> {
    match (before, after) {
        (Tried::Passed, Tried::Refused) | (Tried::Impossible, _) => None,
        (Tried::Passed, _) => {
            Some("attached, and the kernel does not ask it: an act it has to refuse went through")
        }
        (Tried::Refused, _) => Some(
            "attached, and not proved: something else refuses the act, as a seccomp filter does",
        ),
    }
}

/// Every program that is tried, with its act.
fn acts() -> impl Iterator<Item = &'static (&'static str, Act)> {
    files::ACTS.iter().chain(sockets::ACTS)
}

/// How an act went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tried {
    /// With `EPERM`.
    Refused,
    /// In any other way.
    Passed,
    /// The kernel knows nothing of the kind.
    Impossible,
}

/// Does the act that a program has to refuse.
fn attempt(program: &str, dir: &Path) -> Tried {
    let Some((_, act)) = acts().find(|(of, _)| *of == program) else { return Tried::Passed };
    match act(dir).err().and_then(|error| error.raw_os_error()) {
        Some(libc::EPERM) => Tried::Refused,
        Some(libc::EAFNOSUPPORT | libc::EPROTONOSUPPORT | libc::ESOCKTNOSUPPORT) => {
            Tried::Impossible
        }
        _ => Tried::Passed,
    }
}

/// This thread's id in the host's namespace.
fn own_tid(proc_root: &Path) -> anyhow::Result<u32> {
    let path = proc_root.join("thread-self");
    let link = fs::read_link(&path).with_context(|| format!("reading {}", path.display()))?;
    let tid = link.file_name().and_then(|name| name.to_str()?.parse().ok());
    tid.with_context(|| format!("{} leads to {}", path.display(), link.display()))
}

#[cfg(test)]
mod tests {
    use plimsoll_ebpf::catalog::{GUARDS, NETWORK_GUARDS};

    use super::*;

    #[test]
    fn every_guard_has_an_act() {
        let guards = GUARDS.iter().map(|(_, probe)| probe.program);
        let guards: Vec<&str> = guards.chain(NETWORK_GUARDS.iter().copied()).collect();
        for guard in &guards {
            assert!(acts().any(|(program, _)| program == guard), "{guard}");
        }
        assert_eq!(acts().count(), guards.len());
    }

    #[test]
    fn who_is_not_proved_is_told_why() {
        assert_eq!(doubt(Tried::Passed, Tried::Refused), None);
        assert_eq!(doubt(Tried::Impossible, Tried::Passed), None);
        assert!(doubt(Tried::Passed, Tried::Passed).is_some_and(|it| it.contains("went through")));
        assert!(doubt(Tried::Refused, Tried::Refused).is_some_and(|it| it.contains("else")));
    }

    #[test]
    fn nothing_is_refused_where_nobody_refuses() {
        let dir = tempfile::tempdir().expect("makes a directory");
        let place = Place::new(dir.path(), "here").expect("makes it ready");
        for (program, _) in acts() {
            assert_ne!(attempt(program, &place.0), Tried::Refused, "{program}");
        }
        drop(place);
        assert_eq!(fs::read_dir(dir.path()).expect("reads").count(), 0);
    }
}
