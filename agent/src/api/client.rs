//! The command line's side of the socket, for plain threads.

use std::{
    io,
    path::{Path, PathBuf},
};

use anyhow::Context;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{
    Method, Request, StatusCode,
    body::Incoming,
    client::conn::http1,
    header::{CONTENT_TYPE, HOST},
};
use hyper_util::rt::TokioIo;
use serde::{Serialize, de::DeserializeOwned};
use tokio::{net::UnixStream, runtime::Runtime};

/// Longest answer that is no stream of lines.
const MAX_WHOLE: usize = 32 << 20;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens.
    #[error("no plimsoll answers on {}", socket.display())]
    Unreachable {
        /// The socket.
        socket: PathBuf,
        /// Why it cannot be connected to.
        source: io::Error,
    },
    /// The socket is there and not for this user.
    #[error("{} is for root and the group plimsoll only", socket.display())]
    Forbidden {
        /// The socket.
        socket: PathBuf,
    },
    /// The daemon does not understand the question.
    #[error("{0}")]
    Refused(String),
    /// The daemon cannot answer, or no longer.
    #[error("asking the daemon")]
    Broken(#[source] anyhow::Error),
}

/// The lines of an answer, as they come.
#[derive(Debug)]
pub struct Lines {
    runtime: Runtime,
    body: Incoming,
    buffer: Vec<u8>,
    /// How much of the buffer is told.
    told: usize,
    ended: bool,
}

/// Asks the daemon; `target` is a path with its parameters.
pub fn get(socket: &Path, target: &str) -> Result<Lines, ClientError> {
    let (status, lines) = ask(socket, Method::GET, target, Bytes::new())?;
    if status == StatusCode::OK {
        return Ok(lines);
    }
    let text = reason(lines)?;
    match status {
        StatusCode::BAD_REQUEST => Err(ClientError::Refused(text)),
        _ => Err(ClientError::Broken(anyhow::anyhow!(text))),
    }
}

/// Asks the daemon for one JSON value.
pub fn value<T: DeserializeOwned>(socket: &Path, target: &str) -> Result<T, ClientError> {
    let lines = get(socket, target)?;
    read(lines).map_err(ClientError::Broken)
}

/// Has the daemon change something; `body` is sent as JSON.
pub fn change<T: DeserializeOwned>(
    socket: &Path,
    method: Method,
    target: &str,
    body: Option<&impl Serialize>,
) -> Result<T, ClientError> {
    let body = body.map(serde_json::to_vec).transpose();
    let body = body.map_err(|error| ClientError::Broken(error.into()))?.unwrap_or_default();
    let (status, lines) = ask(socket, method, target, body.into())?;
    if status == StatusCode::OK {
        return read(lines).map_err(ClientError::Broken);
    }
    let text = reason(lines)?;
    if status.is_client_error() {
        return Err(ClientError::Refused(text));
    }
    Err(ClientError::Broken(anyhow::anyhow!(text)))
}

fn read<T: DeserializeOwned>(lines: Lines) -> anyhow::Result<T> {
    serde_json::from_str(&lines.whole()?).context("reading the answer")
}

/// What an answer says that is not the one asked for.
fn reason(lines: Lines) -> Result<String, ClientError> {
    let text = lines.whole().map_err(ClientError::Broken)?;
    let error = serde_json::from_str::<serde_json::Value>(&text).ok();
    Ok(error.and_then(|it| it.get("error")?.as_str().map(str::to_owned)).unwrap_or(text))
}

fn ask(
    socket: &Path,
    method: Method,
    target: &str,
    body: Bytes,
) -> Result<(StatusCode, Lines), ClientError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| ClientError::Broken(error.into()))?;
    let stream = runtime.block_on(UnixStream::connect(socket)).map_err(|source| {
        let socket = socket.to_owned();
        if source.kind() == io::ErrorKind::PermissionDenied {
            ClientError::Forbidden { socket }
        } else {
            ClientError::Unreachable { socket, source }
        }
    })?;
    let request = Request::builder()
        .method(method)
        .uri(target)
        .header(HOST, "plimsoll")
        .header(CONTENT_TYPE, "application/json")
        .body(Full::new(body));
    let request = request.map_err(|error| ClientError::Broken(error.into()))?;
    let (status, body) = send(&runtime, stream, request).map_err(ClientError::Broken)?;
    Ok((status, Lines { runtime, body, buffer: Vec::new(), told: 0, ended: false }))
}

fn send(
    runtime: &Runtime,
    stream: UnixStream,
    request: Request<Full<Bytes>>,
) -> anyhow::Result<(StatusCode, Incoming)> {
    runtime.block_on(async {
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // Ends with the runtime, or when the daemon closes; the body then says why.
        runtime.spawn(connection);
        let response = sender.send_request(request).await?;
        Ok((response.status(), response.into_body()))
    })
}

impl Lines {
    /// The next line without its end.
    pub fn next_line(&mut self) -> anyhow::Result<Option<&str>> {
        loop {
            let rest = &self.buffer[self.told..];
            if let Some(length) = rest.iter().position(|byte| *byte == b'\n') {
                let start = self.told;
                self.told += length + 1;
                let line = &self.buffer[start..start + length];
                return Ok(Some(std::str::from_utf8(line).context("an answer is not UTF-8")?));
            }
            if self.ended {
                return Ok(None);
            }
            self.buffer.drain(..self.told);
            self.told = 0;
            self.fill()?;
        }
    }

    /// Whether a whole line is already here, so that asking for it does not wait.
    pub fn has_line(&self) -> bool {
        self.buffer[self.told..].contains(&b'\n')
    }

    /// An answer that is one text.
    pub fn whole(mut self) -> anyhow::Result<String> {
        while !self.ended && self.buffer.len() <= MAX_WHOLE {
            self.fill()?;
        }
        Ok(String::from_utf8_lossy(&self.buffer).into_owned())
    }

    fn fill(&mut self) -> anyhow::Result<()> {
        match self.runtime.block_on(self.body.frame()) {
            Some(frame) => {
                let frame = frame.context("the daemon ended the answer")?;
                if let Some(data) = frame.data_ref() {
                    self.buffer.extend_from_slice(data);
                }
            }
            None => self.ended = true,
        }
        Ok(())
    }
}
