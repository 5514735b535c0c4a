//! A thousand hostile connections at once: how much memory sessions of ours take, against what their configuration
//! allows.
//!
//! Each peer is a transport that makes its frames up as they are read, takes up to 4 KiB of what is written to it and
//! then nothing more, and owns no memory. So all memory that is counted belongs to the sessions.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::join_all;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use wavetank_multiplexer::{Config, Session};
use wavetank_runtime::Tokio;

use crate::meter;

const KIB: usize = 1024;
const STREAMS: u32 = 64;
const RECEIVE_BUDGET: usize = 256 * KIB;
const READ_BUFFER: usize = 16 * KIB;
const WRITE_BUFFER: usize = 32 * KIB;
/// What a peer takes of what is written to it.
const TAKEN_MAX: usize = 4 * KIB;

const DATA: u8 = 0;
const WINDOW_UPDATE: u8 = 1;
const PING: u8 = 2;
const NONE: u8 = 0;
const SYN: u8 = 1;
const RST: u8 = 8;

fn config() -> Config {
    let mut config = Config::default();
    config
        .limits()
        .inbound_streams(STREAMS)
        .accept_backlog(STREAMS)
        .receive_budget_bytes(RECEIVE_BUDGET)
        .read_buffer_bytes(READ_BUFFER)
        .write_buffer_bytes(WRITE_BUFFER);
    config
}

/// How much memory a byte that is not read may take, as the docs of `Limits::receive_budget_bytes` have it: pieces of
/// 16 KiB or more stay in the buffers that they were read into, and the buffers of smaller ones grow by doubling. With
/// the default buffers of 64 KiB it is 4.
const UNREAD_FACTOR: usize = if READ_BUFFER > 32 * KIB { READ_BUFFER / (16 * KIB) } else { 2 };

/// What the configuration allows a session.
fn bound() -> usize {
    // Unread bytes, the buffers of eight reads, and the spare chunks.
    let unread = UNREAD_FACTOR * RECEIVE_BUDGET + 8 * READ_BUFFER + 16 * 16 * KIB;
    // Output, and what the transport is taking of it. Vectors grow to twice what they hold.
    let output = 2 * 2 * (2 * WRITE_BUFFER + 64 * KIB) + 2 * 2 * 80 * KIB;
    unread + output + STREAMS as usize * 2 * KIB + 64 * KIB
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attack {
    /// Nothing but the connection.
    Silence,
    /// As many streams as are allowed.
    Streams,
    /// Streams that are filled and not read, far beyond the budget.
    UnreadData,
    /// The same in pieces that are kept without a copy.
    LargePieces,
    /// The same, and between two pieces a frame for a stream that is not there.
    PaddedPieces,
    /// The same, a byte a frame.
    SingleBytes,
    /// A byte on each stream.
    ByteOnEach,
    /// A frame that declares much and brings little.
    DeclaredLength,
    /// Pings whose answers are not read.
    Pings,
    /// Streams beyond the limit, whose refusals are not read.
    Refusals,
    /// Streams that are opened and reset.
    RapidReset,
    /// Streams that are reset because too much is unread, which the peer does not read.
    UnreadResets,
    /// Stream ids that leave gaps.
    SkippedIds,
}

impl Attack {
    const ALL: [Self; 13] = [
        Self::Silence,
        Self::Streams,
        Self::UnreadData,
        Self::LargePieces,
        Self::PaddedPieces,
        Self::SingleBytes,
        Self::ByteOnEach,
        Self::DeclaredLength,
        Self::Pings,
        Self::Refusals,
        Self::RapidReset,
        Self::UnreadResets,
        Self::SkippedIds,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Silence => "nothing",
            Self::Streams => "streams, as many as are allowed",
            Self::UnreadData => "4 MiB that are not read",
            Self::LargePieces => "4 MiB that are not read, in frames of 16 KiB",
            Self::PaddedPieces => "the same, with frames for no stream in between",
            Self::SingleBytes => "256 KiB that are not read, in frames of 1 B",
            Self::ByteOnEach => "1 B on each stream",
            Self::DeclaredLength => "a frame that declares 256 KiB and brings 100 B",
            Self::Pings => "50,000 pings, no pong read",
            Self::Refusals => "5,000 streams too many, no refusal read",
            Self::RapidReset => "5,000 streams opened and reset",
            Self::UnreadResets => "5,000 streams beyond the budget, no reset read",
            Self::SkippedIds => "streams with gaps between their ids",
        }
    }

    /// Whether the application accepts streams. It reads from none.
    fn is_accepted(self) -> bool {
        !matches!(self, Self::RapidReset | Self::UnreadResets)
    }

    /// The frame at `step`: type, flags, stream, length, and how many bytes of payload come.
    fn frame(self, step: u32) -> Option<(u8, u8, u32, u32, u32)> {
        let id = 2 * step + 1;
        let on_each = |frames: u32, bytes: u32| {
            let flags = if step < STREAMS { SYN } else { NONE };
            (step < frames).then_some((DATA, flags, 2 * (step % STREAMS) + 1, bytes, bytes))
        };
        match self {
            Self::Silence => None,
            Self::Streams => (step < STREAMS).then_some((WINDOW_UPDATE, SYN, id, 0, 0)),
            Self::UnreadData => on_each(STREAMS, 64 << 10),
            Self::LargePieces => on_each(4 * STREAMS, 16 << 10),
            Self::PaddedPieces if step.is_multiple_of(2) => {
                let piece = step / 2;
                let flags = if piece < STREAMS { SYN } else { NONE };
                (piece < 4 * STREAMS).then_some((DATA, flags, 2 * (piece % STREAMS) + 1, 16 << 10, 16 << 10))
            }
            Self::PaddedPieces => Some((DATA, NONE, 2 * STREAMS + 101, 48 << 10, 48 << 10)),
            Self::SingleBytes => on_each(256 << 10, 1),
            Self::ByteOnEach => on_each(STREAMS, 1),
            Self::DeclaredLength => (step == 0).then_some((DATA, SYN, 1, 256 << 10, 100)),
            Self::Pings => (step < 50_000).then_some((PING, SYN, 0, step, 0)),
            Self::Refusals => (step < 5000).then_some((WINDOW_UPDATE, SYN, id, 0, 0)),
            Self::RapidReset => {
                let flags = if step.is_multiple_of(2) { SYN } else { RST };
                (step < 10_000).then_some((WINDOW_UPDATE, flags, id - step % 2 * 2 - step / 2 * 2, 0, 0))
            }
            Self::UnreadResets if step == 0 => Some((DATA, SYN, 1, 200 << 10, 200 << 10)),
            Self::UnreadResets => (step < 5000).then_some((DATA, SYN, id, 60 << 10, 60 << 10)),
            Self::SkippedIds => (step < STREAMS).then_some((WINDOW_UPDATE, SYN, 200 * step + 1, 0, 0)),
        }
    }
}

/// What all peers of a run have done.
#[derive(Default)]
struct Progress {
    /// Peers that have sent everything, or were hung up on.
    done: AtomicU64,
}

/// A hostile peer, as the transport of a session.
struct Peer {
    attack: Attack,
    step: u32,
    header: [u8; 12],
    header_left: usize,
    payload_left: usize,
    taken: usize,
    progress: Arc<Progress>,
    is_done: bool,
}

impl Peer {
    fn new(attack: Attack, progress: Arc<Progress>) -> Self {
        let (header, is_done) = ([0; 12], false);
        Self { attack, step: 0, header, header_left: 0, payload_left: 0, taken: 0, progress, is_done }
    }

    fn next_frame(&mut self) -> bool {
        let Some((kind, flags, stream, length, payload)) = self.attack.frame(self.step) else { return false };
        self.header[..4].copy_from_slice(&[0, kind, 0, flags]);
        self.header[4..8].copy_from_slice(&stream.to_be_bytes());
        self.header[8..].copy_from_slice(&length.to_be_bytes());
        self.header_left = 12;
        self.payload_left = payload as usize;
        self.step += 1;
        true
    }

    fn finish(&mut self) {
        if !std::mem::replace(&mut self.is_done, true) {
            self.progress.done.fetch_add(1, Relaxed);
        }
    }
}

impl AsyncRead for Peer {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        meter::note_peak();
        let peer = self.get_mut();
        let before = buffer.filled().len();
        while buffer.remaining() > 0 {
            if peer.header_left > 0 {
                let count = peer.header_left.min(buffer.remaining());
                let from = 12 - peer.header_left;
                buffer.put_slice(&peer.header[from..from + count]);
                peer.header_left -= count;
            } else if peer.payload_left > 0 {
                let count = peer.payload_left.min(buffer.remaining());
                buffer.initialize_unfilled_to(count);
                buffer.advance(count);
                peer.payload_left -= count;
            } else if !peer.next_frame() {
                break;
            }
        }
        if buffer.filled().len() > before {
            return Poll::Ready(Ok(()));
        }
        peer.finish();
        // It stays, and says nothing more.
        Poll::Pending
    }
}

impl AsyncWrite for Peer {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        meter::note_peak();
        let peer = self.get_mut();
        let count = bytes.len().min(TAKEN_MAX - peer.taken);
        peer.taken += count;
        if count == 0 { Poll::Pending } else { Poll::Ready(Ok(count)) }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.finish();
    }
}

/// Runs every attack with so many connections, and prints a table. Returns whether all stayed below the bound.
pub async fn run(connections: u32) -> bool {
    println!(
        "| each of {connections} peers sends | sessions ended for it | peak a session, KiB | allowed, KiB |"
    );
    println!("|---|---|---|---|");
    let mut is_bounded = true;
    for attack in Attack::ALL {
        let (ended, peak) = attacked(attack, connections).await;
        is_bounded &= peak <= bound();
        println!("| {} | {ended} | {} | {} |", attack.name(), peak.div_ceil(KIB), bound() / KIB);
    }
    is_bounded
}

/// Returns how many sessions ended, and the most memory that there was, by session.
async fn attacked(attack: Attack, connections: u32) -> (u32, usize) {
    let progress = Arc::new(Progress::default());
    let mut sessions = Vec::with_capacity(connections as usize);
    let before = meter::bytes_in_use();
    meter::reset_peak();
    for _ in 0..connections {
        let session = Session::server(Tokio, Peer::new(attack, Arc::clone(&progress)), config());
        let accepting = session.clone();
        let task = tokio::spawn(async move {
            let mut held = Vec::new();
            while attack.is_accepted()
                && let Ok(stream) = accepting.accept().await
            {
                held.push(stream);
            }
            std::future::pending::<()>().await;
        });
        sessions.push((session, task));
    }
    while progress.done.load(Relaxed) < u64::from(connections) {
        tokio::task::yield_now().await;
    }
    // What follows from the last frames.
    tokio::time::sleep(Duration::from_millis(200)).await;
    meter::note_peak();
    let peak = usize::try_from(meter::peak() - before).unwrap_or(0) / connections as usize;
    let mut ended = 0;
    for (session, task) in &sessions {
        ended += u32::from(session.state() != wavetank_multiplexer::protocol::State::Open);
        task.abort();
    }
    // At once: each waits for a peer that never ends the transport.
    join_all(sessions.into_iter().map(async |(session, task)| {
        let _aborted = task.await;
        session.close().await;
    }))
    .await;
    (ended, peak)
}
