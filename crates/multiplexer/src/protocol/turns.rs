//! Whose turn it is to write: deficit round-robin between streams.
//!
//! Writers put their frames straight into the output, one copy and no queue. When the output is full, or others wait,
//! they wait for a turn. Each turn is worth `quantum` bytes, or more if few streams share the room of a round; what a
//! turn did not use up is kept until the stream waits again. A *round* is the time between two takings of the output
//! by the driver.
//!
//! A stream that does not wait may write a little in each round ahead of those that do ([`FRESH_BYTES`]), so that a
//! stream of few small messages is not held up by bulk streams, and cannot hold them up either.
//!
//! # Invariants
//!
//! - A stream is in the queue at most once, and only while its turn is [`Turn::Waiting`].
//! - While a stream waits, the output is not empty, or [`Turns::is_waiting`] tells the driver to call again: a writer
//!   that was woken and does not come blocks no other.

use std::collections::VecDeque;

/// What a stream may write in a round without waiting while others do.
pub(crate) const FRESH_BYTES: u32 = 2 * 1024;

/// Frames of a stream that writes alone, in bytes.
pub(crate) const ALONE_BYTES: u32 = 64 * 1024;

/// Where a stream stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Turn {
    /// It does not wait.
    #[default]
    Idle,
    /// It is in the queue.
    Waiting,
    /// It was woken.
    Woken,
}

/// A stream's part.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Share {
    pub(crate) turn: Turn,
    /// Woken: what is left of its turn. Idle: what it has written in `round`.
    amount: u32,
    round: u32,
}

/// The streams that wait to write.
#[derive(Debug)]
pub(crate) struct Turns {
    queue: VecDeque<u32>,
    quantum: u32,
    /// The output takes more while it is shorter than this.
    room: usize,
    round: u32,
    /// Whether several streams waited when this round began.
    contended: bool,
    /// What a turn of this round is worth.
    worth: u32,
}

impl Turns {
    pub(crate) fn new(quantum: u32, room: usize) -> Self {
        Self {
            queue: VecDeque::new(),
            quantum: quantum.max(1024),
            room: room.max(1024),
            round: 0,
            contended: false,
            worth: quantum,
        }
    }

    /// How much a stream may write now in one frame, with `pending` bytes in the output. 0: it has to wait.
    #[inline]
    pub(crate) fn allowance(&self, share: &Share, pending: usize) -> u32 {
        if !self.contended && self.queue.is_empty() {
            return if pending < self.room { ALONE_BYTES } else { 0 };
        }
        match share.turn {
            Turn::Waiting => 0,
            Turn::Woken => {
                if pending < self.room {
                    share.amount
                } else {
                    0
                }
            }
            // Beyond the room, too: the others that do so are few, and each of them once in a round.
            Turn::Idle if pending < 2 * self.room => {
                let used = if share.round == self.round { share.amount } else { 0 };
                FRESH_BYTES.saturating_sub(used)
            }
            Turn::Idle => 0,
        }
    }

    /// The stream has written.
    #[inline]
    pub(crate) fn wrote(&self, share: &mut Share, bytes: u32) {
        match share.turn {
            Turn::Idle if share.round == self.round => share.amount = share.amount.saturating_add(bytes),
            Turn::Idle => {
                share.round = self.round;
                share.amount = bytes;
            }
            Turn::Woken => share.amount = share.amount.saturating_sub(bytes),
            Turn::Waiting => {}
        }
    }

    /// The stream wants to write and may not.
    pub(crate) fn wait(&mut self, share: &mut Share, stream: u32) {
        match share.turn {
            Turn::Waiting => return,
            // What is left of its turn comes first.
            Turn::Woken if share.amount > 0 => self.queue.push_front(stream),
            Turn::Woken | Turn::Idle => {
                share.amount = 0;
                self.queue.push_back(stream);
            }
        }
        share.turn = Turn::Waiting;
    }

    /// The stream does not want to write any more.
    pub(crate) fn leave(&mut self, share: &mut Share, stream: u32) {
        if share.turn == Turn::Waiting {
            self.queue.retain(|waiting| *waiting != stream);
        }
        *share = Share::default();
    }

    /// The driver has taken the output: a new round begins.
    #[inline]
    pub(crate) fn next_round(&mut self) {
        self.round = self.round.wrapping_add(1);
        self.contended = self.queue.len() > 1;
        let share = self.room / self.queue.len().max(1);
        self.worth = u32::try_from(share).unwrap_or(u32::MAX).max(self.quantum);
    }

    /// Whether streams wait.
    #[inline]
    pub(crate) fn is_waiting(&self) -> bool {
        !self.queue.is_empty()
    }

    /// How many streams are woken at once: as many as fill the room.
    pub(crate) fn batch(&self) -> usize {
        (self.room / self.quantum as usize).max(1)
    }

    /// The next stream to be woken. Its share has to be told with [`grant`](Self::grant).
    pub(crate) fn pop(&mut self) -> Option<u32> {
        self.queue.pop_front()
    }

    pub(crate) fn grant(&self, share: &mut Share) {
        share.turn = Turn::Woken;
        if share.amount == 0 {
            share.amount = self.worth;
        }
    }

    pub(crate) fn room(&self) -> usize {
        self.room
    }
}
