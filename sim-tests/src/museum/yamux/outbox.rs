//! The queue of frames for the thread that writes them: the original's `sendCh`.
//!
//! # Invariants
//!
//! - Whole frames are written in the order in which they were queued.
//! - A frame stays queued when its sender gives up waiting, as in the original.

use std::collections::VecDeque;
use std::time::Duration;

use wavetank_runtime::MutexGuard;
use wavetank_runtime::{Condvar, Instant, Mutex, Threads};

use super::Error;
use super::frame::Frame;

/// The number of frames that may wait to be written.
const CAPACITY: usize = 64;

pub(super) struct Outbox<R: Threads> {
    runtime: R,
    /// How long a sender waits (`ConnectionWriteTimeout`).
    timeout: Duration,
    queue: Mutex<R, Queue>,
    queued: Condvar<R>,
    written: Condvar<R>,
}

#[derive(Debug, Default)]
struct Queue {
    frames: VecDeque<Frame>,
    /// The numbers of frames queued and written so far.
    queued: u64,
    written: u64,
    shut: bool,
}

impl<R: Threads> Outbox<R> {
    pub(super) fn new(runtime: &R, timeout: Duration) -> Self {
        Self {
            runtime: runtime.clone(),
            timeout,
            queue: Mutex::new(runtime, "send queue", Queue::default()),
            queued: Condvar::new(runtime, "frame queued"),
            written: Condvar::new(runtime, "frame written"),
        }
    }

    /// Queues a frame and waits until it was written: `waitForSendErr`.
    pub(super) fn send(&self, frame: Frame) -> Result<(), Error> {
        let deadline = self.runtime.now() + self.timeout;
        let (mut queue, ticket) = self.push(frame, deadline)?;
        while queue.written < ticket {
            queue = self.wait(queue, deadline)?;
        }
        Ok(())
    }

    /// Queues a frame and waits only for a place in the queue: `sendNoWait`.
    pub(super) fn send_no_wait(&self, frame: Frame) -> Result<(), Error> {
        self.push(frame, self.runtime.now() + self.timeout).map(|_| ())
    }

    fn push(&self, frame: Frame, deadline: Instant) -> Result<(MutexGuard<'_, R, Queue>, u64), Error> {
        let mut queue = self.queue.lock();
        while queue.frames.len() >= CAPACITY {
            queue = self.wait(queue, deadline)?;
        }
        if queue.shut {
            return Err(Error::SessionShutdown);
        }
        queue.frames.push_back(frame);
        queue.queued += 1;
        let ticket = queue.queued;
        self.queued.notify_one();
        Ok((queue, ticket))
    }

    /// Waits for progress of the writing thread.
    fn wait<'a>(
        &self,
        queue: MutexGuard<'a, R, Queue>,
        deadline: Instant,
    ) -> Result<MutexGuard<'a, R, Queue>, Error> {
        if queue.shut {
            return Err(Error::SessionShutdown);
        }
        let left = deadline - self.runtime.now();
        if left.is_zero() {
            return Err(Error::ConnectionWriteTimeout);
        }
        Ok(self.written.wait_timeout(queue, left).0)
    }

    /// Waits for a frame to write. Returns `None` after the session has ended.
    pub(super) fn next(&self) -> Option<Frame> {
        let mut queue = self.queue.lock();
        loop {
            if queue.shut {
                return None;
            }
            if let Some(frame) = queue.frames.pop_front() {
                return Some(frame);
            }
            queue = self.queued.wait(queue);
        }
    }

    /// Marks the last frame as written and wakes its sender.
    pub(super) fn note_written(&self) {
        self.queue.lock().written += 1;
        self.written.notify_all();
    }

    /// Ends all waits.
    pub(super) fn shut(&self) {
        self.queue.lock().shut = true;
        self.queued.notify_all();
        self.written.notify_all();
    }
}
