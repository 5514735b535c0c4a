//! Receiving with timeouts at every byte, and with more than one receiver: nothing is lost, doubled or disturbed.

use wavetank::runtime::Runtime;
use wavetank::{Host, Sim, sometimes};
use wavetank_sim_tests::websocket::frames::{self, CONTINUATION, PING, PONG, TEXT};
use wavetank_sim_tests::websocket::scripts;
use wavetank_websocket::{CloseCode, Error, Message};

use super::world::{
    CLOSE_TIMEOUT, Log, MILLISECOND, SECOND, config, connect, now, server, slack, sleep, spawn, within,
};

const MESSAGES: u32 = 12;

/// Messages whole and in fragments, with control frames between the fragments.
fn bytes() -> Vec<u8> {
    [
        frames::frame(TEXT, b"first"),
        frames::fragment(TEXT, false, b"sec"),
        frames::frame(PING, b"between"),
        frames::fragment(CONTINUATION, false, b""),
        frames::frame(PONG, b"unasked for"),
        frames::fragment(CONTINUATION, true, b"ond"),
        frames::frame(TEXT, "x".repeat(200).as_bytes()),
        frames::frame(PING, b""),
        frames::frame(TEXT, b""),
    ]
    .concat()
}

#[wavetank::test(seeds = 200, sometimes = "required", base_seed = 0x0e2f0631c3f92caa)]
fn receive_timeouts_at_every_byte_lose_nothing(sim: &mut Sim) {
    let pause = MILLISECOND / 4 * (1 + sim.choose("pause", 8));
    let timeout = MILLISECOND / 4 * sim.choose("timeout", 8);
    let slack = slack(sim);
    let pongs = Log::new();
    let logged = pongs.clone();
    server(sim, move |mut peer| {
        let pongs = pongs.clone();
        async move {
            peer.output.dribble(&bytes(), pause).await?;
            peer.output.dribble(&frames::close(1000, "done"), pause).await?;
            while let Some(frame) = peer.input.frame().await? {
                if frame.opcode == PONG {
                    pongs.push(frame.payload);
                } else if frame.close_code().is_some() {
                    peer.output.finish().await?;
                }
            }
            Ok(())
        }
    });
    sim.client_thread("client", move |host: Host| {
        let mut config = config();
        config.close_timeout(200 * SECOND);
        let socket = connect(host, config).expect("a connection");
        let (mut received, mut timeouts) = (Vec::new(), 0);
        let closed = loop {
            match within(host, timeout + slack, || socket.recv_timeout(timeout)) {
                Ok(message) => received.push(message),
                Err(Error::TimedOut) => {
                    timeouts += 1;
                    // A timeout of nothing does not wait.
                    sleep(host, MILLISECOND / 4);
                }
                Err(Error::Closed(closed)) => break closed,
                Err(other) => panic!("{other}"),
            }
        };
        assert_eq!(received, ["first", "second", "x".repeat(200).as_str(), ""].map(Message::text));
        assert!(closed.is_clean() && closed.code() == 1000, "{closed}");
        // Both have said Close; what is on its way still arrives.
        sleep(host, SECOND);
        let pongs = logged.entries();
        // RFC 6455, section 5.5.3: the latest is always answered.
        assert!(matches!(pongs.last(), Some(last) if last.is_empty()), "{pongs:?}");
        sometimes!(timeouts > 100, "receiving timed out at most bytes");
        sometimes!(timeouts < 100, "receiving waited for some bytes");
    });
}

#[wavetank::test(seeds = 300, sometimes = "required", base_seed = 0x5834f5fe4eeb7440)]
fn mixed_fragment_and_message_receives_survive_timeouts(sim: &mut Sim) {
    let pause = MILLISECOND / 4 * sim.choose("pause", 8);
    let timeout = MILLISECOND / 4 * sim.choose("timeout", 8);
    let by_fragment: Vec<bool> = (0..4).map(|_| sim.choose("by fragment", 2) == 1).collect();
    server(sim, move |mut peer| async move {
        peer.output.dribble(&bytes(), pause).await?;
        scripts::close_first(peer, 1000).await
    });
    sim.client_thread("client", move |host: Host| {
        let socket = connect(host, config()).expect("a connection");
        let long = "x".repeat(200);
        for (expected, by_fragment) in ["first", "second", &long, ""].into_iter().zip(by_fragment) {
            let mut received = Vec::new();
            let mut begun = false;
            let mut last = false;
            while !last {
                // Until a message that was begun by the piece has ended, there is no other way to take it.
                let answer = if by_fragment || begun {
                    socket
                        .recv_fragment_timeout(timeout)
                        .map(|piece| (piece.data.to_vec(), piece.first, piece.last))
                } else {
                    socket.recv_timeout(timeout).map(|message| (message.as_bytes().to_vec(), true, true))
                };
                match answer {
                    Ok((data, is_first, is_last)) => {
                        assert_eq!(is_first, !begun);
                        received.extend(data);
                        (begun, last) = (true, is_last);
                    }
                    Err(Error::TimedOut) => {
                        sometimes!(begun, "time is up between two fragments");
                        sleep(host, MILLISECOND / 4);
                    }
                    Err(other) => panic!("{other}"),
                }
            }
            assert_eq!(String::from_utf8(received).expect("a text"), expected);
        }
        let Err(Error::Closed(closed)) = socket.recv() else { panic!("nothing is left") };
        assert_eq!(closed.code(), 1000, "{closed}");
    });
}

#[wavetank::test(seeds = 200, sometimes = "required", base_seed = 0x3d9077229db201b8)]
fn fragments_come_one_by_one_between_timeouts(sim: &mut Sim) {
    let pause = MILLISECOND * sim.choose("pause", 5);
    let slack = slack(sim);
    server(sim, move |mut peer| async move {
        for (number, last) in [(0, false), (1, false), (2, true), (3, false), (4, true)] {
            let opcode = if matches!(number, 0 | 3) { TEXT } else { CONTINUATION };
            peer.output.send(&frames::fragment(opcode, last, &[b'0' + number])).await?;
            peer.output.send(&frames::frame(PING, b"between")).await?;
            Runtime::sleep(&peer.host, pause).await;
        }
        scripts::close_first(peer, 1000).await
    });
    sim.client_thread("client", move |host: Host| {
        let socket = connect(host, config()).expect("a connection");
        let (mut taken, mut timeouts) = (Vec::new(), 0);
        loop {
            match within(host, MILLISECOND + slack, || socket.recv_fragment_timeout(MILLISECOND)) {
                Ok(fragment) => taken.push((fragment.data[0] - b'0', fragment.first, fragment.last)),
                Err(Error::TimedOut) => timeouts += 1,
                Err(Error::Closed(closed)) => break assert_eq!(closed.code(), 1000, "{closed}"),
                Err(other) => panic!("{other}"),
            }
        }
        let expected =
            [(0, true, false), (1, false, false), (2, false, true), (3, true, false), (4, false, true)];
        assert_eq!(taken, expected);
        sometimes!(timeouts > 5, "receiving timed out between fragments");
    });
}

#[wavetank::test(seeds = 400, sometimes = "required", base_seed = 0xe64c18fd290b4ae6)]
fn concurrent_receivers_get_every_message_once(sim: &mut Sim) {
    let pause = MILLISECOND / 2 * sim.choose("pause", 4);
    server(sim, move |mut peer| async move {
        for number in 0..MESSAGES {
            peer.output.send(&frames::frame(TEXT, number.to_string().as_bytes())).await?;
            Runtime::sleep(&peer.host, pause).await;
        }
        scripts::close_first(peer, 1000).await
    });
    sim.client_thread("client", move |host: Host| {
        let socket = connect(host, config()).expect("a connection");
        let log = Log::new();
        let receivers = ["receiver", "other", "third"].map(|name| {
            let (socket, log) = (socket.clone(), log.clone());
            spawn(host, name, move || {
                loop {
                    match socket.recv_timeout(2 * MILLISECOND) {
                        Ok(message) => {
                            log.push(message.as_text().expect("a text").parse::<u32>().expect("a number"));
                        }
                        Err(Error::TimedOut) => sometimes!(true, "a receiver has waited long enough"),
                        Err(Error::ConcurrentRecv) => {
                            sometimes!(true, "a receiver finds another");
                            sleep(host, MILLISECOND);
                        }
                        Err(Error::Closed(closed)) => return closed,
                        Err(other) => panic!("{other}"),
                    }
                }
            })
        });
        let ends = receivers.map(|receiver| receiver());
        assert!(ends.iter().all(|end| *end == ends[0] && end.code() == 1000), "{ends:?}");
        let mut received = log.entries();
        received.sort_unstable();
        assert!(received.into_iter().eq(0..MESSAGES), "every message, once");
    });
}

#[wavetank::test(seeds = 300, base_seed = 0x7b3a7144d06e309b)]
fn a_second_receiver_is_refused_at_once(sim: &mut Sim) {
    let how = sim.choose("how", 3);
    let slack = slack(sim);
    server(sim, scripts::echo);
    sim.client_thread("client", move |host: Host| {
        let socket = connect(host, config()).expect("a connection");
        let first = socket.clone();
        let receiving = spawn(host, "first", move || first.recv());
        // The first waits: nothing comes before something is sent.
        sleep(host, 20 * SECOND);
        for _ in 0..3 {
            let start = now(host);
            let refused = match how {
                0 => socket.recv().err(),
                1 => socket.recv_timeout(CLOSE_TIMEOUT).err(),
                _ => socket.recv_fragment().err(),
            };
            assert_eq!(refused, Some(Error::ConcurrentRecv));
            assert!(now(host) - start <= slack, "a refusal does not wait");
        }
        socket.send("hello").expect("is open");
        assert_eq!(receiving().expect("is open").as_text(), Some("hello"));
        socket.send("again").expect("is open");
        assert_eq!(socket.recv().expect("is open").as_text(), Some("again"));
        let closed = socket.close(CloseCode::NORMAL, "");
        assert!(closed.sent.is_some(), "{closed}");
    });
}
