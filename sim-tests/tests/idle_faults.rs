//! A sweep reports that its faults had no effect, because then its partitions tested nothing.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use wavetank::runtime::{ListenOptions, Listener, Runtime, SocketOptions};
use wavetank::{Faults, Sim, Sweep};

/// Builds a client that talks to one server for three seconds and never to the other.
fn talks_to_one_server(sim: &mut Sim) {
    sim.server("idle", async |_| {});
    sim.server("server", async |host| {
        let listener = Runtime::listen(&host, ([0, 0, 0, 0], 80).into(), ListenOptions::new()).await?;
        let (mut stream, _) = listener.accept().await?;
        tokio::io::copy(&mut stream, &mut tokio::io::sink()).await?;
        std::io::Result::Ok(())
    });
    sim.client("client", async |host| {
        let server = Runtime::resolve(&host, "server", 80).await?[0];
        let mut stream = Runtime::connect(&host, server, SocketOptions::new()).await?;
        for _ in 0..30 {
            stream.write_u8(0).await?;
            Runtime::sleep(&host, Duration::from_millis(100)).await;
        }
        std::io::Result::Ok(())
    });
}

fn sweep(name: &str) -> Sweep {
    Sweep::new(format!("idle_faults::{name}"), env!("CARGO_TARGET_TMPDIR")).seeds(50)
}

/// Injects a partition of one second.
fn cut(sim: &mut Sim, a: &'static str, b: &'static str) {
    sim.client("operator", async move |host| {
        Runtime::sleep(&host, Duration::from_millis(500)).await;
        host.inject().partition(a, b);
        Runtime::sleep(&host, Duration::from_secs(1)).await;
        host.inject().heal(a, b);
    });
}

#[test]
fn a_partition_without_traffic_is_reported() {
    let passed = sweep("idle").run(|sim| {
        talks_to_one_server(sim);
        cut(sim, "client", "idle");
    });
    assert_eq!(passed.never_reached(), ["a partition meets traffic"]);
}

#[test]
fn a_partition_that_traffic_met_is_not() {
    let passed = sweep("busy").run(|sim| {
        talks_to_one_server(sim);
        cut(sim, "client", "server");
    });
    assert_eq!(passed.never_reached(), [""; 0]);
}

#[test]
fn drawn_faults_of_every_kind_meet_traffic() {
    let passed = sweep("drawn").seeds(300).run(|sim| {
        let faults = Faults::none().partitions().paused_links();
        sim.faults(faults.begin_max(Duration::from_secs(2)).last_max(Duration::from_secs(2)));
        talks_to_one_server(sim);
    });
    assert_eq!(passed.never_reached(), [""; 0]);
}

#[test]
fn an_idle_fault_fails_a_strict_sweep() {
    let failure = catch_unwind(AssertUnwindSafe(|| {
        sweep("required").sometimes_required().run(|sim| {
            talks_to_one_server(sim);
            cut(sim, "client", "idle");
        })
    }));
    let report = failure.expect_err("it fails").downcast::<String>().expect("a report");
    assert!(report.contains("missed      a partition meets traffic"), "{report}");
}
