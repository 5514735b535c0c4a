//! Peers that do not read, or send more than is taken.

use std::time::Duration;

use wavetank::runtime::{Runtime, TaskHandle as _};
use wavetank::{Faults, Host, Sim, sometimes};
use wavetank_sim_tests::websocket::frames::{self, BINARY, CLOSE, PING, PONG};
use wavetank_sim_tests::websocket::numbered::{log_all, number_of, numbered};
use wavetank_sim_tests::websocket::{Peer, clients, scripts};
use wavetank_websocket::{Cause, CloseCode, Config, Error};

use super::world::{
    LONG, Log, SECOND, SLACK, Witness, config, connect, connect_plainly, connect_with, in_time, keepalive,
    patient, server, small_sockets, within,
};

/// Reads are short, too.
fn small_buffers(config: Config) -> Config {
    let mut config = clients::small_buffers(config);
    config.limits().read_buffer(1024);
    config
}

#[wavetank::test(seeds = 600, sometimes = "required", base_seed = 0x60126f3bf8311fec)]
fn keepalive_finds_a_peer_that_stops_reading(sim: &mut Sim) {
    server(sim, |peer| scripts::deaf(peer, 1000 * SECOND));
    sim.client("client", async |host: Host| {
        let config = small_buffers(keepalive(SECOND, SECOND));
        let socket = connect_with(&host, config, small_sockets()).await.expect("a connection");
        let witness = Witness::new(&socket);
        let (sender, pinger) = (witness.clone(), witness.clone());
        let sending = host.spawn("sender", async move {
            let mut sent = 0;
            while sender.hear(sender.socket.send(&*numbered(sent, 1000)).await).is_some() {
                sent += 1;
            }
            sent
        });
        let pinging = host.spawn("pinger", async move { pinger.hear(pinger.socket.ping().await) });
        // What cannot be said to the peer delays nothing.
        let closed = within(host, 2 * SECOND + SECOND + SLACK, socket.closed()).await;
        witness.end(&closed);
        assert!(matches!(closed.cause, Cause::KeepaliveTimeout { .. }), "{closed}");
        sometimes!(closed.sent.is_none(), "the Close frame is stuck behind what the peer does not read");
        assert!(sending.await.expect("no panic") < 1000, "senders wait");
        assert_eq!(pinging.await.expect("no panic"), None);
    });
}

#[wavetank::test(seeds = 600, sometimes = "required", base_seed = 0x2e0fad8a1793d12b)]
fn closing_ends_in_time_beside_a_blocked_sender(sim: &mut Sim) {
    // It may read on before the close timeout, or not.
    let deaf = SECOND * [1000, 2, 8][sim.choose("deaf", 3) as usize];
    let close_after = Duration::from_millis(500) * sim.choose("close", 5);
    let log = Log::new();
    let logged = log.clone();
    server(sim, move |peer| {
        let log = log.clone();
        async move {
            peer.host.sleep(deaf).await;
            log_all(peer, log).await
        }
    });
    sim.client("client", async move |host: Host| {
        let socket =
            connect_with(&host, small_buffers(config()), small_sockets()).await.expect("a connection");
        let witness = Witness::new(&socket);
        let sender = witness.clone();
        let sending = host.spawn("sender", async move {
            let mut sent = 0;
            while sent < 100 && sender.hear(sender.socket.send(&*numbered(sent, 1000)).await).is_some() {
                sent += 1;
            }
            sent
        });
        host.sleep(close_after).await;
        let closed = in_time(host, socket.close(CloseCode::NORMAL, "")).await;
        witness.end(&closed);
        let sent = sending.await.expect("no panic");
        sometimes!(closed.sent.is_none(), "the Close frame never reaches the wire");
        sometimes!(closed.is_clean() && sent < 100, "the peer reads on in time");
        let logged = logged.entries();
        assert!(logged.iter().copied().eq(0..logged.len() as u32), "in order, and once: {logged:?}");
        if closed.is_clean() {
            assert_eq!(logged.len() as u32, sent, "what was sent before the Close is received before it");
        }
    });
}

#[wavetank::test(seeds = 750, sometimes = "required", base_seed = 0xc2254b640976281d)]
fn closing_finds_the_answer_behind_unread_messages(sim: &mut Sim) {
    const MESSAGES: u32 = 200;
    sim.faults(Faults::none().short_transfers().tiny_windows());
    let close_after = SECOND * sim.choose("close", 3);
    server(sim, |peer: Peer<Host>| async move {
        let Peer { host, mut input, mut output } = peer;
        // Nothing is glued to the answer: that is read with it, whatever it is.
        input.frame().await?;
        let flooding = async {
            for number in 0..MESSAGES {
                output.send(&frames::frame(BINARY, &numbered(number, 40))).await?;
            }
            std::io::Result::Ok(())
        };
        let (flooded, close) = tokio::join!(flooding, input.close());
        flooded?;
        let close = close?.expect("a Close frame");
        scripts::say_goodbye(Peer { host, input, output }, &close.payload).await
    });
    sim.client("client", async move |host: Host| {
        let mut config = small_buffers(config());
        // Byte by byte, and each of them held up: it takes its time.
        config.close_timeout(1000 * SECOND);
        let socket = connect(&host, config).await.expect("a connection");
        socket.send("go").await.expect("is open");
        host.sleep(close_after).await;
        let unread = socket.statistics().messages_received;
        assert!(unread <= 4, "reading pauses at the queue's limit: {unread} are unread");
        sometimes!(unread >= 4 && close_after > Duration::ZERO, "reading is paused");
        let closed = socket.close(CloseCode::NORMAL, "enough").await;
        assert!(closed.is_clean() && closed.code() == 1000, "{closed}");
        for number in 0..MESSAGES {
            let message = socket.recv().await.expect("was received before the Close");
            assert_eq!(number_of(message.as_bytes()), number);
        }
        assert_eq!(socket.recv().await, Err(Error::Closed(closed)));
    });
}

#[wavetank::test(seeds = 750, sometimes = "required", base_seed = 0xff6fb91fa4c6ce70)]
fn the_peers_close_ends_a_blocked_sender(sim: &mut Sim) {
    let close_after = Duration::from_millis(100) * sim.choose("close", 10);
    let reads_again = sim.choose("reads again", 2) == 1;
    let ends = sim.choose("ends", 2) == 1;
    let log = Log::new();
    let logged = log.clone();
    server(sim, move |mut peer| {
        let log = log.clone();
        async move {
            peer.host.sleep(close_after).await;
            peer.output.send(&frames::close(1001, "going")).await?;
            if ends {
                // What it has not read stays where it is: our answer is behind it.
                peer.output.finish().await?;
            }
            if !reads_again {
                return scripts::deaf(peer, 1000 * SECOND).await;
            }
            peer.host.sleep(SECOND).await;
            while let Some(frame) = peer.input.frame().await? {
                match frame.opcode {
                    BINARY => log.push(number_of(&frame.payload)),
                    CLOSE if !ends => peer.output.finish().await?,
                    _ => {}
                }
            }
            Ok(())
        }
    });
    sim.client("client", async move |host: Host| {
        let mut config = small_buffers(config());
        // Long enough for a peer that is delayed to read everything.
        config.close_timeout(200 * SECOND);
        let socket = connect_with(&host, config, small_sockets()).await.expect("a connection");
        let witness = Witness::new(&socket);
        let receiver = witness.clone();
        let receiving = host.spawn("receiver", async move { receiver.hear(receiver.socket.recv().await) });
        let mut sent = 0;
        while witness.hear(socket.send(&*numbered(sent, 1000)).await).is_some() {
            sent += 1;
        }
        assert_eq!(receiving.await.expect("no panic"), None);
        let closed = socket.closed().await;
        assert_eq!((closed.code(), &closed.cause), (1001, &Cause::Peer), "{closed}");
        // Both have said Close; what is on its way still arrives.
        host.sleep(200 * SECOND).await;
        let logged = logged.entries();
        assert!(logged.iter().copied().eq(0..logged.len() as u32), "in order, and once: {logged:?}");
        // Where the peer has ended its direction before, the end is not waited for until it has read.
        if closed.is_clean() && reads_again && !ends {
            assert_eq!(logged.len() as u32, sent, "what was sent is received before the Close");
        }
        sometimes!(closed.is_clean(), "the peer reads our answer");
        sometimes!(closed.sent.is_none(), "our answer is stuck");
    });
}

#[wavetank::test(seeds = 600, sometimes = "required", base_seed = 0x38d7e2a62816ed5e)]
fn flooding_both_ways_keeps_memory_and_closing_bounded(sim: &mut Sim) {
    const CLOSING_QUEUE: usize = 64 << 10;
    let reads = sim.choose("the peer reads in the end", 2) == 1;
    let short = sim.choose("short messages", 2) == 1;
    server(sim, move |peer: Peer<Host>| async move {
        let Peer { host, mut input, mut output } = peer;
        let flooding = async {
            // Without end where it is not read; more than all buffers hold anyway.
            for number in 0..200 {
                let messages = if short { number * 20..(number + 1) * 20 } else { number..number + 1 };
                let length = if short { 4 } else { 1000 };
                let bytes: Vec<u8> =
                    messages.flat_map(|number| frames::frame(BINARY, &numbered(number, length))).collect();
                output.send(&bytes).await?;
            }
            std::io::Result::Ok(())
        };
        let reading = async {
            host.sleep(SECOND * if reads { 5 } else { 1000 }).await;
            input.close().await
        };
        let (flooded, close) = tokio::join!(flooding, reading);
        flooded?;
        match close? {
            Some(close) => scripts::say_goodbye(Peer { host, input, output }, &close.payload).await,
            None => Ok(()),
        }
    });
    sim.client("client", async move |host: Host| {
        let mut config = small_buffers(config());
        config.limits().closing_queue_bytes(CLOSING_QUEUE);
        let socket = connect_with(&host, config, small_sockets()).await.expect("a connection");
        let witness = Witness::new(&socket);
        let sender = witness.clone();
        let sending = host.spawn("sender", async move {
            for number in 0..200 {
                sender.hear(sender.socket.send(&*numbered(number, 1000)).await)?;
            }
            Some(())
        });
        host.sleep(3 * SECOND).await;
        let unread = socket.statistics().messages_received;
        assert!(unread <= 4, "reading pauses at the queue's limit: {unread} are unread");
        sometimes!(unread >= 4 && !sending.is_finished(), "both are stuck");
        let closed = in_time(host, socket.close(CloseCode::NORMAL, "")).await;
        witness.end(&closed);
        sending.await.expect("no panic");
        sometimes!(closed.is_clean(), "the peer reads in time");
        sometimes!(closed.sent.is_none(), "the peer never reads");
        let mut number = 0;
        while let Some(message) = witness.hear(socket.recv().await) {
            assert_eq!(number_of(message.as_bytes()), number, "in order, and once");
            number += 1;
        }
        assert!(number >= u32::try_from(unread).expect("few"), "what was received is delivered");
        let kept = CLOSING_QUEUE / if short { 4 + 256 } else { 1000 + 256 };
        assert!(number as usize <= kept + 1, "more than the closing queue holds: {number}");
        let statistics = socket.statistics();
        assert_eq!(u64::from(number) + statistics.messages_discarded, statistics.messages_received);
        sometimes!(short && statistics.messages_discarded > 0, "short messages are discarded");
        sometimes!(!short && statistics.messages_discarded > 0, "long messages are discarded");
    });
}

#[wavetank::test(seeds = 450, sometimes = "required", base_seed = 0x8f23342e3d586c4d)]
fn ping_floods_take_bounded_memory_and_are_answered(sim: &mut Sim) {
    const PINGS: u32 = 2000;
    let log = Log::new();
    let logged = log.clone();
    server(sim, move |mut peer| {
        let log = log.clone();
        async move {
            for number in 0..PINGS {
                peer.output.send(&frames::frame(PING, &numbered(number, 100))).await?;
            }
            while let Some(frame) = peer.input.frame().await? {
                match frame.opcode {
                    PONG => log.push(number_of(&frame.payload)),
                    CLOSE => return scripts::say_goodbye(peer, &frame.payload).await,
                    _ => {}
                }
            }
            Ok(())
        }
    });
    sim.client("client", async move |host: Host| {
        let mut config = small_buffers(config());
        config.close_timeout(1000 * SECOND);
        let socket = connect_with(&host, config, small_sockets()).await.expect("a connection");
        while socket.statistics().pings_received < u64::from(PINGS) {
            host.sleep(SECOND).await;
        }
        let closed = socket.close(CloseCode::NORMAL, "").await;
        assert!(closed.is_clean(), "{closed}");
        let pongs = logged.entries();
        assert!(pongs.is_sorted_by(|earlier, later| earlier < later), "in order, and once: {pongs:?}");
        assert_eq!(pongs.last(), Some(&(PINGS - 1)), "the latest is answered");
        let superseded = socket.statistics().pings_superseded;
        assert_eq!(pongs.len() as u64 + superseded, u64::from(PINGS));
        sometimes!(superseded > 0, "pongs collapse to the latest");
    });
}

#[wavetank::test(seeds = 600, base_seed = 0x1389fb0fb1fd39c8)]
fn pings_are_answered_while_nothing_is_received(sim: &mut Sim) {
    const PINGS: u32 = 3;
    let pause = Duration::from_millis(2) * sim.choose("pause", 3);
    let log = Log::new();
    let logged = log.clone();
    server(sim, move |mut peer: Peer<Host>| {
        let log = log.clone();
        async move {
            for number in 0..PINGS {
                peer.output.send(&frames::frame(PING, &numbered(number, 4))).await?;
                let Some(frame) = peer.input.frame().await? else { break };
                assert_eq!(frame.opcode, PONG);
                log.push(number_of(&frame.payload));
                peer.host.sleep(pause).await;
            }
            peer.input.end().await
        }
    });
    sim.client("client", async move |host: Host| {
        let socket = connect(&host, config()).await.expect("a connection");
        host.sleep(LONG).await;
        assert!(logged.entries().into_iter().eq(0..PINGS));
        drop(socket);
    });
}

#[wavetank::test(seeds = 900, sometimes = "required", base_seed = 0x110f04f6c0184c9f)]
fn paused_receiving_does_not_count_against_the_peer(sim: &mut Sim) {
    const MESSAGES: u32 = 40;
    // Beside the end of a timeout, of which one begins each second.
    let takes_after = SECOND * (2 + sim.choose("seconds", 4)) - Duration::from_millis(5)
        + Duration::from_micros(500) * sim.choose("takes", 20);
    let stops_after = sim.choose("stops", MESSAGES);
    // The queue is full before the first ping is sent, or is filled when its timeout runs.
    let fills_late = sim.choose("fills late", 2) == 1;
    sim.delay_max(Duration::from_millis(10));
    server(sim, move |mut peer: Peer<Host>| async move {
        let ping = if fills_late { peer.input.frame().await? } else { None };
        // More than all buffers hold: what comes behind it, pongs too, is not read before that is taken.
        let messages: Vec<u8> =
            (0..MESSAGES).flat_map(|number| frames::frame(BINARY, &numbered(number, 1000))).collect();
        peer.output.send(&messages).await?;
        if let Some(ping) = ping {
            peer.output.send(&frames::frame(PONG, &ping.payload)).await?;
        }
        scripts::echo(peer).await
    });
    sim.client("client", async move |host: Host| {
        let config = small_buffers(keepalive(SECOND, SECOND));
        let socket = connect_plainly(&host, config, small_sockets()).await.expect("a connection");
        for number in 0..MESSAGES {
            if number == 0 || number == stops_after {
                host.sleep(takes_after).await;
            }
            let message = socket.recv().await.expect("the peer is there");
            assert_eq!(number_of(message.as_bytes()), number, "in order, and once");
        }
        assert!(socket.ping().await.is_ok());
        sometimes!(stops_after > 4 && stops_after < 30, "reading is paused twice");
        let closed = socket.close(CloseCode::NORMAL, "").await;
        assert!(closed.is_clean() && closed.cause == Cause::Local, "{closed}");
    });
}

#[wavetank::test(seeds = 600, base_seed = 0x9eed24a4a691b87c)]
fn pings_wait_for_room_in_the_write_buffer(sim: &mut Sim) {
    const MESSAGES: u32 = 200;
    sim.delay_max(Duration::from_millis(10));
    server(sim, |peer: Peer<Host>| async move {
        peer.host.sleep(5 * SECOND).await;
        // It only answers.
        scripts::answer_the_latest_ping(peer, 1).await
    });
    sim.client("client", async |host: Host| {
        let config = small_buffers(config());
        let socket = connect_plainly(&host, config, small_sockets()).await.expect("a connection");
        let sender = socket.clone();
        let sending = host.spawn("sender", async move {
            for number in 0..MESSAGES {
                sender.send(&*numbered(number, 1000)).await.expect("is open");
            }
        });
        host.sleep(2 * SECOND).await;
        let before = socket.statistics().frames_sent;
        assert!(before < u64::from(MESSAGES), "the buffer is full");
        let pingers = [(); 5].map(|()| {
            let pinger = socket.clone();
            host.spawn("pinger", async move { pinger.ping().await.expect("a pong") })
        });
        host.sleep(SECOND).await;
        assert_eq!(
            socket.statistics().frames_sent,
            before,
            "nothing is put behind what the peer does not read"
        );
        for pinger in pingers {
            within(host, 10 * SECOND, pinger).await.expect("no panic");
        }
        sending.await.expect("no panic");
        let closed = socket.close(CloseCode::NORMAL, "").await;
        assert!(closed.is_clean(), "{closed}");
    });
}

#[wavetank::test(seeds = 600, base_seed = 0x7a7ec6542d4a5be4)]
fn reading_goes_on_once_the_queue_has_room(sim: &mut Sim) {
    const MESSAGES: u32 = 9;
    // The queue holds four.
    let taken = 6 + sim.choose("taken", 3);
    let log: Log<()> = Log::new();
    let logged = log.clone();
    server(sim, move |mut peer: Peer<Host>| {
        let log = log.clone();
        async move {
            for number in 0..MESSAGES {
                peer.output.send(&frames::frame(BINARY, &numbered(number, 4))).await?;
                peer.host.sleep(Duration::from_millis(1)).await;
            }
            peer.output.send(&frames::frame(PING, b"?")).await?;
            if peer.input.frame().await?.is_some_and(|frame| frame.opcode == PONG) {
                log.push(());
            }
            scripts::answer_close(peer).await
        }
    });
    sim.client("client", async move |host: Host| {
        let socket = connect(&host, small_buffers(patient())).await.expect("a connection");
        host.sleep(LONG).await;
        for number in 0..taken {
            let message = socket.recv().await.expect("is open");
            assert_eq!(number_of(message.as_bytes()), number, "in order, and once");
        }
        host.sleep(LONG).await;
        assert_eq!(logged.entries().len(), 1, "the ping behind the messages is answered");
        assert!(socket.close(CloseCode::NORMAL, "").await.is_clean());
    });
}

#[wavetank::test(seeds = 600, sometimes = "required", base_seed = 0xf2a07f24cc4ebdff)]
fn an_unread_close_counts_when_writing_fails(sim: &mut Sim) {
    const MESSAGES: u32 = 9;
    let send_after = Duration::from_millis(2) * sim.choose("send", 8);
    sim.delay_max(Duration::from_millis(10));
    server(sim, |mut peer: Peer<Host>| async move {
        let mut bytes: Vec<u8> =
            (0..MESSAGES).flat_map(|number| frames::frame(BINARY, &numbered(number, 4))).collect();
        bytes.extend(frames::close(1001, "going"));
        // And hears nothing: what is sent to it from now on is answered with a reset.
        peer.output.send(&bytes).await
    });
    sim.client("client", async move |host: Host| {
        let socket = connect(&host, small_buffers(config())).await.expect("a connection");
        let witness = Witness::new(&socket);
        host.sleep(send_after).await;
        let mut sent = 0;
        while witness.hear(socket.send("hello").await).is_some() {
            sent += 1;
            host.sleep(Duration::from_millis(2)).await;
        }
        sometimes!(sent > 0, "writing fails");
        let closed = socket.closed().await;
        assert_eq!((closed.code(), &closed.cause), (1001, &Cause::Peer), "{closed}");
        for number in 0..MESSAGES {
            let message = socket.recv().await.expect("was received before the Close");
            assert_eq!(number_of(message.as_bytes()), number, "in order, and once");
        }
        assert_eq!(socket.recv().await, Err(Error::Closed(closed)));
    });
}
