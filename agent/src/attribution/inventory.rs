//! Containers that were there before the agent: their cgroups and their processes.

use std::collections::HashMap;

use super::{
    cgroup::{self, CgroupRoot},
    process::{Ancestor, Lineage, MAX_ANCESTORS, Origin, Process},
    process_table::Found,
    procfs::Procfs,
    sockets,
};

/// Words before a script's path at most: its interpreter and an option.
const MOST_OF_INTERPRETER: usize = 2;

/// A container whose cgroup was made before the agent could see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Container id.
    pub id: String,
    /// Its first process.
    pub init_pid: u32,
    /// Its health check, as Docker runs it; empty where there is none.
    pub health_command: Vec<String>,
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
pub fn inhabitants_of(procfs: &Procfs, wanted: &[Wanted]) -> Vec<Inhabitants> {
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
        processes: Family { container: &wanted[index], processes }.related(),
    });
    inhabitants.collect()
}

/// The processes of one container.
struct Family<'w> {
    container: &'w Wanted,
    processes: HashMap<u32, Found>,
}

impl Family<'_> {
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
        let is_first = |arg: &[u8]| {
            let is_named = || arg.rsplit(|&byte| byte == b'/').next() == Some(first.as_bytes());
            arg == first.as_bytes() || before > 0 && is_named()
        };
        let rest = rest.iter().map(String::as_bytes);
        let is_it = given.clone().next().is_some_and(is_first) && given.clone().skip(1).eq(rest);
        given.next();
        is_it
    })
}

#[cfg(test)]
mod tests {
    use super::*;

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

    fn family(container: &Wanted) -> HashMap<u32, Process> {
        let processes = HashMap::from([
            found(10, 1, "/init"),
            found(11, 10, "/worker"),
            found(20, 1, "/bin/sh"),
            found(21, 20, "/bin/ls"),
            found(30, 1, "/check"),
            found(40, 7, "/stray"),
        ]);
        let related = Family { container, processes }.related().into_iter();
        related.map(|it| (it.process.pid, it.process)).collect()
    }

    #[test]
    fn origins_follow_from_the_line_a_process_is_of() {
        let container =
            Wanted { id: String::new(), init_pid: 10, health_command: vec!["/check".to_owned()] };
        let family = family(&container);
        let origin = |pid: u32| family[&pid].origin;
        assert_eq!((origin(10), origin(11)), (Origin::Init, Origin::Init));
        assert_eq!((origin(20), origin(21)), (Origin::Exec, Origin::Exec));
        assert_eq!((origin(30), origin(40)), (Origin::Health, Origin::Unknown));
        assert_eq!(&*family[&11].lineage.paths, b"/init");
        assert!(family[&20].lineage.ancestors.is_empty());
    }

    #[test]
    fn a_command_is_compared_word_by_word() {
        let command = vec!["/bin/check".to_owned(), "-q".to_owned()];
        assert!(is_command(b"/bin/check\0-q", &command));
        assert!(!is_command(b"/bin/check", &command) && !is_command(b"", &[]));
    }
}
