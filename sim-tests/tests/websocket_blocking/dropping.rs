//! Handles that are dropped in the middle of what they do: the connection says goodbye, and nothing is left of it.

use wavetank::runtime::{Instant, Runtime};
use wavetank::{Host, Sim, sometimes};
use wavetank_sim_tests::websocket::frames::{self, TEXT};
use wavetank_sim_tests::websocket::{Peer, clients, scripts};
use wavetank_websocket::{Cause, CloseCode, Error, Kind};

use super::world::{
    Log, MILLISECOND, SECOND, config, connect, connect_narrow, in_time, keepalive, now, server, slack, sleep,
    spawn, within,
};

#[wavetank::test(seeds = 400, sometimes = "required", base_seed = 0x55aa496971bd6f29)]
fn dropped_handles_leave_nothing_and_tell_the_peer(sim: &mut Sim) {
    // 0: reads and answers. 1: silent. 2: deaf. 3: sends all the time.
    let manner = sim.choose("peer", 4);
    let time = MILLISECOND / 2 * sim.choose("time", 12);
    let unfinished = sim.choose("unfinished", 2) == 1;
    slack(sim);
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
    sim.client_thread("client", move |host: Host| {
        let mut config = config();
        config.limits().write_buffer(1024);
        config.limits().receive_queue_messages(4);
        let socket = connect_narrow(host, config).expect("a connection");
        let (a, b, c, d) = (socket.clone(), socket.clone(), socket.clone(), socket.clone());
        let receiving = spawn(host, "receiver", move || {
            for _ in 0..3 {
                let _gone = a.recv_timeout(time);
            }
        });
        let sending = spawn(host, "sender", move || {
            for _ in 0..9 {
                let _gone = b.send_timeout(&[7; 700], time);
            }
        });
        let pinging = spawn(host, "pinger", move || {
            let _gone = c.ping_timeout(time);
        });
        let writing = spawn(host, "writer", move || {
            // Where the peer does not read, this waits; a thread in a call has no other end.
            if manner == 0
                && let Ok(mut writer) = d.send_stream(Kind::Binary)
                && writer.write(&[7; 300]).is_ok()
                && !unfinished
            {
                let _gone = writer.finish(&[]);
            }
        });
        drop(socket);
        receiving();
        sending();
        pinging();
        writing();
        if manner == 0 {
            // Longer than the close timeout, and than anything is delayed.
            sleep(host, 100 * SECOND);
            let ends = logged.entries();
            let code = match ends.as_slice() {
                [Some(close)] => close.close_code(),
                _ => panic!("the peer is told of the end: {ends:?}"),
            };
            sometimes!(unfinished, "a message is left unfinished");
            sometimes!(!unfinished, "every handle is dropped");
            assert_eq!(code, Some(if unfinished { 1011 } else { 1001 }));
        }
    });
}

#[wavetank::test(seeds = 200, sometimes = "required", base_seed = 0xb7a69c83ed528430)]
fn sent_messages_outlive_the_last_handle(sim: &mut Sim) {
    let messages = sim.choose("messages", 4);
    let log = Log::new();
    let logged = log.clone();
    server(sim, move |mut peer: Peer<Host>| {
        let log = log.clone();
        async move {
            while let Some(frame) = peer.input.frame().await? {
                log.push((frame.opcode, frame.payload.len()));
                if frame.close_code() == Some(1001) {
                    return scripts::say_goodbye(peer, &frame.payload).await;
                }
            }
            Ok(())
        }
    });
    sim.client_thread("client", move |host: Host| {
        // What is delayed for long would not be written within the close timeout.
        let mut config = config();
        config.close_timeout(200 * SECOND);
        let socket = connect(host, config).expect("a connection");
        for _ in 0..messages {
            socket.send(&"x".repeat(1000)).expect("is open");
        }
        drop(socket);
        sleep(host, 250 * SECOND);
        let mut expected = vec![(TEXT, 1000); messages as usize];
        expected.push((frames::CLOSE, 2));
        assert_eq!(logged.entries(), expected);
        sometimes!(messages > 0, "something was sent");
    });
}

#[wavetank::test(seeds = 300, sometimes = "required", base_seed = 0x295858207b3a32c9)]
fn closing_ends_stuck_senders_and_waiting_receivers(sim: &mut Sim) {
    // Handles are gone but for those of the threads inside of calls.
    let close_after = 20 * MILLISECOND * sim.choose("close", 20);
    let slack = slack(sim);
    server(sim, |peer| scripts::deaf(peer, 1000 * SECOND));
    sim.client_thread("client", move |host: Host| {
        let mut config = config();
        config.limits().write_buffer(1024);
        let socket = connect_narrow(host, config).expect("a connection");
        let (receiver, sender, writer) = (socket.clone(), socket.clone(), socket.clone());
        let receiving = spawn(host, "receiver", move || receiver.recv().map(drop));
        let sending = spawn(host, "sender", move || {
            loop {
                if let Err(error) = sender.send(&[7; 3000]) {
                    return error;
                }
            }
        });
        let writing = spawn(host, "writer", move || {
            let mut writer = writer.send_stream(Kind::Text)?;
            loop {
                writer.write(&[b'x'; 1000])?;
            }
        });
        sleep(host, close_after);
        let closed = in_time(host, slack, || socket.close(CloseCode::NORMAL, ""));
        let over = Error::Closed(closed.clone());
        assert_eq!(receiving(), Err(over.clone()));
        assert_eq!(sending(), over);
        let written: Result<(), Error> = writing();
        assert_eq!(written, Err(over));
        sometimes!(closed.sent.is_none(), "the Close frame is stuck behind what the peer does not read");
    });
}

#[wavetank::test(seeds = 200, base_seed = 0x2c39b0c75a8a31f6)]
fn a_handle_dropped_during_closing_leaves_nothing_behind(sim: &mut Sim) {
    let silent = sim.choose("silent", 2) == 1;
    let drop_after = MILLISECOND * sim.choose("drop", 5);
    server(sim, move |peer: Peer<Host>| async move {
        Runtime::sleep(&peer.host, MILLISECOND).await;
        if silent { scripts::silent(peer).await } else { scripts::echo(peer).await }
    });
    sim.client_thread("client", move |host: Host| {
        let socket = connect(host, config()).expect("a connection");
        let closer = socket.clone();
        let closing = spawn(host, "closer", move || closer.close(CloseCode::NORMAL, ""));
        sleep(host, drop_after);
        drop(socket);
        let closed = closing();
        // The drop, which would say 1001, came second.
        assert!(closed.sent.is_none_or(|sent| sent.code == Some(CloseCode::NORMAL)));
    });
}

#[wavetank::test(seeds = 300, sometimes = "required", base_seed = 0xbba912a58ce10afc)]
fn dropping_a_handle_or_message_tells_the_peer(sim: &mut Sim) {
    let unfinished = sim.choose("unfinished", 2) == 1;
    let config = if sim.choose("keepalive", 2) == 0 { config() } else { keepalive(SECOND, SECOND) };
    let drop_after = MILLISECOND * sim.choose("drop", 12);
    sim.perturb(false);
    let log: Log<Instant> = Log::new();
    let logged = log.clone();
    server(sim, move |mut peer: Peer<Host>| {
        let log = log.clone();
        async move {
            let Some(close) = peer.input.close().await? else { return Ok(()) };
            log.push(Runtime::now(&peer.host));
            scripts::say_goodbye(peer, &close.payload).await
        }
    });
    sim.client_thread("client", move |host: Host| {
        let socket = connect(host, config).expect("a connection");
        sleep(host, drop_after);
        if unfinished {
            let mut writer = socket.send_stream(Kind::Text).expect("is open");
            writer.write(b"the beginning").expect("is open");
            sleep(host, drop_after);
            drop(writer);
        } else {
            drop(socket.clone());
            drop(socket);
        }
        let dropped = now(host);
        sleep(host, SECOND);
        let [heard] = logged.entries()[..] else { panic!("the peer is told once") };
        // A message is under way for 2 ms at most.
        assert!(heard - dropped <= 2 * MILLISECOND, "after {:?}", heard - dropped);
        sometimes!(unfinished, "a message is left unfinished");
        sometimes!(!unfinished, "the last handle is dropped");
    });
}

#[wavetank::test(seeds = 300, sometimes = "required")]
fn aborting_ends_every_call_at_once(sim: &mut Sim) {
    // 0: answers. 1: silent. 2: deaf. 3: sends all the time.
    let manner = sim.choose("peer", 4);
    let abort_after = MILLISECOND / 2 * sim.choose("abort", 12);
    // 0: no other call closes. Otherwise one does so, this many half milliseconds before the abort.
    let closes_before = sim.choose("closes before", 8);
    let slack = slack(sim);
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
    sim.client_thread("client", move |host: Host| {
        let mut config = config();
        config.limits().write_buffer(1024);
        config.limits().receive_queue_messages(4);
        let socket = connect_narrow(host, config).expect("a connection");
        let (a, b, c, d) = (socket.clone(), socket.clone(), socket.clone(), socket.clone());
        let calls: [Box<dyn FnOnce() -> Error>; 4] = [
            Box::new(spawn(host, "receiver", move || repeat(|| a.recv()))),
            Box::new(spawn(host, "sender", move || repeat(|| b.send(&[7; 700])))),
            Box::new(spawn(host, "pinger", move || repeat(|| c.ping()))),
            Box::new(spawn(host, "watcher", move || Error::Closed(d.wait_closed()))),
        ];
        sleep(host, abort_after);
        let closer = socket.clone();
        let closing = (closes_before > 0).then(|| {
            let closing = spawn(host, "closer", move || closer.close(CloseCode::NORMAL, ""));
            sleep(host, MILLISECOND / 2 * closes_before);
            closing
        });
        let closed = within(host, slack, || {
            socket.abort();
            socket.outcome().expect("it is over when the call returns")
        });
        within(host, slack, || {
            for call in calls {
                assert_eq!(call(), Error::Closed(closed.clone()));
            }
            if let Some(closing) = closing {
                assert_eq!(closing(), closed);
            }
        });
        sometimes!(closed.cause == Cause::Aborted, "the abort is what ends the connection");
        sometimes!(closed.is_clean(), "the closing handshake was complete before");
        if manner == 0 && closed.cause == Cause::Aborted && closed.sent.is_none() {
            sleep(host, 10 * SECOND);
            let heard = logged.entries();
            // The writer may be writing the closer's frame, which the connection does not yet know as sent.
            let overtaken =
                closes_before > 0 && heard.iter().flatten().all(|frame| frame.opcode == frames::CLOSE);
            assert!(
                heard == [None] || overtaken,
                "the peer hears the end of the stream, and no Close frame: {heard:?}"
            );
            sometimes!(heard == [None], "the peer hears the end of the stream");
        }
    });
}

/// Repeats a call until it fails.
fn repeat<T>(call: impl Fn() -> Result<T, Error>) -> Error {
    loop {
        if let Err(error) = call() {
            return error;
        }
    }
}
