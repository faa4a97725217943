//! Who listens in a container, to name the process that a connection reached.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use super::process::Process;

/// Ports remembered of one container; the earliest of more is forgotten.
const MOST_PORTS: usize = 256;

/// Listening processes by container and port.
#[derive(Default)]
pub struct Listeners(HashMap<u64, VecDeque<(u16, Arc<Process>)>>);

impl Listeners {
    /// A process listens on a port.
    pub fn insert(&mut self, cgroup_id: u64, port: u16, process: Arc<Process>) {
        let ports = self.0.entry(cgroup_id).or_default();
        ports.retain(|(known, _)| *known != port);
        if ports.len() >= MOST_PORTS {
            ports.pop_front();
        }
        ports.push_back((port, process));
    }

    /// The process that listens on a port.
    pub fn get(&self, cgroup_id: u64, port: u16) -> Option<Arc<Process>> {
        let ports = self.0.get(&cgroup_id)?;
        ports.iter().find(|(known, _)| *known == port).map(|(_, process)| process.clone())
    }

    /// A container is gone.
    pub fn forget(&mut self, cgroup_id: u64) {
        self.0.remove(&cgroup_id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: u32) -> Arc<Process> {
        Arc::new(Process { pid, ..Process::default() })
    }

    #[test]
    fn the_latest_to_listen_on_a_port_is_named() {
        let mut listeners = Listeners::default();
        listeners.insert(5, 80, process(1));
        listeners.insert(5, 80, process(2));
        listeners.insert(6, 80, process(3));
        assert_eq!(listeners.get(5, 80).map(|it| it.pid), Some(2));
        assert!(listeners.get(5, 81).is_none());
        listeners.forget(5);
        assert!(listeners.get(5, 80).is_none() && listeners.get(6, 80).is_some());
    }

    #[test]
    fn a_container_cannot_make_it_grow_without_end() {
        let mut listeners = Listeners::default();
        for port in 1..1000 {
            listeners.insert(5, port, process(1));
        }
        assert_eq!(listeners.0[&5].len(), MOST_PORTS);
        assert!(listeners.get(5, 999).is_some() && listeners.get(5, 1).is_none());
    }
}
