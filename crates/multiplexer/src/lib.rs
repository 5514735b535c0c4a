//! A stream multiplexer that speaks yamux, async and blocking, over one core that does no I/O.

pub mod blocking;
pub mod closed;
pub mod config;
pub mod error;
pub mod protocol;
pub mod session;

pub use closed::{Cause, Closed, GoAwayCode, Violation};
pub use config::{Config, Keepalive, Limits, Timeouts, Window};
pub use error::{Fault, LocalReset, OpenError, PingError, ReadError, ResetCode, WriteEnd, WriteError};
pub use session::{ReadHalf, Session, Stream, WriteHalf};
