//! Answers for what was decided: tells it, and takes changes.

use std::{sync::Arc, time::Duration};

use http_body_util::{BodyExt, Limited};
use hyper::{StatusCode, body::Incoming};
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

use super::{
    messages::{
        ChangeAnswer, ContainerLine, ExceptionLine, ExceptionRequest, ModesRequest, PolicyAnswer,
        PolicyLine, SourceLine,
    },
    profiles::Shelf,
};
use crate::{
    attribution::{container::Container, roster::Roster},
    baseline::import::MOST_TEXT,
    clock,
    policy::{
        book::{Book, Policy},
        exception::Exception,
        keeper::{ChangeError, Changed, Keeper},
        selector::Selector,
    },
};

/// Longest body of a request, in bytes.
const MOST_BYTES: usize = 16 << 10;
/// Longest body of one that holds profiles, each byte of which may be escaped.
const MOST_PROFILE_BYTES: usize = 3 * MOST_TEXT;
/// How often the keeper of what was decided is asked whether something is due.
const KEEPING: Duration = Duration::from_secs(1);
/// How long a body may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why a request is not answered: the status, and one line.
pub(super) type Refusal = (StatusCode, String);

/// Who answers for what was decided.
#[derive(Clone)]
pub struct Desk {
    /// Keeps it.
    pub keeper: Arc<Keeper>,
    /// The containers that run.
    pub roster: Roster,
    /// Answers for profiles.
    pub shelf: Shelf,
}

impl Desk {
    /// Has the keeper do what is due, until `stop`; aside, since it waits for the disk.
    pub async fn keep(self, stop: CancellationToken) {
        while stop.run_until_cancelled(tokio::time::sleep(KEEPING)).await.is_some() {
            let now_ns = clock::now_ns();
            if self.keeper.is_due(now_ns) {
                let keeper = Arc::clone(&self.keeper);
                let _ = tokio::task::spawn_blocking(move || keeper.tick(now_ns)).await;
            }
        }
    }

    /// `GET /v1/policy`
    pub(super) fn policy(&self) -> PolicyAnswer {
        let (book, now_ns) = (self.keeper.book(), clock::now_ns());
        let policy = |it: &Policy| PolicyLine {
            selector: it.selector.clone(),
            modes: it.modes,
            source: SourceLine::of(it.source),
        };
        let container = |it: &Arc<Container>| container(&book, it);
        PolicyAnswer {
            modes: book.modes.into(),
            policies: book.policies.iter().map(policy).collect(),
            exceptions: book.exceptions.iter().map(|it| ExceptionLine::of(it, now_ns)).collect(),
            containers: self.roster.containers().iter().map(container).collect(),
        }
    }

    /// `POST /v1/modes`
    pub(super) fn set_modes(&self, request: ModesRequest) -> Result<ChangeAnswer, Refusal> {
        let (set, taken_back) = request.modes().map_err(bad)?;
        let ModesRequest { image, service, container, .. } = request;
        let selector = Selector { image, service, container };
        let now_ns = clock::now_ns();
        let concerned = self.concerned(&selector);
        let shown = selector.to_string();
        let changed = if set.is_empty() {
            self.keeper
                .reset_modes(&selector, taken_back, now_ns)
                .map_err(|error| refusal(&error))?
        } else {
            self.keeper.set_modes(selector, set, now_ns).map_err(|error| refusal(&error))?
        };
        tracing::info!(containers = shown, set = %set, taken_back = %taken_back, "modes changed");
        Ok(ChangeAnswer { exception: None, containers: concerned, unsaved: changed.unsaved })
    }

    /// `POST /v1/exceptions`
    pub(super) fn allow(&self, request: ExceptionRequest) -> Result<ChangeAnswer, Refusal> {
        let terms = request.terms().map_err(bad)?;
        let now_ns = clock::now_ns();
        let changed = self.keeper.allow(terms, now_ns).map_err(|error| refusal(&error))?;
        tracing::info!(id = changed.value.id, "exception made");
        Ok(self.exception(&changed, now_ns))
    }

    /// `DELETE /v1/exceptions/ID`
    pub(super) fn revoke(&self, id: &str) -> Result<ChangeAnswer, Refusal> {
        let now_ns = clock::now_ns();
        let changed = self.keeper.revoke(id, now_ns).map_err(|error| refusal(&error))?;
        tracing::info!(id, "exception revoked");
        Ok(self.exception(&changed, now_ns))
    }

    fn exception(&self, changed: &Changed<Arc<Exception>>, now_ns: u64) -> ChangeAnswer {
        ChangeAnswer {
            exception: Some(ExceptionLine::of(&changed.value, now_ns)),
            containers: self.concerned(&changed.value.selector),
            unsaved: changed.unsaved.clone(),
        }
    }

    fn concerned(&self, selector: &Selector) -> usize {
        self.roster.containers().iter().filter(|it| selector.matches(it)).count()
    }
}

fn container(book: &Book, it: &Container) -> ContainerLine {
    ContainerLine {
        id: it.id.clone(),
        name: it.name.clone(),
        image: it.image.clone(),
        modes: book.modes_of(it).into(),
    }
}

/// Reads a body as JSON.
pub(super) async fn read<T: DeserializeOwned>(body: Incoming) -> Result<T, Refusal> {
    read_at_most(body, MOST_BYTES).await
}

/// Reads a body that holds profiles.
pub(super) async fn read_profiles<T: DeserializeOwned>(body: Incoming) -> Result<T, Refusal> {
    read_at_most(body, MOST_PROFILE_BYTES).await
}

async fn read_at_most<T: DeserializeOwned>(body: Incoming, most: usize) -> Result<T, Refusal> {
    let body = tokio::time::timeout(PATIENCE, Limited::new(body, most).collect()).await;
    let bytes = match body {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
            let text = format!("a body has at most {most} bytes");
            return Err((StatusCode::PAYLOAD_TOO_LARGE, text));
        }
        Ok(Err(error)) => return Err(bad(format!("reading the body: {error}"))),
        Err(_) => return Err((StatusCode::REQUEST_TIMEOUT, "the body took too long".to_owned())),
    };
    serde_json::from_slice(&bytes).map_err(|error| bad(error.to_string()))
}

fn bad(text: String) -> Refusal {
    (StatusCode::BAD_REQUEST, text)
}

fn refusal(error: &ChangeError) -> Refusal {
    let status = match error {
        ChangeError::NoException(_) => StatusCode::NOT_FOUND,
        ChangeError::Configured { .. } | ChangeError::Full(_) | ChangeError::NothingSet(_) => {
            StatusCode::CONFLICT
        }
        ChangeError::Over | ChangeError::Terms(_) => StatusCode::BAD_REQUEST,
    };
    (status, error.to_string())
}
