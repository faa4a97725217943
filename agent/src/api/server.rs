//! The HTTP server on the Unix socket.

use std::{convert::Infallible, future::Future, io, path::PathBuf, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::{
    Request, Response, StatusCode,
    body::{Frame, Incoming},
    header::{ALLOW, CONTENT_TYPE},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{UnixListener, UnixStream},
    sync::Semaphore,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    door::Door,
    params::{Params, unescape},
    policy::{self, Desk, Refusal},
    profiles::{ImportRequest, ProfileRequest},
    stream::{self as answer, Answer, Job},
};

/// How long connections may take to end at shutdown.
const GRACE: Duration = Duration::from_secs(1);
/// Connections served at once.
const MAX_CONNECTIONS: usize = 64;

/// Bounds on queries, so that none starves the recording.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Queries at once.
    pub concurrent: usize,
    /// Observations of one answer.
    pub rows: u64,
    /// Time of one answer.
    pub time: Duration,
    /// How long a client may take nothing of an answer that waits for it.
    pub patience: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            concurrent: 8,
            rows: 10_000_000,
            time: Duration::from_mins(5),
            patience: Duration::from_mins(1),
        }
    }
}

/// What the server answers from.
pub struct State {
    store: PathBuf,
    limits: Limits,
    queries: Arc<Semaphore>,
    desk: Desk,
    door: Option<Door>,
    status: Box<dyn Fn() -> serde_json::Value + Send + Sync>,
    shutdown: CancellationToken,
}

impl State {
    /// Answers from a store's directory, with what was decided, and with `status` for the daemon's
    /// own state.
    pub fn new(
        store: PathBuf,
        limits: Limits,
        desk: Desk,
        status: impl Fn() -> serde_json::Value + Send + Sync + 'static,
    ) -> Self {
        Self {
            store,
            limits,
            queries: Arc::new(Semaphore::new(limits.concurrent)),
            desk,
            door: None,
            status: Box::new(status),
            shutdown: CancellationToken::new(),
        }
    }

    /// With somebody at the door.
    #[must_use]
    pub fn behind(self, door: Door) -> Self {
        Self { door: Some(door), ..self }
    }
}

type Body = BoxBody<Bytes, io::Error>;

/// Serves until `shutdown` ends, then ends what is being answered.
pub async fn serve(listener: UnixListener, state: State, shutdown: impl Future<Output = ()>) {
    let state = Arc::new(state);
    let connections = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let tracker = TaskTracker::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            accepted = accept(&listener, &connections) => accepted,
        };
        let Some((stream, permit)) = accepted else { continue };
        let state = Arc::clone(&state);
        let is_let_in = state.door.as_ref().is_none_or(|door| door.lets_in(&stream));
        tracker.spawn(async move {
            serve_one(stream, state, is_let_in).await;
            drop(permit);
        });
    }
    drop(listener);
    state.shutdown.cancel();
    tracker.close();
    if tokio::time::timeout(GRACE, tracker.wait()).await.is_err() {
        tracing::debug!("connections cut at shutdown");
    }
}

async fn accept(
    listener: &UnixListener,
    connections: &Arc<Semaphore>,
) -> Option<(UnixStream, tokio::sync::OwnedSemaphorePermit)> {
    let permit = Arc::clone(connections).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => Some((stream, permit)),
        Err(error) => {
            tracing::warn!(%error, "a connection could not be accepted");
            // Out of file descriptors, most likely: trying at once would only spin.
            tokio::time::sleep(Duration::from_millis(100)).await;
            None
        }
    }
}

async fn serve_one(stream: UnixStream, state: Arc<State>, is_let_in: bool) {
    let shutdown = state.shutdown.clone();
    let service = service_fn(move |request| {
        let state = Arc::clone(&state);
        async move {
            if !is_let_in {
                let text = "containers are not answered: ask from the host";
                return Ok::<_, Infallible>(fault(StatusCode::FORBIDDEN, text));
            }
            Ok(route(request, &state).await)
        }
    });
    let connection = http1::Builder::new()
        .timer(hyper_util::rt::TokioTimer::new())
        .header_read_timeout(Duration::from_secs(10))
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "connection ended");
    }
}

/// To have profiles approved.
const APPROVE: &str = "/v1/profiles/approve";
/// To have profiles forgotten.
const RESET: &str = "/v1/profiles/reset";
/// To have behaviours denied.
const DENY: &str = "/v1/profiles/deny";
/// To have profiles known that were written down.
const IMPORT: &str = "/v1/profiles/import";
/// An exception, by its id.
const EXCEPTION: &str = "/v1/exceptions/";

/// Profiles, by an image or service.
const PROFILE: &str = "/v1/profiles/";

/// The method that a path is asked by.
fn method_of(path: &str) -> Option<&'static str> {
    match path {
        "/v1/status" | "/v1/events" | "/v1/policy" | "/v1/profiles" | "/v1/activity" => Some("GET"),
        "/v1/modes" | "/v1/exceptions" | APPROVE | RESET | DENY | IMPORT => Some("POST"),
        _ if path.starts_with(PROFILE) => Some("GET"),
        _ if path.starts_with(EXCEPTION) => Some("DELETE"),
        _ => None,
    }
}

async fn route(request: Request<Incoming>, state: &Arc<State>) -> Response<Body> {
    let path = request.uri().path().to_owned();
    let Some(method) = method_of(&path) else {
        let text = format!("there is no {path}; try /v1/events, /v1/policy or /v1/status");
        return fault(StatusCode::NOT_FOUND, &text);
    };
    if request.method().as_str() != method {
        let text = format!("{path} answers {method} only");
        let mut response = fault(StatusCode::METHOD_NOT_ALLOWED, &text);
        response.headers_mut().insert(ALLOW, hyper::header::HeaderValue::from_static(method));
        return response;
    }
    let desk = state.desk.clone();
    match path.as_str() {
        "/v1/status" => json(StatusCode::OK, &(state.status)()),
        "/v1/events" => events(request.uri().query().unwrap_or_default(), state),
        "/v1/activity" => decided(move || Ok(desk.activity())).await,
        "/v1/policy" => decided(move || Ok(desk.policy())).await,
        "/v1/modes" => match policy::read(request.into_body()).await {
            Ok(body) => decided(move || desk.set_modes(body)).await,
            Err(refusal) => refused(&refusal),
        },
        "/v1/exceptions" => match policy::read(request.into_body()).await {
            Ok(body) => decided(move || desk.allow(body)).await,
            Err(refusal) => refused(&refusal),
        },
        "/v1/profiles" => decided(move || desk.shelf.list()).await,
        APPROVE | RESET | DENY => match policy::read::<ProfileRequest>(request.into_body()).await {
            Ok(body) => {
                let name = path.strip_prefix(PROFILE).unwrap_or_default().to_owned();
                decided(move || desk.shelf.order(&body.whom, body.act(&name)?)).await
            }
            Err(refusal) => refused(&refusal),
        },
        IMPORT => match policy::read_profiles::<ImportRequest>(request.into_body()).await {
            Ok(body) => decided(move || desk.shelf.import(&body)).await,
            Err(refusal) => refused(&refusal),
        },
        _ if path.starts_with(PROFILE) => {
            let whom = unescape(path.strip_prefix(PROFILE).unwrap_or_default());
            decided(move || desk.shelf.show(&whom)).await
        }
        _ => {
            let id = path.strip_prefix(EXCEPTION).unwrap_or_default().to_owned();
            decided(move || desk.revoke(&id)).await
        }
    }
}

/// Asks for what was decided, or changes it, where waiting for the disk keeps nobody waiting.
async fn decided<T: serde::Serialize + Send + 'static>(
    ask: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
) -> Response<Body> {
    let broken = |error: &dyn std::fmt::Display| {
        fault(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string())
    };
    match tokio::task::spawn_blocking(ask).await {
        Ok(Ok(answer)) => match serde_json::to_value(answer) {
            Ok(value) => json(StatusCode::OK, &value),
            Err(error) => broken(&error),
        },
        Ok(Err(refusal)) => refused(&refusal),
        Err(error) => broken(&error),
    }
}

fn refused((status, text): &Refusal) -> Response<Body> {
    fault(*status, text)
}

fn events(query: &str, state: &Arc<State>) -> Response<Body> {
    let asked = Params::decode(query);
    let asked = asked.and_then(|params| params.query().map(|query| (query, params.progress)));
    let (query, progress) = match asked {
        Ok(asked) => asked,
        Err(error) => return fault(StatusCode::BAD_REQUEST, &error.to_string()),
    };
    let Ok(permit) = Arc::clone(&state.queries).try_acquire_owned() else {
        let text = format!("{} queries are running; try again", state.limits.concurrent);
        return fault(StatusCode::TOO_MANY_REQUESTS, &text);
    };
    let job = Job {
        store: state.store.clone(),
        query,
        progress,
        limits: state.limits,
        shutdown: state.shutdown.clone(),
        permit,
    };
    match answer::start(job) {
        Ok(answer) => respond(StatusCode::OK, "application/x-ndjson", streamed(answer)),
        Err(error) => fault(StatusCode::INTERNAL_SERVER_ERROR, &format!("{error:#}")),
    }
}

/// An answer that breaks off breaks the connection: whoever reads it is not to take it for whole.
fn streamed(answer: Answer) -> Body {
    let frames = stream::unfold(Some(answer), |answer| async move {
        let mut answer = answer?;
        match answer.chunks.recv().await {
            Some(chunk) => Some((Ok(Frame::data(chunk)), Some(answer))),
            None if answer.is_whole() => None,
            None => Some((Err(io::Error::other("the answer breaks off")), None)),
        }
    });
    BodyExt::boxed(StreamBody::new(frames))
}

fn fault(status: StatusCode, text: &str) -> Response<Body> {
    json(status, &serde_json::json!({ "error": text }))
}

fn json(status: StatusCode, value: &serde_json::Value) -> Response<Body> {
    respond(status, "application/json", whole(format!("{value}\n")))
}

fn whole(text: String) -> Body {
    Full::from(text).map_err(|never| match never {}).boxed()
}

fn respond(status: StatusCode, content_type: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let value = hyper::header::HeaderValue::from_static(content_type);
    response.headers_mut().insert(CONTENT_TYPE, value);
    response
}
