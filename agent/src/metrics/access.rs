//! Who may read the metrics: whoever sends a token, where one is asked for, and over TLS, where there
//! is a certificate.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use anyhow::Context;
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tokio_rustls::TlsAcceptor;

use crate::{config::sections, secret::Secret};

const SCHEME: &[u8] = b"Bearer ";

/// See the module. By default everybody may, over plain HTTP.
#[derive(Default)]
pub struct Access {
    token_file: Option<PathBuf>,
    tls: Option<Tls>,
}

impl Access {
    /// As it is configured; what is named must be there and fit.
    ///
    /// # Errors
    /// With the file that cannot be read, or is not what it should be.
    pub fn open(config: &sections::Metrics) -> anyhow::Result<Self> {
        let token_file = config.token_file.0.clone();
        if let Some(path) = &token_file {
            Secret::read(path).context("metrics.token_file")?;
        }
        let files = config.tls_cert_file.0.clone().zip(config.tls_key_file.0.clone());
        let tls = files.map(|(certificate, key)| Tls::open(certificate, key)).transpose()?;
        Ok(Self { token_file, tls })
    }

    #[cfg(test)]
    pub(super) fn with_token(path: &Path) -> Self {
        Self { token_file: Some(path.to_owned()), tls: None }
    }

    /// Whether who sends this header may read them.
    ///
    /// # Errors
    /// When the token cannot be read, which lets nobody in.
    pub(super) fn lets_in(&self, authorization: Option<&[u8]>) -> anyhow::Result<bool> {
        let Some(path) = &self.token_file else { return Ok(true) };
        let token = Secret::read(path)?;
        let sent = authorization.and_then(|it| it.strip_prefix(SCHEME));
        Ok(sent.is_some_and(|sent| token.is(sent)))
    }

    /// What the next connection is encrypted with, if it is.
    ///
    /// # Errors
    /// When a certificate that was replaced cannot be read.
    pub(super) fn tls(&self) -> anyhow::Result<Option<TlsAcceptor>> {
        self.tls.as_ref().map(Tls::acceptor).transpose()
    }
}

/// A certificate with its key, read anew once the file has changed.
struct Tls {
    certificate: PathBuf,
    key: PathBuf,
    read: Mutex<(Option<SystemTime>, TlsAcceptor)>,
}

impl Tls {
    fn open(certificate: PathBuf, key: PathBuf) -> anyhow::Result<Self> {
        let changed = changed(&certificate);
        let acceptor = acceptor(&certificate, &key)?;
        Ok(Self { certificate, key, read: Mutex::new((changed, acceptor)) })
    }

    fn acceptor(&self) -> anyhow::Result<TlsAcceptor> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = changed(&self.certificate);
        if changed != read.0 {
            *read = (changed, acceptor(&self.certificate, &self.key)?);
        }
        Ok(read.1.clone())
    }
}

fn changed(path: &Path) -> Option<SystemTime> {
    path.metadata().and_then(|it| it.modified()).ok()
}

fn acceptor(certificate: &Path, key: &Path) -> anyhow::Result<TlsAcceptor> {
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .with_context(|| format!("reading the certificate in {}", certificate.display()))?;
    // What is wrong with a key is not told in detail.
    let key = PrivateKeyDer::from_pem_file(key)
        .with_context(|| format!("reading the key in {}", key.display()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .with_context(|| format!("using the certificate in {}", certificate.display()))?;
    Ok(Arc::new(config).into())
}
