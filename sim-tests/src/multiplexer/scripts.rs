//! A peer that is a script: it sends what no session would send, and reads what comes back frame by frame.
//! It plays the client.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use wavetank_runtime::Runtime;

use super::frames::{
    self, ACK, DATA, FIN, GO_AWAY, HEADER_BYTES, Header, INITIAL_WINDOW, PING, RST, SYN, WINDOW_UPDATE,
    control,
};

/// The other side, frame by frame. It plays the client.
pub struct Script<R: Runtime> {
    /// Where it runs.
    pub host: R,
    /// The connection, for what is no frame.
    pub stream: R::Stream,
}

impl<R: Runtime> Script<R> {
    /// Sends bytes.
    ///
    /// # Panics
    ///
    /// If they cannot be sent.
    pub async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.expect("sent");
    }

    /// Returns the next frame that is no ping, with its payload; `None` at the end.
    ///
    /// # Panics
    ///
    /// If the connection is reset.
    pub async fn frame(&mut self) -> Option<(Header, Vec<u8>)> {
        loop {
            let mut header = [0; HEADER_BYTES];
            match self.stream.read_exact(&mut header).await {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return None,
                Err(error) => panic!("no clean end: {error}"),
            }
            let header = Header::decode(header);
            let mut payload = Vec::new();
            if header.kind == DATA {
                payload.resize(header.length as usize, 0);
                self.stream.read_exact(&mut payload).await.expect("a payload");
            }
            if header.kind != PING {
                return Some((header, payload));
            }
        }
    }

    /// Returns the codes of GoAway that come until the end.
    pub async fn until_the_end(&mut self) -> Vec<u32> {
        let mut codes = Vec::new();
        while let Some((header, _)) = self.frame().await {
            if header.kind == GO_AWAY {
                codes.push(header.length);
            }
        }
        codes
    }

    /// Opens streams 1, 3 and 5, each with data on SYN. Ends 1 and 5 with FIN on a window update, and 3 with RST and
    /// code 7 on one. Waits for the FIN of stream 5, and then says GoAway.
    pub async fn ends_on_window_updates(mut self) {
        let streams = [(1, b"one".as_slice(), FIN, 0), (3, b"two", RST, 7), (5, b"three", FIN, 0)];
        for (stream, text, end, code) in streams {
            self.send(&[frames::data(SYN, stream, text), control(WINDOW_UPDATE, end, stream, code)].concat())
                .await;
        }
        while let Some((header, _)) = self.frame().await {
            if header.stream == 5 && header.has(FIN) {
                break;
            }
        }
        self.send(&control(GO_AWAY, 0, 0, 0)).await;
    }

    /// Opens 1,500 streams and resets each at once.
    ///
    /// # Panics
    ///
    /// If the other side says GoAway twice, or with another code than 1.
    pub async fn resets_rapidly(mut self) {
        let mut bytes = Vec::new();
        for number in 0..1500 {
            bytes.extend(control(WINDOW_UPDATE, SYN, 2 * number + 1, 0));
            bytes.extend(control(WINDOW_UPDATE, RST, 2 * number + 1, 0));
        }
        // The session may be over before all of it is sent.
        let _cut = self.stream.write_all(&bytes).await;
        let mut codes = Vec::new();
        let mut header = [0; HEADER_BYTES];
        while self.stream.read_exact(&mut header).await.is_ok() {
            let header = Header::decode(header);
            if header.kind == GO_AWAY {
                codes.push(header.length);
            }
        }
        assert!(codes.len() <= 1 && codes.iter().all(|&code| code == 1), "{codes:?}");
    }

    /// Opens a stream, grants far more than the connection holds, and reads nothing for `time`.
    pub async fn grants_and_reads_nothing(mut self, time: Duration) {
        self.send(&control(WINDOW_UPDATE, SYN, 1, 64 << 20)).await;
        self.host.sleep(time).await;
    }
}

impl<R: Runtime> std::fmt::Debug for Script<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Script").finish_non_exhaustive()
    }
}

/// Returns what breaks the protocol, each by itself, after a stream with id 1 was opened.
#[must_use]
pub fn violations() -> Vec<(&'static str, Vec<u8>)> {
    let window = INITIAL_WINDOW as usize;
    let mut unknown_version = control(PING, SYN, 0, 0);
    unknown_version[0] = 1;
    let mut unknown_type = control(PING, SYN, 0, 0);
    unknown_type[1] = 9;
    vec![
        ("an unknown version", unknown_version),
        ("an unknown type", unknown_type),
        ("data beyond the window", frames::data(0, 1, &vec![0; window + 1])),
        ("data on stream 0", frames::data(0, 0, b"x")),
        ("an open with our parity", control(WINDOW_UPDATE, SYN, 2, 0)),
        ("an open of the same id", control(WINDOW_UPDATE, SYN, 1, 0)),
        ("an open of stream 0", control(WINDOW_UPDATE, SYN, 0, 0)),
        ("credit that overflows", control(WINDOW_UPDATE, 0, 1, u32::MAX)),
        ("data behind FIN", [control(WINDOW_UPDATE, FIN, 1, 0), frames::data(0, 1, b"x")].concat()),
        ("a first frame beyond the window", frames::data(SYN, 3, &vec![0; window + 1])),
        ("a ping on a stream", control(PING, SYN, 1, 0)),
    ]
}

/// Returns what looks odd and is allowed: the session answers or ignores it, and continues.
#[must_use]
pub fn oddities() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("data for a stream that never was", frames::data(0, 77, b"lost")),
        ("credit for a stream that never was", control(WINDOW_UPDATE, 0, 77, 9)),
        ("RST for a stream that never was", control(WINDOW_UPDATE, RST, 77, 0)),
        ("FIN for a stream that never was", control(WINDOW_UPDATE, FIN, 77, 0)),
        ("unknown flags", control(WINDOW_UPDATE, 0x8020, 1, 0)),
        ("a pong without a ping", control(PING, ACK, 0, 1234)),
        ("empty data", frames::data(0, 1, b"").repeat(1000)),
        ("no credit", control(WINDOW_UPDATE, 0, 1, 0).repeat(1000)),
        (
            "a second FIN",
            [control(WINDOW_UPDATE, SYN, 3, 0), control(WINDOW_UPDATE, FIN, 3, 0).repeat(2)].concat(),
        ),
        ("RST behind FIN", [control(DATA, SYN | FIN, 3, 0), control(WINDOW_UPDATE, RST, 3, 5)].concat()),
        ("RST on data", [control(WINDOW_UPDATE, SYN, 3, 0), frames::data(RST, 3, b"gone")].concat()),
    ]
}
