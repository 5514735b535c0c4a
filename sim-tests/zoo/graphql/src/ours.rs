//! Our handler, with any engine, over a [`Line`].

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures::{Sink, Stream};
use wavetank::Host;
use wavetank_graphql::{CloseFrame, Engine, Incoming, MessageTransport, Server, TransportError, Upgrade};

use crate::Line;
use crate::line::close_frame;

/// Serves one connection with our handler, whose settings are the defaults.
///
/// # Errors
///
/// None: how the connection ended is in the trace.
pub async fn serve<E: Engine<Context: Default>>(host: Host, line: Line, engine: E) -> Result<(), String> {
    let ended = Server::new(host, engine).serve(Transport { line, closing: false }, Upgrade::new()).await;
    tracing::info!("the connection has ended: {ended}");
    Ok(())
}

#[derive(Debug)]
struct Transport {
    line: Line,
    closing: bool,
}

impl Transport {
    fn line(&mut self) -> Pin<&mut Line> {
        Pin::new(&mut self.line)
    }
}

fn lost(error: impl std::fmt::Display) -> TransportError {
    TransportError::Lost(error.to_string())
}

impl MessageTransport for Transport {
    type Text = String;

    fn subprotocol(&self) -> Option<&str> {
        Some("graphql-transport-ws")
    }

    fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<Result<Incoming<String>, TransportError>> {
        self.line()
            .poll_next(context)
            .map(|line| line.map(Incoming::Text).ok_or_else(|| lost("the client is gone")))
    }

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        self.line().poll_ready(context).map_err(lost)
    }

    fn start_send(&mut self, text: String) -> Result<(), TransportError> {
        self.line().start_send(text).map_err(lost)
    }

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        self.line().poll_flush(context).map_err(lost)
    }

    fn poll_close(&mut self, context: &mut Context<'_>, frame: &CloseFrame) -> Poll<()> {
        if !self.closing {
            if ready!(self.line().poll_ready(context)).is_err() {
                return Poll::Ready(());
            }
            self.closing = true;
            let _ = self.line().start_send(close_frame(frame.code().get(), frame.reason()));
        }
        // The flush ends with the connection, and so does the stream of the client's messages.
        if ready!(self.line().poll_flush(context)).is_err() {
            return Poll::Ready(());
        }
        while ready!(self.line().poll_next(context)).is_some() {}
        Poll::Ready(())
    }
}
