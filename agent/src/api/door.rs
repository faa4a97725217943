//! Who is let in: nobody who runs in a container, unless it is the agent's own.

use std::path::{Path, PathBuf};

use crossbeam_channel::Sender;
use tokio::net::UnixStream;

use crate::{
    attribution::cgroup::{container_ids_of, path_of_pid},
    pipeline::stranger::Stranger,
};

/// See the module.
pub struct Door {
    proc_root: PathBuf,
    /// Containers that the agent runs in.
    own: Vec<String>,
    tell: Sender<Stranger>,
    wake: Box<dyn Fn() + Send + Sync>,
}

impl Door {
    /// Looks at the processes below `proc_root`, for the agent that is process `pid` there; tells
    /// of strangers, and wakes whoever is told.
    pub fn new(
        proc_root: &Path,
        pid: u32,
        tell: Sender<Stranger>,
        wake: impl Fn() + Send + Sync + 'static,
    ) -> Self {
        let own = ids(proc_root, pid);
        Self { proc_root: proc_root.to_owned(), own, tell, wake: Box::new(wake) }
    }

    /// Whether who connected is answered.
    pub(super) fn lets_in(&self, stream: &UnixStream) -> bool {
        let credentials = stream.peer_cred().ok();
        let Some(pid) = credentials.and_then(|it| it.pid()?.try_into().ok()) else { return true };
        let mut ids = ids(&self.proc_root, pid).into_iter();
        let Some(container) = ids.find(|id| !self.own.contains(id)) else { return true };
        tracing::warn!(pid, container, "a container's process asks the agent, and is refused");
        // One of so many at once more or less makes no difference.
        let _ = self.tell.try_send(Stranger { pid, container });
        (self.wake)();
        false
    }
}

fn ids(proc_root: &Path, pid: u32) -> Vec<String> {
    let path = path_of_pid(proc_root, pid).unwrap_or_default();
    container_ids_of(&path).map(str::to_owned).collect()
}
