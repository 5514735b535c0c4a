//! hashicorp/yamux#133: a client writes ten messages, more than the window; the server reads five and
//! leaves the stream in one way or another. The writer learns of it at once, in both roles, however the
//! stream is left.

use std::time::Duration;
use wavetank_sim_tests::multiplexer::configured;

use wavetank::runtime::{Instant, Runtime};
use wavetank::{Host, Sim, sometimes};
use wavetank_multiplexer::{ResetCode, Stream, Window, WriteEnd, WriteError};
use wavetank_sim_tests::multiplexer::body;

use super::world::{Cell, End, SECOND, SOON, finish_writing, inspect, pair, write_error};

pub(crate) const MESSAGE: usize = 100 << 10;
pub(crate) const WRITTEN: u64 = 10 * MESSAGE as u64;
pub(crate) const READ: u64 = 5 * MESSAGE as u64;

/// How a reader leaves a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leave {
    Close,
    FinishThenStop,
    StopThenFinish,
    FinishThenDrop,
    Drop,
    Reset,
    ReadHalfFirst,
    WriteHalfFirst,
    /// The way out that the issue names: everything is read before the close.
    DrainThenClose,
}

impl Leave {
    const ALL: [Self; 9] = [
        Self::Close,
        Self::FinishThenStop,
        Self::StopThenFinish,
        Self::FinishThenDrop,
        Self::Drop,
        Self::Reset,
        Self::ReadHalfFirst,
        Self::WriteHalfFirst,
        Self::DrainThenClose,
    ];

    async fn leave(self, mut stream: Stream<Host>) {
        match self {
            Self::Close => close(&mut stream),
            Self::FinishThenStop => {
                finish_writing(&mut stream);
                stream.stop();
            }
            Self::StopThenFinish => {
                stream.stop();
                finish_writing(&mut stream);
            }
            Self::FinishThenDrop => finish_writing(&mut stream),
            Self::Drop => {}
            Self::Reset => stream.reset(ResetCode::new(7)),
            Self::ReadHalfFirst => {
                let (reader, mut writer) = stream.into_split();
                drop(reader);
                drop(writer.close_write());
                return;
            }
            Self::WriteHalfFirst => {
                let (reader, mut writer) = stream.into_split();
                drop(writer.close_write());
                drop(writer);
                drop(reader);
                return;
            }
            Self::DrainThenClose => {
                let (read, result) = body::read(&mut stream, 0, READ, WRITTEN).await;
                assert!(read == WRITTEN - READ && result.is_ok(), "{read} {result:?}");
                close(&mut stream);
            }
        }
        drop(stream);
    }

    /// What the writer learns.
    fn is_told_by(self, error: &WriteError) -> bool {
        match self {
            Self::Drop => *error == WriteError::Reset(ResetCode::NONE),
            Self::Reset => *error == WriteError::Reset(ResetCode::new(7)),
            Self::DrainThenClose => false,
            _ => matches!(error, WriteError::Stopped | WriteError::Reset(_)),
        }
    }
}

fn close(stream: &mut Stream<Host>) {
    let result = stream.close();
    assert!(matches!(result, Ok(()) | Err(WriteError::Stopped)), "{result:?}");
}

/// Writes ten messages; checks what it learns, and when.
async fn write(end: &End, how: Leave, left: &Cell<Instant>) {
    let mut stream = end.session.open().await.expect("a stream");
    let (stopped, host) = (stream.stopped(), end.host);
    let watching = host.spawn("watcher", async move {
        let end = stopped.await;
        (end, Runtime::now(&host))
    });
    let (written, result) = body::write(&mut stream, 0, 0..WRITTEN, MESSAGE).await;
    match result {
        Ok(()) => {
            assert_eq!(written, WRITTEN);
            let _stopped_before_the_end = stream.close_write();
        }
        Err(error) => {
            let (learned, error) = (end.now(), write_error(&error));
            assert!(how.is_told_by(&error), "{how:?}: {error}");
            let late = learned - left.get().expect("the reader has left");
            assert!(late <= SOON, "{how:?}: told {late:?} after the reader left");
            let again = body::write(&mut stream, 0, 0..1, 1).await.1.expect_err("it stays so");
            assert_eq!(write_error(&again), error);
            let (seen, when) = watching.await.expect("no panic");
            assert_eq!(seen, WriteEnd::Failed(error), "without reading or writing");
            assert!(when - left.get().expect("the reader has left") <= SOON);
            sometimes!(written > READ, "the writer is ahead of the reader");
            return;
        }
    }
    drop(stream);
    // A writer that had written everything is not disturbed when the reader leaves, and does not learn it. A reader
    // that has everything but the end stops, too.
    let (seen, _) = watching.await.expect("no panic");
    let fine = match &seen {
        // The stream may have ended on the wire before the reader left.
        WriteEnd::Complete => true,
        WriteEnd::Failed(WriteError::Stopped) => how != Leave::Drop,
        WriteEnd::Failed(error) => how.is_told_by(error) || matches!(error, WriteError::ResetHere(_)),
        _ => false,
    };
    assert!(fine, "{how:?}: {seen:?}");
}

async fn read(end: &End, how: Leave, unread: bool, left: &Cell<Instant>) {
    let mut stream = end.session.accept().await.expect("a stream");
    let mut offset = 0;
    while offset < READ {
        let (read, result) = body::read(&mut stream, 0, offset, MESSAGE as u64).await;
        assert!(read > 0 && result.is_ok(), "{offset} {result:?}");
        offset += read;
        inspect(&stream);
    }
    if unread && how != Leave::DrainThenClose {
        // The writer waits for credit by then.
        end.sleep(2 * SOON).await;
        assert!(stream.statistics().buffered_bytes > 0, "what was not read waits");
    }
    left.set(end.now());
    how.leave(stream).await;
}

/// The reported scenario; `how` and all that matters beside it follow from the seed.
#[wavetank::test(seeds = 1500, sometimes = "required")]
fn the_writer_learns_at_once(sim: &mut Sim) {
    let how = Leave::ALL[sim.choose("leave", Leave::ALL.len() as u32) as usize];
    let unread = sim.choose("unread", 2) == 1;
    let client_writes = sim.choose("client writes", 2) == 0;
    let window = [Window::Fixed(256 << 10), Window::default()][sim.choose("window", 2) as usize];
    let config = configured(|config| {
        config.window(window);
    });
    let left = Cell::new();
    let of_server = left.clone();
    pair(
        sim,
        config,
        async move |end| {
            if client_writes {
                write(&end, how, &left).await;
            } else {
                read(&end, how, unread, &left).await;
            }
            end.ask().await;
            end.finish(2 * SOON).await;
        },
        async move |end| {
            if client_writes {
                read(&end, how, unread, &of_server).await;
            } else {
                write(&end, how, &of_server).await;
            }
            end.answer().await;
            end.ends().await;
        },
    );
}

/// Nothing is read at all, and the reader leaves under partitions: the writer learns once the link is back.
#[wavetank::test(seeds = 300)]
fn a_partition_only_delays_the_news(sim: &mut Sim) {
    let how = Leave::ALL[sim.choose("leave", 8) as usize];
    let partition = Duration::from_secs([9, 11][sim.choose("partition", 2) as usize]);
    let config = configured(|config| {
        config.window(Window::Fixed(256 << 10));
    });
    pair(
        sim,
        config,
        async move |end| {
            let mut stream = end.session.open().await.expect("a stream");
            let start = end.now();
            let (written, result) = body::write(&mut stream, 0, 0..WRITTEN, MESSAGE).await;
            assert!(written <= 256 << 10, "{written}");
            let error = write_error(&result.expect_err("no task reads"));
            assert!(how.is_told_by(&error), "{how:?}: {error}");
            // Retransmissions find the link again: the last begins before the partition ends, and lasts as long as it.
            assert!(end.now() - start <= 2 * SECOND + 2 * partition + SOON, "{:?}", end.now() - start);
            drop(stream);
            end.ask().await;
            end.finish(2 * SOON).await;
        },
        async move |end| {
            let stream = end.session.accept().await.expect("a stream");
            end.sleep(2 * SECOND).await;
            end.host.inject().partition("client", "server");
            how.leave(stream).await;
            end.sleep(partition).await;
            end.host.inject().heal("client", "server");
            end.answer().await;
            end.ends().await;
        },
    );
}
