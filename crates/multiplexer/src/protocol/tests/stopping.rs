//! Half-close, stop, reset, drop: what the peer is told, and what it tells us.

use super::*;
use crate::config::Timeouts;
use crate::error::{LocalReset, ResetCode, WriteEnd};

const LINGER: Duration = Duration::from_secs(30);
const NO_CREDIT: Duration = Duration::from_secs(10);

#[test]
fn half_close_sends_one_fin() {
    let mut lab = Lab::new(Role::Client);
    let key = lab.opened();
    lab.connection.close_write(key, lab.now).unwrap();
    lab.connection.close_write(key, lab.now).unwrap();
    assert_eq!(lab.sent(), [Frame::Window(FIN, 1, 0)]);
    assert_eq!(lab.write(key, 1), Poll::Ready(Err(WriteError::Finished)));
    lab.receive(Frame::Data(FIN, 1, 10));
    assert_eq!(lab.read(key, 100), Poll::Ready(Ok(10)));
    assert_eq!(lab.read(key, 100), Poll::Ready(Ok(0)));
    assert_eq!(lab.connection.write_end(key), Some(WriteEnd::Complete));
    assert_eq!(lab.connection.statistics().streams, 0);
}

#[test]
fn an_abandoned_stream_is_reset_instead_of_finished() {
    let mut lab = Lab::new(Role::Client);
    let key = lab.opened();
    lab.connection.drop_stream(key, lab.now);
    assert_eq!(lab.sent(), [Frame::Window(RST, 1, 0)]);
    assert_eq!(lab.connection.statistics().streams_held, 0);
}

#[test]
fn a_reset_code_travels_as_the_length() {
    let mut lab = Lab::new(Role::Client);
    let key = lab.opened();
    lab.connection.reset(key, ResetCode::new(0xffff_ffff), lab.now);
    assert_eq!(lab.sent(), [Frame::Window(RST, 1, 0x7fff_ffff)]);
    let key = lab.opened();
    lab.receive(Frame::Window(RST, key.id(), 7));
    assert_eq!(lab.read(key, 1), Poll::Ready(Err(ReadError::Reset(ResetCode::new(7)))));
}

/// A stream on which we have sent FIN and then stopped reading.
fn closed_stream(lab: &mut Lab) -> StreamKey {
    let key = lab.opened();
    lab.receive(Frame::Data(NONE, key.id(), 1000));
    lab.connection.close_stream(key, lab.now).unwrap();
    lab.connection.drop_stream(key, lab.now);
    key
}

#[test]
fn a_closed_stream_resets_once_credit_ends() {
    let mut lab = Lab::new(Role::Client);
    let key = closed_stream(&mut lab);
    assert_eq!(lab.sent(), [Frame::Window(FIN, 1, 0)]);
    let left = WINDOW as usize - 1000;
    lab.receive(Frame::Data(NONE, key.id(), left - 1));
    assert_eq!(lab.sent(), [], "no credit, and no reset before the peer needs it");
    lab.receive(Frame::Data(NONE, key.id(), 1));
    assert_eq!(lab.sent(), [Frame::Window(RST, 1, 0)]);
    assert_eq!(lab.connection.statistics().streams_held, 0);
}

#[test]
fn closing_resets_a_peer_without_credit() {
    let mut lab = Lab::new(Role::Server);
    let key = lab.accept(1);
    lab.receive(Frame::Data(NONE, 1, WINDOW as usize));
    lab.connection.close_stream(key, lab.now).unwrap();
    assert_eq!(lab.sent(), [Frame::Window(FIN, 1, 0), Frame::Window(RST, 1, 0)]);
}

#[test]
fn a_closed_stream_resets_after_lingering() {
    let mut lab = Lab::new(Role::Client);
    closed_stream(&mut lab);
    lab.sent();
    lab.pass(LINGER - Duration::from_nanos(1));
    assert!(!lab.sent().contains(&Frame::Window(RST, 1, 0)));
    lab.pass(Duration::from_nanos(1));
    assert_eq!(lab.sent(), [Frame::Window(RST, 1, 0)]);
    assert_eq!(lab.connection.statistics().streams_held, 0);
}

#[test]
fn a_peer_that_ends_is_not_reset() {
    let mut lab = Lab::new(Role::Client);
    let key = closed_stream(&mut lab);
    lab.sent();
    lab.receive(Frame::Data(FIN, key.id(), 50_000));
    lab.pass(2 * LINGER);
    assert!(!lab.sent().contains(&Frame::Window(RST, 1, 0)));
    assert_eq!(lab.connection.statistics().streams_held, 0);
}

#[test]
fn close_after_stop_follows_the_same_rules() {
    let mut lab = Lab::new(Role::Server);
    let key = lab.accept(1);
    lab.receive(Frame::Data(NONE, 1, WINDOW as usize / 4));
    lab.connection.stop(key, lab.now);
    lab.connection.close_write(key, lab.now).unwrap();
    assert_eq!(lab.sent(), [Frame::Window(FIN, 1, 0)]);
    lab.receive(Frame::Data(NONE, 1, 3 * WINDOW as usize / 4));
    assert_eq!(lab.sent(), [Frame::Window(RST, 1, 0)]);
}

#[test]
fn stopping_while_writing_drains_an_unmodified_peer() {
    let mut config = Config::default();
    config.limits.drain_budget_bytes = 3 * u64::from(WINDOW);
    let mut lab = Lab::with(Role::Server, config);
    let key = lab.accept(1);
    lab.receive(Frame::Data(NONE, 1, WINDOW as usize));
    lab.connection.stop(key, lab.now);
    assert_eq!(lab.read(key, 1), Poll::Ready(Err(ReadError::Stopped)));
    for _ in 0..3 {
        assert_eq!(lab.sent(), [Frame::Window(NONE, 1, WINDOW)]);
        assert_eq!(lab.write(key, 1), Poll::Ready(Ok(1)));
        lab.sent();
        lab.receive(Frame::Data(NONE, 1, WINDOW as usize));
    }
    lab.sent();
    lab.receive(Frame::Data(NONE, 1, 1));
    assert_eq!(lab.sent(), [Frame::Window(RST, 1, 0)]);
    assert_eq!(lab.write(key, 1), Poll::Ready(Err(WriteError::ResetHere(LocalReset::DrainBudget))));
}

#[test]
fn a_peer_that_understands_is_asked_to_stop() {
    let mut lab = Lab::extended(Role::Server);
    let key = lab.accept(1);
    lab.receive(Frame::Data(NONE, 1, 1000));
    lab.connection.stop(key, lab.now);
    assert_eq!(lab.sent(), [Frame::Window(STOP, 1, 0)]);
    // What was under way is discarded without credit.
    lab.receive(Frame::Data(NONE, 1, WINDOW as usize - 1000));
    assert_eq!(lab.sent(), []);
    assert_eq!(lab.write(key, 1), Poll::Ready(Ok(1)));
    lab.receive(Frame::Window(FIN, 1, 0));
    lab.connection.close_write(key, lab.now).unwrap();
    assert_eq!(lab.connection.statistics().streams, 0);
}

#[test]
fn a_peer_with_stop_is_not_reset() {
    let mut lab = Lab::extended(Role::Server);
    let key = lab.accept(1);
    lab.connection.close_stream(key, lab.now).unwrap();
    assert_eq!(lab.sent(), [Frame::Window(STOP, 1, 0), Frame::Window(FIN, 1, 0)]);
    lab.receive(Frame::Data(NONE, 1, WINDOW as usize));
    lab.receive(Frame::Window(FIN, 1, 0));
    assert_eq!(lab.sent(), []);
    assert_eq!(lab.connection.statistics().streams, 0);
}

#[test]
fn the_announcement_may_come_after_the_stop() {
    let mut lab = Lab::new(Role::Server);
    let key = lab.accept(1);
    lab.connection.stop(key, lab.now);
    assert_eq!(lab.sent(), []);
    lab.receive(Frame::Ping(SYN, ANNOUNCEMENT));
    assert_eq!(lab.sent(), [Frame::Window(STOP, 1, 0), Frame::Ping(ACK, ANNOUNCEMENT)]);
}

#[test]
fn a_stopped_writer_fails_and_finishes() {
    let mut lab = Lab::extended(Role::Client);
    let key = lab.opened();
    lab.write_to_the_end_of_credit(key);
    lab.connection.wait_write_end(key);
    lab.events();
    lab.receive(Frame::Window(STOP, 1, 0));
    assert_eq!(lab.events(), [Event::Writable(key), Event::SendingEnded(key, SendingEnd::Stopped)]);
    assert_eq!(lab.write(key, 1), Poll::Ready(Err(WriteError::Stopped)));
    assert_eq!(lab.connection.write_end(key), Some(WriteEnd::Failed(WriteError::Stopped)));
    assert_eq!(lab.connection.close_write(key, lab.now), Err(WriteError::Stopped));
    lab.receive(Frame::Window(STOP, 1, 0));
    assert_eq!(lab.sent(), [Frame::Window(FIN, 1, 0)]);
    // The other direction goes on.
    lab.receive(Frame::Data(FIN, 1, 5));
    assert_eq!(lab.read(key, 10), Poll::Ready(Ok(5)));
}

#[test]
fn a_stop_behind_our_fin_is_told() {
    let mut lab = Lab::extended(Role::Client);
    let key = lab.opened();
    assert_eq!(lab.write(key, 5), Poll::Ready(Ok(5)));
    lab.connection.close_write(key, lab.now).unwrap();
    lab.connection.wait_write_end(key);
    lab.events();
    lab.receive(Frame::Window(STOP, 1, 0));
    assert_eq!(lab.events(), [Event::SendingEnded(key, SendingEnd::Stopped)]);
    lab.receive(Frame::Window(FIN, 1, 0));
    assert_eq!(lab.connection.write_end(key), Some(WriteEnd::Failed(WriteError::Stopped)));
    assert_eq!(lab.sent().iter().filter(|frame| matches!(frame, Frame::Window(FIN, ..))).count(), 1);
}

#[test]
fn an_unannounced_stop_flag_is_ignored() {
    let mut lab = Lab::new(Role::Client);
    let key = lab.opened();
    lab.receive(Frame::Window(STOP, 1, 0));
    // A pong may be an echo of our ping.
    lab.receive(Frame::Ping(ACK, ANNOUNCEMENT));
    lab.receive(Frame::Window(STOP, 1, 0));
    assert_eq!(lab.write(key, 1), Poll::Ready(Ok(1)));
}

#[test]
fn a_reset_keeps_received_bytes() {
    let mut lab = Lab::new(Role::Client);
    let key = lab.opened();
    lab.write_to_the_end_of_credit(key);
    assert_eq!(lab.read(key, 1), Poll::Pending);
    lab.connection.wait_write_end(key);
    lab.events();
    lab.receive(Frame::Data(NONE, 1, 5));
    assert_eq!(lab.events(), [Event::Readable(key)]);
    lab.receive(Frame::Window(RST, 1, 0));
    assert_eq!(
        lab.events(),
        [Event::Writable(key), Event::SendingEnded(key, SendingEnd::Reset(ResetCode::NONE)), Event::MayOpen]
    );
    assert_eq!(lab.read(key, 100), Poll::Ready(Ok(5)));
    assert_eq!(lab.read(key, 100), Poll::Ready(Err(ReadError::Reset(ResetCode::NONE))));
    assert_eq!(lab.write(key, 1), Poll::Ready(Err(WriteError::Reset(ResetCode::NONE))));
    assert_eq!(lab.sent(), [], "a reset is not answered");
}

#[test]
fn a_reader_still_ends_after_a_reset() {
    let mut lab = Lab::new(Role::Client);
    let key = lab.opened();
    lab.receive(Frame::Data(FIN, 1, 5));
    lab.receive(Frame::Window(RST, 1, 0));
    assert_eq!(lab.read(key, 100), Poll::Ready(Ok(5)));
    assert_eq!(lab.read(key, 100), Poll::Ready(Ok(0)));
    assert_eq!(lab.write(key, 1), Poll::Ready(Err(WriteError::Reset(ResetCode::NONE))));
}

#[test]
fn a_reset_on_data_discards_its_payload() {
    let mut lab = Lab::new(Role::Client);
    let key = lab.opened();
    lab.receive(Frame::Data(RST, 1, 500));
    assert_eq!(lab.read(key, 100), Poll::Ready(Err(ReadError::Reset(ResetCode::NONE))));
    // The input is at the next frame.
    lab.receive(Frame::Ping(SYN, 5));
    assert_eq!(lab.sent(), [Frame::Ping(ACK, 5)]);
}

#[test]
fn a_reset_inside_a_frame_loses_nothing() {
    let mut lab = Lab::new(Role::Client);
    let key = lab.opened();
    lab.receive_bytes(&Header::new(Kind::Data, FIN, 1, 1000).encode());
    lab.receive_bytes(&[1; 400]);
    lab.connection.drop_stream(key, lab.now);
    // Another stream takes its place.
    let next = lab.opened_in_the_middle(600);
    assert_eq!(lab.read(next, 1), Poll::Pending);
    assert_eq!(lab.connection.state(), State::Open);
}

impl Lab {
    /// Opens a stream while `left` bytes of a frame are missing.
    fn opened_in_the_middle(&mut self, left: usize) -> StreamKey {
        let key = self.open();
        self.receive_bytes(&vec![1; left]);
        self.receive(Frame::Window(ACK, key.id(), 0));
        key
    }
}

#[test]
fn a_finished_peer_without_credit_fails_the_writer() {
    let mut lab = Lab::new(Role::Client);
    let key = lab.opened();
    lab.write_to_the_end_of_credit(key);
    lab.receive(Frame::Data(FIN, 1, 5));
    lab.answer_pings();
    lab.events();
    lab.pass(NO_CREDIT - Duration::from_nanos(1));
    assert_eq!(lab.events(), []);
    lab.pass(Duration::from_nanos(1));
    assert!(lab.events().contains(&Event::Writable(key)));
    let error = WriteError::ResetHere(LocalReset::NoCredit);
    assert_eq!(lab.write(key, 1), Poll::Ready(Err(error)));
    assert_eq!(lab.sent(), [Frame::Window(RST, 1, 0)]);
    // What the peer had finished can still be read.
    assert_eq!(lab.read(key, 10), Poll::Ready(Ok(5)));
    assert_eq!(lab.read(key, 10), Poll::Ready(Ok(0)));
}

#[test]
fn credit_that_comes_keeps_the_writer_alive() {
    let mut lab = Lab::new(Role::Client);
    let key = lab.opened();
    lab.receive(Frame::Window(FIN, 1, 0));
    lab.write_to_the_end_of_credit(key);
    for _ in 0..100 {
        lab.pass(NO_CREDIT - Duration::from_secs(1));
        lab.receive(Frame::Window(NONE, 1, 1));
        assert_eq!(lab.write(key, 1), Poll::Ready(Ok(1)));
        assert_eq!(lab.write(key, 1), Poll::Pending);
        lab.answer_pings();
    }
    lab.check_failure_after(key, 2 * NO_CREDIT - Duration::from_secs(2));
}

impl Lab {
    /// The writer still waits just before `time` has passed, and then fails for lack of credit.
    fn check_failure_after(&mut self, key: StreamKey, time: Duration) {
        let error = WriteError::ResetHere(LocalReset::NoCredit);
        let end = self.now + time;
        while self.now < end {
            assert_eq!(self.write(key, 1), Poll::Pending, "{:?} too early", end - self.now);
            self.pass((end - self.now).min(Duration::from_secs(1)));
            // Keeps the session alive.
            self.receive(Frame::Ping(SYN, 0));
            self.sent();
        }
        assert_eq!(self.write(key, 1), Poll::Ready(Err(error)));
    }

    /// A writer without credit, to a peer that has sent FIN. The ping behind the data is not answered.
    fn without_credit(window: u32) -> (Self, StreamKey) {
        let mut lab = Self::new(Role::Client);
        let key = lab.opened();
        if window > WINDOW {
            lab.receive(Frame::Window(NONE, 1, window - WINDOW));
        }
        lab.write_to_the_end_of_credit(key);
        lab.receive(Frame::Window(FIN, 1, 0));
        (lab, key)
    }
}

#[test]
fn the_wait_begins_once_data_has_arrived() {
    let (mut lab, key) = Lab::without_credit(WINDOW);
    let sent = lab.sent();
    assert!(matches!(sent[..], [Frame::Ping(SYN, _)]), "{sent:?}");
    let Frame::Ping(_, opaque) = sent[0] else { return };
    // The link is slow, and other bytes come.
    for _ in 0..10 {
        lab.pass(LINGER - Duration::from_secs(10));
        lab.receive(Frame::Ping(SYN, 0));
        assert_eq!(lab.write(key, 1), Poll::Pending);
    }
    lab.receive(Frame::Ping(ACK, opaque));
    lab.check_failure_after(key, NO_CREDIT);
}

#[test]
fn a_probe_follows_the_data_it_is_for() {
    let mut lab = Lab::new(Role::Client);
    let key = lab.opened();
    lab.receive(Frame::Window(FIN, 1, 0));
    lab.receive(Frame::Window(NONE, 1, 10));
    while let Poll::Ready(Ok(_)) = lab.write(key, 1 << 20) {
        if lab.connection.stream_statistics(key).send_credit > 10 {
            lab.sent();
        }
    }
    let mut transmit = Transmit::new();
    assert!(lab.connection.take_output(&mut transmit, lab.now));
    assert!(!lab.connection.take_output(&mut Transmit::new(), lab.now), "the transport has not taken all");
    let count = transmit.len();
    transmit.advance(count);
    lab.connection.output_written(count, true, lab.now);
    let sent = lab.sent();
    assert!(matches!(sent[..], [Frame::Ping(SYN, _)]), "{sent:?}");
}

#[test]
fn a_probe_without_an_answer_ends_with_silence() {
    let (mut lab, key) = Lab::without_credit(WINDOW);
    lab.pass(LINGER - Duration::from_nanos(1));
    assert_eq!(lab.write(key, 1), Poll::Pending);
    lab.pass(Duration::from_nanos(1));
    let error = WriteError::ResetHere(LocalReset::NoCredit);
    assert_eq!(lab.write(key, 1), Poll::Ready(Err(error)));
}

#[test]
fn large_windows_allow_longer_waits() {
    for (window, times) in [(1 << 20, 1), ((4 << 20) - 1, 1), (4 << 20, 2), (16 << 20, 2), (256 << 20, 2)] {
        let (mut lab, key) = Lab::without_credit(window);
        lab.answer_pings();
        lab.check_failure_after(key, NO_CREDIT * times);
    }
}

#[test]
fn slow_grants_allow_twice_the_wait() {
    // The first wait is one before FIN, when nothing bounds it.
    let mut lab = Lab::new(Role::Client);
    let key = lab.opened();
    lab.write_to_the_end_of_credit(key);
    for (round, seconds) in [20, 30, 45, 65].into_iter().enumerate() {
        let end = lab.now + Duration::from_secs(seconds);
        while lab.now < end {
            lab.pass(NO_CREDIT / 2);
            lab.receive(Frame::Ping(SYN, 0));
            lab.answer_pings();
        }
        lab.receive(Frame::Window(if round == 0 { FIN } else { NONE }, 1, 100));
        assert_eq!(lab.write(key, 100), Poll::Ready(Ok(100)), "round {round}");
        assert_eq!(lab.write(key, 100), Poll::Pending);
        lab.answer_pings();
    }
    lab.check_failure_after(key, Duration::from_secs(2 * 65));
}

#[test]
fn a_writer_waits_for_a_sending_peer() {
    let mut lab = Lab::new(Role::Client);
    let key = lab.opened();
    lab.write_to_the_end_of_credit(key);
    for _ in 0..100 {
        lab.pass(NO_CREDIT);
        // Keeps the session alive.
        lab.receive(Frame::Ping(SYN, 0));
        assert_eq!(lab.write(key, 1), Poll::Pending);
    }
}

#[test]
fn a_writer_waits_for_a_peer_with_stop() {
    let mut lab = Lab::extended(Role::Client);
    let key = lab.opened();
    lab.receive(Frame::Window(FIN, 1, 0));
    lab.write_to_the_end_of_credit(key);
    lab.pass(2 * NO_CREDIT);
    assert_eq!(lab.write(key, 1), Poll::Pending);
}

#[test]
fn the_wait_for_credit_can_be_unbounded() {
    let timeouts = Timeouts { no_credit: None, ..Timeouts::default() };
    let mut lab = Lab::with(Role::Client, Config { timeouts, ..Config::default() });
    let key = lab.opened();
    lab.receive(Frame::Window(FIN, 1, 0));
    lab.write_to_the_end_of_credit(key);
    lab.pass(2 * NO_CREDIT);
    assert_eq!(lab.write(key, 1), Poll::Pending);
}

#[test]
fn data_for_a_closed_stream_is_answered_once() {
    let mut lab = Lab::new(Role::Server);
    let key = lab.accept(1);
    lab.receive(Frame::Window(FIN, 1, 0));
    lab.connection.close_write(key, lab.now).unwrap();
    assert_eq!(lab.sent(), [Frame::Window(FIN, 1, 0)]);
    for frame in [
        Frame::Window(NONE, 1, 5),
        Frame::Window(FIN, 1, 0),
        Frame::Window(RST, 1, 0),
        Frame::Data(NONE, 1, 0),
    ] {
        lab.receive(frame);
        assert_eq!(lab.sent(), []);
    }
    lab.receive(Frame::Data(NONE, 1, 5));
    assert_eq!(lab.sent(), [Frame::Window(RST, 1, 0)]);
    lab.receive(Frame::Data(NONE, 1, 5));
    assert_eq!(lab.sent(), []);
}

#[test]
fn data_after_our_reset_is_ignored() {
    let mut lab = Lab::new(Role::Server);
    let key = lab.accept(1);
    lab.connection.drop_stream(key, lab.now);
    lab.sent();
    for _ in 0..10 {
        lab.receive(Frame::Data(NONE, 1, 1000));
    }
    assert_eq!(lab.sent(), []);
    assert_eq!(lab.connection.statistics().buffered_bytes, 0);
}

#[test]
fn halves_are_dropped_one_by_one() {
    // The receiving half first: the peer is drained. The sending half then: it was not closed.
    let mut lab = Lab::new(Role::Server);
    let key = lab.accept(1);
    lab.connection.drop_receiver(key, lab.now);
    assert_eq!(lab.sent(), []);
    lab.connection.drop_sender(key, lab.now);
    assert_eq!(lab.sent(), [Frame::Window(RST, 1, 0)]);
    // The sending half first: both directions end.
    let key = lab.accept(3);
    lab.receive(Frame::Data(NONE, 3, 5));
    lab.connection.drop_sender(key, lab.now);
    assert_eq!(lab.sent(), [Frame::Window(RST, 3, 0)]);
    assert_eq!(lab.read(key, 10), Poll::Ready(Ok(5)));
    let error = ReadError::ResetHere(LocalReset::Caller(ResetCode::NONE));
    assert_eq!(lab.read(key, 10), Poll::Ready(Err(error)));
    lab.connection.drop_receiver(key, lab.now);
    // A sending half that was closed is finished.
    let key = lab.accept(5);
    lab.connection.close_write(key, lab.now).unwrap();
    lab.connection.drop_sender(key, lab.now);
    lab.connection.drop_receiver(key, lab.now);
    assert_eq!(lab.sent(), [Frame::Window(FIN, 5, 0)]);
    lab.receive(Frame::Window(FIN, 5, 0));
    assert_eq!(lab.connection.statistics().streams_held, 0);
}

/// hashicorp/yamux#133 in every order, ours to ours: the writer learns of it within a round trip.
#[test]
fn leaving_always_wakes_a_blocked_writer() {
    let leave: [fn(&mut Connection, StreamKey, Instant); 5] = [
        |server, key, now| server.close_stream(key, now).unwrap(),
        |server, key, now| {
            server.close_stream(key, now).unwrap();
            server.drop_stream(key, now);
        },
        |server, key, now| server.drop_stream(key, now),
        |server, key, now| server.stop(key, now),
        |server, key, now| server.reset(key, ResetCode::new(5), now),
    ];
    for unread in [0, 1000, WINDOW as usize] {
        for leave in leave {
            let mut pair = Pair::new(Config::default(), Config::default());
            let (near, far) = pair.stream();
            write_all(&mut pair, near, WINDOW as usize);
            let mut left = WINDOW as usize - unread;
            while left > 0 {
                let Poll::Ready(Ok(count)) = pair.server.read_with(far, left, |_| ()) else {
                    panic!("bytes wait")
                };
                left -= count;
            }
            pair.settle();
            while let Poll::Ready(Ok(_)) = pair.client.write(near, &[0; 100_000]) {
                pair.settle();
            }
            pair.client.wait_writable(near, pair.now);
            leave(&mut pair.server, far, pair.now);
            pair.settle();
            assert!(
                matches!(
                    pair.client.write(near, &[0]),
                    Poll::Ready(Err(WriteError::Stopped | WriteError::Reset(_)))
                ),
                "{unread} unread"
            );
        }
    }
}
