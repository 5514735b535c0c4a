//! What the simulations of this folder share: how a client connects, and what its calls must say.

use std::time::Duration;

use wavetank::runtime::{Runtime, SocketOptions, Stream as _};
use wavetank::{Adversary, Host};
pub(crate) use wavetank_sim_tests::websocket::Log;
pub(crate) use wavetank_sim_tests::websocket::clients::{
    CLOSE_TIMEOUT, SECOND, SLACK, Witness, config, hurried, keepalive, message, patient, request, server,
    server_that_drops, small_sockets,
};
use wavetank_websocket::client::{Client, WebSocket};
use wavetank_websocket::{CloseCode, Closed, Config, Error, OpenError};

/// A connection whose stream is as awkward as its contract allows.
pub(crate) type Socket = WebSocket<Host, Adversary<<Host as Runtime>::Stream>>;

/// A time in which all that is under way has come, also where an [awkward](Adversary) stream makes each operation wait
/// for a second.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// Opens a connection to the host "server".
pub(crate) async fn connect(host: &Host, config: Config) -> Result<Socket, OpenError> {
    connect_with(host, config, SocketOptions::new()).await
}

/// As [`connect`], over a socket with these options.
pub(crate) async fn connect_with(
    host: &Host,
    config: Config,
    options: SocketOptions,
) -> Result<Socket, OpenError> {
    let endpoint = || "server:80".to_owned();
    let connecting = async {
        let address = Runtime::resolve(host, "server", 80).await?[0];
        let stream = Runtime::connect(host, address, options).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    };
    let stream = connecting.await.map_err(|error| OpenError::Connect { endpoint: endpoint(), error })?;
    let client = Client::new(*host).config(config);
    client.connect_over(Adversary::new("socket", stream), request()).await
}

/// As [`connect_with`], over the stream as it is. One that is [awkward](Adversary) may make wait for a second at any
/// time, which is too long where a test is about less.
pub(crate) async fn connect_plainly(
    host: &Host,
    config: Config,
    options: SocketOptions,
) -> Result<WebSocket<Host>, OpenError> {
    Client::new(*host).config(config).socket_options(options).connect(request()).await
}

/// Says something, and returns whether it came back.
pub(crate) async fn ask(socket: &WebSocket<Host>, number: u32) -> Result<(), Error> {
    let question = number.to_string();
    socket.send(question.as_str()).await?;
    let answer = socket.recv().await?;
    assert_eq!(answer.as_text(), Some(question.as_str()), "the answer to another question");
    Ok(())
}

/// One task for each kind of call, and two that close after these delays, until the connection is over: as a busy
/// application would. Every call ends with the same outcome, and in time. What the peer sends back is received in
/// order, and all of it.
pub(crate) async fn all_callers(host: &Host, socket: &Socket, close_after: [Duration; 2]) -> Closed {
    all_callers_delayed(host, socket, close_after, Duration::ZERO).await
}

/// As [`all_callers`], where the host itself may be delayed for `at_most`.
pub(crate) async fn all_callers_delayed(
    host: &Host,
    socket: &Socket,
    close_after: [Duration; 2],
    at_most: Duration,
) -> Closed {
    let witness = Witness::new(socket);
    let (host, hear) = (*host, || witness.clone());
    let (receiver, sender, pinger, watcher) = (hear(), hear(), hear(), hear());
    let receiving = host.spawn("receiver", async move {
        let mut received = 0_u64;
        while let Some(message) = receiver.hear(receiver.socket.recv().await) {
            assert_eq!(message.as_text(), Some(received.to_string().as_str()), "in order, and once");
            received += 1;
        }
        received
    });
    let mut tasks = vec![
        host.spawn("sender", async move {
            let mut sent = 0_u64;
            while sender.hear(sender.socket.send(sent.to_string().as_str()).await).is_some() {
                sent += 1;
                host.sleep(SECOND / 3).await;
            }
        }),
        host.spawn("pinger", async move {
            while pinger.hear(pinger.socket.ping().await).is_some() {
                host.sleep(SECOND / 2).await;
            }
        }),
        host.spawn("watcher", async move { watcher.end(&watcher.socket.closed().await) }),
    ];
    for (delay, code) in close_after.into_iter().zip([CloseCode::NORMAL, CloseCode::GOING_AWAY]) {
        let closer = hear();
        tasks.push(host.spawn("closer", async move {
            host.sleep(delay).await;
            let closing = closer.socket.close(code, "");
            closer.end(&within(host, CLOSE_TIMEOUT + SLACK + at_most, closing).await);
        }));
    }
    let start = host.now();
    let received = receiving.await.expect("no panic");
    for task in tasks {
        task.await.expect("no panic");
    }
    let took = host.now() - start;
    let latest = close_after[0].min(close_after[1]) + CLOSE_TIMEOUT + SLACK + at_most;
    assert!(took <= latest, "a caller was told of the end after {took:?}, and not within {latest:?}");
    assert_eq!(received, socket.statistics().messages_received, "what came before the end is delivered");
    socket.closed().await
}

/// Awaits an operation that must end within the close timeout.
pub(crate) async fn in_time<T>(host: Host, future: impl Future<Output = T>) -> T {
    within(host, CLOSE_TIMEOUT + SLACK, future).await
}

/// Awaits what must not take longer than `longest`.
pub(crate) async fn within<T>(host: Host, longest: Duration, future: impl Future<Output = T>) -> T {
    let start = host.now();
    let result = future.await;
    let took = host.now() - start;
    assert!(took <= longest, "took {took:?}, and not at most {longest:?}");
    result
}
