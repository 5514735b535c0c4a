//! A chat client that reconnects: `cargo run --example chat -- ws://127.0.0.1:9000/ NAME`, beside the `echo` server.
//!
//! Each line of the standard input is a message. When the connection is lost, the next one is opened after a while, and
//! says hello again; a line whose sending failed is sent on the new connection. Why an attempt failed, and when the
//! next one comes, is said on the standard error. Where the input ends, what comes within a second is shown, before
//! it closes.

use std::io::BufRead as _;
use std::process::ExitCode;
use std::time::Duration;

use tokio::sync::mpsc;
use wavetank_runtime::{Std, Threads as _, Tokio};
use wavetank_websocket::client::{Client, Failure, WebSocket};
use wavetank_websocket::{CloseCode, Error, Message};

/// How long answers to the last lines are waited for: a peer that has seen our Close frame sends none.
const LAST_WORDS: Duration = Duration::from_secs(1);

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (Some(url), Some(name)) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: chat URL NAME");
        return ExitCode::from(2);
    };
    match chat(&url, &name).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn chat(url: &str, name: &str) -> Result<(), Failure> {
    let mut lines = standard_input();
    let mut unsent: Option<String> = None;
    let hello = format!("{name} is here");
    let mut connections = Client::new(Tokio)
        .reconnect(url.parse()?)
        .on_connect(move |socket: WebSocket<Tokio>| {
            let hello = hello.clone();
            async move { Ok(socket.send(&hello).await?) }
        })
        .on_retry(|retry| eprintln!("{retry}"));
    loop {
        let socket = connections.next().await?;
        eprintln!("connected");
        if converse(&socket, name, &mut lines, &mut unsent).await.is_ok() {
            let _time_is_up = tokio::time::timeout(LAST_WORDS, show_messages(&socket)).await;
            eprintln!("{}", socket.close(CloseCode::NORMAL, "bye").await);
            return Ok(());
        }
    }
}

/// Sends lines and shows messages until the input ends (`Ok`) or the connection does.
async fn converse(
    socket: &WebSocket<Tokio>,
    name: &str,
    lines: &mut mpsc::Receiver<String>,
    unsent: &mut Option<String>,
) -> Result<(), Error> {
    loop {
        if let Some(line) = unsent {
            socket.send(&*line).await?;
            *unsent = None;
        }
        // Both are cancel-safe: whichever is not ready has neither taken nor lost anything.
        tokio::select! {
            message = socket.recv() => show(&message?),
            line = lines.recv() => match line {
                Some(line) => *unsent = Some(format!("{name}: {line}")),
                None => return Ok(()),
            },
        }
    }
}

/// Shows messages until the connection is over.
async fn show_messages(socket: &WebSocket<Tokio>) {
    while let Ok(message) = socket.recv().await {
        show(&message);
    }
}

fn show(message: &Message) {
    match message {
        Message::Text(text) => println!("{text}"),
        Message::Binary(bytes) => println!("({} bytes)", bytes.len()),
    }
}

/// The lines of the standard input, which only a thread can wait for.
fn standard_input() -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel(1);
    let reader = Std.spawn("standard input", move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if sender.blocking_send(line).is_err() {
                break;
            }
        }
    });
    drop(reader);
    receiver
}
