//! The type of a test's argument decides where the test runs, in whatever way the type is written.

use wavetank::turmoil::TurmoilHost;

/// An alias.
type Inside = wavetank::turmoil::TurmoilSim;

#[wavetank::test(seeds = 2, base_seed = 0x2da948afa7463009)]
fn an_alias_of_turmoils_simulation_runs_in_turmoil(sim: &mut Inside) {
    sim.client("client", async |_: TurmoilHost| Ok(()));
}

#[wavetank::test(seeds = 2)]
fn a_path_to_it_does_too(sim: &mut wavetank::turmoil::TurmoilSim) {
    sim.client("client", async |_: TurmoilHost| Ok(()));
}

mod under_the_name_of_another {
    use wavetank::Sim as TurmoilSim;

    #[wavetank::test(seeds = 2, base_seed = 0x5a5645e40e2297d3)]
    fn wavetanks_simulation_runs_in_wavetank(sim: &mut TurmoilSim) {
        sim.client("client", async |_: wavetank::Host| {});
    }
}
