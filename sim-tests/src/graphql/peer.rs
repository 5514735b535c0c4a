//! A scripted client.

use std::time::Duration;

use serde_json::{Value, json};
use wavetank::Host;
use wavetank::runtime::Runtime as _;
use wavetank_graphql::memory::{self, FromServer};
use wavetank_graphql::{CloseFrame, Incoming};
use wavetank_websocket::client::WebSocket;
use wavetank_websocket::{CloseCode, Closed, Error, Message};

/// What a client received.
#[derive(Clone, Debug, PartialEq)]
pub enum Got {
    /// A message.
    Message(Value),
    /// The server closed.
    Closed {
        /// With this code.
        code: u16,
        /// With this reason.
        reason: String,
    },
    /// The connection ended without a Close frame.
    Lost,
}

impl Got {
    /// Returns the type of a message.
    pub fn kind(&self) -> Option<&str> {
        match self {
            Self::Message(message) => message["type"].as_str(),
            Self::Closed { .. } | Self::Lost => None,
        }
    }

    /// Returns the id of a message.
    pub fn id(&self) -> Option<&str> {
        match self {
            Self::Message(message) => message["id"].as_str(),
            Self::Closed { .. } | Self::Lost => None,
        }
    }

    /// Returns the code, if the server closed.
    pub fn code(&self) -> Option<u16> {
        match self {
            Self::Closed { code, .. } => Some(*code),
            Self::Message(_) | Self::Lost => None,
        }
    }
}

#[derive(Debug)]
pub(super) enum Line {
    Memory(memory::Client),
    WebSocket(Box<WebSocket<Host>>),
}

/// A client. Its calls never fail. A connection that has ended ignores what is sent, and each receive returns
/// [`Got::Closed`] or [`Got::Lost`].
#[derive(Debug)]
pub struct Peer {
    pub(super) host: Host,
    pub(super) line: Line,
    pub(super) over: Option<Got>,
}

impl Peer {
    pub(super) fn new(host: Host, line: Line) -> Self {
        Self { host, line, over: None }
    }

    /// Makes a client of a WebSocket that is open.
    pub fn over(host: Host, socket: WebSocket<Host>) -> Self {
        Self::new(host, Line::WebSocket(Box::new(socket)))
    }

    /// Sends a text.
    pub async fn say(&mut self, text: &str) {
        match &self.line {
            Line::Memory(client) => client.send(text).await,
            // The next call of `hear` reports that the connection has ended.
            Line::WebSocket(socket) => drop(socket.send(text).await),
        }
    }

    /// Sends a message.
    pub async fn send(&mut self, message: Value) {
        self.say(&message.to_string()).await;
    }

    /// Sends `connection_init`, with a token in its payload.
    pub async fn init(&mut self, token: &str) {
        self.send(json!({"type": "connection_init", "payload": {"token": token}})).await;
    }

    /// Sends `connection_init` and waits for the acknowledgement.
    ///
    /// # Panics
    ///
    /// If something else comes.
    pub async fn acknowledged(&mut self, token: &str) {
        self.init(token).await;
        let got = self.hear().await;
        assert_eq!(got.kind(), Some("connection_ack"), "{got:?}");
    }

    /// Sends `subscribe`.
    pub async fn subscribe(&mut self, id: &str, query: &str) {
        self.send(json!({"type": "subscribe", "id": id, "payload": {"query": query}})).await;
    }

    /// Sends `complete`.
    pub async fn complete(&mut self, id: &str) {
        self.send(json!({"type": "complete", "id": id})).await;
    }

    /// Sends a binary message.
    pub async fn binary(&mut self) {
        match &self.line {
            Line::Memory(client) => client.put(Incoming::Binary).await,
            Line::WebSocket(socket) => drop(socket.send(&[0_u8, 1, 2][..]).await),
        }
    }

    /// Sends a WebSocket ping, and on a network waits for its pong.
    pub async fn ping_frame(&mut self) {
        match &self.line {
            Line::Memory(client) => client.put(Incoming::Control).await,
            Line::WebSocket(socket) => drop(socket.ping().await),
        }
    }

    /// Receives what comes next, and answers pings of the server.
    pub async fn hear(&mut self) -> Got {
        loop {
            let got = self.hear_all().await;
            if got.kind() == Some("ping") {
                self.send(json!({"type": "pong"})).await;
            } else {
                return got;
            }
        }
    }

    /// Receives what comes next, pings included.
    ///
    /// # Panics
    ///
    /// If what was received is not JSON in a text message.
    pub async fn hear_all(&mut self) -> Got {
        if let Some(over) = &self.over {
            return over.clone();
        }
        let got = match &mut self.line {
            Line::Memory(client) => loop {
                match client.recv().await {
                    Some(FromServer::Text(text)) => {
                        break Got::Message(serde_json::from_str(&text).expect("JSON"));
                    }
                    Some(FromServer::Ping) => client.put(Incoming::Control).await,
                    Some(FromServer::Close(frame)) => {
                        client.put(Incoming::Closed(Some(frame.code().get()))).await;
                        break closed(&frame);
                    }
                    None => break Got::Lost,
                }
            },
            Line::WebSocket(socket) => match socket.recv().await {
                Ok(Message::Text(text)) => Got::Message(serde_json::from_str(&text).expect("JSON")),
                Ok(Message::Binary(data)) => panic!("the server sends no binary messages: {data:?}"),
                Err(Error::Closed(closed)) => ended(&closed),
                Err(error) => panic!("an error that is no end: {error}"),
            },
        };
        if !matches!(got, Got::Message(_)) {
            self.over = Some(got.clone());
        }
        got
    }

    /// Receives what comes within a time.
    pub async fn hear_within(&mut self, time: Duration) -> Option<Got> {
        let host = self.host;
        tokio::select! {
            biased;
            got = self.hear() => Some(got),
            () = host.sleep(time) => None,
        }
    }

    /// Receives until the connection has ended, and returns how.
    pub async fn end(&mut self) -> Got {
        loop {
            let got = self.hear().await;
            if !matches!(got, Got::Message(_)) {
                return got;
            }
        }
    }

    /// Receives until a message of this type comes, and returns it.
    ///
    /// # Panics
    ///
    /// If the connection ends before.
    pub async fn until(&mut self, kind: &str) -> Value {
        loop {
            match self.hear().await {
                Got::Message(message) if message["type"] == kind => return message,
                Got::Message(_) => {}
                over => panic!("the connection has ended before `{kind}`: {over:?}"),
            }
        }
    }

    /// Sends `ping` and receives until its `pong` comes: what was sent before it is handled then.
    ///
    /// # Panics
    ///
    /// If the connection ends before.
    pub async fn round_trip(&mut self) -> Vec<Value> {
        self.send(json!({"type": "ping"})).await;
        let mut before = Vec::new();
        loop {
            match self.hear().await {
                Got::Message(message) if message["type"] == "pong" => return before,
                Got::Message(message) => before.push(message),
                over => panic!("the connection has ended before `pong`: {over:?}"),
            }
        }
    }

    /// Closes the connection, and waits until it has ended.
    pub async fn close(mut self) {
        self.begin_close().await;
    }

    /// Closes the connection, and waits until it has ended. Drops what was received before.
    pub async fn begin_close(&mut self) {
        match &mut self.line {
            Line::Memory(client) => {
                client.close(Some(1000)).await;
                while !matches!(client.recv().await, None | Some(FromServer::Close(_))) {}
            }
            Line::WebSocket(socket) => drop(socket.close(CloseCode::NORMAL, "").await),
        }
    }
}

fn closed(frame: &CloseFrame) -> Got {
    Got::Closed { code: frame.code().get(), reason: frame.reason().to_owned() }
}

fn ended(closed: &Closed) -> Got {
    match &closed.received {
        Some(frame) => Got::Closed { code: closed.code(), reason: frame.reason.clone() },
        None => Got::Lost,
    }
}
