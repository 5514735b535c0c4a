//! The example programs, as processes over loopback: peer against peer in both roles, and the tunnel between programs
//! that close, reset and come back.

mod peer;
mod processes;
mod tunnel;
