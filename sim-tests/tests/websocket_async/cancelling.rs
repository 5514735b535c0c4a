//! Calls that are dropped at any of their awaits: nothing is lost, doubled or cut, and the next call works.

use std::time::Duration;

use wavetank::runtime::Runtime;
use wavetank::{Faults, Host, Sim, cancellable, sometimes};
use wavetank_sim_tests::websocket::frames::{self, CLOSE, CONTINUATION, PING, PONG, TEXT};
use wavetank_sim_tests::websocket::{Peer, scripts};
use wavetank_websocket::{Cause, CloseCode, Error, Kind};

use super::world::{
    Log, SECOND, Socket, Witness, config, connect, connect_with, in_time, patient, server, small_sockets,
};

/// Texts, whole and in fragments, with pings between and inside of them.
fn conversation() -> (Vec<u8>, Vec<String>) {
    let long = "long ".repeat(40);
    let bytes = [
        frames::frame(TEXT, b"whole"),
        frames::fragment(TEXT, false, b"in "),
        frames::frame(PING, b"1"),
        frames::fragment(CONTINUATION, false, b""),
        frames::fragment(CONTINUATION, true, b"pieces"),
        frames::frame(PING, b"2"),
        frames::frame(TEXT, long.as_bytes()),
        frames::fragment(TEXT, false, &"é".as_bytes()[..1]),
        frames::frame(PING, b"3"),
        frames::fragment(CONTINUATION, true, &"é".as_bytes()[1..]),
        frames::frame(TEXT, b"last"),
    ];
    (bytes.concat(), ["whole", "in pieces", &long, "é", "last"].map(str::to_owned).to_vec())
}

/// Sends the conversation, byte by byte or as a whole, then closes; every ping that is answered is answered in order.
async fn converse(mut peer: Peer<Host>, pause: Option<Duration>) -> std::io::Result<()> {
    let (bytes, _) = conversation();
    match pause {
        None => peer.output.send(&bytes).await?,
        Some(pause) => peer.output.dribble(&bytes, pause).await?,
    }
    peer.output.send(&frames::close(1000, "")).await?;
    let mut pongs = Vec::new();
    while let Some(frame) = peer.input.frame().await? {
        match frame.opcode {
            PONG => pongs.push(frame.payload),
            CLOSE => peer.output.finish().await?,
            _ => {}
        }
    }
    assert!(pongs.is_sorted_by(|earlier, later| earlier < later), "{pongs:?}");
    assert_eq!(pongs.last().map(Vec::as_slice), Some(&b"3"[..]), "the latest ping is answered");
    Ok(())
}

fn pauses(sim: &mut Sim) -> Option<Duration> {
    [None, Some(Duration::ZERO), Some(Duration::from_millis(1))][sim.choose("pause", 3) as usize]
}

#[wavetank::test(seeds = 1200, sometimes = "required")]
fn a_receive_that_is_cancelled_anywhere_loses_nothing(sim: &mut Sim) {
    let pause = pauses(sim);
    sim.faults(Faults::none().short_transfers().tiny_windows());
    server(sim, move |peer| converse(peer, pause));
    sim.client("client", async |host| {
        let socket = connect(&host, patient()).await.expect("a connection");
        let witness = Witness::new(&socket);
        let (_, expected) = conversation();
        let mut received = Vec::new();
        loop {
            let before = socket.statistics();
            match cancellable("recv", socket.recv()).await.map(|answer| witness.hear(answer)) {
                None => {
                    let after = socket.statistics();
                    let moved = after.frames_received > before.frames_received;
                    let inside = after.messages_received == before.messages_received;
                    sometimes!(moved && inside, "a receive is cancelled inside a message");
                }
                Some(None) => break,
                Some(Some(message)) => received.push(message.as_text().expect("a text").to_owned()),
            }
        }
        assert_eq!(received, expected, "every message, once and whole");
        let closed = socket.closed().await;
        assert!(closed.is_clean(), "{closed}");
    });
}

#[wavetank::test(seeds = 1200, sometimes = "required", base_seed = 0x3099ba83382304db)]
fn mixed_fragment_and_message_receives_survive_cancellation(sim: &mut Sim) {
    let pause = pauses(sim);
    let by_fragment: Vec<bool> = (0..5).map(|_| sim.choose("by fragment", 2) == 1).collect();
    server(sim, move |peer| converse(peer, pause));
    sim.client("client", async move |host| {
        let socket = connect(&host, patient()).await.expect("a connection");
        let (_, expected) = conversation();
        for (expected, by_fragment) in expected.into_iter().zip(by_fragment) {
            let mut received = Vec::new();
            let (mut begun, mut last) = (false, false);
            while !last {
                if by_fragment || begun {
                    let Some(piece) = cancellable("recv_fragment", socket.recv_fragment()).await else {
                        sometimes!(begun, "a receive is cancelled between two fragments");
                        continue;
                    };
                    let piece = piece.expect("was received before the Close");
                    assert_eq!(
                        piece.first, !begun,
                        "the first piece of a message, and no other, is its first"
                    );
                    begun = true;
                    received.extend_from_slice(&piece.data);
                    last = piece.last;
                } else if let Some(message) = cancellable("recv", socket.recv()).await {
                    received.extend_from_slice(message.expect("was received before the Close").as_bytes());
                    last = true;
                }
            }
            assert_eq!(String::from_utf8(received).expect("a text"), expected);
        }
        let Err(Error::Closed(closed)) = in_time(host, socket.recv()).await else {
            panic!("nothing is left")
        };
        assert!(closed.is_clean(), "{closed}");
    });
}

/// Reads slowly; logs whole messages; answers the Close, and pings.
async fn read_slowly(mut peer: Peer<Host>, log: Log<String>, pause: Duration) -> std::io::Result<()> {
    let mut message = Vec::new();
    while let Some(frame) = peer.input.frame().await? {
        match frame.opcode {
            CLOSE => return scripts::say_goodbye(peer, &frame.payload).await,
            PING => peer.output.send(&frames::frame(PONG, &frame.payload)).await?,
            PONG => {}
            _ => {
                message.extend_from_slice(&frame.payload);
                if frame.fin {
                    log.push(String::from_utf8(std::mem::take(&mut message)).expect("a text"));
                }
                peer.host.sleep(pause).await;
            }
        }
    }
    Ok(())
}

/// A connection on which a few messages fill every buffer.
async fn connect_narrow(host: &Host) -> Socket {
    let mut config = config();
    config.limits().write_buffer(1024);
    config.close_timeout(1000 * SECOND);
    let narrow = small_sockets();
    connect_with(host, config, narrow).await.expect("a connection")
}

fn text(sender: u32, number: u32) -> String {
    format!("{sender} {number} {}", "x".repeat(700))
}

#[wavetank::test(seeds = 900, sometimes = "required", base_seed = 0x7c6917a104aea788)]
fn a_cancelled_send_sends_all_or_nothing(sim: &mut Sim) {
    let pause = Duration::from_millis(5) * sim.choose("pause", 3);
    sim.faults(Faults::none().short_transfers().tiny_windows());
    let log = Log::new();
    let logged = log.clone();
    server(sim, move |peer| read_slowly(peer, log.clone(), pause));
    sim.client("client", async move |host: Host| {
        let socket = connect_narrow(&host).await;
        let senders = [1, 2].map(|sender| {
            let socket = socket.clone();
            host.spawn("sender", async move {
                let mut sent = Vec::new();
                for number in 0..15 {
                    let text = text(sender, number);
                    match cancellable("send", socket.send(text.as_str())).await {
                        Some(answer) => {
                            answer.expect("is open");
                            sent.push(text);
                        }
                        None => sometimes!(true, "a send is cancelled"),
                    }
                }
                sent
            })
        });
        let mut sent = Vec::new();
        for sender in senders {
            sent.push(sender.await.expect("no panic"));
        }
        let closed = socket.close(CloseCode::NORMAL, "").await;
        assert!(closed.is_clean(), "{closed}");
        let received = logged.entries();
        for (sender, sent) in ["1 ", "2 "].into_iter().zip(sent) {
            let of_sender: Vec<&String> = received.iter().filter(|text| text.starts_with(sender)).collect();
            assert_eq!(of_sender, sent.iter().collect::<Vec<_>>(), "what was sent, and nothing else");
        }
    });
}

#[wavetank::test(seeds = 900, sometimes = "required", base_seed = 0x12a520d0dd54a7be)]
fn a_message_continues_after_a_cancelled_piece(sim: &mut Sim) {
    let pause = Duration::from_millis(5) * sim.choose("pause", 3);
    let log = Log::new();
    let logged = log.clone();
    server(sim, move |peer| read_slowly(peer, log.clone(), pause));
    sim.client("client", async move |host: Host| {
        let socket = connect_narrow(&host).await;
        // Another task sends as well: never inside of the message.
        let other = socket.clone();
        let sending = host.spawn("sender", async move {
            for number in 0..5 {
                other.send(text(2, number).as_str()).await.expect("is open");
            }
        });
        let mut writer = loop {
            match cancellable("send_stream", socket.send_stream(Kind::Text)).await {
                Some(writer) => break writer.expect("is open"),
                None => sometimes!(true, "the beginning is cancelled"),
            }
        };
        let mut expected = String::new();
        for number in 0..10 {
            let piece = text(1, number);
            match cancellable("write", writer.write(piece.as_bytes())).await {
                Some(answer) => {
                    answer.expect("is open");
                    expected.push_str(&piece);
                }
                None => sometimes!(!expected.is_empty(), "a piece is cancelled"),
            }
        }
        writer.finish(b".").await.expect("is open");
        expected.push('.');
        sending.await.expect("no panic");
        let closed = socket.close(CloseCode::NORMAL, "").await;
        assert!(closed.is_clean(), "{closed}");
        let received = logged.entries();
        assert_eq!(
            received.iter().filter(|text| **text == expected).count(),
            1,
            "the message, once and whole"
        );
        let others: Vec<&String> = received.iter().filter(|text| text.starts_with("2 ")).collect();
        assert!(others.into_iter().eq(&(0..5).map(|number| text(2, number)).collect::<Vec<_>>()));
    });
}

#[wavetank::test(seeds = 750, sometimes = "required", base_seed = 0x45b7382664f31d31)]
fn cancelling_a_messages_end_closes_the_connection(sim: &mut Sim) {
    let log = Log::new();
    let logged = log.clone();
    server(sim, move |peer| read_slowly(peer, log.clone(), Duration::from_millis(5)));
    sim.client("client", async move |host: Host| {
        let socket = connect_narrow(&host).await;
        let mut writer = socket.send_stream(Kind::Text).await.expect("is open");
        for number in 0..5 {
            writer.write(text(1, number).as_bytes()).await.expect("is open");
        }
        let finished = cancellable("finish", writer.finish(b".")).await;
        let sent = socket.send("next").await;
        if let Some(answer) = finished {
            answer.expect("is open");
            sent.expect("is open");
            socket.close(CloseCode::NORMAL, "").await;
            assert_eq!(logged.entries().len(), 2);
        } else {
            sometimes!(true, "the end is cancelled");
            let Err(Error::Closed(closed)) = sent else { panic!("the message is unfinished") };
            assert_eq!(closed.cause, Cause::Local, "{closed}");
            assert_eq!(closed.code(), 1011);
            assert_eq!(logged.entries(), Vec::<String>::new());
        }
    });
}

#[wavetank::test(seeds = 750, sometimes = "required", base_seed = 0x5a7283b69b5ea877)]
fn cancelled_pings_are_forgotten_and_closing_goes_on(sim: &mut Sim) {
    let silent = sim.choose("silent", 2) == 1;
    // A task that is delayed for as long as closing may take proves nothing.
    sim.delay_max(Duration::from_millis(100));
    server(sim, move |peer: Peer<Host>| async move {
        if silent { scripts::silent(peer).await } else { scripts::echo(peer).await }
    });
    sim.client("client", async move |host: Host| {
        let socket = connect(&host, config()).await.expect("a connection");
        let witness = Witness::new(&socket);
        for _ in 0..3 {
            // Beside a silent peer a ping never ends, unless it is cancelled.
            if silent {
                let pinger = witness.clone();
                host.spawn("pinger", async move {
                    cancellable("ping", pinger.socket.ping()).await.and_then(|answer| pinger.hear(answer))
                });
            } else if let Some(latency) = cancellable("ping", socket.ping()).await {
                latency.expect("is open");
            }
        }
        match in_time(host, cancellable("close", socket.close(CloseCode::NORMAL, ""))).await {
            Some(closed) => witness.end(&closed),
            None => sometimes!(true, "closing is cancelled"),
        }
        let closed = match in_time(host, cancellable("closed", socket.closed())).await {
            Some(closed) => closed,
            None => in_time(host, socket.closed()).await,
        };
        witness.end(&closed);
        assert_eq!(closed.sent.as_ref().and_then(|frame| frame.code), Some(CloseCode::NORMAL));
        assert!(matches!(closed.cause, Cause::Local | Cause::CloseTimeout { .. }), "{closed}");
    });
}

#[wavetank::test(seeds = 750, sometimes = "required", base_seed = 0x830fb2543dcbcd13)]
fn selecting_between_receiving_and_sending_loses_nothing(sim: &mut Sim) {
    const MESSAGES: u32 = 10;
    server(sim, scripts::echo);
    sim.client("client", async |host: Host| {
        let socket = connect_narrow(&host).await;
        let (mut sent, mut received) = (0, 0);
        while received < MESSAGES {
            let next = text(1, sent);
            tokio::select! {
                message = socket.recv() => {
                    let message = message.expect("is open");
                    assert_eq!(message.as_text(), Some(text(1, received).as_str()));
                    received += 1;
                }
                answer = socket.send(next.as_str()), if sent < MESSAGES => {
                    answer.expect("is open");
                    sent += 1;
                }
                () = host.sleep(Duration::from_millis(1)) => sometimes!(received > 0, "both are dropped"),
            }
        }
        assert!(socket.close(CloseCode::NORMAL, "").await.is_clean());
    });
}
