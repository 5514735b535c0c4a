//! What the simulations of this folder share: two hosts, a monitored session on each, and how both end.

use std::time::Duration;

use wavetank::runtime::{Instant, Runtime, SocketOptions};
use wavetank::{Adversary, Host, Sim};
use wavetank_multiplexer::{Config, Session, Stream, WriteError};
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

/// What the sessions run over.
#[derive(Clone, Debug, Default)]
pub(crate) struct Transports {
    pub(crate) options: SocketOptions,
    /// Streams that do whatever their contract allows, such as to make wait for a second at any time.
    /// [`SOON`] is not for them.
    pub(crate) awkward: bool,
}

/// Longer than awkward transports take for what is done [`SOON`] over others.
pub(crate) const LATE: Duration = Duration::from_secs(300);

pub(crate) fn awkward() -> Transports {
    Transports { awkward: true, ..Transports::default() }
}

/// Adds the hosts "client" and "server" with a session between them.
pub(crate) fn pair(
    sim: &mut Sim,
    config: Config,
    client: impl AsyncFnOnce(End) + 'static,
    server: impl AsyncFn(End) + 'static,
) {
    pair_with(sim, config, Transports::default(), client, server);
}

/// As [`pair`], over other transports.
pub(crate) fn pair_with(
    sim: &mut Sim,
    config: Config,
    transports: Transports,
    client: impl AsyncFnOnce(End) + 'static,
    server: impl AsyncFn(End) + 'static,
) {
    let of_server = (config.clone(), transports.clone());
    sim.server("server", async move |host: Host| {
        let (config, Transports { options, awkward }) = of_server.clone();
        let transport = network::accept(&host, options).await?;
        let end = if awkward {
            end(host, Side::Server, Adversary::new("server socket", transport), config)
        } else {
            end(host, Side::Server, transport, config)
        };
        server(end).await;
        wavetank::Ok(())
    });
    sim.client("client", async move |host: Host| {
        let Transports { options, awkward } = transports;
        let transport = network::connect(&host, options).await?;
        let end = if awkward {
            end(host, Side::Client, Adversary::new("client socket", transport), config)
        } else {
            end(host, Side::Client, transport, config)
        };
        client(end).await;
        wavetank::Ok(())
    });
}

/// Starts a session over `transport`.
pub(crate) fn end<S>(host: Host, side: Side, transport: S, config: Config) -> End
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let monitor = Monitor::new(&format!("the {side:?}"));
    let session = network::session(&host, side, transport, config, &monitor);
    End { host, session, monitor }
}

impl End {
    pub(crate) fn now(&self) -> Instant {
        Runtime::now(&self.host)
    }

    pub(crate) async fn sleep(&self, duration: Duration) {
        Runtime::sleep(&self.host, duration).await;
    }

    /// Waits until no stream is left, within `longest`: neither in the session nor on the wire.
    pub(crate) async fn quiesce(&self, longest: Duration) {
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
            self.sleep(SECOND / 10).await;
        }
    }

    /// Has a new stream carry something there and back: the session works. The peer calls [`answer`](Self::answer).
    pub(crate) async fn ask(&self) {
        let mut stream = self.session.open().await.expect("the session works");
        body::write(&mut stream, 99, 0..1024, 1024).await.1.expect("written");
        stream.close_write().expect("the stream is open");
        let (read, result) = body::read(&mut stream, 99, 0, 2000).await;
        assert!(read == 1024 && result.is_ok(), "{read} {result:?}");
    }

    /// Echoes the next stream.
    pub(crate) async fn answer(&self) {
        let mut stream = self.session.accept().await.expect("a stream comes");
        body::echo(&mut stream).await.expect("echoed");
    }

    /// Ends the session from this side once no stream is left; the peer calls [`ends`](Self::ends).
    pub(crate) async fn finish(self, longest: Duration) {
        self.quiesce(longest).await;
        let closed = self.session.close().await;
        assert!(closed.is_clean(), "{closed}");
    }

    /// Waits for the peer to end the session, which must leave no stream behind.
    pub(crate) async fn ends(self) {
        let closed = self.session.closed().await;
        assert!(closed.is_clean(), "{closed}");
        let counts = self.session.statistics();
        assert_eq!((counts.streams, counts.streams_held), (0, 0), "{counts:?}");
    }
}

/// Ends the sending half of a stream whose peer may have stopped reading.
pub(crate) fn finish_writing(stream: &mut Stream<Host>) {
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
