//! An ASGI server: accepts connections, and runs an application for each.
//!
//! Per connection three tasks: `connection` reads, `writer` writes, `app` is the application, which may start more.

use std::io;
use std::sync::Arc;

use tokio::sync::mpsc::{self, Sender, UnboundedReceiver};
use wavetank_runtime::{Listener as _, Runtime, Stream};

use super::handler::Handler;
use super::websocket::{Event, State, WebSocket};
use super::wire::{self, Packet};

/// Events that wait for an application. A client that sends more waits.
const EVENTS_MAX: usize = 16;

/// Serves connections for ever: the main of a host.
///
/// # Errors
///
/// The system's for accepting. That a connection is lost is no error.
///
/// # Panics
///
/// The task `app`, by an exception that leaves the application: the bugs. The server itself goes on.
pub async fn serve<R: Runtime>(runtime: R, listener: R::Listener, handler: Handler<R>) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        drop(runtime.spawn("connection", connection(runtime.clone(), stream, handler.clone())));
    }
}

async fn connection<R: Runtime>(runtime: R, stream: R::Stream, handler: Handler<R>) {
    let (mut reader, writer) = stream.into_split();
    let Ok(Some(Packet::Open)) = wire::read(&mut reader).await else { return };
    let (send, queue) = mpsc::unbounded_channel();
    let writing = runtime.spawn("writer", write_queue::<R>(queue, writer));
    let (events, receive) = mpsc::channel(EVENTS_MAX);
    let socket = Arc::new(WebSocket::new(receive, send.clone()));
    let mut app = {
        let socket = Arc::clone(&socket);
        runtime.spawn("app", async move {
            if let Err(uncaught) = handler.handle_websocket(socket).await {
                panic!("exception in ASGI application, {uncaught}");
            }
        })
    };
    // An application that has ended receives nothing, and need not.
    let _ = events.send(Event::Connect).await;
    let ended = tokio::select! {
        biased;
        ended = &mut app => ended,
        () = read_events::<R>(&mut reader, &events, &socket) => app.await,
    };
    if ended.is_ok() {
        // Whatever the application said before comes first; the client may have gone.
        let _ = send.send(Packet::Close(1000));
        let _ = writing.await;
    } else {
        wavetank_runtime::TaskHandle::abort(&writing);
    }
}

/// Reads what the client sends, until it or the application has ended the connection.
async fn read_events<R: Runtime>(
    reader: &mut <R::Stream as Stream>::ReadHalf,
    events: &Sender<Event>,
    socket: &WebSocket,
) {
    loop {
        let event = match wire::read(reader).await {
            // The application has closed: what comes now has crossed its close.
            Ok(Some(Packet::Text(_))) if socket.application_state() == State::Disconnected => continue,
            Ok(Some(Packet::Text(text))) => Event::Receive(text),
            _ => Event::Disconnect,
        };
        let ends = event == Event::Disconnect;
        if events.send(event).await.is_err() || ends {
            return;
        }
    }
}

/// Writes what the application sends, until it has closed. Gives the stream back: the server ends the connection once
/// the application has ended.
async fn write_queue<R: Runtime>(
    mut queue: UnboundedReceiver<Packet>,
    mut writer: <R::Stream as Stream>::WriteHalf,
) -> <R::Stream as Stream>::WriteHalf {
    while let Some(packet) = queue.recv().await {
        let ends = matches!(packet, Packet::Close(_) | Packet::Refuse);
        if wire::write(&mut writer, &packet).await.is_err() || ends {
            break;
        }
    }
    writer
}
