//! An ASGI server: it accepts connections and runs an application for each.
//!
//! Each connection has three tasks: `connection` reads, `writer` writes, and `app` is the application, which may start
//! more tasks.

use std::io;
use std::sync::Arc;

use tokio::sync::mpsc::{self, Sender, UnboundedReceiver};
use wavetank_runtime::{Listener as _, Runtime, Stream};

use super::handler::Handler;
use super::websocket::{Event, State, WebSocket};
use super::wire::{self, Packet};

/// The number of events that may wait for an application. A client that sends more has to wait.
const EVENTS_MAX: usize = 16;

/// Serves connections without end. A host may run it as its main.
///
/// # Errors
///
/// The system's for accepting. A lost connection is not an error.
///
/// # Panics
///
/// The task `app` panics if an exception leaves the application. These panics are the bugs. The server continues.
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
        runtime
            .spawn("app", async move {
                if let Err(uncaught) = handler.handle_websocket(socket).await {
                    panic!("exception in ASGI application, {uncaught}");
                }
            })
            .into_future()
    };
    // An application that has ended receives nothing.
    let _ = events.send(Event::Connect).await;
    let ended = tokio::select! {
        biased;
        ended = &mut app => ended,
        () = read_events::<R>(&mut reader, &events, &socket) => app.await,
    };
    if ended.is_ok() {
        // This comes after everything that the application has sent. The client may have disconnected.
        let _ = send.send(Packet::Close(1000));
        let _ = writing.await;
    } else {
        wavetank_runtime::TaskHandle::abort(&writing);
    }
}

/// Reads from the client until the client or the application ends the connection.
async fn read_events<R: Runtime>(
    reader: &mut <R::Stream as Stream>::ReadHalf,
    events: &Sender<Event>,
    socket: &WebSocket,
) {
    loop {
        let event = match wire::read(reader).await {
            // The application has closed, and this text crossed its close.
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

/// Writes what the application sends until it closes. Returns the stream, because the server ends the connection after
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
