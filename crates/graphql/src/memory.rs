//! A transport in memory: messages pass from one task to another without a network.
//!
//! For tests, where nothing but the order of events matters, and for benchmarks.
//!
//! # Example: a client and a server in one process
//!
//! ```
//! use wavetank_graphql::{Config, Server, Upgrade, memory, mock::Mock};
//! use wavetank_runtime::{Runtime, Tokio};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let server = Server::new(Tokio, Mock::new(Tokio)).config(Config::new());
//! let (transport, mut client) = memory::pair(Some("graphql-transport-ws"), 16);
//! Tokio.spawn("connection", server.serve(transport, Upgrade::new()));
//!
//! client.send(r#"{"type":"connection_init"}"#).await;
//! assert_eq!(client.recv_text().await.as_deref(), Some(r#"{"type":"connection_ack"}"#));
//! client.send(r#"{"type":"subscribe","id":"1","payload":{"query":"{ hello }"}}"#).await;
//! assert_eq!(
//!     client.recv_text().await.as_deref(),
//!     Some(r#"{"type":"next","id":"1","payload":{"data":{"hello":"Hello, world!"}}}"#)
//! );
//! assert_eq!(client.recv_text().await.as_deref(), Some(r#"{"type":"complete","id":"1"}"#));
//! # }
//! ```

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::task::coop;

use crate::close::CloseFrame;
use crate::transport::{Incoming, MessageTransport, Progress, TransportError};

/// What the server sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FromServer {
    /// A text message.
    Text(String),
    /// A WebSocket ping.
    Ping,
    /// The close frame. Nothing comes after it.
    Close(CloseFrame),
}

/// One direction.
struct Pipe<M> {
    state: Mutex<PipeState<M>>,
}

struct PipeState<M> {
    queue: VecDeque<M>,
    capacity: usize,
    /// Either end is gone.
    gone: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl<M> Pipe<M> {
    fn new(capacity: usize) -> Arc<Self> {
        let capacity = capacity.max(1);
        let state = PipeState { queue: VecDeque::new(), capacity, gone: false, reader: None, writer: None };
        Arc::new(Self { state: Mutex::new(state) })
    }

    fn state(&self) -> MutexGuard<'_, PipeState<M>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn poll_ready(&self, context: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        let mut state = self.state();
        if state.gone {
            return Poll::Ready(Err(TransportError::Lost("the other end is gone".to_owned())));
        }
        if state.queue.len() < state.capacity {
            return Poll::Ready(Ok(()));
        }
        state.writer = Some(context.waker().clone());
        Poll::Pending
    }

    fn push(&self, message: M) {
        let reader = {
            let mut state = self.state();
            if !state.gone {
                state.queue.push_back(message);
            }
            state.reader.take()
        };
        wake(reader);
    }

    fn poll_pop(&self, context: &mut Context<'_>) -> Poll<Option<M>> {
        let (popped, writer) = {
            let mut state = self.state();
            match state.queue.pop_front() {
                Some(message) => (Some(message), state.writer.take()),
                None if state.gone => (None, None),
                None => {
                    state.reader = Some(context.waker().clone());
                    return Poll::Pending;
                }
            }
        };
        wake(writer);
        Poll::Ready(popped)
    }

    /// No more is put in. What is in it can still be taken out.
    fn leave(&self) {
        let (reader, writer) = {
            let mut state = self.state();
            state.gone = true;
            (state.reader.take(), state.writer.take())
        };
        wake(reader);
        wake(writer);
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// The server's end: a [`MessageTransport`].
pub struct Memory {
    subprotocol: Option<String>,
    incoming: Arc<Pipe<Incoming<String>>>,
    outgoing: Arc<Pipe<FromServer>>,
    sent: u64,
    closed: bool,
}

/// The client's end. Dropping it loses the connection.
pub struct Client {
    incoming: Arc<Pipe<FromServer>>,
    outgoing: Arc<Pipe<Incoming<String>>>,
}

/// Makes both ends of a connection with this subprotocol. Each direction holds `capacity` messages (at least 1)
/// before its sender has to wait.
#[must_use]
pub fn pair(subprotocol: Option<&str>, capacity: usize) -> (Memory, Client) {
    let (to_server, to_client) = (Pipe::new(capacity), Pipe::new(capacity));
    let memory = Memory {
        subprotocol: subprotocol.map(str::to_owned),
        incoming: Arc::clone(&to_server),
        outgoing: Arc::clone(&to_client),
        sent: 0,
        closed: false,
    };
    (memory, Client { incoming: to_client, outgoing: to_server })
}

impl MessageTransport for Memory {
    type Text = String;

    fn subprotocol(&self) -> Option<&str> {
        self.subprotocol.as_deref()
    }

    fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<Result<Incoming<String>, TransportError>> {
        self.incoming
            .poll_pop(context)
            .map(|popped| popped.ok_or_else(|| TransportError::Lost("the client is gone".to_owned())))
    }

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        self.outgoing.poll_ready(context)
    }

    fn start_send(&mut self, text: String) -> Result<(), TransportError> {
        self.sent += text.len() as u64;
        self.outgoing.push(FromServer::Text(text));
        Ok(())
    }

    fn start_ping(&mut self) -> Result<bool, TransportError> {
        self.outgoing.push(FromServer::Ping);
        Ok(true)
    }

    fn poll_flush(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(&mut self, context: &mut Context<'_>, frame: &CloseFrame) -> Poll<()> {
        if !self.closed {
            match self.outgoing.poll_ready(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Ready(Ok(())) => {}
            }
            self.outgoing.push(FromServer::Close(frame.clone()));
            self.closed = true;
        }
        // The client answers, or is gone.
        loop {
            match self.incoming.poll_pop(context) {
                Poll::Ready(None | Some(Incoming::Closed(_))) => return Poll::Ready(()),
                Poll::Ready(Some(_)) => {}
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    fn progress(&self) -> Progress {
        Progress { received: 0, sent: self.sent }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.outgoing.leave();
        self.incoming.leave();
    }
}

impl Client {
    /// Sends a text message. Does nothing once the server is gone.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped before it completes, nothing was sent.
    pub async fn send(&self, text: impl Into<String>) {
        self.put(Incoming::Text(text.into())).await;
    }

    /// Sends anything.
    ///
    /// # Cancel safety
    ///
    /// As [`send`](Self::send).
    pub async fn put(&self, message: Incoming<String>) {
        poll_fn(|context| {
            let Poll::Ready(spent) = coop::poll_proceed(context) else { return Poll::Pending };
            let ready = self.outgoing.poll_ready(context);
            if ready.is_ready() {
                spent.made_progress();
            }
            ready.map(drop)
        })
        .await;
        self.outgoing.push(message);
    }

    /// Closes the connection, with a code if there is one.
    ///
    /// # Cancel safety
    ///
    /// As [`send`](Self::send).
    pub async fn close(&self, code: Option<u16>) {
        self.put(Incoming::Closed(code)).await;
    }

    /// Receives what the server sends next; `None` once it is gone.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost if the future is dropped.
    pub async fn recv(&mut self) -> Option<FromServer> {
        poll_fn(|context| self.poll_recv(context)).await
    }

    /// As [`recv`](Self::recv), for a poll.
    pub fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<Option<FromServer>> {
        let Poll::Ready(spent) = coop::poll_proceed(context) else { return Poll::Pending };
        let popped = self.incoming.poll_pop(context);
        if popped.is_ready() {
            spent.made_progress();
        }
        popped
    }

    /// Receives the next text; `None` once the server has closed or is gone.
    ///
    /// # Cancel safety
    ///
    /// Nothing but pings is lost if the future is dropped.
    pub async fn recv_text(&mut self) -> Option<String> {
        loop {
            match self.recv().await? {
                FromServer::Text(text) => return Some(text),
                FromServer::Ping => {}
                FromServer::Close(_) => return None,
            }
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.outgoing.leave();
        self.incoming.leave();
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory").field("subprotocol", &self.subprotocol).finish_non_exhaustive()
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}
