//! The museum: historical bugs of other projects, re-created in our own code on the runtime traits.
//!
//! Each piece keeps the structure and the names of the original, so that its trace can be read beside the original bug
//! report. It has several versions: the one with the bug, and each one that claimed to fix it. A piece reproduces the
//! order of operations. It leaves out what the bug does not need, and says what that is.

pub mod ariadne;
pub mod websockets;
pub mod yamux;
