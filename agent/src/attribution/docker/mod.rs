//! What Docker tells: which containers there are and what happens to them, whatever becomes of the
//! connection to it.

mod book;
mod event;
mod outbox;
mod session;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bollard::{API_DEFAULT_VERSION, Docker};
use tokio::sync::mpsc::Receiver;

use self::{outbox::Outbox, session::End};
use super::container::Container;

const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How long one answer may take.
const PATIENCE_SECONDS: u64 = 10;

/// Where Docker is.
#[derive(Clone, Debug)]
pub struct DockerConfig {
    /// Its unix socket.
    pub socket: PathBuf,
}

/// A question to Docker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// What is the container with this full id? Answered by [`Notice::Known`] or
    /// [`Notice::Unknown`], late if Docker is away, and always.
    Container(String),
}

/// What is learned from Docker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Docker answers.
    Connected {
        /// Version of the API that is spoken.
        api_version: String,
        /// The engine and its version.
        engine: String,
    },
    /// The Swarm node that this host is.
    Node {
        /// Its id.
        id: String,
    },
    /// Docker stopped answering, or does not answer from the start; told once each time.
    Disconnected {
        /// Why.
        error: String,
    },
    /// Which containers there are as a connection begins, those at rest among them, but for those that
    /// were told before; what each is follows.
    Listed {
        /// Their ids.
        ids: Vec<String>,
    },
    /// A container, or news of one.
    Known(Arc<Container>),
    /// There is no container with this id, and none was ever heard of.
    Unknown {
        /// The id.
        id: String,
    },
    /// Docker takes too long to tell of this container; what it is may follow. Told once.
    Late {
        /// The id.
        id: String,
    },
    /// Something happened to a container. It follows the first `Known` or `Unknown` of it.
    Lifecycle {
        /// The container's id.
        id: String,
        /// What happened, in Docker's word: `create`, `start`, `exec_start`, `health_status`.
        op: String,
        /// Command of an exec session; `healthy` or `unhealthy` for `health_status`.
        command: String,
        /// Exit code of the container or of the exec session.
        exit_code: Option<u32>,
        /// When, in nanoseconds since the Unix epoch.
        time_ns: u64,
    },
    /// A container that ran before Docker was away does not run any more.
    Gone {
        /// The id.
        id: String,
    },
    /// The receiver was too slow for too long: this many notices were dropped.
    Lost {
        /// How many.
        count: u64,
    },
}

/// Tells of containers until `shutdown`, or until nobody listens, and calls `wake` after each
/// telling. Reconnects for ever.
pub async fn watch(
    config: DockerConfig,
    mut ask: Receiver<Ask>,
    tell: crossbeam_channel::Sender<Notice>,
    wake: impl Fn() + Send + 'static,
    shutdown: impl Future<Output = ()>,
) {
    let mut state = session::State::new(Outbox::new(tell, wake));
    let mut pause = FIRST_PAUSE;
    let mut is_told = false;
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let end = tokio::select! {
            () = &mut shutdown => return,
            end = session::run(&config.socket, &mut state, &mut ask) => end,
        };
        let (error, was_up) = match end {
            End::NobodyListens => return,
            End::Down { error, was_up } => (error, was_up),
        };
        if was_up {
            pause = FIRST_PAUSE;
        }
        if was_up || !is_told {
            tracing::warn!(%error, socket = %config.socket.display(), "docker does not answer");
            state.outbox.push(Notice::Disconnected { error });
            is_told = true;
        }
        tokio::select! {
            () = &mut shutdown => return,
            () = state.rest(pause, &mut ask) => {}
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Connects and settles on a version of the API that both sides speak.
///
/// # Errors
/// When nobody answers there as Docker does.
pub async fn connect(socket: &Path) -> Result<Docker, bollard::errors::Error> {
    let path = socket.to_string_lossy();
    Docker::connect_with_unix(&path, PATIENCE_SECONDS, API_DEFAULT_VERSION)?
        .negotiate_version()
        .await
}
