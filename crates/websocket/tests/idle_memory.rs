//! The memory of a connection that is idle, in tasks and on threads, plain and in TLS, with compression negotiated:
//! little before the first message, and given back after the last.

#![expect(unsafe_code, reason = "an allocator is unsafe to implement")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicIsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{RootCertStore, ServerConfig};
use tokio::io::DuplexStream;
use wavetank_runtime::{
    BlockingListener as _, ListenOptions, Runtime as _, SocketOptions, Std, Threads as _, Tokio,
};
use wavetank_websocket::blocking;
use wavetank_websocket::client::{Client, WebSocket};
use wavetank_websocket::deflate::Parameters;
use wavetank_websocket::handshake::{AcceptOptions, ClientRequest, TlsOptions, Upgraded};
use wavetank_websocket::protocol::Role;
use wavetank_websocket::server::Server;
use wavetank_websocket::{CloseCode, Config, Message};

/// Counts the bytes that the process has allocated.
struct Counting;

static ALLOCATED: AtomicIsize = AtomicIsize::new(0);

// SAFETY: all is left to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.fetch_add(layout.size() as isize, Ordering::Relaxed);
        // SAFETY: the caller's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        ALLOCATED.fetch_sub(layout.size() as isize, Ordering::Relaxed);
        // SAFETY: the caller's.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

fn allocated() -> isize {
    ALLOCATED.load(Ordering::Relaxed)
}

/// All tests count in the same place: one runs at a time.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

const KIB: isize = 1024;

/// What two ends of a connection may take before their first message, without stacks and buffers to read into.
const UNUSED_MAX: isize = 2 * 8 * KIB;

/// What two ends in TLS take besides: what rustls and the opening handshake keep.
const TLS_MAX: isize = 2 * 24 * KIB;

/// What tasks read into. No page of it is used before something comes.
const READ_BUFFERS: isize = 2 * 64 * KIB;

/// What messages add at least while both ends keep the windows of both directions.
const BUSY_MIN: isize = 2 * 200 * KIB;

/// What an inflating window takes at most. It stays with context takeover, because the peer may refer to it.
const INFLATING_MAX: isize = 64 * KIB;

/// What the first connections leave for later ones.
const LEFT_MAX: isize = 64 * KIB;

const INTERVAL: Duration = Duration::from_millis(200);

fn agreed(takeover: bool) -> Parameters {
    Parameters {
        client_no_context_takeover: !takeover,
        server_no_context_takeover: !takeover,
        ..Parameters::default()
    }
}

fn config(takeover: bool) -> Config {
    let mut config = Config::default();
    config.keepalive().interval(Some(INTERVAL));
    config.compression().client_no_context_takeover(!takeover).server_no_context_takeover(!takeover);
    config
}

fn upgraded(role: Role, takeover: bool) -> Upgraded {
    Upgraded::new(role).config(config(takeover)).compression(agreed(takeover))
}

/// A client's request, and a server that it trusts.
fn secure() -> (ClientRequest, AcceptOptions) {
    let pem = include_bytes!("../testdata/certificate.pem");
    let certificate = CertificateDer::from_pem_slice(pem).expect("a certificate");
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("../testdata/key.pem")).expect("a key");
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().expect("versions").with_no_client_auth();
    let server = builder.with_single_cert(vec![certificate.clone()], key).expect("they belong together");
    let mut roots = RootCertStore::empty();
    roots.add(certificate).expect("a root");
    let request: ClientRequest = "wss://example.test/".parse().expect("a URL");
    (request.tls(TlsOptions::new().roots(roots)), AcceptOptions::new().tls(Arc::new(server)))
}

/// Both ends of a connection in tasks.
async fn tasks(secure: Option<(ClientRequest, AcceptOptions)>, takeover: bool) -> [Socket; 2] {
    let (near, far) = tokio::io::duplex(64);
    let Some((request, options)) = secure else {
        return [(near, Role::Client), (far, Role::Server)]
            .map(|(stream, role)| WebSocket::from_upgraded(Tokio, stream, upgraded(role, takeover)));
    };
    let client = Client::new(Tokio).config(config(takeover));
    let server = Server::new(Tokio).config(config(takeover)).options(options);
    let (client, server) = tokio::join!(client.connect_over(near, request), server.accept_over(far));
    [client.expect("a server"), server.expect("a client")]
}

type Socket = WebSocket<Tokio, DuplexStream>;

/// How much two ends may take before their first message, without what tasks read into.
fn unused_max(secure: bool) -> isize {
    UNUSED_MAX + if secure { TLS_MAX } else { 0 }
}

/// How much more two ends may take after they were busy than before.
fn kept_max(takeover: bool) -> isize {
    4 * KIB + if takeover { 2 * INFLATING_MAX } else { 0 }
}

fn text() -> String {
    (0..10_000).map(|number| format!("line {number}, ")).collect()
}

#[test]
fn idle_tasks_give_memory_back() {
    let _alone = alone();
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().start_paused(true).build().expect("a runtime");
    let secure = secure();
    for (takeover, secure) in [(true, None), (false, None), (true, Some(&secure)), (false, Some(&secure))] {
        runtime.block_on(async {
            let text = text();
            let before = allocated();
            let [client, server] = tasks(secure.cloned(), takeover).await;
            Tokio.sleep(INTERVAL / 2).await;
            let unused = allocated() - before;
            let unused_max = READ_BUFFERS + unused_max(secure.is_some());

            assert!(unused <= unused_max, "{unused} bytes before the first message");
            for (from, to) in [(&client, &server), (&server, &client)] {
                let (sent, received) = tokio::join!(from.send(&text), to.recv());
                sent.expect("is open");
                assert_eq!(received, Ok(Message::text(&*text)));
            }
            let busy = allocated() - before - unused;
            assert!(busy >= BUSY_MIN || !takeover, "{busy} bytes after messages");
            Tokio.sleep(5 * INTERVAL).await;
            let idle = allocated() - before - unused;

            assert!(
                idle <= kept_max(takeover),
                "{idle} bytes of {busy} after a while, takeover {takeover}, TLS {}",
                secure.is_some()
            );
            // It goes on as before.
            client.send(&text).await.expect("is open");
            assert_eq!(server.recv().await, Ok(Message::text(&*text)));
            // The next round begins when this one has left nothing.
            assert!(client.close(CloseCode::NORMAL, "").await.is_clean());
            drop((client, server));
            Tokio.sleep(INTERVAL).await;
        });
    }
}

/// Both ends of a connection on threads.
fn threads(secure: Option<(ClientRequest, AcceptOptions)>, takeover: bool) -> [blocking::WebSocket<Std>; 2] {
    let listener = Std.listen(([127, 0, 0, 1], 0).into(), ListenOptions::new()).expect("a listener");
    let address = listener.local_addr().expect("an address");
    let near = Std.connect(address, SocketOptions::new(), None).expect("a listener");
    let (far, _) = listener.accept().expect("a connection");
    let Some((request, options)) = secure else {
        return [(near, Role::Client), (far, Role::Server)].map(|(stream, role)| {
            blocking::WebSocket::from_upgraded(Std, stream, upgraded(role, takeover)).expect("threads")
        });
    };
    let server = blocking::Server::new(Std).config(config(takeover)).options(options);
    std::thread::scope(|scope| {
        let accepting = scope.spawn(move || server.accept(far).expect("a client"));
        let client = blocking::Client::new(Std).config(config(takeover));
        [client.connect_over(near, request).expect("a server"), accepting.join().expect("no panic")]
    })
}

#[test]
fn idle_threads_give_memory_back() {
    let _alone = alone();
    let secure = secure();
    for (takeover, secure) in [(true, None), (false, None), (true, Some(&secure)), (false, Some(&secure))] {
        let text = text();
        let before = allocated();
        let [client, server] = threads(secure.cloned(), takeover);
        Std.sleep(INTERVAL / 2);
        let unused = allocated() - before;
        let unused_max = unused_max(secure.is_some());

        assert!(unused <= unused_max, "{unused} bytes before the first message");
        for (from, to) in [(&client, &server), (&server, &client)] {
            from.send(&text).expect("is open");
            assert_eq!(to.recv(), Ok(Message::text(&*text)));
        }
        let busy = allocated() - before - unused;
        assert!(busy >= BUSY_MIN || !takeover, "{busy} bytes after messages");
        let idle = lasting(|| allocated() - before - unused, kept_max(takeover));

        assert!(
            idle <= kept_max(takeover),
            "{idle} bytes of {busy} after a while, takeover {takeover}, TLS {}",
            secure.is_some()
        );
        // It goes on as before.
        client.send(&text).expect("is open");
        assert_eq!(server.recv(), Ok(Message::text(&*text)));
        // The next round begins when this one has left nothing.
        assert!(client.close(CloseCode::NORMAL, "").is_clean());
        drop((client, server));
        lasting(|| allocated() - before, LEFT_MAX);
    }
}

/// Waits until `bytes` gives at most `enough` for two intervals, pings and pongs included, but not forever. Returns the
/// last result.
fn lasting(bytes: impl Fn() -> isize, enough: isize) -> isize {
    let end = Std.now() + Duration::from_secs(20);
    let mut looks = 0;
    loop {
        let found = bytes();
        looks = if found <= enough { looks + 1 } else { 0 };
        if looks > 20 || Std.now() >= end {
            return found;
        }
        Std.sleep(INTERVAL / 10);
    }
}
