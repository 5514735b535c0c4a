//! What was said when a connection was opened, from either side.

use http::HeaderMap;

use super::{Agreed, Request, Response};
use crate::deflate::Parameters;

/// What was said when a connection was opened.
#[derive(Debug, Clone)]
pub enum Opened {
    /// On a client: what the server answered.
    Client(Response),
    /// On a server: what the client asked for, and what was agreed on.
    Server(Agreed),
    /// Another HTTP stack has carried the handshake: what it has passed on ([`Upgraded`](super::Upgraded)).
    Elsewhere {
        /// The peer's headers.
        headers: HeaderMap,
        /// The subprotocol that the server chose.
        subprotocol: Option<String>,
        /// The compression that was agreed on.
        compression: Option<Parameters>,
    },
}

impl Opened {
    /// Returns the server's answer, on a client.
    #[must_use]
    pub fn response(&self) -> Option<&Response> {
        match self {
            Self::Client(response) => Some(response),
            Self::Server(_) | Self::Elsewhere { .. } => None,
        }
    }

    /// Returns the client's request, on a server.
    #[must_use]
    pub fn request(&self) -> Option<&Request> {
        match self {
            Self::Client(_) | Self::Elsewhere { .. } => None,
            Self::Server(agreed) => Some(&agreed.request),
        }
    }

    /// Returns the peer's headers: of the server's answer on a client, of the request on a server.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        match self {
            Self::Client(response) => &response.headers,
            Self::Server(agreed) => &agreed.request.headers,
            Self::Elsewhere { headers, .. } => headers,
        }
    }

    /// Returns the subprotocol that the server chose, if any.
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        match self {
            Self::Client(response) => response.subprotocol.as_deref(),
            Self::Server(agreed) => agreed.subprotocol.as_deref(),
            Self::Elsewhere { subprotocol, .. } => subprotocol.as_deref(),
        }
    }

    /// Returns the compression that was agreed on, if any.
    #[must_use]
    pub fn compression(&self) -> Option<Parameters> {
        match self {
            Self::Client(response) => response.compression,
            Self::Server(agreed) => agreed.compression,
            Self::Elsewhere { compression, .. } => *compression,
        }
    }
}
