//! WebSockets in handlers of [axum](https://docs.rs/axum): an extractor.
//!
//! ```no_run
//! use wavetank_websocket::axum::{Socket, WebSocketUpgrade};
//!
//! async fn chat(upgrade: WebSocketUpgrade) -> axum::response::Response {
//!     upgrade.on_upgrade(echo)
//! }
//!
//! async fn echo(socket: Socket) {
//!     while let Ok(message) = socket.recv().await {
//!         if socket.send(&message).await.is_err() {
//!             break;
//!         }
//!     }
//! }
//!
//! let app: axum::Router = axum::Router::new().route("/chat", axum::routing::any(chat));
//! ```

use std::fmt;
use std::future::Future;

use ::hyper::upgrade::OnUpgrade;
use axum_core::body::Body;
use axum_core::extract::FromRequestParts;
use axum_core::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderMap, Method, StatusCode, Uri, Version};
use wavetank_runtime::{Runtime as _, Tokio};

use crate::Config;
use crate::handshake::{AcceptOptions, Answered, Refusal, answer_parts};
use crate::hyper::Upgrade;

pub use crate::hyper::{Socket, Stream};

/// Extracts a request for a WebSocket.
///
/// Other requests are refused with a text that says why: with 405 if the method is not GET; with 426 and `Upgrade:
/// websocket` if no WebSocket is asked for, or one of another version (RFC 9110, section 15.5.22; RFC 6455, section
/// 4.2.2), or not in HTTP/1.1; with 400 if the request is broken. If the origin is not allowed, the response of
/// [`on_upgrade`](Self::on_upgrade) has status 403. A valid request is refused with 500 if the server does not serve
/// its connections with upgrades: `axum::serve` does.
///
/// # Defaults
///
/// [`AcceptOptions::new`] and [`Config::default`]: any origin, no subprotocols, compression if the client offers it,
/// [not secure](Self::secure).
pub struct WebSocketUpgrade {
    method: Method,
    version: Version,
    uri: Uri,
    headers: HeaderMap,
    on_upgrade: OnUpgrade,
    options: AcceptOptions,
    config: Config,
    is_secure: bool,
}

impl WebSocketUpgrade {
    /// Sets limits, timeouts, keepalive and compression of the connection.
    #[must_use]
    pub fn config(self, config: Config) -> Self {
        Self { config, ..self }
    }

    /// Sets which origins may connect, and which subprotocols are spoken. TLS and the limit of heads are axum's.
    #[must_use]
    pub fn options(self, options: AcceptOptions) -> Self {
        Self { options, ..self }
    }

    /// Sets whether the request came through TLS ([`Request::is_secure`](crate::handshake::Request::is_secure)), which
    /// only the server below axum knows.
    #[must_use]
    pub fn secure(self, is_secure: bool) -> Self {
        Self { is_secure, ..self }
    }

    /// Answers the request, and runs `body` with the connection in a task of its own. A connection that ends before
    /// its response is sent is dropped.
    pub fn on_upgrade<F>(self, body: impl FnOnce(Socket) -> F + Send + 'static) -> Response
    where
        F: Future<Output = ()> + Send + 'static,
    {
        match self.answer() {
            Ok(Answered { response, upgraded }) => {
                let upgrade = Upgrade::new(self.on_upgrade, upgraded);
                drop(Tokio.spawn("websocket handler", async move {
                    if let Ok(socket) = upgrade.finish().await {
                        body(socket).await;
                    }
                }));
                response.map(|()| Body::empty())
            }
            Err(refusal) => refusal.into_response(),
        }
    }

    fn answer(&self) -> Result<Answered, Box<Refusal>> {
        let Self { method, version, uri, headers, options, config, is_secure, .. } = self;
        answer_parts(method, *version, uri, headers, *is_secure, options, config)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for WebSocketUpgrade {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Response> {
        let Parts { method, version, uri, headers, .. } = &*parts;
        let (options, config) = (AcceptOptions::new(), Config::default());
        if let Err(refusal) = answer_parts(method, *version, uri, headers, false, &options, &config) {
            return Err(refusal.into_response());
        }
        let (method, version, uri) = (method.clone(), *version, uri.clone());
        let headers = headers.clone();
        let Some(on_upgrade) = parts.extensions.remove::<OnUpgrade>() else {
            let text = "the server does not serve its connections with upgrades\n";
            return Err((StatusCode::INTERNAL_SERVER_ERROR, text).into_response());
        };
        Ok(Self { method, version, uri, headers, on_upgrade, options, config, is_secure: false })
    }
}

impl IntoResponse for Box<Refusal> {
    fn into_response(self) -> Response {
        self.response.map(Body::from)
    }
}

impl fmt::Debug for WebSocketUpgrade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocketUpgrade").field("uri", &self.uri).finish_non_exhaustive()
    }
}
