//! hyper's HTTP/2, axum and hyper-util's client, with a simulated host as executor, timer, connector and resolver.

use std::time::Duration;

use axum::Router;
use axum::routing::get;
use http_body_util::{BodyExt as _, Empty, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, client, server};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::rt::TokioIo;
use tower_service::Service as _;
use wavetank::runtime::{ListenOptions, Listener, Runtime, SocketOptions};
use wavetank::{Faults, Host, Sim};

type Fallible<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

async fn echo(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, hyper::Error> {
    Ok(Response::new(Full::new(request.into_body().collect().await?.to_bytes())))
}

#[wavetank::test(seeds = 50)]
fn http2_answers_requests_side_by_side(sim: &mut Sim) {
    sim.server("server", async |host| {
        let listener = host.listen(([0, 0, 0, 0], 80).into(), ListenOptions::new()).await?;
        loop {
            let stream = TokioIo::new(listener.accept().await?.0);
            let mut http = server::conn::http2::Builder::new(host);
            http.timer(host).keep_alive_interval(Duration::from_secs(1));
            drop(host.spawn("connection", http.serve_connection(stream, service_fn(echo))));
        }
        #[expect(unreachable_code, reason = "names the error")]
        wavetank::Ok(())
    });
    sim.client("client", async |host| {
        let server = host.resolve("server", 80).await?[0];
        let stream = TokioIo::new(host.connect(server, SocketOptions::new()).await?);
        let (sender, http) = client::conn::http2::Builder::new(host).timer(host).handshake(stream).await?;
        let http = host.spawn("http", http);
        let requests = (0..5_u8).map(|number| {
            let mut sender = sender.clone();
            host.spawn("request", async move {
                let request = Request::post("http://server/").body(Full::new(Bytes::from(vec![number])))?;
                let answer = sender.send_request(request).await?.into_body().collect().await?;
                assert_eq!(answer.to_bytes(), [number][..]);
                wavetank::Ok(())
            })
        });
        for request in requests.collect::<Vec<_>>() {
            request.await??;
        }
        // The server's pings keep an idle connection open.
        host.sleep(Duration::from_secs(60)).await;
        drop(sender);
        http.await??;
        wavetank::Ok(())
    });
}

/// Asks until five answers have come, each within a second.
async fn five_answers(host: Host) -> Fallible<()> {
    let client = Client::builder(host).timer(host).pool_timer(host).build::<_, Empty<Bytes>>(host);
    let mut answers = 0;
    while answers < 5 {
        let asking = async {
            let answer = client.get("http://server/".parse()?).await?;
            Fallible::Ok(answer.into_body().collect().await?.to_bytes())
        };
        match tokio::time::timeout(Duration::from_secs(1), asking).await {
            Ok(Ok(answer)) => {
                assert_eq!(answer, "hello");
                answers += 1;
            }
            _ => host.sleep(Duration::from_millis(100)).await,
        }
    }
    Ok(())
}

async fn hello(host: Host) -> std::io::Result<()> {
    let handler = move || async move {
        host.sleep(Duration::from_millis(5)).await;
        "hello"
    };
    let router = Router::new().route("/", get(handler));
    axum::serve(host.listen(([0, 0, 0, 0], 80).into(), ListenOptions::new()).await?, router).await
}

#[wavetank::test(seeds = 50)]
fn axum_answers_a_pooled_client(sim: &mut Sim) {
    sim.server("server", hello);
    sim.client("client", five_answers);
}

#[wavetank::test(seeds = 200)]
fn axum_answers_after_faults(sim: &mut Sim) {
    sim.faults(Faults::all().failing_accepts().until(Duration::from_secs(10)));
    sim.stall_after(Duration::from_secs(300));
    sim.server("server", hello);
    sim.client("client", five_answers);
}

#[wavetank::test(seeds = 5)]
fn a_host_resolves_names_for_tower(sim: &mut Sim) {
    sim.server("server", async |_| {});
    sim.client("client", async |mut host: Host| {
        let name: Name = "server".parse()?;
        let addresses: Vec<_> = host.call(name).await?.collect();
        let expected = host.host("server").expect("it is there").ip();
        assert_eq!(addresses, [(expected, 0).into()]);
        let unknown = host.call("nowhere".parse::<Name>()?).await;
        assert_eq!(unknown.map(|_| ()).expect_err("no host").kind(), std::io::ErrorKind::NotFound);
        wavetank::Ok(())
    });
}
