//! One connection to Docker, from its beginning to its break.

use std::{collections::HashMap, path::Path, time::Duration};

use bollard::{
    Docker,
    errors::Error,
    models::{
        ContainerInspectResponse, ContainerSummary, ContainerSummaryStateEnum, ImageInspect,
        LocalNodeState, SystemInfo, SystemVersion,
    },
    query_parameters::{
        EventsOptionsBuilder, InspectContainerOptions, ListContainersOptionsBuilder,
    },
};
use futures_util::{
    Stream, StreamExt as _,
    future::{BoxFuture, FutureExt as _},
    stream::FuturesUnordered,
};
use tokio::{sync::mpsc::Receiver, time};

use super::{
    Ask, Notice,
    book::Book,
    event::{Event, Seen},
    outbox::Outbox,
};
use crate::{attribution::inspect, clock};

/// Questions to Docker under way at once.
const MOST_QUESTIONS: usize = 16;
/// Images remembered. An image keeps its digest within the agent's run, even if it is pushed to a
/// registry meanwhile: what is learned of it stays under one name.
const MOST_IMAGES: usize = 256;
/// How often Docker is asked whether it is still there; a stopped one leaves the connection open.
const KNOCK_EVERY: Duration = Duration::from_secs(30);
/// How soon a receiver without room is tried again.
const RETRY_AFTER: Duration = Duration::from_millis(5);

/// What outlives a connection.
pub(super) struct State {
    pub(super) outbox: Outbox,
    book: Book,
    seen: Seen,
    /// Repository digests by image id.
    images: HashMap<String, Vec<String>>,
    is_asking_over: bool,
}

/// Why a connection ended.
pub(super) enum End {
    NobodyListens,
    Down { error: String, was_up: bool },
}

/// What a question to Docker brought.
enum Step {
    Listed(Result<Vec<ContainerSummary>, Error>),
    Container { id: String, result: Result<Box<ContainerInspectResponse>, Error> },
    Image { id: String, of: Subject, result: Result<Box<ImageInspect>, Error> },
    Knocked(Result<String, Error>),
    Informed(Result<Box<SystemInfo>, Error>),
}

/// What is known of a container while its image is asked for.
enum Subject {
    Inspected(Box<ContainerInspectResponse>),
    /// It was removed before it could be inspected; its events are left.
    Told(HashMap<String, String>),
}

type Work = FuturesUnordered<BoxFuture<'static, Step>>;

impl State {
    pub(super) fn new(outbox: Outbox) -> Self {
        let (book, seen, images) = Default::default();
        Self { outbox, book, seen, images, is_asking_over: false }
    }

    /// Waits for a while, taking questions and getting rid of notices.
    pub(super) async fn rest(&mut self, pause: Duration, ask: &mut Receiver<Ask>) {
        let mut over = std::pin::pin!(time::sleep(pause));
        loop {
            tokio::select! {
                () = &mut over => return,
                question = ask.recv(), if !self.is_asking_over => self.take(question),
                () = time::sleep(RETRY_AFTER), if self.outbox.is_waiting() => self.outbox.flush(),
            }
        }
    }

    fn take(&mut self, question: Option<Ask>) {
        match question {
            Some(Ask::Container(id)) => self.book.asked(&id, &mut self.outbox),
            None => self.is_asking_over = true,
        }
    }
}

/// Connects, and works until the connection breaks.
pub(super) async fn run(socket: &Path, state: &mut State, ask: &mut Receiver<Ask>) -> End {
    let (docker, version) = match greet(socket).await {
        Ok(greeted) => greeted,
        Err(error) => return End::Down { error: error.to_string(), was_up: false },
    };
    let (api_version, engine) = (docker.client_version().to_string(), engine(&version));
    tracing::info!(%api_version, %engine, "docker answers");
    state.outbox.push(Notice::Connected { api_version, engine });
    state.book.begin();
    let mut session = Session { docker, state, work: Work::new() };
    match session.serve(ask).await {
        Ok(()) => End::NobodyListens,
        Err(error) => End::Down { error: error.to_string(), was_up: true },
    }
}

async fn greet(socket: &Path) -> Result<(Docker, SystemVersion), Error> {
    let docker = super::connect(socket).await?;
    let version = docker.version().await?;
    Ok((docker, version))
}

/// `Engine 20.10.24` or `Podman Engine 4.3.1`.
fn engine(version: &SystemVersion) -> String {
    let components = version.components.as_deref().unwrap_or_default();
    let name = components.first().map_or("Engine", |component| component.name.as_str());
    format!("{name} {}", version.version.as_deref().unwrap_or("of unknown version"))
}

struct Session<'s> {
    docker: Docker,
    state: &'s mut State,
    work: Work,
}

impl Session<'_> {
    /// `Ok` when nobody listens any more.
    async fn serve(&mut self, ask: &mut Receiver<Ask>) -> Result<(), Error> {
        let mut events = self.events();
        self.list();
        self.inform();
        let mut knock = time::interval_at(time::Instant::now() + KNOCK_EVERY, KNOCK_EVERY);
        while !self.state.outbox.is_closed() {
            while self.work.len() < MOST_QUESTIONS
                && let Some(id) = self.state.book.next()
            {
                self.inspect(id);
            }
            tokio::select! {
                event = events.next() => match event {
                    Some(Ok(message)) => self.hear(message),
                    Some(Err(error)) if is_unreadable(&error) => {
                        tracing::warn!(%error, "docker event left out");
                    }
                    Some(Err(error)) => return Err(error),
                    None => return Err(ended()),
                },
                Some(step) = self.work.next(), if !self.work.is_empty() => self.step(step)?,
                question = ask.recv(), if !self.state.is_asking_over => self.state.take(question),
                () = time::sleep(RETRY_AFTER), if self.state.outbox.is_waiting() => {
                    self.state.outbox.flush();
                }
                _ = knock.tick() => {
                    let docker = self.docker.clone();
                    self.work.push(async move { Step::Knocked(docker.ping().await) }.boxed());
                }
            }
        }
        Ok(())
    }

    /// Events from a moment before the list is made: what happens in between is in both.
    fn events(
        &self,
    ) -> impl Stream<Item = Result<bollard::models::EventMessage, Error>> + Unpin + use<> {
        let filters = HashMap::from([("type", vec!["container", "network"])]);
        let since = self.state.seen.since(clock::now_ns());
        let options = EventsOptionsBuilder::new().since(&since).filters(&filters).build();
        self.docker.events(Some(options)).boxed()
    }

    fn hear(&mut self, message: bollard::models::EventMessage) {
        if let Some(event) = Event::read(message)
            && self.state.seen.is_new(&event)
        {
            tracing::trace!(id = event.id, op = event.op, "docker event");
            self.state.book.happened(event, &mut self.state.outbox);
        }
    }

    fn list(&self) {
        let docker = self.docker.clone();
        let list = async move {
            // Those that do not run may be started, and are to be guarded from their first program on.
            let all = ListContainersOptionsBuilder::new().all(true).build();
            Step::Listed(docker.list_containers(Some(all)).await)
        };
        self.work.push(list.boxed());
    }

    fn inform(&self) {
        let docker = self.docker.clone();
        let info = async move { Step::Informed(docker.info().await.map(Box::new)) };
        self.work.push(info.boxed());
    }

    fn inspect(&self, id: String) {
        let docker = self.docker.clone();
        let inspect = async move {
            let result = docker.inspect_container(&id, None::<InspectContainerOptions>).await;
            Step::Container { id, result: result.map(Box::new) }
        };
        self.work.push(inspect.boxed());
    }

    fn inspect_image(&self, image: String, id: String, of: Subject) {
        let docker = self.docker.clone();
        let inspect = async move {
            let result = docker.inspect_image(&image).await.map(Box::new);
            Step::Image { id, of, result }
        };
        self.work.push(inspect.boxed());
    }

    /// An error is one of the connection.
    fn step(&mut self, step: Step) -> Result<(), Error> {
        match step {
            Step::Knocked(result) => {
                result?;
            }
            Step::Informed(Ok(info)) => {
                if let Some(id) = swarm_node_id(*info) {
                    self.state.outbox.push(Notice::Node { id });
                }
            }
            Step::Informed(Err(error)) if is_about_the_question(&error) => {
                tracing::debug!(%error, "docker does not tell of the swarm");
            }
            Step::Informed(Err(error)) => return Err(error),
            Step::Listed(result) => {
                let (running, resting): (Vec<_>, Vec<_>) = result?.into_iter().partition(runs);
                let ids =
                    |all: Vec<ContainerSummary>| all.into_iter().filter_map(|it| it.id).collect();
                self.state.book.listed(ids(running), ids(resting), &mut self.state.outbox);
            }
            Step::Container { id, result: Ok(response) } => self.found(id, response),
            Step::Container { id, result: Err(error) } => self.missed(id, error)?,
            Step::Image { id, of, result } => self.resolve(&id, &of, result)?,
        }
        Ok(())
    }

    fn found(&mut self, id: String, response: Box<ContainerInspectResponse>) {
        let image = response.image.clone().unwrap_or_default();
        if let Some(digests) = self.state.images.get(&image) {
            let container = inspect::container(&response, digests);
            self.state.book.inspected(&id, Some(container), &mut self.state.outbox);
        } else {
            self.inspect_image(image, id, Subject::Inspected(response));
        }
    }

    fn missed(&mut self, id: String, error: Error) -> Result<(), Error> {
        let told = self.state.book.attributes(&id).cloned();
        match (told, error) {
            (_, Error::RequestTimeoutError) => {
                self.state.book.again(&id, &mut self.state.outbox);
            }
            (told, error) if is_about_the_question(&error) => {
                tracing::debug!(%id, %error, "container not inspected");
                match told {
                    Some(told) => {
                        let image = told.get("image").cloned().unwrap_or_default();
                        self.inspect_image(image, id, Subject::Told(told));
                    }
                    None => self.state.book.inspected(&id, None, &mut self.state.outbox),
                }
            }
            (_, error) => return Err(error),
        }
        Ok(())
    }

    fn resolve(
        &mut self,
        id: &str,
        of: &Subject,
        result: Result<Box<ImageInspect>, Error>,
    ) -> Result<(), Error> {
        let image = match result {
            Ok(image) => image,
            Err(error) if is_about_the_question(&error) => {
                tracing::debug!(%id, %error, "image not inspected");
                Box::default()
            }
            Err(error) => return Err(error),
        };
        let digests = image.repo_digests.unwrap_or_default();
        let container = match of {
            Subject::Inspected(response) => inspect::container(response, &digests),
            Subject::Told(told) => inspect::from_attributes(
                id,
                told,
                image.id.as_deref().unwrap_or_default(),
                &digests,
            ),
        };
        if let Some(image_id) = image.id {
            if self.state.images.len() >= MOST_IMAGES {
                self.state.images.clear();
            }
            self.state.images.insert(image_id, digests);
        }
        self.state.book.inspected(id, Some(container), &mut self.state.outbox);
        Ok(())
    }
}

/// The id of this host's Swarm node, where it is one.
fn runs(container: &ContainerSummary) -> bool {
    use ContainerSummaryStateEnum as State;
    matches!(container.state, Some(State::RUNNING | State::PAUSED | State::RESTARTING))
}

fn swarm_node_id(info: SystemInfo) -> Option<String> {
    let swarm = info.swarm?;
    let is_member = swarm.local_node_state == Some(LocalNodeState::ACTIVE);
    swarm.node_id.filter(|id| is_member && !id.is_empty())
}

/// Docker answered, or was too slow to, or not in a form that can be read: the connection is well.
fn is_about_the_question(error: &Error) -> bool {
    matches!(error, Error::DockerResponseServerError { .. } | Error::RequestTimeoutError)
        || is_unreadable(error)
}

fn is_unreadable(error: &Error) -> bool {
    matches!(
        error,
        Error::JsonDataError { .. } | Error::JsonSerdeError { .. } | Error::StrParseError { .. }
    )
}

fn ended() -> Error {
    let err = std::io::Error::new(std::io::ErrorKind::UnexpectedEof, "docker ended its events");
    Error::IOError { err }
}
