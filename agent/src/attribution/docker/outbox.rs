//! Notices on their way to a receiver that may be slow, without waiting for it.

use std::collections::VecDeque;

use crossbeam_channel::{Sender, TrySendError};

use super::Notice;

/// Notices that wait at most.
const ROOM: usize = 16_384;

/// A bounded queue before the channel.
pub(super) struct Outbox {
    tell: Sender<Notice>,
    /// Called after notices went into the channel.
    wake: Box<dyn Fn() + Send>,
    waiting: VecDeque<Notice>,
    lost: u64,
    is_closed: bool,
}

impl Outbox {
    pub(super) fn new(tell: Sender<Notice>, wake: impl Fn() + Send + 'static) -> Self {
        let wake = Box::new(wake);
        Self { tell, wake, waiting: VecDeque::new(), lost: 0, is_closed: false }
    }

    /// Whether nobody listens any more.
    pub(super) fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// Whether something waits for room in the channel.
    pub(super) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Sends a notice, now or later. One that finds no room is counted, and the count is sent.
    pub(super) fn push(&mut self, notice: Notice) {
        if self.waiting.len() >= ROOM {
            self.lost += 1;
            return;
        }
        if self.lost > 0 {
            self.waiting.push_back(Notice::Lost { count: std::mem::take(&mut self.lost) });
        }
        self.waiting.push_back(notice);
        self.flush();
    }

    /// Sends what waits, as far as there is room.
    pub(super) fn flush(&mut self) {
        while let Some(notice) = self.next() {
            match self.tell.try_send(notice) {
                Ok(()) => (self.wake)(),
                Err(TrySendError::Full(notice)) => {
                    self.waiting.push_front(notice);
                    return;
                }
                Err(TrySendError::Disconnected(_)) => {
                    self.is_closed = true;
                    return;
                }
            }
        }
    }

    fn next(&mut self) -> Option<Notice> {
        self.waiting.pop_front().or_else(|| {
            let count = std::mem::take(&mut self.lost);
            (count > 0).then_some(Notice::Lost { count })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gone(number: usize) -> Notice {
        Notice::Gone { id: number.to_string() }
    }

    #[test]
    fn a_slow_receiver_gets_everything_in_order() {
        let (tell, hear) = crossbeam_channel::bounded(1);
        let mut outbox = Outbox::new(tell, || {});
        (0..3).for_each(|number| outbox.push(gone(number)));
        for number in 0..3 {
            assert_eq!(hear.recv(), Ok(gone(number)));
            outbox.flush();
        }
        assert!(!outbox.is_waiting());
    }

    #[test]
    fn what_finds_no_room_is_counted_and_told() {
        let (tell, hear) = crossbeam_channel::bounded(1);
        let mut outbox = Outbox::new(tell, || {});
        (0..ROOM + 3).for_each(|number| outbox.push(gone(number)));
        let mut heard = Vec::new();
        while let Ok(notice) = hear.try_recv() {
            heard.push(notice);
            outbox.flush();
        }
        assert_eq!(heard.last(), Some(&Notice::Lost { count: 2 }));
        assert_eq!(heard.len(), ROOM + 2);
    }

    #[test]
    fn a_closed_channel_is_noticed() {
        let (tell, hear) = crossbeam_channel::bounded(1);
        drop(hear);
        let mut outbox = Outbox::new(tell, || {});
        outbox.push(gone(0));
        assert!(outbox.is_closed());
    }
}
