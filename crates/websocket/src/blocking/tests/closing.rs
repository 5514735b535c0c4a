//! How connections end, with the same outcome for every caller.

use std::sync::Weak;

use wavetank_runtime::{BlockingStream, Std, Threads};

use super::super::shared::Shared;
use super::peer::{BINARY, CLOSE, PING, PONG, TEXT, close_frame, connected};
use super::{LONG, millis, quiet, spawn, trace_of};
use crate::blocking::ConnectionState;
use crate::{Cause, CloseCode, CloseFrame, Error, Message};

fn outcome<T: std::fmt::Debug>(result: Result<T, Error>) -> crate::Closed {
    match result {
        Err(Error::Closed(closed)) => closed,
        other => panic!("expected the end of the connection: {other:?}"),
    }
}

#[test]
fn close_and_blocked_recv_return_the_same_outcome() {
    for _ in 0..300 {
        let (client, _peer) = connected(quiet(millis(3)));
        let receiver = client.clone();
        let receiving = spawn(move || receiver.recv());
        let closed = client.close(CloseCode::NORMAL, "");
        assert_eq!(outcome(receiving()), closed);
        assert_eq!(closed.cause, Cause::CloseTimeout { timeout: millis(3) });
        assert_eq!(client.outcome(), Some(closed));
    }
}

#[test]
fn concurrent_closes_send_one_frame_and_agree() {
    for _ in 0..100 {
        let (client, mut peer) = connected(quiet(LONG));
        let other = client.clone();
        let closing = spawn(move || other.close(CloseCode::NORMAL, "other"));
        let answering = spawn(move || {
            let (before, code) = peer.read_to_close();
            peer.write(&close_frame(code));
            let _gone = peer.stream.shutdown(std::net::Shutdown::Write);
            (before.len(), peer.is_at_end())
        });
        let closed = client.close(CloseCode::NORMAL, "this");
        assert_eq!(closing(), closed);
        assert!(closed.is_clean(), "{closed}");
        assert_eq!(answering(), (0, true), "nothing comes before or after the one Close frame");
    }
}

#[test]
fn closing_with_a_stuck_sender_respects_the_timeout() {
    let (client, _peer) = connected(quiet(millis(100)));
    let sender = client.clone();
    let sending = spawn(move || {
        loop {
            if let Err(error) = sender.send(&[0_u8; 64 * 1024]) {
                return error;
            }
        }
    });
    // Once the sender is stuck nothing moves any more.
    let mut before = client.statistics();
    loop {
        // Long enough for several writes that take nothing.
        Std.sleep(millis(500));
        let now = client.statistics();
        if std::mem::replace(&mut before, now.clone()) == now {
            break;
        }
    }
    let closed = client.close(CloseCode::NORMAL, "");
    assert_eq!(closed.cause, Cause::CloseTimeout { timeout: millis(100) });
    assert_eq!(closed.sent, None, "the Close frame did not get through");
    assert_eq!(sending(), Error::Closed(closed));
}

#[test]
fn keepalive_times_out_while_a_sender_is_stuck() {
    let mut config = quiet(millis(100));
    config.keepalive.interval = Some(millis(50));
    config.keepalive.timeout = Some(millis(50));
    let (client, _peer) = connected(config);
    let error = loop {
        if let Err(error) = client.send(&[0_u8; 64 * 1024]) {
            break error;
        }
    };
    assert_eq!(outcome::<()>(Err(error)).cause, Cause::KeepaliveTimeout { timeout: millis(50) });
}

#[test]
fn unread_messages_survive_a_clean_close() {
    for unread in [1, 16, 17, 1024, 4000] {
        let mut config = quiet(LONG);
        config.limits.receive_queue_messages = 16;
        let (client, mut peer) = connected(config);
        let flooding = spawn(move || {
            for number in 0..unread {
                peer.send(TEXT, format!("message {number}").as_bytes());
            }
            peer.finish_close()
        });
        let closed = client.close(CloseCode::NORMAL, "");
        assert!(closed.is_clean(), "{closed}");
        flooding();
        for number in 0..unread {
            assert_eq!(client.recv(), Ok(Message::from(format!("message {number}"))));
        }
        assert_eq!(outcome(client.recv()), closed);
    }
}

#[test]
fn the_peers_close_is_answered_without_a_call() {
    let (client, mut peer) = connected(quiet(LONG));
    peer.send(TEXT, b"last words");
    peer.write(&close_frame(4000));
    assert_eq!(peer.read_to_close(), (vec![], 4000));
    drop(peer);
    let closed = client.wait_closed();
    assert_eq!(closed.cause, Cause::Peer);
    assert!(closed.is_clean());
    assert_eq!(client.recv(), Ok(Message::from("last words")));
    assert_eq!(outcome(client.recv()), closed);
    assert_eq!(outcome(client.send("late")), closed);
    assert_eq!(outcome(client.ping()), closed);
    assert_eq!(client.close(CloseCode::NORMAL, ""), closed);
}

#[test]
fn the_peers_close_frees_a_stuck_sender() {
    let (client, mut peer) = connected(quiet(millis(200)));
    let sender = client.clone();
    let sending = spawn(move || {
        loop {
            if let Err(error) = sender.send(&[0_u8; 64 * 1024]) {
                return error;
            }
        }
    });
    Std.sleep(millis(200));
    peer.write(&close_frame(1001));
    let closed = client.wait_closed();
    assert_eq!(closed.received.as_ref().and_then(|frame| frame.code), Some(CloseCode::GOING_AWAY));
    assert_eq!(sending(), Error::Closed(closed));
}

#[test]
fn failed_writes_lose_no_messages_already_received() {
    for _ in 0..30 {
        let (client, mut peer) = connected(quiet(LONG));
        peer.send(TEXT, b"last words");
        peer.write(&close_frame(1001));
        // Closing with bytes unread resets the stream; what the client has of the peer stays readable.
        drop(peer);
        while client.send("still there?").is_ok() {}
        assert_eq!(client.recv(), Ok(Message::from("last words")));
        let closed = outcome(client.recv());
        let code = closed.received.as_ref().and_then(|frame| frame.code);
        assert_eq!(code, Some(CloseCode::GOING_AWAY), "{closed}");
    }
}

#[test]
fn ending_without_a_close_frame_gives_1006() {
    let (client, peer) = connected(quiet(LONG));
    drop(peer);
    let closed = outcome(client.recv());
    assert_eq!(closed.cause, Cause::EndOfInput { inside_message: false });
    assert_eq!(closed.code(), 1006);
}

fn await_end_of_threads(trace: &Weak<Shared<Std>>, handles: usize) {
    while trace.strong_count() > handles {
        Std.yield_now();
    }
}

#[test]
fn dropping_the_last_handle_closes_with_1001() {
    let (client, mut peer) = connected(quiet(LONG));
    let trace = trace_of(&client);
    let clone = client.clone();
    drop(client);
    peer.send(PING, b"still");
    assert_eq!(peer.read().opcode, PONG, "one handle is left");
    assert_eq!(clone.send("last words"), Ok(()));
    drop(clone);
    let (before, code) = peer.finish_close();
    assert_eq!((&before[0].payload[..], code), (&b"last words"[..], 1001));
    await_end_of_threads(&trace, 0);
}

#[test]
fn dropping_the_last_handle_frees_a_stuck_writer() {
    let (client, _peer) = connected(quiet(millis(200)));
    let trace = trace_of(&client);
    let message = Message::from(vec![0; 64 * 1024]);
    // The writer thread writes these, until the peer's buffers and our own are full.
    while client.send_timeout(&message, millis(300)).is_ok() {}
    drop(client);
    await_end_of_threads(&trace, 0);
}

#[test]
fn threads_end_on_close_while_handles_remain() {
    let (client, peer) = connected(quiet(LONG));
    let closing = spawn(move || peer.finish_close());
    assert!(client.close(CloseCode::NORMAL, "").is_clean());
    closing();
    await_end_of_threads(&trace_of(&client), 1);
    assert!(client.shared().lock().write_permit.is_none());
}

#[test]
fn a_violation_gets_1002_and_ends_reading() {
    let (client, mut peer) = connected(quiet(LONG));
    peer.send(TEXT, b"fine");
    peer.write(&[0x83, 0x00]); // reserved opcode 3
    peer.send(TEXT, b"too late");
    assert_eq!(client.recv(), Ok(Message::from("fine")));
    // What came before can still be answered.
    assert_eq!(client.send("answer"), Ok(()));
    let ending = spawn(move || {
        let (before, code) = peer.read_to_close();
        (before.len(), code)
    });
    let closed = outcome(client.recv());
    assert!(matches!(closed.cause, Cause::Violation { .. }), "{closed}");
    assert_eq!(ending(), (1, 1002));
}

#[test]
fn a_violation_behind_an_untaken_message_closes() {
    let (client, mut peer) = connected(quiet(millis(100)));
    peer.send(TEXT, b"fine");
    peer.write(&[0x83, 0x00]); // reserved opcode 3
    assert_eq!(peer.read_to_close(), (vec![], 1002));
    drop(peer);
    let closed = client.wait_closed();
    assert!(matches!(closed.cause, Cause::Violation { .. }), "{closed}");
    assert_eq!(client.recv(), Ok(Message::from("fine")));
}

#[test]
fn timed_out_sends_and_pings_report_closing() {
    let (client, mut peer) = connected(quiet(millis(400)));
    // This ping was sent before the closing began, and no peer answers it.
    let pinging = client.clone();
    let early = spawn(move || pinging.ping_timeout(millis(100)));
    assert_eq!(peer.read().opcode, PING);
    let closing = client.clone();
    let closed = spawn(move || closing.close(CloseCode::NORMAL, ""));
    assert_eq!(peer.read().opcode, CLOSE);
    assert_eq!(client.state(), ConnectionState::Closing);
    assert_eq!(client.send_timeout("late", millis(10)), Err(Error::Closing));
    assert_eq!(client.ping_timeout(millis(10)), Err(Error::Closing));
    assert_eq!(client.ping_timeout(millis(0)), Err(Error::Closing));
    // What the peer had under way can still be received, so this call may be repeated.
    assert_eq!(client.recv_timeout(millis(10)), Err(Error::TimedOut));
    peer.send(TEXT, b"under way");
    assert_eq!(client.recv_timeout(LONG), Ok(Message::from("under way")));
    assert_eq!(early(), Err(Error::Closing));
    // With enough time they return the outcome.
    let outcome = Error::Closed(closed());
    assert_eq!(client.send_timeout("late", LONG), Err(outcome.clone()));
    assert_eq!(client.ping_timeout(LONG), Err(outcome));
}

#[test]
fn closing_returns_before_the_stream_ends() {
    for close_timeout in [millis(100), LONG] {
        let (client, mut peer) = connected(quiet(close_timeout));
        let (tell, told) = std::sync::mpsc::channel();
        let answering = spawn(move || {
            let (_, code) = peer.read_to_close();
            peer.send(CLOSE, &code.to_be_bytes());
            // Both Close frames are exchanged, and the stream stays.
            told.recv().expect("closing returns");
            // At last the client gives up, if the server does not end it.
            close_timeout == LONG || peer.is_at_end()
        });
        let closed = client.close(CloseCode::NORMAL, "");
        assert!(closed.is_clean(), "{closed}");
        assert_eq!(client.recv(), Err(Error::Closed(closed)));
        tell.send(()).expect("the peer waits");
        assert!(answering());
    }
}

#[test]
fn messages_after_the_last_drop_are_discarded() {
    let (client, mut peer) = connected(quiet(LONG));
    peer.send(BINARY, b"before");
    while client.statistics().messages_received == 0 {
        Std.yield_now();
    }
    let shared = trace_of(&client).upgrade().expect("its threads run");
    drop(client);
    // The peer does not answer, so that reading goes on.
    peer.read_to_close();
    let mut received = 0;
    while received < 1000 {
        peer.send(BINARY, b"");
        let mut guard = shared.lock();
        assert_eq!(guard.session.connection_mut().recv_fragment(), None);
        received = guard.session.connection().statistics().messages_received;
    }
}

#[test]
fn a_close_may_have_no_code() {
    let (client, mut peer) = connected(quiet(LONG));
    let answering = spawn(move || {
        let close = peer.read();
        peer.send(CLOSE, b"");
        close
    });
    let closed = client.close(None, "not sent without a code");
    let close = answering();
    assert_eq!((close.opcode, &close.payload[..]), (CLOSE, &b""[..]));
    assert!(closed.is_clean(), "{closed}");
    let empty = Some(CloseFrame { code: None, reason: String::new() });
    assert_eq!((&closed.sent, &closed.received), (&empty, &empty));
}
