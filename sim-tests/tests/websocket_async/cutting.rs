//! The end of the stream at every byte: of the answer to the opening, of heads, payloads and the Close frame, and of what
//! the client sends.

use std::io::ErrorKind;
use std::time::Duration;

use wavetank::runtime::Runtime;
use wavetank::{Host, Sim, sometimes};
use wavetank_sim_tests::websocket::frames::{self, CONTINUATION, PING, TEXT};
use wavetank_sim_tests::websocket::opening::answer_length;
use wavetank_sim_tests::websocket::{Cut, End, Opening, Peer, scripts, serve_each};
use wavetank_websocket::{Cause, CloseCode, Error, OpenError};

use super::world::{CLOSE_TIMEOUT, SECOND, Socket, Witness, config, connect, in_time, within};

/// What the server sends after its answer: frames, and the message that each of them ends.
fn frames_and_messages() -> Vec<(Vec<u8>, Option<String>)> {
    let long = "x".repeat(130);
    vec![
        (frames::frame(TEXT, b"whole"), Some("whole".to_owned())),
        (frames::fragment(TEXT, false, b"in "), None),
        (frames::frame(PING, b"?"), None),
        (frames::fragment(CONTINUATION, true, b"pieces"), Some("in pieces".to_owned())),
        (frames::frame(TEXT, long.as_bytes()), Some(long)),
        (frames::frame(TEXT, b""), Some(String::new())),
        (frames::close(1000, "done"), None),
    ]
}

fn all_bytes() -> Vec<u8> {
    frames_and_messages().into_iter().flat_map(|(bytes, _)| bytes).collect()
}

/// What of it has arrived after `count` bytes: whole messages, whether a message or a frame is incomplete, whether the
/// Close is there.
fn arrived(count: u64) -> (Vec<String>, bool, bool) {
    let (mut messages, mut end, mut inside) = (Vec::new(), 0, false);
    for (bytes, message) in frames_and_messages() {
        let begin = end;
        end += bytes.len() as u64;
        if count < end {
            return (messages, inside || count > begin, false);
        }
        inside = match bytes[0] {
            0x01 => true,
            0x80 => false,
            _ => inside,
        };
        messages.extend(message);
    }
    (messages, false, true)
}

/// A server whose stream ends after 0 bytes on the first connection, after 1 on the second, and so on, and whose last
/// connection is not cut.
fn server_that_is_cut(sim: &mut Sim, how: End) {
    sim.server("server", move |host| {
        let opening = move |number| Opening { cut: Some(Cut { after: number, how }), ..Opening::default() };
        serve_each(host, opening, |mut peer: Peer<Host>| async move {
            // Where only sending is cut, it reads on.
            let _ = peer.output.send(&all_bytes()).await;
            peer.input.end().await
        })
    });
}

/// How many connections it takes.
fn cuts() -> u64 {
    answer_length() + all_bytes().len() as u64 + 1
}

/// Receives until the end of a connection, and returns what came.
async fn all_of(host: Host, socket: &Socket) -> (Vec<String>, wavetank_websocket::Closed) {
    let witness = Witness::new(socket);
    let mut messages = Vec::new();
    while let Some(message) = witness.hear(in_time(host, socket.recv()).await) {
        messages.push(message.as_text().expect("a text").to_owned());
    }
    let closed = socket.closed().await;
    witness.end(&closed);
    assert_eq!(socket.send("late").await, Err(Error::Closed(closed.clone())));
    assert_eq!(socket.ping().await, Err(Error::Closed(closed.clone())));
    assert_eq!(socket.close(CloseCode::NORMAL, "").await, closed);
    (messages, closed)
}

#[wavetank::test(seeds = 12)]
fn a_stream_that_ends_at_any_byte_delivers_what_was_whole_and_says_what_was_not(sim: &mut Sim) {
    let how = [End::Finish, End::Close][sim.choose("how", 2) as usize];
    server_that_is_cut(sim, how);
    sim.client("client", async move |host: Host| {
        for cut in 0..cuts() {
            let opened = connect(&host, config()).await;
            let Some(after) = cut.checked_sub(answer_length()) else {
                let error = opened.expect_err("the answer is cut");
                assert!(matches!(error, OpenError::Ended { .. } | OpenError::Io { .. }), "{error}");
                assert!(error.is_transient());
                continue;
            };
            let socket = opened.expect("the answer is whole");
            let (messages, closed) = all_of(host, &socket).await;
            let (whole, inside_message, close) = arrived(after);
            let reset = matches!(&closed.cause, Cause::Io { kind, .. } if *kind != ErrorKind::TimedOut);
            if reset {
                // A server that closes before it has read everything resets the stream: that may overtake nothing.
                assert!(how == End::Close, "{closed}");
                assert_eq!(messages, whole[..messages.len()]);
                continue;
            }
            assert_eq!(messages, whole);
            if close {
                assert_eq!((&closed.cause, closed.code()), (&Cause::Peer, 1000), "{closed}");
            } else {
                assert_eq!(closed.cause, Cause::EndOfInput { inside_message }, "cut at {after}: {closed}");
                assert_eq!(closed.received, None);
            }
        }
    });
}

#[wavetank::test(seeds = 6)]
fn a_reset_at_any_byte_delivers_what_came_before_in_order_and_is_the_outcome_of_all(sim: &mut Sim) {
    server_that_is_cut(sim, End::Reset);
    sim.client("client", async move |host: Host| {
        for cut in 0..cuts() {
            let opened = connect(&host, config()).await;
            // Whether it overtakes the last bytes is up to the system.
            let Ok(socket) = opened else {
                assert!(opened.expect_err("an error").is_transient());
                continue;
            };
            let after = cut.checked_sub(answer_length()).expect("the answer is whole");
            let (messages, closed) = all_of(host, &socket).await;
            let (whole, _, close) = arrived(after);
            assert_eq!(messages, whole[..messages.len()]);
            match closed.cause {
                Cause::Io { .. } => {}
                Cause::Peer => assert!(close, "{closed}"),
                _ => panic!("{closed}"),
            }
        }
    });
}

#[wavetank::test(seeds = 6)]
fn a_peer_that_falls_silent_at_any_byte_is_given_up_in_time_and_what_was_whole_is_delivered(sim: &mut Sim) {
    server_that_is_cut(sim, End::Silence);
    // Who is delayed for longer misses what comes in time.
    sim.delay_max(Duration::from_millis(100));
    sim.client("client", async move |host: Host| {
        let mut config = config();
        config.open_timeout(10 * SECOND);
        for cut in 0..cuts() {
            let opened = within(host, 11 * SECOND, connect(&host, config.clone())).await;
            let Some(after) = cut.checked_sub(answer_length()) else {
                let error = opened.expect_err("the answer is not whole");
                assert!(matches!(error, OpenError::TimedOut { .. }), "{error}");
                continue;
            };
            let socket = opened.expect("the answer is whole");
            let receiver = socket.clone();
            let receiving = host.spawn("receiver", async move { all_of(host, &receiver).await });
            host.sleep(2 * SECOND).await;
            let closed = in_time(host, socket.close(CloseCode::GOING_AWAY, "")).await;
            let (messages, told) = receiving.await.expect("no panic");
            assert_eq!(told, closed);
            let (whole, _, close) = arrived(after);
            assert_eq!(messages, whole);
            if close {
                assert_eq!((&closed.cause, closed.code()), (&Cause::Peer, 1000), "{closed}");
            } else {
                assert_eq!(closed.cause, Cause::CloseTimeout { timeout: CLOSE_TIMEOUT }, "cut at {after}");
                assert_eq!(closed.received, None);
            }
        }
    });
}

#[wavetank::test(seeds = 12, sometimes = "required")]
fn a_stream_that_ends_at_any_byte_that_we_send_ends_every_call(sim: &mut Sim) {
    let how = [End::Finish, End::Close, End::Reset, End::Silence][sim.choose("how", 4) as usize];
    sim.server("server", move |host| {
        let opening = move |after| Opening { cut_reading: Some(Cut { after, how }), ..Opening::default() };
        serve_each(host, opening, scripts::echo)
    });
    sim.client("client", async move |host: Host| {
        let mut config = config();
        config.open_timeout(10 * SECOND);
        // The request, two messages and the Close frame have fewer.
        for _ in 0..300 {
            let socket = match connect(&host, config.clone()).await {
                Ok(socket) => socket,
                Err(error) => {
                    assert!(error.is_transient(), "{error}");
                    sometimes!(true, "the request is cut");
                    continue;
                }
            };
            let witness = Witness::new(&socket);
            let receiver = witness.clone();
            let receiving = host.spawn("receiver", async move {
                let mut received = 0;
                while receiver.hear(receiver.socket.recv().await).is_some() {
                    received += 1;
                }
                received
            });
            for message in ["first", "second"] {
                if witness.hear(socket.send(message).await).is_none() {
                    break;
                }
            }
            let closed = in_time(host, socket.close(CloseCode::NORMAL, "")).await;
            witness.end(&closed);
            let received = receiving.await.expect("no panic");
            assert!(received <= 2 && (received == 2 || !closed.is_clean()), "{closed}");
            sometimes!(received < 2, "a message is cut");
            sometimes!(closed.is_clean(), "nothing is cut");
            host.sleep(SECOND).await;
        }
    });
}
