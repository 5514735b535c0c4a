//! Receivers that read for themselves, and what happens while they do something else: the peer is heard all the same,
//! soon.

use std::pin::pin;
use std::time::Duration;

use wavetank::runtime::{Runtime, SocketOptions};
use wavetank::{Host, Sim, cancellable, sometimes};
use wavetank_sim_tests::websocket::frames::{self, CLOSE, PING, PONG, TEXT};
use wavetank_sim_tests::websocket::{Peer, scripts};
use wavetank_websocket::{Cause, CloseCode};

use super::receiving::poll_once;
use super::world::{
    CLOSE_TIMEOUT, Log, SECOND, SLACK, Witness, config, connect, connect_plainly, in_time, keepalive, server,
    within,
};

const MILLISECOND: Duration = Duration::from_millis(1);

/// A round trip takes 4 ms at most; and the driver, which looks after the stream every 5 ms while receivers are at
/// work, may find once that they are.
const HEARD_WITHIN: Duration = Duration::from_millis(14);

#[wavetank::test(seeds = 1200, sometimes = "required", base_seed = 0xb5ef2922563f99ef)]
fn pings_and_closes_are_answered_within_two_looks(sim: &mut Sim) {
    let gap = MILLISECOND / 2 * sim.choose("gap", 40);
    let closes = sim.choose("closes", 2) == 1;
    let rounds = sim.choose("rounds", 4);
    // What is not asked for stays in the queue.
    let answers = [1, 5][sim.choose("answers", 2) as usize];
    // 0: does something else. 1: drops a receive that waits. 2: keeps one, and does not poll it. 3: receives on.
    let then = sim.choose("then", 4);
    let pause = MILLISECOND * sim.choose("pause", 12);
    sim.perturb(false);
    server(sim, move |mut peer: Peer<Host>| async move {
        for _ in 0..rounds {
            let Some(question) = peer.input.frame().await? else { return Ok(()) };
            assert_eq!(question.opcode, TEXT);
            peer.output.send(&frames::frame(TEXT, b"answer").repeat(answers)).await?;
        }
        peer.host.sleep(gap).await;
        let start = peer.host.now();
        let last = if closes { frames::close(1000, "") } else { frames::frame(PING, b"heard?") };
        peer.output.send(&last).await?;
        let answer = peer.input.frame().await?.expect("an answer");
        assert_eq!(answer.opcode, if closes { CLOSE } else { PONG });
        let took = peer.host.now() - start;
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
    sim.client("client", async move |host: Host| {
        let socket = connect_plainly(&host, config(), SocketOptions::new()).await.expect("a connection");
        for _ in 0..rounds {
            socket.send("question").await.expect("is open");
            assert_eq!(socket.recv().await.expect("is open").as_text(), Some("answer"));
        }
        let mut kept = pin!(socket.recv());
        match then {
            0 => {}
            1 => drop(poll_once(pin!(socket.recv())).await),
            2 => drop(poll_once(kept.as_mut()).await),
            _ => {
                while socket.recv().await.is_ok() {
                    host.sleep(pause).await;
                }
            }
        }
        host.sleep(SECOND).await;
        assert!(in_time(host, socket.closed()).await.is_clean());
    });
}

#[wavetank::test(seeds = 900, sometimes = "required", base_seed = 0x4056469c0cfa71b6)]
fn an_arrived_pong_counts_whatever_its_caller_does(sim: &mut Sim) {
    // A round trip takes 4 ms at most, so that the pong of a peer that answers at once is always in time.
    let connection = keepalive(3 * MILLISECOND + MILLISECOND * sim.choose("interval", 10), 4 * MILLISECOND);
    let pauses = [0, 1].map(|_| MILLISECOND / 2 * sim.choose("pause", 30));
    let patience = MILLISECOND * sim.choose("patience", 60);
    sim.perturb(false);
    server(sim, scripts::echo);
    sim.client("client", async move |host: Host| {
        let socket = connect_plainly(&host, connection, SocketOptions::new()).await.expect("a connection");
        for round in 0..40 {
            socket.send("question").await.expect("is open");
            loop {
                tokio::select! {
                    message = socket.recv() => {
                        break assert_eq!(message.expect("is open").as_text(), Some("question"));
                    }
                    () = host.sleep(patience) => {
                        sometimes!(true, "a receive is dropped");
                        host.sleep(MILLISECOND).await;
                    }
                }
            }
            host.sleep(pauses[round % 2]).await;
        }
        assert!(socket.statistics().latency.is_some(), "there were automatic pings");
        let closed = socket.close(CloseCode::NORMAL, "").await;
        assert!(closed.is_clean() && closed.cause == Cause::Local, "{closed}");
    });
}

#[wavetank::test(seeds = 1200, sometimes = "required", base_seed = 0x717b0c5c292374bc)]
fn a_waiting_caller_learns_the_end_others_cause(sim: &mut Sim) {
    let how = sim.choose("how", 4);
    let rounds = sim.choose("rounds", 4);
    let pause = MILLISECOND / 2 * sim.choose("pause", 20);
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
    sim.client("client", async move |host: Host| {
        let config = if how == 3 { keepalive(SECOND, SECOND) } else { config() };
        let socket = connect(&host, config).await.expect("a connection");
        let witness = Witness::new(&socket);
        for _ in 0..rounds {
            if witness.hear(socket.send("question").await).is_none() {
                // A caller that is delayed for long finds the keepalive's end.
                return assert_eq!(how, 3);
            }
            match witness.hear(socket.recv().await) {
                Some(message) => assert_eq!(message.as_text(), Some("question")),
                None => return assert_eq!(how, 3),
            }
        }
        let receiver = witness.clone();
        let receiving = host.spawn("receiver", async move {
            assert!(receiver.hear(receiver.socket.recv().await).is_none(), "nothing was said");
        });
        host.sleep(pause).await;
        let closed = match how {
            // The peer answers our Close; or is silent; or the network is cut; or keepalive finds out.
            0 | 1 => in_time(host, socket.close(CloseCode::NORMAL, "")).await,
            2 => {
                host.inject().partition("client", "server");
                in_time(host, socket.close(CloseCode::NORMAL, "")).await
            }
            _ => within(host, 2 * SECOND + CLOSE_TIMEOUT + SLACK, socket.closed()).await,
        };
        witness.end(&closed);
        in_time(host, receiving).await.expect("no panic");
        match how {
            0 => sometimes!(closed.is_clean(), "a clean end"),
            3 => assert!(matches!(closed.cause, Cause::KeepaliveTimeout { .. }), "{closed}"),
            _ => sometimes!(matches!(closed.cause, Cause::CloseTimeout { .. }), "no answer to our Close"),
        }
    });
}

#[wavetank::test(seeds = 900, sometimes = "required", base_seed = 0x080ef2ebb1db1def)]
fn cancelled_receives_beside_pings_lose_and_double_nothing(sim: &mut Sim) {
    const MESSAGES: u32 = 30;
    let pause = MILLISECOND * sim.choose("pause", 12);
    server(sim, scripts::echo);
    sim.client("client", async move |host: Host| {
        let socket = connect(&host, config()).await.expect("a connection");
        let pinger = socket.clone();
        let pinging = host.spawn("pinger", async move {
            for _ in 0..5 {
                pinger.ping().await.expect("a pong");
                host.sleep(3 * MILLISECOND).await;
            }
        });
        let log = Log::new();
        for number in 0..MESSAGES {
            if number % 3 == 0 {
                socket.feed(number.to_string().as_str()).await.expect("is open");
            } else {
                socket.send(number.to_string().as_str()).await.expect("is open");
            }
            let message = loop {
                match cancellable("recv", socket.recv()).await {
                    Some(message) => break message.expect("is open"),
                    None => {
                        sometimes!(true, "a receive is cancelled");
                        socket.flush();
                    }
                }
            };
            log.push(message.as_text().expect("a text").parse::<u32>().expect("a number"));
            host.sleep(pause).await;
        }
        pinging.await.expect("no panic");
        assert!(log.entries().into_iter().eq(0..MESSAGES), "every message, once");
        sometimes!(pause > 5 * MILLISECOND, "the driver reads between");
        sometimes!(pause < 5 * MILLISECOND, "the driver leaves the reading to its caller");
    });
}

#[wavetank::test(seeds = 900, sometimes = "required", base_seed = 0xcd6774edb540ace5)]
fn fed_messages_go_out_with_the_next_call(sim: &mut Sim) {
    let how = sim.choose("how", 7);
    let pause = MILLISECOND * [0, 1, 100][sim.choose("pause", 3) as usize];
    let log: Log<(u8, Vec<u8>)> = Log::new();
    let logged = log.clone();
    sim.delay_max(MILLISECOND);
    server(sim, move |peer| {
        let log = log.clone();
        scripts::greet(peer, move |frame| log.push((frame.opcode, frame.payload.clone())))
    });
    sim.client("client", async move |host: Host| {
        let socket = connect_plainly(&host, config(), SocketOptions::new()).await.expect("a connection");
        assert_eq!(socket.recv().await.expect("is open").as_text(), Some("welcome"));
        host.sleep(pause).await;
        socket.feed("fed").await.expect("is open");
        let behind = match how {
            0 => {
                socket.flush();
                None
            }
            // From the queue, and from the stream.
            1 | 2 => {
                assert_eq!(socket.recv().await.expect("is open").as_text(), Some("welcome"));
                if how == 2 {
                    assert_eq!(poll_once(pin!(socket.recv())).await, None, "nothing more comes");
                }
                None
            }
            3 => {
                socket.send("sent").await.expect("is open");
                Some(TEXT)
            }
            4 => {
                socket.ping().await.expect("is open");
                Some(PING)
            }
            5 => {
                socket.close(CloseCode::NORMAL, "").await;
                Some(CLOSE)
            }
            _ => {
                drop(socket);
                return everything(&host, &logged, Some(CLOSE)).await;
            }
        };
        everything(&host, &logged, behind).await;
        let closed = socket.close(CloseCode::NORMAL, "").await;
        assert!(closed.is_clean(), "{closed}");
    });
}

/// Waits as long as anything may take here, and asserts that the message has come, and what came behind it.
async fn everything(host: &Host, logged: &Log<(u8, Vec<u8>)>, behind: Option<u8>) {
    host.sleep(SECOND).await;
    let came = logged.entries();
    assert_eq!(came.first(), Some(&(TEXT, b"fed".to_vec())), "what was fed");
    assert_eq!(came.get(1).map(|(opcode, _)| *opcode), behind);
    sometimes!(behind.is_none(), "nothing is sent behind it");
    sometimes!(behind.is_some(), "something is sent behind it");
}
