//! Streams whose opening handshake another HTTP stack has carried.

use std::io::{Read as _, Write as _};

use wavetank_runtime::{BlockingListener as _, SocketOptions, Std, Threads as _};

use super::peer::{CLOSE, Peer, Stream, TEXT, close_frame, frame, listen};
use super::{LONG, quiet, spawn};
use crate::blocking::WebSocket;
use crate::handshake::Upgraded;
use crate::protocol::Role;
use crate::{Cause, Error, Message};

/// Both ends of a stream.
fn streams() -> (Stream, Stream) {
    let (listener, address) = listen();
    let accepting = spawn(move || listener.accept().expect("a connection").0);
    let stream = Std.connect(address, SocketOptions::new(), None).expect("a listener");
    (stream, accepting())
}

/// A connection of what was agreed on, and the other end of its stream.
fn adopt(upgraded: Upgraded) -> (WebSocket<Std>, Stream) {
    let (ours, theirs) = streams();
    let socket = WebSocket::from_upgraded(Std, ours, upgraded.config(quiet(LONG))).expect("threads");
    (socket, theirs)
}

#[test]
fn a_stream_upgraded_elsewhere_is_taken_over() {
    let upgraded = Upgraded::new(Role::Client).subprotocol("chat").buffered(frame(TEXT, b"early"));
    let (socket, theirs) = adopt(upgraded);
    assert_eq!(socket.subprotocol(), Some("chat"));
    assert_eq!(socket.recv(), Ok(Message::from("early")));
    let mut peer = Peer { stream: theirs };
    socket.send("hello").expect("is open");
    assert_eq!(peer.read().payload, b"hello");
    peer.write(&close_frame(1001));
    assert_eq!((peer.read().opcode, socket.wait_closed().code()), (CLOSE, 1001));
}

#[test]
fn a_frame_cut_anywhere_is_put_together() {
    let bytes = frame(TEXT, b"behind the handshake");
    for cut in 0..=bytes.len() {
        let (buffered, rest) = bytes.split_at(cut);
        let (socket, mut theirs) = adopt(Upgraded::new(Role::Client).buffered(buffered.to_vec()));
        theirs.write_all(rest).expect("an open stream");
        assert_eq!(socket.recv(), Ok(Message::text("behind the handshake")), "cut at {cut}");
    }
}

#[test]
fn an_upgraded_server_wants_masks_and_sets_none() {
    let masked = [0x81, 0x82, 1, 2, 3, 4, b'h' ^ 1, b'i' ^ 2];
    let (socket, mut theirs) = adopt(Upgraded::new(Role::Server).buffered(masked[..3].to_vec()));
    theirs.write_all(&masked[3..]).expect("an open stream");
    assert_eq!(socket.recv(), Ok(Message::text("hi")));
    socket.send("yes").expect("is open");
    let mut bytes = [0; 5];
    theirs.read_exact(&mut bytes).expect("an open stream");
    assert_eq!(bytes, *b"\x81\x03yes");
    theirs.write_all(&frame(TEXT, b"no mask")).expect("an open stream");
    let Err(Error::Closed(closed)) = socket.recv() else { panic!("a violation") };
    assert!(matches!(closed.cause, Cause::Violation { .. }), "{closed}");
}

#[cfg(feature = "compression")]
#[test]
fn upgraded_ends_compress_as_agreed() {
    use crate::deflate::Parameters;

    let (near, far) = streams();
    let adopt = |role, stream| {
        let upgraded = Upgraded::new(role).compression(Parameters::default());
        WebSocket::from_upgraded(Std, stream, upgraded).expect("threads")
    };
    let (client, server) = (adopt(Role::Client, near), adopt(Role::Server, far));
    assert_eq!(client.compression(), Some(Parameters::default()));
    let long = "all hands on deck ".repeat(1000);
    for (from, to) in [(&client, &server), (&server, &client)] {
        from.send(&long).expect("is open");
        assert_eq!(to.recv(), Ok(Message::text(&*long)));
        assert!(from.statistics().bytes_sent < 1000, "{:?}", from.statistics());
    }
}

#[cfg(feature = "compression")]
#[test]
fn a_writer_decides_whether_to_compress() {
    use crate::Kind;
    use crate::deflate::Parameters;

    const RSV1: u8 = 0x40;
    for (choice, length, compressed) in
        [(None, 1000, RSV1), (Some(false), 1000, 0), (None, 10, 0), (Some(true), 10, RSV1)]
    {
        let (near, mut far) = streams();
        let upgraded = Upgraded::new(Role::Server).compression(Parameters::default());
        let socket = WebSocket::from_upgraded(Std, near, upgraded).expect("threads");
        let mut writer = socket.send_stream(Kind::Binary).expect("is open");
        if let Some(compress) = choice {
            writer = writer.compressed(compress);
        }
        writer.write(&vec![7; length]).expect("is open");
        let mut first = [0];
        far.read_exact(&mut first).expect("an open stream");
        assert_eq!(first, [0x02 | compressed], "{choice:?}, {length}");
        writer.finish(b"").expect("is open");
    }
}
