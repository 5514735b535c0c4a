//! moonpool, with its default configuration.
//!
//! Its defaults inject delays, broken connections and flipped bits, and in a quarter of the seeds connects that never
//! end, so the client connects again after a second. A run that a fault has broken counts like any other. More than a
//! tenth of such runs is an error.

use std::time::Duration;

use async_trait::async_trait;
use compare::{Scenario, answer, ask, contend};
use moonpool::{
    NetworkProvider, Process, SimContext, SimulationBuilder, SimulationError, SimulationResult, TaskProvider,
    TcpListenerTrait, TimeProvider, Workload,
};
use tokio_util::compat::FuturesAsyncReadCompatExt;

fn main() {
    contend(|scenario, runs, seed| {
        assert_eq!(scenario, Scenario::RoundTrips, "moonpool has no threads");
        let report = SimulationBuilder::new()
            .processes(1, || Box::new(Server))
            .workload(Client)
            .set_iterations(runs as usize)
            .set_debug_seeds((seed..seed + runs).collect())
            .run();
        assert_eq!(report.iterations as u64, runs);
        assert!(report.failed_runs as u64 <= runs / 10, "{} of {runs} failed", report.failed_runs);
    });
}

struct Server;

#[async_trait]
impl Process for Server {
    fn name(&self) -> &str {
        "server"
    }

    async fn run(&mut self, context: &SimContext) -> SimulationResult<()> {
        let listener = context.network().bind(context.my_ip()).await?;
        loop {
            let accepted = moonpool::select! {
                biased;
                accepted = listener.accept() => accepted?,
                () = context.shutdown().cancelled() => return Ok(()),
            };
            drop(context.task().spawn_task("connection", answer(accepted.0.compat())));
        }
    }
}

struct Client;

#[async_trait]
impl Workload for Client {
    fn name(&self) -> &str {
        "client"
    }

    async fn run(&mut self, context: &SimContext) -> SimulationResult<()> {
        let server = context.peer("server").expect("there is a server");
        let stream = loop {
            let connecting = context.network().connect(&server);
            if let Ok(Ok(stream)) = context.time().timeout(Duration::from_secs(1), connecting).await {
                break stream;
            }
            let _ = context.time().sleep(Duration::from_millis(1)).await;
        };
        ask(stream.compat()).await.map_err(|error| SimulationError::IoError(error.to_string()))
    }
}
