//! The assembler: `recv_events` puts frames, and `recv()` gets messages. `sync/messages.py` of 13.x.
//!
//! It is a latch, not a queue: [`put`](Assembler::put) of a message's last frame waits until the message was fetched.
//! (14.0 replaced it with a queue. The bugs are the same.)
//!
//! # Invariants
//!
//! - The mutex is never held while a thread waits for one of the two events.
//! - After [`close`](Assembler::close) nothing waits: `get` and `put` end with [`Eof`](GetError::Eof).

use std::mem;
use std::time::Duration;

use wavetank_runtime::{Mutex, Threads};

use super::exceptions::InternalError;
use super::frames::{Frame, Opcode};
use super::threading::Event;

/// Why there is no message.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum GetError {
    /// The stream of frames has ended.
    Eof,
    TimedOut,
    /// Another thread is in `get`.
    Concurrency,
}

/// Why a frame was not accepted.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum PutError {
    /// The stream of frames has ended.
    Eof,
    Internal(InternalError),
}

/// Makes messages from frames.
pub(super) struct Assembler<R: Threads> {
    mutex: Mutex<R, Flags>,
    message_complete: Event<R>,
    message_fetched: Event<R>,
}

#[derive(Default)]
struct Flags {
    get_in_progress: bool,
    put_in_progress: bool,
    closed: bool,
    /// The payloads received so far of the current message.
    chunks: Vec<u8>,
    message: String,
}

impl<R: Threads> Assembler<R> {
    pub(super) fn new(runtime: &R) -> Self {
        Self {
            mutex: Mutex::new(runtime, "assembler", Flags::default()),
            message_complete: Event::new(runtime, "message_complete"),
            message_fetched: Event::new(runtime, "message_fetched"),
        }
    }

    /// Waits for a message, at most for `timeout` if there is one.
    pub(super) fn get(&self, timeout: Option<Duration>) -> Result<String, GetError> {
        {
            let mut flags = self.mutex.lock();
            if flags.closed {
                return Err(GetError::Eof);
            }
            if flags.get_in_progress {
                return Err(GetError::Concurrency);
            }
            flags.get_in_progress = true;
        }
        let completed = self.message_complete.wait(timeout);
        let mut flags = self.mutex.lock();
        flags.get_in_progress = false;
        if !completed {
            return Err(GetError::TimedOut);
        }
        // close() may have set the event.
        if flags.closed {
            return Err(GetError::Eof);
        }
        self.message_complete.clear();
        let message = mem::take(&mut flags.message);
        self.message_fetched.set();
        Ok(message)
    }

    /// Adds a data frame. If it is the last of a message, waits until `get` has taken the message.
    ///
    /// Only one thread may call it at a time, with frames in an order that the protocol allows.
    pub(super) fn put(&self, frame: Frame) -> Result<(), PutError> {
        {
            let mut flags = self.mutex.lock();
            if flags.closed {
                return Err(PutError::Eof);
            }
            if frame.opcode == Opcode::Text {
                flags.chunks.clear();
            }
            flags.chunks.extend_from_slice(&frame.data);
            if !frame.fin {
                return Ok(());
            }
            let text = String::from_utf8(mem::take(&mut flags.chunks));
            flags.message = text.map_err(|_| PutError::Internal(InternalError("UnicodeDecodeError")))?;
            self.message_complete.set();
            flags.put_in_progress = true;
        }
        self.message_fetched.wait(None);
        let mut flags = self.mutex.lock();
        flags.put_in_progress = false;
        // close() may have set the event.
        if flags.closed {
            return Err(PutError::Eof);
        }
        self.message_fetched.clear();
        Ok(())
    }

    /// Ends the stream of frames and wakes all waiting threads.
    pub(super) fn close(&self) {
        let mut flags = self.mutex.lock();
        if flags.closed {
            return;
        }
        flags.closed = true;
        if flags.get_in_progress {
            tracing::info!(target: "websockets", "close_socket: waking recv()");
            self.message_complete.set();
        }
        if flags.put_in_progress {
            self.message_fetched.set();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use wavetank_runtime::{Std, ThreadHandle as _};

    use super::*;

    fn text(fin: bool, data: &str) -> Frame {
        Frame { fin, ..Frame::new(Opcode::Text, data.into()) }
    }

    fn in_thread<T: Send + 'static>(
        assembler: &Arc<Assembler<Std>>,
        body: impl FnOnce(&Assembler<Std>) -> T + Send + 'static,
    ) -> <Std as Threads>::ThreadHandle<T> {
        let assembler = Arc::clone(assembler);
        Std.spawn("other", move || body(&assembler)).expect("a thread")
    }

    /// Waits until the other thread has made `reached` true.
    fn wait_until(assembler: &Assembler<Std>, reached: impl Fn(&Flags) -> bool) {
        while !reached(&assembler.mutex.lock()) {
            Std.yield_now();
        }
    }

    #[test]
    fn put_waits_until_the_message_is_fetched() {
        let assembler = Arc::new(Assembler::new(&Std));
        let putter = in_thread(&assembler, |assembler| assembler.put(text(true, "hello")));
        wait_until(&assembler, |flags| flags.put_in_progress);
        assert!(!putter.is_finished());
        assert_eq!(assembler.get(None), Ok("hello".to_owned()));
        assert_eq!(putter.join(), Ok(Ok(())));
    }

    #[test]
    fn fragments_become_messages_in_order() {
        let assembler = Arc::new(Assembler::new(&Std));
        let putter = in_thread(&assembler, |assembler| {
            assembler.put(text(false, "gr"))?;
            // The letter is cut between its two bytes.
            assembler.put(Frame { fin: false, ..Frame::new(Opcode::Continuation, vec![0xc3]) })?;
            assembler.put(Frame::new(Opcode::Continuation, vec![0xbc, b'n']))?;
            assembler.put(text(true, "blau"))
        });
        assert_eq!(assembler.get(None), Ok("grün".to_owned()));
        assert_eq!(assembler.get(None), Ok("blau".to_owned()));
        assert_eq!(putter.join(), Ok(Ok(())));
    }

    #[test]
    fn close_wakes_a_get_and_a_put() {
        let assembler = Arc::new(Assembler::new(&Std));
        let getter = in_thread(&assembler, |assembler| assembler.get(None));
        wait_until(&assembler, |flags| flags.get_in_progress);
        assert_eq!(assembler.get(None), Err(GetError::Concurrency));
        assembler.close();
        assert_eq!(getter.join(), Ok(Err(GetError::Eof)));

        let assembler = Arc::new(Assembler::new(&Std));
        let putter = in_thread(&assembler, |assembler| assembler.put(text(true, "unread")));
        wait_until(&assembler, |flags| flags.put_in_progress);
        assembler.close();
        assert_eq!(putter.join(), Ok(Err(PutError::Eof)));
    }

    #[test]
    fn a_closed_assembler_refuses_at_once() {
        let assembler = Assembler::new(&Std);
        assembler.close();
        assembler.close();
        assert_eq!(assembler.get(None), Err(GetError::Eof));
        assert_eq!(assembler.put(text(true, "late")), Err(PutError::Eof));
    }

    #[test]
    fn get_times_out_repeatedly() {
        let assembler = Assembler::new(&Std);
        for _ in 0..2 {
            assert_eq!(assembler.get(Some(Duration::from_millis(1))), Err(GetError::TimedOut));
        }
    }

    #[test]
    fn text_that_is_not_utf8_is_refused() {
        let assembler = Assembler::new(&Std);
        let frame = Frame::new(Opcode::Text, vec![0xff]);
        assert!(matches!(assembler.put(frame), Err(PutError::Internal(_))));
    }
}
