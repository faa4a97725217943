//! Standard output, for results only.

use std::{
    error::Error,
    fmt,
    io::{self, BufWriter, ErrorKind, StdoutLock, Write},
};

/// Nobody reads standard output any more.
#[derive(Debug)]
struct Closed;

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("standard output is closed")
    }
}

impl Error for Closed {}

/// Standard output, locked and buffered. A reader that went away is told apart from every other
/// broken pipe: see [`is_closed`].
pub struct Output(BufWriter<StdoutLock<'static>>);

/// Standard output.
pub fn stdout() -> Output {
    Output(BufWriter::new(io::stdout().lock()))
}

/// Standard output for who may write from any thread: not locked, not buffered.
pub struct Shared(io::Stdout);

/// See [`Shared`].
pub fn shared_stdout() -> Shared {
    Shared(io::stdout())
}

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        mark(self.0.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        mark(self.0.flush())
    }
}

/// Whether an error only says that nobody reads standard output any more.
pub fn is_closed(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let inner = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        inner.and_then(|inner| inner.downcast_ref::<Closed>()).is_some()
    })
}

fn mark<T>(result: io::Result<T>) -> io::Result<T> {
    let is_broken = |error: &io::Error| error.kind() == ErrorKind::BrokenPipe;
    result.map_err(|error| {
        if is_broken(&error) { io::Error::new(ErrorKind::BrokenPipe, Closed) } else { error }
    })
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        mark(self.0.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        mark(self.0.flush())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_pipe_of_standard_output_ends_quietly() {
        let broken = || io::Error::from(ErrorKind::BrokenPipe);
        let marked = mark::<()>(Err(broken())).expect_err("stays an error");
        assert!(is_closed(&anyhow::Error::from(marked).context("writing the table")));
        assert!(!is_closed(&anyhow::Error::from(broken()).context("asking the agent")));
        let other = mark::<()>(Err(ErrorKind::StorageFull.into())).expect_err("stays an error");
        assert!(!is_closed(&other.into()));
    }
}
