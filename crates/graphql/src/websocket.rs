//! The transport over this project's own WebSocket.
//!
//! Make a [`WebSocketTransport`] from a `WebSocket` that `wavetank_websocket::server::Server` has accepted. The
//! WebSocket has a keepalive of its own, which counts bytes and not messages. Where it is on, the keepalive of this
//! crate may be off ([`Config::keepalive`](crate::Config::keepalive)).

use std::fmt;
use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;
use tokio::io::{AsyncRead, AsyncWrite};
use wavetank_runtime::{Runtime, Threads};
use wavetank_websocket::client::{Messages, WebSocket};
use wavetank_websocket::{Cause, Closed, Error, Message, Text};

use crate::blocking::BlockingTransport;
use crate::close::CloseFrame;
use crate::server::Upgrade;
use crate::transport::{Incoming, MessageTransport, Progress, TransportError};

/// Accepts a WebSocket and serves it: the body of an axum handler, over this project's WebSocket instead of axum's.
///
/// Does what [`axum::upgrade`](crate::axum::upgrade) does. But timeouts of sending and keepalive count bytes and not
/// whole messages, so a client on a slow link is not cut off in the middle of a long one. The handler's own
/// [`Config::keepalive`](crate::Config::keepalive) is the keepalive.
#[cfg(feature = "axum")]
pub fn upgrade<R, E, H>(
    server: crate::Server<R, E, H>,
    request: wavetank_websocket::axum::WebSocketUpgrade,
    headers: http::HeaderMap,
    peer: Option<std::net::SocketAddr>,
) -> axum::response::Response
where
    R: Runtime,
    E: crate::Engine,
    H: crate::Hooks<Context = E::Context>,
{
    use axum::response::IntoResponse as _;

    if !server.allows_origin(&headers) {
        return (http::StatusCode::FORBIDDEN, "this origin is not allowed").into_response();
    }
    let options = wavetank_websocket::handshake::AcceptOptions::new();
    let options = options.subprotocols(server.subprotocols().iter().copied());
    let mut config = wavetank_websocket::Config::default();
    config.keepalive().interval(None);
    config.limits().message(server.config.message_bytes_max).frame(server.config.message_bytes_max);
    request.options(options).config(config).on_upgrade(async move |socket| {
        let upgrade = Upgrade::new().headers(headers);
        let upgrade = peer.into_iter().fold(upgrade, Upgrade::peer);
        server.serve(WebSocketTransport::new(socket), upgrade).await;
    })
}

/// A future of the WebSocket that is stored.
type Stored<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// One accepted WebSocket.
pub struct WebSocketTransport<R, S = <R as Runtime>::Stream>
where
    R: Runtime,
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    socket: WebSocket<R, S>,
    messages: Messages<R, S>,
    /// A message that found the write buffer full.
    sending: Option<Stored<Result<(), Error>>>,
    /// A message that was not tried yet.
    unsent: Option<String>,
    /// A ping that is not in the write buffer yet.
    pinging: Option<Stored<Result<Duration, Error>>>,
    closing: Option<Stored<Closed>>,
}

impl<R, S> WebSocketTransport<R, S>
where
    R: Runtime,
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    /// Makes a transport of a WebSocket that was accepted.
    #[must_use]
    pub fn new(socket: WebSocket<R, S>) -> Self {
        let messages = socket.messages();
        Self { socket, messages, sending: None, unsent: None, pinging: None, closing: None }
    }

    /// Returns what is known of the upgrade: its headers.
    #[must_use]
    pub fn upgrade(&self) -> Upgrade {
        Upgrade::new().headers(self.socket.headers().clone())
    }

    fn poll_sending(&mut self, context: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        if let Some(text) = self.unsent.take() {
            let tried = pin!(self.socket.send(text.as_str())).poll(context);
            match tried {
                Poll::Ready(sent) => sent.map_err(|error| lost(&error))?,
                Poll::Pending => {
                    // The call that waits for room has to own what it sends.
                    let socket = self.socket.clone();
                    self.sending = Some(Box::pin(async move { socket.send(text.as_str()).await }));
                }
            }
        }
        if let Some(sending) = &mut self.sending {
            let Poll::Ready(sent) = sending.as_mut().poll(context) else { return Poll::Pending };
            self.sending = None;
            sent.map_err(|error| lost(&error))?;
        }
        self.poll_pinging(context)
    }

    /// Waits until the ping is in the write buffer, and not for its pong.
    fn poll_pinging(&mut self, context: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        let Some(pinging) = &mut self.pinging else { return Poll::Ready(Ok(())) };
        let before = self.socket.statistics().frames_sent;
        let polled = pinging.as_mut().poll(context);
        if polled.is_pending() && self.socket.statistics().frames_sent == before {
            return Poll::Pending;
        }
        self.pinging = None;
        match polled {
            Poll::Ready(Err(error)) => Poll::Ready(Err(lost(&error))),
            Poll::Ready(Ok(_)) | Poll::Pending => Poll::Ready(Ok(())),
        }
    }
}

/// What the end of a WebSocket means.
fn ended(closed: &Closed) -> Result<Incoming<Text>, TransportError> {
    match &closed.cause {
        Cause::Peer | Cause::Local => {
            Ok(Incoming::Closed(closed.received.as_ref().and_then(|frame| frame.code).map(|code| code.get())))
        }
        Cause::LimitExceeded { .. } => Err(TransportError::MessageTooBig),
        Cause::Violation { .. } => Err(TransportError::Protocol(closed.cause.to_string())),
        cause => Err(TransportError::Lost(cause.to_string())),
    }
}

fn lost(error: &Error) -> TransportError {
    match error {
        Error::Closed(closed) => match ended(closed) {
            Err(error) => error,
            Ok(_) => TransportError::Lost(closed.to_string()),
        },
        error => TransportError::Lost(error.to_string()),
    }
}

impl<R, S> MessageTransport for WebSocketTransport<R, S>
where
    R: Runtime,
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Text = Text;

    fn subprotocol(&self) -> Option<&str> {
        self.socket.subprotocol()
    }

    fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<Result<Incoming<Text>, TransportError>> {
        let Poll::Ready(next) = Pin::new(&mut self.messages).poll_next(context) else {
            return Poll::Pending;
        };
        Poll::Ready(match next {
            Some(Ok(Message::Text(text))) => Ok(Incoming::Text(text)),
            Some(Ok(Message::Binary(_))) => Ok(Incoming::Binary),
            Some(Err(Error::Closed(closed))) => ended(&closed),
            Some(Err(error)) => Err(lost(&error)),
            None => match self.socket.outcome() {
                Some(closed) => ended(&closed),
                None => Ok(Incoming::Closed(None)),
            },
        })
    }

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        self.poll_sending(context)
    }

    fn start_send(&mut self, text: String) -> Result<(), TransportError> {
        self.unsent = Some(text);
        Ok(())
    }

    fn start_ping(&mut self) -> Result<bool, TransportError> {
        let socket = self.socket.clone();
        self.pinging = Some(Box::pin(async move { socket.ping().await }));
        Ok(true)
    }

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        self.poll_sending(context)
    }

    fn poll_close(&mut self, context: &mut Context<'_>, frame: &CloseFrame) -> Poll<()> {
        let closing = match &mut self.closing {
            Some(closing) => closing,
            None => {
                // What was taken goes out first.
                if self.poll_sending(context).is_pending() {
                    return Poll::Pending;
                }
                let socket = self.socket.clone();
                let code = wavetank_websocket::CloseCode::new(frame.code().get());
                let code = code.unwrap_or(wavetank_websocket::CloseCode::NORMAL);
                let reason = frame.reason().to_owned();
                self.closing.insert(Box::pin(async move { socket.close(code, &reason).await }))
            }
        };
        closing.as_mut().poll(context).map(drop)
    }

    fn progress(&self) -> Progress {
        let statistics = self.socket.statistics();
        Progress { received: statistics.bytes_received, sent: statistics.bytes_sent }
    }
}

impl<R, S> fmt::Debug for WebSocketTransport<R, S>
where
    R: Runtime,
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocketTransport").field("socket", &self.socket).finish_non_exhaustive()
    }
}

/// One accepted WebSocket of threads. Its closing handshake takes at most the WebSocket's own close timeout.
#[derive(Debug)]
pub struct BlockingWebSocketTransport<W: Threads> {
    socket: wavetank_websocket::blocking::WebSocket<W>,
}

impl<W: Threads> BlockingWebSocketTransport<W> {
    /// Makes a transport of a WebSocket that was accepted.
    #[must_use]
    pub fn new(socket: wavetank_websocket::blocking::WebSocket<W>) -> Self {
        Self { socket }
    }
}

impl<W: Threads> BlockingTransport for BlockingWebSocketTransport<W> {
    type Text = Text;

    fn subprotocol(&self) -> Option<&str> {
        self.socket.subprotocol()
    }

    fn recv(&self) -> Result<Incoming<Text>, TransportError> {
        match self.socket.recv() {
            Ok(Message::Text(text)) => Ok(Incoming::Text(text)),
            Ok(Message::Binary(_)) => Ok(Incoming::Binary),
            Err(Error::Closed(closed)) => ended(&closed),
            Err(error) => Err(lost(&error)),
        }
    }

    fn send(&self, text: &str, timeout: Duration) -> Result<bool, TransportError> {
        match self.socket.send_timeout(text, timeout) {
            Ok(()) => Ok(true),
            // Once it is closing, `recv` returns how it ended.
            Err(Error::TimedOut | Error::Closing) => Ok(false),
            Err(error) => Err(lost(&error)),
        }
    }

    fn close(&self, frame: &CloseFrame) {
        let code = wavetank_websocket::CloseCode::new(frame.code().get());
        self.socket.close(code.unwrap_or(wavetank_websocket::CloseCode::NORMAL), frame.reason());
    }

    fn abort(&self) {
        self.socket.abort();
    }

    fn progress(&self) -> Progress {
        let statistics = self.socket.statistics();
        Progress { received: statistics.bytes_received, sent: statistics.bytes_sent }
    }
}
