//! `axum::serve` as it is, and hyper's client on tokio's sockets.

use std::io;
use std::time::Duration;

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use wavetank::{Faults, Sim};

fn serve() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let greet = get(async |Path(name): Path<String>| format!("hello, {name}"));
        let listener = tokio::net::TcpListener::bind("0.0.0.0:80").await?;
        axum::serve(listener, Router::new().route("/{name}", greet)).await
    })
}

async fn ask(names: [&str; 3]) {
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    for name in names {
        let uri = format!("http://server/{name}").parse().expect("an address");
        let answer = async { client.get(uri).await.ok()?.into_body().collect().await.ok() };
        // A broken connection is no answer. An answer is whole and the right one.
        if let Ok(Some(body)) = tokio::time::timeout(Duration::from_secs(10), answer).await {
            assert_eq!(body.to_bytes(), format!("hello, {name}"));
        }
    }
}

#[wavetank::test(seeds = 100)]
fn axum_answers_the_right_client(sim: &mut Sim) {
    sim.faults(Faults::none().partitions().resets());
    sim.process("server", serve);
    for (host, names) in [("one", ["ann", "bob", "cyd"]), ("other", ["dan", "eve", "fay"])] {
        sim.process_client(host, move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(ask(names));
            io::Result::Ok(())
        });
    }
}
