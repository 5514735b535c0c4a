//! Our handler over the pipes, with any engine.

use std::task::{Context, Poll};

use futures::future::BoxFuture;
use wavetank_graphql::{
    CloseFrame, Config, Engine, Incoming, MessageTransport, Server, TransportError, Upgrade,
};
use wavetank_runtime::Tokio;

use crate::Ends;
use crate::pipe::Gone;

/// Serves a connection. Operations are not limited, because the other handlers have no limit.
pub fn serve<E: Engine<Context: Default>>(engine: E, ends: Ends) -> BoxFuture<'static, ()> {
    let config = Config::new().operations_max(usize::MAX);
    let serving = Server::new(Tokio, engine).config(config).serve(Transport(ends), Upgrade::new());
    Box::pin(async move {
        serving.await;
    })
}

struct Transport(Ends);

fn lost(_: Gone) -> TransportError {
    TransportError::Lost("the client is gone".to_owned())
}

impl MessageTransport for Transport {
    type Text = String;

    fn subprotocol(&self) -> Option<&str> {
        Some("graphql-transport-ws")
    }

    fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<Result<Incoming<String>, TransportError>> {
        self.0
            .receiver
            .poll_take(context)
            .map(|message| message.map(Incoming::Text).ok_or_else(|| lost(Gone)))
    }

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        self.0.sender.poll_room(context).map_err(lost)
    }

    fn start_send(&mut self, text: String) -> Result<(), TransportError> {
        self.0.sender.put(text);
        Ok(())
    }

    fn poll_flush(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(&mut self, _context: &mut Context<'_>, frame: &CloseFrame) -> Poll<()> {
        panic!("the server closes: {frame}");
    }
}
