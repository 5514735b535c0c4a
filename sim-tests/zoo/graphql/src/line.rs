//! Messages as lines over simulated TCP. A Close frame is a line of its own: `close CODE REASON`.

use std::fmt::Display;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::{Sink, SinkExt, Stream, StreamExt};
use serde_json::{Value, json};
use tokio_util::codec::{Framed, LinesCodec, LinesCodecError};
use wavetank::Host;
use wavetank::host::SimStream;
use wavetank::runtime::{ListenOptions, Listener, Runtime, SocketOptions};

/// The beginning of the line that is a Close frame.
const CLOSE: &str = "close ";

/// The server's end: a stream of the client's messages and a sink for its own.
#[derive(Debug)]
pub struct Line(Framed<SimStream, LinesCodec>);

/// Returns the text of an error.
pub fn text(error: impl Display) -> String {
    error.to_string()
}

/// Returns the smallest buffers that Linux allows.
const fn small_buffers() -> SocketOptions {
    SocketOptions::new().send_buffer_bytes(4096).receive_buffer_bytes(4096)
}

/// Accepts one connection on port 80.
pub(crate) async fn accept(host: Host) -> Result<Line, String> {
    let address = SocketAddr::from(([0, 0, 0, 0], 80));
    let options = ListenOptions::new().accepted(small_buffers());
    let listener = Runtime::listen(&host, address, options).await.map_err(text)?;
    let (socket, _) = listener.accept().await.map_err(text)?;
    Ok(Line(framed(socket)))
}

/// Writes reach the socket one by one, as those of a WebSocket do that is flushed after every message.
fn framed(socket: SimStream) -> Framed<SimStream, LinesCodec> {
    let mut framed = Framed::new(socket, LinesCodec::new());
    framed.set_backpressure_boundary(1);
    framed
}

impl Line {
    /// Sends a Close frame. Nothing is sent after it.
    ///
    /// # Errors
    ///
    /// If the connection has failed.
    pub async fn close(&mut self, code: u16, reason: &str) -> Result<(), String> {
        self.0.send(close_frame(code, reason)).await.map_err(text)
    }
}

pub(crate) fn close_frame(code: u16, reason: &str) -> String {
    format!("{CLOSE}{code} {reason}")
}

/// The client's messages. Ends when the client is gone.
impl Stream for Line {
    type Item = String;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<String>> {
        self.0.poll_next_unpin(context).map(|line| line?.ok())
    }
}

impl Sink<String> for Line {
    type Error = LinesCodecError;

    fn poll_ready(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), LinesCodecError>> {
        SinkExt::<String>::poll_ready_unpin(&mut self.0, context)
    }

    fn start_send(mut self: Pin<&mut Self>, message: String) -> Result<(), LinesCodecError> {
        self.0.start_send_unpin(message)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), LinesCodecError>> {
        SinkExt::<String>::poll_flush_unpin(&mut self.0, context)
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), LinesCodecError>> {
        SinkExt::<String>::poll_close_unpin(&mut self.0, context)
    }
}

/// The client's end.
#[derive(Debug)]
pub struct Client {
    line: Framed<SimStream, LinesCodec>,
}

/// What a client receives.
#[derive(Clone, Debug, PartialEq)]
pub enum Heard {
    /// A message.
    Message(Value),
    /// The server has closed.
    Close {
        /// With this code.
        code: u16,
        /// And this reason.
        reason: String,
    },
}

impl Client {
    /// Connects to port 80 of the host `server`.
    ///
    /// # Errors
    ///
    /// If the connection fails.
    pub async fn connect(host: Host) -> Result<Self, String> {
        let server = Runtime::resolve(&host, "server", 80).await.map_err(text)?[0];
        let socket = Runtime::connect(&host, server, small_buffers()).await.map_err(text)?;
        Ok(Self { line: framed(socket) })
    }

    /// Sends a message.
    ///
    /// # Errors
    ///
    /// If the connection has failed.
    pub async fn say(&mut self, message: Value) -> Result<(), String> {
        tracing::info!("says {}", brief(&message));
        self.line.send(message.to_string()).await.map_err(text)
    }

    /// Receives what comes next. Answers pings, as every client does, and skips pongs.
    ///
    /// # Errors
    ///
    /// If the connection ends without a Close frame, or a message is not JSON.
    pub async fn hear(&mut self) -> Result<Heard, String> {
        loop {
            let line = self.line.next().await.ok_or("the connection ends without a Close frame")?;
            let line = line.map_err(text)?;
            if let Some(frame) = line.strip_prefix(CLOSE) {
                let (code, reason) = frame.split_once(' ').unwrap_or((frame, ""));
                let code = code.parse().map_err(text)?;
                tracing::info!("hears close {code} {reason}");
                return Ok(Heard::Close { code, reason: reason.to_owned() });
            }
            let message: Value = serde_json::from_str(&line).map_err(text)?;
            match message["type"].as_str() {
                Some("ping") => self.say(json!({ "type": "pong" })).await?,
                Some("pong") => {}
                _ => return Ok(Heard::Message(message)),
            }
        }
    }

    /// Receives a message.
    ///
    /// # Errors
    ///
    /// If something else comes.
    pub async fn message(&mut self) -> Result<Value, String> {
        match self.hear().await? {
            Heard::Message(message) => {
                tracing::info!("hears {}", brief(&message));
                Ok(message)
            }
            Heard::Close { code, reason } => Err(format!("the server closes: {code} {reason}")),
        }
    }
}

/// The type of a message, its id, and what it carries.
fn brief(message: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (kind, id, payload) = (text(&message["type"]), text(&message["id"]), &message["payload"]);
    let payload = match payload {
        Value::Null => String::new(),
        payload => payload["query"].as_str().map_or_else(|| payload.to_string(), str::to_owned),
    };
    [kind, id, payload].join(" ").trim_end().to_owned()
}
