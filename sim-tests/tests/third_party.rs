//! Published crates, unmodified, in the simulator.

use std::time::Duration;

use wavetank::{Faults, Sim};
use wavetank_sim_tests::yamux_echo;

const MEGABYTE: usize = 1 << 20;

#[wavetank::test(seeds = 30)]
fn yamux_echoes_a_megabyte_under_random_schedules_and_partitions_that_heal(sim: &mut Sim) {
    sim.faults(
        Faults::none().partitions().begin_max(Duration::from_millis(200)).last_max(Duration::from_secs(20)),
    );
    sim.server("server", yamux_echo::server);
    sim.client("client", async |host| yamux_echo::client(host, MEGABYTE).await);
}
