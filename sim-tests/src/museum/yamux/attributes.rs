//! A stream's state and windows, without threads: the part of the original's `stream.go` that is under its locks.
//!
//! # Invariants
//!
//! - `recv_window` is what the peer may still send: its credit after everything in flight has arrived.
//! - An abandoned stream holds no data and grants no credit.

use std::collections::VecDeque;

use super::frame::{Flags, INITIAL_STREAM_WINDOW};
use super::{Error, Version};

/// The original's `streamState`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Init,
    SynSent,
    SynReceived,
    Established,
    /// This end sent FIN, the peer has not.
    LocalClose,
    /// The peer sent FIN, this end has not.
    RemoteClose,
    Closed,
    Reset,
}

/// The directions that a close affects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Half {
    Write,
    Both,
}

/// What to send to close a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Farewell {
    Nothing,
    Fin,
    Rst,
}

/// What happened to data that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Received {
    /// It waits for a reader.
    Kept,
    /// The stream is no longer read.
    Discarded,
    /// The stream is no longer read, and the peer must learn it: send RST.
    Refused,
}

#[derive(Debug)]
pub(super) struct Attributes {
    pub(super) state: State,
    pub(super) recv_buf: VecDeque<u8>,
    recv_window: u32,
    pub(super) send_window: u32,
    /// Closed for reading too, in the versions that support it.
    abandoned: bool,
}

impl Attributes {
    pub(super) const fn new(state: State) -> Self {
        Self {
            state,
            recv_buf: VecDeque::new(),
            recv_window: INITIAL_STREAM_WINDOW,
            send_window: INITIAL_STREAM_WINDOW,
            abandoned: false,
        }
    }

    /// Returns `true` if the session may forget the stream.
    pub(super) const fn has_ended(&self) -> bool {
        matches!(self.state, State::Closed | State::Reset)
    }

    /// Returns the flags that the handshake still has to send, and marks them as sent.
    pub(super) const fn send_flags(&mut self) -> Flags {
        match self.state {
            State::Init => {
                self.state = State::SynSent;
                Flags::SYN
            }
            State::SynReceived => {
                self.state = State::Established;
                Flags::ACK
            }
            _ => Flags::NONE,
        }
    }

    /// Returns flags and credit to send, if half a window was freed or flags are due.
    pub(super) fn window_update(&mut self) -> Option<(Flags, u32)> {
        let held = u32::try_from(self.recv_buf.len()).expect("at most a window is buffered");
        let credit = if self.abandoned { 0 } else { INITIAL_STREAM_WINDOW - held - self.recv_window };
        let flags = self.send_flags();
        if credit < INITIAL_STREAM_WINDOW / 2 && flags == Flags::NONE {
            return None;
        }
        self.recv_window += credit;
        Some((flags, credit))
    }

    /// Closes one half or both. The versions differ in how they close the reading half.
    pub(super) fn close(&mut self, version: Version, half: Half) -> Farewell {
        if half == Half::Both && version != Version::Upstream && !self.has_ended() {
            self.abandoned = true;
            self.recv_buf.clear();
            // The peer has used all its credit, so no more data will arrive that could be answered.
            let starved = self.recv_window == 0 && self.state != State::RemoteClose;
            if version == Version::StopsSending && starved {
                self.state = State::Reset;
                return Farewell::Rst;
            }
        }
        match self.state {
            State::SynSent | State::SynReceived | State::Established => {
                self.state = State::LocalClose;
                Farewell::Fin
            }
            State::RemoteClose => {
                self.state = State::Closed;
                Farewell::Fin
            }
            State::LocalClose | State::Closed | State::Reset => Farewell::Nothing,
            State::Init => unreachable!("opening a stream sends its SYN before anyone holds it"),
        }
    }

    /// Applies the flags of a frame.
    pub(super) fn process_flags(&mut self, flags: Flags) -> Result<(), Error> {
        if flags.contains(Flags::ACK) && self.state == State::SynSent {
            self.state = State::Established;
        }
        if flags.contains(Flags::FIN) {
            self.state = match self.state {
                State::SynSent | State::SynReceived | State::Established => State::RemoteClose,
                State::LocalClose => State::Closed,
                _ => return Err(Error::Protocol("unexpected flag")),
            };
        }
        if flags.contains(Flags::RST) {
            self.state = State::Reset;
        }
        Ok(())
    }

    /// Adds credit that the peer granted.
    pub(super) const fn grow_send_window(&mut self, credit: u32) {
        self.send_window = self.send_window.wrapping_add(credit);
    }

    /// Checks that the peer had credit for `length` bytes, before they are read.
    pub(super) const fn admit(&self, length: u32) -> Result<(), Error> {
        if length > self.recv_window {
            return Err(Error::Protocol("recv window exceeded"));
        }
        Ok(())
    }

    /// Receives data that was admitted. If the data is refused, resets the stream.
    pub(super) fn receive(&mut self, version: Version, data: &[u8]) -> Received {
        self.recv_window -= u32::try_from(data.len()).expect("admitted");
        if self.has_ended() {
            return Received::Discarded;
        }
        if !self.abandoned {
            self.recv_buf.extend(data);
            return Received::Kept;
        }
        // Answering the first byte would be legal too, but the peer would lose the data that it has not yet read.
        if version == Version::StopsSending && self.recv_window > 0 {
            return Received::Discarded;
        }
        self.state = State::Reset;
        Received::Refused
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: usize = INITIAL_STREAM_WINDOW as usize;

    fn established() -> Attributes {
        Attributes::new(State::Established)
    }

    #[test]
    fn first_frames_carry_the_handshake() {
        let mut opener = Attributes::new(State::Init);
        assert_eq!(opener.window_update(), Some((Flags::SYN, 0)));
        let mut acceptor = Attributes::new(State::SynReceived);
        assert_eq!(acceptor.window_update(), Some((Flags::ACK, 0)));
        opener.process_flags(Flags::ACK).expect("allowed");
        assert_eq!((opener.state, acceptor.state), (State::Established, State::Established));
        assert_eq!(opener.window_update(), None);
    }

    #[test]
    fn reading_half_a_window_grants_credit() {
        let mut stream = established();
        assert_eq!(stream.receive(Version::Upstream, &vec![0; WINDOW]), Received::Kept);
        assert_eq!(stream.admit(1), Err(Error::Protocol("recv window exceeded")));
        stream.recv_buf.drain(..WINDOW / 2 - 1);
        assert_eq!(stream.window_update(), None);
        stream.recv_buf.drain(..1);
        assert_eq!(stream.window_update(), Some((Flags::NONE, INITIAL_STREAM_WINDOW / 2)));
        assert_eq!(stream.admit(INITIAL_STREAM_WINDOW / 2), Ok(()));
    }

    #[test]
    fn upstream_keeps_data_after_a_close() {
        let mut stream = established();
        assert_eq!(stream.close(Version::Upstream, Half::Both), Farewell::Fin);
        assert_eq!(stream.state, State::LocalClose);
        assert_eq!(stream.receive(Version::Upstream, &vec![0; WINDOW]), Received::Kept);
        assert_eq!(stream.window_update(), None);
        assert_eq!(stream.close(Version::Upstream, Half::Both), Farewell::Nothing);
    }

    #[test]
    fn the_first_remedy_forgets_a_waiting_peer() {
        let version = Version::AnswersData;
        let mut early = established();
        assert_eq!(early.close(version, Half::Both), Farewell::Fin);
        assert_eq!(early.receive(version, b"more"), Received::Refused);
        assert_eq!(early.state, State::Reset);
        let mut late = established();
        late.receive(version, &vec![0; WINDOW]);
        assert_eq!(late.close(version, Half::Both), Farewell::Fin);
        assert_eq!(late.state, State::LocalClose);
    }

    #[test]
    fn the_second_remedy_resets_when_credit_is_spent() {
        let version = Version::StopsSending;
        let mut early = established();
        assert_eq!(early.close(version, Half::Both), Farewell::Fin);
        assert_eq!(early.receive(version, &vec![0; WINDOW - 1]), Received::Discarded);
        assert_eq!(early.receive(version, b"x"), Received::Refused);
        let mut late = established();
        late.receive(version, &vec![0; WINDOW]);
        assert_eq!(late.close(version, Half::Both), Farewell::Rst);
        assert!(late.has_ended());
    }

    #[test]
    fn every_version_reads_after_closing_its_writer() {
        for version in Version::ALL {
            let mut stream = established();
            assert_eq!(stream.close(version, Half::Write), Farewell::Fin);
            assert_eq!(stream.receive(version, b"answer"), Received::Kept);
            stream.process_flags(Flags::FIN).expect("allowed");
            assert_eq!((stream.state, stream.recv_buf.len()), (State::Closed, 6), "{version:?}");
        }
    }

    #[test]
    fn a_reader_may_close_after_the_writer() {
        let mut stream = established();
        stream.receive(Version::StopsSending, &vec![0; WINDOW]);
        assert_eq!(stream.close(Version::StopsSending, Half::Write), Farewell::Fin);
        assert_eq!(stream.close(Version::StopsSending, Half::Both), Farewell::Rst);
    }

    #[test]
    fn closing_after_the_peer_ends_the_stream() {
        for version in Version::ALL {
            let mut stream = established();
            stream.receive(version, &vec![0; WINDOW]);
            stream.process_flags(Flags::FIN).expect("allowed");
            assert_eq!(stream.close(version, Half::Both), Farewell::Fin, "{version:?}");
            assert_eq!(stream.state, State::Closed);
        }
    }

    #[test]
    fn a_second_fin_breaks_the_protocol() {
        let mut stream = established();
        stream.process_flags(Flags::FIN).expect("allowed");
        assert_eq!(stream.process_flags(Flags::FIN), Err(Error::Protocol("unexpected flag")));
    }
}
