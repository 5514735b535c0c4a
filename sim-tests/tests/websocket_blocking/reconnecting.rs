//! Connections one after another: through partitions, crashes of the server, refusals, and stopping.

use std::time::Duration;

use wavetank::runtime::{Instant, Runtime};
use wavetank::{Faults, Host, Sim, sometimes};
use wavetank_sim_tests::websocket::{Opening, scripts, serve, serve_each};
use wavetank_websocket::BackoffPolicy;
use wavetank_websocket::blocking::Client;
use wavetank_websocket::{CloseCode, Config, Error};

use super::world::{
    CLOSE_TIMEOUT, Log, SECOND, Socket, keepalive, now, request, server_that_drops, slack, sleep, spawn,
    within,
};

/// How long an attempt may take.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);

/// Finds out within a minute that a peer is gone.
fn patient() -> Config {
    let mut config = keepalive(20 * SECOND, 20 * SECOND);
    config.open_timeout(OPEN_TIMEOUT);
    config
}

/// Says something, and returns whether it came back.
fn ask(socket: &Socket, number: u32) -> Result<(), Error> {
    let question = number.to_string();
    socket.send(question.as_str())?;
    assert_eq!(socket.recv()?.as_text(), Some(question.as_str()), "the answer to another question");
    Ok(())
}

#[wavetank::test(seeds = 300, sometimes = "required", base_seed = 0x21559fef65ba4888)]
fn reconnecting_clients_get_every_answer_under_any_faults(sim: &mut Sim) {
    sim.faults(Faults::all().half_open().crashes().until(100 * SECOND)).time_limit(5000 * SECOND);
    sim.server("server", |host| serve(host, Opening::default(), scripts::echo));
    sim.client_thread("client", |host: Host| {
        let (mut number, mut opened) = (0, 0);
        for socket in Client::new(host).config(patient()).reconnect(request()) {
            let socket = socket.expect("only failures of the network happen here");
            opened += 1;
            while number < 8 && ask(&socket, number).is_ok() {
                number += 1;
                sleep(host, 10 * SECOND);
            }
            if number == 8 {
                break;
            }
        }
        sometimes!(opened > 1, "a connection was lost");
    });
}

#[wavetank::test(seeds = 200, sometimes = "required", base_seed = 0xb0057899737519be)]
fn attempts_back_off_and_succeed_after_a_partition(sim: &mut Sim) {
    const PARTITION: Duration = Duration::from_secs(600);
    let slack = slack(sim);
    sim.server("server", |host| serve(host, Opening::default(), scripts::echo));
    sim.client_thread("client", move |host: Host| {
        let policy = BackoffPolicy::default();
        let mut connections = Client::new(host).config(patient()).reconnect(request()).backoff(policy);
        let mut next = move || {
            let socket = connections.next().expect("never stopped").expect("a connection");
            (socket, connections.failures())
        };
        let (socket, _) = next();
        ask(&socket, 0).expect("is open");
        host.inject().partition("client", "server");
        let cut_at = now(host);
        let heal = spawn(host, "heal", move || {
            sleep(host, PARTITION);
            host.inject().heal("client", "server");
        });
        // Keepalive finds it.
        within(host, 45 * SECOND + slack, || socket.wait_closed());
        let (socket, failures) = next();
        let back = now(host) - cut_at;
        // One delay at most passes, and an attempt that was under way, and one more.
        let soon = PARTITION + policy.delay_max + 2 * OPEN_TIMEOUT + slack;
        assert!(back <= soon, "back after {back:?}, not within {soon:?}");
        sometimes!(back > PARTITION, "the partition outlasts the attempts");
        assert!(failures <= 20, "{failures} failures: no backoff");
        ask(&socket, 1).expect("is open");
        heal();
    });
}

#[wavetank::test(seeds = 200, sometimes = "required", base_seed = 0xbd4dde27a524b2d9)]
fn delays_grow_while_a_server_refuses_or_drops(sim: &mut Sim) {
    let refuses = sim.choose("refuses", 2) == 1;
    let log: Log<Instant> = Log::new();
    let logged = log.clone();
    sim.perturb(false);
    sim.server("server", move |host: Host| {
        let log = log.clone();
        let opening = move |number: u64| {
            log.push(Runtime::now(&host));
            let refusal = (refuses && number < 7).then_some("503 Service Unavailable");
            Opening { refusal, ..Opening::default() }
        };
        let opened: Log<()> = Log::new();
        serve_each(host, opening, move |peer| {
            // Accepts, and drops at once: that is no good connection either.
            let drops = !refuses && opened.push_and_count(()) <= 7;
            async move {
                if drops { scripts::close_first(peer, 1013).await } else { scripts::echo(peer).await }
            }
        })
    });
    sim.client_thread("client", move |host: Host| {
        let mut connections = Client::new(host).config(patient()).reconnect(request());
        loop {
            let socket = connections.next().expect("never stopped").expect("is transient");
            if ask(&socket, 0).is_ok() {
                break assert!(socket.close(CloseCode::NORMAL, "").is_clean());
            }
        }
        // RFC 6455, section 7.2.3: after anything up to 5 s, at least half of 5, 10, 20, 40, 80 and 90 s.
        let arrivals = logged.entries();
        assert_eq!(arrivals.len(), 8);
        for (pair, least) in arrivals.windows(2).zip([0, 2500, 5000, 10_000, 20_000, 40_000, 45_000]) {
            let delay = pair[1] - pair[0];
            assert!(delay >= Duration::from_millis(least), "{delay:?}, less than {least} ms");
            sometimes!(delay > 60 * SECOND, "a long delay");
        }
    });
}

#[wavetank::test(seeds = 200, sometimes = "required", base_seed = 0x9194d628858f50e5)]
fn a_hook_prepares_a_connection_before_its_use(sim: &mut Sim) {
    let broken = sim.choose("broken", 3) as usize;
    sim.server("server", move |host| {
        let seen: Log<()> = Log::new();
        serve(host, Opening::default(), move |peer| {
            let greets = seen.push_and_count(()) > broken;
            async move {
                if greets { scripts::echo(peer).await } else { scripts::close_first(peer, 1013).await }
            }
        })
    });
    sim.client_thread("client", move |host: Host| {
        let prepared = Log::new();
        let log = prepared.clone();
        let mut connections =
            Client::new(host).config(patient()).reconnect(request()).on_connect(move |socket| {
                socket.send("hello")?;
                socket.recv()?;
                log.push(());
                Ok(())
            });
        let socket = connections.next().expect("never stopped").expect("is transient");
        assert_eq!(prepared.entries().len(), 1);
        sometimes!(broken > 0, "the hook failed before");
        ask(&socket, 0).expect("is prepared");
    });
}

#[wavetank::test(seeds = 300, sometimes = "required", base_seed = 0xda0e9bddaac82455)]
fn stopping_ends_delays_and_attempts_at_once(sim: &mut Sim) {
    let stop_after = SECOND / 2 * sim.choose("stop", 60);
    let slack = slack(sim);
    // No host listens, or none answers.
    let silent = sim.choose("silent", 2) == 1;
    sim.server("server", async |_host: Host| std::future::pending::<()>().await);
    sim.client_thread("client", move |host: Host| {
        if silent {
            host.inject().partition("client", "server");
        }
        let mut connections = Client::new(host).config(patient()).reconnect(request());
        let stopper = connections.stopper();
        let stopping = spawn(host, "stopper", move || {
            sleep(host, stop_after);
            stopper.stop();
            now(host)
        });
        assert!(connections.next().is_none(), "no host is there to connect to");
        let took = now(host) - stopping();
        assert!(took <= slack, "{took:?}");
        sometimes!(silent && connections.failures() == 0, "the first attempt was under way");
        sometimes!(connections.failures() > 1, "a delay was under way");
    });
}

#[wavetank::test(seeds = 200, sometimes = "required", base_seed = 0x332ebfcdea50b016)]
fn a_failing_hook_closes_even_a_kept_connection(sim: &mut Sim) {
    let slack = slack(sim);
    sim.server("server", |host| serve(host, Opening::default(), scripts::echo));
    sim.client_thread("client", move |host: Host| {
        let kept: Log<Socket> = Log::new();
        let keeps = kept.clone();
        let hook = move |socket: &Socket| {
            if keeps.push_and_count(socket.clone()) == 1 { Err("not this one".into()) } else { Ok(()) }
        };
        let mut connections = Client::new(host).config(patient()).reconnect(request()).on_connect(hook);
        let socket = connections.next().expect("never stopped").expect("a connection");
        let first = kept.entries().swap_remove(0);
        let closed = within(host, CLOSE_TIMEOUT + slack, || first.wait_closed());
        // A task or thread that is delayed for long writes nothing.
        sometimes!(closed.sent.is_some(), "the peer is told");
        assert!(closed.sent.is_none_or(|sent| sent.code == Some(CloseCode::GOING_AWAY)));
        ask(&socket, 0).expect("is open");
    });
}

#[wavetank::test(seeds = 200, base_seed = 0xec0226bfeefeed7f)]
fn the_next_connection_waits_until_the_last_ends(sim: &mut Sim) {
    let close_after = SECOND / 5 * sim.choose("close", 10);
    // A task that is delayed for longer gives up an attempt that the server sees all the same.
    sim.delay_max(SECOND / 10);
    let log: Log<Instant> = Log::new();
    let logged = log.clone();
    sim.server("server", move |host: Host| {
        let log = log.clone();
        let opening = move |_| {
            log.push(Runtime::now(&host));
            Opening::default()
        };
        serve_each(host, opening, scripts::echo)
    });
    sim.client_thread("client", move |host: Host| {
        let mut connections = Client::new(host).config(patient()).reconnect(request());
        let first = connections.next().expect("never stopped").expect("a connection");
        let closer = first.clone();
        let closing = spawn(host, "closer", move || {
            sleep(host, close_after);
            let begun = now(host);
            closer.close(CloseCode::NORMAL, "");
            begun
        });
        let second = connections.next().expect("never stopped").expect("a connection");
        assert!(first.outcome().is_some());
        let begun = closing();
        assert!(logged.entries()[1..].iter().all(|came| *came > begun), "no client comes before");
        ask(&second, 0).expect("is open");
    });
}

#[wavetank::test(seeds = 200, sometimes = "required", base_seed = 0x33d1d4a4b4504919)]
fn only_a_connection_that_lasted_resets_the_delays(sim: &mut Sim) {
    sim.perturb(false);
    let logged = server_that_drops(sim);
    sim.client_thread("client", move |host: Host| {
        let mut connections = Client::new(host).config(patient()).reconnect(request());
        for _ in 0..4 {
            let socket = connections.next().expect("never stopped").expect("a connection");
            assert_eq!(socket.wait_closed().code(), 1013);
        }
        let socket = connections.next().expect("never stopped").expect("a connection");
        ask(&socket, 0).expect("is open");
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
