//! What to do about a failure, where that can be said.

use std::io;

use super::exit::{Exit, Failure};

const CHECK: &str = "`plimsoll check` tells what this host lacks, and the remedy";

/// The next thing to try.
pub(super) fn of(failure: &Failure) -> Option<&'static str> {
    match failure.exit {
        Exit::Environment => Some(of_cause(cause(&failure.error))),
        Exit::Unreachable => Some(
            "start the agent with `plimsoll run`, name its --socket, or read its store with --data-dir",
        ),
        Exit::Done | Exit::Findings | Exit::Usage => None,
    }
}

/// What the system said, if it was asked.
fn cause(error: &anyhow::Error) -> Option<io::ErrorKind> {
    error.chain().find_map(|cause| cause.downcast_ref::<io::Error>()).map(io::Error::kind)
}

fn of_cause(cause: Option<io::ErrorKind>) -> &'static str {
    match cause {
        Some(io::ErrorKind::PermissionDenied) => "run this as root",
        Some(io::ErrorKind::AddrInUse) => {
            "end what has it, or give this agent --socket, --metrics-listen and --data-dir of its own"
        }
        Some(io::ErrorKind::NotFound) => "see whether that path is the one that is meant",
        _ => CHECK,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hint(kind: io::ErrorKind) -> Option<&'static str> {
        let error = anyhow::Error::from(io::Error::from(kind)).context("reading the store");
        of(&Failure::environment(error))
    }

    #[test]
    fn what_the_system_said_decides() {
        assert_eq!(hint(io::ErrorKind::PermissionDenied), Some("run this as root"));
        assert!(hint(io::ErrorKind::AddrInUse).is_some_and(|hint| hint.contains("--socket")));
        assert!(hint(io::ErrorKind::NotFound).is_some_and(|hint| hint.contains("path")));
        assert_eq!(hint(io::ErrorKind::InvalidData), Some(CHECK));
    }

    #[test]
    fn what_the_system_was_not_asked_calls_for_a_check() {
        assert_eq!(of(&Failure::environment(anyhow::anyhow!("no BTF"))), Some(CHECK));
        assert_eq!(of(&Failure::usage(anyhow::anyhow!("no such kind"))), None);
    }
}
