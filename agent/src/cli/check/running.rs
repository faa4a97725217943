//! What an agent that runs says of itself.

use std::{
    io::{self, Read, Write},
    net::{Ipv6Addr, SocketAddr, TcpStream},
    time::Duration,
};

use crate::{config::sections::Metrics, secret::Secret};

/// How long whoever holds the port may take to answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// Longest answer that is read.
const MOST_BYTES: u64 = 1 << 20;

/// The metrics of the agent that answers where they are configured; `None` where none does, or it
/// speaks TLS.
pub(super) fn metrics(config: &Metrics) -> Option<String> {
    let token = config.token_file.0.as_deref().and_then(|path| Secret::read(path).ok());
    let token = token.map(|token| format!("Authorization: Bearer {}\r\n", token.value()));
    let answer = ask(config.listen.0?, &token.unwrap_or_default()).ok()?;
    let text = String::from_utf8_lossy(&answer).into_owned();
    text.contains("plimsoll_build_info").then_some(text)
}

fn ask(address: SocketAddr, more: &str) -> io::Result<Vec<u8>> {
    // An unspecified address cannot be asked as such; the loopback one answers for it.
    let host = match address {
        SocketAddr::V4(it) if it.ip().is_unspecified() => ([127, 0, 0, 1], it.port()).into(),
        SocketAddr::V6(it) if it.ip().is_unspecified() => {
            SocketAddr::from((Ipv6Addr::LOCALHOST, it.port()))
        }
        SocketAddr::V4(_) | SocketAddr::V6(_) => address,
    };
    let mut stream = TcpStream::connect_timeout(&host, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET /metrics HTTP/1.1\r\nHost: check\r\n{more}Connection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(MOST_BYTES).read_to_end(&mut answer)?;
    Ok(answer)
}

/// The value of a series, such as `name{label="value"}`.
pub(super) fn value(metrics: &str, series: &str) -> Option<f64> {
    let of = |line: &str| line.strip_prefix(series)?.strip_prefix(' ')?.trim().parse().ok();
    metrics.lines().find_map(of)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::config::setting::Listen;

    #[test]
    fn a_running_agent_is_recognised_by_its_metrics() {
        let listener = TcpListener::bind("0.0.0.0:0").expect("binds");
        let address = listener.local_addr().expect("has an address");
        let server = std::thread::spawn(move || {
            for told in ["plimsoll_build_info 1\n", "other 1\n"] {
                let (mut stream, _) = listener.accept().expect("is asked");
                // All of it: what is left unread when it is closed resets the connection.
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    let mut byte = [0];
                    stream.read_exact(&mut byte).expect("reads");
                    request.extend_from_slice(&byte);
                }
                let answer = format!("HTTP/1.1 200 OK\r\n\r\n{told}");
                stream.write_all(answer.as_bytes()).expect("answers");
            }
        });
        let config = Metrics { listen: Listen(Some(address)), ..Metrics::default() };
        assert!(metrics(&config).is_some_and(|it| value(&it, "plimsoll_build_info") == Some(1.0)));
        assert_eq!(metrics(&config), None);
        server.join().expect("ends");
    }

    #[test]
    fn a_series_is_named_with_its_labels() {
        let metrics = "# HELP a\na{class=\"exec\"} 1\na{class=\"file\"} 0\n";
        assert_eq!(value(metrics, "a{class=\"file\"}"), Some(0.0));
        assert_eq!(value(metrics, "a"), None);
    }
}
