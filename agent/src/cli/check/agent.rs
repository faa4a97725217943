//! What the agent itself takes: disk, memory, socket and port.

use std::{
    fs, io,
    net::TcpListener,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
};

use rustix::fs::{Access, access, statvfs};

use super::{item::Item, running};
use crate::{
    config::{
        sections::{self, Config},
        setting::Bytes,
    },
    metrics::access as metrics_access,
};

pub(super) fn items(config: &Config) -> Vec<Item> {
    vec![
        data_dir(&config.agent.data_dir, config.store.max_bytes),
        rings(&config.probe, available_memory()),
        socket(&config.agent.socket),
        port(&config.metrics, &config.agent.socket),
    ]
}

fn data_dir(path: &Path, bound: Bytes) -> Item {
    const WHAT: &str = "data directory";
    let shown = path.display();
    let below = existing(path);
    if let Err(error) = try_writing(below, below == path) {
        return Item::fail(WHAT, format!("{shown}: {} is not writable: {error}", below.display()))
            .so("nothing can be stored: the agent does not start")
            .remedy("set agent.data_dir, or --data-dir, to a directory that is writable");
    }
    let Ok(disk) = statvfs(below) else { return Item::pass(WHAT, shown.to_string()) };
    let free = disk.f_bavail * disk.f_frsize;
    let found = format!("{shown}; {} free, store.max_bytes is {bound}", rounded(free));
    if free + size_of_files(path) >= bound.0 {
        return Item::pass(WHAT, found);
    }
    Item::warn(WHAT, found)
        .so("the disk is full before the store has reached its bound; the oldest is then removed")
        .remedy("free some space, or set store.max_bytes lower")
}

/// The nearest directory upwards that exists.
pub(super) fn existing(path: &Path) -> &Path {
    path.ancestors().find(|it| it.exists()).unwrap_or(Path::new("/"))
}

/// A directory that is there is tried with a file; above one that is missing only rights are read.
pub(super) fn try_writing(directory: &Path, with_file: bool) -> io::Result<()> {
    if !directory.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    access(directory, Access::WRITE_OK | Access::EXEC_OK)?;
    if !with_file {
        return Ok(());
    }
    let file = directory.join(format!(".check-{}", std::process::id()));
    let outcome = fs::write(&file, b"check");
    let removed = fs::remove_file(&file);
    outcome.and(removed)
}

/// Bytes of the files below a directory.
fn size_of_files(path: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(path) else { return 0 };
    let sizes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(it) if it.is_dir() => size_of_files(&entry.path()),
        Ok(it) => it.len(),
        Err(_) => 0,
    });
    sizes.sum()
}

fn rounded(bytes: u64) -> String {
    if bytes >= 10 << 30 { format!("{} GiB", bytes >> 30) } else { format!("{} MiB", bytes >> 20) }
}

fn available_memory() -> Option<u64> {
    let meminfo = fs::read_to_string("/proc/meminfo").ok()?;
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kib| kib << 10)
}

fn rings(config: &sections::Probe, available: Option<u64>) -> Item {
    const WHAT: &str = "rings";
    let (priority, bulk) = (config.priority_ring_bytes.0, config.bulk_ring_bytes.0);
    let found = format!("priority {} MiB, bulk {} MiB", priority >> 20, bulk >> 20);
    let total = u64::from(priority) + u64::from(bulk);
    if available.is_none_or(|available| total <= available / 4) {
        return Item::pass(WHAT, found);
    }
    Item::warn(WHAT, format!("{found}; more than a quarter of the memory that is available"))
        .so("rings are kernel memory that is never swapped")
        .remedy("set probe.priority_ring_bytes and probe.bulk_ring_bytes lower")
}

fn socket(path: &Path) -> Item {
    const WHAT: &str = "agent socket";
    let shown = path.display();
    if UnixStream::connect(path).is_ok() {
        return Item::pass(WHAT, format!("{shown}; an agent is running"));
    }
    let parent = path.parent().map_or(PathBuf::from("/"), Path::to_owned);
    match access(existing(&parent), Access::WRITE_OK | Access::EXEC_OK) {
        Ok(()) => Item::pass(WHAT, format!("{shown}; no agent is running")),
        Err(error) => {
            Item::fail(WHAT, format!("{shown}: {} is not writable: {error}", parent.display()))
                .so("the agent cannot answer the command line: it does not start")
                .remedy("set agent.socket, or --socket, to a directory that is writable")
        }
    }
}

fn port(config: &sections::Metrics, socket: &Path) -> Item {
    const WHAT: &str = "metrics";
    let Some(address) = config.listen.0 else {
        return Item::pass(WHAT, "off (metrics.listen is empty)");
    };
    if let Err(error) = metrics_access::Access::open(config) {
        return Item::fail(WHAT, format!("{error:#}"))
            .so("nobody could read the metrics: the agent does not start")
            .remedy("mend the file, or leave metrics.token_file and metrics.tls_cert_file empty");
    }
    let Err(error) = TcpListener::bind(address) else {
        return Item::pass(WHAT, format!("{address} is free"));
    };
    // Over TLS it is not asked; that it answers on its socket is enough then.
    let is_running = || match config.tls_cert_file.0 {
        Some(_) => UnixStream::connect(socket).is_ok(),
        None => running::metrics(config).is_some(),
    };
    if error.kind() == io::ErrorKind::AddrInUse && is_running() {
        return Item::pass(WHAT, format!("{address} is held by a running agent"));
    }
    Item::fail(WHAT, format!("{address}: {error}"))
        .so("the metrics cannot be served: the agent does not start")
        .remedy("set metrics.listen, or --metrics-listen, to another address, or to nothing")
}

#[cfg(test)]
mod tests {
    use super::{super::item::Status, *};
    use crate::config::setting::Listen;

    #[test]
    fn a_data_directory_may_be_missing_and_is_left_as_it_was() {
        let directory = tempfile::tempdir().expect("a directory");
        let missing = directory.path().join("a/b");
        assert_eq!(data_dir(&missing, Bytes(1)).status, Status::Pass);
        assert!(!missing.exists());
        assert_eq!(data_dir(directory.path(), Bytes(1)).status, Status::Pass);
        assert_eq!(fs::read_dir(directory.path()).expect("reads").count(), 0);
    }

    #[test]
    fn a_data_directory_that_is_none_fails() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        for path in [file.path().to_owned(), file.path().join("data")] {
            let item = data_dir(&path, Bytes(1));
            assert_eq!(item.status, Status::Fail, "{}", item.found);
        }
    }

    #[test]
    fn a_disk_smaller_than_the_bound_warns() {
        let directory = tempfile::tempdir().expect("a directory");
        assert_eq!(data_dir(directory.path(), Bytes(u64::MAX)).status, Status::Warn);
    }

    #[test]
    fn rings_beyond_a_quarter_of_memory_warn() {
        let probe = sections::Probe::default();
        assert_eq!(rings(&probe, Some(1 << 30)).status, Status::Pass);
        assert_eq!(rings(&probe, Some(16 << 20)).status, Status::Warn);
    }

    #[test]
    fn a_port_held_by_something_else_fails() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
        let address = listener.local_addr().expect("has an address");
        let server = std::thread::spawn(move || drop(listener.accept()));
        let of = |listen| {
            let config = sections::Metrics { listen: Listen(listen), ..Default::default() };
            port(&config, Path::new("/nonexistent/socket")).status
        };
        assert_eq!(of(Some(address)), Status::Fail);
        server.join().expect("ends");
        assert_eq!(of(None), Status::Pass);
    }
}
