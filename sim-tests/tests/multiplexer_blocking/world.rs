//! What the simulations of this folder share: two hosts, a monitored session on each, and how both end.

use std::time::Duration;

use wavetank::runtime::{Instant, SocketOptions, ThreadHandle as _, Threads};
use wavetank::{Host, Sim};
use wavetank_multiplexer::blocking::{Session, Stream};
use wavetank_multiplexer::{Config, WriteError};
use wavetank_sim_tests::multiplexer::network::{self, Side};
pub(crate) use wavetank_sim_tests::multiplexer::{Cell, read_error, write_error};
use wavetank_sim_tests::multiplexer::{Monitor, body};

pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// Longer than a round trip and all delays of a run (400 ms) together, and shorter than any timeout.
pub(crate) const SOON: Duration = SECOND;

/// One side of a session, with what watches it.
#[derive(Clone)]
pub(crate) struct End {
    pub(crate) host: Host,
    pub(crate) session: Session<Host>,
    pub(crate) monitor: Monitor,
}

/// Adds the hosts "client" and "server" with a session between them.
pub(crate) fn pair(
    sim: &mut Sim,
    config: Config,
    client: impl FnOnce(End) + 'static,
    server: impl Fn(End) + 'static,
) {
    pair_with(sim, config, SocketOptions::new(), client, server);
}

/// As [`pair`], with options of the sockets.
pub(crate) fn pair_with(
    sim: &mut Sim,
    config: Config,
    options: SocketOptions,
    client: impl FnOnce(End) + 'static,
    server: impl Fn(End) + 'static,
) {
    let of_server = (config.clone(), options);
    sim.server_thread("server", move |host: Host| {
        let (config, options) = of_server.clone();
        let transport = network::accept_blocking(&host, options)?;
        server(end(host, Side::Server, transport, config)?);
        wavetank::Ok(())
    });
    sim.client_thread("client", move |host: Host| {
        let transport = network::connect_blocking(&host, options)?;
        client(end(host, Side::Client, transport, config)?);
        wavetank::Ok(())
    });
}

/// Starts a session over `transport`.
pub(crate) fn end(
    host: Host,
    side: Side,
    transport: <Host as Threads>::Stream,
    config: Config,
) -> std::io::Result<End> {
    let monitor = Monitor::new(&format!("the {side:?}"));
    let session = network::session_blocking(&host, side, transport, config, &monitor)?;
    Ok(End { host, session, monitor })
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

impl End {
    pub(crate) fn now(&self) -> Instant {
        Threads::now(&self.host)
    }

    pub(crate) fn sleep(&self, duration: Duration) {
        Threads::sleep(&self.host, duration);
    }

    /// Waits until no stream is left, within `longest`: neither in the session nor on the wire.
    pub(crate) fn quiesce(&self, longest: Duration) {
        let start = self.now();
        loop {
            let counts = self.session.statistics();
            if counts.streams_held == 0
                && counts.streams == 0
                && counts.pending_bytes == 0
                && self.monitor.is_quiescent()
            {
                assert_eq!(counts.buffered_bytes, 0, "bytes are left of streams that have ended");
                assert_eq!(counts.backlog, 0);
                assert_eq!(counts.tuned_bytes, 0, "windows are counted that have ended");
                return;
            }
            assert!(
                self.now() - start <= longest,
                "streams are left after {longest:?}: {counts:?}, {:?}",
                self.monitor
            );
            self.sleep(SECOND / 10);
        }
    }

    /// Has a new stream carry something there and back: the session works. The peer calls [`answer`](Self::answer).
    pub(crate) fn ask(&self) {
        let mut stream = self.session.open().expect("the session works");
        body::write_blocking(&mut stream, 99, 0..1024, 1024).1.expect("written");
        stream.close_write().expect("the stream is open");
        let (read, result) = body::read_blocking(&mut stream, 99, 0, 2000);
        assert!(read == 1024 && result.is_ok(), "{read} {result:?}");
    }

    /// Echoes the next stream.
    pub(crate) fn answer(&self) {
        let mut stream = self.session.accept().expect("a stream comes");
        body::echo_blocking(&mut stream).expect("echoed");
        stream.close_write().expect("the stream is open");
    }

    /// Ends the session from this side once no stream is left; the peer calls [`ends`](Self::ends).
    pub(crate) fn finish(self, longest: Duration) {
        self.quiesce(longest);
        let closed = self.session.close();
        assert!(closed.is_clean(), "{closed}");
    }

    /// Waits for the peer to end the session, which must leave no stream behind.
    pub(crate) fn ends(self) {
        let closed = self.session.wait_closed();
        assert!(closed.is_clean(), "{closed}");
        let counts = self.session.statistics();
        assert_eq!((counts.streams, counts.streams_held), (0, 0), "{counts:?}");
    }
}

/// Ends the sending half of a stream whose peer may have stopped reading.
pub(crate) fn finish_writing(stream: &Stream<Host>) {
    let result = stream.close_write();
    assert!(matches!(result, Ok(()) | Err(WriteError::Stopped)), "{result:?}");
}

/// Checks what must hold of a stream at any time.
pub(crate) fn inspect(stream: &Stream<Host>) {
    let counts = stream.statistics();
    assert!(counts.buffered_bytes <= counts.receive_window as usize, "{counts:?}");
    assert!(
        counts.receive_credit as usize + counts.buffered_bytes <= counts.receive_window as usize,
        "{counts:?}"
    );
}
