//! The sinks: is the receiver there, can the secret be read, can files be written?

use std::{
    io,
    net::{TcpStream, ToSocketAddrs},
    os::unix::fs::MetadataExt,
    path::Path,
    time::Duration,
};

use super::{
    agent::{existing, try_writing},
    item::Item,
};
use crate::{
    config::{
        sections::Config,
        sink::{FileTarget, HttpTarget, SinkTable, SyslogAddress, SyslogTarget, Target},
    },
    secret::Secret,
    sink::{http::check_certificates, sinks::queue_directory},
};

const WHAT: &str = "sink";
/// How long a receiver may take to accept a connection.
const PATIENCE: Duration = Duration::from_secs(2);
/// Bits of a file's mode that let everybody read it.
const OPEN_TO_ALL: u32 = 0o004;

pub(super) fn items(config: &Config) -> Vec<Item> {
    let data_dir = &config.agent.data_dir;
    config.tables.sinks.iter().map(|sink| item(sink, data_dir)).collect()
}

/// What is wrong with a sink, the worst first; nothing where all is well.
fn item(sink: &SinkTable, data_dir: &Path) -> Item {
    let shown = format!("{}: {}", sink.name, sink.target);
    let found = match &sink.target {
        Target::Stdout => Ok("written as JSON lines".to_owned()),
        Target::File(file) => directory(file),
        Target::Syslog(syslog) => queue(sink, data_dir).and_then(|()| daemon(syslog)),
        Target::Webhook(http) | Target::Alertmanager(http, _) => {
            queue(sink, data_dir).and_then(|()| secret(http)).and_then(|()| server(http))
        }
    };
    match found {
        Ok(found) => Item::pass(WHAT, format!("{shown}: {found}")),
        Err(Fault { is_fatal, found, so, remedy }) => {
            let found = format!("{shown}: {found}");
            let item = if is_fatal { Item::fail(WHAT, found) } else { Item::warn(WHAT, found) };
            item.so(so).remedy(remedy)
        }
    }
}

/// What is wrong.
struct Fault {
    /// Whether the sink cannot work.
    is_fatal: bool,
    found: String,
    so: &'static str,
    remedy: &'static str,
}

fn directory(file: &FileTarget) -> Result<String, Fault> {
    let directory = file.path.parent().unwrap_or(Path::new("/"));
    try_writing(directory, true).map_err(|error| Fault {
        is_fatal: true,
        found: format!("{} is not writable: {error}", directory.display()),
        so: "alerts wait in memory, and are lost when the agent ends",
        remedy: "make the directory, and let the agent write in it",
    })?;
    Ok("its directory is writable".to_owned())
}

fn queue(sink: &SinkTable, data_dir: &Path) -> Result<(), Fault> {
    let directory = queue_directory(data_dir, &sink.name);
    let below = existing(&directory);
    try_writing(below, below == directory).map_err(|error| Fault {
        is_fatal: true,
        found: format!("its queue {} is not writable: {error}", directory.display()),
        so: "alerts that wait for the receiver are lost when the agent ends",
        remedy: "let the agent write in its data directory",
    })
}

fn secret(http: &HttpTarget) -> Result<(), Fault> {
    let fault = |is_fatal, found, remedy| Fault {
        is_fatal,
        found,
        so: if is_fatal { "alerts wait in the queue" } else { "others may learn the secret" },
        remedy,
    };
    if let Some(path) = &http.secret_file {
        if let Err(error) = Secret::read(path) {
            return Err(fault(
                true,
                format!("{error:#}"),
                "let the agent, and nobody else, read it",
            ));
        }
        let is_open = path.metadata().is_ok_and(|it| it.mode() & OPEN_TO_ALL != 0);
        if is_open {
            let found = format!("everybody may read {}", path.display());
            return Err(fault(false, found, "take that right away: chmod o-r"));
        }
        if !http.url.is_tls() && !http.url.is_loopback() {
            let found = "the secret is sent in clear".to_owned();
            return Err(fault(false, found, "use https"));
        }
    }
    if let Some(path) = http.ca_file.as_deref().filter(|_| http.url.is_tls()) {
        check_certificates(path).map_err(|error| {
            fault(true, format!("{error:#}"), "name a file of certificates (PEM)")
        })?;
    }
    Ok(())
}

fn server(http: &HttpTarget) -> Result<String, Fault> {
    connects(&http.url.authority()).map_err(|it| away(&it))?;
    Ok("it accepts connections".to_owned())
}

fn daemon(syslog: &SyslogTarget) -> Result<String, Fault> {
    match &syslog.address {
        SyslogAddress::Unix(path) if path.exists() => Ok("the socket is there".to_owned()),
        SyslogAddress::Unix(_) => Err(away(&io::ErrorKind::NotFound.into())),
        SyslogAddress::Udp(address) => {
            address.to_socket_addrs().map_err(|it| away(&it))?;
            Ok("whether somebody listens cannot be told of UDP".to_owned())
        }
        SyslogAddress::Tcp(address) => {
            connects(address).map_err(|it| away(&it))?;
            Ok("it accepts connections".to_owned())
        }
    }
}

fn away(error: &io::Error) -> Fault {
    Fault {
        is_fatal: false,
        found: format!("the receiver is away: {error}"),
        so: "alerts wait in the queue until it is there",
        remedy: "start the receiver, or name where it is; `plimsoll sink test NAME` sends a test alert",
    }
}

fn connects(address: &str) -> io::Result<()> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for address in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(_) => return Ok(()),
            Err(error) => last = error,
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use std::{fs, net::TcpListener, os::unix::fs::PermissionsExt, time::Duration};

    use plimsoll_ebpf::rules::Severity;

    use super::{super::item::Status, *};
    use crate::config::sink::{Format, Url};

    fn sink(target: Target) -> SinkTable {
        let (name, min_severity) = ("s".to_owned(), Severity::Info);
        SinkTable { line: 1, name, min_severity, format: Format::Native, target }
    }

    fn webhook(address: &str, secret_file: Option<&Path>) -> SinkTable {
        sink(Target::Webhook(HttpTarget {
            url: Url::parse(&format!("http://{address}/s3cret")).expect("is one"),
            secret_file: secret_file.map(Path::to_owned),
            header: None,
            ca_file: None,
            timeout: Duration::from_secs(1),
            queue_bytes: 1 << 20,
        }))
    }

    #[test]
    fn a_receiver_that_is_away_warns_and_one_that_is_there_passes() {
        let directory = tempfile::tempdir().expect("a directory");
        let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
        let address = listener.local_addr().expect("is bound").to_string();
        assert_eq!(item(&webhook(&address, None), directory.path()).status, Status::Pass);
        drop(listener);
        let away = item(&webhook(&address, None), directory.path());
        assert_eq!(away.status, Status::Warn);
        assert!(!format!("{away:?}").contains("s3cret"), "{away:?}");
    }

    #[test]
    fn a_secret_must_be_readable_and_not_to_all() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("token");
        let of = || item(&webhook("127.0.0.1:1", Some(&file)), directory.path());
        assert_eq!(of().status, Status::Fail, "there is none");
        fs::write(&file, "t0ken\n").expect("is written");
        for (mode, found) in [(0o644, "everybody may read"), (0o600, "the receiver is away")] {
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).expect("is set");
            let item = of();
            assert!(item.status == Status::Warn && item.found.contains(found), "{item:?}");
            assert!(!format!("{item:?}").contains("t0ken"), "{item:?}");
        }
    }

    #[test]
    fn a_secret_that_leaves_the_host_in_clear_is_told() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("token");
        fs::write(&file, "t0ken\n").expect("is written");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("is set");
        let item = item(&webhook("receiver.invalid", Some(&file)), directory.path());
        assert!(item.status == Status::Warn && item.found.contains("in clear"), "{item:?}");
    }

    #[test]
    fn a_file_without_its_directory_fails() {
        let file = FileTarget { path: "/nonexistent/alerts".into(), max_bytes: 0, keep: 1 };
        assert_eq!(item(&sink(Target::File(file)), Path::new("/")).status, Status::Fail);
    }
}
