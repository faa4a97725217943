//! Answers for profiles: tells them as they were kept last, and has them approved or reset.

use std::{path::PathBuf, sync::Arc, time::Duration};

use crossbeam_channel::{Sender, bounded};
use hyper::StatusCode;
use serde::{Deserialize, Serialize};

use super::policy::Refusal;
use crate::{
    baseline::{
        import::parse,
        orders::{Act, Order, is_meant},
        saved::Saved,
        view::Summary,
    },
    clock,
    signature::VerifyingKey,
    store::profiles::read_all,
};

/// How long the pipeline may take to do what it is told.
const PATIENCE: Duration = Duration::from_secs(5);

/// The body of `POST /v1/profiles/approve`, `reset` and `deny`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProfileRequest {
    /// An image, the start of a digest, or a service.
    pub whom: String,
    /// To deny: what the ids of containers begin with whose own behaviours do not belong here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// To deny: from when on what was seen first does not belong here, in seconds since the Unix
    /// epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since_s: Option<u64>,
}

impl ProfileRequest {
    /// What is to be done, by the last component of the path.
    pub(super) fn act(&self, name: &str) -> Result<Act, Refusal> {
        let bad = |text: &str| (StatusCode::BAD_REQUEST, text.to_owned());
        let is_id = |it: &String| it.len() >= 6 && it.bytes().all(|it| it.is_ascii_hexdigit());
        match (name, &self.container, self.since_s) {
            ("approve", None, None) => Ok(Act::Approve),
            ("reset", None, None) => Ok(Act::Reset),
            ("deny", None, None) => Err(bad("name a container or a moment")),
            ("deny", Some(id), _) if !is_id(id) => {
                Err(bad("a container is named by at least 6 digits of its id"))
            }
            ("deny", container, since_s) => Ok(Act::Deny { container: container.clone(), since_s }),
            _ => Err(bad("container and since_s go with deny")),
        }
    }
}

/// The body of `POST /v1/profiles/import`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImportRequest {
    /// The profiles, as `plimsoll profile export` writes them.
    pub text: String,
    /// The signature of the text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<Vec<u8>>,
    /// Whether departures are told of them from now on.
    #[serde(default)]
    pub approve: bool,
}

/// Who answers for profiles. Its calls wait for disk or pipeline.
#[derive(Clone)]
pub struct Shelf {
    /// Where they are kept.
    pub data_dir: PathBuf,
    /// The public key by which profiles must be signed that are imported, where one is asked for.
    pub import_key: Option<PathBuf>,
    /// To whoever has them.
    pub orders: Sender<Order>,
    /// Called after an order was given.
    pub wake: Arc<dyn Fn() + Send + Sync>,
}

impl Shelf {
    /// `GET /v1/profiles`
    pub(super) fn list(&self) -> Result<Vec<Summary>, Refusal> {
        let now_s = clock::now_ns() / 1_000_000_000;
        Ok(self.read()?.iter().map(|it| Summary::of(it, now_s)).collect())
    }

    /// `GET /v1/profiles/WHOM`; there are none where nobody is meant.
    pub(super) fn show(&self, whom: &str) -> Result<Vec<Saved>, Refusal> {
        let mut profiles = self.read()?;
        profiles.retain(|it| is_meant(whom, &it.subject, &it.image));
        Ok(profiles)
    }

    /// `POST /v1/profiles/import`
    pub(super) fn import(&self, request: &ImportRequest) -> Result<Vec<Summary>, Refusal> {
        let bad = |text: String| (StatusCode::BAD_REQUEST, text);
        if let Some(path) = &self.import_key {
            let key = VerifyingKey::read(path);
            let broken = |error| (StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}"));
            let key = key.map_err(broken)?;
            let Some(signature) = &request.signature else {
                let text = "this agent takes signed profiles only (baseline.import_key)";
                return Err(bad(text.to_owned()));
            };
            let checked = key.check(request.text.as_bytes(), signature);
            checked.map_err(|error| bad(error.to_string()))?;
        }
        let documents = parse(&request.text).map_err(|faults| {
            let lines: Vec<String> = faults.iter().map(ToString::to_string).collect();
            bad(lines.join("\n"))
        })?;
        tracing::info!(profiles = documents.len(), request.approve, "profiles are to be imported");
        let wanted = documents.len();
        let changed = self.give("", Act::Import { documents, approves: request.approve })?;
        if changed.len() < wanted {
            let text = format!("there is room for {} of {wanted} profiles only", changed.len());
            return Err((StatusCode::INSUFFICIENT_STORAGE, text));
        }
        Ok(changed)
    }

    /// `POST /v1/profiles/approve`, `reset` and `deny`
    pub(super) fn order(&self, whom: &str, act: Act) -> Result<Vec<Summary>, Refusal> {
        tracing::info!(whom, ?act, "profiles are to be changed");
        let changed = self.give(whom, act)?;
        if changed.is_empty() { Err(nobody(whom)) } else { Ok(changed) }
    }

    /// Has the pipeline do something; returns the profiles as they were left.
    fn give(&self, whom: &str, act: Act) -> Result<Vec<Summary>, Refusal> {
        let (answer, answered) = bounded(1);
        let order = Order { whom: whom.to_owned(), act, answer };
        let busy = || (StatusCode::SERVICE_UNAVAILABLE, "the agent is busy; try again".to_owned());
        self.orders.try_send(order).map_err(|_| busy())?;
        (self.wake)();
        let profiles = answered.recv_timeout(PATIENCE).map_err(|_| busy())?;
        let now_s = clock::now_ns() / 1_000_000_000;
        Ok(profiles.iter().map(|it| Summary::of(it, now_s)).collect())
    }

    fn read(&self) -> Result<Vec<Saved>, Refusal> {
        let read = read_all(&self.data_dir);
        let (profiles, _) =
            read.map_err(|error| (StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}")))?;
        Ok(profiles)
    }
}

fn nobody(whom: &str) -> Refusal {
    let text = format!("there is no profile of '{whom}'; `plimsoll profile list` shows them");
    (StatusCode::NOT_FOUND, text)
}
