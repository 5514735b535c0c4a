//! More than one receiver: the second gets an error, the first is not disturbed, and no message is lost or doubled.

use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use wavetank::runtime::Runtime;
use wavetank::{Host, Sim, cancellable, sometimes};
use wavetank_sim_tests::websocket::frames::{self, PING, PONG, TEXT};
use wavetank_sim_tests::websocket::{Peer, scripts};
use wavetank_websocket::{CloseCode, Error};

use super::world::{Log, connect, patient, server};

const MESSAGES: u32 = 12;

#[wavetank::test(seeds = 1200, sometimes = "required", base_seed = 0x8b92af2e83460071)]
fn concurrent_receivers_get_every_message_once(sim: &mut Sim) {
    let pause = Duration::from_micros(500) * sim.choose("pause", 4);
    server(sim, move |mut peer| async move {
        for number in 0..MESSAGES {
            peer.output.send(&frames::frame(TEXT, number.to_string().as_bytes())).await?;
            peer.host.sleep(pause).await;
        }
        scripts::close_first(peer, 1000).await
    });
    sim.client("client", async move |host: Host| {
        let socket = connect(&host, patient()).await.expect("a connection");
        let log = Log::new();
        let receivers = [(); 3].map(|()| {
            let (socket, log) = (socket.clone(), log.clone());
            host.spawn("receiver", async move {
                loop {
                    match cancellable("recv", socket.recv()).await {
                        None => sometimes!(true, "a receiver is cancelled"),
                        Some(Ok(message)) => {
                            log.push(message.as_text().expect("a text").parse::<u32>().expect("a number"));
                        }
                        Some(Err(Error::ConcurrentRecv)) => {
                            sometimes!(true, "a receiver finds another");
                            host.sleep(Duration::from_millis(1)).await;
                        }
                        Some(Err(Error::Closed(closed))) => return closed,
                        Some(Err(other)) => panic!("{other}"),
                    }
                }
            })
        });
        let mut ends = Vec::new();
        for receiver in receivers {
            ends.push(receiver.await.expect("no panic"));
        }
        assert!(ends.iter().all(|end| *end == ends[0] && end.is_clean()), "{ends:?}");
        let mut received = log.entries();
        received.sort_unstable();
        assert!(received.into_iter().eq(0..MESSAGES), "every message, once");
    });
}

#[wavetank::test(seeds = 750, sometimes = "required", base_seed = 0x6527f2411e4953f2)]
fn every_message_wakes_a_long_waiting_receiver(sim: &mut Sim) {
    // The stream wakes a receiver itself, until the driver, which looks every 5 ms, finds that it has waited for that
    // long.
    let pauses = [(); MESSAGES as usize].map(|()| Duration::from_millis(1) * sim.choose("pause", 16));
    let pings = sim.choose("pings", 2) == 1;
    server(sim, move |mut peer: Peer<Host>| async move {
        for pause in pauses {
            peer.host.sleep(pause).await;
            if pings {
                peer.output.send(&frames::frame(PING, b"?")).await?;
            }
            peer.output.send(&frames::frame(TEXT, b"question")).await?;
            // The next message does not help a receiver that missed this one.
            while peer.input.frame().await?.is_some_and(|frame| frame.opcode != TEXT) {}
        }
        scripts::close_first(peer, 1000).await
    });
    sim.client("client", async move |host: Host| {
        let socket = connect(&host, patient()).await.expect("a connection");
        let mut answered = 0;
        let closed = loop {
            match cancellable("recv", socket.recv()).await {
                None => sometimes!(true, "a receiver is cancelled"),
                Some(Ok(_question)) => {
                    answered += 1;
                    socket.send("answer").await.expect("is open");
                }
                Some(Err(Error::Closed(closed))) => break closed,
                Some(Err(other)) => panic!("{other}"),
            }
        };
        assert!(closed.is_clean() && answered == MESSAGES, "{answered}: {closed}");
    });
}

#[wavetank::test(seeds = 750, base_seed = 0x7bbb0238197960de)]
fn a_second_receiver_is_refused_at_once(sim: &mut Sim) {
    let by_fragment = sim.choose("by fragment", 2) == 1;
    server(sim, scripts::echo);
    sim.client("client", async move |host: Host| {
        let socket = connect(&host, patient()).await.expect("a connection");
        let first = socket.clone();
        let receiving = host.spawn("first", async move { first.recv().await });
        // The first waits: nothing comes before something is sent.
        host.sleep(Duration::from_secs(20)).await;
        let start = host.now();
        for _ in 0..3 {
            let refused = match by_fragment {
                true => socket.recv_fragment().await.err(),
                false => socket.recv().await.err(),
            };
            assert_eq!(refused, Some(Error::ConcurrentRecv));
        }
        assert_eq!(host.now(), start, "a refusal does not wait");
        socket.send("hello").await.expect("is open");
        assert_eq!(receiving.await.expect("no panic").expect("is open").as_text(), Some("hello"));
        socket.send("again").await.expect("is open");
        assert_eq!(socket.recv().await.expect("is open").as_text(), Some("again"));
        assert_eq!(
            socket.close(CloseCode::NORMAL, "").await.sent.and_then(|frame| frame.code),
            Some(CloseCode::NORMAL)
        );
    });
}

#[wavetank::test(seeds = 750, sometimes = "required", base_seed = 0xf53a292b1e124f01)]
fn an_unpolled_receiver_delays_no_pong_or_close(sim: &mut Sim) {
    // Before it is woken, by the first message or by a later one.
    let polls = 1 + sim.choose("polls", 3);
    let pause = Duration::from_millis(1) * sim.choose("pause", 8);
    let log: Log<Duration> = Log::new();
    let logged = log.clone();
    sim.perturb(false);
    server(sim, move |mut peer: Peer<Host>| {
        let log = log.clone();
        async move {
            for number in 0..3_u32 {
                peer.output.send(&frames::frame(TEXT, number.to_string().as_bytes())).await?;
                peer.host.sleep(pause).await;
                let asked = peer.host.now();
                peer.output.send(&frames::frame(PING, b"?")).await?;
                while peer.input.frame().await?.is_some_and(|frame| frame.opcode != PONG) {}
                log.push(peer.host.now() - asked);
            }
            let asked = peer.host.now();
            peer.output.send(&frames::close(1000, "")).await?;
            assert!(peer.input.close().await?.is_some());
            log.push(peer.host.now() - asked);
            peer.output.finish().await?;
            peer.input.end().await
        }
    });
    sim.client("client", async move |host: Host| {
        let socket = connect(&host, patient()).await.expect("a connection");
        let mut number = 0;
        let mut kept = Box::pin(socket.recv());
        let mut pending = 0;
        while pending < polls {
            match poll_once(kept.as_mut()).await {
                None => {
                    pending += 1;
                    host.sleep(Duration::from_micros(300)).await;
                }
                Some(message) => {
                    assert_eq!(message.expect("is open").as_text(), Some(number.to_string().as_str()));
                    number += 1;
                    if number == 3 {
                        return;
                    }
                    kept = Box::pin(socket.recv());
                }
            }
        }
        host.sleep(Duration::from_secs(10)).await;
        let took = logged.entries();
        assert_eq!(took.len(), 4, "three pongs, and the answer to the Close");
        // Two latencies, and how long the receiver is waited for; an awkward stream may add to that.
        sometimes!(took.iter().any(|took| *took > Duration::from_millis(5)), "the receiver is waited for");
        let longest = took.iter().max().expect("four");
        assert!(*longest <= Duration::from_secs(5), "{took:?}");
        while number < 3 {
            let message = kept.as_mut().await.expect("was received before the Close");
            assert_eq!(message.as_text(), Some(number.to_string().as_str()));
            number += 1;
            kept = Box::pin(socket.recv());
        }
        assert!(matches!(kept.await, Err(Error::Closed(closed)) if closed.is_clean()));
    });
}

/// Polls a future, and returns what it has come to.
pub(crate) async fn poll_once<F: Future + Unpin>(mut future: F) -> Option<F::Output> {
    std::future::poll_fn(|context| match Pin::new(&mut future).poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}
