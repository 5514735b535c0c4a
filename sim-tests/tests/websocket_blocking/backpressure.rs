//! Peers that do not read, or send more than is taken.

use wavetank::runtime::Runtime;
use wavetank::{Faults, Host, Sim, sometimes};
use wavetank_sim_tests::websocket::frames::{self, BINARY, CLOSE, PING, PONG};
use wavetank_sim_tests::websocket::numbered::{log_all, number_of, numbered};
use wavetank_sim_tests::websocket::{Peer, scripts};
use wavetank_websocket::{Cause, CloseCode, Error};

use super::world::{
    Log, MILLISECOND, SECOND, Socket, Witness, config, connect, connect_narrow, in_time, keepalive, server,
    slack, sleep, small_buffers, spawn, within,
};

/// Who writes what is sent, and so is stuck where the peer does not read: the sender, or the thread that keeps the
/// time.
#[derive(Clone, Copy)]
enum Writes {
    Sender,
    Thread,
}

fn writes(sim: &mut Sim) -> Writes {
    [Writes::Sender, Writes::Thread][sim.choose("who writes", 2) as usize]
}

/// Sends numbered messages until the end, `most` at most, and returns how many were sent.
fn send_all(witness: &Witness<Socket>, most: u32, writes: Writes) -> u32 {
    let send = |number| match writes {
        Writes::Sender => witness.socket.send(&numbered(number, 1000)),
        Writes::Thread => witness.socket.send_timeout(&numbered(number, 1000), 5000 * SECOND),
    };
    (0..most).take_while(|&number| witness.hear(send(number)).is_some()).count() as u32
}

#[wavetank::test(seeds = 300, sometimes = "required", base_seed = 0x801eb2b573aaf197)]
fn keepalive_finds_a_peer_that_stops_reading(sim: &mut Sim) {
    let (writes, slack) = (writes(sim), slack(sim));
    server(sim, |peer| scripts::deaf(peer, 1000 * SECOND));
    sim.client_thread("client", move |host: Host| {
        let config = small_buffers(keepalive(SECOND, SECOND));
        let socket = connect_narrow(host, config).expect("a connection");
        let witness = Witness::new(&socket);
        let (sender, pinger) = (witness.clone(), witness.clone());
        let sending = spawn(host, "sender", move || send_all(&sender, 1000, writes));
        let pinging = spawn(host, "pinger", move || pinger.hear(pinger.socket.ping()));
        // What cannot be said to the peer delays nothing.
        let closed = within(host, 3 * SECOND + slack, || socket.wait_closed());
        witness.end(&closed);
        assert!(matches!(closed.cause, Cause::KeepaliveTimeout { .. }), "{closed}");
        sometimes!(closed.sent.is_none(), "the Close frame is stuck behind what the peer does not read");
        assert!(sending() < 1000, "senders wait");
        assert_eq!(pinging(), None);
    });
}

#[wavetank::test(seeds = 400, sometimes = "required", base_seed = 0x681b7184d266f368)]
fn closing_ends_in_time_beside_a_blocked_sender(sim: &mut Sim) {
    // It may read on before the close timeout, or not.
    let deaf = SECOND * [1000, 2, 8][sim.choose("deaf", 3) as usize];
    let close_after = SECOND / 2 * sim.choose("close", 5);
    let (writes, slack) = (writes(sim), slack(sim));
    let log = Log::new();
    let logged = log.clone();
    server(sim, move |peer| {
        let log = log.clone();
        async move {
            Runtime::sleep(&peer.host, deaf).await;
            log_all(peer, log).await
        }
    });
    sim.client_thread("client", move |host: Host| {
        let socket = connect_narrow(host, small_buffers(config())).expect("a connection");
        let witness = Witness::new(&socket);
        let sender = witness.clone();
        let sending = spawn(host, "sender", move || send_all(&sender, 100, writes));
        sleep(host, close_after);
        let closed = in_time(host, slack, || socket.close(CloseCode::NORMAL, ""));
        witness.end(&closed);
        let sent = sending();
        sometimes!(closed.sent.is_none(), "the Close frame never reaches the wire");
        sometimes!(closed.is_clean() && sent < 100, "the peer reads on in time");
        let logged = logged.entries();
        assert!(logged.iter().copied().eq(0..logged.len() as u32), "in order, and once: {logged:?}");
        if closed.is_clean() {
            assert!(logged.len() as u32 >= sent, "what was sent before the Close is received before it");
        }
    });
}

#[wavetank::test(seeds = 300, sometimes = "required", base_seed = 0xd01f56486fed388e)]
fn closing_finds_the_answer_behind_unread_messages(sim: &mut Sim) {
    const MESSAGES: u32 = 5000;
    let close_after = SECOND * sim.choose("close", 3);
    let slack = slack(sim);
    server(sim, |peer: Peer<Host>| async move {
        let Peer { host, mut input, mut output } = peer;
        let flooding = async {
            for number in 0..MESSAGES {
                output.send(&frames::frame(BINARY, &numbered(number, 40))).await?;
            }
            std::io::Result::Ok(())
        };
        let (flooded, close) = tokio::join!(flooding, input.close());
        flooded?;
        match close? {
            Some(close) => scripts::say_goodbye(Peer { host, input, output }, &close.payload).await,
            // A writer that is delayed beyond the close timeout says nothing.
            None => Ok(()),
        }
    });
    sim.client_thread("client", move |host: Host| {
        let socket = connect_narrow(host, small_buffers(config())).expect("a connection");
        sleep(host, close_after);
        let unread = socket.statistics().messages_received;
        assert!(unread < u64::from(MESSAGES), "reading pauses at the queue's limit: {unread} are unread");
        sometimes!(unread >= 4 && !close_after.is_zero(), "reading is paused");
        let closed = in_time(host, slack, || socket.close(CloseCode::NORMAL, "enough"));
        assert!(closed.is_clean() && closed.code() == 1000, "{closed}");
        let mut number = 0;
        while let Ok(message) = socket.recv() {
            assert_eq!(number_of(message.as_bytes()), number, "in order, and once");
            number += 1;
        }
        assert!(!closed.is_clean() || number == MESSAGES, "all that came before the Close: {number}");
        assert_eq!(socket.recv(), Err(Error::Closed(closed)));
    });
}

#[wavetank::test(seeds = 300, sometimes = "required", base_seed = 0x17fb3466ac076085)]
fn the_peers_close_ends_a_blocked_sender(sim: &mut Sim) {
    let close_after = SECOND / 10 * sim.choose("close", 10);
    let reads_again = sim.choose("reads again", 2) == 1;
    let ends = sim.choose("ends", 2) == 1;
    let writes = writes(sim);
    let log = Log::new();
    let logged = log.clone();
    server(sim, move |mut peer| {
        let log = log.clone();
        async move {
            Runtime::sleep(&peer.host, close_after).await;
            peer.output.send(&frames::close(1001, "going")).await?;
            if ends {
                // What it has not read stays where it is: our answer is behind it.
                peer.output.finish().await?;
            }
            if !reads_again {
                return scripts::deaf(peer, 1000 * SECOND).await;
            }
            Runtime::sleep(&peer.host, SECOND).await;
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
    sim.client_thread("client", move |host: Host| {
        let mut config = small_buffers(config());
        // Long enough for a peer that is delayed to read everything.
        config.close_timeout(200 * SECOND);
        let socket = connect_narrow(host, config).expect("a connection");
        let witness = Witness::new(&socket);
        let receiver = witness.clone();
        let receiving = spawn(host, "receiver", move || receiver.hear(receiver.socket.recv()));
        let sent = send_all(&witness, u32::MAX, writes);
        assert_eq!(receiving(), None);
        let closed = socket.wait_closed();
        assert_eq!((closed.code(), &closed.cause), (1001, &Cause::Peer), "{closed}");
        // Both have said Close; what is on its way still arrives.
        sleep(host, 200 * SECOND);
        let logged = logged.entries();
        assert!(logged.iter().copied().eq(0..logged.len() as u32), "in order, and once: {logged:?}");
        // Where the peer has ended its direction before, the end is not waited for until it has read.
        if closed.is_clean() && reads_again && !ends {
            assert!(logged.len() as u32 >= sent, "what was sent is received before our Close");
        }
        sometimes!(closed.is_clean(), "our Close gets through");
        sometimes!(!closed.is_clean(), "our Close is stuck");
    });
}

#[wavetank::test(seeds = 300, sometimes = "required", base_seed = 0x31adba4fe22feae1)]
fn flooding_both_ways_keeps_memory_and_closing_bounded(sim: &mut Sim) {
    const CLOSING_QUEUE: usize = 64 << 10;
    let reads = sim.choose("the peer reads in the end", 2) == 1;
    let short = sim.choose("short messages", 2) == 1;
    let (writes, slack) = (writes(sim), slack(sim));
    server(sim, move |peer: Peer<Host>| async move {
        let Peer { host, mut input, mut output } = peer;
        let flooding = async {
            for number in 0..500 {
                let messages = if short { number * 20..(number + 1) * 20 } else { number..number + 1 };
                let length = if short { 4 } else { 1000 };
                let bytes: Vec<u8> =
                    messages.flat_map(|number| frames::frame(BINARY, &numbered(number, length))).collect();
                output.send(&bytes).await?;
            }
            std::io::Result::Ok(())
        };
        let reading = async {
            Runtime::sleep(&host, SECOND * if reads { 5 } else { 1000 }).await;
            input.close().await
        };
        let (flooded, close) = tokio::join!(flooding, reading);
        flooded?;
        match close? {
            Some(close) => scripts::say_goodbye(Peer { host, input, output }, &close.payload).await,
            None => Ok(()),
        }
    });
    sim.client_thread("client", move |host: Host| {
        let mut config = small_buffers(config());
        config.limits().closing_queue_bytes(CLOSING_QUEUE);
        let socket = connect_narrow(host, config).expect("a connection");
        let witness = Witness::new(&socket);
        let sender = witness.clone();
        let sending = spawn(host, "sender", move || send_all(&sender, 500, writes));
        sleep(host, 3 * SECOND);
        let unread = socket.statistics().messages_received;
        assert!(unread <= 4, "reading pauses at the queue's limit: {unread} are unread");
        sometimes!(unread >= 4, "reading is paused");
        let closed = in_time(host, slack, || socket.close(CloseCode::NORMAL, ""));
        witness.end(&closed);
        sometimes!(sending() < 500, "the sender was stuck");
        sometimes!(closed.is_clean(), "the peer reads in time");
        sometimes!(closed.sent.is_none(), "the peer never reads");
        let mut number = 0;
        while let Some(message) = witness.hear(socket.recv()) {
            assert_eq!(number_of(message.as_bytes()), number, "in order, and once");
            number += 1;
        }
        assert!(u64::from(number) >= unread, "what was received is delivered");
        let kept = CLOSING_QUEUE / if short { 4 + 256 } else { 1000 + 256 };
        assert!(number as usize <= kept + 1, "more than the closing queue holds: {number}");
        let statistics = socket.statistics();
        assert_eq!(u64::from(number) + statistics.messages_discarded, statistics.messages_received);
        sometimes!(short && statistics.messages_discarded > 0, "short messages are discarded");
        sometimes!(!short && statistics.messages_discarded > 0, "long messages are discarded");
    });
}

#[wavetank::test(seeds = 150, sometimes = "required", base_seed = 0x4ee6531c44493698)]
fn ping_floods_take_bounded_memory_and_are_answered(sim: &mut Sim) {
    const PINGS: u32 = 2000;
    let log = Log::new();
    let logged = log.clone();
    sim.faults(Faults::none().short_transfers());
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
    sim.client_thread("client", move |host: Host| {
        let mut config = small_buffers(config());
        config.close_timeout(1000 * SECOND);
        let socket = connect_narrow(host, config).expect("a connection");
        while socket.statistics().pings_received < u64::from(PINGS) {
            sleep(host, SECOND);
        }
        let closed = socket.close(CloseCode::NORMAL, "");
        assert!(closed.is_clean(), "{closed}");
        let pongs = logged.entries();
        assert!(pongs.is_sorted_by(|earlier, later| earlier < later), "in order, and once: {pongs:?}");
        assert_eq!(pongs.last(), Some(&(PINGS - 1)), "the latest is answered");
        let superseded = socket.statistics().pings_superseded;
        assert_eq!(pongs.len() as u64 + superseded, u64::from(PINGS));
        sometimes!(superseded > 0, "pongs collapse to the latest");
    });
}

#[wavetank::test(seeds = 200, base_seed = 0xb8131ab81112f10d)]
fn pings_are_answered_while_nothing_is_received(sim: &mut Sim) {
    let slack = slack(sim);
    let answered = Log::new();
    let logged = answered.clone();
    server(sim, move |mut peer| {
        let answered = answered.clone();
        async move {
            peer.output.send(&frames::frame(PING, b"?")).await?;
            while let Some(frame) = peer.input.frame().await? {
                match frame.opcode {
                    PONG => answered.push(frame.payload),
                    CLOSE => return scripts::say_goodbye(peer, &frame.payload).await,
                    _ => {}
                }
            }
            Ok(())
        }
    });
    sim.client_thread("client", move |host: Host| {
        let socket = connect(host, config()).expect("a connection");
        sleep(host, 10 * MILLISECOND + slack);
        assert_eq!(logged.entries(), [b"?"]);
        drop(socket);
    });
}

#[wavetank::test(seeds = 400, sometimes = "required", base_seed = 0xcef6c1e02f1848b8)]
fn paused_receiving_does_not_count_against_the_peer(sim: &mut Sim) {
    const MESSAGES: u32 = 150;
    // Beside the end of a timeout, of which one begins each second.
    let takes_after =
        SECOND * (2 + sim.choose("seconds", 4)) - 5 * MILLISECOND + MILLISECOND / 2 * sim.choose("takes", 20);
    let stops_after = sim.choose("stops", MESSAGES);
    // The queue is full before the first ping is sent, or is filled when its timeout runs.
    let fills_late = sim.choose("fills late", 2) == 1;
    sim.delay_max(10 * MILLISECOND);
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
    sim.client_thread("client", move |host: Host| {
        let config = small_buffers(keepalive(SECOND, SECOND));
        let socket = connect_narrow(host, config).expect("a connection");
        for number in 0..MESSAGES {
            if number == 0 || number == stops_after {
                sleep(host, takes_after);
            }
            let message = socket.recv().expect("the peer is there");
            assert_eq!(number_of(message.as_bytes()), number, "in order, and once");
        }
        assert!(socket.ping().is_ok());
        sometimes!(stops_after > 4 && stops_after < 80, "reading is paused twice");
        let closed = socket.close(CloseCode::NORMAL, "");
        assert!(closed.is_clean() && closed.cause == Cause::Local, "{closed}");
    });
}

#[wavetank::test(seeds = 300, base_seed = 0x4af973ff25923f2b)]
fn pings_wait_for_room_in_the_write_buffer(sim: &mut Sim) {
    const MESSAGES: u32 = 200;
    sim.delay_max(10 * MILLISECOND);
    server(sim, |peer: Peer<Host>| async move {
        Runtime::sleep(&peer.host, 5 * SECOND).await;
        // It only answers.
        scripts::answer_the_latest_ping(peer, 1).await
    });
    sim.client_thread("client", |host: Host| {
        let socket = connect_narrow(host, small_buffers(config())).expect("a connection");
        let sender = socket.clone();
        let sending = spawn(host, "sender", move || {
            for number in 0..MESSAGES {
                // The writer thread writes: this one is not stuck in the stream, but waits for room.
                sender.send_timeout(&numbered(number, 1000), 100 * SECOND).expect("is open");
            }
        });
        sleep(host, 2 * SECOND);
        let before = socket.statistics().frames_sent;
        assert!(before < u64::from(MESSAGES), "the buffer is full");
        let pingers = [(); 5].map(|()| {
            let pinger = socket.clone();
            spawn(host, "pinger", move || pinger.ping().expect("a pong"))
        });
        sleep(host, SECOND);
        assert_eq!(
            socket.statistics().frames_sent,
            before,
            "nothing is put behind what the peer does not read"
        );
        for pinger in pingers {
            within(host, 10 * SECOND, pinger);
        }
        sending();
        let closed = socket.close(CloseCode::NORMAL, "");
        assert!(closed.is_clean(), "{closed}");
    });
}

#[wavetank::test(seeds = 300, base_seed = 0x891c7c386b836d93)]
fn reading_goes_on_once_the_queue_has_room(sim: &mut Sim) {
    const MESSAGES: u32 = 9;
    // The queue holds four.
    let taken = 6 + sim.choose("taken", 3);
    let slack = slack(sim);
    let log: Log<()> = Log::new();
    let logged = log.clone();
    server(sim, move |mut peer: Peer<Host>| {
        let log = log.clone();
        async move {
            for number in 0..MESSAGES {
                peer.output.send(&frames::frame(BINARY, &numbered(number, 4))).await?;
                Runtime::sleep(&peer.host, MILLISECOND).await;
            }
            peer.output.send(&frames::frame(PING, b"?")).await?;
            if peer.input.frame().await?.is_some_and(|frame| frame.opcode == PONG) {
                log.push(());
            }
            scripts::answer_close(peer).await
        }
    });
    sim.client_thread("client", move |host: Host| {
        let socket = connect(host, small_buffers(config())).expect("a connection");
        sleep(host, SECOND + slack);
        for number in 0..taken {
            let message = socket.recv().expect("is open");
            assert_eq!(number_of(message.as_bytes()), number, "in order, and once");
        }
        // A round trip, and for how long no thread reads behind a caller that has received.
        sleep(host, 9 * MILLISECOND + slack);
        assert_eq!(logged.entries().len(), 1, "the ping behind the messages is answered");
        let closed = in_time(host, slack, || socket.close(CloseCode::NORMAL, ""));
        assert!(closed.is_clean(), "{closed}");
    });
}

#[wavetank::test(seeds = 300, sometimes = "required", base_seed = 0xe290808edde8a77c)]
fn an_unread_close_counts_when_writing_fails(sim: &mut Sim) {
    const MESSAGES: u32 = 9;
    let send_after = 2 * MILLISECOND * sim.choose("send", 8);
    sim.delay_max(10 * MILLISECOND);
    server(sim, |mut peer: Peer<Host>| async move {
        let mut bytes: Vec<u8> =
            (0..MESSAGES).flat_map(|number| frames::frame(BINARY, &numbered(number, 4))).collect();
        bytes.extend(frames::close(1001, "going"));
        // And hears nothing: what is sent to it from now on is answered with a reset.
        peer.output.send(&bytes).await
    });
    sim.client_thread("client", move |host: Host| {
        let socket = connect(host, small_buffers(config())).expect("a connection");
        let witness = Witness::new(&socket);
        sleep(host, send_after);
        let mut sent = 0;
        while witness.hear(socket.send("hello")).is_some() {
            sent += 1;
            sleep(host, 2 * MILLISECOND);
        }
        sometimes!(sent > 0, "writing fails");
        let closed = socket.wait_closed();
        assert_eq!((closed.code(), &closed.cause), (1001, &Cause::Peer), "{closed}");
        for number in 0..MESSAGES {
            let message = socket.recv().expect("was received before the Close");
            assert_eq!(number_of(message.as_bytes()), number, "in order, and once");
        }
        assert_eq!(socket.recv(), Err(Error::Closed(closed)));
    });
}
