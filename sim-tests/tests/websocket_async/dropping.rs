//! Handles that are dropped in the middle of what they do: the connection says goodbye, and nothing is left of it.

use std::time::Duration;

use wavetank::runtime::{Instant, Runtime, SocketOptions, TaskHandle as _};
use wavetank::{Host, Sim, sometimes};
use wavetank_sim_tests::websocket::frames::{self, TEXT};
use wavetank_sim_tests::websocket::{Peer, clients, scripts};
use wavetank_websocket::{Cause, CloseCode, Error, Kind};

use super::world::{
    Log, SECOND, config, connect, connect_plainly, connect_with, in_time, keepalive, patient, server,
    small_sockets, within,
};

#[wavetank::test(seeds = 1200, sometimes = "required", base_seed = 0x77de36e3a42ee0d2)]
fn aborted_tasks_leave_nothing_and_tell_the_peer(sim: &mut Sim) {
    // 0: reads and answers. 1: silent. 2: deaf. 3: sends all the time.
    let manner = sim.choose("peer", 4);
    let abort_after = Duration::from_micros(500) * sim.choose("abort", 12);
    let log = Log::new();
    let logged = log.clone();
    server(sim, move |peer: Peer<Host>| {
        let log = log.clone();
        async move {
            match manner {
                0 => clients::log_end(peer, log).await,
                1 => scripts::silent(peer).await,
                2 => scripts::deaf(peer, 1000 * SECOND).await,
                _ => scripts::flood(peer, &frames::frame(TEXT, &[b'x'; 500]), 10_000).await,
            }
        }
    });
    sim.client("client", async move |host: Host| {
        let narrow = small_sockets();
        // The peer that answers learns it, whatever the delays. For the others there is a leak to find.
        let mut config = if manner == 0 { patient() } else { config() };
        config.limits().write_buffer(1024);
        config.limits().receive_queue_messages(4);
        let socket = connect_with(&host, config, narrow).await.expect("a connection");
        let (a, b, c, d) = (socket.clone(), socket.clone(), socket.clone(), socket.clone());
        let tasks = [
            host.spawn("receiver", async move { while a.recv().await.is_ok() {} }),
            host.spawn("sender", async move { while b.send(&[7; 700][..]).await.is_ok() {} }),
            host.spawn("pinger", async move { while c.ping().await.is_ok() {} }),
            host.spawn("writer", async move {
                while let Ok(mut writer) = d.send_stream(Kind::Binary).await {
                    if writer.write(&[7; 300]).await.is_err() || writer.finish(&[]).await.is_err() {
                        return;
                    }
                }
            }),
        ];
        drop(socket);
        host.sleep(abort_after).await;
        for task in &tasks {
            task.abort();
        }
        for task in tasks {
            drop(task.await);
        }
        if manner == 0 {
            host.sleep(350 * SECOND).await;
            let ends = logged.entries();
            let [Some(close)] = ends.as_slice() else { panic!("the peer is told of the end: {ends:?}") };
            let unfinished = close.close_code() == Some(1011);
            sometimes!(unfinished, "a writer is dropped inside its message");
            sometimes!(!unfinished, "all others are");
            assert!(unfinished || close.close_code() == Some(1001), "{close:?}");
        }
    });
}

#[wavetank::test(seeds = 600, sometimes = "required", base_seed = 0xccb7a060c290f76b)]
fn sent_messages_outlive_the_last_handle(sim: &mut Sim) {
    let messages = sim.choose("messages", 4);
    let log = Log::new();
    let logged = log.clone();
    let texts = Log::new();
    let received = texts.clone();
    server(sim, move |mut peer: Peer<Host>| {
        let (log, texts) = (log.clone(), texts.clone());
        async move {
            while let Some(frame) = peer.input.frame().await? {
                if frame.opcode == TEXT {
                    texts.push(frame.payload.len());
                } else {
                    log.push(frame.close_code());
                    return scripts::say_goodbye(peer, &frame.payload).await;
                }
            }
            Ok(())
        }
    });
    sim.client("client", async move |host: Host| {
        let socket = connect(&host, patient()).await.expect("a connection");
        for _ in 0..messages {
            socket.send("x".repeat(1000).as_str()).await.expect("is open");
        }
        drop(socket);
        host.sleep(350 * SECOND).await;
        assert_eq!(received.entries(), vec![1000; messages as usize]);
        assert_eq!(logged.entries(), [Some(1001)]);
        sometimes!(messages > 0, "something was sent");
    });
}

#[wavetank::test(seeds = 600, base_seed = 0x933f415c25d3d6d1)]
fn aborting_a_closing_client_leaves_nothing_behind(sim: &mut Sim) {
    let silent = sim.choose("silent", 2) == 1;
    let abort_after = Duration::from_millis(1) * sim.choose("abort", 5);
    server(sim, move |peer: Peer<Host>| async move {
        if silent { scripts::silent(peer).await } else { scripts::echo(peer).await }
    });
    sim.client("client", async move |host: Host| {
        let socket = connect(&host, config()).await.expect("a connection");
        let closing = host.spawn("closer", async move { socket.close(CloseCode::NORMAL, "").await });
        host.sleep(abort_after).await;
        closing.abort();
        drop(closing.await);
    });
}

#[wavetank::test(seeds = 600, sometimes = "required", base_seed = 0xa2ea63af297e7368)]
fn closing_ends_stuck_senders_and_waiting_receivers(sim: &mut Sim) {
    let close_after = Duration::from_millis(20) * sim.choose("close", 20);
    server(sim, |peer| scripts::deaf(peer, 1000 * SECOND));
    sim.client("client", async move |host: Host| {
        let narrow = small_sockets();
        let mut config = config();
        config.limits().write_buffer(1024);
        let socket = connect_with(&host, config, narrow).await.expect("a connection");
        let (receiver, sender, writer) = (socket.clone(), socket.clone(), socket.clone());
        let receiving = host.spawn("receiver", async move { receiver.recv().await.map(drop) });
        let sending = host.spawn("sender", async move {
            loop {
                if let Err(error) = sender.send(&[7; 3000][..]).await {
                    return error;
                }
            }
        });
        let writing = host.spawn("writer", async move {
            let mut writer = writer.send_stream(Kind::Text).await?;
            loop {
                writer.write(&[b'x'; 1000]).await?;
            }
        });
        host.sleep(close_after).await;
        let closed = in_time(host, socket.close(CloseCode::NORMAL, "")).await;
        let over = Error::Closed(closed.clone());
        assert_eq!(in_time(host, receiving).await.expect("no panic"), Err(over.clone()));
        assert_eq!(in_time(host, sending).await.expect("no panic"), over);
        let written: Result<(), Error> = in_time(host, writing).await.expect("no panic");
        assert_eq!(written, Err(over));
        sometimes!(closed.sent.is_none(), "the Close frame is stuck behind what the peer does not read");
    });
}

#[wavetank::test(seeds = 600, sometimes = "required", base_seed = 0x515d28ed6ada4b5f)]
fn dropping_a_handle_or_message_tells_the_peer(sim: &mut Sim) {
    let unfinished = sim.choose("unfinished", 2) == 1;
    let config = if sim.choose("keepalive", 2) == 0 { config() } else { keepalive(SECOND, SECOND) };
    let drop_after = Duration::from_millis(1) * sim.choose("drop", 12);
    sim.perturb(false);
    let log: Log<Instant> = Log::new();
    let logged = log.clone();
    server(sim, move |mut peer: Peer<Host>| {
        let log = log.clone();
        async move {
            let Some(close) = peer.input.close().await? else { return Ok(()) };
            log.push(peer.host.now());
            scripts::say_goodbye(peer, &close.payload).await
        }
    });
    sim.client("client", async move |host: Host| {
        let socket = connect_plainly(&host, config, SocketOptions::new()).await.expect("a connection");
        host.sleep(drop_after).await;
        if unfinished {
            let mut writer = socket.send_stream(Kind::Text).await.expect("is open");
            writer.write(b"the beginning").await.expect("is open");
            host.sleep(drop_after).await;
            drop(writer);
        } else {
            drop(socket.clone());
            drop(socket);
        }
        let dropped = host.now();
        host.sleep(SECOND).await;
        let [heard] = logged.entries()[..] else { panic!("the peer is told once") };
        // A message is under way for 2 ms at most.
        assert!(heard - dropped <= Duration::from_millis(2), "after {:?}", heard - dropped);
        sometimes!(unfinished, "a message is left unfinished");
        sometimes!(!unfinished, "the last handle is dropped");
    });
}

/// Repeats a call until it fails, and gives its error.
macro_rules! ends {
    ($call:expr) => {
        loop {
            if let Err(error) = $call.await {
                break error;
            }
        }
    };
}

#[wavetank::test(seeds = 600, sometimes = "required")]
fn aborting_ends_every_call_at_once(sim: &mut Sim) {
    // 0: answers. 1: silent. 2: deaf. 3: sends all the time.
    let manner = sim.choose("peer", 4);
    let abort_after = Duration::from_micros(500) * sim.choose("abort", 12);
    // 0: no other call closes. Otherwise one does so, this many half milliseconds before the abort.
    let closes_before = sim.choose("closes before", 8);
    let log = Log::new();
    let logged = log.clone();
    server(sim, move |peer: Peer<Host>| {
        let log = log.clone();
        async move {
            match manner {
                0 => clients::log_end(peer, log).await,
                1 => scripts::silent(peer).await,
                2 => scripts::deaf(peer, 1000 * SECOND).await,
                _ => scripts::flood(peer, &frames::frame(TEXT, &[b'x'; 500]), 10_000).await,
            }
        }
    });
    sim.client("client", async move |host: Host| {
        let narrow = small_sockets();
        let mut config = config();
        config.limits().write_buffer(1024);
        config.limits().receive_queue_messages(4);
        let socket = connect_with(&host, config, narrow).await.expect("a connection");
        let (a, b, c, d) = (socket.clone(), socket.clone(), socket.clone(), socket.clone());
        let calls = [
            host.spawn("receiver", async move { ends!(a.recv()) }),
            host.spawn("sender", async move { ends!(b.send(&[7; 700][..])) }),
            host.spawn("pinger", async move { ends!(c.ping()) }),
            host.spawn("watcher", async move { Error::Closed(d.closed().await) }),
        ];
        host.sleep(abort_after).await;
        let closer = socket.clone();
        let mut closing = None;
        if closes_before > 0 {
            closing = Some(host.spawn("closer", async move { closer.close(CloseCode::NORMAL, "").await }));
            host.sleep(Duration::from_micros(500) * closes_before).await;
        }
        socket.abort();
        let closed = socket.outcome().expect("it is over when the call returns");
        // Tasks are delayed for 400 ms a run at most.
        within(host, SECOND / 2, async {
            for call in calls {
                assert_eq!(call.await.expect("no panic"), Error::Closed(closed.clone()));
            }
            if let Some(closing) = closing {
                assert_eq!(closing.await.expect("no panic"), closed);
            }
        })
        .await;
        sometimes!(closed.cause == Cause::Aborted, "the abort is what ends the connection");
        sometimes!(closed.is_clean(), "the closing handshake was complete before");
        if manner == 0 && closed.cause == Cause::Aborted && closed.sent.is_none() {
            host.sleep(10 * SECOND).await;
            assert_eq!(logged.entries(), [None], "the peer hears the end of the stream, and no Close frame");
        }
    });
}
