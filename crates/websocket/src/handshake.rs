//! Opening a connection, from either side, without I/O: proxies, TLS, the HTTP upgrade, redirects.
//!
//! [`Opening`] is the client's side of it. The driver connects to [`endpoint`](Opening::endpoint) and moves bytes:
//! what it reads into [`input`](Opening::input), what [`output`](Opening::output) holds to the wire, and after either
//! calls [`process`](Opening::process), until that gives a [`Session`](crate::session::Session) or an [`OpenError`].
//! [`Accepting`] is the server's side, of the same shape, but for the question that it asks the application.
//!
//! What is asked for: [`ClientRequest`] with its [`Proxies`] and [`TlsOptions`], [`AcceptOptions`] for servers. What
//! was said: [`Opened`].
//!
//! # Invariants
//!
//! - However the bytes are split, the outcome is the same.
//! - Heads and bodies are bounded; bytes after the head of a `101`, or of the request, belong to the frames.
//! - The key and whatever else is drawn comes from the seed.

mod accept_options;
mod accepting;
mod body;
mod client_request;
mod digest;
mod head;
mod header_case;
#[cfg(not(feature = "proxies"))]
mod no_proxy;
mod opened;
mod opening;
#[cfg(feature = "proxies")]
mod proxy;
mod server_request;
mod server_response;
mod target;
mod upgrade;
mod upgraded;
mod wire;

pub use accept_options::{AcceptOptions, Origins};
pub use accepting::{AcceptStep, Accepting, Agreed};
pub use client_request::ClientRequest;
#[cfg(not(feature = "proxies"))]
use no_proxy as proxy;
pub use opened::Opened;
pub use opening::{Endpoint, Opening, Response, Step};
#[cfg(feature = "proxies")]
pub use proxy::{Proxies, Proxy};
pub use server_request::Request;
#[cfg(feature = "axum")]
pub(crate) use upgraded::answer_parts;
pub use upgraded::{Answered, Refusal, Upgraded, answer};

pub use crate::error::OpenError;
pub use crate::session::TlsOptions;

#[cfg(test)]
mod tests;
