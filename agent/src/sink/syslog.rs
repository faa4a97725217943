//! A syslog daemon: over a socket of the file system, UDP, or TCP with octet counting (RFC 6587).

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream, ToSocketAddrs, UdpSocket},
    os::unix::net::{UnixDatagram, UnixStream},
    path::Path,
    time::{Duration, Instant},
};

use rustix::io::Errno;

use super::link::{Fault, Link};
use crate::{
    alert::{native::Alert, syslog::message},
    clock,
    config::sink::{Format, SyslogAddress, SyslogTarget},
};

/// How long a name is believed that nothing contradicts.
const NAME_HOLDS: Duration = Duration::from_mins(1);
/// How long a connection, or the daemon's taking of a message, may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// See the module.
pub(super) struct Syslog {
    target: SyslogTarget,
    format: Format,
    connection: Option<Connection>,
}

enum Connection {
    UnixDatagram(UnixDatagram),
    UnixStream(UnixStream),
    /// And when its receiver's name was looked up: nobody says that it has moved.
    Udp(UdpSocket, Instant),
    Tcp(TcpStream),
}

impl Syslog {
    pub(super) fn new(target: &SyslogTarget, format: Format) -> Self {
        Self { target: target.clone(), format, connection: None }
    }

    /// Sends a message; the connection is kept where that worked.
    fn send(&mut self, message: &str) -> io::Result<()> {
        let mut connection = match self.connection.take().filter(Connection::is_open) {
            Some(connection) => connection,
            None => connect(&self.target.address)?,
        };
        connection.send(message)?;
        self.connection = Some(connection);
        Ok(())
    }
}

impl Link for Syslog {
    fn deliver(&mut self, alerts: &[Alert]) -> Result<String, Fault> {
        for alert in alerts {
            let message = message(alert, self.target.facility, self.format);
            let was_connected = self.connection.is_some();
            let mut sent = self.send(&message);
            if sent.is_err() && was_connected {
                // The daemon may have begun anew, and be there.
                sent = self.send(&message);
            }
            sent.map_err(|error| match Errno::from_io_error(&error) {
                Some(Errno::MSGSIZE) => Fault::Refused("the message is too long".to_owned()),
                _ => Fault::away(error.to_string()),
            })?;
        }
        Ok("sent; syslog does not answer".to_owned())
    }
}

impl Connection {
    /// Whether the other side has not ended it. A syslog daemon says nothing: what can be read is
    /// the end.
    fn is_open(&self) -> bool {
        let mut byte = [0];
        let read = match self {
            Self::UnixDatagram(_) => return true,
            Self::Udp(_, since) => return clock::since(*since) < NAME_HOLDS,
            Self::UnixStream(stream) => {
                stream.set_nonblocking(true).and_then(|()| (&*stream).read(&mut byte))
            }
            Self::Tcp(stream) => {
                stream.set_nonblocking(true).and_then(|()| (&*stream).read(&mut byte))
            }
        };
        let is_silent = read.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
        is_silent && self.block().is_ok()
    }

    /// Makes it wait again.
    fn block(&self) -> io::Result<()> {
        match self {
            Self::UnixDatagram(_) | Self::Udp(..) => Ok(()),
            Self::UnixStream(stream) => stream.set_nonblocking(false),
            Self::Tcp(stream) => stream.set_nonblocking(false),
        }
    }

    fn send(&mut self, message: &str) -> io::Result<()> {
        match self {
            Self::UnixDatagram(socket) => socket.send(message.as_bytes()).map(drop),
            Self::Udp(socket, _) => socket.send(message.as_bytes()).map(drop),
            // Such sockets are read by lines; JSON has no line's end within.
            Self::UnixStream(stream) => stream.write_all(format!("{message}\n").as_bytes()),
            Self::Tcp(stream) => {
                stream.write_all(format!("{} {message}", message.len()).as_bytes())
            }
        }
    }
}

fn connect(address: &SyslogAddress) -> io::Result<Connection> {
    match address {
        SyslogAddress::Unix(path) => connect_unix(path),
        SyslogAddress::Udp(address) => first_of(address, |to| {
            let any: SocketAddr = if to.is_ipv4() {
                ([0, 0, 0, 0], 0).into()
            } else {
                (std::net::Ipv6Addr::UNSPECIFIED, 0).into()
            };
            let socket = UdpSocket::bind(any)?;
            socket.set_write_timeout(Some(PATIENCE))?;
            socket.connect(to)?;
            Ok(Connection::Udp(socket, clock::instant()))
        }),
        SyslogAddress::Tcp(address) => {
            let stream = first_of(address, |to| TcpStream::connect_timeout(&to, PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            stream.set_nodelay(true)?;
            Ok(Connection::Tcp(stream))
        }
    }
}

fn connect_unix(path: &Path) -> io::Result<Connection> {
    let socket = UnixDatagram::unbound()?;
    socket.set_write_timeout(Some(PATIENCE))?;
    match socket.connect(path) {
        Ok(()) => Ok(Connection::UnixDatagram(socket)),
        // It listens for streams.
        Err(error) if Errno::from_io_error(&error) == Some(Errno::PROTOTYPE) => {
            let stream = UnixStream::connect(path)?;
            stream.set_write_timeout(Some(PATIENCE))?;
            Ok(Connection::UnixStream(stream))
        }
        Err(error) => Err(error),
    }
}

/// What works with one of a name's addresses; else why it does not with the last.
fn first_of<T>(
    address: &str,
    mut connect: impl FnMut(SocketAddr) -> io::Result<T>,
) -> io::Result<T> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for to in address.to_socket_addrs()? {
        match connect(to) {
            Ok(connection) => return Ok(connection),
            Err(error) => last = error,
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead, BufReader},
        net::TcpListener,
        os::unix::net::UnixListener,
        path::PathBuf,
    };

    use super::*;

    fn syslog(address: SyslogAddress) -> Syslog {
        let target = SyslogTarget { address, facility: 3, queue_bytes: 1 << 20 };
        Syslog::new(&target, Format::Native)
    }

    fn test() -> [Alert; 1] {
        [Alert::test("host-a", 0)]
    }

    fn unix(directory: &Path) -> (PathBuf, Syslog) {
        let path = directory.join("log");
        (path.clone(), syslog(SyslogAddress::Unix(path)))
    }

    #[test]
    fn over_tcp_each_message_is_counted_out_and_a_closed_connection_is_made_anew() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
        let address = listener.local_addr().expect("is bound").to_string();
        let mut syslog = syslog(SyslogAddress::Tcp(address));
        for _ in 0..2 {
            syslog.deliver(&test()).expect("is sent");
            syslog.deliver(&test()).expect("is sent");
            let (mut stream, _) = listener.accept().expect("connects");
            for _ in 0..2 {
                let mut count = Vec::new();
                BufReader::with_capacity(1, &mut stream)
                    .read_until(b' ', &mut count)
                    .expect("reads");
                let count = str::from_utf8(&count).expect("is text").trim();
                let mut message = vec![0; count.parse().expect("is a number")];
                stream.read_exact(&mut message).expect("reads");
                assert!(message.starts_with(b"<30>1 1970-01-01T00:00:00.000000Z host-a plimsoll "));
                assert!(message.ends_with(b"}"), "{}", message.escape_ascii());
            }
        }
    }

    #[test]
    fn a_datagram_socket_that_was_made_anew_is_found() {
        let directory = tempfile::tempdir().expect("a directory");
        let (path, mut syslog) = unix(directory.path());
        assert!(matches!(syslog.deliver(&test()), Err(Fault::Away { .. })), "nobody listens");
        for _ in 0..2 {
            let socket = UnixDatagram::bind(&path).expect("binds");
            syslog.deliver(&test()).expect("is sent");
            let mut message = [0; 4096];
            let length = socket.recv(&mut message).expect("is received");
            assert!(message[..length].starts_with(b"<30>1 "));
            std::fs::remove_file(&path).expect("is there");
        }
    }

    #[test]
    fn a_stream_socket_is_written_by_lines() {
        let directory = tempfile::tempdir().expect("a directory");
        let (path, mut syslog) = unix(directory.path());
        let listener = UnixListener::bind(path).expect("binds");
        syslog.deliver(&test()).expect("is sent");
        syslog.deliver(&test()).expect("is sent");
        let (stream, _) = listener.accept().expect("connects");
        let lines = BufReader::new(stream).lines().take(2);
        assert!(lines.into_iter().all(|line| line.expect("reads").starts_with("<30>1 ")));
    }
}
