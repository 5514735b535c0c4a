//! A chat client that reconnects, on threads: `cargo run --example chat_threads -- ws://127.0.0.1:9000/ NAME`, beside
//! the `echo` server.
//!
//! One thread reads lines and sends them, the other receives. When the connection is lost, the next one is opened
//! after a while, and says hello again; a line whose sending failed is sent on the new connection. Why an attempt
//! failed, and when the next one comes, is said on the standard error. Where the input ends, what comes within a
//! second is shown, before it closes.

use std::io::BufRead as _;
use std::process::ExitCode;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use wavetank_runtime::{Std, Threads as _};
use wavetank_websocket::blocking::{Client, Failure, Stopper, WebSocket};
use wavetank_websocket::{CloseCode, Message};

/// How long answers to the last lines are waited for: a peer that has seen our Close frame sends none.
const LAST_WORDS: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (Some(url), Some(name)) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: chat_threads URL NAME");
        return ExitCode::from(2);
    };
    match chat(&url, name) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn chat(url: &str, name: String) -> Result<(), Failure> {
    let hello = format!("{name} is here");
    let connections = Client::new(Std)
        .reconnect(url.parse()?)
        .on_connect(move |socket| Ok(socket.send(&hello)?))
        .on_retry(|retry| eprintln!("{retry}"));
    let (connected, sockets) = mpsc::channel();
    let stopper = connections.stopper();
    let typing = Std.spawn("typing", move || send_lines(&name, &sockets, &stopper));
    drop(typing.expect("a thread"));

    let mut end = None;
    for socket in connections {
        let socket = socket?;
        eprintln!("connected");
        if connected.send(socket.clone()).is_err() {
            break;
        }
        show_messages(&socket);
        end = socket.outcome();
    }
    // After this one there was no other.
    if let Some(closed) = end {
        eprintln!("{closed}");
    }
    Ok(())
}

/// Shows messages until the connection is over.
fn show_messages(socket: &WebSocket<Std>) {
    while let Ok(message) = socket.recv() {
        match message {
            Message::Text(text) => println!("{text}"),
            Message::Binary(bytes) => println!("({} bytes)", bytes.len()),
        }
    }
}

/// Sends each line of the standard input on the connection there is; when the input ends, closes it for good.
fn send_lines(name: &str, sockets: &Receiver<WebSocket<Std>>, stopper: &Stopper<Std>) {
    let Ok(mut socket) = sockets.recv() else { return };
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        let line = format!("{name}: {line}");
        while socket.send(&line).is_err() {
            match sockets.recv() {
                Ok(next) => socket = next,
                Err(_) => return,
            }
        }
    }
    Std.sleep(LAST_WORDS);
    stopper.stop();
    socket.close(CloseCode::NORMAL, "bye");
}
