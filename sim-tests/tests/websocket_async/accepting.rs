//! The client against our own accept side: two drivers of the same core, under faults.

use std::time::Duration;

use wavetank::runtime::{ListenOptions, Listener as _, Runtime};
use wavetank::{Adversary, Faults, Host, Sim, sometimes};
use wavetank_websocket::client::Client;
use wavetank_websocket::server::Server;
use wavetank_websocket::{CloseCode, Closed, Config};

use super::world::{CLOSE_TIMEOUT, Log, SECOND, all_callers, config, connect, keepalive, message, request};

/// Accepts connections for ever; sends back what comes, and logs how they end.
async fn echo(host: Host, config: Config, log: Log<Closed>) -> std::io::Result<()> {
    let server = Server::new(host).config(config);
    let listener = host.listen(([0, 0, 0, 0], 80).into(), ListenOptions::new()).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        let (server, log) = (server.clone(), log.clone());
        host.spawn("session", async move {
            let Ok(socket) = server.accept(Adversary::new("accepted", stream)).await else { return };
            while let Ok(message) = socket.recv().await {
                if socket.send(&message).await.is_err() {
                    break;
                }
            }
            log.push(socket.closed().await);
        });
    }
}

#[wavetank::test(seeds = 900, sometimes = "required", base_seed = 0x199bfeecd2519499)]
fn stubborn_clients_get_every_answer_under_any_faults(sim: &mut Sim) {
    sim.faults(Faults::all().half_open().crashes().until(100 * SECOND)).time_limit(5000 * SECOND);
    let mut config = keepalive(20 * SECOND, 20 * SECOND);
    config.compression().enabled(sim.choose("compression", 2) == 0);
    config.compression().client_no_context_takeover(sim.choose("forgetful client", 2) == 1);
    config.compression().server_no_context_takeover(sim.choose("forgetful server", 2) == 1);
    let of_server = config.clone();
    sim.server("server", move |host| echo(host, of_server.clone(), Log::new()));
    for name in ["client", "other"] {
        let config = config.clone();
        sim.client(name, async move |host: Host| {
            let client = Client::new(host).config(config);
            let mut number = 0;
            let mut connections = 0;
            while number < 6 {
                if let Ok(socket) = client.connect(request()).await {
                    connections += 1;
                    while number < 6 {
                        let message = message(number, 2000);
                        if socket.send(&message).await.is_err() {
                            break;
                        }
                        let Ok(answer) = socket.recv().await else { break };
                        assert_eq!(answer, message, "the answer to another question");
                        sometimes!(socket.compression().is_some(), "compression is agreed on");
                        number += 1;
                        host.sleep(5 * SECOND).await;
                    }
                    socket.close(CloseCode::NORMAL, "").await;
                } else {
                    host.sleep(SECOND).await;
                }
            }
            sometimes!(connections > 1, "a connection is lost");
        });
    }
}

#[wavetank::test(seeds = 900, sometimes = "required", base_seed = 0xff8ed60ecb0ebe0c)]
fn messages_survive_awkward_streams_whole_and_in_order(sim: &mut Sim) {
    const MESSAGES: u32 = 20;
    sim.faults(Faults::none().short_transfers().tiny_windows());
    let mut config = config();
    config.close_timeout(1000 * SECOND);
    config.limits().write_buffer([64 << 10, 512][sim.choose("write buffer", 2) as usize]);
    config.limits().receive_queue_messages([1024, 2][sim.choose("queue", 2) as usize]);
    let of_server = config.clone();
    sim.server("server", move |host| echo(host, of_server.clone(), Log::new()));
    sim.client("client", async move |host: Host| {
        let socket = connect(&host, config).await.expect("a connection");
        let sender = socket.clone();
        let sending = host.spawn("sender", async move {
            for number in 0..MESSAGES {
                sender.send(&message(number, 10 << (number % 8))).await.expect("is open");
            }
        });
        for number in 0..MESSAGES {
            let received = socket.recv().await.expect("is open");
            assert_eq!(received, message(number, 10 << (number % 8)));
        }
        sending.await.expect("no panic");
        let closed = socket.close(CloseCode::NORMAL, "").await;
        assert!(closed.is_clean(), "{closed}");
        sometimes!(socket.compression().is_some(), "compression is agreed on");
    });
}

#[wavetank::test(seeds = 900, sometimes = "required", base_seed = 0xe2c71a6dfafb5e34)]
fn a_clean_end_means_both_sides_sent_close(sim: &mut Sim) {
    let moments = [Duration::ZERO, Duration::from_millis(1), SECOND];
    let closers = ["first", "second"].map(|name| moments[sim.choose(name, 3) as usize]);
    sim.faults(
        Faults::none().partitions().paused_links().resets().begin_max(2 * SECOND).last_max(20 * SECOND),
    );
    let log = Log::new();
    let logged = log.clone();
    sim.server("server", move |host| echo(host, config(), log.clone()));
    sim.client("client", async move |host: Host| {
        let Ok(socket) = connect(&host, config()).await else { return };
        let closed = all_callers(&host, &socket, closers).await;
        // Until the server knows, too: a partition, and its close timeout.
        host.sleep(20 * SECOND + CLOSE_TIMEOUT + 200 * SECOND).await;
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
