//! The runtime traits: clock, tasks, threads, locks, sockets and entropy for protocol code.
//!
//! There are two traits: [`Runtime`] for async tasks and [`Threads`] for blocking threads. Code that uses only these
//! traits runs unchanged on Tokio ([`Tokio`]) or on OS threads ([`Std`]) in production, and in Wavetank's simulation in
//! tests.
//!
//! Extensions of both traits cover UDP ([`Datagrams`], [`BlockingDatagrams`]) and Unix sockets ([`LocalSockets`],
//! [`BlockingLocalSockets`]). Blocking code locks with [`Mutex`] and [`Condvar`]. [`tokio_runtime`] and
//! [`std_threads`] have the types of production. [`probe`] has what code may say of itself to a simulation:
//! [`always!`], [`sometimes!`], [`buggify!`].
//!
//! # Invariants
//!
//! - No trait method has a default body that reaches the real world.
//! - Only `tokio_runtime`, `std_threads`, and their private helpers `clock` and `entropy` use real clocks, sockets,
//!   threads and entropy.
//!
//! # Example: a question and an answer on any runtime
//!
//! ```
//! use std::io;
//! use std::net::{Ipv4Addr, SocketAddr};
//!
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//! use wavetank_runtime::{ListenOptions, Listener, Runtime, SocketOptions, Tokio};
//!
//! async fn ask<R: Runtime>(world: R) -> io::Result<String> {
//!     let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
//!     let listener = world.listen(any_port, ListenOptions::new()).await?;
//!     let address = listener.local_addr()?;
//!
//!     let server = world.spawn("server", async move {
//!         let (mut stream, _peer) = listener.accept().await?;
//!         let mut question = String::new();
//!         stream.read_to_string(&mut question).await?;
//!         stream.write_all(format!("{question}? Yes.").as_bytes()).await
//!     });
//!
//!     let mut stream = world.connect(address, SocketOptions::new()).await?;
//!     stream.write_all(b"Are you there").await?;
//!     stream.shutdown().await?;
//!     let mut answer = String::new();
//!     stream.read_to_string(&mut answer).await?;
//!     server.await.map_err(io::Error::other)??;
//!     Ok(answer)
//! }
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
//! // In production; in a test the same function takes a host of the simulation.
//! assert_eq!(runtime.block_on(ask(Tokio))?, "Are you there? Yes.");
//! # io::Result::Ok(())
//! ```

mod clock;
mod datagrams;
mod entropy;
mod instant;
mod join;
mod local;
pub mod probe;
mod raw_locks;
mod runtime;
mod socket;
pub mod std_threads;
mod sync;
mod threads;
pub mod tokio_runtime;

pub use datagrams::{BlockingDatagrams, BlockingUdpSocket, DATAGRAM_BYTES_MAX, Datagrams, UdpSocket};
pub use instant::Instant;
pub use join::JoinError;
pub use local::{
    BlockingLocalSockets, BlockingUnixListener, BlockingUnixStream, LocalSockets, UnixListener, UnixStream,
};
pub use raw_locks::WaitOutcome;
pub use runtime::{Listener, Runtime, Sleep, Stream, TaskHandle};
pub use socket::{ListenOptions, SocketOptions};
pub use std_threads::Std;
pub use sync::{Condvar, Mutex, MutexGuard};
pub use threads::{BlockingListener, BlockingStream, ThreadHandle, Threads};
pub use tokio_runtime::Tokio;

/// What the other crates of the workspace share. It is not part of the interface.
#[doc(hidden)]
pub mod __private {
    pub use crate::join::panic_message;
    pub use crate::local::check_path;
    pub use crate::raw_locks::RawLocks;
}

/// The README's code is compiled with the doc tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
