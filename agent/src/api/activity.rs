//! What containers do just now, as `plimsoll top` asks for it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::policy::Desk;
use crate::{
    attribution::{container::Container, roster::Acts},
    baseline::subject::Subject,
    clock,
    policy::modes::SomeModes,
};

/// The answer of `GET /v1/activity`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Activity {
    /// When it was told, in nanoseconds since the Unix epoch.
    pub now_ns: u64,
    /// Those that run.
    pub containers: Vec<AtWork>,
}

/// A running container.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AtWork {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its image, as it was asked for.
    pub image: String,
    /// Its Swarm or compose service; may be empty.
    pub service: String,
    /// Whose profile it adds to, as profiles are listed; empty while that is not known.
    pub subject: String,
    /// How each class is treated in it.
    pub modes: SomeModes,
    /// What it has done since the agent met it.
    pub acts: Acts,
}

impl Desk {
    /// `GET /v1/activity`
    pub(super) fn activity(&self) -> Activity {
        let book = self.keeper.book();
        let at_work = |(it, acts): &(Arc<Container>, Acts)| {
            let Container { service, compose_service, .. } = &**it;
            AtWork {
                id: it.id.clone(),
                name: it.name.clone(),
                image: it.image.clone(),
                service: if service.is_empty() { compose_service } else { service }.clone(),
                subject: Subject::image_of(it).map(|it| it.to_string()).unwrap_or_default(),
                modes: book.modes_of(it).into(),
                acts: *acts,
            }
        };
        let containers = self.roster.at_work().iter().map(at_work).collect();
        Activity { now_ns: clock::now_ns(), containers }
    }
}
