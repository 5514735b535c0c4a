//! Memory of an idle connection, with compression negotiated and unused: for both clients and the accept side.
//!
//! `cargo bench -p wavetank-websocket --bench idle_memory -- 400` opens 400 connections (the default) on loopback, in
//! processes of their own, and prints how much each connection added to the resident memory of its process, once it
//! had been idle for a moment. Linux only, as it reads `/proc`. Threads need three descriptors a connection.

use std::error::Error;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

use wavetank_runtime::{ListenOptions, Listener as _, Runtime as _, Std, Threads as _, Tokio};
use wavetank_websocket::handshake::ClientRequest;
use wavetank_websocket::server::Server;
use wavetank_websocket::{Config, blocking, client};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// How long connections are idle before memory is read.
const IDLE: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments[..] {
        ["server", compress] => serve(compress == "true"),
        [kind @ ("tasks" | "threads"), url, count, compress] => connect(kind, url, count, compress == "true"),
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
    println!("| {count} idle connections | compression | client | accept side |\n|---|---|--:|--:|");
    for kind in ["tasks", "threads"] {
        for compress in ["true", "false"] {
            let (mut server, url) = start(&["server", compress])?;
            let before = resident(server.id())?;
            let (mut clients, added) = start(&[kind, &url, count, compress])?;
            let accepted = (resident(server.id())? - before) / count.parse::<i64>()?;
            let agreed = if compress == "true" { "negotiated" } else { "off" };
            println!("| {kind} | {agreed} | {added} KiB | {accepted} KiB |");
            clients.kill()?;
            server.kill()?;
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

fn config(compress: bool) -> Config {
    let mut config = Config::default();
    config.compression().enabled(compress);
    config
}

fn serve(compress: bool) -> Result<()> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?.block_on(async {
        let listener = Tokio.listen(([127, 0, 0, 1], 0).into(), ListenOptions::new()).await?;
        println!("ws://{}/", listener.local_addr()?);
        let server = Server::new(Tokio).config(config(compress));
        loop {
            let (stream, _) = listener.accept().await?;
            let server = server.clone();
            drop(Tokio.spawn("session", async move {
                if let Ok(socket) = server.accept(stream).await {
                    while socket.recv().await.is_ok() {}
                }
            }));
        }
    })
}

/// Opens connections, says how much each has added, and keeps them until it is killed.
fn connect(kind: &str, url: &str, count: &str, compress: bool) -> Result<()> {
    let count: usize = count.parse()?;
    let before = resident(std::process::id())?;
    let request: ClientRequest = url.parse()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let (mut tasks, mut threads) = (Vec::new(), Vec::new());
    for _ in 0..count {
        if kind == "tasks" {
            let client = client::Client::new(Tokio).config(config(compress));
            let socket = runtime.block_on(client.connect(request.clone()))?;
            assert_eq!(socket.compression().is_some(), compress, "what was asked for");
            tasks.push(socket);
        } else {
            let client = blocking::Client::new(Std).config(config(compress));
            let socket = client.connect(request.clone())?;
            assert_eq!(socket.compression().is_some(), compress, "what was asked for");
            threads.push(socket);
        }
    }
    Std.sleep(IDLE);
    println!("{}", (resident(std::process::id())? - before) / i64::try_from(count)?);
    // Until the parent is done.
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
