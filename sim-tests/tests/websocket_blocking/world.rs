//! What the simulations of this folder share: how a client connects, and what its calls must say.

use std::time::Duration;

use wavetank::runtime::{Instant, ThreadHandle as _, Threads};
use wavetank::{Host, Sim};
pub(crate) use wavetank_sim_tests::websocket::Log;
pub(crate) use wavetank_sim_tests::websocket::clients::{
    CLOSE_TIMEOUT, SECOND, SLACK, Witness, config, hurried, keepalive, message, patient, request, server,
    server_that_drops, small_buffers, small_sockets,
};
use wavetank_websocket::blocking::{Client, WebSocket};
use wavetank_websocket::{CloseCode, Closed, Config, OpenError};

pub(crate) type Socket = WebSocket<Host>;

pub(crate) const MILLISECOND: Duration = Duration::from_millis(1);

/// Delays threads in half of the runs, each time for so little that nothing misses its deadline; the others show how
/// long something takes by itself. Returns how much later than a deadline something may be noticed.
pub(crate) fn slack(sim: &mut Sim) -> Duration {
    let calm = sim.choose("calm", 2) == 0;
    sim.perturb(!calm).delay_max(10 * MILLISECOND);
    // The system's timers are no finer than a millisecond, and a deadline may take two of them.
    if calm { 2 * MILLISECOND } else { SLACK }
}

/// Opens a connection to the host "server".
pub(crate) fn connect(host: Host, config: Config) -> Result<Socket, OpenError> {
    Client::new(host).config(config).connect(request())
}

/// As [`connect`], with buffers so small that a peer that does not read is felt after a few messages.
pub(crate) fn connect_narrow(host: Host, config: Config) -> Result<Socket, OpenError> {
    Client::new(host).config(config).socket_options(small_sockets()).connect(request())
}

pub(crate) fn now(host: Host) -> Instant {
    Threads::now(&host)
}

pub(crate) fn sleep(host: Host, duration: Duration) {
    Threads::sleep(&host, duration);
}

/// Runs `body` on a thread of `host`, and returns what waits for its result.
pub(crate) fn spawn<T: Send + 'static>(
    host: Host,
    name: &str,
    body: impl FnOnce() -> T + Send + 'static,
) -> impl FnOnce() -> T {
    let handle = Threads::spawn(&host, name, body).expect("a thread");
    move || handle.join().expect("no panic")
}

/// One thread for each kind of call, and two that close after these delays, until the connection is over: as a busy
/// application would. Every call ends with the same outcome, and `slack` after its deadline at the latest. What the
/// peer sends back is received in order, and all of it.
pub(crate) fn all_callers(
    host: Host,
    socket: &Socket,
    close_after: [Duration; 2],
    slack: Duration,
) -> Closed {
    let witness = Witness::new(socket);
    let hear = || witness.clone();
    let (receiver, sender, pinger, watcher) = (hear(), hear(), hear(), hear());
    let start = now(host);
    let receiving = spawn(host, "receiver", move || {
        let mut received = 0_u64;
        while let Some(message) = receiver.hear(receiver.socket.recv()) {
            assert_eq!(message.as_text(), Some(received.to_string().as_str()), "in order, and once");
            received += 1;
        }
        received
    });
    let sending = spawn(host, "sender", move || {
        let mut sent = 0_u64;
        while sender.hear(sender.socket.send(&sent.to_string())).is_some() {
            sent += 1;
            sleep(host, SECOND / 3);
        }
    });
    let pinging = spawn(host, "pinger", move || {
        while pinger.hear(pinger.socket.ping()).is_some() {
            sleep(host, SECOND / 2);
        }
    });
    let watching = spawn(host, "watcher", move || watcher.end(&watcher.socket.wait_closed()));
    let mut codes = [CloseCode::NORMAL, CloseCode::GOING_AWAY].into_iter();
    let closing = close_after.map(|delay| {
        let (closer, code) = (hear(), codes.next().expect("two codes for two closers"));
        spawn(host, "closer", move || {
            sleep(host, delay);
            closer.end(&in_time(host, slack, || closer.socket.close(code, "")));
        })
    });
    let received = receiving();
    watching();
    pinging();
    let latest = close_after[0].min(close_after[1]) + CLOSE_TIMEOUT + slack;
    // Threads that sleep between their calls learn it when they wake up.
    let took = now(host) - start;
    assert!(
        took <= latest + SECOND / 2,
        "a caller was told of the end after {took:?}, and not within {latest:?}"
    );
    sending();
    for closed in closing {
        closed();
    }
    assert_eq!(received, socket.statistics().messages_received, "what came before the end is delivered");
    socket.outcome().expect("every caller was told")
}

/// Runs an operation that must end within the close timeout.
pub(crate) fn in_time<T>(host: Host, slack: Duration, body: impl FnOnce() -> T) -> T {
    within(host, CLOSE_TIMEOUT + slack, body)
}

/// Does what must not take longer than `longest`.
pub(crate) fn within<T>(host: Host, longest: Duration, body: impl FnOnce() -> T) -> T {
    let start = now(host);
    let result = body();
    let took = now(host) - start;
    assert!(took <= longest, "took {took:?}, and not at most {longest:?}");
    result
}
