//! WebSockets beside other requests of a [hyper](https://hyper.rs) server: the upgrade of a request.
//!
//! Serve connections [with
//! upgrades](https://docs.rs/hyper/1/hyper/server/conn/http1/struct.Connection.html#method.with_upgrades), send the
//! response of [`upgrade`], and wait for the socket in a task of its own:
//!
//! ```no_run
//! use wavetank_websocket::Config;
//! use wavetank_websocket::handshake::AcceptOptions;
//!
//! async fn serve(mut request: http::Request<hyper::body::Incoming>) -> http::Response<String> {
//!     let (options, config) = (AcceptOptions::new(), Config::default());
//!     match wavetank_websocket::hyper::upgrade(&mut request, false, &options, &config) {
//!         Ok((response, upgrade)) => {
//!             tokio::spawn(async move {
//!                 let Ok(socket) = upgrade.finish().await else { return };
//!                 while let Ok(message) = socket.recv().await {
//!                     if socket.send(&message).await.is_err() {
//!                         break;
//!                     }
//!                 }
//!             });
//!             response.map(|()| String::new())
//!         }
//!         Err(refusal) => refusal.response,
//!     }
//! }
//! ```

use std::fmt;
use std::io;

use ::hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use wavetank_runtime::Tokio;

use crate::client::WebSocket;
use crate::error::{CLIENT, Stage};
use crate::handshake::{AcceptOptions, Answered, Refusal, Request, Upgraded, answer};
use crate::{Config, OpenError};

/// The stream below an upgraded connection.
pub type Stream = TokioIo<::hyper::upgrade::Upgraded>;

/// A WebSocket on an upgraded connection of hyper's.
pub type Socket = WebSocket<Tokio, Stream>;

/// An accepted request, whose response the caller must send.
pub struct Upgrade {
    on_upgrade: OnUpgrade,
    upgraded: Box<Upgraded>,
}

/// Accepts a request for a WebSocket. Returns the response, which the caller must send, and the future connection
/// then. `is_secure` says whether the request came through TLS ([`Request::is_secure`]).
///
/// # Errors
///
/// [`Refusal`] if the request is refused: send its response.
pub fn upgrade<B>(
    request: &mut http::Request<B>,
    is_secure: bool,
    options: &AcceptOptions,
    config: &Config,
) -> Result<(http::Response<()>, Upgrade), Box<Refusal>> {
    let Answered { response, upgraded } = answer(request, is_secure, options, config)?;
    let on_upgrade = ::hyper::upgrade::on(request);
    Ok((response, Upgrade::new(on_upgrade, upgraded)))
}

impl Upgrade {
    pub(crate) fn new(on_upgrade: OnUpgrade, upgraded: Upgraded) -> Self {
        Self { on_upgrade, upgraded: Box::new(upgraded) }
    }

    /// Returns the client's request.
    #[must_use]
    pub fn request(&self) -> Option<&Request> {
        self.upgraded.opened.request()
    }

    /// Waits until the response is sent, and goes on as a WebSocket. Call it in a task other than the one that serves
    /// the request: before the response is returned, this waits.
    ///
    /// # Errors
    ///
    /// [`OpenError::Io`] if the connection ends before, or is not served with upgrades.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the connection.
    pub async fn finish(self) -> Result<Socket, OpenError> {
        let stream = self.on_upgrade.await.map_err(|error| OpenError::Io {
            stage: Stage::Handshake,
            peer: CLIENT.to_owned(),
            error: io::Error::other(error),
        })?;
        Ok(WebSocket::from_upgraded(Tokio, TokioIo::new(stream), *self.upgraded))
    }
}

impl fmt::Debug for Upgrade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upgrade").field("upgraded", &self.upgraded).finish_non_exhaustive()
    }
}
