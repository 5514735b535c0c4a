//! The multiplexers, behind one interface: streams are boxed for all of them alike.

mod h2;
mod ours;
mod tokio_yamux;
mod yamux;

use std::future::Future;
use std::pin::Pin;

use tokio::io::{AsyncRead, AsyncWrite};

use crate::transport::End;

/// A stream of any of them. `shutdown` ends the direction.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// A stream.
pub type Boxed = Box<dyn Stream>;

type Opening<'a> = Pin<Box<dyn Future<Output = Boxed> + Send + 'a>>;
type Accepting<'a> = Pin<Box<dyn Future<Output = Option<Boxed>> + Send + 'a>>;

/// The side that opens streams. Dropped, it ends the session.
pub trait Opener: Send + Sync {
    fn open(&self) -> Opening<'_>;
}

/// The side that accepts streams.
pub trait Acceptor: Send {
    fn accept(&mut self) -> Accepting<'_>;
}

/// Both sides of a session.
pub type Session = (Box<dyn Opener>, Box<dyn Acceptor>);

/// How large windows are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Windows {
    /// 256 KiB, always.
    Fixed,
    /// As large as the implementation makes them.
    Tuned,
}

/// A multiplexer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contender {
    Ours,
    Yamux,
    TokioYamux,
    H2,
}

impl Contender {
    pub const ALL: [Self; 4] = [Self::Ours, Self::Yamux, Self::TokioYamux, Self::H2];

    pub fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Yamux => "yamux",
            Self::TokioYamux => "tokio-yamux",
            Self::H2 => "h2",
        }
    }

    /// Starts both sides.
    pub async fn start(self, client: End, server: End, windows: Windows) -> Session {
        match self {
            Self::Ours => ours::start(client, server, windows),
            Self::Yamux => yamux::start(client, server, windows),
            Self::TokioYamux => tokio_yamux::start(client, server, windows),
            Self::H2 => h2::start(client, server, windows).await,
        }
    }
}
