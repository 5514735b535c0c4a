//! A peer for tests against other implementations of the protocol: one TCP connection, one session, one scenario.
//!
//! ```text
//! yamux_peer (--listen|--connect) HOST:PORT --scenario NAME
//! ```
//!
//! `--listen` accepts one connection and is the server of the protocol, `--connect` is the client. Port 0 picks a
//! port. Each line of standard output is a JSON object: `{"event":"listening","addr":"HOST:PORT"}` before the
//! connection is accepted, `{"event":"second-stream","ok":BOOL}` where the scenario has one, and at the end
//! `{"event":"done","ok":BOOL,"reason":TEXT}`. The exit code is 0 if the scenario went as expected, 1 if not, and 2
//! for bad arguments. After 40 s it gives up.
//!
//! The byte at offset `o` of a body with seed `s` is the low 8 bits of `o + (o >> 8) + (o >> 16) + 13 * s`; every
//! reader checks every byte.

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::Barrier;
use tokio::task::JoinSet;
use tokio::time::timeout;
use wavetank_multiplexer::{Config, Session};
use wavetank_runtime::{ListenOptions, Listener as _, Runtime as _, SocketOptions, Stream as _, Tokio};

type Outcome = Result<(), String>;

const USAGE: &str = "usage: yamux_peer (--listen|--connect) HOST:PORT --scenario NAME
scenarios: echo, reverse-echo, sink, source, half-close, open-many, slow-reader, issue-133, issue-133-long";

const LIFE_MAX: Duration = Duration::from_secs(40);
const PATIENCE: Duration = Duration::from_secs(10);
const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
const MESSAGE: u64 = 100 * KIB;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Scenario {
    Echo,
    ReverseEcho,
    Sink,
    Source,
    HalfClose,
    OpenMany,
    SlowReader,
    /// So many messages are written; five are read.
    Issue133(u64),
}

impl Scenario {
    fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "echo" => Self::Echo,
            "reverse-echo" => Self::ReverseEcho,
            "sink" => Self::Sink,
            "source" => Self::Source,
            "half-close" => Self::HalfClose,
            "open-many" => Self::OpenMany,
            "slow-reader" => Self::SlowReader,
            "issue-133" => Self::Issue133(10),
            "issue-133-long" => Self::Issue133(320),
            _ => return None,
        })
    }
}

struct Arguments {
    listens: bool,
    address: String,
    scenario: Scenario,
}

/// Returns `None` where help is asked for.
fn parse(arguments: impl Iterator<Item = String>) -> Result<Option<Arguments>, String> {
    let (mut address, mut scenario) = (None, None);
    let mut arguments = arguments;
    while let Some(option) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{option} needs a value"));
        match option.as_str() {
            "--help" | "-h" => return Ok(None),
            "--listen" | "--connect" if address.is_none() => address = Some((option == "--listen", value()?)),
            "--scenario" if scenario.is_none() => {
                let name = value()?;
                scenario =
                    Some(Scenario::parse(&name).ok_or(format!("unknown scenario `{name}`: see --help"))?);
            }
            _ => return Err(format!("unexpected argument `{option}`")),
        }
    }
    let (listens, address) = address.ok_or("--listen or --connect is missing")?;
    let scenario = scenario.ok_or("--scenario is missing")?;
    match address.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => {
            Ok(Some(Arguments { listens, address, scenario }))
        }
        _ => Err(format!("`{address}` is not HOST:PORT")),
    }
}

fn print(event: &serde_json::Value) {
    let mut output = std::io::stdout().lock();
    // There may be no reader any more.
    let _gone = writeln!(output, "{event}").and_then(|()| output.flush());
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = match parse(std::env::args().skip(1)) {
        Ok(Some(arguments)) => arguments,
        Ok(None) => {
            let _no_reader = writeln!(std::io::stdout(), "{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            let _no_reader = writeln!(std::io::stderr(), "{error}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let outcome = timeout(LIFE_MAX, run(&arguments)).await.unwrap_or(Err("40 s are over".to_owned()));
    let reason = outcome.as_ref().err().map_or("as expected", String::as_str);
    print(&serde_json::json!({ "event": "done", "ok": outcome.is_ok(), "reason": reason }));
    ExitCode::from(u8::from(outcome.is_err()))
}

/// Each peer of the world is to be tried with what a user gets, but for the wait for credit: this program has 10 s
/// for it, and a peer with a large window gets twice what is set.
fn config() -> Config {
    let mut config = Config::default();
    config.timeouts().no_credit(Some(Duration::from_secs(4)));
    config
}

async fn run(arguments: &Arguments) -> Outcome {
    let address = tokio::net::lookup_host(&arguments.address).await.map_err(text)?;
    let address = address.into_iter().next().ok_or("the host has no address")?;
    if arguments.listens {
        let listener = Tokio.listen(address, ListenOptions::new()).await.map_err(text)?;
        let bound = listener.local_addr().map_err(text)?;
        print(&serde_json::json!({ "event": "listening", "addr": bound.to_string() }));
        let (stream, _) = listener.accept().await.map_err(text)?;
        drop(listener);
        stream.set_nodelay(true).map_err(text)?;
        listen(Session::server(Tokio, stream, config()), arguments.scenario).await
    } else {
        let stream = Tokio.connect(address, SocketOptions::new()).await.map_err(text)?;
        stream.set_nodelay(true).map_err(text)?;
        connect(Session::client(Tokio, stream, config()), arguments.scenario).await
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// What the side does that has connected.
async fn connect(session: Session<Tokio>, scenario: Scenario) -> Outcome {
    match scenario {
        Scenario::Echo => ask_echo(&session).await?,
        Scenario::ReverseEcho => return serve_echo(&session).await,
        Scenario::Sink => {
            let mut stream = session.open().await.map_err(text)?;
            write_body(&mut stream, 0, MIB, 64 * KIB).await?;
            stream.close_write().map_err(text)?;
            let ended = timeout(PATIENCE, session.closed()).await;
            return ended.map(drop).map_err(|_| "the listener did not end the session".to_owned());
        }
        Scenario::Source => {
            let mut stream = session.open().await.map_err(text)?;
            stream.write_all(b"G").await.map_err(text)?;
            read_body(&mut stream, 0, MIB).await?;
            read_end(&mut stream).await?;
        }
        Scenario::HalfClose => {
            let mut stream = session.open().await.map_err(text)?;
            write_body(&mut stream, 0, KIB, KIB).await?;
            stream.close_write().map_err(text)?;
            read_body(&mut stream, 1, 100 * KIB).await?;
            read_end(&mut stream).await?;
        }
        Scenario::OpenMany => open_many(&session).await?,
        Scenario::SlowReader => read_slowly(&session).await?,
        Scenario::Issue133(messages) => write_to_one_that_leaves(&session, messages).await?,
    }
    session.close().await;
    Ok(())
}

/// What the side does that has listened.
async fn listen(session: Session<Tokio>, scenario: Scenario) -> Outcome {
    match scenario {
        Scenario::Echo | Scenario::OpenMany | Scenario::SlowReader => serve_echo(&session).await,
        Scenario::ReverseEcho => {
            ask_echo(&session).await?;
            session.close().await;
            Ok(())
        }
        Scenario::Sink => {
            let mut stream = session.accept().await.map_err(text)?;
            read_body(&mut stream, 0, MIB).await?;
            read_end(&mut stream).await?;
            stream.close().map_err(text)?;
            drop(stream);
            session.close().await;
            Ok(())
        }
        Scenario::Source => {
            let mut stream = session.accept().await.map_err(text)?;
            let mut byte = [0];
            stream.read_exact(&mut byte).await.map_err(text)?;
            write_body(&mut stream, 0, MIB, 64 * KIB).await?;
            stream.close_write().map_err(text)?;
            wait_for_the_end(&session).await
        }
        Scenario::HalfClose => {
            let mut stream = session.accept().await.map_err(text)?;
            read_body(&mut stream, 0, KIB).await?;
            read_end(&mut stream).await?;
            write_body(&mut stream, 1, 100 * KIB, 64 * KIB).await?;
            stream.close_write().map_err(text)?;
            wait_for_the_end(&session).await
        }
        Scenario::Issue133(_) => {
            let mut stream = session.accept().await.map_err(text)?;
            read_body(&mut stream, 0, 5 * MESSAGE).await?;
            stream.close().map_err(text)?;
            drop(stream);
            serve_echo(&session).await
        }
    }
}

/// Any end of the session is a normal one, but it has to come.
async fn wait_for_the_end(session: &Session<Tokio>) -> Outcome {
    let ended = timeout(PATIENCE, session.closed()).await;
    ended.map(drop).map_err(|_| "the connector did not end the session".to_owned())
}

/// Sends back what comes on every stream, until the session ends.
async fn serve_echo(session: &Session<Tokio>) -> Outcome {
    let mut tasks = JoinSet::new();
    while let Ok(stream) = session.accept().await {
        tasks.spawn(async move {
            let (mut reader, mut writer) = stream.into_split();
            // The other side's end of the session may come before the end of this.
            let _ended = tokio::io::copy(&mut reader, &mut writer).await;
            let _ended = writer.close_write();
        });
    }
    while tasks.join_next().await.is_some() {}
    Ok(())
}

async fn ask_echo(session: &Session<Tokio>) -> Outcome {
    let mut tasks = JoinSet::new();
    for seed in 0..3 {
        let stream = session.open().await.map_err(text)?;
        tasks.spawn(async move {
            let (mut reader, mut writer) = stream.into_split();
            let writing = async {
                write_body(&mut writer, seed, MIB, 64 * KIB).await?;
                writer.close_write().map_err(text)
            };
            let reading = async {
                read_body(&mut reader, seed, MIB).await?;
                read_end(&mut reader).await
            };
            tokio::try_join!(writing, reading).map(drop)
        });
    }
    join(tasks).await
}

async fn open_many(session: &Session<Tokio>) -> Outcome {
    const STREAMS: u32 = 1000;
    let all_have_it = Arc::new(Barrier::new(STREAMS as usize));
    let mut tasks = JoinSet::new();
    for seed in 0..STREAMS {
        let (session, all_have_it) = (session.clone(), Arc::clone(&all_have_it));
        tasks.spawn(async move {
            let mut stream = session.open().await.map_err(text)?;
            write_body(&mut stream, seed, KIB, KIB).await?;
            read_body(&mut stream, seed, KIB).await?;
            all_have_it.wait().await;
            stream.close_write().map_err(text)?;
            read_end(&mut stream).await
        });
    }
    join(tasks).await
}

async fn read_slowly(session: &Session<Tokio>) -> Outcome {
    let (mut reader, mut writer) = session.open().await.map_err(text)?.into_split();
    let writing = Tokio.spawn("writer", async move {
        write_body(&mut writer, 0, MIB, 64 * KIB).await?;
        writer.close_write().map_err(text)
    });
    Tokio.sleep(Duration::from_millis(500)).await;
    let mut other = session.open().await.map_err(text)?;
    let round_trips = async {
        for round in 0..200 {
            write_part(&mut other, 1, round * KIB, (round + 1) * KIB, KIB).await?;
            read_part(&mut other, 1, round * KIB, (round + 1) * KIB).await?;
        }
        Ok(())
    };
    let in_time = timeout(Duration::from_secs(3), round_trips).await;
    in_time.unwrap_or(Err("200 round trips beside a stream that is not read took over 3 s".to_owned()))?;
    Tokio.sleep(Duration::from_secs(1)).await;
    read_body(&mut reader, 0, MIB).await?;
    read_end(&mut reader).await?;
    writing.await.map_err(text)??;
    other.close_write().map_err(text)?;
    read_end(&mut other).await
}

async fn write_to_one_that_leaves(session: &Session<Tokio>, messages: u64) -> Outcome {
    let mut stream = session.open().await.map_err(text)?;
    let writing = async {
        write_body(&mut stream, 0, messages * MESSAGE, MESSAGE).await?;
        stream.close_write().map_err(text)
    };
    let written = timeout(PATIENCE, writing).await;
    let end = match &written {
        Ok(Ok(())) => "everything was written".to_owned(),
        Ok(Err(error)) => error.clone(),
        Err(_) => "blocked for 10 s".to_owned(),
    };
    print(&serde_json::json!({ "event": "first-stream", "ok": written.is_ok(), "end": end }));
    let second = async {
        let mut second = session.open().await.map_err(text)?;
        write_body(&mut second, 1, KIB, KIB).await?;
        read_body(&mut second, 1, KIB).await?;
        second.close_write().map_err(text)?;
        read_end(&mut second).await
    };
    let second = timeout(PATIENCE, second).await.unwrap_or(Err("no echo within 10 s".to_owned()));
    print(&serde_json::json!({ "event": "second-stream", "ok": second.is_ok() }));
    written.map(drop).map_err(|_| format!("the writer of the first stream: {end}"))?;
    second.map_err(|error| format!("the second stream: {error}"))
}

/// Waits for all tasks, and returns the first failure.
async fn join(mut tasks: JoinSet<Outcome>) -> Outcome {
    while let Some(result) = tasks.join_next().await {
        result.map_err(text)??;
    }
    Ok(())
}

fn byte(seed: u32, offset: u64) -> u8 {
    (offset + (offset >> 8) + (offset >> 16) + 13 * u64::from(seed)).to_le_bytes()[0]
}

async fn write_body(writer: &mut (impl AsyncWrite + Unpin), seed: u32, end: u64, write: u64) -> Outcome {
    write_part(writer, seed, 0, end, write).await
}

async fn write_part(
    writer: &mut (impl AsyncWrite + Unpin),
    seed: u32,
    begin: u64,
    end: u64,
    write: u64,
) -> Outcome {
    let mut offset = begin;
    while offset < end {
        let next = end.min(offset + write);
        let bytes: Vec<u8> = (offset..next).map(|offset| byte(seed, offset)).collect();
        writer.write_all(&bytes).await.map_err(text)?;
        offset = next;
    }
    Ok(())
}

async fn read_body(reader: &mut (impl AsyncRead + Unpin), seed: u32, end: u64) -> Outcome {
    read_part(reader, seed, 0, end).await
}

/// Reads exactly this part, and checks it.
async fn read_part(reader: &mut (impl AsyncRead + Unpin), seed: u32, begin: u64, end: u64) -> Outcome {
    let mut buffer = vec![0; 64 * 1024];
    let mut offset = begin;
    while offset < end {
        let room = usize::try_from(end - offset).map_or(buffer.len(), |left| left.min(buffer.len()));
        let count = reader.read(&mut buffer[..room]).await.map_err(text)?;
        if count == 0 {
            return Err(format!("body {seed} ends at {offset}, and not at {end}"));
        }
        for &found in &buffer[..count] {
            if found != byte(seed, offset) {
                return Err(format!("body {seed} is wrong at {offset}"));
            }
            offset += 1;
        }
    }
    Ok(())
}

/// Reads the end.
async fn read_end(reader: &mut (impl AsyncRead + Unpin)) -> Outcome {
    match reader.read(&mut [0]).await.map_err(text)? {
        0 => Ok(()),
        _ => Err("there is more than there should be".to_owned()),
    }
}
