//! Sending with timeouts beside a peer that reads now and then, and from several threads: each message goes out whole
//! and once, or not at all, and the caller knows which.

use std::time::Duration;

use wavetank::runtime::{BlockingListener as _, ListenOptions, Runtime, Threads};
use wavetank::{Faults, Host, Sim, sometimes};
use wavetank_sim_tests::websocket::frames::{BINARY, CLOSE, CONTINUATION};
use wavetank_sim_tests::websocket::{Opening, Peer, scripts, serve};
use wavetank_websocket::blocking::Server;
use wavetank_websocket::{CloseCode, Error, Kind};

use super::world::{
    Log, MILLISECOND, SECOND, SLACK, config, connect, connect_narrow, now, patient, server, slack, sleep,
    spawn, within,
};

/// Reads messages into `log`, with a pause after each frame; the Close is answered.
async fn log_slowly(mut peer: Peer<Host>, pause: Duration, log: Log<Vec<u8>>) -> std::io::Result<()> {
    let mut message = Vec::new();
    while let Some(frame) = peer.input.frame().await? {
        match frame.opcode {
            BINARY | CONTINUATION => {
                message.extend(frame.payload);
                if frame.fin {
                    log.push(std::mem::take(&mut message));
                }
            }
            CLOSE => return scripts::say_goodbye(peer, &frame.payload).await,
            _ => {}
        }
        Runtime::sleep(&peer.host, pause).await;
    }
    Ok(())
}

#[wavetank::test(seeds = 300, sometimes = "required", base_seed = 0x2ee8e75b075980c0)]
fn a_message_times_out_or_is_sent_once(sim: &mut Sim) {
    let pause = MILLISECOND * [0, 20, 200][sim.choose("pause", 3) as usize];
    let timeout = MILLISECOND * [0, 1, 50][sim.choose("timeout", 3) as usize];
    // The peer reads on while it pauses now and then: in this time it has read everything.
    let longest = timeout + slack(sim) + 30 * (pause + 60 * MILLISECOND);
    sim.faults(Faults::none().short_transfers().tiny_windows());
    let log = Log::new();
    let logged = log.clone();
    server(sim, move |peer| log_slowly(peer, pause, log.clone()));
    sim.client_thread("client", move |host: Host| {
        let mut config = config();
        config.limits().write_buffer(2048);
        config.close_timeout(1000 * SECOND);
        let socket = connect_narrow(host, config).expect("a connection");
        let senders = [1, 2].map(|sender: u8| {
            let socket = socket.clone();
            spawn(host, if sender == 1 { "sender" } else { "other" }, move || {
                let mut sent = Vec::new();
                for number in 0..15 {
                    let message = [sender, number].repeat(400);
                    let start = now(host);
                    match within(host, longest, || socket.send_timeout(&message, timeout)) {
                        Ok(()) => sent.push(message),
                        Err(Error::TimedOut) => {
                            assert!(now(host) - start >= timeout, "the stream gets its time");
                            sometimes!(true, "a message is not sent in time");
                            sleep(host, 10 * MILLISECOND);
                        }
                        Err(other) => panic!("{other}"),
                    }
                }
                sent
            })
        });
        let mut sent = senders.map(|sender| sender());
        let closed = socket.close(CloseCode::NORMAL, "");
        assert!(closed.is_clean(), "{closed}");
        sometimes!(sent.iter().all(|sent| sent.len() == 15), "every message is sent in time");
        let received = logged.entries();
        for sent in &mut sent {
            let Some(sender) = sent.first().map(|message| message[0]) else { continue };
            let of_sender: Vec<_> = received.iter().filter(|message| message[0] == sender).cloned().collect();
            assert_eq!(of_sender, *sent, "what was sent, once, whole and in order");
        }
        assert_eq!(received.len(), sent[0].len() + sent[1].len());
    });
}

#[wavetank::test(seeds = 300, sometimes = "required", base_seed = 0x1184e23695b0c7da)]
fn concurrent_senders_never_mix_their_messages(sim: &mut Sim) {
    let pause = MILLISECOND * [0, 5][sim.choose("pause", 2) as usize];
    sim.faults(Faults::none().short_transfers().tiny_windows());
    let log = Log::new();
    let logged = log.clone();
    server(sim, move |peer| log_slowly(peer, pause, log.clone()));
    sim.client_thread("client", move |host: Host| {
        let mut config = config();
        config.limits().write_buffer(1024);
        config.close_timeout(1000 * SECOND);
        let socket = connect_narrow(host, config).expect("a connection");
        let senders = [1_u8, 2, 3].map(|sender| {
            let socket = socket.clone();
            spawn(host, ["first", "second", "third"][usize::from(sender) - 1], move || {
                for number in 0..6 {
                    let message = [sender, number].repeat(150);
                    if (sender + number) % 2 == 0 {
                        socket.send(&message).expect("is open");
                    } else {
                        socket.send_fragments(Kind::Binary, message.chunks(70)).expect("is open");
                    }
                }
            })
        });
        for sender in senders {
            sender();
        }
        let closed = socket.close(CloseCode::NORMAL, "");
        assert!(closed.is_clean(), "{closed}");
        let received = logged.entries();
        assert_eq!(received.len(), 18);
        for sender in [1, 2, 3] {
            let numbers = received.iter().filter(|message| message[0] == sender).map(|message| message[1]);
            assert!(numbers.eq(0..6), "once and in order");
        }
        assert!(received.iter().all(|message| *message == message[..2].repeat(150)), "whole");
        sometimes!(received.windows(2).any(|pair| pair[0][0] != pair[1][0]), "senders take turns");
    });
}

/// Reads one message, and ends the connection at once.
async fn read_one(mut peer: Peer<Host>) -> std::io::Result<()> {
    while let Some(frame) = peer.input.frame().await? {
        if frame.fin {
            break;
        }
    }
    Ok(())
}

#[wavetank::test(seeds = 1500, sometimes = "required", base_seed = 0x9bc6d9689119aeb5)]
fn a_message_the_peer_read_counts_as_sent(sim: &mut Sim) {
    let in_pieces = sim.choose("in pieces", 2) == 1;
    server(sim, read_one);
    sim.client_thread("client", move |host: Host| {
        let socket = connect_narrow(host, config()).expect("a connection");
        let sent = if in_pieces {
            socket.send_fragments(Kind::Text, ["the last ", "word"])
        } else {
            socket.send("the last word")
        };
        sometimes!(socket.outcome().is_some(), "the connection is over when the call returns");
        assert_eq!(sent, Ok(()), "the server ends the connection because it has read the message");
        assert!(matches!(socket.recv(), Err(Error::Closed(_))));
    });
}

/// Accepts one connection, and returns the messages that come.
fn take_all(host: Host, log: &Log<usize>) -> std::io::Result<()> {
    let listener = Threads::listen(&host, ([0, 0, 0, 0], 80).into(), ListenOptions::new())?;
    let (stream, _) = listener.accept()?;
    let socket = Server::new(host).config(config()).accept(stream).expect("a client");
    while let Ok(message) = socket.recv() {
        log.push(message.as_bytes().len());
    }
    socket.wait_closed();
    Ok(())
}

#[wavetank::test(seeds = 300, sometimes = "required")]
fn calls_are_answered_while_a_message_is_deflated(sim: &mut Sim) {
    let log = Log::new();
    let (logged, looks) = (log.clone(), 1 + sim.choose("looks", 20));
    sim.server_thread("server", move |host| take_all(host, &log));
    sim.client_thread("client", move |host: Host| {
        let socket = connect(host, patient()).expect("a connection");
        assert!(socket.compression().is_some());
        let sender = socket.clone();
        let sending = spawn(host, "sender", move || sender.send(&[7; 100_000]).expect("is open"));
        let mut sent = 0;
        for _ in 0..looks {
            // There is room in the write buffer: what this waits for is the turn of the other.
            match socket.send_timeout("short", Duration::ZERO) {
                Ok(()) => sent += 1,
                Err(Error::TimedOut) => {
                    let nothing_yet = socket.statistics().messages_sent == sent;
                    sometimes!(nothing_yet, "the connection answers while a message is deflated");
                }
                Err(error) => panic!("{error}"),
            }
        }
        sending();
        assert!(socket.close(CloseCode::NORMAL, "").is_clean());
        // The server takes what has come.
        sleep(host, SLACK);
        let mut lengths = logged.entries();
        lengths.sort_unstable();
        assert_eq!(lengths.len() as u64, sent + 1);
        assert_eq!(lengths.last(), Some(&100_000));
    });
}

#[wavetank::test(seeds = 300, sometimes = "required")]
fn a_message_that_is_fed_delays_no_sender(sim: &mut Sim) {
    let log = Log::new();
    let (logged, looks) = (log.clone(), sim.choose("looks", 20));
    sim.server_thread("server", move |host| take_all(host, &log));
    sim.client_thread("client", move |host: Host| {
        // Nothing else wakes the sender.
        let socket = connect(host, patient()).expect("a connection");
        assert!(socket.compression().is_some());
        let feeder = socket.clone();
        let feeding = spawn(host, "feeder", move || feeder.feed(&[7; 100_000]).expect("is open"));
        for _ in 0..looks {
            let _at_once = socket.statistics();
        }
        let is_first = socket.statistics().messages_sent == 0;
        within(host, SECOND + SLACK, || socket.send("short")).expect("is open");
        sometimes!(is_first && socket.statistics().messages_sent == 2, "the sender waits for its turn");
        feeding();
        assert!(socket.close(CloseCode::NORMAL, "").is_clean());
        // The server takes what has come.
        sleep(host, SLACK);
        let mut lengths = logged.entries();
        lengths.sort_unstable();
        assert_eq!(lengths, [5, 100_000]);
    });
}

#[wavetank::test(seeds = 300, sometimes = "required")]
fn a_close_during_deflating_keeps_the_timeout(sim: &mut Sim) {
    let looks = sim.choose("looks", 20);
    let timeout = 50 * MILLISECOND;
    sim.server("server", |host| {
        let headers = "Sec-WebSocket-Extensions: permessage-deflate\r\n";
        serve(host, Opening { headers, ..Opening::default() }, |peer| scripts::deaf(peer, 1000 * SECOND))
    });
    sim.client_thread("client", move |host: Host| {
        let socket = connect(host, config()).expect("a connection");
        assert!(socket.compression().is_some());
        let sender = socket.clone();
        let sending = spawn(host, "sender", move || {
            within(host, timeout + SLACK, || sender.send_timeout(&[7; 100_000], timeout))
        });
        for _ in 0..looks {
            let _at_once = socket.statistics();
        }
        assert!(!socket.close(CloseCode::NORMAL, "").is_clean());
        match sending() {
            Ok(()) => sometimes!(true, "a message is sent before the Close"),
            Err(Error::Closing) => sometimes!(true, "the timeout of a message is over before the closing"),
            Err(other) => panic!("{other}"),
        }
    });
}
