//! Containers that were there before the agent: their cgroups and their processes.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use plimsoll_ebpf::{layer::code, rules};

use super::{
    cgroup::{self, CgroupRoot},
    container::Container,
    inspect::is_docker_init,
    normal::base,
    overlay::Layer,
    process::{Ancestor, Lineage, MAX_ANCESTORS, Origin, Process},
    process_table::Found,
    procfs::Procfs,
    sockets,
};

/// Words before a script's path at most: its interpreter and an option.
const MOST_OF_INTERPRETER: usize = 2;

/// A container whose cgroup was made before the agent could see it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Container id.
    pub id: String,
    /// Its first process.
    pub init_pid: u32,
    /// Its health check, as Docker runs it; empty where there is none.
    pub health_command: Vec<String>,
    /// What Docker says of it, if it does.
    pub container: Option<Arc<Container>>,
}

/// What runs in a container.
#[derive(Debug)]
pub struct Inhabitants {
    /// The container's id.
    pub id: String,
    /// Its processes, with origin and ancestors as far as they can be told.
    pub processes: Vec<Found>,
    /// Processes and the TCP ports on which they listen.
    pub listeners: Vec<(u32, u16)>,
}

/// Where a container's processes are in the cgroup hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Id of its own cgroup.
    pub cgroup_id: u64,
    /// Path of its own cgroup from the root of the hierarchy.
    pub path: String,
    /// Ids of the cgroups below it.
    pub below: Vec<u64>,
}

/// Finds a container's cgroups; `None` if it is gone.
pub fn place_of(root: &CgroupRoot, id: &str) -> Option<Place> {
    let directory = root.directory_of(id)?;
    Some(Place {
        cgroup_id: cgroup::id_of(&directory).ok()?,
        path: root.path_of(&directory)?,
        below: cgroup::descendants(&directory).into_iter().map(|(_, id)| id).collect(),
    })
}

/// What runs in these containers. One look at `/proc` serves all of them: with many processes it
/// is what costs.
pub fn inhabitants_of(procfs: &mut Procfs, wanted: &[Wanted]) -> Vec<Inhabitants> {
    let position = |id: &str| wanted.iter().position(|it| it.id == id);
    let which = |path: &str| cgroup::container_ids_of(path).find_map(position);
    let mut by_container: HashMap<usize, HashMap<u32, Found>> = HashMap::new();
    for (path, found) in procfs.scan(|path| which(path).is_some()) {
        if let Some(index) = which(&path) {
            by_container.entry(index).or_default().insert(found.process.pid, found);
        }
    }
    let inhabitants = by_container.into_iter().map(|(index, processes)| Inhabitants {
        id: wanted[index].id.clone(),
        listeners: sockets::listeners(procfs.root(), processes.keys().copied()),
        processes: {
            let family = Family { container: &wanted[index], processes };
            family.told_apart(&mut |container, pid| procfs.layer_of_program(container, pid))
        },
    });
    inhabitants.collect()
}

/// Whether a process runs a program that is neither its image's nor what its container was made with.
fn is_foreign(container: &Container, process: &Process, layer: Layer) -> bool {
    let is_dockers = layer.code == code::MOUNT && is_docker_init(&process.exe);
    rules::of_program(layer.code, 0, layer.is_changed).is_some()
        && !is_dockers
        && !container.has_given(process, layer.code, &process.exe)
}

/// The processes of one container.
struct Family<'w> {
    container: &'w Wanted,
    processes: HashMap<u32, Found>,
}

impl Family<'_> {
    /// The same as [`Self::related`], those marked that run what is not the image's or descend from one
    /// that does. `layer_of` tells in which layer the program of a process lies.
    fn told_apart(&self, layer_of: &mut dyn FnMut(&Container, u32) -> Option<Layer>) -> Vec<Found> {
        let mut all = self.related();
        let Some(container) = &self.container.container else { return all };
        let mut runs_foreign = |process: &Process| {
            // What begins a container is the runtime's still, or what it was made to begin with.
            let is_first = process.lineage.ancestors.is_empty()
                && matches!(process.origin, Origin::Init | Origin::Unknown);
            let mut layer = || layer_of(container, process.pid);
            !is_first && layer().is_some_and(|it| is_foreign(container, process, it))
        };
        let foreign = all.iter().map(|it| &it.process).filter(|it| runs_foreign(it));
        let foreign: HashSet<u32> = foreign.map(|it| it.pid).collect();
        let parent = |pid: &u32| self.processes.get(pid).map(|it| it.process.ppid);
        for Found { process, .. } in &mut all {
            let line = std::iter::successors(Some(process.pid), parent).take(self.processes.len());
            process.is_foreign = line.into_iter().any(|pid| foreign.contains(&pid));
        }
        all
    }

    fn related(&self) -> Vec<Found> {
        let related = self.processes.values().map(|found| {
            let ancestors = self.ancestors(&found.process);
            let process = Process {
                origin: self.origin(&found.process, &ancestors),
                lineage: Lineage::of(ancestors),
                ..found.process.clone()
            };
            Found { process, tick_ns: found.tick_ns }
        });
        related.collect()
    }

    /// Parent first, as far as they are in the container.
    fn ancestors(&self, of: &Process) -> Vec<Ancestor> {
        let mut ancestors: Vec<Ancestor> = Vec::new();
        let mut next = of.ppid;
        while ancestors.len() < MAX_ANCESTORS
            && let Some(Found { process, .. }) = self.processes.get(&next)
        {
            ancestors.push(Ancestor {
                pid: process.pid,
                start_ns: process.start_ns,
                exe: process.exe.clone(),
            });
            next = process.ppid;
        }
        ancestors
    }

    /// Who descends from the first process belongs to it. Whose line begins at the same parent as
    /// the first process's came in later: a session, or a run of the health check.
    fn origin(&self, of: &Process, ancestors: &[Ancestor]) -> Origin {
        let eldest = ancestors.last().map_or(of.pid, |it| it.pid);
        let line = self.processes.get(&eldest).map(|it| &it.process);
        let init = self.processes.get(&self.container.init_pid).map(|it| &it.process);
        match (line, init) {
            _ if eldest == self.container.init_pid => Origin::Init,
            (Some(line), Some(init)) if line.ppid == init.ppid => {
                let is_health = is_command(&line.args, &self.container.health_command);
                if is_health { Origin::Health } else { Origin::Exec }
            }
            _ => Origin::Unknown,
        }
    }
}

/// Whether NUL-separated arguments are this command. Before a script the kernel puts its interpreter, with
/// an option or without, and says the script's path where the command may have its name alone.
pub(super) fn is_command(args: &[u8], command: &[String]) -> bool {
    let Some((first, rest)) = command.split_first() else { return false };
    let mut given = args.split(|&byte| byte == 0);
    (0..=MOST_OF_INTERPRETER).any(|before| {
        let is_first =
            |arg: &[u8]| arg == first.as_bytes() || before > 0 && base(arg) == first.as_bytes();
        let rest = rest.iter().map(String::as_bytes);
        let is_it = given.clone().next().is_some_and(is_first) && given.clone().skip(1).eq(rest);
        given.next();
        is_it
    })
}

#[cfg(test)]
mod tests {
    use plimsoll_ebpf::{
        events::{exec::Exec, fork::Fork},
        record::{Header, Tail},
    };

    use super::*;
    use crate::attribution::process_table::ProcessTable;

    #[test]
    fn a_command_that_is_a_script_is_known_behind_its_interpreter() {
        let command = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
        let is = |args: &str, words: &[&str]| is_command(args.as_bytes(), &command(words));
        assert!(is("/bin/sh\0-c\0pg_isready", &["/bin/sh", "-c", "pg_isready"]));
        assert!(is("/bin/bash\0/usr/local/bin/hc.sh", &["/usr/local/bin/hc.sh"]));
        assert!(is("/bin/bash\0-eu\0/usr/local/bin/hc.sh\0--all", &["hc.sh", "--all"]));
        assert!(!is("/bin/bash\0/usr/local/bin/hc.sh\0--all", &["hc.sh"]));
        assert!(!is("/usr/local/bin/hc.sh", &["hc.sh"]), "its name is another program's, too");
        assert!(!is("/bin/sh\0-c\0id", &["/bin/sh", "-c", "pg_isready"]));
        assert!(!is("", &[]) && !is("", &["x"]));
    }

    fn found(pid: u32, parent: u32, args: &str) -> (u32, Found) {
        let process = Process {
            pid,
            ppid: parent,
            exe: args.as_bytes().into(),
            args: args.as_bytes().into(),
            ..Process::default()
        };
        (pid, Found { process, tick_ns: 1 })
    }

    fn processes() -> HashMap<u32, Found> {
        HashMap::from([
            found(10, 1, "/init"),
            found(11, 10, "/worker"),
            found(20, 1, "/bin/sh"),
            found(21, 20, "/bin/ls"),
            found(30, 1, "/check"),
            found(40, 7, "/stray"),
        ])
    }

    fn family(container: &Wanted) -> HashMap<u32, Process> {
        let processes = processes();
        let related = Family { container, processes }.related().into_iter();
        related.map(|it| (it.process.pid, it.process)).collect()
    }

    #[test]
    fn origins_follow_from_the_line_a_process_is_of() {
        let container =
            Wanted { init_pid: 10, health_command: vec!["/check".to_owned()], ..Wanted::default() };
        let family = family(&container);
        let origin = |pid: u32| family[&pid].origin;
        assert_eq!((origin(10), origin(11)), (Origin::Init, Origin::Init));
        assert_eq!((origin(20), origin(21)), (Origin::Exec, Origin::Exec));
        assert_eq!((origin(30), origin(40)), (Origin::Health, Origin::Unknown));
        assert_eq!(&*family[&11].lineage.paths, b"/init");
        assert!(family[&20].lineage.ancestors.is_empty());
    }

    #[test]
    fn who_runs_what_is_not_the_images_is_foreign_with_all_that_descends_from_it() {
        let container = Container { entrypoint: "/init".to_owned(), ..Container::default() };
        let wanted =
            Wanted { init_pid: 10, container: Some(container.into()), ..Wanted::default() };
        let foreign = |layers: &[(u32, u8)]| {
            let family = Family { container: &wanted, processes: processes() };
            let layer_of = |pid| layers.iter().find(|(its, _)| *its == pid);
            let all = family.told_apart(&mut |_, pid| {
                layer_of(pid).map(|(_, code)| Layer { code: *code, is_changed: false })
            });
            let all = all.into_iter().filter(|it| it.process.is_foreign);
            let mut all: Vec<u32> = all.map(|it| it.process.pid).collect();
            all.sort_unstable();
            all
        };
        assert_eq!(foreign(&[(10, code::MEMFD), (20, code::UPPER)]), [20, 21]);
        assert_eq!(foreign(&[(11, code::TMPFS), (21, code::IMAGE)]), [11]);
        assert!(foreign(&[(10, code::BIND), (30, code::COPIED_UP)]).is_empty(), "made with it");
        assert_eq!(foreign(&[(30, code::BIND)]), [30]);
    }

    #[test]
    fn what_a_foreign_process_makes_or_runs_later_is_foreign() {
        let mut table = ProcessTable::new(10);
        let process = Process { pid: 7, start_ns: 70, is_foreign: true, ..Process::default() };
        table.found(Found { process, tick_ns: 0 }, 1);
        let header = Header { pid: 8, start_ns: 80, cgroup_id: 1, ..Header::default() };
        table.forked(&header, Fork { ppid: 7, parent_start_ns: 70, ..Fork::default() });
        assert!(table.of(&header).is_some_and(|it| it.is_foreign));
        assert!(table.executed(&header, &Exec::default(), Tail(b""), |_| false).is_foreign);
    }

    #[test]
    fn a_command_is_compared_word_by_word() {
        let command = vec!["/bin/check".to_owned(), "-q".to_owned()];
        assert!(is_command(b"/bin/check\0-q", &command));
        assert!(!is_command(b"/bin/check", &command) && !is_command(b"", &[]));
    }
}
