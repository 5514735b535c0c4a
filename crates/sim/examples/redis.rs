//! Two tasks that add to one number of a Redis server, with the crate `redis`: an addition is lost.
//!
//! ```console
//! $ cargo run -p wavetank --example redis    # shows the failure
//! $ cargo test -p wavetank --example redis   # a test that expects it
//! ```
//!
//! The bug: between its `GET` and its `SET` the other task may write. `INCR` would be right. No feature is needed: the
//! stream of a simulated host has tokio's traits.

use std::{sync::LazyLock, time::Duration};

use redis::{AsyncCommands, RedisConnectionInfo, aio::MultiplexedConnection};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use wavetank::runtime::{ListenOptions, Listener, Runtime, SocketOptions};
use wavetank::{Host, Sim};

/// The driver of a connection borrows it.
static INFO: LazyLock<RedisConnectionInfo> = LazyLock::new(RedisConnectionInfo::default);

/// Serves `GET` and `SET` of one number. Each word of a command is a line, behind a line with its length.
async fn serve(host: Host) -> std::io::Result<()> {
    let listener = host.listen(([0, 0, 0, 0], 6379).into(), ListenOptions::new()).await?;
    let mut lines = BufReader::new(listener.accept().await?.0).lines();
    let mut number = String::from("0");
    while let Some(line) = lines.next_line().await? {
        let answer = match line.as_str() {
            "GET" => format!("${}\r\n{number}\r\n", number.len()),
            "SET" => {
                for _ in 0..4 {
                    number = lines.next_line().await?.unwrap_or_default();
                }
                "+OK\r\n".to_owned()
            }
            "CLIENT" => "+OK\r\n".to_owned(),
            _ => continue,
        };
        lines.get_mut().write_all(answer.as_bytes()).await?;
    }
    Ok(())
}

async fn add(host: Host, pause: Duration, mut connection: MultiplexedConnection) -> redis::RedisResult<()> {
    host.sleep(pause).await;
    let number: u32 = connection.get("number").await?;
    connection.set("number", number + 1).await
}

fn two_additions(sim: &mut Sim) {
    sim.latency(Duration::from_millis(1)..=Duration::from_millis(20));
    sim.server("server", serve);
    sim.client("client", async |host| {
        let server = host.resolve("server", 6379).await?[0];
        let stream = host.connect(server, SocketOptions::new()).await?;
        let (mut connection, driver) = MultiplexedConnection::new(&INFO, stream).await?;
        drop(host.spawn("driver", driver));
        let first = host.spawn("first", add(host, Duration::ZERO, connection.clone()));
        let second = host.spawn("second", add(host, Duration::from_millis(50), connection.clone()));
        first.await.expect("no panic")?;
        second.await.expect("no panic")?;
        assert_eq!(connection.get::<_, u32>("number").await?, 2, "an addition is lost");
        wavetank::Ok(())
    });
}

/// In a test of your own leave `finds` out: then the failure is printed and the test fails.
#[wavetank::test(finds = "an addition is lost")]
fn no_addition_is_lost(sim: &mut Sim) {
    two_additions(sim);
}

fn main() {
    wavetank::Sweep::new("redis", std::env::temp_dir()).run(two_additions);
}
