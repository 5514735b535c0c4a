//! [`Threads`](crate::Threads) on the threads, locks and sockets of std.

/// Production's blocking world: OS threads, `std::sync`, `std::net`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Std;
