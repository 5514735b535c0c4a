//! Load on threads: both ways at once, slow readers, slow links, deadlines.

use std::io::Read as _;
use std::sync::Arc;

use wavetank::runtime::{BlockingListener as _, ListenOptions, SocketOptions, Threads};
use wavetank::{Faults, Host, Sim, sometimes};
use wavetank_multiplexer::blocking::Stream;
use wavetank_multiplexer::{Config, LocalReset, ReadError, Window, WriteError};
use wavetank_sim_tests::multiplexer::network::{self, Side};
use wavetank_sim_tests::multiplexer::{body, configured};

use super::world::{End, SECOND, SOON, end, inspect, pair, pair_with, read_error, spawn, write_error};

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
            let stream = Arc::new(end.session.open().expect("a stream"));
            let ours = Arc::clone(&stream);
            let reading = spawn(end.host, "reader", move || {
                let (_, result) = body::read_blocking(&mut &*ours, 0, 0, 10);
                assert_eq!(read_error(&result.expect_err("nothing comes")), ReadError::TimedOut);
            });
            let ours = Arc::clone(&stream);
            let writing = spawn(end.host, "writer", move || {
                let (written, result) = body::write_blocking(&mut &*ours, 0, 0..LARGE, 30_000);
                assert_eq!(write_error(&result.expect_err("no thread reads")), WriteError::TimedOut);
                written
            });
            // Both wait by then.
            end.sleep(2 * SECOND);
            let start = end.now();
            stream.set_read_deadline(Some(start + 3 * SECOND));
            stream.set_write_deadline(Some(start + 4 * SECOND));
            reading();
            let waited = end.now() - start;
            assert!(waited >= 3 * SECOND && waited <= 3 * SECOND + SOON, "{waited:?}");
            let written = writing();
            let waited = end.now() - start;
            assert!(waited >= 4 * SECOND && waited <= 4 * SECOND + SOON, "{waited:?}");
            stream.set_read_deadline(None);
            stream.set_write_deadline(None);
            let (rest, result) = body::write_blocking(&mut &*stream, 0, written..LARGE, 30_000);
            assert!(result.is_ok() && written + rest == LARGE, "the same bytes go on");
            stream.close_write().expect("the stream is open");
            let (read, result) = body::read_blocking(&mut &*stream, 0, 0, 1);
            assert!(read == 0 && result.is_ok());
            drop(stream);
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

/// Threads that use one stream at once share it: each byte is written once, and read by one of them.
#[wavetank::test(seeds = 100)]
fn threads_share_the_halves_of_a_stream(sim: &mut Sim) {
    const BYTES: u64 = 200_000;
    const THREADS: u32 = 3;
    fn sum(bytes: &[u8]) -> u64 {
        bytes.iter().map(|&byte| u64::from(byte)).sum()
    }
    pair(
        sim,
        configured(|config| {
            config.window(Window::Fixed(256 << 10));
        }),
        |end| {
            let stream = Arc::new(end.session.open().expect("a stream"));
            let writers: Vec<_> = (0..THREADS)
                .map(|seed| {
                    let stream = Arc::clone(&stream);
                    spawn(end.host, "writer", move || {
                        body::write_blocking(&mut &*stream, seed, 0..BYTES, 7000).1.expect("written");
                    })
                })
                .collect();
            for writer in writers {
                writer();
            }
            stream.close_write().expect("the stream is open");
            let (read, result) = body::read_blocking(&mut &*stream, 0, 0, 1);
            assert!(read == 0 && result.is_ok(), "{read} {result:?}");
            drop(stream);
            end.finish(SOON);
        },
        |end| {
            let stream = Arc::new(end.session.accept().expect("a stream"));
            let readers: Vec<_> = (0..THREADS)
                .map(|_| {
                    let stream = Arc::clone(&stream);
                    spawn(end.host, "reader", move || {
                        let (mut count, mut total, mut buffer) = (0, 0, vec![0; 5000]);
                        while let read @ 1.. = (&*stream).read(&mut buffer).expect("no error") {
                            count += read as u64;
                            total += sum(&buffer[..read]);
                        }
                        (count, total)
                    })
                })
                .collect();
            let (counts, totals): (Vec<u64>, Vec<u64>) = readers.into_iter().map(|reader| reader()).unzip();
            let expected: u64 = (0..THREADS).map(|seed| sum(&body::bytes(seed, 0..BYTES))).sum();
            assert_eq!(counts.iter().sum::<u64>(), u64::from(THREADS) * BYTES);
            assert_eq!(totals.iter().sum::<u64>(), expected);
            stream.close_write().expect("the stream is open");
            drop(stream);
            end.ends();
        },
    );
}

/// 100 ms there and back, and no limit of bandwidth: a tuned window grows, a fixed one moves one window a round trip.
#[wavetank::test(seeds = 20)]
fn a_tuned_window_outgrows_the_round_trip(sim: &mut Sim) {
    const BYTES: u64 = 8 << 20;
    let tuned = sim.choose("tuned", 2) == 1;
    sim.perturb(false);
    sim.latency(SECOND / 20..=SECOND / 20);
    let window = if tuned { Window::default() } else { Window::Fixed(256 << 10) };
    // A socket's own buffers are not to be the limit.
    let wide = SocketOptions::new().send_buffer_bytes(16 << 20).receive_buffer_bytes(16 << 20);
    pair_with(
        sim,
        configured(|config| {
            config.window(window);
        }),
        wide,
        move |end| {
            end.session.ping().expect("a pong");
            let mut stream = end.session.open().expect("a stream");
            let start = end.now();
            body::write_blocking(&mut stream, 0, 0..BYTES, 64 << 10).1.expect("written");
            stream.close_write().expect("the stream is open");
            let (read, result) = body::read_blocking(&mut stream, 1, 0, 2);
            assert!(read == 0 && result.is_ok(), "{read} {result:?}");
            let took = end.now() - start;
            // 32 windows of 256 KiB; half a window is granted at a time, so at least 16 round trips.
            if tuned {
                assert!(took < SECOND * 5 / 2, "{took:?}");
            } else {
                assert!(took > SECOND * 3 / 2, "{took:?}");
            }
            drop(stream);
            end.finish(SECOND);
        },
        move |end| {
            let mut stream = end.session.accept().expect("a stream");
            let (read, result) = body::read_blocking(&mut stream, 0, 0, BYTES + 1);
            assert!(read == BYTES && result.is_ok(), "{read} {result:?}");
            let tuned_to = stream.statistics().receive_window;
            assert_eq!(tuned_to > 256 << 10, tuned, "{tuned_to}");
            stream.close_write().expect("the stream is open");
            drop(stream);
            end.ends();
        },
    );
}

/// Sessions that start at one instant do not ping at one instant.
#[wavetank::test(seeds = 20)]
fn keepalive_pings_are_spread(sim: &mut Sim) {
    sim.perturb(false);
    sim.server_thread("server", |host: Host| -> std::io::Result<()> {
        let listener = Threads::listen(&host, ([0, 0, 0, 0], 80).into(), ListenOptions::new())?;
        // What comes is not read: each session sends its first ping, and the next says that it is time.
        let mut held = Vec::new();
        loop {
            held.push(listener.accept()?);
        }
    });
    sim.client_thread("client", |host: Host| {
        let transports: std::io::Result<Vec<_>> =
            (0..8).map(|_| network::connect_blocking(&host, SocketOptions::new())).collect();
        let config = configured(|config| {
            config.keepalive().interval(Some(20 * SECOND)).timeout(20 * SECOND);
        });
        let mut ends = Vec::new();
        for transport in transports? {
            ends.push(end(host, Side::Client, transport, config.clone())?);
        }
        let second_pings = || ends.iter().filter(|end| end.monitor.pings_sent() > 1).count();
        Threads::sleep(&host, 14 * SECOND);
        assert_eq!(second_pings(), 0, "not before three quarters");
        let mut counts = Vec::new();
        while second_pings() < 8 {
            Threads::sleep(&host, SECOND / 10);
            counts.push(second_pings());
            assert!(counts.len() < 65, "not after the interval: {counts:?}");
        }
        let spread = counts.iter().filter(|&&count| count > 0 && count < 8).count();
        assert!(spread >= 10, "within less than a second: {counts:?}");
        for end in ends {
            end.session.close();
        }
        wavetank::Ok(())
    });
}
