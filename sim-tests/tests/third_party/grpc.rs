//! tonic: a handler that a cancelled call drops between its two halves.
//!
//! A call that the client gives up is reset. tonic then drops the handler where it waits. Here money is lost.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures::stream;
use http::uri::PathAndQuery;
use tonic::transport::{Endpoint, Server};
use tonic::{Request, Response, Status, client, server};
use tonic_prost::ProstCodec;
use tower::service_fn;
use wavetank::runtime::{ListenOptions, Listener, Runtime};
use wavetank::{Host, Sim};

#[derive(Clone, PartialEq, prost::Message)]
struct Amount {
    #[prost(uint32, tag = "1")]
    cents: u32,
}

/// The money on two accounts.
type Accounts = Arc<[AtomicU32; 2]>;

async fn serve(host: Host, accounts: Accounts) -> Result<(), tonic::transport::Error> {
    let transfer = move |request: Request<Amount>| {
        let (accounts, cents) = (accounts.clone(), request.into_inner().cents);
        async move {
            accounts[0].fetch_sub(cents, Ordering::SeqCst);
            host.sleep(Duration::from_millis(5)).await; // The bug: the call may be cancelled here.
            accounts[1].fetch_add(cents, Ordering::SeqCst);
            Ok::<_, Status>(Response::new(Amount { cents }))
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

async fn transfer(host: Host, patience: Duration) -> Result<u32, Box<dyn std::error::Error + Send + Sync>> {
    let endpoint = Endpoint::from_static("http://server:80").executor(host).timeout(patience);
    let mut bank = client::Grpc::new(endpoint.connect_with_connector(host).await?);
    bank.ready().await?;
    let path = PathAndQuery::from_static("/bank.Bank/Transfer");
    let answer = bank.unary(Request::new(Amount { cents: 100 }), path, ProstCodec::default()).await;
    Ok(answer.map_or(0, |answer: Response<Amount>| answer.into_inner().cents))
}

fn one_transfer(sim: &mut Sim, patience: Duration) {
    let accounts: Accounts = Arc::new([AtomicU32::new(100), AtomicU32::new(0)]);
    let seen = accounts.clone();
    sim.latency(Duration::from_millis(1)..=Duration::from_millis(10));
    sim.server("server", move |host| serve(host, accounts.clone()));
    sim.client("client", async move |host| {
        transfer(host, patience).await?;
        host.sleep(Duration::from_secs(1)).await;
        let money: u32 = seen.iter().map(|account| account.load(Ordering::SeqCst)).sum();
        assert_eq!(money, 100, "money is lost");
        wavetank::Ok(())
    });
}

#[wavetank::test(finds = "money is lost")]
fn a_cancelled_call_loses_no_money(sim: &mut Sim) {
    one_transfer(sim, Duration::from_millis(12));
}

#[wavetank::test(seeds = 50)]
fn a_patient_call_loses_no_money(sim: &mut Sim) {
    one_transfer(sim, Duration::from_secs(5));
}
