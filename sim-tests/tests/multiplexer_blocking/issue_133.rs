//! hashicorp/yamux#133 on threads: the writer learns at once that no task reads, in both roles, however the
//! stream is left.

use std::time::Duration;
use wavetank_sim_tests::multiplexer::configured;

use wavetank::runtime::Instant;
use wavetank::{Host, Sim, sometimes};
use wavetank_multiplexer::blocking::Stream;
use wavetank_multiplexer::{Config, ResetCode, Window, WriteEnd, WriteError};
use wavetank_sim_tests::multiplexer::body;

use super::world::{Cell, End, SECOND, SOON, finish_writing, inspect, pair, spawn, write_error};

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

    fn leave(self, mut stream: Stream<Host>) {
        match self {
            Self::Close => close(&stream),
            Self::FinishThenStop => {
                finish_writing(&stream);
                stream.stop();
            }
            Self::StopThenFinish => {
                stream.stop();
                finish_writing(&stream);
            }
            Self::FinishThenDrop => finish_writing(&stream),
            Self::Drop => {}
            Self::Reset => stream.reset(ResetCode::new(7)),
            Self::ReadHalfFirst => {
                let (reader, writer) = stream.into_split();
                drop(reader);
                drop(writer.close_write());
            }
            Self::WriteHalfFirst => {
                let (reader, writer) = stream.into_split();
                drop(writer.close_write());
                drop(writer);
                drop(reader);
            }
            Self::DrainThenClose => {
                let (read, result) = body::read_blocking(&mut stream, 0, READ, WRITTEN);
                assert!(read == WRITTEN - READ && result.is_ok(), "{read} {result:?}");
                close(&stream);
            }
        }
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

fn close(stream: &Stream<Host>) {
    let result = stream.close();
    assert!(matches!(result, Ok(()) | Err(WriteError::Stopped)), "{result:?}");
}

fn write(end: &End, how: Leave, left: &Cell<Instant>) {
    let (reader, mut writer) = end.session.open().expect("a stream").into_split();
    let stream = std::sync::Arc::new(reader);
    let (written, result) = body::write_blocking(&mut writer, 0, 0..WRITTEN, MESSAGE);
    match result {
        Ok(()) => {
            assert_eq!(written, WRITTEN);
            let _stopped_before_the_end = writer.close_write();
            let seen = writer.wait_stopped();
            drop(stream);
            let fine = match &seen {
                WriteEnd::Complete => true,
                // A reader that has everything but the end stops, too.
                WriteEnd::Failed(WriteError::Stopped) => how != Leave::Drop,
                WriteEnd::Failed(error) => how.is_told_by(error) || matches!(error, WriteError::ResetHere(_)),
                _ => false,
            };
            assert!(fine, "{how:?}: {seen:?}");
        }
        Err(error) => {
            let (learned, error) = (end.now(), write_error(&error));
            assert!(how.is_told_by(&error), "{how:?}: {error}");
            let late = learned - left.get().expect("the reader has left");
            assert!(late <= SOON, "{how:?}: told {late:?} after the reader left");
            let again = body::write_blocking(&mut writer, 0, 0..1, 1).1.expect_err("it stays so");
            assert_eq!(write_error(&again), error);
            assert_eq!(writer.wait_stopped(), WriteEnd::Failed(error));
            sometimes!(written > READ, "the writer is ahead of the reader");
        }
    }
}

fn read(end: &End, how: Leave, unread: bool, left: &Cell<Instant>) {
    let mut stream = end.session.accept().expect("a stream");
    let mut offset = 0;
    while offset < READ {
        let (read, result) = body::read_blocking(&mut stream, 0, offset, MESSAGE as u64);
        assert!(read > 0 && result.is_ok(), "{offset} {result:?}");
        offset += read;
        inspect(&stream);
    }
    if unread && how != Leave::DrainThenClose {
        end.sleep(2 * SOON);
        assert!(stream.statistics().buffered_bytes > 0, "what was not read waits");
    }
    left.set(end.now());
    how.leave(stream);
}

/// The reported scenario; `how` and all that matters beside it follow from the seed.
#[wavetank::test(seeds = 800, sometimes = "required")]
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
        move |end| {
            if client_writes {
                write(&end, how, &left);
            } else {
                read(&end, how, unread, &left);
            }
            end.ask();
            end.finish(2 * SOON);
        },
        move |end| {
            if client_writes {
                read(&end, how, unread, &of_server);
            } else {
                write(&end, how, &of_server);
            }
            end.answer();
            end.ends();
        },
    );
}

/// A thread that waits for nothing else learns that its reader has gone, without reading or writing.
#[wavetank::test(seeds = 100)]
fn a_waiting_thread_is_told_without_writing(sim: &mut Sim) {
    let how = Leave::ALL[sim.choose("leave", 8) as usize];
    pair(
        sim,
        Config::default(),
        move |end| {
            let mut stream = end.session.open().expect("a stream");
            body::write_blocking(&mut stream, 0, 0..10, 10).1.expect("written");
            assert_eq!(stream.wait_stopped_timeout(SECOND), None);
            let start = end.now();
            let (reader, writer) = stream.into_split();
            let seen = spawn(end.host, "watcher", move || writer.wait_stopped());
            let seen = seen();
            assert!(matches!(&seen, WriteEnd::Failed(error) if how.is_told_by(error)), "{how:?}: {seen:?}");
            assert!(end.now() - start <= 2 * SECOND + SOON);
            drop(reader);
            end.finish(SOON);
        },
        move |end| {
            let stream = end.session.accept().expect("a stream");
            end.sleep(3 * SECOND);
            how.leave(stream);
            end.ends();
        },
    );
}

/// The reader leaves under a partition: the writer learns once the link is back.
#[wavetank::test(seeds = 150)]
fn a_partition_only_delays_the_news(sim: &mut Sim) {
    let how = Leave::ALL[sim.choose("leave", 8) as usize];
    let partition = Duration::from_secs([9, 11][sim.choose("partition", 2) as usize]);
    pair(
        sim,
        configured(|config| {
            config.window(Window::Fixed(256 << 10));
        }),
        move |end| {
            let mut stream = end.session.open().expect("a stream");
            let start = end.now();
            let (_, result) = body::write_blocking(&mut stream, 0, 0..WRITTEN, MESSAGE);
            let error = write_error(&result.expect_err("no task reads"));
            assert!(how.is_told_by(&error), "{how:?}: {error}");
            assert!(end.now() - start <= 2 * SECOND + 2 * partition + SOON, "{:?}", end.now() - start);
            drop(stream);
            end.ask();
            end.finish(2 * SOON);
        },
        move |end| {
            let stream = end.session.accept().expect("a stream");
            end.sleep(2 * SECOND);
            end.host.inject().partition("client", "server");
            how.leave(stream);
            end.sleep(partition);
            end.host.inject().heal("client", "server");
            end.answer();
            end.ends();
        },
    );
}
