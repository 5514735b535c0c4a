//! Streams whose opening handshake another HTTP stack has carried.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use wavetank_runtime::Tokio;
use wavetank_websocket::client::WebSocket;
use wavetank_websocket::handshake::Upgraded;
use wavetank_websocket::protocol::Role;
use wavetank_websocket::{Cause, Error, Message};

use crate::raw_peer::{CLOSE, RawPeer, TEXT, close_frame, frame, plain};

/// A connection of what was agreed on, and the other end of its stream.
fn adopt(upgraded: Upgraded) -> (WebSocket<Tokio, DuplexStream>, DuplexStream) {
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    (WebSocket::from_upgraded(Tokio, ours, upgraded.config(plain())), theirs)
}

#[tokio::test(start_paused = true)]
async fn a_stream_upgraded_elsewhere_is_taken_over() {
    let (ours, theirs) = tokio::io::duplex(1024);
    let upgraded = Upgraded::new(Role::Client).subprotocol("chat").buffered(frame(TEXT, b"early"));
    let socket = WebSocket::from_upgraded(Tokio, ours, upgraded);
    assert_eq!(socket.subprotocol(), Some("chat"));
    assert_eq!(socket.recv().await, Ok(Message::from("early")));
    let mut peer = RawPeer { stream: theirs };
    socket.send("hello").await.expect("is open");
    peer.expect(TEXT, b"hello").await;
    peer.send(&close_frame(1001)).await;
    peer.expect(CLOSE, &1001_u16.to_be_bytes()).await;
}

/// Lets all tasks do what they can without time.
async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn aborting_a_closed_connection_ends_its_task() {
    let alive = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let before = alive();
    let (socket, theirs) = adopt(Upgraded::new(Role::Client));
    let mut peer = RawPeer { stream: theirs };
    peer.send(&close_frame(1000)).await;
    assert!(socket.closed().await.is_clean());
    settle().await;
    assert_eq!(alive(), before + 1, "the peer keeps its stream, whose end is waited for");
    socket.abort();
    settle().await;
    assert_eq!(alive(), before);
}

#[tokio::test(start_paused = true)]
async fn a_frame_cut_anywhere_is_put_together() {
    let text = "behind the handshake ".repeat(10);
    let bytes = frame(TEXT, text.as_bytes());
    for cut in 0..=bytes.len() {
        let (buffered, rest) = bytes.split_at(cut);
        let (socket, mut theirs) = adopt(Upgraded::new(Role::Client).buffered(buffered.to_vec()));
        theirs.write_all(rest).await.expect("an open pipe");
        assert_eq!(socket.recv().await, Ok(Message::text(&*text)), "cut at {cut}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_upgraded_server_wants_masks_and_sets_none() {
    let masked = [0x81, 0x82, 1, 2, 3, 4, b'h' ^ 1, b'i' ^ 2];
    let (socket, mut theirs) = adopt(Upgraded::new(Role::Server).buffered(masked[..3].to_vec()));
    theirs.write_all(&masked[3..]).await.expect("an open pipe");
    assert_eq!(socket.recv().await, Ok(Message::text("hi")));
    socket.send("yes").await.expect("is open");
    let mut bytes = [0; 5];
    theirs.read_exact(&mut bytes).await.expect("an open pipe");
    assert_eq!(bytes, *b"\x81\x03yes");
    theirs.write_all(&frame(TEXT, b"no mask")).await.expect("an open pipe");
    let Err(Error::Closed(closed)) = socket.recv().await else { panic!("a violation") };
    assert!(matches!(closed.cause, Cause::Violation { .. }), "{closed}");
}

#[cfg(feature = "compression")]
#[tokio::test(start_paused = true)]
async fn upgraded_ends_compress_as_agreed() {
    use wavetank_websocket::deflate::Parameters;

    let (near, far) = tokio::io::duplex(64 * 1024);
    let adopt = |role, stream| {
        let upgraded = Upgraded::new(role).compression(Parameters::default());
        WebSocket::from_upgraded(Tokio, stream, upgraded)
    };
    let (client, server) = (adopt(Role::Client, near), adopt(Role::Server, far));
    assert_eq!(client.compression(), Some(Parameters::default()));
    let long = "all hands on deck ".repeat(1000);
    for (from, to) in [(&client, &server), (&server, &client)] {
        from.send(&long).await.expect("is open");
        assert_eq!(to.recv().await, Ok(Message::text(&*long)));
        assert!(from.statistics().bytes_sent < 1000, "{:?}", from.statistics());
    }
}

#[cfg(feature = "compression")]
#[tokio::test(start_paused = true)]
async fn a_writer_decides_whether_to_compress() {
    use wavetank_websocket::Kind;
    use wavetank_websocket::deflate::Parameters;

    const RSV1: u8 = 0x40;
    for (choice, length, compressed) in
        [(None, 1000, RSV1), (Some(false), 1000, 0), (None, 10, 0), (Some(true), 10, RSV1)]
    {
        let (near, mut far) = tokio::io::duplex(64 * 1024);
        let upgraded = Upgraded::new(Role::Server).compression(Parameters::default());
        let socket = WebSocket::from_upgraded(Tokio, near, upgraded);
        let mut writer = socket.send_stream(Kind::Binary).await.expect("is open");
        if let Some(compress) = choice {
            writer = writer.compressed(compress);
        }
        writer.write(&vec![7; length]).await.expect("is open");
        assert_eq!(far.read_u8().await.expect("an open pipe"), 0x02 | compressed, "{choice:?}, {length}");
        writer.finish(b"").await.expect("is open");
    }
}
