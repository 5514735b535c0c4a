//! An insertion that is given up and tried again, with tokio-postgres: the row is there twice.
//!
//! ```console
//! $ cargo run -p wavetank --example postgres    # shows the failure
//! $ cargo test -p wavetank --example postgres   # a test that expects it
//! ```
//!
//! Dropping the future of a query does not take the query back. No feature is needed: the stream of a simulated host
//! has tokio's traits.

use std::{collections::BTreeSet, time::Duration};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;
use tokio_postgres::{Config, NoTls};
use wavetank::runtime::{ListenOptions, Listener, Runtime, SocketOptions};
use wavetank::{Host, Sim};

/// Notes the rows of simple queries.
async fn serve(host: Host) -> std::io::Result<()> {
    let listener = host.listen(([0, 0, 0, 0], 5432).into(), ListenOptions::new()).await?;
    let mut stream = listener.accept().await?.0;
    let mut startup = vec![0; stream.read_u32().await? as usize - 4];
    stream.read_exact(&mut startup).await?;
    stream.write_all(b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I").await?; // AuthenticationOk, ReadyForQuery
    let mut rows = BTreeSet::new();
    while let Ok(kind) = stream.read_u8().await {
        let mut query = vec![0; stream.read_u32().await? as usize - 4];
        stream.read_exact(&mut query).await?;
        if kind == b'Q' {
            assert!(rows.insert(query), "a row is there twice");
            stream.write_all(b"C\0\0\0\x0fINSERT 0 1\0Z\0\0\0\x05I").await?; // CommandComplete, ReadyForQuery
        }
    }
    Ok(())
}

fn impatient_client(sim: &mut Sim) {
    sim.latency(Duration::from_millis(1)..=Duration::from_millis(20));
    sim.server("server", serve);
    sim.client("client", async |host| {
        let server = host.resolve("server", 5432).await?[0];
        let stream = host.connect(server, SocketOptions::new()).await?;
        let (client, connection) = Config::new().user("ann").connect_raw(stream, NoTls).await?;
        drop(host.spawn("connection", connection));
        for number in 0..3 {
            let insert = format!("INSERT INTO orders VALUES ({number})");
            // The bug: the server may have what is given up here.
            while timeout(Duration::from_millis(30), client.simple_query(&insert)).await.is_err() {}
        }
        wavetank::Ok(())
    });
}

/// In a test of your own leave `finds` out: then the failure is printed and the test fails.
#[wavetank::test(finds = "a row is there twice")]
fn each_row_is_inserted_once(sim: &mut Sim) {
    impatient_client(sim);
}

fn main() {
    wavetank::Sweep::new("postgres", std::env::temp_dir()).run(impatient_client);
}
