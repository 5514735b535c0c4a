//! The runtime traits: clock, tasks, threads, locks, sockets and entropy for protocol code.
//!
//! There are two traits: [`Runtime`] for async tasks and [`Threads`] for blocking threads. Code that uses only these
//! traits runs unchanged on Tokio ([`Tokio`]) or on OS threads ([`Std`]) in production, and in Wavetank's simulation in
//! tests.
//!
//! The modules:
//!
//! - [`runtime`] and [`threads`] are the two traits; [`datagrams`] and [`local`] extend them with UDP and Unix sockets.
//! - [`instant`] is time, [`socket`] has the options of sockets, [`sync`] the locks of blocking code, and [`join`] says
//!   how a task or thread ended.
//! - [`tokio_runtime`] and [`std_threads`] are the implementations for production.
//! - [`probe`] has the macros by which code reports to a simulation: [`always!`], [`sometimes!`], [`buggify!`].
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
pub mod datagrams;
mod entropy;
pub mod instant;
pub mod join;
pub mod local;
pub mod probe;
pub mod runtime;
pub mod socket;
pub mod std_threads;
pub mod sync;
pub mod threads;
pub mod tokio_runtime;

pub use datagrams::{BlockingDatagrams, BlockingUdpSocket, Datagrams, UdpSocket};
pub use instant::Instant;
pub use join::JoinError;
pub use local::{
    BlockingLocalSockets, BlockingUnixListener, BlockingUnixStream, LocalSockets, UnixListener, UnixStream,
};
pub use runtime::{Listener, Runtime, Sleep, Stream, TaskHandle};
pub use socket::{ListenOptions, SocketOptions};
pub use std_threads::Std;
pub use sync::{Condvar, Mutex, WaitOutcome};
pub use threads::{BlockingListener, BlockingStream, ThreadHandle, Threads};
pub use tokio_runtime::Tokio;

/// The README's code is compiled with the doc tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
