//! Waiting on a condition, with a deadline.

use std::{
    thread,
    time::{Duration, Instant},
};

/// How long an observation may take from the act to the answer of a query. Far more than it does:
/// a test fails here only where nothing comes.
pub const PATIENCE: Duration = Duration::from_secs(15);

const PAUSE: Duration = Duration::from_millis(50);

/// Asks until there is an answer or the time is over.
pub fn until<T>(limit: Duration, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(answer) = ask() {
            return Some(answer);
        }
        if Instant::now() >= deadline {
            return None;
        }
        thread::sleep(PAUSE);
    }
}

/// Asks until something holds.
///
/// # Panics
/// When it does not within [`PATIENCE`].
#[track_caller]
pub fn holds(what: &str, mut ask: impl FnMut() -> bool) {
    assert!(until(PATIENCE, || ask().then_some(())).is_some(), "not within {PATIENCE:?}: {what}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_ends_the_wait_and_so_does_the_deadline() {
        let mut asked = 0;
        let answer = until(PATIENCE, || {
            asked += 1;
            (asked == 3).then_some(asked)
        });
        assert_eq!(answer, Some(3));
        assert_eq!(until(Duration::ZERO, || None::<()>), None);
    }
}
