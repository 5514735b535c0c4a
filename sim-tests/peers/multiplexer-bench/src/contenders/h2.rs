//! `h2`, for reference: a stream is a POST whose bodies are the two directions.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use http::{Request, Response};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::mpsc;

use super::{Accepting, Acceptor, Boxed, Opener, Opening, Session, Windows};
use crate::transport::End;

struct Requests(SendRequest<Bytes>);

struct Accepted(mpsc::UnboundedReceiver<Boxed>);

pub async fn start(client: End, server: End, windows: Windows) -> Session {
    let window = match windows {
        Windows::Fixed => 256 * 1024,
        Windows::Tuned => 16 * 1024 * 1024,
    };
    let (accepting, accepted) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut builder = h2::server::Builder::new();
        builder.initial_window_size(window).initial_connection_window_size(1 << 30);
        builder.max_concurrent_streams(20_000).max_send_buffer_size(256 * 1024);
        let mut connection = builder.handshake::<_, Bytes>(server).await.expect("a handshake");
        while let Some(Ok((request, mut respond))) = connection.accept().await {
            let send = respond.send_response(Response::new(()), false).expect("an answer");
            let receiving = Receiving::Body(request.into_body());
            let _ = accepting.send(Box::new(H2Stream { send, receiving, rest: Bytes::new() }) as Boxed);
        }
    });
    let mut builder = h2::client::Builder::new();
    builder.initial_window_size(window).initial_connection_window_size(1 << 30);
    builder.initial_max_send_streams(20_000).max_send_buffer_size(256 * 1024);
    let (requests, connection) = builder.handshake::<_, Bytes>(client).await.expect("a handshake");
    tokio::spawn(async move {
        let _ = connection.await;
    });
    (Box::new(Requests(requests)), Box::new(Accepted(accepted)))
}

impl Opener for Requests {
    fn open(&self) -> Opening<'_> {
        let requests = self.0.clone();
        Box::pin(async move {
            let mut requests = requests.ready().await.expect("a place");
            let request = Request::post("http://peer/").body(()).expect("a request");
            let (response, send) = requests.send_request(request, false).expect("a stream");
            let receiving = Receiving::Head(response);
            Box::new(H2Stream { send, receiving, rest: Bytes::new() }) as Boxed
        })
    }
}

impl Acceptor for Accepted {
    fn accept(&mut self) -> Accepting<'_> {
        Box::pin(self.0.recv())
    }
}

enum Receiving {
    Head(ResponseFuture),
    Body(RecvStream),
}

struct H2Stream {
    send: SendStream<Bytes>,
    receiving: Receiving,
    rest: Bytes,
}

impl AsyncRead for H2Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        while this.rest.is_empty() {
            match &mut this.receiving {
                Receiving::Head(response) => {
                    let response = ready!(Pin::new(response).poll(context)).map_err(io::Error::other)?;
                    this.receiving = Receiving::Body(response.into_body());
                }
                Receiving::Body(body) => match ready!(body.poll_data(context)) {
                    None => return Poll::Ready(Ok(())),
                    Some(data) => {
                        this.rest = data.map_err(io::Error::other)?;
                        body.flow_control().release_capacity(this.rest.len()).map_err(io::Error::other)?;
                    }
                },
            }
        }
        let count = this.rest.len().min(buffer.remaining());
        buffer.put_slice(&this.rest.split_to(count));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for H2Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.send.reserve_capacity(bytes.len());
        while self.send.capacity() == 0 {
            match ready!(self.send.poll_capacity(context)) {
                Some(Ok(_)) => {}
                Some(Err(error)) => return Poll::Ready(Err(io::Error::other(error))),
                None => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            }
        }
        let count = bytes.len().min(self.send.capacity());
        self.send.send_data(Bytes::copy_from_slice(&bytes[..count]), false).map_err(io::Error::other)?;
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.send.send_data(Bytes::new(), true).map_err(io::Error::other))
    }
}
