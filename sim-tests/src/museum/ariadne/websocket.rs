//! The socket of an application: starlette's `WebSocket` and its exceptions.
//!
//! # Invariants
//!
//! - A state changes at once, before anything is awaited. No other task can see it between two awaits.
//! - Packets are sent in the order of the calls.

use std::fmt;
use std::sync::{Mutex as StdMutex, MutexGuard as StdMutexGuard, PoisonError};

use tokio::sync::Mutex;
use tokio::sync::mpsc::{Receiver, UnboundedSender};

use super::wire::Packet;

/// An event from the server to the application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Event {
    Connect,
    Receive(String),
    Disconnect,
}

/// starlette's `WebSocketState`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Connecting,
    Connected,
    Disconnected,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connecting => "CONNECTING",
            Self::Connected => "CONNECTED",
            Self::Disconnected => "DISCONNECTED",
        })
    }
}

/// A Python exception.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exception {
    /// The state does not allow what the application did.
    RuntimeError(&'static str),
    /// `WebSocketDisconnect`: the client has disconnected.
    Disconnect,
}

impl fmt::Display for Exception {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RuntimeError(message) => write!(f, "RuntimeError: {message}"),
            Self::Disconnect => f.write_str("WebSocketDisconnect"),
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct States {
    /// The client's state, as of the last event that the application received.
    client: State,
    /// The application's state.
    application: State,
}

/// One WebSocket connection of an application.
pub(super) struct WebSocket {
    states: StdMutex<States>,
    /// The lock is never contended: only one task of the application receives.
    receive: Mutex<Receiver<Event>>,
    send: UnboundedSender<Packet>,
}

impl WebSocket {
    pub(super) fn new(receive: Receiver<Event>, send: UnboundedSender<Packet>) -> Self {
        let states = States { client: State::Connecting, application: State::Connecting };
        Self { states: StdMutex::new(states), receive: Mutex::new(receive), send }
    }

    fn states(&self) -> StdMutexGuard<'_, States> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn application_state(&self) -> State {
        self.states().application
    }

    /// `WebSocketState.DISCONNECTED in (client_state, application_state)`.
    pub(super) fn is_disconnected(&self) -> bool {
        let states = *self.states();
        [states.client, states.application].contains(&State::Disconnected)
    }

    /// Waits for the connect event and accepts. A timer can be faster than this wait.
    pub(super) async fn accept(&self) -> Result<(), Exception> {
        if self.states().client == State::Connecting {
            tracing::info!("accept: waits for the server's connect event");
            self.receive().await?;
        }
        self.send(Packet::Accept)?;
        tracing::info!("accept: the client's socket is open");
        Ok(())
    }

    async fn receive(&self) -> Result<Event, Exception> {
        if self.states().client == State::Disconnected {
            return Err(Exception::RuntimeError(
                "Cannot call \"receive\" once a disconnect message has been received.",
            ));
        }
        // The server sends how a connection ended before it drops its end of the queue.
        let event = self.receive.lock().await.recv().await.unwrap_or(Event::Disconnect);
        self.states().client = match event {
            Event::Connect | Event::Receive(_) => State::Connected,
            Event::Disconnect => State::Disconnected,
        };
        Ok(event)
    }

    pub(super) async fn receive_text(&self) -> Result<String, Exception> {
        if self.application_state() != State::Connected {
            return Err(Exception::RuntimeError(
                "WebSocket is not connected. Need to call \"accept\" first.",
            ));
        }
        match self.receive().await? {
            Event::Receive(text) => Ok(text),
            Event::Connect | Event::Disconnect => Err(Exception::Disconnect),
        }
    }

    pub(super) fn send_text(&self, text: &str) -> Result<(), Exception> {
        self.send(Packet::Text(text.to_owned()))
    }

    /// Closes the socket. If it was not accepted, refuses it.
    pub(super) fn close(&self, code: u16) -> Result<(), Exception> {
        match self.application_state() {
            State::Connecting => self.send(Packet::Refuse),
            State::Connected | State::Disconnected => self.send(Packet::Close(code)),
        }
    }

    /// Passes a packet to the server, if the state allows it.
    fn send(&self, packet: Packet) -> Result<(), Exception> {
        let mut states = self.states();
        let ends = matches!(packet, Packet::Close(_) | Packet::Refuse);
        states.application = match (states.application, &packet) {
            (State::Disconnected, _) => {
                return Err(Exception::RuntimeError(
                    "Cannot call \"send\" once a close message has been sent.",
                ));
            }
            (State::Connecting, Packet::Accept) => State::Connected,
            (State::Connecting | State::Connected, _) if ends => State::Disconnected,
            (State::Connected, Packet::Text(_)) => State::Connected,
            (State::Connecting | State::Connected, _) => {
                return Err(Exception::RuntimeError("Expected another ASGI message."));
            }
        };
        if self.send.send(packet).is_err() {
            states.application = State::Disconnected;
            return Err(Exception::Disconnect);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc::{self, Sender};

    use super::*;

    const TOO_LATE: Exception =
        Exception::RuntimeError("Cannot call \"send\" once a close message has been sent.");

    /// Runs `body` with a socket and its event queue, and returns what the socket sent.
    fn sent(body: impl AsyncFnOnce(&WebSocket, Sender<Event>)) -> Vec<Packet> {
        let (events, receive) = mpsc::channel(8);
        let (send, mut sent) = mpsc::unbounded_channel();
        let socket = WebSocket::new(receive, send);
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(body(&socket, events));
        std::iter::from_fn(|| sent.try_recv().ok()).collect()
    }

    async fn queue(events: &Sender<Event>, event: Event) {
        events.send(event).await.expect("the socket is there");
    }

    #[test]
    fn an_accepted_socket_carries_texts() {
        let sent = sent(async |socket, events| {
            let (accepted, ()) = tokio::join!(socket.accept(), queue(&events, Event::Connect));
            assert_eq!(accepted, Ok(()));
            queue(&events, Event::Receive("in".into())).await;
            assert_eq!(socket.receive_text().await.as_deref(), Ok("in"));
            assert_eq!(socket.send_text("out"), Ok(()));
        });
        assert_eq!(sent, [Packet::Accept, Packet::Text("out".into())]);
    }

    #[test]
    fn closing_before_accepting_refuses_the_client() {
        let sent = sent(async |socket, events| {
            assert_eq!(socket.close(4408), Ok(()));
            queue(&events, Event::Connect).await;
            assert_eq!(socket.accept().await, Err(TOO_LATE));
        });
        assert_eq!(sent, [Packet::Refuse]);
    }

    #[test]
    fn a_closed_socket_receives_but_cannot_answer() {
        let sent = sent(async |socket, events| {
            queue(&events, Event::Connect).await;
            socket.accept().await.expect("the first");
            let (received, ()) = tokio::join!(socket.receive_text(), async {
                assert_eq!(socket.close(4408), Ok(()));
                queue(&events, Event::Receive("late".into())).await;
            });
            assert_eq!(received.as_deref(), Ok("late"));
            assert!(socket.is_disconnected());
            assert_eq!((socket.send_text("no"), socket.close(1000)), (Err(TOO_LATE), Err(TOO_LATE)));
            assert!(socket.receive_text().await.is_err(), "what was not being received does not arrive");
        });
        assert_eq!(sent, [Packet::Accept, Packet::Close(4408)]);
    }

    #[test]
    fn nothing_can_be_received_or_sent_before_accepting() {
        let sent = sent(async |socket, _| {
            assert!(matches!(socket.receive_text().await, Err(Exception::RuntimeError(_))));
            assert!(matches!(socket.send_text("early"), Err(Exception::RuntimeError(_))));
            assert_eq!(socket.application_state(), State::Connecting);
        });
        assert_eq!(sent, []);
    }

    #[test]
    fn a_disconnected_client_raises_disconnect() {
        let sent = sent(async |socket, events| {
            queue(&events, Event::Connect).await;
            socket.accept().await.expect("the first");
            queue(&events, Event::Disconnect).await;
            assert_eq!(socket.receive_text().await, Err(Exception::Disconnect));
            assert!(socket.is_disconnected());
        });
        assert_eq!(sent, [Packet::Accept]);
    }
}
