//! What to do about a failure, where that can be said.

use std::io;

use super::exit::{Exit, Failure};

/// The next thing to try.
pub(super) fn of(failure: &Failure) -> Option<&'static str> {
    let is_denied = failure.error.chain().any(|cause| {
        let kind = cause.downcast_ref::<io::Error>().map(io::Error::kind);
        kind == Some(io::ErrorKind::PermissionDenied)
    });
    match failure.exit {
        Exit::Environment if is_denied => Some("run this as root"),
        Exit::Environment => Some("`plimsoll check` tells what this host lacks, and the remedy"),
        Exit::Unreachable => Some(
            "start the agent with `plimsoll run`, name its --socket, or read its store with --data-dir",
        ),
        Exit::Done | Exit::Findings | Exit::Usage => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_denied_calls_for_root() {
        let denied = io::Error::from(io::ErrorKind::PermissionDenied);
        let denied = anyhow::Error::from(denied).context("reading the configuration");
        assert_eq!(of(&Failure::environment(denied)), Some("run this as root"));
        let other = Failure::environment(anyhow::anyhow!("no BTF"));
        assert!(of(&other).is_some_and(|hint| hint.contains("check")));
        assert_eq!(of(&Failure::usage(anyhow::anyhow!("no such kind"))), None);
    }
}
