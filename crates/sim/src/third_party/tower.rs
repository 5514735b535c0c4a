//! A host as a connector, and as a resolver of names.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::vec::IntoIter;

use http::Uri;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use tower_service::Service;
use wavetank_runtime::{Runtime, SocketOptions, Stream};

use crate::host::{Host, SimStream, StreamSocket, Transport};

type Answer<T> = Pin<Box<dyn Future<Output = io::Result<T>> + Send>>;

/// Connects to the host and port of an address, by default port 443 for `https` and 80 for the rest.
///
/// The connection is plain TCP: a client that wants TLS wraps the connector. The addresses of a name are tried in their
/// order.
///
/// # Errors
///
/// `InvalidInput` for an address without a host, and those of `Runtime::resolve` and `Runtime::connect`.
impl<N: Transport> Service<Uri> for Host<N> {
    type Response = TokioIo<SimStream<N::Socket>>;
    type Error = io::Error;
    type Future = Answer<Self::Response>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let host = *self;
        Box::pin(async move {
            let Some(name) = uri.host() else {
                let text = format!("cannot connect to `{uri}`: the address names no host");
                return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
            };
            // An IPv6 address is in brackets.
            let name = name.trim_start_matches('[').trim_end_matches(']');
            let default = if uri.scheme_str() == Some("https") { 443 } else { 80 };
            let mut last = None;
            for address in host.resolve(name, uri.port_u16().unwrap_or(default)).await? {
                match Runtime::connect(&host, address, SocketOptions::new()).await {
                    Ok(stream) => return Ok(TokioIo::new(stream)),
                    Err(error) => last = Some(error),
                }
            }
            Err(last.unwrap_or_else(|| io::ErrorKind::NotFound.into()))
        })
    }
}

/// Resolves the names of the simulation's hosts, as a resolver of hyper-util does. All ports are 0.
///
/// # Errors
///
/// `NotFound` for a name that no host has.
impl<N: Transport> Service<Name> for Host<N> {
    type Response = IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Answer<Self::Response>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let host = *self;
        Box::pin(async move { Ok(Runtime::resolve(&host, name.as_str(), 0).await?.into_iter()) })
    }
}

/// Lets hyper-util's client pool the stream. Responses carry the peer's address as an extension of type `SocketAddr`.
impl<S: StreamSocket> Connection for SimStream<S> {
    fn connected(&self) -> Connected {
        match self.peer_addr() {
            Ok(peer) => Connected::new().extra(peer),
            Err(_) => Connected::new(),
        }
    }
}
