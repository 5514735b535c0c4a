//! The messages of a connection as a [`Stream`].

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use futures_sink::Sink;
use tokio::io::{AsyncRead, AsyncWrite};
use wavetank_runtime::Runtime;

use super::WebSocket;
use super::socket::Receiving;
use crate::{CloseCode, Error, Message};

/// The messages of a connection, as a [`Stream`]: made by [`WebSocket::messages`].
///
/// It ends (`None`) with the connection: after a clean end ([`Closed::is_clean`](crate::Closed::is_clean)) at once,
/// after any other with one [`Error::Closed`] before. The outcome can be asked for at the [`WebSocket`] in either
/// case.
///
/// It is a handle to the connection, and keeps it open. While it waits it is the one receiver: a call of `recv` fails
/// with [`Error::ConcurrentRecv`] until the stream has given a message, or is dropped. If it is the stream that comes
/// second, that error is its item, and it can be polled again.
///
/// It is a [`Sink`] of messages as well, so `StreamExt::split` makes two halves of it. Flushing writes as much as the
/// stream below takes at once; the rest follows in the background. Closing closes the connection with code 1000. A sink
/// that holds a message and is not polled any more blocks other senders once it is the message's turn; dropping the
/// sink drops the message.
///
/// # Cancel safety
///
/// A message is taken when it is returned: dropping a call of `next` or `try_next` loses none.
pub struct Messages<R, S = <R as Runtime>::Stream>
where
    R: Runtime,
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    socket: WebSocket<R, S>,
    /// The place of the receiver is taken.
    waits: bool,
    over: bool,
    /// A call that a poll of the sink has begun.
    sending: Option<Sending>,
}

type Sending = Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>;

impl<R, S> Messages<R, S>
where
    R: Runtime,
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    pub(super) fn new(socket: WebSocket<R, S>) -> Self {
        Self { socket, waits: false, over: false, sending: None }
    }
}

impl<R, S> Stream for Messages<R, S>
where
    R: Runtime,
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Item = Result<Message, Error>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.over {
            return Poll::Ready(None);
        }
        let waits = std::mem::take(&mut this.waits);
        let mut receiving = Receiving::new(this.socket.shared(), waits);
        let received = receiving.poll::<Message>(context);
        // The place outlasts this poll.
        this.waits = std::mem::take(&mut receiving.waits);
        drop(receiving);
        match received {
            Poll::Ready(Err(Error::Closed(closed))) => {
                this.over = true;
                Poll::Ready((!closed.is_clean()).then_some(Err(Error::Closed(closed))))
            }
            Poll::Ready(received) => Poll::Ready(Some(received)),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<R, S> Messages<R, S>
where
    R: Runtime,
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    /// Goes on with the call that a poll of the sink has begun.
    fn poll_sending(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let Some(sending) = &mut self.sending else { return Poll::Ready(Ok(())) };
        let sent = ready!(sending.as_mut().poll(context));
        self.sending = None;
        Poll::Ready(sent)
    }
}

impl<R, S> Sink<Message> for Messages<R, S>
where
    R: Runtime,
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Error = Error;

    fn poll_ready(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.get_mut().poll_sending(context)
    }

    fn start_send(self: Pin<&mut Self>, message: Message) -> Result<(), Error> {
        let this = self.get_mut();
        let socket = this.socket.clone();
        // A caller that has not asked whether the sink is ready loses no message by that.
        let before = this.sending.take();
        this.sending = Some(Box::pin(async move {
            if let Some(before) = before {
                before.await?;
            }
            socket.feed(&message).await
        }));
        Ok(())
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let this = self.get_mut();
        ready!(this.poll_sending(context))?;
        this.socket.flush();
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let this = self.get_mut();
        ready!(this.poll_sending(context))?;
        if this.socket.outcome().is_none() {
            let socket = this.socket.clone();
            this.sending = Some(Box::pin(async move {
                socket.close(CloseCode::NORMAL, "").await;
                Ok(())
            }));
        }
        this.poll_sending(context)
    }
}

impl<R, S> Drop for Messages<R, S>
where
    R: Runtime,
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    fn drop(&mut self) {
        // Gives the place of the receiver up.
        drop(Receiving::new(self.socket.shared(), self.waits));
    }
}

impl<R, S> fmt::Debug for Messages<R, S>
where
    R: Runtime,
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Messages").field("socket", &self.socket).finish_non_exhaustive()
    }
}
