//! yawc.

use std::task::{Context, Poll, ready};

use futures::SinkExt as _;
use yawc::{DeflateOptions, Frame, Options, Role, WebSocket};

use crate::payload::{Kind, Payload};
use crate::socket::{self, Polled};
use crate::transport::{READ_BUFFER, Transport};

/// A connection on `S`.
pub struct Yawc<S>(WebSocket<S>);

impl<S: Transport> Yawc<S> {
    /// Takes over an open connection.
    pub fn over(stream: S) -> Self {
        Self::negotiated(stream, None)
    }

    /// Takes over an open connection, with compression or without.
    pub fn negotiated(stream: S, deflate: Option<DeflateOptions>) -> Self {
        let extensions = deflate.is_some().then_some("permessage-deflate");
        let mut options = Options::default()
            .with_utf8()
            .with_limits(64 << 20, 128 << 20)
            .with_read_buffer_capacity(READ_BUFFER)
            .with_write_buffer_capacity(READ_BUFFER)
            .with_backpressure_boundary(READ_BUFFER);
        options.compression = deflate;
        let socket = WebSocket::from_stream_with_extensions(stream, Role::Client, extensions, options);
        Self(socket.expect("options that go together"))
    }
}

impl<S: Transport> Polled for Yawc<S> {
    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<()> {
        socket::done(self.0.poll_ready_unpin(context))
    }

    fn start_send(&mut self, payload: &Payload) {
        let frame = match payload.kind {
            Kind::Text => Frame::text(payload.bytes.clone()),
            Kind::Binary => Frame::binary(payload.bytes.clone()),
        };
        self.0.start_send_unpin(frame).expect("the peer goes on");
    }

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<()> {
        socket::done(self.0.poll_flush_unpin(context))
    }

    fn poll_receive(&mut self, context: &mut Context<'_>) -> Poll<usize> {
        let frame = ready!(self.0.poll_next_frame(context)).expect("the peer keeps to the protocol");
        Poll::Ready(frame.payload().len())
    }
}
