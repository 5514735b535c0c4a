//! Forwards local TCP ports through one connection: `tunnel --help`.
//!
//! Ends and resets are passed on as they are: a program that closes its sending half still gets its answer, and one
//! that fails is seen to fail on the other side.

use std::fmt::Arguments;
use std::io::{self, ErrorKind, Write as _};
use std::net::SocketAddr;
use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, Interest};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::time::timeout;
use wavetank_multiplexer::{
    Config, ReadError, ReadHalf, ResetCode, Session, Stream, WriteEnd, WriteError, WriteHalf,
};
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
new local connections wait for it for 10 s, and it is tried again twice a
second. A dead link looks like a slow one until nothing has come for a minute.
A tunnel carries 1024 connections at once; more are reset.

The exit code is 2 for bad arguments, and 1 if an address cannot be listened at.";

/// How long a local connection waits for the tunnel, and a target may take to be connected to.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long is waited before connecting again: at first, and while a local connection waits; and at most.
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
    if is_help(&verb) {
        return Ok(Command::Help);
    }
    let option = match verb.as_str() {
        "serve" => "--allow",
        "connect" => "--forward",
        _ => return Err(format!("unknown command `{verb}`: use `serve` or `connect`")),
    };
    let address = arguments.next().ok_or(format!("`{verb}` needs an address"))?;
    if is_help(&address) {
        return Ok(Command::Help);
    }
    let mut values = Vec::new();
    while let Some(argument) = arguments.next() {
        if is_help(&argument) {
            return Ok(Command::Help);
        }
        if argument != option {
            return Err(format!("unexpected argument `{argument}`"));
        }
        values.push(arguments.next().ok_or(format!("{option} needs a value"))?);
    }
    if values.is_empty() {
        return Err(format!("`{verb}` needs at least one {option}"));
    }
    if verb == "serve" {
        let allowed = values.iter().map(|value| parse_target(value)).collect::<Result<_, _>>()?;
        return Ok(Command::Serve { address: parse_address(&address)?, allowed });
    }
    let forwards = values.iter().map(|value| {
        let (local, target) = value.split_once('=').ok_or(format!("`{value}` is not ADDRESS=HOST:PORT"))?;
        Ok((parse_address(local)?, parse_target(target)?))
    });
    Ok(Command::Connect {
        server: parse_target(&address)?,
        forwards: forwards.collect::<Result<_, String>>()?,
    })
}

fn is_help(argument: &str) -> bool {
    argument == "--help" || argument == "-h"
}

fn parse_address(address: &str) -> Result<SocketAddr, String> {
    address.parse().map_err(|_| format!("`{address}` is not IP:PORT"))
}

/// Checks a `HOST:PORT`. Whether the host exists turns out when it is connected to.
fn parse_target(target: &str) -> Result<String, String> {
    let error = |what: &str| Err(format!("`{target}` is not HOST:PORT: {what}"));
    let Some((host, port)) = target.rsplit_once(':') else { return error("the port is missing") };
    if !port.parse::<u16>().is_ok_and(|port| port > 0) {
        return error("the port is a number from 1 to 65535");
    }
    let is_address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let is_host = match is_address {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
            (1..=253).contains(&host.len()) && host.bytes().all(is_allowed)
        }
    };
    if is_host {
        Ok(target.to_owned())
    } else {
        error("the host is a name, an IPv4 address or [an IPv6 address]")
    }
}

/// Prints a line. The tunnel goes on where no program reads what it prints.
fn say(line: Arguments<'_>) {
    let _no_reader = writeln!(io::stdout(), "{line}");
}

/// Reports a failure, likewise.
fn report(line: Arguments<'_>) {
    let _no_reader = writeln!(io::stderr(), "{line}");
}

#[tokio::main]
async fn main() -> ExitCode {
    let result = match parse(std::env::args().skip(1)) {
        Ok(Command::Help) => {
            say(format_args!("{HELP}"));
            return ExitCode::SUCCESS;
        }
        Ok(Command::Serve { address, allowed }) => serve(address, allowed).await,
        Ok(Command::Connect { server, forwards }) => connect(&server, forwards).await,
        Err(error) => {
            report(format_args!("tunnel: {error}\n\n{HELP}"));
            return ExitCode::from(2);
        }
    };
    if let Err(error) = result {
        report(format_args!("tunnel: {error}"));
    }
    ExitCode::FAILURE
}

async fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address).await;
    listener.map_err(|error| io::Error::new(error.kind(), format!("cannot listen at {address}: {error}")))
}

async fn serve(address: SocketAddr, allowed: Vec<String>) -> io::Result<()> {
    let listener = listen(address).await?;
    say(format_args!("waiting for tunnels on {}", listener.local_addr()?));
    let allowed: Arc<[String]> = allowed.into();
    loop {
        let (tcp, peer) = accept(&listener).await;
        let allowed = Arc::clone(&allowed);
        Tokio.spawn("connection", async move {
            report(format_args!("{peer}: connected"));
            let session = Session::server(Tokio, tcp, Config::default());
            let closed = loop {
                match session.accept().await {
                    Ok(stream) => drop(Tokio.spawn("reach", reach(peer, stream, Arc::clone(&allowed)))),
                    Err(closed) => break closed,
                }
            };
            report(format_args!("{peer}: {closed}"));
        });
    }
}

/// Accepts a connection, however long that takes.
async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok((tcp, peer)) => {
                // It fails where the peer has gone already, which the next read tells.
                let _small_messages_only_wait_longer = tcp.set_nodelay(true);
                return (tcp, peer);
            }
            // Out of file descriptors, mostly: there will be some again.
            Err(_) => Tokio.sleep(RETRY).await,
        }
    }
}

/// Connects a stream to its target, which it names in its first line.
async fn reach(peer: SocketAddr, mut stream: Stream<Tokio>, allowed: Arc<[String]>) {
    let mut named = None;
    let connected = timeout(PATIENCE, async {
        let target = read_target(&mut stream).await?;
        named = Some(target.clone());
        if !allowed.contains(&target) {
            return Err(io::Error::new(ErrorKind::PermissionDenied, format!("{target} is not allowed")));
        }
        TcpStream::connect(&target).await
    });
    match connected.await.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into())) {
        Ok(tcp) => relay(tcp, stream).await,
        Err(error) => {
            let target = named.as_deref().unwrap_or("no target");
            report(format_args!("{peer}, stream {}, {target}: {error}", stream.id()));
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
    let wanted = Arc::new(Notify::new());
    for (address, target) in forwards {
        let listener = listen(address).await?;
        say(format_args!("forwarding {} to {target}", listener.local_addr()?));
        Tokio.spawn("forward", forward(listener, target, current.clone(), Arc::clone(&wanted)));
    }
    let mut retry = RETRY;
    loop {
        let connected = timeout(PATIENCE, TcpStream::connect(server)).await;
        match connected.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into())) {
            Ok(tcp) => {
                let _small_messages_only_wait_longer = tcp.set_nodelay(true);
                say(format_args!("connected to {server}"));
                let session = Session::client(Tokio, tcp, Config::default());
                publisher.send_replace(Some(session.clone()));
                // The first answer says that it is a tunnel; only then is the next attempt an early one again.
                if session.ping().await.is_ok() {
                    retry = RETRY;
                }
                let closed = session.closed().await;
                publisher.send_replace(None);
                report(format_args!("{server}: {closed}"));
            }
            Err(error) => report(format_args!("{server}: {error}")),
        }
        // Never more often than this, however many local connections wait.
        Tokio.sleep(RETRY).await;
        let _wanted_or_not = timeout(retry.saturating_sub(RETRY), wanted.notified()).await;
        retry = RETRY_MAX.min(2 * retry);
    }
}

/// Waits for a session, and has it connected soon.
async fn session(current: &mut Current, wanted: &Notify) -> Option<Session<Tokio>> {
    loop {
        if current.borrow().is_none() {
            wanted.notify_one();
        }
        tokio::select! {
            session = current.wait_for(Option::is_some) => return session.ok()?.clone(),
            () = Tokio.sleep(RETRY) => {}
        }
    }
}

/// Forwards the connections to one local port.
async fn forward(listener: TcpListener, target: String, current: Current, wanted: Arc<Notify>) {
    loop {
        let (tcp, _) = accept(&listener).await;
        let (target, mut current, wanted) = (target.clone(), current.clone(), Arc::clone(&wanted));
        Tokio.spawn("connection", async move {
            let opened = timeout(PATIENCE, async {
                loop {
                    if let Ok(stream) = session(&mut current, &wanted).await?.open().await {
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

/// Which directions have ended.
#[derive(Default)]
struct Ends {
    to_stream: AtomicBool,
    to_tcp: AtomicBool,
}

async fn move_both_ways(
    tcp: &mut TcpStream,
    reader: &mut ReadHalf<Tokio>,
    writer: &mut WriteHalf<Tokio>,
) -> Relayed {
    let (from_tcp, to_tcp) = tcp.split();
    let ends = Ends::default();
    let mut outward = pin!(send(from_tcp, writer, &ends));
    let mut inward = pin!(receive(reader, to_tcp));
    let mut sent = false;
    loop {
        let relayed = tokio::select! {
            relayed = &mut outward, if !sent => {
                sent = true;
                relayed
            }
            relayed = &mut inward, if !ends.to_tcp.load(Relaxed) => {
                ends.to_tcp.store(true, Relaxed);
                relayed
            }
        };
        if !matches!(relayed, Relayed::Ended) || ends.to_tcp.load(Relaxed) && ends.to_stream.load(Relaxed) {
            return relayed;
        }
    }
}

/// Sends what comes from the TCP connection. Returns once both directions have ended, or one has failed, or the stream
/// takes no more.
async fn send(mut tcp: tokio::net::tcp::ReadHalf<'_>, stream: &mut WriteHalf<Tokio>, ends: &Ends) -> Relayed {
    let mut buffer = vec![0; 64 * 1024];
    let mut stopped = pin!(stream.stopped());
    loop {
        let read = tokio::select! {
            read = tcp.read(&mut buffer) => read,
            // The other side may fail while this one has nothing to say.
            end = &mut stopped => return stop(&end, ends),
        };
        let (result, is_end) = match read {
            Ok(0) => (stream.close_write().map_err(io::Error::from), true),
            Ok(count) => (stream.write_all(&buffer[..count]).await, false),
            Err(_) => return Relayed::TcpFailed,
        };
        match result {
            Ok(()) if is_end => break,
            Ok(()) => {}
            Err(error) => {
                let error = WriteError::from_io(&error).cloned().unwrap_or(WriteError::Finished);
                return stop(&WriteEnd::Failed(error), ends);
            }
        }
    }
    ends.to_stream.store(true, Relaxed);
    if ends.to_tcp.load(Relaxed) {
        return Relayed::Ended;
    }
    // A reset can still come behind the end of what there was to read.
    let _failed = tcp.ready(Interest::ERROR).await;
    Relayed::TcpFailed
}

/// What it means for a TCP connection that its stream takes no more.
fn stop(end: &WriteEnd, ends: &Ends) -> Relayed {
    ends.to_stream.store(true, Relaxed);
    match end {
        // What is left in the socket makes the system reset it in the end, which is what it means there.
        WriteEnd::Complete | WriteEnd::Failed(WriteError::Stopped) => Relayed::Ended,
        _ => Relayed::StreamFailed,
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
