//! Where profiles are read from: the agent, or the files that it keeps.

use std::path::PathBuf;

use anyhow::anyhow;

use super::super::{ask, exit::Failure, overrides::Overrides};
use crate::{
    api::{
        client::{self, ClientError},
        params::escape,
    },
    baseline::{orders::is_meant, saved::Saved, view::Summary},
    clock,
    store::profiles::read_all,
};

/// Whom to ask for profiles.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct SourceArgs {
    /// Ask the agent on this socket, not on the configured one
    #[arg(long, value_name = "PATH", conflicts_with = "data_dir")]
    socket: Option<PathBuf>,
    /// Read this data directory without an agent
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

impl SourceArgs {
    /// Every profile in short.
    pub(super) fn summaries(&self) -> Result<Vec<Summary>, Failure> {
        let now_s = clock::now_ns() / 1_000_000_000;
        self.ask("/v1/profiles", |all| all.iter().map(|it| Summary::of(it, now_s)).collect())
    }

    /// The profiles of an image or service, whole.
    pub(super) fn profiles(&self, whom: &str) -> Result<Vec<Saved>, Failure> {
        let target = format!("/v1/profiles/{}", escape(whom));
        let profiles: Vec<Saved> = self.ask(&target, |mut all| {
            all.retain(|it| is_meant(whom, &it.subject, &it.image));
            all
        })?;
        if profiles.is_empty() {
            return Err(Failure::usage(anyhow!("there is no profile of '{whom}'")));
        }
        Ok(profiles)
    }

    /// Asks the agent; where none answers, or a directory is named, reads the files.
    fn ask<T: serde::de::DeserializeOwned>(
        &self,
        target: &str,
        of: impl FnOnce(Vec<Saved>) -> T,
    ) -> Result<T, Failure> {
        let read = |dir: &PathBuf| read_all(dir).map(|(all, _)| all).map_err(Failure::environment);
        if let Some(dir) = &self.data_dir {
            return read(dir).map(of);
        }
        let config = Overrides::default().load(None)?.config;
        let socket = self.socket.as_ref().unwrap_or(&config.agent.socket);
        match client::value(socket, target) {
            Err(ClientError::Unreachable { .. }) if self.socket.is_none() => {
                let dir = &config.agent.data_dir;
                eprintln!(
                    "note: no agent answers on {}; reading {}",
                    socket.display(),
                    dir.display()
                );
                read(dir).map(of)
            }
            answer => answer.map_err(ask::failure),
        }
    }
}
