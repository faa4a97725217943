//! What this kernel can do about acts that break a rule, as far as it was proved.

use plimsoll_ebpf::{
    catalog::{GUARDS, NETWORK_GUARDS},
    orders::stop,
    rules::Class,
};

use super::{
    load::TAKES_OWNERS,
    support::{Outcome, ProbeStatus},
};

/// How acts of a class are stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Means {
    /// Refused with `EPERM` before they take effect, by programs of the kernel's security module.
    Lsm,
    /// Who does them is killed: for programs and libraries before the first instruction of theirs,
    /// for files when they are opened.
    Signal,
    /// Refused with `EPERM` by programs of the root cgroup.
    Cgroup,
    /// Not at all: they are told.
    Nothing,
}

impl Means {
    /// Every means, best first.
    pub const ALL: [Self; 4] = [Self::Lsm, Self::Cgroup, Self::Signal, Self::Nothing];

    /// The name in output and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lsm => "lsm",
            Self::Signal => "signal",
            Self::Cgroup => "cgroup",
            Self::Nothing => "nothing",
        }
    }
}

/// The means for each class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopping {
    exec: Means,
    file: Means,
    network: Means,
}

impl Stopping {
    /// What the programs that work are good for. One hook that is missing leaves a way round the
    /// others: a class is refused by all of its hooks, or its acts are answered by a signal.
    pub fn of(probes: &[ProbeStatus]) -> Self {
        let works = |program: &str| {
            probes.iter().any(|it| it.program == program && it.outcome == Outcome::Attached)
        };
        let means = |class: Class| {
            let mut guards = GUARDS.iter().filter(|(of, _)| *of == class);
            let holds = |program: &str| works(program) || is_left_out(probes, program);
            let is_refused = guards.all(|(_, probe)| holds(probe.program));
            if is_refused { Means::Lsm } else { Means::Signal }
        };
        let is_refused = NETWORK_GUARDS.iter().all(|program| works(program));
        let network = if is_refused { Means::Cgroup } else { Means::Nothing };
        Self { exec: means(Class::Exec), file: means(Class::File), network }
    }

    /// How acts of a class are stopped.
    pub const fn means(&self, class: Class) -> Means {
        match class {
            Class::Exec => self.exec,
            Class::File => self.file,
            Class::Network => self.network,
        }
    }

    /// The order to stop acts of a class: a bit of [`stop`], or none.
    pub const fn bit(&self, class: Class) -> u32 {
        match self.means(class) {
            Means::Lsm | Means::Cgroup => stop::deny(class),
            Means::Signal => stop::kill(class),
            Means::Nothing => 0,
        }
    }
}

/// Whether a program is missing whose acts change no file's content: where the kernel has no such
/// hook, a change of owner is told, and the class is refused all the same.
fn is_left_out(probes: &[ProbeStatus], program: &str) -> bool {
    let is_it = |it: &&ProbeStatus| it.program == program && program == TAKES_OWNERS;
    probes.iter().find(is_it).is_some_and(|it| matches!(it.outcome, Outcome::Unsupported(_)))
        && probes.iter().any(|it| it.program == "guard_open" && it.outcome == Outcome::Attached)
}

#[cfg(test)]
mod tests {
    use plimsoll_ebpf::catalog::{CATALOG, Probe, SHARED_PROBES};

    use super::*;

    fn all_but(missing: &str) -> Vec<ProbeStatus> {
        let status = |program: &'static str, hook| {
            let outcome = if program == missing {
                Outcome::Broken("it does not act".to_owned())
            } else {
                Outcome::Attached
            };
            ProbeStatus { program, hook, required: false, outcome }
        };
        let of_network = |it: &Probe| NETWORK_GUARDS.contains(&it.program);
        let network = SHARED_PROBES.iter().chain(CATALOG.iter().flat_map(|it| it.probes));
        let network = network.filter(|it| of_network(it));
        let guards = GUARDS.iter().map(|(_, probe)| probe).chain(network);
        guards.map(|probe| status(probe.program, probe.hook)).collect()
    }

    #[test]
    fn a_class_is_refused_only_where_all_of_its_hooks_are_proved() {
        let stopping = Stopping::of(&all_but(""));
        assert_eq!(stopping.means(Class::Exec), Means::Lsm);
        assert_eq!(stopping.bit(Class::File), stop::deny(Class::File));
        let stopping = Stopping::of(&all_but("guard_mknod"));
        assert_eq!(stopping.means(Class::Exec), Means::Lsm);
        assert_eq!(stopping.bit(Class::File), stop::kill(Class::File));
        assert_eq!(stopping.means(Class::Network), Means::Cgroup);
        let mut older = all_but("");
        for it in older.iter_mut().filter(|it| it.program == TAKES_OWNERS) {
            it.outcome = Outcome::Unsupported("before 6.0".to_owned());
        }
        assert_eq!(Stopping::of(&older).means(Class::File), Means::Lsm);
        assert_eq!(Stopping::of(&all_but(TAKES_OWNERS)).means(Class::File), Means::Signal);
        let stopping = Stopping::of(&all_but("on_bind6"));
        assert_eq!(
            (stopping.means(Class::Network), stopping.bit(Class::Network)),
            (Means::Nothing, 0)
        );
        assert_eq!(Stopping::of(&[]).means(Class::Exec), Means::Signal);
    }
}
