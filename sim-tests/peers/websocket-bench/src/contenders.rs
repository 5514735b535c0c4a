//! The crates that are compared, each behind the same few operations and set up the same way.
//!
//! - Reads of at most 64 KiB where a contender lets that be set; tokio-websockets (through `FramedRead`) and
//!   fastwebsockets start with 8 KiB and have no setting.
//! - Masks from ChaCha: `rand`'s thread generator where a contender draws them itself.
//! - The application keeps what it sends: contenders that take shared bytes get a clone, fastwebsockets, which masks in
//!   place, gets a copy in a buffer that is used again.
//! - UTF-8 of received text is checked by all (yawc only on request; so it is requested).

pub mod fastwebsockets;
pub mod ours;
pub mod tokio_tungstenite;
pub mod tokio_websockets;
pub mod tungstenite;
pub mod yawc;
