//! The museum's websockets scenario, run against our own blocking client: `recv()` in one thread, `close()` in others,
//! beside a peer that is silent and on a network that breaks.
//!
//! What python-websockets' threaded connection met here (see `museum/websockets.rs`) must not happen: each call ends,
//! with the one outcome of the connection, and a caller that has learned the end finds the connection closed.

use std::net::SocketAddr;
use std::time::Duration;

use wavetank::runtime::{Instant, ThreadHandle, Threads};
use wavetank::{Faults, Host, Sim, sometimes};
use wavetank_sim_tests::museum::websockets::{echo_peer, silent_peer};
use wavetank_websocket::blocking::{Client, ConnectionState, WebSocket};
use wavetank_websocket::{Cause, CloseCode, Closed, Config, Error};

const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);

/// Our client and a peer; `closers` threads close while another receives.
fn websockets(
    sim: &mut Sim,
    peer: fn(Host, SocketAddr) -> std::io::Result<()>,
    closers: &'static [&'static str],
) {
    // Half of the runs delay threads, for less than 400 ms in all. The others show how long closing itself takes.
    let calm = sim.choose("calm", 2) == 0;
    sim.perturb(!calm).stall_after(CLOSE_TIMEOUT + Duration::from_secs(30));
    let slack = if calm { Duration::from_millis(1) } else { Duration::from_millis(500) };
    sim.server_thread("server", move |host| peer(host, SocketAddr::from(([0, 0, 0, 0], 80))));
    sim.client_thread("client", move |host| {
        let config = Config::default().close_timeout(CLOSE_TIMEOUT).clone();
        let request = "ws://server/".parse().expect("an address");
        // The network may be interrupted before the connection is open.
        let Ok(socket) = Client::new(host).config(config).connect(request) else { return };
        recv_while_closing(&host, &socket, closers, CLOSE_TIMEOUT + slack);
    });
}

fn recv_while_closing(host: &Host, socket: &WebSocket<Host>, closers: &[&str], within: Duration) {
    let receiver = {
        let socket = socket.clone();
        let recv = move || {
            let received = socket.recv();
            assert_is_closed(&socket, &received);
            received
        };
        Threads::spawn(host, "receiver", recv).expect("a thread")
    };
    let start = Threads::now(host);
    let closers: Vec<_> = closers.iter().map(|name| closer(host, socket, name)).collect();
    let outcomes: Vec<(Closed, Instant)> =
        closers.into_iter().map(|closer| closer.join().expect("close does not panic")).collect();
    let received = receiver.join().expect("recv does not panic");
    let outcome = &outcomes[0].0;
    assert_eq!(received, Err(Error::Closed(outcome.clone())), "recv tells the outcome that close tells");
    for (other, end) in &outcomes {
        assert_eq!(other, outcome, "every closer is told the same");
        assert!(*end - start <= within, "close ends in time: {:?}", *end - start);
    }
    sometimes!(outcome.is_clean(), "the peer answered the Close");
    sometimes!(
        matches!(outcome.cause, Cause::CloseTimeout { .. }),
        "the close timeout passed while a thread was receiving"
    );
    sometimes!(
        matches!(outcome.cause, Cause::EndOfInput { .. } | Cause::Io { .. }),
        "the connection was lost"
    );
}

fn closer(
    host: &Host,
    socket: &WebSocket<Host>,
    name: &str,
) -> <Host as Threads>::ThreadHandle<(Closed, Instant)> {
    let (host, socket) = (*host, socket.clone());
    let body = move || {
        let closed = socket.close(CloseCode::NORMAL, "");
        assert_is_closed(&socket, &Err(Error::Closed(closed.clone())));
        (closed, Threads::now(&host))
    };
    Threads::spawn(&host, name, body).expect("a thread")
}

/// A caller that has learned the end finds the connection closed.
fn assert_is_closed(socket: &WebSocket<Host>, told: &Result<wavetank_websocket::Message, Error>) {
    assert_eq!(socket.state(), ConnectionState::Closed, "told {told:?}");
    assert_eq!(told, &Err(Error::Closed(socket.outcome().expect("an outcome, once closed"))));
}

mod recv_while_another_thread_closes {
    use super::*;

    #[wavetank::test(
        seeds = 1000,
        reaches = "the close timeout passed while a thread was receiving",
        base_seed = 0x0db56aee8f3e2060
    )]
    fn learns_the_outcome_when_the_peer_is_silent(sim: &mut Sim) {
        websockets(sim, silent_peer, &["closer"]);
    }

    #[wavetank::test(seeds = 1000, sometimes = "required", base_seed = 0xfb384f43093916d5)]
    fn learns_the_outcome_when_the_network_is_interrupted(sim: &mut Sim) {
        sim.faults(Faults::none().partitions().silence().resets());
        websockets(sim, echo_peer, &["closer"]);
    }
}

mod two_threads_close_at_once {
    use super::*;

    #[wavetank::test(
        seeds = 1000,
        reaches = "the close timeout passed while a thread was receiving",
        base_seed = 0xa5ca15a994b68548
    )]
    fn learn_the_same_when_the_peer_is_silent(sim: &mut Sim) {
        websockets(sim, silent_peer, &["first-closer", "second-closer"]);
    }

    #[wavetank::test(seeds = 1000, sometimes = "required", base_seed = 0xe0a4757888999c9d)]
    fn learn_the_same_when_the_network_is_interrupted(sim: &mut Sim) {
        sim.faults(Faults::none().partitions().silence().resets());
        websockets(sim, echo_peer, &["first-closer", "second-closer"]);
    }
}
