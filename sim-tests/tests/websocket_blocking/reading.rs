//! Callers that read for themselves, and what happens while they do something else: the peer is heard all the same,
//! soon.

use std::time::Duration;

use wavetank::runtime::Runtime;
use wavetank::{Host, Sim, sometimes};
use wavetank_sim_tests::websocket::frames::{self, CLOSE, PING, PONG, TEXT};
use wavetank_sim_tests::websocket::{Peer, scripts};
use wavetank_websocket::{Cause, CloseCode, Error};

use super::world::{
    Log, MILLISECOND, SECOND, Witness, config, connect, in_time, keepalive, server, slack, sleep, spawn,
    within,
};

/// How long a message and its answer take, at most.
const ROUND_TRIP: Duration = Duration::from_millis(4);

/// A round trip takes 4 ms at most; for 5 ms no thread reads behind a caller that has received; and timers take 2 ms
/// more.
const HEARD_WITHIN: Duration = Duration::from_millis(11);

#[wavetank::test(seeds = 300, sometimes = "required", base_seed = 0x5ff8245851fbed36)]
fn peers_are_answered_soon_after_a_receive(sim: &mut Sim) {
    let gap = MILLISECOND / 2 * sim.choose("gap", 30);
    let closes = sim.choose("closes", 2) == 1;
    let rounds = 1 + sim.choose("rounds", 4);
    sim.perturb(false);
    server(sim, move |mut peer: Peer<Host>| async move {
        for _ in 0..rounds {
            let Some(question) = peer.input.frame().await? else { return Ok(()) };
            assert_eq!(question.opcode, TEXT);
            peer.output.send(&frames::frame(TEXT, b"answer")).await?;
        }
        Runtime::sleep(&peer.host, gap).await;
        let start = Runtime::now(&peer.host);
        let last = if closes { frames::close(1000, "") } else { frames::frame(PING, b"heard?") };
        peer.output.send(&last).await?;
        let answer = peer.input.frame().await?.expect("an answer");
        assert_eq!(answer.opcode, if closes { CLOSE } else { PONG });
        let took = Runtime::now(&peer.host) - start;
        assert!(took <= HEARD_WITHIN, "answered after {took:?}");
        sometimes!(took > 5 * MILLISECOND, "the stream was not read for a while");
        sometimes!(took < 5 * MILLISECOND, "the stream was read at once");
        match answer.opcode {
            CLOSE => {
                peer.output.finish().await?;
                peer.input.end().await
            }
            _ => scripts::close_first(peer, 1000).await,
        }
    });
    sim.client_thread("client", move |host: Host| {
        let socket = connect(host, config()).expect("a connection");
        for _ in 0..rounds {
            socket.send("question").expect("is open");
            assert_eq!(socket.recv().expect("is open").as_text(), Some("answer"));
        }
        // Busy with something else.
        sleep(host, SECOND);
        assert!(socket.outcome().expect("the peer has closed").is_clean());
    });
}

#[wavetank::test(seeds = 300, sometimes = "required", base_seed = 0x3e4e44f468e9b075)]
fn an_arrived_pong_counts_whatever_its_caller_does(sim: &mut Sim) {
    // A round trip takes 4 ms at most, so that the pong of a peer that answers at once is always in time.
    let connection = keepalive(3 * MILLISECOND + MILLISECOND * sim.choose("interval", 10), 6 * MILLISECOND);
    let pauses = [0, 1].map(|_| MILLISECOND / 2 * sim.choose("pause", 30));
    let timeout = MILLISECOND * sim.choose("timeout", 60);
    sim.perturb(false);
    server(sim, scripts::echo);
    sim.client_thread("client", move |host: Host| {
        let socket = connect(host, connection).expect("a connection");
        for round in 0..40 {
            socket.send("question").expect("is open");
            loop {
                match socket.recv_timeout(timeout) {
                    Ok(message) => break assert_eq!(message.as_text(), Some("question")),
                    Err(Error::TimedOut) => {
                        sometimes!(true, "receiving timed out");
                        sleep(host, MILLISECOND);
                    }
                    Err(other) => panic!("{other}"),
                }
            }
            sleep(host, pauses[round % 2]);
        }
        assert!(socket.statistics().latency.is_some(), "there were automatic pings");
        let closed = socket.close(CloseCode::NORMAL, "");
        assert!(closed.is_clean() && closed.cause == Cause::Local, "{closed}");
    });
}

#[wavetank::test(seeds = 300, base_seed = 0x4cc0e83f52f576da)]
fn awaited_pongs_and_messages_are_read_at_once(sim: &mut Sim) {
    let pings = sim.choose("pings", 2) == 1;
    let pause = MILLISECOND / 2 * sim.choose("pause", 12);
    sim.perturb(false);
    server(sim, scripts::echo);
    sim.client_thread("client", move |host: Host| {
        let socket = connect(host, config()).expect("a connection");
        for _ in 0..5 {
            socket.send("question").expect("is open");
            assert_eq!(socket.recv().expect("is open").as_text(), Some("question"));
            sleep(host, pause);
            if pings {
                let latency = socket.ping().expect("is open");
                assert!(latency <= ROUND_TRIP, "{latency:?}");
            } else {
                socket.send("another").expect("is open");
                // Too little time to read for itself.
                let answer = socket.recv_timeout(ROUND_TRIP).expect("is there in time");
                assert_eq!(answer.as_text(), Some("another"));
            }
        }
    });
}

#[wavetank::test(seeds = 400, sometimes = "required", base_seed = 0x5a24fca773573784)]
fn a_reading_caller_learns_the_end_others_cause(sim: &mut Sim) {
    let how = sim.choose("how", 4);
    let rounds = sim.choose("rounds", 4);
    let pause = MILLISECOND / 2 * sim.choose("pause", 20);
    let slack = slack(sim);
    server(sim, move |mut peer: Peer<Host>| async move {
        while let Some(frame) = peer.input.frame().await? {
            match frame.opcode {
                TEXT => peer.output.send(&frames::frame(TEXT, &frame.payload)).await?,
                CLOSE if how == 0 => return scripts::say_goodbye(peer, &frame.payload).await,
                _ => {}
            }
        }
        Ok(())
    });
    sim.client_thread("client", move |host: Host| {
        let config = if how == 3 { keepalive(SECOND, SECOND) } else { config() };
        let socket = connect(host, config).expect("a connection");
        let witness = Witness::new(&socket);
        for _ in 0..rounds {
            match socket.send("question").and_then(|()| socket.recv()) {
                Ok(message) => assert_eq!(message.as_text(), Some("question")),
                Err(other) => panic!("{other}"),
            }
        }
        let receiver = witness.clone();
        let receiving = spawn(host, "receiver", move || {
            assert!(receiver.hear(receiver.socket.recv()).is_none(), "nothing was said");
        });
        sleep(host, pause);
        let closed = match how {
            // The peer answers our Close; or is silent; or the network is cut; or keepalive finds out.
            0 | 1 => in_time(host, slack, || socket.close(CloseCode::NORMAL, "")),
            2 => {
                host.inject().partition("client", "server");
                in_time(host, slack, || socket.close(CloseCode::NORMAL, ""))
            }
            _ => within(host, 2 * SECOND + super::world::CLOSE_TIMEOUT + slack, || socket.wait_closed()),
        };
        witness.end(&closed);
        receiving();
        match how {
            0 => sometimes!(closed.is_clean(), "a clean end"),
            3 => assert!(matches!(closed.cause, Cause::KeepaliveTimeout { .. }), "{closed}"),
            _ => sometimes!(matches!(closed.cause, Cause::CloseTimeout { .. }), "no answer to our Close"),
        }
    });
}

#[wavetank::test(seeds = 300, sometimes = "required", base_seed = 0x82e1a5dce245d598)]
fn receive_timeouts_beside_pings_lose_and_double_nothing(sim: &mut Sim) {
    const MESSAGES: u32 = 30;
    let pause = MILLISECOND * sim.choose("pause", 12);
    let timeout = MILLISECOND * sim.choose("timeout", 50);
    slack(sim);
    server(sim, scripts::echo);
    sim.client_thread("client", move |host: Host| {
        let socket = connect(host, config()).expect("a connection");
        let (log, pinger) = (Log::new(), socket.clone());
        let pinging = spawn(host, "pinger", move || {
            for _ in 0..5 {
                pinger.ping().expect("a pong");
                sleep(host, 3 * MILLISECOND);
            }
        });
        for number in 0..MESSAGES {
            if number % 3 == 0 {
                socket.feed(&number.to_string()).expect("is open");
            } else {
                socket.send(&number.to_string()).expect("is open");
            }
            let message = loop {
                // By turns with a limit, and without one.
                let received = if number % 2 == 0 { socket.recv_timeout(timeout) } else { socket.recv() };
                match received {
                    Ok(message) => break message,
                    Err(Error::TimedOut) => {
                        sometimes!(true, "receiving timed out");
                        sleep(host, MILLISECOND);
                        socket.flush().expect("is open");
                    }
                    Err(other) => panic!("{other}"),
                }
            };
            log.push(message.as_text().expect("a text").parse::<u32>().expect("a number"));
            sleep(host, pause);
        }
        pinging();
        assert!(log.entries().into_iter().eq(0..MESSAGES), "every message, once");
        sometimes!(pause > 5 * MILLISECOND, "another thread reads between");
        sometimes!(pause < 5 * MILLISECOND, "no other thread reads between");
    });
}

#[wavetank::test(seeds = 400, sometimes = "required", base_seed = 0xcf8b037054323c83)]
fn sending_waiting_or_closing_writes_fed_messages(sim: &mut Sim) {
    let how = sim.choose("how", 6);
    let pause = MILLISECOND * [0, 1, 100][sim.choose("pause", 3) as usize];
    let log: Log<(u8, Vec<u8>)> = Log::new();
    let logged = log.clone();
    sim.delay_max(MILLISECOND);
    server(sim, move |peer| {
        let log = log.clone();
        scripts::greet(peer, move |frame| {
            log.push((frame.opcode, frame.payload.clone()));
        })
    });
    sim.client_thread("client", move |host: Host| {
        let socket = connect(host, config()).expect("a connection");
        assert_eq!(socket.recv().expect("is open").as_text(), Some("welcome"));
        sleep(host, pause);
        socket.feed("fed").expect("is open");
        let behind = match how {
            0 => {
                socket.flush().expect("is open");
                None
            }
            1 => {
                assert_eq!(socket.recv().expect("is open").as_text(), Some("welcome"));
                assert_eq!(socket.recv_timeout(20 * MILLISECOND), Err(Error::TimedOut), "nothing more comes");
                None
            }
            2 => {
                socket.send("sent").expect("is open");
                Some(TEXT)
            }
            3 => {
                socket.ping().expect("is open");
                Some(PING)
            }
            4 => {
                socket.close(CloseCode::NORMAL, "");
                Some(CLOSE)
            }
            _ => {
                drop(socket);
                return everything(host, &logged, Some(CLOSE));
            }
        };
        everything(host, &logged, behind);
        let closed = socket.close(CloseCode::NORMAL, "");
        assert!(closed.is_clean(), "{closed}");
    });
}

/// Waits longer than anything may take here, and asserts that the message has come, and what came behind it.
fn everything(host: Host, logged: &Log<(u8, Vec<u8>)>, behind: Option<u8>) {
    sleep(host, SECOND);
    let came = logged.entries();
    assert_eq!(came.first(), Some(&(TEXT, b"fed".to_vec())), "what was fed");
    assert_eq!(came.get(1).map(|(opcode, _)| *opcode), behind);
    sometimes!(behind.is_none(), "nothing is sent behind it");
    sometimes!(behind.is_some(), "something is sent behind it");
}
