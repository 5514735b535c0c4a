//! tokio-tungstenite: tungstenite over asynchronous streams.

use std::task::{Context, Poll};

use futures::{SinkExt as _, StreamExt as _};
use tokio_tungstenite::WebSocketStream;
use tungstenite::protocol::Role;

use super::tungstenite::{config, message};
use crate::payload::Payload;
use crate::socket::{self, Polled};
use crate::transport::Transport;

/// A connection on `S`.
#[derive(Debug)]
pub struct TokioTungstenite<S>(WebSocketStream<S>);

impl<S: Transport> TokioTungstenite<S> {
    /// Takes over an open connection.
    pub async fn over(stream: S) -> Self {
        Self(WebSocketStream::from_raw_socket(stream, Role::Client, Some(config())).await)
    }
}

impl<S: Transport> Polled for TokioTungstenite<S> {
    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<()> {
        socket::done(self.0.poll_ready_unpin(context))
    }

    fn start_send(&mut self, payload: &Payload) {
        self.0.start_send_unpin(message(payload)).expect("the peer goes on");
    }

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<()> {
        socket::done(self.0.poll_flush_unpin(context))
    }

    fn poll_receive(&mut self, context: &mut Context<'_>) -> Poll<usize> {
        socket::message(self.0.poll_next_unpin(context)).map(|message| message.len())
    }
}
