//! Serves `/metrics` and `/healthz` over HTTP.

use std::{convert::Infallible, future::Future, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    header::{ALLOW, AUTHORIZATION, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::timeout,
};

use super::{access::Access, names::Metrics};

/// Connections served at once; more have to wait, so that a scanner costs no memory.
const MAX_CONNECTIONS: usize = 16;

/// How long a connection may last.
const CONNECTION_TIME: Duration = Duration::from_secs(30);

/// How long a client may take to send its request's head.
const HEAD_TIME: Duration = Duration::from_secs(5);

/// How long to wait when no connection can be accepted, for lack of descriptors for example.
const PAUSE: Duration = Duration::from_millis(100);

/// Whether the agent does its work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// Whether it does.
    pub healthy: bool,
    /// One line that says so, or why not.
    pub detail: String,
}

/// Tells whether the agent does its work, when it is asked.
pub type HealthCheck = Arc<dyn Fn() -> Health + Send + Sync>;

/// What is served, and to whom.
#[derive(Clone)]
pub struct Served {
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// The agent's health.
    pub health: HealthCheck,
    /// Who may read them.
    pub access: Arc<Access>,
}

/// Serves until `shutdown` is done.
pub async fn serve(listener: TcpListener, served: Served, shutdown: impl Future<Output = ()>) {
    let mut connections = JoinSet::new();
    tokio::pin!(shutdown);
    loop {
        let has_room = connections.len() < MAX_CONNECTIONS;
        tokio::select! {
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept(), if has_room => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, served.clone()));
                }
                Err(error) => {
                    tracing::debug!(%error, "accepting a connection failed");
                    tokio::time::sleep(PAUSE).await;
                }
            },
        }
    }
}

async fn connection(stream: TcpStream, served: Served) {
    let serving = async {
        match served.access.tls()? {
            Some(tls) => {
                let stream = timeout(HEAD_TIME, tls.accept(stream)).await??;
                Ok(speak(stream, served).await?)
            }
            None => Ok(speak(stream, served).await?),
        }
    };
    let ended: Result<anyhow::Result<()>, _> = timeout(CONNECTION_TIME, serving).await;
    if let Ok(Err(error)) = ended {
        tracing::debug!(error = format!("{error:#}"), "a connection to the metrics ended early");
    }
}

async fn speak(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    served: Served,
) -> Result<(), hyper::Error> {
    let service = service_fn(|request| {
        let answer = answer(&request, &served);
        async { Ok::<_, Infallible>(answer) }
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .serve_connection(TokioIo::new(stream), service)
        .await
}

fn answer<B>(request: &Request<B>, served: &Served) -> Response<Full<Bytes>> {
    let Served { metrics, health, access } = served;
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n".to_owned());
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    match request.uri().path() {
        "/metrics" => {
            match access.lets_in(request.headers().get(AUTHORIZATION).map(HeaderValue::as_bytes)) {
                Ok(true) => {}
                Ok(false) => return stranger(),
                Err(error) => {
                    tracing::warn!(error = format!("{error:#}"), "nobody may read the metrics");
                    let why = "the token cannot be read: see the log\n".to_owned();
                    return text(StatusCode::INTERNAL_SERVER_ERROR, why);
                }
            }
            metrics.refresh();
            let mut response = text(StatusCode::OK, metrics.render());
            let format = HeaderValue::from_static(prometheus::TEXT_FORMAT);
            response.headers_mut().insert(CONTENT_TYPE, format);
            response
        }
        "/healthz" => {
            let Health { healthy, detail } = health();
            let status = if healthy { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
            text(status, format!("{detail}\n"))
        }
        _ => text(StatusCode::NOT_FOUND, "there are /metrics and /healthz\n".to_owned()),
    }
}

/// To who does not send the token.
fn stranger() -> Response<Full<Bytes>> {
    let mut response = text(StatusCode::UNAUTHORIZED, "a token is needed\n".to_owned());
    response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response
}

fn text(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, plain);
    response
}

#[cfg(test)]
mod tests {
    use std::{
        net::SocketAddr,
        sync::atomic::{AtomicBool, Ordering},
    };

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        sync::oneshot,
    };

    use super::*;

    async fn ask(address: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).await.expect("connects");
        let request = format!("{request} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("is sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("is answered");
        answer
    }

    /// Runs the client beside a server, which is told to end before the client's result is dropped.
    async fn with_server<C: Future>(
        healthy: &Arc<AtomicBool>,
        client: impl FnOnce(SocketAddr) -> C,
    ) {
        with_access(Access::default(), healthy, client).await;
    }

    async fn with_access<C: Future>(
        access: Access,
        healthy: &Arc<AtomicBool>,
        client: impl FnOnce(SocketAddr) -> C,
    ) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let address = listener.local_addr().expect("has an address");
        let (stop, stopped) = oneshot::channel::<()>();
        let healthy = healthy.clone();
        let health: HealthCheck = Arc::new(move || {
            let healthy = healthy.load(Ordering::Relaxed);
            Health { healthy, detail: format!("healthy is {healthy}") }
        });
        let shutdown = async { stopped.await.unwrap_or_default() };
        let what = Served { metrics: Arc::new(Metrics::new()), health, access: Arc::new(access) };
        let server = serve(listener, what, shutdown);
        let client = async {
            let kept = client(address).await;
            drop(stop);
            kept
        };
        timeout(Duration::from_secs(10), async { tokio::join!(server, client) })
            .await
            .expect("ends in time");
    }

    #[tokio::test]
    async fn metrics_are_served_as_text() {
        with_server(&Arc::default(), |address| async move {
            let answer = ask(address, "GET /metrics").await;
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
            assert!(answer.contains("content-type: text/plain; version=0.0.4"), "{answer}");
            assert!(answer.contains("# TYPE plimsoll_observations_total counter"), "{answer}");
            assert!(!answer.contains("process_resident_memory_bytes 0\n"), "{answer}");
        })
        .await;
    }

    #[tokio::test]
    async fn health_is_asked_for_each_time() {
        let healthy = Arc::new(AtomicBool::new(true));
        let switch = healthy.clone();
        with_server(&healthy, |address| async move {
            assert!(ask(address, "GET /healthz").await.starts_with("HTTP/1.1 200"));
            switch.store(false, Ordering::Relaxed);
            let answer = ask(address, "GET /healthz").await;
            assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
            assert!(answer.ends_with("healthy is false\n"), "{answer}");
        })
        .await;
    }

    #[tokio::test]
    async fn anything_else_is_refused() {
        with_server(&Arc::default(), |address| async move {
            assert!(ask(address, "GET /").await.starts_with("HTTP/1.1 404"));
            assert!(ask(address, "POST /metrics").await.starts_with("HTTP/1.1 405"));
        })
        .await;
    }

    #[tokio::test]
    async fn idle_connections_do_not_keep_the_server_from_ending() {
        with_server(&Arc::default(), |address| async move {
            let idle = TcpStream::connect(address).await.expect("connects");
            assert!(ask(address, "HEAD /metrics").await.starts_with("HTTP/1.1 200"));
            idle
        })
        .await;
    }

    #[tokio::test]
    async fn metrics_are_for_who_has_the_token_and_health_is_for_all() {
        let token = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(token.path(), "t0ken\n").expect("is written");
        let access = Access::with_token(token.path());
        with_access(access, &Arc::new(AtomicBool::new(true)), |address| async move {
            let with = |header: &'static str| async move {
                ask(address, &format!("GET /metrics HTTP/1.1\r\n{header}\r\nX:")).await
            };
            let refused = ask(address, "GET /metrics").await;
            assert!(refused.starts_with("HTTP/1.1 401"), "{refused}");
            assert!(refused.contains("www-authenticate: Bearer"), "{refused}");
            assert!(with("Authorization: Bearer wrong").await.starts_with("HTTP/1.1 401"));
            assert!(with("Authorization: Basic t0ken").await.starts_with("HTTP/1.1 401"));
            assert!(with("Authorization: Bearer t0ken").await.starts_with("HTTP/1.1 200"));
            assert!(ask(address, "GET /healthz").await.starts_with("HTTP/1.1 200"));
            std::fs::remove_file(token.path()).expect("was there");
            assert!(with("Authorization: Bearer t0ken").await.starts_with("HTTP/1.1 500"));
        })
        .await;
    }
}
