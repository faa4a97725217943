//! What can stop acts on this host, and what that guarantees for each class.

use std::path::PathBuf;

use plimsoll_ebpf::rules::Class;

use super::{item::Item, running, security};
use crate::{
    config::{sections::Config, setting::WhenGone},
    probe::{lsm, pins::Place, stopping::Means},
    response::gates::Gates,
};

/// The kernel's module for programs, as its list names it.
const BPF: &str = "bpf";

pub(super) fn items(config: &Config) -> Vec<Item> {
    let usable = lsm::usable();
    let gate = if config.response.fanotify { gate(config.host.proc_root()) } else { Gate::Off };
    let metrics = running::metrics(&config.metrics);
    let proves = |class| metrics.as_deref().and_then(|metrics| denies(metrics, class));
    let is_proved = [Class::Exec, Class::File].map(proves).contains(&Some(true));
    let list = security::read("lsm");
    let mut items = vec![bpf_lsm(&list, &usable, is_proved), fanotify(&gate), signals()];
    items.extend(pinning(config));
    for class in Class::ALL {
        items.push(enforcement(class, &usable, &gate, proves(class)));
    }
    items
}

fn bpf_lsm(list: &Result<String, String>, usable: &Result<(), String>, is_proved: bool) -> Item {
    const WHAT: &str = "BPF LSM";
    const SO: &str = "acts are not refused before they have an effect; see the classes below";
    let list = list.as_deref().map(str::trim).map_err(String::as_str);
    let is_listed = list.is_ok_and(|list| list.split(',').any(|it| it == BPF));
    match (list, usable) {
        (Ok(list), _) if !is_listed => {
            Item::warn(WHAT, format!("`{BPF}` is not among the security modules: {list}"))
                .so(SO)
                .remedy(format!("add `{BPF}` on the kernel's command line: lsm={list},{BPF}"))
        }
        (list, Err(why)) => {
            let found = list.err().map_or(why.clone(), |unknown| format!("{why}; {unknown}"));
            Item::warn(WHAT, found).so(SO).remedy(format!(
                "a kernel built with CONFIG_BPF_LSM=y, with `{BPF}` in lsm= on its command line"
            ))
        }
        (Ok(list), Ok(())) => Item::pass(WHAT, format!("usable; security modules: {list}")),
        (Err(_), Ok(())) if is_proved => Item::pass(WHAT, "usable; proved by the running agent"),
        (Err(unknown), Ok(())) => Item::warn(WHAT, unknown)
            .so(format!("if `{BPF}` is not among the security modules: {SO}"))
            .remedy(format!("mount -t securityfs securityfs {}", security::SECURITY_FS)),
    }
}

/// The gate by fanotify.
enum Gate {
    Works,
    /// Turned off.
    Off,
    /// Why it does not work.
    Lacking(String),
}

fn gate(proc_root: PathBuf) -> Gate {
    // Guards nothing; to start it is to try it.
    Gates::start(proc_root)
        .map_or_else(|error| Gate::Lacking(format!("{error:#}")), |_| Gate::Works)
}

fn fanotify(gate: &Gate) -> Item {
    const WHAT: &str = "fanotify";
    match gate {
        Gate::Works => Item::pass(WHAT, "the kernel asks before it runs a file"),
        Gate::Off => Item::pass(WHAT, "not used (response.fanotify is false)"),
        Gate::Lacking(why) => Item::warn(WHAT, why.as_str())
            .so("where BPF LSM is not usable, programs are killed rather than refused, and scripts run")
            .remedy("run as root; a kernel built with CONFIG_FANOTIFY_ACCESS_PERMISSIONS=y"),
    }
}

/// Whether programs can be left behind, where they are to be.
fn pinning(config: &Config) -> Option<Item> {
    const WHAT: &str = "pinning";
    if config.response.when_gone == WhenGone::Release {
        return None;
    }
    let place = Place::new(&config.response.pins, &config.agent.data_dir, std::process::id());
    Some(match place.check() {
        Ok(()) => Item::pass(
            WHAT,
            format!("programs outlive the agent in {}", config.response.pins.display()),
        ),
        Err(error) => Item::fail(WHAT, format!("{error:#}"))
            .so("the agent does not start: response.when_gone is \"hold\"")
            .remedy("mount -t bpf bpf /sys/fs/bpf"),
    })
}

fn signals() -> Item {
    Item::pass("signals", "programs in the kernel can kill who breaks a rule")
}

/// Whether the running agent has proved that acts of a class are refused.
fn denies(metrics: &str, class: Class) -> Option<bool> {
    let series = format!("plimsoll_enforcement_denies{{class=\"{}\"}}", class.name());
    running::value(metrics, &series).map(|value| value > 0.0)
}

fn enforcement(
    class: Class,
    usable: &Result<(), String>,
    gate: &Gate,
    proved: Option<bool>,
) -> Item {
    let what = match class {
        Class::Exec => "enforcement of exec",
        Class::File => "enforcement of file",
        Class::Network => "enforcement of network",
    };
    if class == Class::Network {
        return network(what, proved);
    }
    let means = match (proved, usable) {
        (Some(true), _) | (None, Ok(())) => Means::Lsm,
        _ => Means::Signal,
    };
    let found = guarantee(class, means, gate);
    match (proved, usable) {
        (Some(true), _) => Item::pass(what, format!("{found}; proved by the running agent")),
        (Some(false), Ok(())) => Item::warn(what, found)
            .so("BPF LSM seems usable, but the running agent tried its hooks and not all refused")
            .remedy("the agent's log names the hooks; a kernel that has them all"),
        (None, Ok(())) => Item::pass(what, format!("{found}; the agent proves it when it starts")),
        (_, Err(_)) => Item::pass(what, found),
    }
}

/// The hooks of the root cgroup are there wherever the agent runs; only it can prove that they are
/// asked.
fn network(what: &'static str, proved: Option<bool>) -> Item {
    const FOUND: &str = "cgroup: connect, send and bind, and sockets of other protocols, are refused \
                         before anything is sent";
    match proved {
        Some(true) => Item::pass(what, format!("{FOUND}; proved by the running agent")),
        None => Item::pass(what, format!("{FOUND}; the agent proves it when it starts")),
        Some(false) => Item::warn(what, "peers and ports are told, not stopped")
            .so("the running agent tried the hooks of its cgroup, and not all refused")
            .remedy(
                "the agent's log names the hooks; is its cgroup below the unified hierarchy's?",
            ),
    }
}

/// What is done about an act that breaks a rule, in one line.
fn guarantee(class: Class, means: Means, gate: &Gate) -> &'static str {
    match (class, means, gate) {
        (Class::Exec, Means::Lsm, _) => {
            "lsm: programs, scripts and libraries are refused before they have an effect"
        }
        (Class::Exec, _, Gate::Works) => {
            "fanotify and signal: programs and scripts are refused; the rest, libraries among it, is \
             killed before its first instruction"
        }
        (Class::Exec, _, _) => {
            "signal: programs and libraries are killed before their first instruction; scripts are \
             told, not stopped"
        }
        (_, Means::Lsm | Means::Cgroup, _) => {
            "lsm: opens for writing and changes of names and metadata are refused before they have \
             an effect"
        }
        (_, Means::Signal | Means::Nothing, _) => {
            "signal: who opens a file for writing is killed at the open, best effort; changes of \
             names and metadata are told, not stopped"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::item::Status, *};

    const LACKING: Result<(), &str> = Err("bpf is not listed");

    fn lsm(list: Result<&str, &str>, usable: Result<(), &str>) -> Item {
        let list = list.map(str::to_owned).map_err(str::to_owned);
        bpf_lsm(&list, &usable.map_err(str::to_owned), false)
    }

    #[test]
    fn a_missing_bpf_module_warns_with_the_line_to_set() {
        let item = lsm(Ok("capability,yama,apparmor\n"), LACKING);
        assert_eq!(item.status, Status::Warn);
        assert_eq!(
            item.remedy.as_deref(),
            Some("add `bpf` on the kernel's command line: lsm=capability,yama,apparmor,bpf")
        );
        assert_eq!(lsm(Ok("yama,bpf"), Ok(())).status, Status::Pass);
    }

    #[test]
    fn what_is_listed_and_not_usable_says_why() {
        let item = lsm(Ok("yama,bpf"), Err("this kernel refuses programs"));
        assert_eq!(
            (item.status, item.found.as_str()),
            (Status::Warn, "this kernel refuses programs")
        );
    }

    #[test]
    fn an_unreadable_list_is_unknown_and_says_why() {
        let item = lsm(Err("unknown: securityfs is not mounted"), Ok(()));
        assert_eq!((item.status, item.remedy.is_some()), (Status::Warn, true));
        assert_eq!(item.found, "unknown: securityfs is not mounted");
        let proved = |usable| bpf_lsm(&Err("unknown".to_owned()), &usable, true).status;
        assert_eq!(proved(Ok(())), Status::Pass);
        assert_eq!(proved(Err("it refuses".to_owned())), Status::Warn);
    }

    #[test]
    fn only_a_running_agent_proves_anything() {
        let of = |usable: Result<(), &str>, proved| {
            let item =
                enforcement(Class::Exec, &usable.map_err(str::to_owned), &Gate::Works, proved);
            (item.status, item.found)
        };
        let (status, found) = of(Ok(()), Some(true));
        assert!(
            status == Status::Pass && found.ends_with("proved by the running agent"),
            "{found}"
        );
        let (status, found) = of(Ok(()), None);
        assert!(status == Status::Pass && found.starts_with("lsm: "), "{found}");
        assert!(found.ends_with("the agent proves it when it starts"), "{found}");
        let (status, found) = of(Ok(()), Some(false));
        assert!(status == Status::Warn && found.starts_with("fanotify and signal: "), "{found}");
        for proved in [None, Some(false)] {
            let (status, found) = of(LACKING, proved);
            assert!(status == Status::Pass && !found.contains("prove"), "{found}");
        }
    }

    #[test]
    fn each_means_says_what_it_guarantees() {
        let of = |class, gate| guarantee(class, Means::Signal, &gate);
        assert!(of(Class::Exec, Gate::Works).contains("programs and scripts are refused"));
        let without = of(Class::Exec, Gate::Off);
        assert!(without.contains("scripts are told, not stopped"));
        assert_eq!(of(Class::Exec, Gate::Lacking(String::new())), without);
        assert!(of(Class::File, Gate::Works).contains("best effort"));
        assert_eq!(
            denies("plimsoll_enforcement_denies{class=\"file\"} 1\n", Class::File),
            Some(true)
        );
        assert_eq!(denies("plimsoll_enforcement_denies{class=\"file\"} 1\n", Class::Exec), None);
    }
}
