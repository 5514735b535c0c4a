//! The runtime traits: everything protocol code may ask of the world.
//!
//! Two traits, because there are two kinds of protocol code: [`Runtime`] for async tasks and [`Threads`] for
//! blocking threads. Code that is written against them runs on Tokio ([`Tokio`]) or on plain threads ([`Std`])
//! in production, and inside Wavetank's simulation in tests, unchanged.
//!
//! The module list is a map of the crate: [`instant`] is time, [`runtime`] and [`threads`] are the two traits,
//! [`datagrams`] and [`local`] extend both by UDP and by Unix sockets, [`socket`] is what they say of sockets, [`sync`]
//! the locks of blocking code, [`join`] how a task or thread ends; [`tokio_runtime`] and [`std_threads`] are production.
//! [`probe`] has what code may tell a simulation of itself: [`always!`], [`sometimes!`], [`buggify!`].
//!
//! # Invariants
//!
//! - No trait method has a default body that reaches the real world.
//! - `tokio_runtime` and `std_threads`, with their private helpers `clock` and `entropy`, are the only modules of the
//!   workspace that touch real clocks, sockets, threads and entropy.
//!
//! # Example: a question and an answer, wherever they run
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
//!     stream.write_all(b"Anybody there").await?;
//!     stream.shutdown().await?;
//!     let mut answer = String::new();
//!     stream.read_to_string(&mut answer).await?;
//!     server.await.map_err(io::Error::other)??;
//!     Ok(answer)
//! }
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
//! // In production; in a test the same function takes a host of the simulation.
//! assert_eq!(runtime.block_on(ask(Tokio))?, "Anybody there? Yes.");
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
