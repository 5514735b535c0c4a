//! The host `axum` 0.8: an upgrade in one call, and the transport over its WebSocket.
//!
//! axum's graceful shutdown does not reach WebSockets. Call [`Server::shutdown`](crate::Server::shutdown) beside it.
//!
//! axum does not tell how many bytes its WebSocket has moved. Only whole messages are progress here: allow the longest
//! message enough time in [`Config::write_timeout`](crate::Config::write_timeout) and
//! [`Config::keepalive`](crate::Config::keepalive). Or, with the feature `websocket`, take this project's WebSocket
//! into the handler, which counts bytes: `wavetank_graphql::websocket::upgrade`.

use std::fmt;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::extract::ws::{Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::http::{HeaderMap, StatusCode};
#[cfg(feature = "graphiql")]
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures_core::Stream;
use futures_sink::Sink;
use wavetank_runtime::Runtime;

use crate::close::CloseFrame;
use crate::engine::Engine;
use crate::hooks::Hooks;
use crate::server::{Server, Upgrade};
use crate::transport::{Incoming, MessageTransport, TransportError};

/// Accepts a WebSocket and serves it: the body of an axum handler.
///
/// Agrees on a subprotocol that `server` speaks. A client that offers none of them is accepted and closed with 4406, as
/// the reference implementation does. Answers 403 if the request's `Origin` is not allowed. Limits of axum are set to
/// what the server takes: messages of up to [`Config::message_bytes_max`](crate::Config::message_bytes_max), and a
/// bounded write buffer.
pub fn upgrade<R, E, H>(
    server: Server<R, E, H>,
    request: WebSocketUpgrade,
    headers: HeaderMap,
    peer: Option<SocketAddr>,
) -> Response
where
    R: Runtime,
    E: Engine,
    H: Hooks<Context = E::Context>,
{
    if !server.allows_origin(&headers) {
        return (StatusCode::FORBIDDEN, "this origin is not allowed").into_response();
    }
    let message_bytes = server.config.message_bytes_max;
    let request = request
        .protocols(server.subprotocols().iter().copied())
        .max_message_size(message_bytes)
        .max_frame_size(message_bytes)
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(0)
        .max_write_buffer_size(WRITE_BUFFER_BYTES_MAX);
    request.on_upgrade(move |socket| async move {
        let mut upgrade = Upgrade::new().headers(headers);
        if let Some(peer) = peer {
            upgrade = upgrade.peer(peer);
        }
        server.serve(AxumTransport::new(socket), upgrade).await;
    })
}

/// Serves GraphiQL, at any path: the page for `endpoint`, a URL relative to the page's, such as `/graphql`.
///
/// ```
/// let router: axum::Router = axum::Router::new().route("/", wavetank_graphql::axum::graphiql("/graphql"));
/// # drop(router);
/// ```
#[cfg(feature = "graphiql")]
pub fn graphiql<S: Clone + Send + Sync + 'static>(endpoint: &str) -> axum::routing::MethodRouter<S> {
    let page = std::sync::Arc::new(crate::graphiql::Graphiql::new(endpoint));
    axum::routing::get(move |axum::extract::RawQuery(query): axum::extract::RawQuery| {
        let page = std::sync::Arc::clone(&page);
        async move {
            let asset = page.get(query.as_deref());
            let mut response = Response::new(axum::body::Body::from(asset.body.into_owned()));
            let mut set = |name, value: Option<&'static str>| {
                if let Some(value) = value {
                    response.headers_mut().insert(name, HeaderValue::from_static(value));
                }
            };
            set(header::CONTENT_TYPE, Some(asset.content_type));
            set(header::CONTENT_ENCODING, asset.content_encoding);
            set(header::CACHE_CONTROL, Some(asset.cache_control));
            set(header::CONTENT_SECURITY_POLICY, asset.content_security_policy);
            response
        }
    })
}

/// What each connection has for reading. axum's own 128 KiB are much for a connection that is idle.
const READ_BUFFER_BYTES: usize = 8 << 10;

/// What axum may keep of messages that the network does not take. The handler sends one message after the other, so
/// it is exceeded by a single message only, which axum then refuses.
const WRITE_BUFFER_BYTES_MAX: usize = 64 << 20;

/// How many bytes of pongs may wait for the network. With more nothing is read, because axum answers each ping that is
/// read, whether or not the client takes the answers.
const PONG_BYTES_MAX: usize = 16 << 10;

/// What a frame has besides its payload, at most, if it is short and a server sends it.
const FRAME_HEAD_BYTES: usize = 4;

/// One WebSocket that axum has accepted.
pub struct AxumTransport {
    socket: WebSocket,
    subprotocol: Option<String>,
    closing: Closing,
    /// The pongs that axum has made since everything was last sent, in bytes.
    pong_bytes: usize,
    /// Reading has failed, and what the client still sends cannot be read.
    is_unread: bool,
}

/// How far the closing handshake has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Closing {
    No,
    /// The Close frame was taken and has to be flushed.
    Sent,
    /// What still comes is dropped.
    Draining,
}

impl AxumTransport {
    /// Makes a transport of a WebSocket that was accepted.
    #[must_use]
    pub fn new(socket: WebSocket) -> Self {
        let subprotocol = socket.protocol().and_then(|protocol| protocol.to_str().ok()).map(str::to_owned);
        Self { socket, subprotocol, closing: Closing::No, pong_bytes: 0, is_unread: false }
    }
}

impl fmt::Debug for AxumTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AxumTransport").field("subprotocol", &self.subprotocol).finish_non_exhaustive()
    }
}

fn lost(error: &axum::Error) -> TransportError {
    TransportError::Lost(error.to_string())
}

impl MessageTransport for AxumTransport {
    type Text = AxumText;

    fn subprotocol(&self) -> Option<&str> {
        self.subprotocol.as_deref()
    }

    fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<Result<Incoming<AxumText>, TransportError>> {
        if self.pong_bytes > PONG_BYTES_MAX {
            ready!(self.poll_flush(context))?;
        }
        let next = ready!(Pin::new(&mut self.socket).poll_next(context));
        if let Some(Ok(Message::Ping(payload))) = &next {
            self.pong_bytes += FRAME_HEAD_BYTES + payload.len();
        }
        Poll::Ready(match next {
            Some(Ok(Message::Text(text))) => Ok(Incoming::Text(AxumText(text))),
            Some(Ok(Message::Binary(_))) => Ok(Incoming::Binary),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(Incoming::Control),
            Some(Ok(Message::Close(frame))) => Ok(Incoming::Closed(frame.map(|frame| frame.code))),
            Some(Err(error)) => Err(self.reading_failed(&error, context)),
            None => Err(TransportError::Lost("the connection ended without a Close frame".into())),
        })
    }

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        // One message at a time: the next is taken once the network has taken the one before.
        ready!(self.poll_flush(context))?;
        Pin::new(&mut self.socket).poll_ready(context).map_err(|error| lost(&error))
    }

    fn start_send(&mut self, text: String) -> Result<(), TransportError> {
        Pin::new(&mut self.socket).start_send(Message::Text(text.into())).map_err(|error| lost(&error))
    }

    fn start_ping(&mut self) -> Result<bool, TransportError> {
        let ping = Message::Ping(Default::default());
        Pin::new(&mut self.socket).start_send(ping).map(|()| true).map_err(|error| lost(&error))
    }

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        let flushed = ready!(Pin::new(&mut self.socket).poll_flush(context));
        self.pong_bytes = 0;
        Poll::Ready(flushed.map_err(|error| lost(&error)))
    }

    fn poll_close(&mut self, context: &mut Context<'_>, frame: &CloseFrame) -> Poll<()> {
        if self.closing == Closing::No {
            if ready!(Pin::new(&mut self.socket).poll_ready(context)).is_err() {
                return Poll::Ready(());
            }
            let close =
                axum::extract::ws::CloseFrame { code: frame.code().get(), reason: frame.reason().into() };
            // An error says that the client has closed already: then what is left is to read to the end.
            drop(Pin::new(&mut self.socket).start_send(Message::Close(Some(close))));
            self.closing = Closing::Sent;
        }
        if self.closing == Closing::Sent {
            drop(ready!(Pin::new(&mut self.socket).poll_flush(context)));
            self.closing = Closing::Draining;
        }
        if self.is_unread {
            // A socket that is dropped with unread bytes resets the connection, and the client may lose the Close
            // frame. So it lives until the close timeout.
            return Poll::Pending;
        }
        while let Some(Ok(_)) = ready!(Pin::new(&mut self.socket).poll_next(context)) {}
        Poll::Ready(())
    }
}

impl AxumTransport {
    /// Says what a failed read means. Tells the client if it has broken the protocol, because axum does not.
    fn reading_failed(&mut self, error: &axum::Error, context: &mut Context<'_>) -> TransportError {
        self.is_unread = true;
        let (error, code) = received_error(error);
        if let Some(code) = code {
            let frame = axum::extract::ws::CloseFrame { code, reason: "".into() };
            let mut socket = Pin::new(&mut self.socket);
            // Sent if the network takes it at once. This connection has no other way to end.
            if socket.as_mut().start_send(Message::Close(Some(frame))).is_ok() {
                let _ = socket.poll_flush(context);
            }
        }
        error
    }
}

/// Tells a message that is too long, and a broken protocol, from a lost connection. The code is that of the Close frame
/// that is due (RFC 6455, section 7.4.1).
fn received_error(error: &axum::Error) -> (TransportError, Option<u16>) {
    let text = error.to_string();
    let source = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    let says = |part: &str| text.contains(part) || source.contains(part);
    if says("too long") || says("Space limit exceeded") {
        (TransportError::MessageTooBig, None)
    } else if says("UTF-8") {
        (TransportError::Protocol(text), Some(1007))
    } else if says("protocol error") {
        (TransportError::Protocol(text), Some(1002))
    } else {
        (TransportError::Lost(text), None)
    }
}

/// A text that axum has received.
#[derive(Debug)]
pub struct AxumText(Utf8Bytes);

impl AsRef<str> for AxumText {
    fn as_ref(&self) -> &str {
        self.0.as_str()
    }
}
