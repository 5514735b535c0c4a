//! What both WebSocket clients, and both accept sides, say of peers that are none, of proxies that are silent, and of
//! calls that time out while a connection closes: at once, with the peer's name, and with the side at fault.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use wavetank::runtime::{
    BlockingListener as _, ListenOptions, Listener as _, Runtime, SocketOptions, Stream as _,
    ThreadHandle as _, Threads,
};
use wavetank::{Faults, Host, Sim, sometimes};
use wavetank_sim_tests::websocket::{Opening, scripts, serve};
use wavetank_websocket::handshake::{ClientRequest, Proxies, Proxy};
use wavetank_websocket::{CloseCode, Config, Error, OpenError, blocking, client, server};
use wavetank_websocket::{Fault, HandshakeError, ProxyError, RequestError};

/// Longer than anything takes that waits for no timeout, and shorter than every timeout.
const SOON: Duration = Duration::from_secs(1);

/// How long an opening may take.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);

/// Which of the clients, or of the accept sides, a test is about.
#[derive(Clone, Copy)]
enum Side {
    Tasks,
    Threads,
}

/// Has a client ask, and `judge` say what to think of its error and of how long it took.
fn ask(
    sim: &mut Sim,
    side: Side,
    request: ClientRequest,
    judge: impl FnOnce(OpenError, Duration) + Send + 'static,
) {
    match side {
        Side::Tasks => sim.client("client", async move |host: Host| {
            let start = Runtime::now(&host);
            let failed = client::Client::new(host).connect(request).await;
            judge(failed.expect_err("no server speaks WebSocket"), Runtime::now(&host) - start);
        }),
        Side::Threads => sim.client_thread("client", move |host: Host| {
            let start = Threads::now(&host);
            let failed = blocking::Client::new(host).connect(request);
            judge(failed.expect_err("no server speaks WebSocket"), Threads::now(&host) - start);
        }),
    }
}

/// Listens on a port, sends this to each client, and continues to read.
async fn stranger(host: Host, port: u16, words: &'static [u8]) -> io::Result<()> {
    let listener = Runtime::listen(&host, ([0, 0, 0, 0], port).into(), ListenOptions::new()).await?;
    loop {
        let (mut stream, _) = listener.accept().await?;
        stream.write_all(words).await?;
        let mut heard = [0; 1024];
        while let Ok(1..) = stream.read(&mut heard).await {}
    }
}

/// Words of other protocols, and how what came of them begins at the least.
const STRANGERS: [(&[u8], &str); 4] = [
    (b"SSH-2.0-OpenSSH_9.9\r\n", "S"),
    (b"220 mail.example.test ESMTP\r\n", "2"),
    (b"\x15\x03\x01\x00\x02\x02\x28", "\\x15"),
    (b"HTTP/2 200\r\n", "HTTP/2"),
];

mod a_server_of_another_protocol {
    use super::*;

    fn is_not_waited_for(sim: &mut Sim, side: Side) {
        let (words, least) = STRANGERS[sim.choose("stranger", 4) as usize];
        sim.perturb(false).faults(Faults::none().short_transfers().tiny_windows());
        sim.server("server", move |host| stranger(host, 80, words));
        let request = ClientRequest::new("ws://user:secret@server/").expect("an address");
        ask(sim, side, request, move |error, took| {
            assert!(took < SOON, "{took:?}: {error}");
            assert_eq!((error.peer().as_deref(), error.fault()), (Some("server:80"), Fault::Peer));
            let OpenError::Handshake { error: HandshakeError::NotHttp { beginning }, .. } = &error else {
                panic!("{error}")
            };
            let whole = words.escape_ascii().to_string();
            assert!(beginning.starts_with(least) && whole.starts_with(beginning), "{beginning}");
            sometimes!(beginning.len() < whole.len(), "known before all has come");
        });
    }

    #[wavetank::test(seeds = 200, sometimes = "required")]
    fn is_not_waited_for_by_tasks(sim: &mut Sim) {
        is_not_waited_for(sim, Side::Tasks);
    }

    #[wavetank::test(seeds = 200, sometimes = "required")]
    fn is_not_waited_for_by_threads(sim: &mut Sim) {
        is_not_waited_for(sim, Side::Threads);
    }
}

mod a_proxy {
    use super::*;

    fn through_proxy(url: &str) -> ClientRequest {
        let proxy = Proxy::parse(url).expect("a proxy");
        let request = ClientRequest::new("ws://server/").expect("an address");
        request.proxies(Proxies::always(proxy))
    }

    fn that_says_nothing_is_at_fault(sim: &mut Sim, side: Side) {
        let scheme = ["http", "socks5"][sim.choose("kind", 2) as usize];
        let request = through_proxy(&format!("{scheme}://user:secret@proxy:3128"));
        // What comes before the timeout is no more than a beginning.
        let words = [&b""[..], b"HTTP/1.1 2"][sim.choose("words", 2) as usize];
        sim.perturb(false);
        sim.server("proxy", move |host| stranger(host, 3128, words));
        ask(sim, side, request, move |error, took| {
            assert_eq!(error.peer().as_deref(), Some("proxy:3128"), "{error}");
            assert_eq!(error.fault(), Fault::Proxy, "{error}");
            match error {
                OpenError::TimedOut { .. } => {
                    assert!(took >= OPEN_TIMEOUT && took < OPEN_TIMEOUT + SOON, "{took:?}");
                    sometimes!(true, "silent until the timeout");
                }
                // To SOCKS, HTTP is no beginning.
                OpenError::Proxy { error: ProxyError::Malformed { .. }, .. } => {
                    assert!(took < SOON, "{took:?}");
                    sometimes!(true, "of another kind");
                }
                other => panic!("{other}"),
            }
        });
    }

    #[wavetank::test(seeds = 100, sometimes = "required")]
    fn that_says_nothing_is_at_fault_for_tasks(sim: &mut Sim) {
        that_says_nothing_is_at_fault(sim, Side::Tasks);
    }

    #[wavetank::test(seeds = 100, sometimes = "required")]
    fn that_says_nothing_is_at_fault_for_threads(sim: &mut Sim) {
        that_says_nothing_is_at_fault(sim, Side::Threads);
    }
}

mod a_client_that_begins_with_tls {
    use super::*;

    const HELLO: &[u8] = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";

    fn judge(result: Result<(), OpenError>) {
        let error = result.expect_err("it cannot ask");
        assert!(matches!(error, OpenError::Request(RequestError::NotHttp { .. })), "{error}");
        assert_eq!((error.peer().as_deref(), error.fault()), (Some("the client"), Fault::Peer));
        assert!(
            error.to_string().contains("(this is TLS)") || error.to_string().ends_with("\"\\x16\""),
            "{error}"
        );
    }

    /// The accept side ends its stream, and the client sees that it was answered.
    fn is_answered_at_once(sim: &mut Sim, side: Side) {
        let part = [1, 4, HELLO.len()][sim.choose("part", 3) as usize];
        let pause = Duration::from_millis(1) * sim.choose("pause", 4);
        sim.perturb(false).faults(Faults::none().short_transfers());
        match side {
            Side::Tasks => sim.server("server", async |host: Host| {
                let listener =
                    Runtime::listen(&host, ([0, 0, 0, 0], 80).into(), ListenOptions::new()).await?;
                let (stream, _) = listener.accept().await?;
                judge(server::Server::new(host).accept(stream).await.map(drop));
                io::Result::Ok(())
            }),
            Side::Threads => sim.server_thread("server", |host: Host| {
                let listener = Threads::listen(&host, ([0, 0, 0, 0], 80).into(), ListenOptions::new())?;
                let (stream, _) = listener.accept()?;
                judge(blocking::Server::new(host).accept(stream).map(drop));
                io::Result::Ok(())
            }),
        }
        sim.client("client", async move |host: Host| {
            let start = Runtime::now(&host);
            let server = Runtime::resolve(&host, "server", 80).await.expect("a name")[0];
            let stream = Runtime::connect(&host, server, SocketOptions::new()).await;
            let mut stream = stream.expect("a server listens");
            stream.set_nodelay(true).expect("is open");
            for part in HELLO.chunks(part) {
                // What comes after the answer is under way is no reason to take that back.
                stream.write_all(part).await.expect("is open");
                Runtime::sleep(&host, pause).await;
            }
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.expect("text, and its end");
            assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
            assert!(Runtime::now(&host) - start < SOON);
        });
    }

    #[wavetank::test(seeds = 100)]
    fn is_answered_at_once_by_tasks(sim: &mut Sim) {
        is_answered_at_once(sim, Side::Tasks);
    }

    #[wavetank::test(seeds = 100)]
    fn is_answered_at_once_by_threads(sim: &mut Sim) {
        is_answered_at_once(sim, Side::Threads);
    }
}

mod calls_with_a_timeout {
    use super::*;

    #[wavetank::test(seeds = 300, sometimes = "required", base_seed = 0xa40be628f0218e11)]
    fn never_invite_retries_once_nothing_can_be_sent(sim: &mut Sim) {
        let timeout = Duration::from_millis(1) * [0, 1, 50, 8000][sim.choose("timeout", 4) as usize];
        let pause = Duration::from_millis(1) * sim.choose("pause", 5);
        sim.server("server", |host| serve(host, Opening::default(), scripts::silent));
        sim.client_thread("client", move |host: Host| {
            let mut config = Config::default();
            config.close_timeout(Duration::from_secs(5));
            config.open_timeout(Duration::from_secs(1000));
            config.keepalive().interval(None);
            let request = "ws://server/".parse().expect("an address");
            let socket = blocking::Client::new(host).config(config).connect(request).expect("a connection");
            let callers = ["sender", "pinger"].map(|name| {
                let socket = socket.clone();
                let call = move || match name {
                    "sender" => socket.send_timeout("hello", timeout),
                    _ => socket.ping_timeout(timeout).map(drop),
                };
                let watched = call_until_closed(host, call);
                Threads::spawn(&host, name, watched).expect("a thread")
            });
            Threads::sleep(&host, pause);
            let closed = socket.close(CloseCode::NORMAL, "");
            for caller in callers {
                assert_eq!(caller.join().expect("no panic"), closed);
            }
        });
    }

    /// Calls again and again, and looks at what each says, until that is the outcome.
    fn call_until_closed(
        host: Host,
        call: impl Fn() -> Result<(), Error> + Send + 'static,
    ) -> impl FnOnce() -> wavetank_websocket::Closed + Send + 'static {
        move || {
            let mut closing = false;
            loop {
                match call() {
                    Err(Error::Closed(closed)) => break closed,
                    Err(Error::Closing) => {
                        sometimes!(true, "the outcome is not known in time");
                        closing = true;
                    }
                    Err(Error::TimedOut) => {
                        assert!(!closing, "nothing can be sent any more");
                        sometimes!(true, "an open connection has no room, or no pong, in time");
                    }
                    Ok(()) => assert!(!closing, "nothing can be sent any more"),
                    Err(other) => panic!("{other}"),
                }
                Threads::sleep(&host, Duration::from_millis(200));
            }
        }
    }
}
