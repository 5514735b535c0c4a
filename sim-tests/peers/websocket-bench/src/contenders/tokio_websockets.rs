//! tokio-websockets.

use std::task::{Context, Poll};

use futures::{SinkExt as _, StreamExt as _};
use tokio_websockets::{ClientBuilder, Config, Limits, Message, WebSocketStream};

use crate::payload::{Kind, Payload};
use crate::socket::{self, Polled};
use crate::transport::{READ_BUFFER, Transport};

/// A connection on `S`.
#[derive(Debug)]
pub struct TokioWebsockets<S>(WebSocketStream<S>);

impl<S: Transport> TokioWebsockets<S> {
    /// Takes over an open connection.
    pub fn over(stream: S) -> Self {
        let config = Config::default().flush_threshold(READ_BUFFER);
        Self(ClientBuilder::new().config(config).limits(Limits::unlimited()).take_over(stream))
    }
}

impl<S: Transport> Polled for TokioWebsockets<S> {
    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<()> {
        socket::done(self.0.poll_ready_unpin(context))
    }

    fn start_send(&mut self, payload: &Payload) {
        let message = match payload.kind {
            Kind::Text => Message::text(payload.bytes.clone()),
            Kind::Binary => Message::binary(payload.bytes.clone()),
        };
        self.0.start_send_unpin(message).expect("the peer goes on");
    }

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<()> {
        socket::done(self.0.poll_flush_unpin(context))
    }

    fn poll_receive(&mut self, context: &mut Context<'_>) -> Poll<usize> {
        socket::message(self.0.poll_next_unpin(context)).map(|message| message.as_payload().len())
    }
}
