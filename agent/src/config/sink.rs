//! `[[sink]]`: where alerts are told, with every value read.

use std::{fmt, net::IpAddr, path::PathBuf, time::Duration};

use hyper::Uri;
use plimsoll_ebpf::rules::Severity;

/// Sinks of one agent at most; each has threads and a queue of its own.
pub const MOST_SINKS: usize = 16;

/// A place where alerts are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinkTable {
    /// Line of its heading, from 1.
    pub line: usize,
    /// Its name: lower case letters, digits, `-` and `_`.
    pub name: String,
    /// Only alerts that are as bad as this or worse.
    pub min_severity: Severity,
    /// How an alert is written.
    pub format: Format,
    /// Where to.
    pub target: Target,
}

/// How an alert is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// As `plimsoll alerts -o json` does.
    #[default]
    Native,
    /// As Falco does.
    Falco,
}

/// Where a sink tells alerts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Standard output.
    Stdout,
    /// A file.
    File(FileTarget),
    /// A syslog daemon.
    Syslog(SyslogTarget),
    /// Whatever takes JSON by HTTP POST.
    Webhook(HttpTarget),
    /// Alertmanager, and for how long an alert stands there.
    Alertmanager(HttpTarget, Duration),
}

/// A file of JSON lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileTarget {
    /// Where it is.
    pub path: PathBuf,
    /// How long it may become.
    pub max_bytes: u64,
    /// How many older ones are kept.
    pub keep: u32,
}

/// A syslog daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyslogTarget {
    /// Where it listens.
    pub address: SyslogAddress,
    /// Number of the facility (RFC 5424, table 1).
    pub facility: u8,
    /// Most disk space for what waits.
    pub queue_bytes: u64,
}

/// Where a syslog daemon listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SyslogAddress {
    /// A socket in the file system.
    Unix(PathBuf),
    /// Host and port.
    Udp(String),
    /// Host and port.
    Tcp(String),
}

/// Something that is spoken to by HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpTarget {
    /// Where it is.
    pub url: Url,
    /// File with the secret that is sent along.
    pub secret_file: Option<PathBuf>,
    /// Header in which it is sent as it is; without one it is a bearer token.
    pub header: Option<String>,
    /// File with the certificates that are trusted, in place of the host's.
    pub ca_file: Option<PathBuf>,
    /// How long an answer may take.
    pub timeout: Duration,
    /// Most disk space for what waits.
    pub queue_bytes: u64,
}

/// An address of the web. Its path may be a secret: it is shown without.
#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    whole: String,
    is_tls: bool,
    host: String,
    port: u16,
    path: String,
}

impl Url {
    /// Reads it; `None` where it is none of HTTP, or has a user or password in it.
    pub fn parse(text: &str) -> Option<Self> {
        let uri: Uri = text.parse().ok()?;
        let is_tls = match uri.scheme_str()? {
            "http" => false,
            "https" => true,
            _ => return None,
        };
        let authority = uri.authority()?;
        if authority.as_str().contains('@') || authority.host().is_empty() {
            return None;
        }
        let port = authority.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let path = uri.path_and_query().map_or_else(String::new, ToString::to_string);
        let host = authority.host().to_owned();
        Some(Self { whole: text.to_owned(), is_tls, host, port, path })
    }

    /// All of it, which nobody may be shown.
    pub fn secret(&self) -> &str {
        &self.whole
    }

    /// A text in which neither it nor its path is to be read, should somebody have repeated it.
    pub fn hidden_in(&self, text: &str) -> String {
        let text = text.replace(&self.whole, &self.to_string());
        if self.path.len() > 1 { text.replace(&self.path, "/***") } else { text }
    }

    /// Whether it is spoken to by TLS.
    pub const fn is_tls(&self) -> bool {
        self.is_tls
    }

    /// Whether it is on this host, by its name.
    pub fn is_loopback(&self) -> bool {
        let host = self.host.trim_start_matches('[').trim_end_matches(']');
        host == "localhost" || host.parse().is_ok_and(|it: IpAddr| it.is_loopback())
    }

    /// Host and port, as a connection is made to them.
    pub fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_tls { "https" } else { "http" };
        write!(f, "{scheme}://{}:{}", self.host, self.port)
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for SyslogAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Udp(address) => write!(f, "udp://{address}"),
            Self::Tcp(address) => write!(f, "tcp://{address}"),
        }
    }
}

impl Target {
    /// The types, as a file names them.
    pub const TYPES: [&'static str; 5] = ["stdout", "file", "syslog", "webhook", "alertmanager"];

    /// The type, as a file names it.
    pub const fn type_name(&self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::File(_) => "file",
            Self::Syslog(_) => "syslog",
            Self::Webhook(_) => "webhook",
            Self::Alertmanager(..) => "alertmanager",
        }
    }
}

impl fmt::Display for Target {
    /// Type and place, without anything secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.type_name())?;
        match self {
            Self::Stdout => Ok(()),
            Self::File(it) => write!(f, " {}", it.path.display()),
            Self::Syslog(it) => write!(f, " {}", it.address),
            Self::Webhook(it) | Self::Alertmanager(it, _) => write!(f, " {}", it.url),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_what_may_be_secret() {
        let url = Url::parse("https://hooks.example.org/T0/s3cret?token=s3cret").expect("is one");
        assert_eq!(url.to_string(), "https://hooks.example.org:443");
        assert!(!format!("{url:?}").contains("s3cret"));
        assert!(url.secret().contains("s3cret"));
        let repeated =
            "POST /T0/s3cret?token=s3cret to https://hooks.example.org/T0/s3cret?token=s3cret";
        assert_eq!(url.hidden_in(repeated), "POST /*** to https://hooks.example.org:443");
        assert!(!url.is_loopback());
        for local in ["http://localhost/", "http://127.0.0.2:1/", "http://[::1]/"] {
            assert!(Url::parse(local).is_some_and(|it| it.is_loopback()), "{local}");
        }
        assert_eq!(Url::parse("http://[::1]:80/").expect("is one").authority(), "[::1]:80");
    }

    #[test]
    fn what_is_no_address_or_has_a_password_in_it_is_refused() {
        for text in ["", "hooks.example.org", "ftp://a/", "https://u:p@a/", "https:///x", "/x"] {
            assert_eq!(Url::parse(text), None, "{text}");
        }
    }
}
