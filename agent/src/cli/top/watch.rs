//! Looks at the agent: containers with their acts, profiles, the latest alerts.

use std::{collections::HashMap, path::PathBuf};

use serde_json::{Map, Value as Json};

use crate::{
    api::{activity::Activity, client, params::Params},
    baseline::view::Summary,
    cli::{answer::Line, ask, exit::Failure},
};

/// Alerts that are asked for.
const ALERTS: u64 = 50;

/// See the module.
pub(super) struct Watch {
    socket: PathBuf,
}

/// What was seen at one look.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    pub activity: Activity,
    /// How far profiles are, by the subject as it is shown.
    pub profiles: HashMap<String, String>,
    /// The newest first.
    pub alerts: Vec<Map<String, Json>>,
}

impl Watch {
    pub(super) fn new(socket: PathBuf) -> Self {
        Self { socket }
    }

    /// Looks once.
    ///
    /// # Errors
    /// When the agent does not answer.
    pub(super) fn look(&mut self) -> Result<Seen, Failure> {
        let activity = client::value(&self.socket, "/v1/activity").map_err(ask::failure)?;
        let profiles: Vec<Summary> =
            client::value(&self.socket, "/v1/profiles").map_err(ask::failure)?;
        let images = profiles.iter().filter(|it| it.is_image);
        let profiles = images.map(|it| (it.subject.clone(), it.state())).collect();
        Ok(Seen { activity, profiles, alerts: self.alerts()? })
    }

    fn alerts(&self) -> Result<Vec<Map<String, Json>>, Failure> {
        let params = Params {
            kinds: vec!["alert".to_owned()],
            limit: Some(ALERTS),
            reverse: true,
            ..Params::default()
        };
        let target = format!("/v1/events?{}", params.encode());
        let mut lines = client::get(&self.socket, &target).map_err(ask::failure)?;
        let mut alerts = Vec::new();
        while let Some(line) = lines.next_line().map_err(Failure::environment)? {
            if let Line::Observation(alert) = Line::read(line) {
                alerts.push(alert);
            }
        }
        Ok(alerts)
    }
}
