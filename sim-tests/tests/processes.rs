//! Unmodified programs in the simulation: std, tokio, and what stands on them.

#![cfg(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu"))]
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "unmodified programs know nothing of the simulation"
)]

#[path = "processes/blocking.rs"]
mod blocking;
#[path = "processes/chat.rs"]
mod chat;
#[path = "processes/echo.rs"]
mod echo;
#[path = "processes/fate.rs"]
mod fate;
#[path = "processes/http.rs"]
mod http;
#[path = "processes/locks.rs"]
mod locks;
#[path = "processes/museum.rs"]
mod museum;
#[path = "processes/readme.rs"]
mod readme;
#[path = "processes/system.rs"]
mod system;
