//! Clients: they open a socket and send `connection_init`, or send nothing.
//!
//! The clients work with any server and any network. No sleep and no hook provokes the race: the scheduler must find
//! it.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncWrite};
use wavetank_runtime::{Runtime, SocketOptions};

use super::handler::{code, message};
use super::wire::{self, Packet};

/// What a client does after its socket is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerScript {
    /// Sends `connection_init`.
    Initialises,
    /// Sends `ping`, and nothing after the answer.
    Pings,
    /// Sends `connection_init` a second time after the acknowledgement.
    InitialisesTwice,
    /// Sends nothing.
    IsSilent,
}

/// How a connection ended for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The server sent `connection_ack`.
    Acknowledged,
    /// The server closed with this code.
    Closed(u16),
    /// The server did not accept the socket (HTTP 403).
    Refused,
    /// The connection ended without a close.
    Lost,
}

/// Opens a socket at `server`, follows `script` until the server answers, and closes the socket.
///
/// # Errors
///
/// The system's for connecting, and `InvalidData` for an answer outside the protocol. A connection that is lost later
/// is an [`Answer`], not an error.
pub async fn converse<R: Runtime>(runtime: &R, server: SocketAddr, script: PeerScript) -> io::Result<Answer> {
    let mut stream = runtime.connect(server, SocketOptions::new()).await?;
    let mut asked = if script == PeerScript::InitialisesTwice { 2 } else { 1 };
    let mut say = Some(Packet::Open);
    let answer = loop {
        if let Some(packet) = &say {
            // If this fails, the server has ended the connection. It may have sent why.
            let _ = wire::write(&mut stream, packet).await;
        }
        say = match wire::read(&mut stream).await {
            Ok(Some(Packet::Accept)) => match script {
                PeerScript::IsSilent => None,
                PeerScript::Pings => {
                    tracing::info!("client: sends ping");
                    Some(Packet::Text(message::PING.into()))
                }
                PeerScript::Initialises | PeerScript::InitialisesTwice => Some(init()),
            },
            Ok(Some(Packet::Text(text))) => match text.as_str() {
                message::PONG => None,
                message::CONNECTION_ACK if asked == 1 => break Answer::Acknowledged,
                message::CONNECTION_ACK => {
                    asked -= 1;
                    Some(init())
                }
                _ => return Err(io::ErrorKind::InvalidData.into()),
            },
            Ok(Some(Packet::Refuse)) => break Answer::Refused,
            Ok(Some(Packet::Close(code))) => break Answer::Closed(code),
            Ok(Some(Packet::Open)) => return Err(io::ErrorKind::InvalidData.into()),
            Ok(None) | Err(_) => break Answer::Lost,
        };
    };
    tracing::info!("client: the server's answer is {answer:?}");
    close(&mut stream).await;
    Ok(answer)
}

fn init() -> Packet {
    tracing::info!("client: sends connection_init");
    Packet::Text(message::CONNECTION_INIT.into())
}

/// Sends a close and lets the server end the connection, as a WebSocket client should.
async fn close(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) {
    // An error means that the connection has ended.
    let _ = wire::write(stream, &Packet::Close(code::NORMAL)).await;
    while let Ok(Some(_)) = wire::read(stream).await {}
}
