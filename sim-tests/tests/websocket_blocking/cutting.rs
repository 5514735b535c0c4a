//! The end of the stream at every byte: of the answer to the opening, of heads, payloads and the Close frame, and of
//! what the client sends.

use wavetank::{Host, Sim, sometimes};
use wavetank_sim_tests::websocket::conversation::{
    arrived, converse_slowly, cuts, delivered_before_a_reset, server_that_is_cut,
};
use wavetank_sim_tests::websocket::opening::answer_length;
use wavetank_sim_tests::websocket::{Cut, End, Opening, scripts, serve_each};
use wavetank_websocket::{Cause, CloseCode, Closed, Error, OpenError};

use super::world::{
    CLOSE_TIMEOUT, MILLISECOND, SECOND, SLACK, Socket, Witness, config, connect, in_time, server, slack,
    sleep, spawn, within,
};

/// Receives until the end of a connection, and returns what came.
fn all_of(host: Host, socket: &Socket) -> (Vec<String>, Closed) {
    let witness = Witness::new(socket);
    let mut messages = Vec::new();
    // Where the peer is silent, closing begins 2 s after this.
    let longest = 2 * SECOND + CLOSE_TIMEOUT + SLACK;
    while let Some(message) = witness.hear(within(host, longest, || socket.recv())) {
        messages.push(message.as_text().expect("a text").to_owned());
    }
    let closed = socket.wait_closed();
    witness.end(&closed);
    assert_eq!(socket.send("late"), Err(Error::Closed(closed.clone())));
    assert_eq!(socket.ping(), Err(Error::Closed(closed.clone())));
    assert_eq!(socket.close(CloseCode::NORMAL, ""), closed);
    (messages, closed)
}

#[wavetank::test(seeds = 12, base_seed = 0x07c950c5fca81a1d)]
fn an_end_at_any_byte_delivers_whole_messages(sim: &mut Sim) {
    let how = [End::Finish, End::Close][sim.choose("how", 2) as usize];
    server_that_is_cut(sim, how);
    sim.client_thread("client", move |host: Host| {
        for cut in 0..cuts() {
            let opened = connect(host, config());
            let Some(after) = cut.checked_sub(answer_length()) else {
                let error = opened.expect_err("the answer is cut");
                assert!(matches!(error, OpenError::Ended { .. } | OpenError::Io { .. }), "{error}");
                assert!(error.is_transient());
                continue;
            };
            let socket = opened.expect("the answer is whole");
            let (messages, closed) = all_of(host, &socket);
            let (whole, inside_message, close) = arrived(after);
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

#[wavetank::test(seeds = 8, base_seed = 0x614d29a9cf09953f)]
fn a_reset_at_any_byte_delivers_earlier_messages(sim: &mut Sim) {
    server_that_is_cut(sim, End::Reset);
    sim.client_thread("client", move |host: Host| {
        for cut in 0..cuts() {
            // The system decides whether it overtakes the last bytes.
            let socket = match connect(host, config()) {
                Ok(socket) => socket,
                Err(error) => {
                    assert!(error.is_transient(), "{error}");
                    continue;
                }
            };
            let after = cut.checked_sub(answer_length()).expect("the answer is whole");
            let (messages, closed) = all_of(host, &socket);
            let (whole, _, close) = arrived(after);
            // A reset overtakes nothing, and leaves what has arrived to be read.
            assert_eq!(messages, whole);
            match closed.cause {
                // The system reports a reset once. If the writer got it, the reader finds an end.
                Cause::Io { .. } | Cause::EndOfInput { .. } => {}
                Cause::Peer => assert!(close, "{closed}"),
                _ => panic!("{closed}"),
            }
        }
    });
}

#[wavetank::test(seeds = 60, sometimes = "required")]
fn a_network_reset_delivers_what_came_before(sim: &mut Sim) {
    let reset_after = MILLISECOND / 2 * sim.choose("reset", 24);
    slack(sim);
    server(sim, converse_slowly);
    sim.client_thread("client", move |host: Host| {
        let socket = connect(host, config()).expect("a connection");
        let resetting = spawn(host, "network", move || {
            sleep(host, reset_after);
            host.inject().reset("client", "server");
        });
        let (messages, _) = all_of(host, &socket);
        delivered_before_a_reset(&messages);
        resetting();
    });
}

#[wavetank::test(seeds = 6, base_seed = 0xf56a3fd77084e77b)]
fn silence_at_any_byte_is_found_in_time(sim: &mut Sim) {
    server_that_is_cut(sim, End::Silence);
    // A task that is delayed for longer misses what comes in time.
    sim.delay_max(100 * MILLISECOND);
    sim.client_thread("client", move |host: Host| {
        let mut config = config();
        config.open_timeout(10 * SECOND);
        for cut in 0..cuts() {
            let opened = within(host, 11 * SECOND, || connect(host, config.clone()));
            let Some(after) = cut.checked_sub(answer_length()) else {
                let error = opened.expect_err("the answer is not whole");
                assert!(matches!(error, OpenError::TimedOut { .. }), "{error}");
                continue;
            };
            let socket = opened.expect("the answer is whole");
            let receiver = socket.clone();
            let receiving = spawn(host, "receiver", move || all_of(host, &receiver));
            sleep(host, 2 * SECOND);
            let closed = in_time(host, SLACK, || socket.close(CloseCode::GOING_AWAY, ""));
            let (messages, told) = receiving();
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

#[wavetank::test(seeds = 12, sometimes = "required", base_seed = 0xda86ef359990abe9)]
fn an_end_within_our_output_ends_every_call(sim: &mut Sim) {
    let how = [End::Finish, End::Close, End::Reset, End::Silence][sim.choose("how", 4) as usize];
    sim.server("server", move |host| {
        let opening = move |after| Opening { cut_reading: Some(Cut { after, how }), ..Opening::default() };
        serve_each(host, opening, scripts::echo)
    });
    sim.client_thread("client", move |host: Host| {
        let mut config = config();
        config.open_timeout(10 * SECOND);
        // The request, two messages and the Close frame have fewer.
        for _ in 0..300 {
            let socket = match connect(host, config.clone()) {
                Ok(socket) => socket,
                Err(error) => {
                    assert!(error.is_transient(), "{error}");
                    sometimes!(true, "the request is cut");
                    continue;
                }
            };
            let witness = Witness::new(&socket);
            let receiver = witness.clone();
            let receiving = spawn(host, "receiver", move || {
                let mut received = 0;
                while receiver.hear(receiver.socket.recv()).is_some() {
                    received += 1;
                }
                received
            });
            for message in ["first", "second"] {
                if witness.hear(socket.send(message)).is_none() {
                    break;
                }
            }
            let closed = in_time(host, SLACK, || socket.close(CloseCode::NORMAL, ""));
            witness.end(&closed);
            let received = receiving();
            assert!(received <= 2 && (received == 2 || !closed.is_clean()), "{closed}");
            sometimes!(received < 2, "a message is cut");
            sometimes!(closed.is_clean(), "nothing is cut");
            sleep(host, SECOND);
        }
    });
}
