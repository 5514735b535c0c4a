//! The blocking client against our own accept side, of threads: two ends of the same core, under faults.

use wavetank::runtime::{BlockingListener as _, ListenOptions, Threads};
use wavetank::{Faults, Host, Sim, sometimes};
use wavetank_websocket::blocking::{Client, Server};
use wavetank_websocket::{CloseCode, Closed, Config};

use super::world::{
    CLOSE_TIMEOUT, Log, MILLISECOND, SECOND, all_callers, config, connect, keepalive, message, request,
    slack, sleep, spawn,
};

/// Accepts connections for ever, a thread for each; sends back what comes, and logs how they end.
fn echo(host: Host, config: Config, log: Log<Closed>) -> std::io::Result<()> {
    let server = Server::new(host).config(config);
    let listener = Threads::listen(&host, ([0, 0, 0, 0], 80).into(), ListenOptions::new())?;
    loop {
        let (stream, _) = listener.accept()?;
        let (server, log) = (server.clone(), log.clone());
        let _detached = Threads::spawn(&host, "session", move || {
            let Ok(socket) = server.accept(stream) else { return };
            while let Ok(message) = socket.recv() {
                if socket.send(&message).is_err() {
                    break;
                }
            }
            log.push(socket.wait_closed());
        })?;
    }
}

#[wavetank::test(seeds = 300, sometimes = "required", base_seed = 0xd4f24a51fcc48eaa)]
fn stubborn_clients_get_every_answer_under_any_faults(sim: &mut Sim) {
    sim.faults(Faults::all().half_open().crashes().until(100 * SECOND)).time_limit(5000 * SECOND);
    let mut config = keepalive(20 * SECOND, 20 * SECOND);
    config.open_timeout(20 * SECOND);
    config.compression().enabled(sim.choose("compression", 2) == 0);
    config.compression().client_no_context_takeover(sim.choose("forgetful client", 2) == 1);
    config.compression().server_no_context_takeover(sim.choose("forgetful server", 2) == 1);
    let of_server = config.clone();
    sim.server_thread("server", move |host| echo(host, of_server.clone(), Log::new()));
    for name in ["client", "other"] {
        let config = config.clone();
        sim.client_thread(name, move |host: Host| {
            let client = Client::new(host).config(config);
            let (mut number, mut connections) = (0, 0);
            while number < 6 {
                let Ok(socket) = client.connect(request()) else {
                    sleep(host, SECOND);
                    continue;
                };
                connections += 1;
                while number < 6 {
                    let message = message(number, 2000);
                    let Ok(answer) = socket.send(&message).and_then(|()| socket.recv()) else { break };
                    assert_eq!(answer, message, "the answer to another question");
                    number += 1;
                    sleep(host, 5 * SECOND);
                }
                socket.close(CloseCode::NORMAL, "");
            }
            sometimes!(connections > 1, "a connection is lost");
        });
    }
}

#[wavetank::test(seeds = 300, sometimes = "required", base_seed = 0xf2a6772b9a6ea289)]
fn messages_survive_awkward_streams_whole_and_in_order(sim: &mut Sim) {
    const MESSAGES: u32 = 20;
    sim.faults(Faults::none().short_transfers().tiny_windows());
    let mut config = config();
    config.close_timeout(1000 * SECOND);
    config.limits().write_buffer([64 << 10, 512][sim.choose("write buffer", 2) as usize]);
    config.limits().receive_queue_messages([1024, 2][sim.choose("queue", 2) as usize]);
    let of_server = config.clone();
    sim.server_thread("server", move |host| echo(host, of_server.clone(), Log::new()));
    sim.client_thread("client", move |host: Host| {
        let socket = connect(host, config).expect("a connection");
        let sender = socket.clone();
        let sending = spawn(host, "sender", move || {
            for number in 0..MESSAGES {
                sender.send(&message(number, 10 << (number % 8))).expect("is open");
            }
        });
        for number in 0..MESSAGES {
            assert_eq!(socket.recv().expect("is open"), message(number, 10 << (number % 8)));
        }
        sending();
        let closed = socket.close(CloseCode::NORMAL, "");
        assert!(closed.is_clean(), "{closed}");
        let sent = socket.statistics().bytes_sent;
        sometimes!(sent < 5000, "what is sent is compressed");
    });
}

#[wavetank::test(seeds = 400, sometimes = "required", base_seed = 0x0169eb44a8157e6b)]
fn a_clean_end_means_both_sides_sent_close(sim: &mut Sim) {
    let closers = ["first", "second"].map(|name| [0, 1, 1000][sim.choose(name, 3) as usize] * MILLISECOND);
    let slack = slack(sim);
    sim.faults(
        Faults::none().partitions().paused_links().resets().begin_max(2 * SECOND).last_max(20 * SECOND),
    );
    let log = Log::new();
    let logged = log.clone();
    sim.server_thread("server", move |host| echo(host, config(), log.clone()));
    sim.client_thread("client", move |host: Host| {
        let Ok(socket) = connect(host, config()) else { return };
        let closed = all_callers(host, &socket, closers, slack);
        // Until the server knows, too: a partition, and its close timeout.
        sleep(host, 20 * SECOND + CLOSE_TIMEOUT + 200 * SECOND);
        let Some(other) = logged.entries().first().cloned() else {
            // The server got no segment and sends nothing, so it cannot know.
            return assert!(!closed.is_clean(), "{closed}");
        };
        if closed.is_clean() {
            assert_eq!((&other.sent, &other.received), (&closed.received, &closed.sent), "{closed}; {other}");
            sometimes!(other.is_clean(), "both ends are clean");
        }
        if other.is_clean() {
            assert_eq!(other.received.and_then(|frame| frame.code), closed.sent.and_then(|frame| frame.code));
        }
    });
}
