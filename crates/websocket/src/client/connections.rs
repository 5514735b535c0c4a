//! Connections one after another, as a [`Stream`].

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use tokio::io::{AsyncRead, AsyncWrite};
use wavetank_runtime::Runtime;

use super::WebSocket;
use super::reconnect::{AsItIs, Reconnect, Resume};
use crate::reconnect::Failure;

/// Connections one after another, as an endless [`Stream`]: made by [`Reconnect::into_stream`].
///
/// Each item is what a call of [`Reconnect::next`] would give. Polling it is needed for anything to happen: between
/// polls nothing is connected, and no delay is reported.
///
/// # Cancel safety
///
/// A call of `next` on the stream that is dropped gives nothing up: the wait or the attempt goes on with the next
/// one. Dropping the stream gives up the current attempt; connections that were returned stay open.
pub struct Connections<R, H = AsItIs, S = <R as Runtime>::Stream>
where
    R: Runtime,
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    /// `None` while `waiting` has it.
    reconnect: Option<Box<Reconnect<R, H, S>>>,
    waiting: Option<Waiting<R, H, S>>,
}

/// A call of [`Reconnect::next`], which brings back what it was called on.
type Waiting<R, H, S> = Pin<Box<dyn Future<Output = (Box<Reconnect<R, H, S>>, Next<R, S>)> + Send>>;

type Next<R, S> = Result<WebSocket<R, S>, Failure>;

impl<R, H, S> Connections<R, H, S>
where
    R: Runtime,
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    pub(super) fn new(reconnect: Reconnect<R, H, S>) -> Self {
        Self { reconnect: Some(Box::new(reconnect)), waiting: None }
    }
}

impl<R, H, S> Stream for Connections<R, H, S>
where
    R: Runtime,
    H: Resume<R, S> + 'static,
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Item = Next<R, S>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if let Some(mut reconnect) = this.reconnect.take() {
            this.waiting = Some(Box::pin(async move {
                let next = reconnect.next().await;
                (reconnect, next)
            }));
        }
        // A poll that panicked has left nothing to go on with.
        let Some(waiting) = &mut this.waiting else { return Poll::Ready(None) };
        let (reconnect, next) = ready!(waiting.as_mut().poll(context));
        this.waiting = None;
        this.reconnect = Some(reconnect);
        Poll::Ready(Some(next))
    }
}

impl<R, H, S> fmt::Debug for Connections<R, H, S>
where
    R: Runtime,
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connections").field("reconnect", &self.reconnect).finish_non_exhaustive()
    }
}
