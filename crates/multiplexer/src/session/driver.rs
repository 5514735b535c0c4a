//! The task that moves bytes between a session and its transport, and keeps the time.
//!
//! It alone touches the transport. Reading never waits on writing: each turn reads what is there, hands it to the
//! session, and writes what can be written.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::task::coop::poll_proceed;
use wavetank_runtime::{Instant, Runtime, Sleep as _};

use super::shared::{Shared, Wakes};
use crate::protocol::{State, Transmit, Transport};

/// Turns of one poll, before other tasks get theirs.
const TURNS_MAX: u32 = 32;

/// Bytes of the first reads. They grow as long as reads fill them.
const READ_BYTES_MIN: usize = 8 * 1024;

/// Inputs whose memory is used again once streams hold no part of them.
const SPARES_MAX: usize = 7;

/// Drives one session to its end.
pub(super) struct Driver<R, S>
where
    R: Runtime,
    S: AsyncRead + AsyncWrite + Unpin,
{
    shared: Arc<Shared<R>>,
    transport: S,
    input: BytesMut,
    /// Earlier inputs, which streams may hold parts of.
    spares: VecDeque<BytesMut>,
    read_bytes: usize,
    read_bytes_max: usize,
    transmit: Transmit,
    /// What the transport has taken, and the session does not know of yet.
    written: usize,
    /// The transport has taken less than there was.
    full: bool,
    unflushed: bool,
    shut_down: bool,
    write_error: Option<io::Error>,
    timer: Option<Pin<Box<R::Sleep>>>,
    wakes: Wakes,
    /// What the session said when it was last looked at: when it has something to do by the clock.
    deadline: Option<Instant>,
    /// The same: it waits for what the transport takes.
    is_watched: bool,
    /// The same: the writing direction is to be ended.
    wants_shut_down: bool,
}

/// What a turn led to.
enum Next {
    /// The session is over.
    End,
    /// There may be more to do at once. `look`: the session has something to be told, also if nothing more has come.
    Again { look: bool },
    /// Other tasks are to run first.
    Yield,
    /// There is nothing to do before this time, unless the driver is woken.
    Sleep(Option<Instant>),
}

impl<R, S> Driver<R, S>
where
    R: Runtime,
    S: AsyncRead + AsyncWrite + Unpin,
{
    pub(super) fn new(shared: Arc<Shared<R>>, transport: S, read_bytes_max: usize) -> Self {
        let read_bytes_max = read_bytes_max.max(1024);
        Self {
            shared,
            transport,
            input: BytesMut::new(),
            spares: VecDeque::new(),
            read_bytes: READ_BYTES_MIN.min(read_bytes_max),
            read_bytes_max,
            transmit: Transmit::new(),
            written: 0,
            full: false,
            unflushed: false,
            shut_down: false,
            write_error: None,
            timer: None,
            wakes: Wakes::default(),
            deadline: None,
            is_watched: false,
            wants_shut_down: false,
        }
    }

    /// Reads, exchanges with the session, and writes. Without `look` it ends after a read that brought nothing: the
    /// session has been looked at since the driver was woken, and wakes it for what changes.
    fn turn(&mut self, look: bool, context: &mut Context<'_>) -> Next {
        let read = self.read(context);
        let came = read.is_ready();
        if !came && !look {
            return Next::Sleep(self.deadline);
        }
        let next = self.exchange(read, context);
        self.wakes.run();
        if matches!(next, Next::End) {
            return next;
        }
        let was_full = self.full;
        let wrote = self.write(context);
        // Otherwise the next turn reports what was written. Nothing waits for it.
        let look = wrote && (self.is_watched || self.full || was_full || self.write_error.is_some());
        match next {
            Next::Again { look: also } => Next::Again { look: look || also },
            next if came || look => Next::Again { look: look || matches!(next, Next::Yield) },
            next => next,
        }
    }

    /// Reads what is there into the input. `Pending`: nothing.
    fn read(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.prepare_input();
        let room = self.input.capacity() - self.input.len();
        let count = ready!(pin!(self.transport.read_buf(&mut self.input)).poll(context))?;
        if count == room {
            self.read_bytes = (self.read_bytes * 2).min(self.read_bytes_max);
        }
        Poll::Ready(Ok(count))
    }

    /// Makes room for a read, in memory that was used before if streams hold no part of it any more.
    #[inline]
    fn prepare_input(&mut self) {
        if self.input.capacity() >= self.read_bytes || self.input.try_reclaim(self.read_bytes) {
            return;
        }
        if self.spares.len() == SPARES_MAX
            && let Some(mut oldest) = self.spares.pop_front()
            && oldest.try_reclaim(self.read_bytes)
        {
            self.spares.push_back(std::mem::replace(&mut self.input, oldest));
            return;
        }
        let fresh = BytesMut::with_capacity(self.read_bytes);
        self.spares.push_back(std::mem::replace(&mut self.input, fresh));
    }

    /// Tells the session what has happened, and takes what is to be written.
    fn exchange(&mut self, read: Poll<io::Result<usize>>, context: &mut Context<'_>) -> Next {
        let shared = Arc::clone(&self.shared);
        let now = shared.runtime.now();
        let mut state = shared.lock();
        let connection = &mut state.connection;
        let mut moved = read.is_ready();
        if self.written > 0 {
            // Where writing has failed, the rest of the transmit was dropped.
            let all = self.transmit.is_empty() && self.write_error.is_none();
            connection.output_written(std::mem::take(&mut self.written), all, now);
        }
        if self.full {
            connection.transport_full(now);
        }
        if let Some(error) = self.write_error.take() {
            connection.write_failed(&error, now);
        }
        match read {
            Poll::Pending => {}
            Poll::Ready(Ok(0)) => connection.end_of_input(now),
            Poll::Ready(Ok(_)) => connection.receive(&mut self.input, now),
            Poll::Ready(Err(error)) => connection.transport_failed(&error, now),
        }
        let is_due = connection.deadline().is_some_and(|deadline| deadline <= now);
        if is_due {
            connection.handle_deadline(now);
        }
        if self.transmit.is_empty() {
            moved |= connection.take_output(&mut self.transmit, now);
        }
        self.deadline = connection.deadline();
        self.is_watched = connection.awaits_transport();
        self.wants_shut_down = connection.transport() == Transport::ShutDown;
        let next = if connection.state() == State::Closed {
            Next::End
        } else if is_due {
            Next::Again { look: true }
        } else if connection.has_waiting_writers() && !moved {
            connection.wake_writers();
            Next::Yield
        } else {
            Next::Sleep(self.deadline)
        };
        state.timer = self.deadline;
        state.register_driver(context.waker());
        state.settle_for_driver(&mut self.wakes);
        next
    }

    /// Writes what can be written. Returns whether the transport took anything.
    fn write(&mut self, context: &mut Context<'_>) -> bool {
        let before = self.written;
        while !self.transmit.is_empty() {
            let in_two = self.transmit.first().len() < self.transmit.len();
            let result = if in_two && self.transport.is_write_vectored() {
                Pin::new(&mut self.transport).poll_write_vectored(context, &self.transmit.slices())
            } else {
                Pin::new(&mut self.transport).poll_write(context, self.transmit.first())
            };
            let result = match result {
                Poll::Ready(Ok(0)) => Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(result) => result,
                Poll::Pending => {
                    let was_full = std::mem::replace(&mut self.full, true);
                    return self.written > before || !was_full;
                }
            };
            match result {
                Ok(count) => {
                    self.transmit.advance(count);
                    self.written += count;
                    self.unflushed = true;
                }
                Err(error) => return self.fail_writing(error),
            }
        }
        self.full = false;
        if self.unflushed {
            match Pin::new(&mut self.transport).poll_flush(context) {
                Poll::Pending => {}
                Poll::Ready(Ok(())) => self.unflushed = false,
                Poll::Ready(Err(error)) => return self.fail_writing(error),
            }
        }
        if self.wants_shut_down && !self.shut_down && !self.unflushed && self.written == 0 {
            match Pin::new(&mut self.transport).poll_shutdown(context) {
                Poll::Pending => {}
                // A transport that cannot be shut down has gone, and reading tells that, too.
                Poll::Ready(_) => self.shut_down = true,
            }
        }
        self.written > before
    }

    fn fail_writing(&mut self, error: io::Error) -> bool {
        self.transmit = Transmit::new();
        self.full = false;
        self.unflushed = false;
        self.shut_down = true;
        self.write_error = Some(error);
        true
    }

    /// Whether the time has come already.
    fn poll_timer(&mut self, deadline: Instant, context: &mut Context<'_>) -> Poll<()> {
        let timer = self.timer.get_or_insert_with(|| Box::pin(self.shared.runtime.sleep_until(deadline)));
        if timer.deadline() != deadline {
            timer.as_mut().reset(deadline);
        }
        timer.as_mut().poll(context)
    }
}

impl<R, S> Future for Driver<R, S>
where
    R: Runtime,
    S: AsyncRead + AsyncWrite + Unpin,
{
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        let mut look = true;
        for _ in 0..TURNS_MAX {
            // Spends the budget that tokio gives each task.
            let budget = ready!(poll_proceed(context));
            budget.made_progress();
            match this.turn(look, context) {
                Next::End => return Poll::Ready(()),
                Next::Again { look: again } => look = again,
                Next::Yield => break,
                Next::Sleep(None) => return Poll::Pending,
                Next::Sleep(Some(deadline)) => {
                    if this.poll_timer(deadline, context).is_pending() {
                        return Poll::Pending;
                    }
                    look = true;
                }
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<R, S> Drop for Driver<R, S>
where
    R: Runtime,
    S: AsyncRead + AsyncWrite + Unpin,
{
    /// Where the runtime drops its tasks, the session has nothing any more that could end it properly.
    fn drop(&mut self) {
        self.shared.with(|state| state.connection.driver_dropped());
    }
}
