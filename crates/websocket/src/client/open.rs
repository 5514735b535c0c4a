//! Opening connections over the network: names, addresses, and the bytes of the opening handshake.

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use wavetank_runtime::{Instant, Runtime, Sleep as _, SocketOptions};

use crate::OpenError;
use crate::handshake::{AcceptStep, Accepting, Endpoint, Opening, Response, Step};
use crate::session::Session;

/// How long an attempt to reach one address goes on alone before the next address is tried beside it (RFC 8305,
/// section 5, recommends this value).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// Runs `future` until `deadline`; `None` if that comes first.
pub(crate) async fn until<R: Runtime, T>(
    runtime: &R,
    deadline: Instant,
    future: impl Future<Output = T>,
) -> Option<T> {
    let mut timer = pin!(runtime.sleep_until(deadline));
    let mut future = pin!(future);
    poll_fn(|context| {
        if let Poll::Ready(result) = future.as_mut().poll(context) {
            return Poll::Ready(Some(result));
        }
        timer.as_mut().poll(context).map(|()| None)
    })
    .await
}

/// Either side of an opening, as bytes.
pub(crate) trait Handshake {
    /// Its result.
    type Outcome;
    fn input(&mut self) -> &mut BytesMut;
    fn end_of_input(&mut self);
    fn output(&self) -> &[u8];
    fn output_written(&mut self, count: usize);
    /// `None`: goes on.
    fn process(&mut self, now: Instant) -> Option<Self::Outcome>;
    /// When to give up.
    fn deadline(&self) -> Instant;
}

impl Handshake for Opening {
    type Outcome = Step;

    fn input(&mut self) -> &mut BytesMut {
        self.input()
    }

    fn end_of_input(&mut self) {
        self.end_of_input();
    }

    fn output(&self) -> &[u8] {
        self.output()
    }

    fn output_written(&mut self, count: usize) {
        self.output_written(count);
    }

    fn process(&mut self, now: Instant) -> Option<Step> {
        match self.process(now) {
            Step::Continue => None,
            step => Some(step),
        }
    }

    fn deadline(&self) -> Instant {
        self.deadline()
    }
}

impl Handshake for Accepting {
    type Outcome = AcceptStep;

    fn input(&mut self) -> &mut BytesMut {
        self.input()
    }

    fn end_of_input(&mut self) {
        self.end_of_input();
    }

    fn output(&self) -> &[u8] {
        self.output()
    }

    fn output_written(&mut self, count: usize) {
        self.output_written(count);
    }

    fn process(&mut self, now: Instant) -> Option<AcceptStep> {
        match self.process(now) {
            AcceptStep::Continue => None,
            step => Some(step),
        }
    }

    fn deadline(&self) -> Instant {
        self.deadline()
    }
}

/// Moves bytes until the handshake has a result. Fails with `TimedOut` if its deadline came closer, and has
/// passed.
pub(crate) async fn exchange<R: Runtime, H: Handshake>(
    runtime: &R,
    handshake: &mut H,
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
) -> io::Result<H::Outcome> {
    let first = handshake.deadline();
    let mut moving = Moving { flushed: false, failure: None };
    let mut reads = false;
    loop {
        // The caller watches the deadline that there was at first.
        let deadline = handshake.deadline();
        let moved = poll_fn(|context| moving.poll(handshake, stream, reads, context));
        if deadline < first {
            until(runtime, deadline, moved).await.ok_or(io::ErrorKind::TimedOut)??;
        } else {
            moved.await?;
        }
        if let Some(outcome) = handshake.process(runtime.now()) {
            return Ok(outcome);
        }
        moving.flushed &= handshake.output().is_empty();
        reads = moving.flushed;
    }
}

/// How the bytes of a handshake move.
struct Moving {
    /// Nothing that is written waits in the stream.
    flushed: bool,
    /// Writing has failed. What the peer said before may still be there to read.
    failure: Option<io::Error>,
}

impl Moving {
    /// Writes the output; if the stream does not take all of it, or if this `reads`, also reads once. A peer may answer
    /// before it has taken all, or take nothing more before its answer is read.
    fn poll<H: Handshake>(
        &mut self,
        handshake: &mut H,
        stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
        reads: bool,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        if self.failure.is_none() && !self.flushed {
            match poll_write_out(handshake, stream, context) {
                Poll::Ready(Ok(())) => self.flushed = true,
                Poll::Ready(Err(error)) => self.failure = Some(error),
                Poll::Pending => {}
            }
        }
        if self.flushed && !reads {
            return Poll::Ready(Ok(()));
        }
        let read = ready!(pin!(stream.read_buf(handshake.input())).poll(context));
        match (read, self.failure.take()) {
            (Ok(0) | Err(_), Some(failure)) => return Poll::Ready(Err(failure)),
            (Err(error), None) => return Poll::Ready(Err(error)),
            (Ok(0), None) => handshake.end_of_input(),
            (Ok(_), failure) => self.failure = failure,
        }
        Poll::Ready(Ok(()))
    }
}

fn poll_write_out<H: Handshake>(
    handshake: &mut H,
    stream: &mut (impl AsyncWrite + Unpin),
    context: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    while !handshake.output().is_empty() {
        let written = ready!(Pin::new(&mut *stream).poll_write(context, handshake.output()))?;
        if written == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        handshake.output_written(written);
    }
    Pin::new(stream).poll_flush(context)
}

/// Writes what a handshake has to say.
pub(crate) async fn write_out<H: Handshake>(
    handshake: &mut H,
    stream: &mut (impl AsyncWrite + Unpin),
) -> io::Result<()> {
    poll_fn(|context| poll_write_out(handshake, stream, context)).await
}

/// Goes through the opening of a client, over the streams that `dial` gives: more than one if there are redirects.
pub(super) async fn open<R, S, F>(
    runtime: &R,
    mut opening: Opening,
    mut dial: impl FnMut(Endpoint) -> F,
) -> Result<(S, Box<Session>, Response), OpenError>
where
    R: Runtime,
    S: AsyncRead + AsyncWrite + Unpin,
    F: Future<Output = io::Result<S>>,
{
    let deadline = opening.deadline();
    loop {
        let connected = async {
            let mut stream = dial(opening.endpoint()).await?;
            let step = exchange(runtime, &mut opening, &mut stream).await?;
            Ok((stream, step))
        };
        match until(runtime, deadline, connected).await {
            None => return Err(opening.give_up()),
            Some(Err(error)) => return Err(opening.transport_failed(error)),
            Some(Ok((stream, Step::Done(session, response)))) => {
                return Ok((stream, session, response));
            }
            Some(Ok((mut stream, Step::Failed(error)))) => {
                // TLS has a parting word. The error is known, whether or not it is sent.
                if matches!(error, OpenError::Tls { .. }) {
                    let _ = until(runtime, deadline, write_out(&mut opening, &mut stream)).await;
                }
                return Err(error);
            }
            Some(Ok((_, Step::Continue | Step::Reconnect))) => {}
        }
    }
}

/// Connects to the first of `addresses` that answers. Each gets a head start of [`ATTEMPT_DELAY`] before the next, or
/// less if it fails earlier: an address that is silent does not use up the time of the others.
pub(super) async fn dial<R: Runtime>(
    runtime: &R,
    addresses: Vec<SocketAddr>,
    options: SocketOptions,
) -> io::Result<R::Stream> {
    let attempt = |address| {
        let runtime = runtime.clone();
        Box::pin(async move { runtime.connect(address, options).await })
    };
    let mut waiting = addresses.into_iter();
    let first = waiting.next().ok_or(io::ErrorKind::NotFound)?;
    let mut attempts = vec![attempt(first)];
    let mut failure = None;
    let mut timer = pin!(runtime.sleep(ATTEMPT_DELAY));
    poll_fn(|context| {
        loop {
            let before = attempts.len();
            let mut index = 0;
            while index < attempts.len() {
                match attempts[index].as_mut().poll(context) {
                    Poll::Ready(Ok(stream)) => return Poll::Ready(Ok(stream)),
                    Poll::Ready(Err(error)) => {
                        drop(attempts.remove(index));
                        failure.get_or_insert(error);
                    }
                    Poll::Pending => index += 1,
                }
            }
            let failed = attempts.len() < before;
            if !failed && timer.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            match (waiting.next(), failure.take_if(|_| attempts.is_empty())) {
                (Some(address), first_failure) => {
                    failure = failure.take().or(first_failure);
                    attempts.push(attempt(address));
                    timer.as_mut().reset(runtime.now() + ATTEMPT_DELAY);
                }
                (None, Some(error)) => return Poll::Ready(Err(error)),
                (None, None) => return Poll::Pending,
            }
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use wavetank_runtime::{ListenOptions, Listener as _, Stream as _, Tokio};

    use super::*;

    #[tokio::test]
    async fn dialing_tries_each_address_and_reports_first_error() {
        let any: SocketAddr = "127.0.0.1:0".parse().expect("an address");
        let refusing = {
            let listener = Tokio.listen(any, ListenOptions::new()).await.expect("a port");
            listener.local_addr().expect("an address")
        };
        let listener = Tokio.listen(any, ListenOptions::new()).await.expect("a port");
        let listening = listener.local_addr().expect("an address");
        let options = SocketOptions::new();
        let stream = dial(&Tokio, vec![refusing, refusing, listening], options).await.expect("one listens");
        assert_eq!(stream.peer_addr().expect("is connected"), listening);

        let error = dial(&Tokio, vec![refusing, refusing], options).await.expect_err("both refuse");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        let error = dial(&Tokio, vec![], options).await.expect_err("there is none");
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }

    #[tokio::test(start_paused = true)]
    async fn a_future_is_given_up_at_its_deadline() {
        let deadline = Tokio.now() + Duration::from_secs(1);
        assert_eq!(until(&Tokio, deadline, std::future::pending::<()>()).await, None);
        assert_eq!(until(&Tokio, deadline, async { 7 }).await, Some(7), "what is ready goes before the time");
    }
}
