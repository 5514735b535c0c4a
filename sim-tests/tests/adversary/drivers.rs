//! The drivers: each bug beside its fix.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::io;
use std::marker::PhantomData;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncReadExt};

/// Holds one value for one taker. `P` says how the taker waits.
#[derive(Debug)]
pub(crate) struct Slot<P> {
    state: Mutex<State>,
    how: PhantomData<P>,
}

/// The state of a slot.
#[derive(Debug, Default)]
pub(crate) struct State {
    value: Option<u32>,
    waker: Option<Waker>,
}

/// How the taker of a slot waits.
pub(crate) trait Taking: 'static + Send + Sync {
    fn poll_take(state: &mut State, context: &mut Context<'_>) -> Poll<u32>;
}

impl<P> Default for Slot<P> {
    fn default() -> Self {
        Self { state: Mutex::default(), how: PhantomData }
    }
}

impl<P: Taking> Slot<P> {
    pub(crate) fn put(&self, value: u32) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.value = Some(value);
        if let Some(waker) = state.waker.take() {
            waker.wake();
        }
    }

    pub(crate) fn take(&self) -> impl Future<Output = u32> {
        poll_fn(|context| {
            P::poll_take(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner), context)
        })
    }
}

/// Wrong: another task may poll later.
#[derive(Debug)]
pub(crate) enum FirstWaker {}

impl Taking for FirstWaker {
    fn poll_take(state: &mut State, context: &mut Context<'_>) -> Poll<u32> {
        match state.value.take() {
            Some(value) => Poll::Ready(value),
            None => {
                state.waker.get_or_insert_with(|| context.waker().clone());
                Poll::Pending
            }
        }
    }
}

/// Wrong: a task may wake up spuriously.
#[derive(Debug)]
pub(crate) enum TrustsWakeUps {}

impl Taking for TrustsWakeUps {
    fn poll_take(state: &mut State, context: &mut Context<'_>) -> Poll<u32> {
        if state.waker.is_none() && state.value.is_none() {
            state.waker = Some(context.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(state.value.take().expect("woken, so there is a value"))
    }
}

/// Right.
#[derive(Debug)]
pub(crate) enum LatestWaker {}

impl Taking for LatestWaker {
    fn poll_take(state: &mut State, context: &mut Context<'_>) -> Poll<u32> {
        match state.value.take() {
            Some(value) => Poll::Ready(value),
            None => {
                state.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

/// Reads messages with a length prefix. Wrong: dropping `recv` loses the bytes that it has read.
#[derive(Debug)]
pub(crate) struct Frames<S>(S);

impl<S: AsyncRead + Unpin> Frames<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self(stream)
    }

    pub(crate) async fn recv(&mut self) -> io::Result<String> {
        let length = self.0.read_u32().await?;
        if length > 1_000 {
            return Err(io::Error::other("a message of absurd length"));
        }
        let mut message = vec![0; length as usize];
        self.0.read_exact(&mut message).await?;
        tracing::info!("received a message of {length} B");
        String::from_utf8(message).map_err(io::Error::other)
    }
}

/// Reads messages with a length prefix. Right: between two awaits, all bytes read are in `buffer`.
#[derive(Debug)]
pub(crate) struct WholeFrames<S> {
    stream: S,
    buffer: Vec<u8>,
}

impl<S: AsyncRead + Unpin> WholeFrames<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, buffer: Vec::new() }
    }

    /// Returns `true` if a part of a message was read.
    pub(crate) fn has_part(&self) -> bool {
        !self.buffer.is_empty()
    }

    pub(crate) async fn recv(&mut self) -> io::Result<String> {
        loop {
            if let Some((length, rest)) = self.buffer.split_first_chunk() {
                let length = u32::from_be_bytes(*length) as usize;
                if rest.len() >= length {
                    let message = rest[..length].to_vec();
                    self.buffer.drain(..4 + length);
                    return String::from_utf8(message).map_err(io::Error::other);
                }
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

/// How many numbers may be on their way to the peer.
const ROOM: usize = 4;

/// One end of a connection to a peer that echoes. Two tasks may use its two halves, [`send`](Self::send) and
/// [`receive`](Self::receive). `P` says where a waiting half stores its waker.
#[derive(Debug)]
pub(crate) struct Duplex<P> {
    state: Mutex<DuplexState>,
    how: PhantomData<P>,
}

#[derive(Debug, Default)]
struct DuplexState {
    outgoing: VecDeque<u32>,
    incoming: VecDeque<u32>,
    of_halves: [Option<Waker>; 2],
    of_peer: Option<Waker>,
}

/// Where a half stores its waker.
pub(crate) trait Parking: 'static + Send + Sync {
    const SENDER: usize;
    const RECEIVER: usize;
}

/// Wrong: only the half that waits last is woken.
#[derive(Debug)]
pub(crate) enum OnePlace {}

impl Parking for OnePlace {
    const SENDER: usize = 0;
    const RECEIVER: usize = 0;
}

/// Right.
#[derive(Debug)]
pub(crate) enum PlaceForEach {}

impl Parking for PlaceForEach {
    const SENDER: usize = 0;
    const RECEIVER: usize = 1;
}

impl<P> Default for Duplex<P> {
    fn default() -> Self {
        Self { state: Mutex::default(), how: PhantomData }
    }
}

impl<P: Parking> Duplex<P> {
    fn poll_with<T>(
        &self,
        context: &Context<'_>,
        attempt: impl FnOnce(&mut DuplexState, &Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        attempt(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner), context)
    }

    pub(crate) async fn send(&self, number: u32) {
        poll_fn(|context| {
            self.poll_with(context, |state, context| {
                if state.outgoing.len() == ROOM {
                    tracing::info!("send: there is no room, waits");
                    state.of_halves[P::SENDER] = Some(context.waker().clone());
                    return Poll::Pending;
                }
                state.outgoing.push_back(number);
                state.of_peer.take().into_iter().for_each(Waker::wake);
                Poll::Ready(())
            })
        })
        .await;
    }

    pub(crate) async fn receive(&self) -> u32 {
        poll_fn(|context| {
            self.poll_with(context, |state, context| match state.incoming.pop_front() {
                Some(number) => Poll::Ready(number),
                None => {
                    state.of_halves[P::RECEIVER] = Some(context.waker().clone());
                    Poll::Pending
                }
            })
        })
        .await
    }

    /// The peer: echoes `count` numbers.
    pub(crate) async fn echo(&self, count: usize) {
        let mut left = count;
        poll_fn(|context| {
            self.poll_with(context, |state, context| {
                left -= state.outgoing.len();
                if !state.outgoing.is_empty() {
                    tracing::info!("echo: sends back {:?}", state.outgoing);
                    state.incoming.append(&mut state.outgoing);
                    state.of_halves.iter_mut().filter_map(Option::take).for_each(Waker::wake);
                }
                state.of_peer = Some(context.waker().clone());
                if left == 0 { Poll::Ready(()) } else { Poll::Pending }
            })
        })
        .await;
    }
}
