//! What clients do: open a socket, and send `connection_init`, or say nothing.
//!
//! A scenario takes any server and any network. No sleep and no hook provokes the race: the scheduler has to find it.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncWrite};
use wavetank_runtime::{Runtime, SocketOptions};

use super::handler::{code, message};
use super::wire::{self, Packet};

/// What a client does once its socket is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerScript {
    /// Sends `connection_init`.
    Initialises,
    /// Sends `ping`, and after the answer nothing more.
    Pings,
    /// Sends `connection_init` a second time after the acknowledgement.
    InitialisesTwice,
    /// Sends nothing.
    IsSilent,
}

/// How a connection came out for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The server sent `connection_ack`.
    Acknowledged,
    /// The server closed with this code.
    Closed(u16),
    /// The server did not accept the socket (HTTP 403).
    Refused,
    /// The connection ended without a word.
    Lost,
}

/// Opens a socket at `server`, does as `script` say until the server has answered, and closes the socket.
///
/// # Errors
///
/// The system's for connecting, and `InvalidData` for an answer that the protocol does not know. That the connection is
/// lost afterwards is an [`Answer`].
pub async fn converse<R: Runtime>(runtime: &R, server: SocketAddr, script: PeerScript) -> io::Result<Answer> {
    let mut stream = runtime.connect(server, SocketOptions::new()).await?;
    let mut asked = if script == PeerScript::InitialisesTwice { 2 } else { 1 };
    let mut say = Some(Packet::Open);
    let answer = loop {
        if let Some(packet) = &say {
            // Where that fails, the server has ended the connection, and may have said how.
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

/// Says that it closes, and leaves it to the server to end the connection, as a WebSocket's client should.
async fn close(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) {
    // An error means that the connection has ended.
    let _ = wire::write(stream, &Packet::Close(code::NORMAL)).await;
    while let Ok(Some(_)) = wire::read(stream).await {}
}
