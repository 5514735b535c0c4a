//! Load on threads: both ways at once, slow readers, slow links, deadlines.

use wavetank::runtime::SocketOptions;
use wavetank::{Faults, Host, Sim, sometimes};
use wavetank_multiplexer::blocking::Stream;
use wavetank_multiplexer::{Config, LocalReset, ReadError, Window, WriteError};
use wavetank_sim_tests::multiplexer::body;
use wavetank_sim_tests::multiplexer::configured;

use super::world::{End, SECOND, SOON, inspect, pair, pair_with, read_error, spawn, write_error};

const LARGE: u64 = 1 << 20;

/// Writes and reads `bytes` at once, each half on a thread of its own.
fn both_ways(end: &End, stream: Stream<Host>, bytes: u64) {
    let (mut reader, mut writer) = stream.into_split();
    let writing = spawn(end.host, "writer", move || {
        body::write_blocking(&mut writer, 5, 0..bytes, 10_000).1.expect("written");
        writer.close_write().expect("the stream is open");
    });
    let (read, result) = body::read_blocking(&mut reader, 5, 0, bytes + 1);
    assert!(read == bytes && result.is_ok(), "{read} {result:?}");
    writing();
}

/// Both ends write as much as they can over buffers that hold little, and ping: reading never waits on writing.
#[wavetank::test(seeds = 80)]
fn saturated_ends_answer_pings_and_finish(sim: &mut Sim) {
    let narrow = SocketOptions::new().send_buffer_bytes(4096).receive_buffer_bytes(4096);
    sim.faults(Faults::none().tiny_windows().short_transfers());
    fn side(end: &End, opens: bool) {
        let mut streams = Vec::new();
        for _ in 0..3 {
            let opened = || end.session.open().expect("a stream");
            let stream = if opens { opened() } else { end.session.accept().expect("a stream") };
            let copy = end.clone();
            streams.push(spawn(end.host, "stream", move || both_ways(&copy, stream, 100_000)));
        }
        for _ in 0..3 {
            end.session.ping().expect("a pong, however much there is to write");
        }
        for stream in streams {
            stream();
        }
    }
    pair_with(
        sim,
        Config::default(),
        narrow,
        |end| {
            side(&end, true);
            end.answer();
            end.finish(60 * SECOND);
        },
        |end| {
            side(&end, false);
            end.ask();
            end.ends();
        },
    );
}

/// A stream that no task reads does not hold up another one of the same session.
#[wavetank::test(seeds = 80)]
fn an_unread_stream_does_not_stop_others(sim: &mut Sim) {
    pair(
        sim,
        configured(|config| {
            config.window(Window::Fixed(256 << 10));
        }),
        |end| {
            let mut slow = end.session.open().expect("a stream");
            let mut fast = end.session.open().expect("a stream");
            let writing = spawn(end.host, "slow", move || {
                body::write_blocking(&mut slow, 1, 0..LARGE, 50_000).1.expect("written");
                slow.close_write().expect("the stream is open");
            });
            let start = end.now();
            for round in 0..50 {
                let range = round * 100..round * 100 + 100;
                body::write_blocking(&mut fast, 2, range, 100).1.expect("written");
                let (read, result) = body::read_blocking(&mut fast, 2, round * 100, 100);
                assert!(read == 100 && result.is_ok(), "{read} {result:?}");
            }
            assert!(end.now() - start < 20 * SECOND, "held up for {:?}", end.now() - start);
            fast.close_write().expect("the stream is open");
            let (read, result) = body::read_blocking(&mut fast, 2, 5000, 1);
            assert!(read == 0 && result.is_ok());
            drop(fast);
            writing();
            end.finish(60 * SECOND);
        },
        |end| {
            let mut slow = end.session.accept().expect("a stream");
            let mut fast = end.session.accept().expect("a stream");
            body::echo_blocking(&mut fast).expect("echoed while the other is not read");
            fast.close_write().expect("the stream is open");
            drop(fast);
            end.sleep(30 * SECOND);
            inspect(&slow);
            let (read, result) = body::read_blocking(&mut slow, 1, 0, LARGE + 1);
            assert!(read == LARGE && result.is_ok(), "{read} {result:?}");
            let _may_be_stopped = slow.close();
            drop(slow);
            end.ends();
        },
    );
}

/// Much more than a window over a link of 20 kB/s, both ways: it takes minutes, and no timeout ends it.
#[wavetank::test(seeds = 20)]
fn a_slow_link_is_no_dead_link(sim: &mut Sim) {
    let config = configured(|config| {
        config.keepalive().interval(Some(5 * SECOND)).timeout(5 * SECOND);
        config.timeouts().transport_stall(10 * SECOND);
    });
    pair(
        sim,
        config,
        |end| {
            end.host.inject().narrow("client", "server", 20_000);
            let stream = end.session.open().expect("a stream");
            let start = end.now();
            both_ways(&end, stream, LARGE);
            assert!(end.now() - start > 50 * SECOND, "the link is slow");
            end.finish(100 * SECOND);
        },
        |end| {
            let stream = end.session.accept().expect("a stream");
            both_ways(&end, stream, LARGE);
            end.ends();
        },
    );
}

/// A deadline ends the wait of a read and of a write, also one that is set while they wait, and harms nothing.
#[wavetank::test(seeds = 60)]
fn deadlines_end_waits_and_nothing_else(sim: &mut Sim) {
    pair(
        sim,
        configured(|config| {
            config.window(Window::Fixed(256 << 10));
        }),
        |end| {
            let (mut reader, mut writer) = end.session.open().expect("a stream").into_split();
            let start = end.now();
            reader.set_read_deadline(Some(start + 3 * SECOND));
            let (_, result) = body::read_blocking(&mut reader, 0, 0, 10);
            assert_eq!(read_error(&result.expect_err("nothing comes")), ReadError::TimedOut);
            writer.set_write_deadline(Some(end.now() + 3 * SECOND));
            let waiting = spawn(end.host, "writer", move || {
                let (written, result) = body::write_blocking(&mut writer, 0, 0..LARGE, 30_000);
                assert_eq!(write_error(&result.expect_err("no task reads")), WriteError::TimedOut);
                writer.set_write_deadline(None);
                let (rest, result) = body::write_blocking(&mut writer, 0, written..LARGE, 30_000);
                assert!(result.is_ok() && written + rest == LARGE, "the same bytes go on");
                writer.close_write().expect("the stream is open");
            });
            reader.set_read_deadline(None);
            let (read, result) = body::read_blocking(&mut reader, 0, 0, 1);
            assert!(read == 0 && result.is_ok());
            waiting();
            drop(reader);
            end.finish(SOON);
        },
        |end| {
            let mut stream = end.session.accept().expect("a stream");
            end.sleep(20 * SECOND);
            let (read, result) = body::read_blocking(&mut stream, 0, 0, LARGE + 1);
            assert!(read == LARGE && result.is_ok(), "{read} {result:?}");
            stream.close_write().expect("the stream is open");
            drop(stream);
            end.ends();
        },
    );
}

/// What waits for readers on all streams together is bounded: a stream that would exceed it is reset, and has no gap.
#[wavetank::test(seeds = 40, sometimes = "required")]
fn a_receive_budget_resets_streams_without_gaps(sim: &mut Sim) {
    let mut config = configured(|config| {
        config.window(Window::Fixed(256 << 10));
    });
    config.limits().receive_budget_bytes(400_000);
    pair(
        sim,
        config,
        |end| {
            let writers: Vec<_> = (0..4)
                .map(|seed| {
                    let mut stream = end.session.open().expect("a stream");
                    let (read, result) = body::read_blocking(&mut stream, 9, 0, 1);
                    assert!(read == 1 && result.is_ok(), "the stream is accepted: {result:?}");
                    spawn(end.host, "writer", move || {
                        if body::write_blocking(&mut stream, seed, 0..LARGE, 30_000).1.is_ok() {
                            let _reset_meanwhile = stream.close_write();
                        }
                    })
                })
                .collect();
            for writer in writers {
                writer();
            }
            end.finish(60 * SECOND);
        },
        |end| {
            let accept = |_| {
                let mut stream = end.session.accept().expect("a stream");
                body::write_blocking(&mut stream, 9, 0..1, 1).1.expect("written");
                stream
            };
            let streams: Vec<_> = (0..4).map(accept).collect();
            end.sleep(20 * SECOND);
            assert!(end.session.statistics().buffered_bytes <= 400_000);
            for (mut stream, seed) in streams.into_iter().zip(0..) {
                let (read, result) = body::read_blocking(&mut stream, seed, 0, LARGE + 1);
                match result {
                    Ok(()) => assert_eq!(read, LARGE, "an end only behind everything"),
                    Err(error) => {
                        assert_eq!(read_error(&error), ReadError::ResetHere(LocalReset::ReceiveBudget));
                        sometimes!(true, "a stream is reset");
                    }
                }
                let _was_reset = stream.close();
            }
            end.ends();
        },
    );
}
