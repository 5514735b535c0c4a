//! The packets between client and server: a tag, a length and a text each.
//!
//! They replace the HTTP upgrade and WebSocket frames. There is no masking, and there are no fragments and no pings.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// The longest text, in bytes.
const TEXT_MAX: usize = 64 * 1024;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Packet {
    /// The client asks for a WebSocket.
    Open,
    /// The server accepts.
    Accept,
    /// The server refuses: HTTP 403.
    Refuse,
    Text(String),
    /// Either end closes, with a code.
    Close(u16),
}

impl Packet {
    fn encode(&self) -> Vec<u8> {
        let code;
        let (tag, body) = match self {
            Self::Open => (b'o', [].as_slice()),
            Self::Accept => (b'a', [].as_slice()),
            Self::Refuse => (b'r', [].as_slice()),
            Self::Text(text) => (b't', text.as_bytes()),
            Self::Close(number) => {
                code = number.to_be_bytes();
                (b'c', code.as_slice())
            }
        };
        let length = u32::try_from(body.len()).expect("texts are short");
        [&[tag], length.to_be_bytes().as_slice(), body].concat()
    }
}

pub(super) async fn write(stream: &mut (impl AsyncWrite + Unpin), packet: &Packet) -> io::Result<()> {
    stream.write_all(&packet.encode()).await
}

/// Reads a packet. Returns `None` at the end of the stream.
pub(super) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Packet>> {
    let mut tag = [0];
    if stream.read(&mut tag).await? == 0 {
        return Ok(None);
    }
    let mut length = [0; 4];
    stream.read_exact(&mut length).await?;
    let length = u32::from_be_bytes(length) as usize;
    if length > TEXT_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    let packet = match (tag[0], body.as_slice()) {
        (b'o', []) => Packet::Open,
        (b'a', []) => Packet::Accept,
        (b'r', []) => Packet::Refuse,
        (b'c', &[high, low]) => Packet::Close(u16::from_be_bytes([high, low])),
        (b't', _) => Packet::Text(String::from_utf8(body).map_err(|_| io::ErrorKind::InvalidData)?),
        _ => return Err(io::ErrorKind::InvalidData.into()),
    };
    Ok(Some(packet))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(mut bytes: &[u8]) -> io::Result<Vec<Packet>> {
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        runtime.block_on(async {
            let mut packets = Vec::new();
            while let Some(packet) = read(&mut bytes).await? {
                packets.push(packet);
            }
            Ok(packets)
        })
    }

    #[test]
    fn packets_come_back_in_order() {
        let packets = [
            Packet::Open,
            Packet::Accept,
            Packet::Refuse,
            Packet::Text("{}".into()),
            Packet::Text(String::new()),
            Packet::Close(4408),
        ];
        let bytes: Vec<u8> = packets.iter().flat_map(Packet::encode).collect();
        assert_eq!(read_all(&bytes).expect("whole packets"), packets);
    }

    #[test]
    fn malformed_packets_are_errors() {
        for bytes in
            [&b"t\0\0\0\x02{"[..], b"x\0\0\0\0", b"c\0\0\0\x01\0", b"t\0\x01\0\x01", b"t\0\0\0\x01\xff"]
        {
            assert!(read_all(bytes).is_err(), "{bytes:?}");
        }
    }
}
