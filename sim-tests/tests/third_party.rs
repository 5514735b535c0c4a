//! Published crates run unmodified in the simulator.

#[path = "third_party/http_stack.rs"]
mod http_stack;
#[path = "third_party/quic.rs"]
mod quic;

use std::time::Duration;

use wavetank::{Faults, Sim};
use wavetank_sim_tests::yamux_echo;

const MEGABYTE: usize = 1 << 20;

#[wavetank::test(seeds = 30, base_seed = 0x5423c47d9b1ea2f3)]
fn yamux_echoes_a_megabyte_through_partitions(sim: &mut Sim) {
    sim.faults(
        Faults::none().partitions().begin_max(Duration::from_millis(200)).last_max(Duration::from_secs(20)),
    );
    sim.server("server", yamux_echo::server);
    sim.client("client", async |host| yamux_echo::client(host, MEGABYTE).await);
}
