//! How commands reach the agent.

use std::path::PathBuf;

use super::{exit::Failure, overrides::Overrides};
use crate::api::client::ClientError;

/// Where the agent answers.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct AgentArgs {
    /// Ask the agent on this socket, not on the configured one
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
}

impl AgentArgs {
    /// The socket.
    ///
    /// # Errors
    /// When none is named and the configuration cannot be read.
    pub(super) fn socket(&self) -> Result<PathBuf, Failure> {
        match &self.socket {
            Some(path) => Ok(path.clone()),
            None => Ok(Overrides::default().load(None)?.config.agent.socket),
        }
    }
}

/// The exit code that an answer calls for which is none.
pub(super) fn failure(error: ClientError) -> Failure {
    match error {
        ClientError::Unreachable { .. } => Failure::unreachable(error),
        ClientError::Refused(_) => Failure::usage(error),
        ClientError::Forbidden { .. } | ClientError::Broken(_) => Failure::environment(error),
    }
}
