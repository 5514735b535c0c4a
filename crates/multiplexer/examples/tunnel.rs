//! Forwards local TCP ports through one connection: `tunnel --help`.
//!
//! Ends and resets are passed on as they are: a program that closes its sending half still gets its answer, and one
//! that fails is seen to fail on the other side.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;
use wavetank_multiplexer::{Config, ReadError, ReadHalf, ResetCode, Session, Stream, WriteError, WriteHalf};
use wavetank_runtime::{Runtime as _, Tokio};

const HELP: &str = "\
Forwards local TCP ports through one connection.

usage:
  tunnel serve ADDRESS --allow HOST:PORT [--allow HOST:PORT ...]
      Waits for tunnels at ADDRESS (IP:PORT), and connects their streams to
      the targets that are allowed, and to no others.
  tunnel connect HOST:PORT --forward ADDRESS=HOST:PORT [--forward ...]
      Connects to a `tunnel serve` at HOST:PORT, and again whenever the
      connection is lost. Each TCP connection to a local ADDRESS (IP:PORT)
      is forwarded to HOST:PORT, seen from the server.
  tunnel --help

The connection is neither encrypted nor authenticated: run it over a link that
you trust. Half-closes and resets are passed on. While the connection is down,
new local connections wait for it for 10 s.";

/// How long a local connection waits for the tunnel, and a target may take to be connected to.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long is waited before connecting again, at first and at most.
const RETRY: Duration = Duration::from_millis(500);
const RETRY_MAX: Duration = Duration::from_secs(30);
/// The target did not accept, is not allowed, or is no target.
const UNREACHABLE: ResetCode = ResetCode::new(1);
/// The TCP connection behind the stream was reset.
const BROKEN: ResetCode = ResetCode::new(2);

enum Command {
    Help,
    Serve { address: SocketAddr, allowed: Vec<String> },
    Connect { server: String, forwards: Vec<(SocketAddr, String)> },
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Command, String> {
    let verb = arguments.next().ok_or("an argument is missing")?;
    if verb == "--help" || verb == "-h" {
        return Ok(Command::Help);
    }
    let option = match verb.as_str() {
        "serve" => "--allow",
        "connect" => "--forward",
        _ => return Err(format!("there is no command `{verb}`")),
    };
    let address = arguments.next().ok_or(format!("`{verb}` needs an address"))?;
    let mut values = Vec::new();
    while let Some(argument) = arguments.next() {
        if argument != option {
            return Err(format!("unexpected argument `{argument}`"));
        }
        values.push(arguments.next().ok_or(format!("{option} needs a value"))?);
    }
    if values.is_empty() {
        return Err(format!("`{verb}` needs at least one {option}"));
    }
    if verb == "serve" {
        return Ok(Command::Serve { address: parse_address(&address)?, allowed: values });
    }
    let forwards = values.iter().map(|value| {
        let (local, target) = value.split_once('=').ok_or(format!("`{value}` is not ADDRESS=HOST:PORT"))?;
        Ok((parse_address(local)?, target.to_owned()))
    });
    Ok(Command::Connect { server: address, forwards: forwards.collect::<Result<_, String>>()? })
}

fn parse_address(address: &str) -> Result<SocketAddr, String> {
    address.parse().map_err(|_| format!("`{address}` is no IP:PORT"))
}

#[tokio::main]
async fn main() -> ExitCode {
    let result = match parse(std::env::args().skip(1)) {
        Ok(Command::Help) => {
            println!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Ok(Command::Serve { address, allowed }) => serve(address, allowed).await,
        Ok(Command::Connect { server, forwards }) => connect(&server, forwards).await,
        Err(error) => {
            eprintln!("{error}\n\n{HELP}");
            return ExitCode::from(2);
        }
    };
    if let Err(error) = result {
        eprintln!("tunnel: {error}");
    }
    ExitCode::FAILURE
}

async fn serve(address: SocketAddr, allowed: Vec<String>) -> io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    println!("waiting for tunnels on {}", listener.local_addr()?);
    let allowed: Arc<[String]> = allowed.into();
    loop {
        let (tcp, peer) = listener.accept().await?;
        tcp.set_nodelay(true)?;
        let allowed = Arc::clone(&allowed);
        Tokio.spawn("connection", async move {
            eprintln!("{peer}: connected");
            let session = Session::server(Tokio, tcp, Config::default());
            let closed = loop {
                match session.accept().await {
                    Ok(stream) => drop(Tokio.spawn("reach", reach(stream, Arc::clone(&allowed)))),
                    Err(closed) => break closed,
                }
            };
            eprintln!("{peer}: {closed}");
        });
    }
}

/// Connects a stream to its target, which it names in its first line.
async fn reach(mut stream: Stream<Tokio>, allowed: Arc<[String]>) {
    let connected = timeout(PATIENCE, async {
        let target = read_target(&mut stream).await?;
        if !allowed.contains(&target) {
            return Err(io::Error::new(ErrorKind::PermissionDenied, format!("{target} is not allowed")));
        }
        TcpStream::connect(&target).await
    });
    match connected.await.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into())) {
        Ok(tcp) => relay(tcp, stream).await,
        Err(error) => {
            eprintln!("stream {}: {error}", stream.id());
            stream.reset(UNREACHABLE);
        }
    }
}

async fn read_target(stream: &mut Stream<Tokio>) -> io::Result<String> {
    let mut line = Vec::new();
    loop {
        match stream.read_u8().await? {
            b'\n' => break,
            _ if line.len() == 300 => return Err(ErrorKind::InvalidData.into()),
            byte => line.push(byte),
        }
    }
    String::from_utf8(line).map_err(|_| ErrorKind::InvalidData.into())
}

/// The session that there is now, if there is one.
type Current = watch::Receiver<Option<Session<Tokio>>>;

async fn connect(server: &str, forwards: Vec<(SocketAddr, String)>) -> io::Result<()> {
    let (publisher, current) = watch::channel(None);
    for (address, target) in forwards {
        let listener = TcpListener::bind(address).await?;
        println!("forwarding {} to {target}", listener.local_addr()?);
        Tokio.spawn("forward", forward(listener, target, current.clone()));
    }
    let mut retry = RETRY;
    loop {
        match TcpStream::connect(server).await {
            Ok(tcp) => {
                tcp.set_nodelay(true)?;
                println!("connected to {server}");
                let session = Session::client(Tokio, tcp, Config::default());
                publisher.send_replace(Some(session.clone()));
                // The first answer says that it is a tunnel; only then is the next attempt an early one again.
                if session.ping().await.is_ok() {
                    retry = RETRY;
                }
                let closed = session.closed().await;
                publisher.send_replace(None);
                eprintln!("{server}: {closed}");
            }
            Err(error) => eprintln!("{server}: {error}"),
        }
        Tokio.sleep(retry).await;
        retry = RETRY_MAX.min(2 * retry);
    }
}

/// Forwards the connections to one local port.
async fn forward(listener: TcpListener, target: String, current: Current) {
    loop {
        // Out of file descriptors, mostly: there will be some again.
        let Ok((tcp, _)) = listener.accept().await else {
            Tokio.sleep(RETRY).await;
            continue;
        };
        let (target, mut current) = (target.clone(), current.clone());
        Tokio.spawn("connection", async move {
            let opened = timeout(PATIENCE, async {
                loop {
                    let session =
                        current.wait_for(Option::is_some).await.ok().and_then(|session| session.clone());
                    if let Ok(stream) = session?.open().await {
                        return Some(stream);
                    }
                    // It ended in this moment: the next one will be published.
                    Tokio.sleep(Duration::from_millis(50)).await;
                }
            });
            let Ok(Some(mut stream)) = opened.await else { return abort(&tcp) };
            match stream.write_all(format!("{target}\n").as_bytes()).await {
                Ok(()) => relay(tcp, stream).await,
                Err(_) => abort(&tcp),
            }
        });
    }
}

/// What one direction came to.
enum Relayed {
    /// To its end, or to where no side takes it any more.
    Ended,
    /// The stream was reset, or its session has ended.
    StreamFailed,
    /// The TCP connection was reset.
    TcpFailed,
}

/// Moves bytes both ways until both directions have ended. A failure of either side becomes one of the other.
async fn relay(mut tcp: TcpStream, stream: Stream<Tokio>) {
    let _small_messages_only_wait_longer = tcp.set_nodelay(true);
    let (mut reader, mut writer) = stream.into_split();
    match move_both_ways(&mut tcp, &mut reader, &mut writer).await {
        Relayed::Ended => {}
        Relayed::TcpFailed => writer.reset(BROKEN),
        Relayed::StreamFailed => abort(&tcp),
    }
}

async fn move_both_ways(
    tcp: &mut TcpStream,
    reader: &mut ReadHalf<Tokio>,
    writer: &mut WriteHalf<Tokio>,
) -> Relayed {
    let (from_tcp, to_tcp) = tcp.split();
    let mut outward = pin!(send(from_tcp, writer));
    let mut inward = pin!(receive(reader, to_tcp));
    let (mut sent, mut received) = (false, false);
    loop {
        let relayed = tokio::select! {
            relayed = &mut outward, if !sent => {
                sent = true;
                relayed
            }
            relayed = &mut inward, if !received => {
                received = true;
                relayed
            }
            else => return Relayed::Ended,
        };
        if !matches!(relayed, Relayed::Ended) {
            return relayed;
        }
    }
}

async fn send(mut tcp: tokio::net::tcp::ReadHalf<'_>, stream: &mut WriteHalf<Tokio>) -> Relayed {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let (result, is_end) = match tcp.read(&mut buffer).await {
            Ok(0) => (stream.close_write().map_err(io::Error::from), true),
            Ok(count) => (stream.write_all(&buffer[..count]).await, false),
            Err(_) => return Relayed::TcpFailed,
        };
        match result {
            Ok(()) if is_end => return Relayed::Ended,
            Ok(()) => {}
            Err(error) => {
                return match WriteError::from_io(&error) {
                    // What is left in the socket makes the system reset it in the end, which is what it means there.
                    Some(WriteError::Stopped) => Relayed::Ended,
                    _ => Relayed::StreamFailed,
                };
            }
        }
    }
}

async fn receive(stream: &mut ReadHalf<Tokio>, mut tcp: tokio::net::tcp::WriteHalf<'_>) -> Relayed {
    loop {
        let written = match stream.read_chunk(64 * 1024).await {
            Ok(Some(bytes)) => tcp.write_all(&bytes).await,
            Ok(None) => return tcp.shutdown().await.map_or(Relayed::TcpFailed, |()| Relayed::Ended),
            Err(ReadError::Stopped) => return Relayed::Ended,
            Err(_) => return Relayed::StreamFailed,
        };
        if written.is_err() {
            return Relayed::TcpFailed;
        }
    }
}

/// Ends a connection with RST when it is dropped.
fn abort(tcp: &TcpStream) {
    let _at_least_it_is_closed = tcp.set_zero_linger();
}
