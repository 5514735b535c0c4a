//! Simulations inside of turmoil, for suites that already use it.
//!
//! turmoil 0.7 steps its hosts one after the other, and runs the tasks of a host first in, first out. A thousand of its
//! seeds are a thousand sets of latencies and one order of tasks. Here the scheduler of this crate runs inside of each
//! of its hosts. Time, latency and topology stay turmoil's. A seed also chooses which task runs next, preempts tasks
//! between operations that are ready (tokio's own too), delays ready tasks, and drives turmoil's hold, release,
//! partition, repair, crash and bounce. Blocking threads run there as well. Everything around a run is as in the
//! simulator: sweeps, recordings, strict and lenient replay, shrinking, traces, and a second run of every failure and
//! of a sample of passing seeds.
//!
//! # Before and after
//!
//! A test of turmoil, on its network and tokio's tasks:
//!
//! ```
//! # use turmoil::net::{TcpListener, TcpStream};
//! # use tokio::io::{AsyncReadExt, AsyncWriteExt};
//! // #[test]
//! fn answers() -> turmoil::Result {
//!     let mut sim = turmoil::Builder::new().build();
//!     sim.host("server", || async {
//!         let listener = TcpListener::bind("0.0.0.0:80").await?;
//!         loop {
//!             let (mut stream, _) = listener.accept().await?;
//!             tokio::spawn(async move { stream.write_all(b"hello").await });
//!         }
//!     });
//!     sim.client("client", async {
//!         let mut answer = String::new();
//!         TcpStream::connect("server:80").await?.read_to_string(&mut answer).await?;
//!         assert_eq!(answer, "hello");
//!         Ok(())
//!     });
//!     sim.run()
//! }
//! # answers().unwrap();
//! ```
//!
//! The same with sweeps, recordings, a line that replays, and faults. The head, the two hosts and the spawn have
//! changed. The first and the last line of the body are gone. (`guide/src/turmoil.md` shows it as a diff.)
//!
//! ```
//! # use turmoil::net::{TcpListener, TcpStream};
//! # use tokio::io::{AsyncReadExt, AsyncWriteExt};
//! use std::time::Duration;
//!
//! use wavetank::runtime::Runtime;
//! use wavetank::turmoil::{TurmoilFaults, TurmoilHost, TurmoilSim};
//!
//! // #[wavetank::test]
//! fn answers(sim: &mut TurmoilSim) {
//!     sim.faults(TurmoilFaults::none().paused_links().last_max(Duration::from_secs(3)));
//!     sim.host("server", async |host: TurmoilHost| {
//!         let listener = TcpListener::bind("0.0.0.0:80").await?;
//!         loop {
//!             let (mut stream, _) = listener.accept().await?;
//!             host.spawn("connection", async move { stream.write_all(b"hello").await });
//!         }
//!     });
//!     sim.client("client", async |_: TurmoilHost| {
//!         let mut answer = String::new();
//!         TcpStream::connect("server:80").await?.read_to_string(&mut answer).await?;
//!         assert_eq!(answer, "hello");
//!         Ok(())
//!     });
//! }
//! # wavetank::Sweep::new("doc", "").run_turmoil(answers);
//! ```
//!
//! Faults are optional. A run that exceeds turmoil's limit of simulated time fails; the limit is 10 s unless the
//! builder sets another. `tokio::spawn` may stay: such a task runs outside of the schedule, in tokio's own order. Set
//! what turmoil's builder sets with [`TurmoilSim::builder`]. Put what a test does by hand between steps into
//! [`TurmoilSim::prepare`] and [`TurmoilSim::before_each_step`]. Code on the runtime traits takes the [`TurmoilHost`],
//! which implements both traits, UDP over turmoil's sockets, and the simulator's Unix sockets.
//!
//! # What stays turmoil's
//!
//! - Time passes in ticks (1 ms), and timers fire on whole milliseconds. Idle time is simulated tick by tick.
//! - A partition loses bytes for good and refuses connects at once. There are no resets except for ends with unread
//!   bytes. `connect` ends when the peer accepts. Buffers are counted in writes. The table
//!   `sim-tests/tests/conformance/deviations.md` lists the deviations from Linux.
//! - Datagrams are lost in partitions and by `Builder::fail_rate`. That takes down the whole link, with everything on
//!   its way, until `Builder::repair_rate` repairs it at a later message. Datagrams overtake each other and are never
//!   repeated. A sender gets no error for an unwanted one. The trace shows sent and received datagrams, and with
//!   [`TurmoilSim::trace_level`] at `TRACE` also those that turmoil dropped.
//! - turmoil's own sockets may stay. Reports then say that a task waits for something inside the program, and the trace
//!   shows what they do only at the level `TRACE`. Sockets of the runtime traits have names.
//! - A host cannot see that nothing can happen any more, so a deadlock shows as turmoil's limit of simulated time. The
//!   report names each parked task and what it waits for.
//! - Latencies follow turmoil's generator. Its seed is one choice of the run, and does not shrink bit by bit.
//!
//! # Which file is what
//!
//! `sim` is the builder, `run` one run, `drive` steps the scheduler in a host, `faults` acts between turmoil's steps,
//! `host` is turmoil's network as a host's transport, `socket` and `udp` are its sockets, and `ports` binds ports.

pub use faults::TurmoilFaults;
pub use host::TurmoilHost;
pub use sim::{Inner, TurmoilSim};

pub(crate) use run::{Body, simulate};

mod drive;
mod faults;
mod host;
mod ports;
mod run;
mod sim;
mod socket;
mod udp;
