//! A call that the client gives up, with tonic: the handler is dropped between its two halves, and money is lost.
//!
//! ```console
//! $ cargo run -p wavetank --features tonic,tower,hyper --example grpc    # shows the failure
//! $ cargo test -p wavetank --features tonic,tower,hyper --example grpc   # a test that expects it
//! ```

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures_util::stream;
use http::uri::PathAndQuery;
use tonic::transport::{Endpoint, Error, Server};
use tonic::{Request, Response, Status, client, server};
use tonic_prost::ProstCodec;
use tower::service_fn;
use wavetank::runtime::{ListenOptions, Listener, Runtime};
use wavetank::{Host, Sim};

/// Two accounts. A message of gRPC is a number of cents.
type Accounts = Arc<[AtomicU32; 2]>;

async fn serve(host: Host, accounts: Accounts) -> Result<(), Error> {
    let transfer = move |request: Request<u32>| {
        let accounts = accounts.clone();
        async move {
            accounts[0].fetch_sub(*request.get_ref(), Ordering::SeqCst);
            host.sleep(Duration::from_millis(5)).await; // The bug: the call may be cancelled here.
            accounts[1].fetch_add(*request.get_ref(), Ordering::SeqCst);
            Ok::<_, Status>(Response::new(()))
        }
    };
    let bank = service_fn(move |request| {
        let transfer = service_fn(transfer.clone());
        async move { Ok::<_, Infallible>(server::Grpc::new(ProstCodec::default()).unary(transfer, request).await) }
    });
    let listener =
        host.listen(([0, 0, 0, 0], 80).into(), ListenOptions::new()).await.expect("the port is free");
    let accept = async |listener: wavetank::host::SimListener<_>| {
        Some((listener.accept().await.map(|(stream, _)| stream), listener))
    };
    Server::builder().serve_with_incoming(bank, Box::pin(stream::unfold(listener, accept))).await
}

fn one_transfer(sim: &mut Sim, patience: Duration) {
    let accounts: Accounts = Arc::new([AtomicU32::new(100), AtomicU32::new(0)]);
    let seen = accounts.clone();
    sim.latency(Duration::from_millis(1)..=Duration::from_millis(10));
    sim.server("server", move |host| serve(host, accounts.clone()));
    sim.client("client", async move |host| {
        let endpoint = Endpoint::from_static("http://server:80").executor(host).timeout(patience);
        let mut bank = client::Grpc::new(endpoint.connect_with_connector(host).await?);
        bank.ready().await?;
        let path = PathAndQuery::from_static("/bank.Bank/Transfer");
        let _answer = bank.unary::<u32, (), _>(Request::new(100), path, ProstCodec::default()).await;
        host.sleep(Duration::from_secs(1)).await;
        let money: u32 = seen.iter().map(|account| account.load(Ordering::SeqCst)).sum();
        assert_eq!(money, 100, "money is lost");
        wavetank::Ok(())
    });
}

fn impatient_transfer(sim: &mut Sim) {
    one_transfer(sim, Duration::from_millis(12));
}

/// In a test of your own leave `finds` out: then the failure is printed and the test fails.
#[wavetank::test(finds = "money is lost")]
fn a_cancelled_call_loses_no_money(sim: &mut Sim) {
    impatient_transfer(sim);
}

#[wavetank::test(seeds = 50)]
fn a_patient_call_loses_no_money(sim: &mut Sim) {
    one_transfer(sim, Duration::from_secs(5));
}

fn main() {
    wavetank::Sweep::new("grpc", std::env::temp_dir()).run(impatient_transfer);
}
