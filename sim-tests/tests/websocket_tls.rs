//! `wss://` in the simulator: both clients against our own accept side over TLS, through a relay that sees the
//! ciphertext and may cut it anywhere.

use std::io;
use std::time::Duration;

use sha1::{Digest as _, Sha1};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use wavetank::runtime::{
    BlockingListener as _, Instant, ListenOptions, Listener as _, Runtime, SocketOptions, Threads,
};
use wavetank::{Host, Sim, Sweep, sometimes};
use wavetank_sim_tests::deterministic_tls::{self, SERVER_NAME};
use wavetank_sim_tests::websocket::cut::CutStream;
use wavetank_sim_tests::websocket::{Cut, End};
use wavetank_websocket::handshake::{AcceptOptions, ClientRequest};
use wavetank_websocket::session::TlsOptions;
use wavetank_websocket::{
    Cause, CloseCode, Closed, Config, Error, Fault, Message, OpenError, Stage, blocking, client, server,
};

/// Longer than all of what is sent here takes, with all delays of a run, and shorter than any deadline.
const SOON: Duration = Duration::from_secs(1);

/// Longer than it takes to give up a peer that is silent: an interval of the keepalive, its timeout, and closing.
const GIVEN_UP: Duration = Duration::from_secs(20 + 20 + 5 + 1);

/// What the client sends: a record, several records, and something that is compressed.
fn messages() -> [Message; 3] {
    // xorshift: what no compression shortens.
    let mut state = 2_463_534_242_u32;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as u8
    })
    .take(40_000)
    .collect();
    [Message::text("hello"), Message::binary(noise), Message::text("all hands on deck ".repeat(50))]
}

fn config() -> Config {
    Config::default().close_timeout(Duration::from_secs(5)).clone()
}

fn request() -> ClientRequest {
    let tls = TlsOptions::new().config(deterministic_tls::client_config()).server_name(SERVER_NAME);
    ClientRequest::new("wss://relay/").expect("an address").tls(tls)
}

/// A server that sends back what comes.
async fn echo(host: Host) -> io::Result<()> {
    let listener = Runtime::listen(&host, ([0, 0, 0, 0], 443).into(), ListenOptions::new()).await?;
    let options = AcceptOptions::new().tls(deterministic_tls::server_config());
    let (stream, _) = listener.accept().await?;
    let Ok(socket) = server::Server::new(host).config(config()).options(options).accept(stream).await else {
        return Ok(());
    };
    while let Ok(message) = socket.recv().await {
        if socket.send(&message).await.is_err() {
            break;
        }
    }
    Ok(())
}

/// What a relay does with what the server sends.
#[derive(Clone, Copy)]
enum Mischief {
    None,
    /// Ends its own stream to the client.
    Cut(Cut),
    /// Changes one bit of the byte at this offset.
    Change(u64),
}

/// Passes one connection on to the server, and does to what the server sends as `mischief` says.
async fn relay(host: Host, mischief: Mischief) -> io::Result<()> {
    let (cut, change) = match mischief {
        Mischief::None => (None, None),
        Mischief::Cut(cut) => (Some(cut), None),
        Mischief::Change(after) => (None, Some(after)),
    };
    let listener = Runtime::listen(&host, ([0, 0, 0, 0], 443).into(), ListenOptions::new()).await?;
    let server = Runtime::resolve(&host, "server", 443).await?[0];
    let (stream, _) = listener.accept().await?;
    let onwards = Runtime::connect(&host, server, SocketOptions::new()).await?;
    let (from_client, to_client) = tokio::io::split(CutStream::new(stream, cut, None));
    let (from_server, to_server) = tokio::io::split(onwards);
    tokio::join!(
        pass("client", from_client, to_server, None),
        pass("server", from_server, to_client, change)
    );
    Ok(())
}

/// Passes bytes on until either side ends, and puts what they were into the trace.
async fn pass(
    whose: &str,
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    change: Option<u64>,
) {
    let (mut seen, mut digest, mut buffer) = (0, Sha1::new(), [0; 4096]);
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        let changed = change.and_then(|after| usize::try_from(after).ok()?.checked_sub(seen));
        if let Some(byte) = changed.and_then(|index| buffer[..count].get_mut(index)) {
            *byte ^= 1;
        }
        seen += count;
        digest.update(&buffer[..count]);
        if to.write_all(&buffer[..count]).await.is_err() {
            break;
        }
    }
    let digest: String = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    tracing::info!("the {whose} sent {seen} bytes, {digest}");
    // The side that ends first also ends the other direction.
    let _ = to.shutdown().await;
}

/// Sends all messages one by one, and expects each back; then closes.
async fn converse(host: &Host) -> Result<(usize, Closed), OpenError> {
    let socket = client::Client::new(*host).config(config()).connect(request()).await?;
    for (echoed, message) in messages().into_iter().enumerate() {
        let answer = match socket.send(&message).await {
            Ok(()) => socket.recv().await,
            Err(error) => Err(error),
        };
        match answer {
            Ok(answer) => assert_eq!(answer, message),
            Err(error) => {
                let closed = closed(error);
                assert_eq!(socket.close(CloseCode::NORMAL, "").await, closed);
                return Ok((echoed, closed));
            }
        }
    }
    Ok((messages().len(), socket.close(CloseCode::NORMAL, "").await))
}

/// The same on threads.
fn converse_on_threads(host: &Host) -> Result<(usize, Closed), OpenError> {
    let socket = blocking::Client::new(*host).config(config()).connect(request())?;
    for (echoed, message) in messages().into_iter().enumerate() {
        match socket.send(&message).and_then(|()| socket.recv()) {
            Ok(answer) => assert_eq!(answer, message),
            Err(error) => {
                let closed = closed(error);
                assert_eq!(socket.close(CloseCode::NORMAL, ""), closed);
                return Ok((echoed, closed));
            }
        }
    }
    Ok((messages().len(), socket.close(CloseCode::NORMAL, "")))
}

fn closed(error: Error) -> Closed {
    match error {
        Error::Closed(closed) => closed,
        other => panic!("nothing but the end stops an echo: {other}"),
    }
}

/// Which of the clients a test is about.
#[derive(Clone, Copy)]
enum Client {
    Tasks,
    Threads,
}

fn conversation(
    sim: &mut Sim,
    client: Client,
    mischief: Mischief,
    judge: impl FnOnce(&Host, Result<(usize, Closed), OpenError>) + 'static,
) {
    sim.stall_after(Duration::from_secs(60));
    sim.server("server", echo);
    sim.server("relay", move |host| relay(host, mischief));
    match client {
        Client::Tasks => sim.client("client", async move |host: Host| {
            let result = converse(&host).await;
            judge(&host, result);
        }),
        Client::Threads => sim.client_thread("client", move |host: Host| {
            let result = converse_on_threads(&host);
            judge(&host, result);
        }),
    }
}

mod the_same_seed {
    use super::*;

    /// With one worker and with two, each seed twice.
    fn gives_the_same_ciphertext(name: &str, client: Client) {
        let sweep = |workers, base: u64| {
            Sweep::new(format!("websocket_tls::{name}"), env!("CARGO_MANIFEST_DIR"))
                .package(env!("CARGO_PKG_NAME"))
                .base_seed(base)
                .seeds(20)
                .check_every(1)
                .workers(workers)
                .run(move |sim| {
                    // A task that is delayed for longer finds a deadline past.
                    sim.delay_max(Duration::from_millis(100));
                    conversation(sim, client, Mischief::None, |_, result| {
                        let (echoed, closed) = result.expect("nothing is in the way");
                        assert!(echoed == messages().len() && closed.is_clean(), "{closed}");
                    });
                })
                .trace_hash()
        };
        let hash = sweep(1, 1);
        assert_eq!(hash, sweep(2, 1), "one worker and two");
        assert_ne!(hash, sweep(1, 1000), "other seeds");
    }

    #[test]
    fn gives_the_same_ciphertext_to_tasks() {
        gives_the_same_ciphertext("gives_the_same_ciphertext_to_tasks", Client::Tasks);
    }

    #[test]
    fn gives_the_same_ciphertext_to_threads() {
        gives_the_same_ciphertext("gives_the_same_ciphertext_to_threads", Client::Threads);
    }
}

mod a_complete_close {
    use super::*;

    /// The same server on threads.
    fn echo_on_threads(host: &Host) -> io::Result<()> {
        let listener = Threads::listen(host, ([0, 0, 0, 0], 443).into(), ListenOptions::new())?;
        let options = AcceptOptions::new().tls(deterministic_tls::server_config());
        let (stream, _) = listener.accept()?;
        let server = blocking::Server::new(*host).config(config()).options(options);
        let socket = server.accept(stream).expect("a client of ours");
        while let Ok(message) = socket.recv() {
            if socket.send(&message).is_err() {
                break;
            }
        }
        assert!(socket.wait_closed().is_clean());
        Ok(())
    }

    /// Passes one connection on, and stays connected to the server when the client has gone. Returns how many bytes
    /// the server sent, and when it ended its side.
    async fn stays_connected(host: Host) -> io::Result<(usize, Instant)> {
        let listener = Runtime::listen(&host, ([0, 0, 0, 0], 443).into(), ListenOptions::new()).await?;
        let server = Runtime::resolve(&host, "server", 443).await?[0];
        let (stream, _) = listener.accept().await?;
        let onwards = Runtime::connect(&host, server, SocketOptions::new()).await?;
        let (mut from_client, mut to_client) = tokio::io::split(stream);
        let (mut from_server, mut to_server) = tokio::io::split(onwards);
        let passing = async {
            let _ = tokio::io::copy(&mut from_client, &mut to_server).await;
            Runtime::sleep(&host, SOON).await;
            drop(to_server);
        };
        let counting = async {
            let (mut sent, mut buffer) = (0, [0; 4096]);
            while let Ok(count @ 1..) = from_server.read(&mut buffer).await {
                sent += count;
                // Far more than the messages and all that is around them.
                assert!(sent < 100_000, "the server does not end what it sends");
                let _ = to_client.write_all(&buffer[..count]).await;
            }
            (sent, Runtime::now(&host))
        };
        Ok(tokio::join!(passing, counting).1)
    }

    /// The end of TLS is an alert, and then the end of the stream.
    #[wavetank::test(seeds = 100)]
    fn ends_tls_once_on_threads(sim: &mut Sim) {
        sim.server_thread("server", |host| echo_on_threads(&host));
        sim.client("relay", async |host: Host| {
            let (_sent, ended) = stays_connected(host).await?;
            assert!(ended < Instant::from_nanos(0) + SOON, "the server ends its side at once");
            io::Result::Ok(())
        });
        sim.client("client", async |host: Host| {
            let (echoed, closed) = converse(&host).await.expect("nothing is in the way");
            assert!(echoed == messages().len() && closed.is_clean(), "{closed}");
        });
    }
}

mod a_cut_at_any_byte {
    use super::*;

    /// How many bytes the server sends in all, with TLS around them.
    const SERVER_BYTES: u32 = 41_025;

    fn has_a_clear_outcome(sim: &mut Sim, client: Client) {
        // The opening and the end are short, and have the most kinds of bytes.
        let (from, bytes) = match sim.choose("where", 3) {
            0 => (0, 1200),
            1 => (SERVER_BYTES - 100, 110),
            _ => (0, SERVER_BYTES),
        };
        let after = u64::from(from + sim.choose("after", bytes));
        let how = [End::Finish, End::Close, End::Reset, End::Silence][sim.choose("how", 4) as usize];
        let calm = sim.choose("calm", 2) == 0;
        sim.perturb(!calm);
        conversation(sim, client, Mischief::Cut(Cut { after, how }), move |host, result| {
            // Silence alone is no end: keepalive, or the timeout of the call, is waited for.
            let latest = if how == End::Silence { GIVEN_UP } else { SOON };
            assert!(Runtime::now(host) < Instant::from_nanos(0) + latest, "nothing else is waited for");
            match result {
                Ok((echoed, closed)) => judge_end(how, echoed, &closed),
                Err(error) => judge_opening(how, &error),
            }
        });
    }

    fn judge_opening(how: End, error: &OpenError) {
        let stage = match error {
            OpenError::Ended { stage, .. } if matches!(how, End::Finish | End::Close) => stage,
            OpenError::Io { stage, .. } if matches!(how, End::Close | End::Reset) => stage,
            OpenError::TimedOut { stage, .. } if how == End::Silence => stage,
            other => panic!("the opening fails by the cut: {other:?}"),
        };
        sometimes!(*stage == Stage::Tls, "cut during the TLS handshake");
        sometimes!(*stage == Stage::Handshake, "cut during the WebSocket handshake");
    }

    fn judge_end(how: End, echoed: usize, closed: &Closed) {
        let clean = closed.is_clean();
        assert_eq!(clean, closed.received.is_some(), "{closed}");
        sometimes!(clean, "cut behind the Close handshake");
        sometimes!(!clean && echoed == 3, "cut inside the Close handshake");
        sometimes!(!clean && (1..3).contains(&echoed), "cut inside a message");
        match &closed.cause {
            Cause::Local if clean => assert_eq!(echoed, 3),
            Cause::EndOfInput { .. } if !clean && matches!(how, End::Finish | End::Close) => {}
            Cause::Io { .. } if !clean && matches!(how, End::Close | End::Reset) => {}
            Cause::KeepaliveTimeout { .. } if !clean && how == End::Silence => {
                sometimes!(true, "keepalive finds that the peer is silent");
            }
            Cause::CloseTimeout { .. } if !clean && how == End::Silence => {
                assert_eq!(echoed, 3);
                sometimes!(true, "the peer is silent when we close");
            }
            _ => panic!("the connection ends by the cut: {closed}"),
        }
    }

    #[wavetank::test(seeds = 400, sometimes = "required")]
    fn has_a_clear_outcome_for_tasks(sim: &mut Sim) {
        has_a_clear_outcome(sim, Client::Tasks);
    }

    #[wavetank::test(seeds = 400, sometimes = "required")]
    fn has_a_clear_outcome_for_threads(sim: &mut Sim) {
        has_a_clear_outcome(sim, Client::Threads);
    }
}

mod a_bit_that_is_changed_on_the_way {
    use super::*;

    /// How many bytes the server sends in all, with TLS around them.
    const SERVER_BYTES: u32 = 41_025;

    fn is_a_failure_of_tls(sim: &mut Sim, client: Client) {
        // The opening is short, and has the most kinds of bytes.
        let bytes = [1200, SERVER_BYTES][sim.choose("where", 2) as usize];
        let after = u64::from(sim.choose("after", bytes));
        sim.perturb(false);
        conversation(sim, client, Mischief::Change(after), move |_, result| match result {
            Err(OpenError::Tls { peer, .. }) => {
                assert_eq!(peer, "relay:443");
                sometimes!(true, "the opening fails");
            }
            Ok((_, closed)) if matches!(closed.cause, Cause::Tls { .. }) => {
                assert_eq!(closed.fault(), Some(Fault::Peer), "{closed}");
                assert!(closed.received.is_none(), "{closed}");
                sometimes!(true, "the connection fails");
            }
            // A record that claims to be longer than it is is waited for.
            Err(OpenError::TimedOut { .. }) => {}
            Ok((_, Closed { cause: Cause::KeepaliveTimeout { .. } | Cause::CloseTimeout { .. }, .. })) => {}
            // The version that a record claims is ignored (RFC 8446, section 5.1), and what follows the Close
            // handshake.
            Ok((3, closed)) if closed.is_clean() => {}
            other => panic!("{other:?}"),
        });
    }

    #[wavetank::test(seeds = 300, sometimes = "required")]
    fn is_a_failure_of_tls_for_tasks(sim: &mut Sim) {
        is_a_failure_of_tls(sim, Client::Tasks);
    }

    #[wavetank::test(seeds = 300, sometimes = "required")]
    fn is_a_failure_of_tls_for_threads(sim: &mut Sim) {
        is_a_failure_of_tls(sim, Client::Threads);
    }
}
