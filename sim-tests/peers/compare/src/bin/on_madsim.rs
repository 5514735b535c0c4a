//! madsim, with its default configuration: latencies of 1 to 10 ms. It exists with `--cfg madsim` only.

#[cfg(madsim)]
fn main() {
    compare::contend(|scenario, runs, seed| {
        assert_eq!(scenario, compare::Scenario::RoundTrips, "madsim has no threads");
        (seed..seed + runs).for_each(round_trips);
    });
}

#[cfg(madsim)]
fn round_trips(seed: u64) {
    use std::time::Duration;

    use compare::{answer, ask};
    use madsim::net::{TcpListener, TcpStream};
    use madsim::runtime::Runtime;

    let runtime = Runtime::with_seed_and_config(seed, madsim::Config::default());
    let server = runtime.create_node().name("server").ip([10, 0, 0, 1].into()).build();
    let client = runtime.create_node().name("client").ip([10, 0, 0, 2].into()).build();
    server.spawn(async {
        let listener = TcpListener::bind("0.0.0.0:80").await.expect("binds");
        loop {
            let (stream, _) = listener.accept().await.expect("accepts");
            madsim::task::spawn(answer(stream));
        }
    });
    let asking = client.spawn(async {
        // The server may not listen yet.
        let stream = loop {
            match TcpStream::connect("10.0.0.1:80").await {
                Ok(stream) => break stream,
                Err(_) => madsim::time::sleep(Duration::from_millis(1)).await,
            }
        };
        ask(stream).await.expect("the conversation ends");
    });
    runtime.block_on(asking).expect("the client does not panic");
}

#[cfg(not(madsim))]
fn main() {
    panic!("built without `--cfg madsim`");
}
