//! Waiting on a condition, with a deadline.

use std::{
    env,
    sync::OnceLock,
    thread,
    time::{Duration, Instant},
};

/// How long an observation may take from the act to the answer of a query. Far more than it does:
/// a test fails here only where nothing comes.
pub const PATIENCE: Duration = Duration::from_secs(15);

const PAUSE: Duration = Duration::from_millis(50);

/// By what the tester multiplies every limit, where the machine is slow: an emulated one.
const FACTOR: &str = "PLIMSOLL_TEST_PATIENCE";

/// A limit as it holds on this machine.
pub fn scaled(limit: Duration) -> Duration {
    limit * factor()
}

/// Whether the tester said that this machine is slow.
pub fn is_slow() -> bool {
    factor() > 1
}

fn factor() -> u32 {
    static KNOWN: OnceLock<u32> = OnceLock::new();
    *KNOWN.get_or_init(|| {
        let said = env::var(FACTOR).unwrap_or("1".to_owned());
        said.parse().unwrap_or_else(|_| panic!("{FACTOR} is {said:?}, which is no whole number"))
    })
}

/// Asks until there is an answer or the time, as it is [`scaled`], is over.
pub fn until<T>(limit: Duration, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + scaled(limit);
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
/// When it does not within [`PATIENCE`], as it is [`scaled`].
#[track_caller]
pub fn holds(what: &str, mut ask: impl FnMut() -> bool) {
    let holds = until(PATIENCE, || ask().then_some(())).is_some();
    assert!(holds, "not within {:?}: {what}", scaled(PATIENCE));
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
