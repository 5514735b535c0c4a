//! Ordinary timeouts hold on a network without faults: the 500 ms of redis-rs, and a second around an HTTP request.
//!
//! Unmodified crates: redis-rs against a small server, and `axum::serve`, whose connections are tasks
//! of tokio's. For more seeds: `WAVETANK_SEEDS=10000 cargo test -p wavetank-sim-tests --test ordinary_timeouts`.

use std::collections::BTreeMap;
use std::io;
use std::sync::LazyLock;
use std::time::Duration;

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use redis::aio::MultiplexedConnection;
use redis::{AsyncCommands as _, AsyncConnectionConfig, RedisConnectionInfo};
use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader,
};
use tokio::time::timeout;
use wavetank::runtime::{ListenOptions, Listener as _, Runtime, SocketOptions};
use wavetank::{Host, Sim};

type Stream = <Host as Runtime>::Stream;

/// Reads a command: an array of strings.
async fn command(stream: &mut BufReader<Stream>) -> io::Result<Option<Vec<String>>> {
    let mut line = String::new();
    if stream.read_line(&mut line).await? == 0 {
        return Ok(None);
    }
    let count = number(&line, '*')?;
    let mut words = Vec::new();
    for _ in 0..count {
        line.clear();
        stream.read_line(&mut line).await?;
        let mut word = vec![0; number(&line, '$')? + 2];
        stream.read_exact(&mut word).await?;
        word.truncate(word.len() - 2);
        words.push(String::from_utf8_lossy(&word).into_owned());
    }
    Ok(Some(words))
}

fn number(line: &str, mark: char) -> io::Result<usize> {
    let digits = line.trim_end().strip_prefix(mark).and_then(|digits| digits.parse().ok());
    digits.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("expected {mark}, got {line:?}")))
}

/// What Redis answers, as far as the client here asks.
fn reply(words: &[String], values: &mut BTreeMap<String, i64>) -> String {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["INCRBY", key, by] => {
            let value = values.entry(key.to_owned()).or_default();
            *value += by.parse::<i64>().unwrap_or_default();
            format!(":{value}\r\n")
        }
        ["GET", key] => match values.get(key).map(i64::to_string) {
            Some(value) => format!("${}\r\n{value}\r\n", value.len()),
            None => "$-1\r\n".to_owned(),
        },
        _ => "+OK\r\n".to_owned(),
    }
}

async fn serves_redis(host: Host) -> io::Result<()> {
    let listener = Runtime::listen(&host, ([0, 0, 0, 0], 6379).into(), ListenOptions::new()).await?;
    loop {
        let mut stream = BufReader::new(listener.accept().await?.0);
        drop(Runtime::spawn(&host, "connection", async move {
            let mut values = BTreeMap::new();
            while let Ok(Some(words)) = command(&mut stream).await {
                if stream.write_all(reply(&words, &mut values).as_bytes()).await.is_err() {
                    return;
                }
            }
        }));
    }
}

async fn connect(host: &Host, port: u16) -> io::Result<Stream> {
    let server = Runtime::resolve(host, "server", port).await?[0];
    Runtime::connect(host, server, SocketOptions::new()).await
}

/// The driver of a connection borrows it.
static INFO: LazyLock<RedisConnectionInfo> = LazyLock::new(RedisConnectionInfo::default);

#[wavetank::test(seeds = 200)]
fn redis_answers_within_its_half_second(sim: &mut Sim) {
    sim.server("server", serves_redis);
    sim.client("client", async |host: Host| {
        let stream = connect(&host, 6379).await?;
        // What newer releases do by default.
        let config = AsyncConnectionConfig::new().set_response_timeout(Duration::from_millis(500));
        let (connection, driver) = MultiplexedConnection::new_with_config(&INFO, stream, config).await?;
        let driver = Runtime::spawn(&host, "driver", driver);
        let users = ["one", "other"].map(|key| {
            let mut connection = connection.clone();
            Runtime::spawn(&host, "user", async move {
                for expected in 1..=5 {
                    let count: i64 = connection.incr(key, 1_i64).await?;
                    assert_eq!(count, expected);
                }
                connection.get::<_, i64>(key).await
            })
        });
        for user in users {
            assert_eq!(user.await.expect("no panic")?, 5);
        }
        drop(connection);
        driver.await.expect("no panic");
        wavetank::Ok(())
    });
}

/// Asks for a page and returns the whole answer.
async fn ask(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), path: &str) -> io::Result<String> {
    let head = format!("GET {path} HTTP/1.1\r\nHost: server\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

#[wavetank::test(seeds = 200)]
fn axum_answers_within_a_second(sim: &mut Sim) {
    sim.server("server", async |host: Host| {
        let listener = Runtime::listen(&host, ([0, 0, 0, 0], 80).into(), ListenOptions::new()).await?;
        let slowly = async move |Path(name): Path<String>| {
            // A handler that waits, on tokio's clock.
            #[expect(clippy::disallowed_methods, reason = "what handlers do")]
            tokio::time::sleep(Duration::from_millis(50)).await;
            format!("ahoy {name}")
        };
        axum::serve(listener, Router::new().route("/{name}", get(slowly))).await
    });
    sim.client("client", async |host: Host| {
        let names = ["one", "two", "three"].map(|name| {
            Runtime::spawn(&host, "user", async move {
                let asking = async {
                    let mut stream = connect(&host, 80).await?;
                    ask(&mut stream, &format!("/{name}")).await
                };
                let answer = timeout(Duration::from_secs(1), asking).await.expect("in time")?;
                assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with(name), "{answer}");
                io::Result::Ok(())
            })
        });
        for name in names {
            name.await.expect("no panic")?;
        }
        wavetank::Ok(())
    });
}
