//! Sessions of the two published crates, `yamux` and `tokio-yamux`, unmodified, behind one interface.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::StreamExt as _;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, oneshot};
use tokio_util::compat::{Compat, FuturesAsyncReadCompatExt as _, TokioAsyncReadCompatExt as _};
use wavetank_runtime::{Runtime, TaskHandle as _};

use super::network::Side;

/// A published crate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `yamux` 0.14.1.
    Yamux,
    /// `tokio-yamux` 0.3.20.
    TokioYamux,
}

impl Kind {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Yamux, Self::TokioYamux];
}

/// A stream of a published crate. `shutdown` sends FIN.
pub trait ForeignStream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> ForeignStream for S {}

type Boxed = Box<dyn ForeignStream>;

enum Command {
    Open(oneshot::Sender<io::Result<Boxed>>),
    Close,
}

/// A session of a published crate, driven by a task of its own.
pub struct Foreign<R: Runtime> {
    commands: mpsc::UnboundedSender<Command>,
    accepted: mpsc::UnboundedReceiver<Boxed>,
    driver: R::TaskHandle<()>,
}

impl<R: Runtime> Foreign<R> {
    /// Starts a session over `transport`, with the defaults of the crate.
    pub fn start<S>(runtime: &R, kind: Kind, side: Side, transport: S) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let default = tokio_yamux::Config::default().connection_write_timeout;
        Self::start_waiting(runtime, kind, side, transport, default)
    }

    /// Starts a session that waits for `go_away` at most when it closes.
    ///
    /// A session of `tokio-yamux` ends when the peer has answered its GoAway with another one or the end of the
    /// transport. Peers that keep a session open for streams which may still come do neither: hashicorp/yamux and
    /// ours. By default it waits for 10 s. `yamux` does not wait.
    pub fn start_waiting<S>(runtime: &R, kind: Kind, side: Side, transport: S, go_away: Duration) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (commands, for_driver) = mpsc::unbounded_channel();
        let (accepting, accepted) = mpsc::unbounded_channel();
        let driver = match kind {
            Kind::Yamux => runtime.spawn("yamux", drive_yamux(side, transport, for_driver, accepting)),
            Kind::TokioYamux => runtime
                .spawn("tokio-yamux", drive_tokio_yamux(side, transport, for_driver, accepting, go_away)),
        };
        Self { commands, accepted, driver }
    }

    /// Opens a stream.
    ///
    /// # Errors
    ///
    /// What the crate says, or `NotConnected` once the session is over.
    pub async fn open(&self) -> io::Result<Boxed> {
        let (answer, opened) = oneshot::channel();
        let gone = || io::Error::from(io::ErrorKind::NotConnected);
        self.commands.send(Command::Open(answer)).map_err(|_| gone())?;
        opened.await.map_err(|_| gone())?
    }

    /// Waits for the next stream that the peer opens; `None` once the session is over.
    pub async fn accept(&mut self) -> Option<Boxed> {
        self.accepted.recv().await
    }

    /// Closes the session, and waits until it is over.
    pub async fn close(self) {
        let _over_already = self.commands.send(Command::Close);
        let _cannot_panic = self.driver.await;
    }

    /// Ends the task that drives the session. The peer sees only the end of the transport.
    pub fn abort(self) {
        self.driver.abort();
    }

    /// Waits until the session is over.
    pub async fn closed(self) {
        let _cannot_panic = self.driver.await;
    }
}

impl<R: Runtime> std::fmt::Debug for Foreign<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Foreign").finish_non_exhaustive()
    }
}

/// Drives a connection of `yamux`, which must be polled for inbound streams all the time.
struct YamuxDriver<S> {
    connection: yamux::Connection<Compat<S>>,
    commands: mpsc::UnboundedReceiver<Command>,
    accepting: mpsc::UnboundedSender<Boxed>,
    opening: VecDeque<oneshot::Sender<io::Result<Boxed>>>,
    closing: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> YamuxDriver<S> {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while !self.closing {
            match self.commands.poll_recv(context) {
                Poll::Ready(Some(Command::Open(answer))) => self.opening.push_back(answer),
                Poll::Ready(Some(Command::Close)) => self.closing = true,
                Poll::Ready(None) | Poll::Pending => break,
            }
        }
        if self.closing {
            return self.connection.poll_close(context).map(drop);
        }
        loop {
            while !self.opening.is_empty()
                && let Poll::Ready(opened) = self.connection.poll_new_outbound(context)
            {
                let answer = self.opening.pop_front().expect("it is not empty");
                let opened = opened.map(|stream| Box::new(stream.compat()) as Boxed);
                let _cancelled = answer.send(opened.map_err(io::Error::other));
            }
            match self.connection.poll_next_inbound(context) {
                Poll::Ready(Some(Ok(stream))) => {
                    let _unwanted = self.accepting.send(Box::new(stream.compat()));
                }
                Poll::Ready(Some(Err(error))) => {
                    tracing::info!("the session failed: {error}");
                    return Poll::Ready(());
                }
                Poll::Ready(None) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

async fn drive_yamux<S: AsyncRead + AsyncWrite + Unpin + Send>(
    side: Side,
    transport: S,
    commands: mpsc::UnboundedReceiver<Command>,
    accepting: mpsc::UnboundedSender<Boxed>,
) {
    let mode = match side {
        Side::Client => yamux::Mode::Client,
        Side::Server => yamux::Mode::Server,
    };
    let mut config = yamux::Config::default();
    config.set_max_connection_receive_window(None).set_max_num_streams(4096);
    let connection = yamux::Connection::new(transport.compat(), config, mode);
    let mut driver =
        YamuxDriver { connection, commands, accepting, opening: VecDeque::new(), closing: false };
    poll_fn(|context| driver.poll(context)).await;
}

async fn drive_tokio_yamux<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    side: Side,
    transport: S,
    mut commands: mpsc::UnboundedReceiver<Command>,
    accepting: mpsc::UnboundedSender<Boxed>,
    go_away: Duration,
) {
    let config = tokio_yamux::Config {
        enable_keepalive: false,
        connection_write_timeout: go_away,
        ..tokio_yamux::Config::default()
    };
    let mut session = match side {
        Side::Client => tokio_yamux::Session::new_client(transport, config),
        Side::Server => tokio_yamux::Session::new_server(transport, config),
    };
    let mut closing: Option<futures::future::BoxFuture<'static, ()>> = None;
    poll_fn(|context| {
        while closing.is_none() {
            match commands.poll_recv(context) {
                Poll::Ready(Some(Command::Open(answer))) => {
                    let opened = session.open_stream().map(|stream| Box::new(stream) as Boxed);
                    let _cancelled = answer.send(opened.map_err(|error| io::Error::other(error.to_string())));
                }
                Poll::Ready(Some(Command::Close)) => {
                    let mut control = session.control();
                    closing = Some(Box::pin(async move { control.close().await }));
                }
                Poll::Ready(None) | Poll::Pending => break,
            }
        }
        if let Some(running) = &mut closing
            && running.as_mut().poll(context).is_ready()
        {
            closing = Some(Box::pin(std::future::pending()));
        }
        loop {
            match session.poll_next_unpin(context) {
                Poll::Ready(Some(Ok(stream))) => {
                    let _unwanted = accepting.send(Box::new(stream));
                }
                Poll::Ready(Some(Err(error))) => {
                    tracing::info!("the session failed: {error}");
                    return Poll::Ready(());
                }
                Poll::Ready(None) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
    })
    .await;
}
