//! POST of JSON over HTTP, with TLS and a secret where they are asked for.

use std::{fs, path::Path, sync::Arc, time::Duration};

use anyhow::{Context, bail};
use plimsoll_ebpf::value::readable;
use ureq::{
    Agent, Body,
    config::Config,
    http::Response,
    tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem},
};

use super::link::Fault;
use crate::{config::sink::HttpTarget, secret::Secret};

/// Where distributions keep the certificates that the host trusts.
const HOST_CERTIFICATES: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];
/// What is read of an answer, and what is shown of it.
const ANSWER_BYTES: u64 = 4096;
const SHOWN: usize = 200;

/// A client for one address. It keeps its connection.
pub(super) struct Client {
    target: HttpTarget,
    url: String,
    /// Made at the first use, so that a certificate may come later.
    agent: Option<Agent>,
}

impl Client {
    /// For this address, which is `target`'s or below it.
    pub(super) fn new(target: &HttpTarget, url: String) -> Self {
        Self { target: target.clone(), url, agent: None }
    }

    /// Posts JSON; returns what was answered.
    pub(super) fn post(&mut self, body: String) -> Result<String, Fault> {
        let secret = self.target.secret_file.as_deref().map(Secret::read).transpose();
        let secret = secret.map_err(|error| Fault::away(format!("{error:#}")))?;
        let sent = self.send(body, secret.as_ref());
        sent.map_err(|fault| match fault {
            Fault::Refused(why) => Fault::Refused(self.hidden(&why, secret.as_ref())),
            Fault::Away { why, retry_after } => {
                Fault::Away { why: self.hidden(&why, secret.as_ref()), retry_after }
            }
        })
        .map(|answer| self.hidden(&answer, secret.as_ref()))
    }

    /// A text in which nothing secret is to be read, should somebody have repeated it.
    fn hidden(&self, text: &str, secret: Option<&Secret>) -> String {
        let text = self.target.url.hidden_in(text);
        secret.map_or(text.clone(), |secret| secret.hidden_in(&text))
    }

    fn send(&mut self, body: String, secret: Option<&Secret>) -> Result<String, Fault> {
        let agent = if let Some(agent) = &self.agent {
            agent
        } else {
            let agent = agent(&self.target).map_err(|it| Fault::away(format!("{it:#}")))?;
            self.agent.insert(agent)
        };
        let mut request = agent.post(&self.url).header("content-type", "application/json");
        if let Some(secret) = secret {
            request = match &self.target.header {
                Some(header) => request.header(header, secret.value()),
                None => request.header("authorization", format!("Bearer {}", secret.value())),
            };
        }
        let response = request.send(body).map_err(|error| Fault::away(error.to_string()))?;
        judge(response)
    }
}

/// Taken, refused for ever, or to be tried again.
fn judge(mut response: Response<Body>) -> Result<String, Fault> {
    let status = response.status();
    let retry_after = (response.headers().get("retry-after"))
        .and_then(|it| it.to_str().ok()?.parse().ok())
        .map(Duration::from_secs);
    let body = response.body_mut().with_config().limit(ANSWER_BYTES).read_to_vec();
    let body = body.unwrap_or_default();
    let shown: String = readable(body.trim_ascii()).chars().take(SHOWN).collect();
    let space = if shown.is_empty() { "" } else { " " };
    let answer = format!("{status}{space}{shown}");
    match status.as_u16() {
        200..=299 => Ok(answer),
        // The alert itself is what it does not like.
        400 | 413 | 422 => Err(Fault::Refused(answer)),
        _ => Err(Fault::Away { why: answer, retry_after }),
    }
}

fn agent(target: &HttpTarget) -> anyhow::Result<Agent> {
    let config = Config::builder()
        .http_status_as_error(false)
        // An alert and its secret go where they were sent, and nowhere else.
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(None)
        .timeout_global(Some(target.timeout))
        .user_agent(concat!("plimsoll/", env!("CARGO_PKG_VERSION")));
    if !target.url.is_tls() {
        return Ok(config.build().into());
    }
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::Specific(Arc::new(certificates(target.ca_file.as_deref())?)))
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .build();
    Ok(config.tls_config(tls).build().into())
}

/// The certificates that are trusted.
fn certificates(file: Option<&Path>) -> anyhow::Result<Vec<Certificate<'static>>> {
    let hosts = HOST_CERTIFICATES.map(Path::new);
    let Some(path) = file.or_else(|| hosts.into_iter().find(|it| it.exists())) else {
        bail!("this host has no certificates that are trusted: set ca_file");
    };
    check_certificates(path)
}

/// The certificates in a file.
///
/// # Errors
/// When it cannot be read or holds none.
pub fn check_certificates(path: &Path) -> anyhow::Result<Vec<Certificate<'static>>> {
    let pem = fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    let mut certificates = Vec::new();
    for item in parse_pem(&pem) {
        let item = item.with_context(|| format!("{} is no PEM", path.display()))?;
        if let PemItem::Certificate(certificate) = item {
            certificates.push(certificate);
        }
    }
    if certificates.is_empty() {
        bail!("{} holds no certificate", path.display());
    }
    Ok(certificates)
}
