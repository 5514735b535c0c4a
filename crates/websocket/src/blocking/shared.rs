//! What the handles and the two threads of a connection share: one protocol state behind one lock, and the threads
//! that wait.
//!
//! # Invariants
//!
//! - Nothing blocks while it holds the lock: reads and writes of the stream happen outside it.
//! - A thread that changes the state calls [`Shared::settle`] before it gives the lock back. `settle` alone wakes
//!   others, and derives from the state which: no change can forget a waiter, and no thread wakes before the change
//!   is made. So the outcome is known before any thread can see that the connection is over.
//! - The writer thread alone keeps the time, and is never blocked beyond a deadline: it sleeps until the next one,
//!   and what it writes has a timeout that ends with it, after the close timeout at most. The deadlines that others
//!   bring about (a caller that closes, the reader that was sent a Close frame) are at least the close timeout ahead,
//!   so that a write which began before does not outlast them.
//! - The write permit is the right to write to the stream, the read permit the right to read from it. Each is either
//!   in the state or with one thread.
//! - Whenever the lock is free and the session wants to read, a thread reads, or the reader thread will,
//!   [`LINGER`](super::reading::LINGER) from now at the latest.

use std::io;
use std::net::Shutdown;
use std::time::Duration;

use wavetank_runtime::MutexGuard;
use wavetank_runtime::{Condvar, Instant, Mutex, Threads};

use super::reading::ReadPermit;
use super::wire::BoxWire;
use crate::protocol::{self, Transport};
use crate::session::Session;
use crate::{Closed, Error};

/// A connection, as its handles and threads see it.
pub(super) struct Shared<T: Threads> {
    pub(super) threads: T,
    state: Mutex<T, State>,
    /// Waits: the one caller that receives.
    pub(super) arrivals: Condvar<T>,
    /// Wait: callers that want to send a message, for room or for the end of another's streamed message; and those that
    /// want to send a ping, for room.
    pub(super) room: Condvar<T>,
    /// Waits: the caller that sends a message in pieces, for room for the next one. Apart from `room`, where no
    /// thread may go on before that message has ended.
    pub(super) room_for_piece: Condvar<T>,
    /// Wait: callers that want a pong or the end.
    pub(super) progress: Condvar<T>,
    /// Waits: the writer thread, for work.
    pub(super) work: Condvar<T>,
    /// Waits: the reader thread, while it shall not read, or leaves that to callers.
    pub(super) intake: Condvar<T>,
}

/// What the lock guards.
pub(super) struct State {
    pub(super) session: Session,
    /// `None` while a thread writes, and after the end.
    pub(super) write_permit: Option<WritePermit>,
    /// `None` while a thread reads, and after the end.
    pub(super) read_permit: Option<ReadPermit>,
    /// The failure of a read while a thread was writing what may be our Close frame. Whether that was written must be
    /// known first.
    pub(super) read_error: Option<io::Error>,
    /// Ends the reads and writes of the threads. `None` once that has happened.
    control: Option<BoxWire>,
    half_closed: bool,
    /// Writing has failed.
    unwritable: bool,
    /// Bytes of the connection's output that were written since the opening (as they are before TLS).
    pub(super) written: u64,
    /// When the stream last took bytes: senders that wait for room measure their timeout from here.
    pub(super) taken_at: Instant,
    /// How long a write waits at most for a stream that takes nothing, before it says so.
    pub(super) write_step_max: Duration,
    /// Whether a read has brought something since others were woken.
    pub(super) fresh: bool,
    /// Every handle is gone: what is received is discarded.
    pub(super) abandoned: bool,
    /// Whether a caller is receiving.
    pub(super) receiving: bool,
    /// Whether that caller waits for what another thread reads, and has not been woken yet.
    pub(super) awaits_arrival: bool,
    /// Whether a caller has read, or was given something to receive, since the reader thread has begun its last read.
    pub(super) left_to_callers: bool,
    /// When the last read ended.
    pub(super) read_at: Instant,
    /// Whether a caller sends a message in pieces.
    pub(super) streaming: bool,
    /// Whether a caller compresses, without the lock, what it sends next.
    pub(super) deflating: bool,
    pub(super) waiting_for_room: usize,
    /// Pings that wait for room, which do not mind a message that is sent in pieces.
    pub(super) pings_waiting_for_room: usize,
    /// Where what [`feed`](super::WebSocket::feed) left in the write buffer ends, as in `end_of_output`.
    pub(super) fed_until: u64,
    /// Whether the caller that sends a message in pieces waits for room.
    pub(super) piece_waits: bool,
    pub(super) waiting_for_progress: usize,
    pub(super) writer: Writer,
    pub(super) reader: Reader,
}

/// What the writer thread does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Writer {
    Busy,
    /// Waits for work, at most until the given time.
    Rests(Option<Instant>),
}

/// What the reader thread does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reader {
    Busy,
    /// Does not read, at most until the given time.
    Rests(Option<Instant>),
}

/// The right to write, and what writing needs.
pub(super) struct WritePermit {
    pub(super) wire: BoxWire,
    /// What is being written: the state may be changed by others meanwhile.
    pub(super) chunk: Vec<u8>,
    /// The write timeout that the stream has.
    pub(super) timeout: Option<Duration>,
    /// How long the next write waits for room: twice as long after each that took nothing.
    pub(super) step: Duration,
}

/// How long a write waits at most: what the stream takes meanwhile is known only afterwards, and is a sign of life.
fn write_step_max(keepalive_timeout: Option<Duration>, close_timeout: Duration) -> Duration {
    let longest = close_timeout.min(Duration::from_secs(1));
    keepalive_timeout.map_or(longest, |timeout| longest.min(timeout / 16)).max(Duration::from_millis(1))
}

pub(super) type Guard<'a, T> = MutexGuard<'a, T, State>;

impl<T: Threads> Shared<T> {
    pub(super) fn new(
        threads: T,
        session: Session,
        writing: BoxWire,
        control: BoxWire,
        close_timeout: Duration,
    ) -> Self {
        let write_step_max = write_step_max(session.connection().keepalive_timeout(), close_timeout);
        let state = State {
            session,
            write_permit: Some(WritePermit::new(writing, write_step_max)),
            // The reader thread brings it.
            read_permit: None,
            read_error: None,
            control: Some(control),
            half_closed: false,
            unwritable: false,
            written: 0,
            taken_at: threads.now(),
            write_step_max,
            fresh: false,
            abandoned: false,
            receiving: false,
            awaits_arrival: false,
            left_to_callers: false,
            read_at: threads.now(),
            streaming: false,
            deflating: false,
            waiting_for_room: 0,
            pings_waiting_for_room: 0,
            fed_until: 0,
            piece_waits: false,
            waiting_for_progress: 0,
            writer: Writer::Busy,
            reader: Reader::Busy,
        };
        Self {
            state: Mutex::new(&threads, "websocket", state),
            arrivals: Condvar::new(&threads, "arrivals"),
            room: Condvar::new(&threads, "room"),
            room_for_piece: Condvar::new(&threads, "room for a piece"),
            progress: Condvar::new(&threads, "progress"),
            work: Condvar::new(&threads, "work"),
            intake: Condvar::new(&threads, "intake"),
            threads,
        }
    }

    pub(super) fn lock(&self) -> Guard<'_, T> {
        self.state.lock()
    }

    /// Goes on with input that was left because enough was inflated at once, and lets others have the lock before and
    /// after that.
    pub(super) fn go_on<'a>(&'a self, mut guard: Guard<'a, T>) -> Guard<'a, T> {
        self.settle(&mut guard);
        drop(guard);
        guard = self.lock();
        guard.catch_up(|| self.threads.now());
        guard
    }

    /// Does to the stream what the state asks for, and wakes the threads that wait for what the state has become.
    pub(super) fn settle(&self, state: &mut State) {
        state.drive_transport();
        let over = state.closed().is_some();
        let fresh = std::mem::take(&mut state.fresh);
        if state.awaits_arrival && (over || fresh) {
            state.awaits_arrival = false;
            state.left_to_callers = true;
            self.arrivals.notify_all();
        }
        if state.waiting_for_progress > 0 && (over || fresh) {
            self.progress.notify_all();
        }
        let ping_can_go = state.pings_waiting_for_room > 0 && !state.must_wait_for_room();
        if ping_can_go || state.waiting_for_room > 0 && !state.must_wait_to_send() {
            self.room.notify_all();
        }
        if state.piece_waits && !state.must_wait_for_room() {
            self.room_for_piece.notify_all();
        }
        if let Writer::Rests(until) = state.writer
            && (over || state.can_write() || is_earlier(state.deadline(), until))
        {
            self.work.notify_all();
        }
        if let Reader::Rests(until) = state.reader
            && (over
                || state.has_input_left() && !state.receiving
                || state.can_read() && state.wants_reader(until))
        {
            self.intake.notify_all();
        }
    }

    /// Gives the lock back and waits, at most until `deadline`.
    pub(super) fn wait<'a>(
        &self,
        condvar: &Condvar<T>,
        guard: Guard<'a, T>,
        deadline: Option<Instant>,
    ) -> Guard<'a, T> {
        let Some(deadline) = deadline else { return condvar.wait(guard) };
        match deadline - self.threads.now() {
            Duration::ZERO => guard,
            left => condvar.wait_timeout(guard, left).0,
        }
    }

    /// Waits for the end of the connection, until `deadline` at most.
    pub(super) fn wait_closed(
        &self,
        mut guard: Guard<'_, T>,
        deadline: Option<Instant>,
    ) -> Result<Closed, Error> {
        loop {
            if let Some(closed) = guard.closed() {
                return Ok(closed.clone());
            }
            if deadline.is_some_and(|deadline| deadline <= self.threads.now()) {
                return Err(Error::TimedOut);
            }
            guard = self.wait_for_progress(guard, deadline);
        }
    }

    /// Waits for a pong, or the end, or `deadline`.
    pub(super) fn wait_for_progress<'a>(
        &self,
        mut guard: Guard<'a, T>,
        deadline: Option<Instant>,
    ) -> Guard<'a, T> {
        guard.waiting_for_progress += 1;
        self.settle(&mut guard);
        guard = self.wait(&self.progress, guard, deadline);
        guard.waiting_for_progress -= 1;
        guard
    }
}

impl State {
    pub(super) fn closed(&self) -> Option<&Closed> {
        self.session.connection().closed()
    }

    /// Whether the stream is of no use any more: the connection is over, and nothing is left to be waited for.
    pub(super) fn is_gone(&self) -> bool {
        self.session.transport() == Transport::Drop
    }

    pub(super) fn is_open(&self) -> bool {
        self.session.connection().state() == protocol::State::Open
    }

    /// Returns `true` if there is something to write, and no thread writes.
    pub(super) fn can_write(&mut self) -> bool {
        self.write_permit.is_some() && self.has_output()
    }

    pub(super) fn has_output(&mut self) -> bool {
        !self.unwritable && !self.is_gone() && !self.session.output().is_empty()
    }

    /// Whether what is not written yet never will be.
    pub(super) fn is_lost(&self) -> bool {
        self.unwritable || self.closed().is_some()
    }

    /// Where the connection's output ends now, for [`is_written`](Self::is_written).
    pub(super) fn end_of_output(&self) -> u64 {
        self.written + self.session.connection().output().len() as u64
    }

    /// Whether everything up to `end` has been written.
    pub(super) fn is_written(&self, end: u64) -> bool {
        self.written >= end
    }

    /// The first `count` bytes of the session's output are written.
    pub(super) fn output_written(&mut self, count: usize, now: Instant) {
        // TLS puts whole records on the wire: what they contain counts once they are out.
        let before = self.session.connection().output().len();
        self.session.output_written(count, &|| now);
        self.taken_at = now;
        let after = self.session.connection().output().len();
        self.written += before.saturating_sub(after) as u64;
    }

    /// Whether there is input that needs no read.
    pub(super) fn has_input_left(&self) -> bool {
        self.session.connection().has_input_left()
    }

    /// Whether a caller that sends has to wait. It need not once the connection is closing: the call returns an error.
    pub(super) fn must_wait_to_send(&self) -> bool {
        self.is_open()
            && (self.streaming || self.deflating || self.session.connection().write_buffer_is_full())
    }

    /// Whether a caller that sends a message in pieces has to wait before the next one.
    pub(super) fn must_wait_for_room(&self) -> bool {
        self.is_open() && self.session.connection().write_buffer_is_full()
    }

    /// When the writer thread has something to do by the clock.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.session.deadline()
    }

    /// Discards what is received from now on, because every handle is gone.
    pub(super) fn abandon(&mut self) {
        self.abandoned = true;
        self.discard();
    }

    pub(super) fn discard(&mut self) {
        while self.session.connection_mut().recv_fragment().is_some() {}
    }

    /// Whether the reader thread, which rests until `until`, is to be woken, as there is something to be read for.
    fn wants_reader(&self, until: Option<Instant>) -> bool {
        match until {
            // The caller that is receiving reads, or waits for the thread to do it.
            None => !self.receiving || self.awaits_arrival,
            Some(until) => self.needs_reader(until),
        }
    }

    /// Writing failed for good. What the peer sent before may still be unread, a Close frame even: the reader comes to
    /// its end first, within the close timeout.
    pub(super) fn writing_failed(&mut self, error: &io::Error, now: Instant) {
        self.unwritable = true;
        self.session.write_failed(error, now);
    }

    /// Does to the stream what [`Transport`] says, each once.
    fn drive_transport(&mut self) {
        let over = self.is_gone();
        match self.session.transport() {
            Transport::Open => {}
            Transport::ShutDown => {
                if !self.half_closed
                    && !over
                    && self.write_permit.is_some()
                    && self.session.output().is_empty()
                {
                    self.half_closed = true;
                    if let Some(control) = &self.control {
                        // It fails only if the connection is gone, which the reader notices as well.
                        let _gone = control.shutdown(Shutdown::Write);
                    }
                }
            }
            Transport::Drop => {}
        }
        if over {
            // Frees the threads that are in a read or a write. What is not in use closes here, and the rest with its
            // thread.
            if let Some(control) = self.control.take() {
                let _gone = control.shutdown(Shutdown::Both);
            }
            self.write_permit = None;
            self.read_permit = None;
        }
    }
}

/// Whether `deadline` comes before `planned`.
fn is_earlier(deadline: Option<Instant>, planned: Option<Instant>) -> bool {
    match (deadline, planned) {
        (Some(deadline), Some(planned)) => deadline < planned,
        (deadline, _) => deadline.is_some() && planned.is_none(),
    }
}
