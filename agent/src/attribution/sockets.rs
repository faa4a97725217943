//! Who listened before the agent was there: TCP sockets of processes, from `/proc`.

use std::{collections::HashMap, fs, path::Path};

/// State of a listening socket in `/proc/PID/net/tcp`, in hexadecimal (`include/net/tcp_states.h`).
const LISTENING: &str = "0A";

/// Descriptors looked at of one process; who has more of them is known by the first.
const MOST_DESCRIPTORS: usize = 4096;

/// Which of these processes listen on which TCP ports.
pub fn listeners(proc_root: &Path, pids: impl IntoIterator<Item = u32>) -> Vec<(u32, u16)> {
    let mut found = Vec::new();
    // Processes of one network namespace see the same sockets.
    let mut by_namespace: HashMap<String, HashMap<u64, u16>> = HashMap::new();
    for pid in pids {
        let process = proc_root.join(pid.to_string());
        let Some(namespace) = link(&process.join("ns/net")) else { continue };
        let sockets = by_namespace.entry(namespace).or_insert_with(|| {
            let tables = ["net/tcp", "net/tcp6"].map(|table| process.join(table));
            let texts = tables.iter().filter_map(|table| fs::read_to_string(table).ok());
            texts.flat_map(|text| parse(&text)).collect()
        });
        if sockets.is_empty() {
            continue;
        }
        let ports = inodes(&process.join("fd")).filter_map(|inode| sockets.get(&inode));
        found.extend(ports.map(|port| (pid, *port)));
    }
    found
}

/// Inodes of the sockets that a process has open.
fn inodes(descriptors: &Path) -> impl Iterator<Item = u64> + use<> {
    let entries = fs::read_dir(descriptors).into_iter().flatten().take(MOST_DESCRIPTORS);
    entries.filter_map(|entry| {
        let target = link(&entry.ok()?.path())?;
        target.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
    })
}

fn link(path: &Path) -> Option<String> {
    fs::read_link(path).ok()?.into_os_string().into_string().ok()
}

/// Inode and port of each listening socket of a table (`proc_pid_net(5)`).
fn parse(table: &str) -> Vec<(u64, u16)> {
    let line = |line: &str| {
        let mut fields = line.split_ascii_whitespace();
        let (_, port) = fields.nth(1)?.rsplit_once(':')?;
        let port = u16::from_str_radix(port, 16).ok()?;
        let is_listening = fields.nth(1)? == LISTENING;
        let inode = fields.nth(5)?.parse().ok()?;
        is_listening.then_some((inode, port))
    };
    table.lines().skip(1).filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn only_listening_sockets_are_read_from_a_table() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
             0: 0100007F:1BBC 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 8471 1 0 100 0 0 10 0\n\
             1: 0100007F:1BBD 0100007F:E6AC 01 00000000:00000000 00:00000000 00000000     0        0 8472 1 0 20 4 30 10 -1\n\
             2: nonsense\n";
        assert_eq!(parse(table), [(8471, 7100)]);
    }

    #[test]
    fn this_process_is_found_listening() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
        let port = listener.local_addr().expect("has an address").port();
        let found = listeners(Path::new("/proc"), [std::process::id()]);
        assert!(found.contains(&(std::process::id(), port)), "{found:?}");
    }
}
