//! Connections one after another: through partitions, crashes of the server, refusals and cancelled calls.

use std::time::Duration;

use wavetank::runtime::{Instant, Runtime};
use wavetank::{Faults, Host, Sim, cancellable, sometimes};
use wavetank_sim_tests::websocket::frames::{self, PONG};
use wavetank_sim_tests::websocket::{Opening, scripts, serve, serve_each};
use wavetank_websocket::client::{Client, ConnectionState, WebSocket};
use wavetank_websocket::{BackoffPolicy, CloseCode, Config};

use super::world::{CLOSE_TIMEOUT, Log, SECOND, SLACK, ask, keepalive, request, server_that_drops, within};

/// Finds out within 40 s that a peer is gone, and gives up an attempt after 10 s.
fn settings() -> Config {
    let mut config = keepalive(20 * SECOND, 20 * SECOND);
    config.open_timeout(10 * SECOND);
    config
}

#[wavetank::test(seeds = 900, sometimes = "required", base_seed = 0x21fb9e4f90a080af)]
fn reconnecting_clients_get_every_answer_under_any_faults(sim: &mut Sim) {
    sim.faults(Faults::all().half_open().crashes().until(100 * SECOND)).time_limit(5000 * SECOND);
    sim.server("server", |host| serve(host, Opening::default(), scripts::echo));
    sim.client("client", async |host: Host| {
        let mut connections = Client::new(host).config(settings()).reconnect(request());
        let (mut number, mut opened) = (0, 0);
        while number < 8 {
            let Some(socket) = cancellable("next", connections.next()).await else { continue };
            let socket = socket.expect("only failures of the network happen here");
            opened += 1;
            assert!(connections.failure().is_none(), "a connection is no failure");
            while number < 8 && ask(&socket, number).await.is_ok() {
                number += 1;
                host.sleep(10 * SECOND).await;
            }
            if number < 8 {
                socket.closed().await;
            }
        }
        sometimes!(opened > 1, "a connection was lost");
    });
}

#[wavetank::test(seeds = 600, sometimes = "required", base_seed = 0x62b002e51f7a111b)]
fn attempts_back_off_and_succeed_after_a_partition(sim: &mut Sim) {
    const PARTITION: Duration = Duration::from_secs(600);
    // What is delayed would be another failed attempt, and another delay.
    sim.perturb(false);
    sim.server("server", |host| serve(host, Opening::default(), scripts::echo));
    sim.client("client", async move |host: Host| {
        let policy = BackoffPolicy::default();
        let mut connections = Client::new(host).config(settings()).reconnect(request()).backoff(policy);
        let socket = connections.next().await.expect("a connection");
        ask(&socket, 0).await.expect("is open");
        host.inject().partition("client", "server");
        let cut_at = host.now();
        let heal = host.spawn("heal", async move {
            host.sleep(PARTITION).await;
            host.inject().heal("client", "server");
        });
        // Keepalive finds it.
        socket.closed().await;
        assert!(host.now() - cut_at <= 41 * SECOND, "{:?}", host.now() - cut_at);
        let socket = connections.next().await.expect("a connection");
        let back = host.now() - cut_at;
        // Nothing comes through before; then one delay at most passes, and an attempt that was under way, and one more.
        let soon = PARTITION + policy.delay_max + 20 * SECOND;
        assert!(back <= soon, "back after {back:?}, not within {soon:?}");
        sometimes!(back > PARTITION, "the partition outlasts the attempts");
        assert!(connections.failures() <= 20, "{} failures: no backoff", connections.failures());
        ask(&socket, 1).await.expect("is open");
        heal.await.expect("no panic");
    });
}

#[wavetank::test(seeds = 600, sometimes = "required", base_seed = 0x183f2a2085f4f100)]
fn delays_grow_while_a_server_refuses_or_drops(sim: &mut Sim) {
    let refuses = sim.choose("refuses", 2) == 1;
    let log: Log<Instant> = Log::new();
    let logged = log.clone();
    sim.perturb(false);
    sim.server("server", move |host: Host| {
        let log = log.clone();
        let opening = move |number: u64| {
            log.push(host.now());
            let refusal = (refuses && number < 7).then_some("503 Service Unavailable");
            Opening { refusal, ..Opening::default() }
        };
        let opened: Log<()> = Log::new();
        serve_each(host, opening, move |peer| {
            let opened = opened.clone();
            async move {
                opened.push(());
                // Accepts, and drops at once: that is no good connection either.
                if !refuses && opened.entries().len() <= 7 {
                    scripts::close_first(peer, 1013).await
                } else {
                    scripts::echo(peer).await
                }
            }
        })
    });
    sim.client("client", async move |host: Host| {
        let mut connections = Client::new(host).config(settings()).reconnect(request());
        loop {
            let next = connections.next();
            let socket = match cancellable("next", next).await {
                Some(socket) => socket.expect("is transient"),
                None => {
                    sometimes!(true, "a wait is cancelled");
                    continue;
                }
            };
            if ask(&socket, 0).await.is_ok() {
                break assert!(socket.close(CloseCode::NORMAL, "").await.is_clean());
            }
        }
        // RFC 6455, section 7.2.3: after anything up to 5 s, at least half of 5, 10, 20, 40, 80 and 90 s.
        let arrivals = logged.entries();
        let took = arrivals[arrivals.len() - 1] - arrivals[0];
        let shortest = [0, 2500, 5000, 10_000, 20_000, 40_000, 45_000].map(Duration::from_millis);
        // An attempt that was cancelled counts too. Its delay begins with it, and so before the server has seen it.
        let failures = connections.failures() as usize;
        let least: Duration = shortest.iter().take(failures).sum();
        assert!(
            took + Duration::from_millis(10) >= least,
            "{failures} failures in {took:?}, less than {least:?}"
        );
        sometimes!(failures == 7, "every attempt is refused or dropped");
    });
}

#[wavetank::test(seeds = 600, sometimes = "required", base_seed = 0xfaae47dbdf2b4aac)]
fn a_hook_prepares_a_connection_before_its_use(sim: &mut Sim) {
    let broken = sim.choose("broken", 3);
    sim.server("server", move |host| {
        let seen: Log<()> = Log::new();
        serve(host, Opening::default(), move |mut peer| {
            seen.push(());
            let greets = seen.entries().len() as u32 > broken;
            async move {
                let hello = peer.input.frame().await?;
                if !greets || hello.is_none() {
                    return scripts::close_first(peer, 1013).await;
                }
                peer.output.send(&frames::frame(PONG, b"unasked for")).await?;
                peer.output.send(&frames::frame(frames::TEXT, b"welcome")).await?;
                scripts::echo(peer).await
            }
        })
    });
    sim.client("client", async move |host: Host| {
        let greet = |socket: WebSocket<Host>| async move {
            socket.send("hello").await?;
            assert_eq!(socket.recv().await?.as_text(), Some("welcome"));
            Ok(())
        };
        let mut connections = Client::new(host).config(settings()).reconnect(request()).on_connect(greet);
        let mut cancelled = false;
        let socket = loop {
            match cancellable("next", connections.next()).await {
                Some(socket) => break socket.expect("is transient"),
                None => cancelled = true,
            }
        };
        sometimes!(cancelled, "an attempt is cancelled");
        sometimes!(connections.failures() > 0, "the hook failed before");
        ask(&socket, 0).await.expect("is prepared");
    });
}

#[wavetank::test(seeds = 300, sometimes = "required", base_seed = 0xb2666f24b7debebb)]
fn a_failing_hook_closes_even_a_kept_connection(sim: &mut Sim) {
    sim.server("server", |host| serve(host, Opening::default(), scripts::echo));
    sim.client("client", async |host: Host| {
        let kept: Log<WebSocket<Host>> = Log::new();
        let keeps = kept.clone();
        let hook = move |socket: WebSocket<Host>| {
            keeps.push(socket);
            let first = keeps.entries().len() == 1;
            async move { if first { Err("not this one".into()) } else { Ok(()) } }
        };
        let mut connections = Client::new(host).config(settings()).reconnect(request()).on_connect(hook);
        let socket = connections.next().await.expect("a connection");
        let first = kept.entries().swap_remove(0);
        let closed = within(host, CLOSE_TIMEOUT + SLACK, first.closed()).await;
        // A task or thread that is delayed for long writes nothing.
        sometimes!(closed.sent.is_some(), "the peer is told");
        assert!(closed.sent.is_none_or(|sent| sent.code == Some(CloseCode::GOING_AWAY)));
        ask(&socket, 0).await.expect("is open");
    });
}

#[wavetank::test(seeds = 300, base_seed = 0xaecb2de9f334f6e8)]
fn the_next_connection_waits_until_the_last_ends(sim: &mut Sim) {
    let close_after = Duration::from_millis(200) * sim.choose("close", 10);
    // A task that is delayed for longer gives up an attempt that the server sees all the same.
    sim.delay_max(SECOND / 10);
    let log: Log<Instant> = Log::new();
    let logged = log.clone();
    sim.server("server", move |host: Host| {
        let log = log.clone();
        let opening = move |_| {
            log.push(host.now());
            Opening::default()
        };
        serve_each(host, opening, scripts::echo)
    });
    sim.client("client", async move |host: Host| {
        let mut connections = Client::new(host).config(settings()).reconnect(request());
        let first = connections.next().await.expect("a connection");
        let closer = first.clone();
        let closing = host.spawn("closer", async move {
            host.sleep(close_after).await;
            let begun = host.now();
            closer.close(CloseCode::NORMAL, "").await;
            begun
        });
        let second = connections.next().await.expect("a connection");
        assert_eq!(first.state(), ConnectionState::Closed);
        let begun = closing.await.expect("no panic");
        assert!(logged.entries()[1..].iter().all(|came| *came > begun), "no client comes before");
        ask(&second, 0).await.expect("is open");
    });
}

#[wavetank::test(seeds = 300, sometimes = "required", base_seed = 0xd1c7bfa3a88afe66)]
fn only_a_connection_that_lasted_resets_the_delays(sim: &mut Sim) {
    sim.perturb(false);
    let logged = server_that_drops(sim);
    sim.client("client", async move |host: Host| {
        let mut connections = Client::new(host).config(settings()).reconnect(request());
        for _ in 0..4 {
            let socket = connections.next().await.expect("a connection");
            assert_eq!(socket.closed().await.code(), 1013);
        }
        let socket = connections.next().await.expect("a connection");
        ask(&socket, 0).await.expect("is open");
        let comings: Vec<(Instant, Instant)> = logged.entries();
        let delays: Vec<Duration> = comings.windows(2).map(|pair| pair[1].0 - pair[0].1).collect();
        // What opening and closing take, besides.
        let moment = Duration::from_millis(20);
        for (delay, (least, most)) in delays.iter().zip([(0, 5000), (2500, 5000), (5000, 10_000), (0, 5000)])
        {
            let (least, most) = (Duration::from_millis(least), Duration::from_millis(most) + moment);
            assert!((least..=most).contains(delay), "{delays:?}");
        }
        sometimes!(delays[3] < Duration::from_millis(2500), "a short delay after a long connection");
    });
}
