//! A peer that knows no extension, has sent FIN and reads: slowly, over a slow link, or not any more. It plays the
//! client, and answers pings as every implementation does.

use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use wavetank::Host;
use wavetank_runtime::{Instant, Runtime};

use super::frames::{
    ACK, DATA, FIN, HEADER_BYTES, Header, INITIAL_WINDOW, PING, RST, SYN, WINDOW_UPDATE, control,
};
use super::scripts::Script;

/// Such a peer.
#[derive(Clone, Debug)]
pub struct HalfClosed {
    /// What it is.
    pub name: &'static str,
    /// The window that it announces, in bytes.
    pub window: u32,
    /// How long it takes to read half of its window, and to grant that again. Then it stops reading.
    pub pauses: &'static [u64],
    /// What the link moves in a second, in bytes, if it is a slow one.
    pub rate: Option<u64>,
    /// How long after the last data the writer fails, in seconds: at least and at most. The writer begins to wait at
    /// another moment than the one at which data comes, by up to a second.
    pub patience: (u64, u64),
}

/// Returns peers that all read on for longer than the 10 s after which a writer without credit may fail, and one that
/// does not.
#[must_use]
pub fn half_closed() -> Vec<HalfClosed> {
    let first = INITIAL_WINDOW;
    vec![
        HalfClosed { name: "one that has left", window: first, pauses: &[], rate: None, patience: (9, 11) },
        HalfClosed {
            name: "a large window",
            window: 4 << 20,
            pauses: &[14, 14],
            rate: None,
            patience: (27, 31),
        },
        HalfClosed {
            name: "longer and longer pauses",
            window: first,
            pauses: &[9, 15, 25],
            rate: None,
            patience: (49, 53),
        },
        HalfClosed {
            name: "a slow link",
            window: first,
            pauses: &[0, 0, 0],
            rate: Some(8_000),
            patience: (9, 100),
        },
    ]
}

impl Script<Host> {
    /// Opens a stream, sends FIN, and reads as `peer` does. The other side has to write until it fails.
    ///
    /// # Panics
    ///
    /// If the writer fails before everything that was granted has come, or too late.
    pub async fn half_closes(mut self, peer: HalfClosed) {
        if let Some(rate) = peer.rate {
            self.host.inject().narrow("client", "server", rate);
        }
        self.send(&control(WINDOW_UPDATE, SYN, 1, peer.window - INITIAL_WINDOW)).await;
        self.send(&control(WINDOW_UPDATE, FIN, 1, 0)).await;
        let half = peer.window / 2;
        let (mut received, mut granted) = (0, peer.window);
        let mut pauses = peer.pauses.iter();
        let mut latest = self.host.now();
        let mut grant_at: Option<Instant> = None;
        let mut bytes = Vec::new();
        loop {
            if grant_at.is_none()
                && granted - received <= half
                && let Some(pause) = pauses.next()
            {
                grant_at = Some(self.host.now() + Duration::from_secs(*pause));
            }
            let until = grant_at.unwrap_or_else(|| self.host.now() + Duration::from_secs(3600));
            let is_grant = tokio::select! {
                biased;
                count = self.stream.read_buf(&mut bytes) => {
                    assert!(count.expect("no clean end") > 0, "{}: the session ended", peer.name);
                    false
                }
                () = self.host.sleep_until(until) => true,
            };
            if is_grant {
                assert!(grant_at.take().is_some(), "{}: the writer waits for ever", peer.name);
                granted += half;
                self.send(&control(WINDOW_UPDATE, 0, 1, half)).await;
            }
            while let Some(header) = take_frame(&mut bytes) {
                match header.kind {
                    PING if header.has(SYN) => self.send(&control(PING, ACK, 0, header.length)).await,
                    DATA => {
                        received += header.length;
                        latest = self.host.now();
                    }
                    WINDOW_UPDATE if header.has(RST) => {
                        let waited = self.host.now() - latest;
                        let granted = peer.window + half * peer.pauses.len() as u32;
                        assert_eq!(received, granted, "{}: killed {waited:?} after data", peer.name);
                        let (least, most) = peer.patience;
                        let bounds = Duration::from_secs(least)..=Duration::from_secs(most);
                        assert!(bounds.contains(&waited), "{}: {waited:?}", peer.name);
                        return;
                    }
                    _ => {}
                }
            }
        }
    }
}

/// Takes the first frame off the bytes, once all of it is there.
fn take_frame(bytes: &mut Vec<u8>) -> Option<Header> {
    let header = Header::decode(*bytes.first_chunk::<HEADER_BYTES>()?);
    let length = if header.kind == DATA { header.length as usize } else { 0 };
    if bytes.len() < HEADER_BYTES + length {
        return None;
    }
    bytes.drain(..HEADER_BYTES + length);
    Some(header)
}
