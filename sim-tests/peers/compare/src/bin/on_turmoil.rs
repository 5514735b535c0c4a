//! turmoil, with latencies of 1 to 10 ms. `COMPARE_SAME_MEAN` selects a curve whose mean is the simulator's.

use std::time::Duration;

use compare::{Scenario, answer, ask, contend};

/// The parameter of the exponential distribution that makes 5.5 ms on average of 1 to 10 ms. The default makes 2.3 ms.
const SAME_MEAN: f64 = 1.388;

fn main() {
    let same_mean = std::env::var_os("COMPARE_SAME_MEAN").is_some();
    contend(|scenario, runs, seed| {
        assert_eq!(scenario, Scenario::RoundTrips, "turmoil has no threads");
        (seed..seed + runs).for_each(|seed| round_trips(seed, same_mean));
    });
}

fn round_trips(seed: u64, same_mean: bool) {
    let mut sim = turmoil::Builder::new()
        .min_message_latency(Duration::from_millis(1))
        .max_message_latency(Duration::from_millis(10))
        .simulation_duration(Duration::from_secs(3600))
        .rng_seed(seed)
        .build();
    if same_mean {
        sim.set_message_latency_curve(SAME_MEAN);
    }
    sim.host("server", || async {
        let listener = turmoil::net::TcpListener::bind(("0.0.0.0", 80)).await?;
        loop {
            let (stream, _) = listener.accept().await?;
            tokio::task::spawn_local(answer(stream));
        }
    });
    sim.client("client", async {
        ask(turmoil::net::TcpStream::connect(("server", 80)).await?).await?;
        Ok(())
    });
    sim.run().expect("the conversation ends");
}
