//! The museum: historical bugs of other projects, re-created in code of our own against the runtime traits.
//!
//! A piece keeps the structure and the names of the original, so that its trace can be read beside the original's
//! report, and comes in versions: the one with the bug and each one that claimed to fix it. What a piece owes the
//! reader is the order of operations; everything the bug does not need is left out, and the piece says so.

pub mod ariadne;
pub mod websockets;
pub mod yamux;
