//! What simulations of the GraphQL handler share: a world with a server and strict peers, on either transport.
//!
//! - [`World`] has a server with the mock engine, and connects [`Peer`]s to it: over the transport in memory, where
//!   nothing but the order of events differs from run to run, or over this project's WebSocket on the simulated
//!   network.
//! - [`Checked`] is between the handler and its transport, and panics where the handler breaks an invariant of the
//!   protocol: it sees what the handler sees, in the same order.
//! - [`ThreadsWorld`] has a server on threads, over a WebSocket of threads, with [`BlockingChecked`] between them.
//! - [`Recorder`] is the application: its hooks take as long as a test says, and are counted.

mod checked;
mod hooks;
mod peer;
mod rules;
mod threads;
mod world;

pub use checked::{BlockingChecked, Checked};
pub use hooks::{Behaviour, Failure, Hook, HookLog, Recorder};
pub use peer::{Got, Peer};
pub use threads::{Manner, TestPool, ThreadsHandler, ThreadsWorld};
pub use world::{Handler, On, SECOND, SLACK, Setup, World};

/// Makes two simulations of each function `fn name(sim: &mut Sim, on: On)`: `memory::name` and `websocket::name`,
/// with so many seeds.
#[macro_export]
macro_rules! on_both_transports {
    ($($seeds:tt: $name:ident;)*) => {
        mod memory {
            $(
                #[::wavetank::test(seeds = $seeds)]
                fn $name(sim: &mut ::wavetank::Sim) {
                    super::$name(sim, $crate::graphql::On::Memory);
                }
            )*
        }

        mod websocket {
            $(
                #[::wavetank::test(seeds = $seeds)]
                fn $name(sim: &mut ::wavetank::Sim) {
                    super::$name(sim, $crate::graphql::On::WebSocket);
                }
            )*
        }
    };
}
