//! The same tests inside of turmoil, for everyone whose suite already lives there.
//!
//! turmoil 0.7 steps its hosts one after the other, and within a host runs tasks first come, first served: a thousand
//! of its seeds are a thousand sets of latencies and one order of tasks. Here our scheduler runs inside of each of
//! its hosts. Time, latency and topology stay turmoil's; what is new is that a seed also chooses which task runs
//! next, preempts tasks between operations that are ready (tokio's own too), delays ready tasks, and drives turmoil's
//! hold, release, partition, repair, crash and bounce. Blocking threads run there as well. All that the simulator
//! does around a run, it does around these: sweeps, recordings, strict and lenient replay, shrinking, traces, and
//! every failure and a sample of passing seeds run twice.
//!
//! # Before and after
//!
//! A test of turmoil's, on its network and tokio's tasks:
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
//! changed; the first and the last line of the body are gone. (The README shows it as a diff.)
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
//! Faults are optional; whatever outlasts turmoil's limit of simulated time, 10 s unless its builder says otherwise,
//! fails the test. `tokio::spawn` may stay: such a task runs, outside of the schedule, in tokio's own order. What
//! turmoil's builder sets is set with [`TurmoilSim::builder`]; what its simulation does by hand goes into
//! [`TurmoilSim::prepare`] and [`TurmoilSim::before_each_step`], also that of tests that call `run` or `step` several
//! times and act in between. Code that is written against the runtime traits takes the [`TurmoilHost`], which
//! implements both of its traits, and those of UDP, over turmoil's sockets. turmoil has no Unix sockets: those of the
//! runtime traits are the simulator's here too.
//!
//! # What is turmoil's, and stays as it is
//!
//! - Time passes in ticks (1 ms), and timers fire on whole milliseconds; idle time is simulated tick by tick.
//! - The network: a partition loses what is sent in it for good and refuses connects at once; there are no resets but
//!   of ends with unread bytes; `connect` ends when the peer accepts; buffers are counted in writes. The table
//!   `sim-tests/tests/conformance/deviations.md` names what deviates from Linux.
//! - Datagrams are lost in partitions and by `Builder::fail_rate`, which takes down the whole link, and with it what
//!   is on its way, until `Builder::repair_rate` mends it at a later message. They overtake each other, are never
//!   repeated, and the sender does not learn that one was not wanted. The trace shows what is sent and what is
//!   received; that turmoil has dropped one shows with [`TurmoilSim::trace_level`] at `TRACE`.
//! - turmoil's own sockets may stay where they are; a task that waits for one is then said to wait for something
//!   inside the program, and the trace has what they do at the level `TRACE` only. Those of the runtime traits are
//!   named.
//! - A host cannot see that nothing can happen any more, so a deadlock shows as turmoil's limit of simulated time. The
//!   report names each parked task and what it waits for, as that of a deadlock does.
//! - Latencies follow turmoil's generator: its seed is one choice of the run, and does not shrink bit by bit.
//!
//! # Which file is what
//!
//! `sim` is what a body says, `run` one run, `drive` steps the scheduler in a host, `faults` acts between turmoil's
//! steps, `host`, `tasks` and `threads` are the runtime traits, `udp` and `local` its extensions, `socket` what
//! streams share, and `ports` what is bound to one.

pub use faults::TurmoilFaults;
pub use host::TurmoilHost;
pub use sim::{Inner, TurmoilSim};
pub use tasks::{TurmoilListener, TurmoilReadHalf, TurmoilStream, TurmoilWriteHalf};
pub use threads::{TurmoilBlockingListener, TurmoilBlockingStream};
pub use udp::{TurmoilBlockingUdpSocket, TurmoilUdpSocket};

pub(crate) use run::{Body, simulate};

mod drive;
mod faults;
mod host;
mod local;
mod ports;
mod run;
mod sim;
mod socket;
mod tasks;
mod threads;
mod udp;
