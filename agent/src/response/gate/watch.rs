//! The thread that answers for one container.

use std::{
    os::fd::OwnedFd,
    process,
    sync::{Arc, PoisonError, Weak},
    thread::{self, JoinHandle},
};

use anyhow::{Context as _, Result};
use crossbeam_channel::Sender;
use nix::{
    errno::Errno,
    sys::fanotify::{Fanotify, FanotifyEvent, FanotifyResponse, MaskFlags, Response},
};
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};

use super::{
    Denial,
    counts::{Counters, count},
    group::{self, Merged},
    judge::{Judge, Mounts, Verdict},
};
use crate::clock;

/// The thread's stack: the walk through the layers needs a few pages.
const STACK_BYTES: usize = 256 << 10;

/// A guarded container. Dropped, it is guarded no longer.
#[derive(Debug)]
pub(super) struct Watch {
    /// Owned by the thread alone, so that it goes with the thread however that ends: a group nobody
    /// reads would hold every program of the container for ever.
    group: Weak<Fanotify>,
    mounts: Mounts,
    stop: Arc<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Starts the thread; nothing is marked yet.
    pub(super) fn start(
        cgroup_id: u64,
        judge: Judge,
        report: Sender<Denial>,
        counters: Arc<Counters>,
    ) -> Result<Self> {
        let group = Arc::new(group::new()?);
        let stop = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let mut watch = Self {
            group: Arc::downgrade(&group),
            mounts: judge.mounts(),
            stop: Arc::clone(&stop),
            thread: None,
        };
        let mut gatekeeper = Gatekeeper { cgroup_id, group, judge, report, counters };
        let thread = thread::Builder::new()
            .name("exec-gate".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || gatekeeper.run(&stop))
            .context("starting the thread exec-gate")?;
        watch.thread = Some(thread);
        Ok(watch)
    }

    pub(super) fn mark_filesystem(&self, merged: &Merged) -> Result<()> {
        group::mark_filesystem(&*self.group()?, &merged.place)
    }

    /// Marks the mount with this number, at this place; its files have this layer code.
    pub(super) fn mark_mount(&self, place: &OwnedFd, mount: u64, code: u8) -> Result<()> {
        // First, lest a program is judged as one of the root file system.
        self.mounts.lock().unwrap_or_else(PoisonError::into_inner).insert(mount, code);
        group::mark_mount(&*self.group()?, place)
    }

    pub(super) fn is_alive(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    fn group(&self) -> Result<Arc<Fanotify>> {
        self.group.upgrade().context("the thread exec-gate has ended")
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // Fails only where it was told before, which serves as well.
        let _ = rustix::io::write(&*self.stop, &1u64.to_ne_bytes());
        if let Some(thread) = self.thread.take() {
            // A panic is the thread's end as well as any; it was reported where it happened.
            let _ = thread.join();
        }
    }
}

/// What the thread owns.
struct Gatekeeper {
    cgroup_id: u64,
    group: Arc<Fanotify>,
    judge: Judge,
    report: Sender<Denial>,
    counters: Arc<Counters>,
}

impl Gatekeeper {
    /// Answers until it is told to stop, or the group breaks down.
    fn run(&mut self, stop: &OwnedFd) {
        loop {
            let mut polled =
                [PollFd::new(&*self.group, PollFlags::IN), PollFd::new(stop, PollFlags::IN)];
            match poll(&mut polled, None) {
                Ok(_) => {}
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return tracing::error!(%error, "waiting for programs of a container"),
            }
            if !polled[1].revents().is_empty() {
                return;
            }
            match self.group.read_events() {
                Ok(events) => events.into_iter().for_each(|event| self.answer(event)),
                Err(Errno::EAGAIN | Errno::EINTR) => {}
                // Of this one file: the kernel found no descriptor for it, or could not open it,
                // and has refused it already.
                Err(_) => count(&self.counters.unread),
            }
        }
    }

    /// Answers one event; its file is closed at the end.
    fn answer(&mut self, event: FanotifyEvent) {
        let Some(file) = event.fd() else {
            if event.mask().contains(MaskFlags::FAN_Q_OVERFLOW) {
                count(&self.counters.overflowed);
            }
            return;
        };
        count(&self.counters.asked);
        let pid = event.pid().unsigned_abs();
        // The agent runs nothing of a container. If it ever did, this thread must not wait for that.
        let verdict = if pid == process::id() { Verdict::Allowed } else { self.judge.judge(file) };
        let response = match verdict {
            Verdict::Denied(..) => Response::FAN_DENY,
            Verdict::Allowed | Verdict::Untold => Response::FAN_ALLOW,
        };
        match self.group.write_response(FanotifyResponse::new(file, response)) {
            // Without an entry: who asked was killed meanwhile.
            Ok(()) | Err(Errno::ENOENT) => {}
            Err(_) => count(&self.counters.unanswered),
        }
        drop(event);
        self.tell(pid, verdict);
    }

    /// Counts and reports, once the answer is given.
    fn tell(&self, pid: u32, verdict: Verdict) {
        match verdict {
            Verdict::Allowed => {}
            Verdict::Untold => count(&self.counters.untold),
            Verdict::Denied(rule, path) => {
                count(&self.counters.denied);
                let at_boot_ns = clock::boot_ns();
                let denial = Denial { cgroup_id: self.cgroup_id, pid, rule, path, at_boot_ns };
                if self.report.try_send(denial).is_err() {
                    count(&self.counters.unreported);
                }
            }
        }
    }
}
