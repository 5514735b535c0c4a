//! Memory of an idle connection, with compression negotiated: for both clients and the accept side, plain and in TLS.
//!
//! `cargo bench -p wavetank-websocket --bench idle_memory -- 400` opens 400 connections (the default) on loopback, in
//! processes of their own. It prints how much each connection added to the resident memory of its process: unused, and
//! once it has been idle for some pings after a compressed message of about 70 KB each way. Linux only, as it reads
//! `/proc`. Threads need three descriptors a connection.

use std::error::Error;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{RootCertStore, ServerConfig};
use wavetank_runtime::{ListenOptions, Listener as _, Runtime as _, Std, Threads as _, Tokio};
use wavetank_websocket::handshake::{AcceptOptions, ClientRequest, TlsOptions};
use wavetank_websocket::server::Server;
use wavetank_websocket::{Config, blocking, client};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// How long connections are idle before memory is read.
const IDLE: Duration = Duration::from_secs(4);

/// The interval of pings on connections that are used first.
const INTERVAL: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments[..] {
        ["server", scheme, use_] => serve(scheme, use_),
        [kind @ ("tasks" | "threads"), url, use_, count] => connect(kind, url, use_, count),
        [] => compare("400"),
        [count] => compare(count),
        _ => Err("usage: idle_memory [CONNECTIONS]".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Measures every combination, each in fresh processes.
fn compare(count: &str) -> Result<()> {
    println!(
        "| {count} idle connections | scheme | messages | client | accept side |\n|---|---|---|--:|--:|"
    );
    for kind in ["tasks", "threads"] {
        for scheme in ["ws", "wss"] {
            for use_ in ["unused", "used"] {
                let (mut server, url) = start(&["server", scheme, use_])?;
                let before = resident(server.id())?;
                let (mut clients, added) = start(&[kind, &url, use_, count])?;
                let accepted = (resident(server.id())? - before) / count.parse::<i64>()?;
                println!("| {kind} | {scheme} | {use_} | {added} KiB | {accepted} KiB |");
                clients.kill()?;
                server.kill()?;
            }
        }
    }
    Ok(())
}

/// Starts this program with `arguments`, and returns the first line that it prints.
fn start(arguments: &[&str]) -> Result<(Child, String)> {
    let mut command = Command::new(std::env::current_exe()?);
    let mut child = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let output = child.stdout.take().ok_or("a piped output")?;
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line)?;
    if line.is_empty() {
        return Err(format!("{arguments:?} ended without a result").into());
    }
    Ok((child, line.trim().to_owned()))
}

/// The resident memory of a process in KiB.
fn resident(process: u32) -> Result<i64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

fn config(use_: &str) -> Config {
    let mut config = Config::default();
    if use_ == "used" {
        config.keepalive().interval(Some(INTERVAL));
    }
    config
}

fn certificate() -> Result<CertificateDer<'static>> {
    Ok(CertificateDer::from_pem_slice(include_bytes!("../testdata/certificate.pem"))?)
}

fn options(scheme: &str) -> Result<AcceptOptions> {
    if scheme == "ws" {
        return Ok(AcceptOptions::new());
    }
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("../testdata/key.pem"))?;
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions()?.with_no_client_auth();
    Ok(AcceptOptions::new().tls(Arc::new(builder.with_single_cert(vec![certificate()?], key)?)))
}

/// Sends back what comes.
fn serve(scheme: &str, use_: &str) -> Result<()> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?.block_on(async {
        let listener = Tokio.listen(([127, 0, 0, 1], 0).into(), ListenOptions::new()).await?;
        println!("{scheme}://{}/", listener.local_addr()?);
        let server = Server::new(Tokio).config(config(use_)).options(options(scheme)?);
        loop {
            let (stream, _) = listener.accept().await?;
            let server = server.clone();
            drop(Tokio.spawn("session", async move {
                if let Ok(socket) = server.accept(stream).await {
                    while let Ok(message) = socket.recv().await {
                        drop(socket.send(&message).await);
                    }
                }
            }));
        }
    })
}

/// Opens connections, says how much each has added, and keeps them until it is killed.
fn connect(kind: &str, url: &str, use_: &str, count: &str) -> Result<()> {
    let count: usize = count.parse()?;
    let mut roots = RootCertStore::empty();
    roots.add(certificate()?)?;
    let request = url.parse::<ClientRequest>()?.tls(TlsOptions::new().roots(roots));
    let text = (0..10_000).map(|number| format!("{number}, ")).collect::<String>();
    let before = resident(std::process::id())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let (mut tasks, mut threads) = (Vec::new(), Vec::new());
    for _ in 0..count {
        if kind == "tasks" {
            let client = client::Client::new(Tokio).config(config(use_));
            let socket = runtime.block_on(client.connect(request.clone()))?;
            assert!(socket.compression().is_some(), "it is on by default");
            if use_ == "used" {
                runtime.block_on(socket.send(&text))?;
                runtime.block_on(socket.recv())?;
            }
            tasks.push(socket);
        } else {
            let client = blocking::Client::new(Std).config(config(use_));
            let socket = client.connect(request.clone())?;
            assert!(socket.compression().is_some(), "it is on by default");
            if use_ == "used" {
                socket.send(&text)?;
                socket.recv()?;
            }
            threads.push(socket);
        }
    }
    Std.sleep(IDLE);
    println!("{}", (resident(std::process::id())? - before) / i64::try_from(count)?);
    // Until the parent is done.
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
