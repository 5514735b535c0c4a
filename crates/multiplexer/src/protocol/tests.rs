//! The protocol without a socket: two sides connected by hand, or one side and raw frames, in virtual time.
