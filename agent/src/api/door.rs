//! Who is let in: nobody who runs in a container, unless it is the agent's own.

use std::path::Path;

use crossbeam_channel::Sender;
use tokio::net::UnixStream;

use crate::{
    attribution::cgroup::{container_ids_of, path_of_pid},
    pipeline::stranger::Stranger,
};

/// See the module.
pub struct Door {
    /// Containers that the agent runs in.
    own: Vec<String>,
    tell: Sender<Stranger>,
    wake: Box<dyn Fn() + Send + Sync>,
}

impl Door {
    /// Tells of strangers, and wakes whoever is told.
    pub fn new(tell: Sender<Stranger>, wake: impl Fn() + Send + Sync + 'static) -> Self {
        let own = ids(std::process::id()).unwrap_or_default();
        Self { own, tell, wake: Box::new(wake) }
    }

    /// Whether who connected is answered.
    pub(super) fn lets_in(&self, stream: &UnixStream) -> bool {
        // The kernel names the process as this one's namespace does; 0 is in none that it sees.
        let credentials = stream.peer_cred().ok();
        let pid = credentials.and_then(|it| it.pid()?.try_into().ok()).filter(|pid| *pid != 0);
        let Some((pid, ids)) = pid.and_then(|pid| Some((pid, ids(pid)?))) else {
            tracing::warn!(
                ?pid,
                "a process asks the agent that is gone or cannot be seen: refused"
            );
            return false;
        };
        let Some(container) = ids.into_iter().find(|id| !self.own.contains(id)) else {
            return true;
        };
        tracing::warn!(pid, container, "a container's process asks the agent, and is refused");
        // One of so many at once more or less makes no difference.
        let _ = self.tell.try_send(Stranger { pid, container });
        (self.wake)();
        false
    }
}

/// The containers that a process is in, as this process's namespaces show it; `None` where it is gone.
fn ids(pid: u32) -> Option<Vec<String>> {
    let path = path_of_pid(Path::new("/proc"), pid)?;
    Some(container_ids_of(&path).map(str::to_owned).collect())
}
