//! Load: both ways at once, slow readers, slow links, split halves, windows and deadlines.

use std::time::Duration;
use wavetank_sim_tests::multiplexer::configured;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use wavetank::runtime::{Runtime, SocketOptions};
use wavetank::{Faults, Sim, cancellable, sometimes};
use wavetank_multiplexer::{Config, LocalReset, ReadError, Stream, Window, WriteError};
use wavetank_sim_tests::multiplexer::body;

use super::world::{
    Cell, End, LATE, SECOND, SOON, Transports, inspect, pair, pair_with, read_error, write_error,
};

const LARGE: u64 = 1 << 20;

/// Writes and reads `bytes` at once, each half on a task of its own.
async fn both_ways(end: &End, stream: Stream<wavetank::Host>, bytes: u64) {
    let (mut reader, mut writer) = stream.into_split();
    let writing = end.host.spawn("writer", async move {
        body::write(&mut writer, 5, 0..bytes, 10_000).await.1.expect("written");
        writer.shutdown().await.expect("finished");
    });
    let (read, result) = body::read(&mut reader, 5, 0, bytes + 1).await;
    assert!(read == bytes && result.is_ok(), "{read} {result:?}");
    writing.await.expect("no panic");
}

/// Both ends write as much as they can over buffers that hold little, and ping: reading never waits on writing.
#[wavetank::test(seeds = 150)]
fn saturated_ends_answer_pings_and_finish(sim: &mut Sim) {
    let options = SocketOptions::new().send_buffer_bytes(4096).receive_buffer_bytes(4096);
    let narrow = Transports { options, awkward: true };
    sim.faults(Faults::none().tiny_windows().short_transfers());
    let side = async |end: End, opens: bool| {
        let mut tasks = Vec::new();
        for _ in 0..3 {
            let stream = if opens {
                end.session.open().await.expect("a stream")
            } else {
                end.session.accept().await.expect("a stream")
            };
            let copy = end.clone();
            tasks.push(end.host.spawn("stream", async move { both_ways(&copy, stream, 100_000).await }));
        }
        for _ in 0..3 {
            end.session.ping().await.expect("a pong, however much there is to write");
        }
        for task in tasks {
            task.await.expect("no panic");
        }
    };
    pair_with(
        sim,
        Config::default(),
        narrow,
        async move |end| {
            side(end.clone(), true).await;
            end.answer().await;
            end.finish(LATE).await;
        },
        async move |end| {
            side(end.clone(), false).await;
            end.ask().await;
            end.ends().await;
        },
    );
}

/// A stream that no task reads does not hold up another one of the same session.
#[wavetank::test(seeds = 150)]
fn an_unread_stream_does_not_stop_others(sim: &mut Sim) {
    pair(
        sim,
        configured(|config| {
            config.window(Window::Fixed(256 << 10));
        }),
        async |end| {
            let mut slow = end.session.open().await.expect("a stream");
            let mut fast = end.session.open().await.expect("a stream");
            let writing = end.host.spawn("slow", async move {
                body::write(&mut slow, 1, 0..LARGE, 50_000).await.1.expect("written");
                slow.shutdown().await.expect("finished");
            });
            let start = end.now();
            for round in 0..50 {
                body::write(&mut fast, 2, round * 100..round * 100 + 100, 100).await.1.expect("written");
                let (read, result) = body::read(&mut fast, 2, round * 100, 100).await;
                assert!(read == 100 && result.is_ok(), "{read} {result:?}");
            }
            assert!(end.now() - start < 20 * SECOND, "held up for {:?}", end.now() - start);
            fast.shutdown().await.expect("finished");
            let (read, result) = body::read(&mut fast, 2, 5000, 1).await;
            assert!(read == 0 && result.is_ok());
            drop(fast);
            writing.await.expect("no panic");
            end.finish(60 * SECOND).await;
        },
        async |end| {
            let mut slow = end.session.accept().await.expect("a stream");
            let mut fast = end.session.accept().await.expect("a stream");
            body::echo(&mut fast).await.expect("echoed while the other is not read");
            drop(fast);
            inspect(&slow);
            end.sleep(30 * SECOND).await;
            inspect(&slow);
            let (read, result) = body::read(&mut slow, 1, 0, LARGE + 1).await;
            assert!(read == LARGE && result.is_ok(), "{read} {result:?}");
            let _may_be_stopped = slow.close();
            drop(slow);
            end.ends().await;
        },
    );
}

/// Much more than a window over a link of 20 kB/s, both ways: it takes minutes, and no timeout ends it.
#[wavetank::test(seeds = 40)]
fn a_slow_link_is_no_dead_link(sim: &mut Sim) {
    pair(
        sim,
        configured(|config| {
            config.keepalive().interval(Some(5 * SECOND)).timeout(5 * SECOND);
            config.timeouts().transport_stall(10 * SECOND);
        }),
        async |end| {
            end.host.inject().narrow("client", "server", 20_000);
            let stream = end.session.open().await.expect("a stream");
            let start = end.now();
            both_ways(&end, stream, LARGE).await;
            assert!(end.now() - start > 50 * SECOND, "the link is slow");
            end.finish(100 * SECOND).await;
        },
        async |end| {
            let stream = end.session.accept().await.expect("a stream");
            both_ways(&end, stream, LARGE).await;
            end.ends().await;
        },
    );
}

/// 100 ms there and back, and no limit of bandwidth: a tuned window grows until a stream moves megabytes a
/// second, a fixed one stays at one window a round trip.
#[wavetank::test(seeds = 20)]
fn a_tuned_window_outgrows_the_round_trip(sim: &mut Sim) {
    const BYTES: u64 = 8 << 20;
    let tuned = sim.choose("tuned", 2) == 1;
    sim.perturb(false);
    sim.latency(SECOND / 20..=SECOND / 20);
    let window = if tuned { Window::default() } else { Window::Fixed(256 << 10) };
    // A socket's own buffers are not to be the limit.
    let options = SocketOptions::new().send_buffer_bytes(16 << 20).receive_buffer_bytes(16 << 20);
    let wide = Transports { options, awkward: false };
    pair_with(
        sim,
        configured(|config| {
            config.window(window);
        }),
        wide,
        async move |end| {
            end.session.ping().await.expect("a pong");
            let mut stream = end.session.open().await.expect("a stream");
            let start = end.now();
            body::write(&mut stream, 0, 0..BYTES, 64 << 10).await.1.expect("written");
            stream.close_write().expect("the stream is open");
            let (read, result) = body::read(&mut stream, 1, 0, 2).await;
            assert!(read == 1 && result.is_ok());
            let took = end.now() - start;
            // 32 windows of 256 KiB; half a window is granted at a time, so at least 16 round trips.
            if tuned {
                assert!(took < SECOND * 5 / 2, "{took:?}");
            } else {
                assert!(took > SECOND * 3 / 2, "{took:?}");
            }
            drop(stream);
            end.finish(SECOND).await;
        },
        async move |end| {
            let mut stream = end.session.accept().await.expect("a stream");
            let mut offset = 0;
            while offset < BYTES {
                let (read, result) = body::read(&mut stream, 0, offset, 64 << 10).await;
                assert!(read > 0 && result.is_ok());
                offset += read;
                inspect(&stream);
            }
            let tuned_to = stream.statistics().receive_window;
            assert_eq!(tuned_to > 256 << 10, tuned, "{tuned_to}");
            body::write(&mut stream, 1, 0..1, 1).await.1.expect("written");
            stream.close_write().expect("the stream is open");
            drop(stream);
            end.ends().await;
        },
    );
}

/// 50 ms there and back, and 100 MB/s: one stream with default windows reaches the link's bandwidth within a few round
/// trips, and keeps it.
#[wavetank::test(seeds = 5)]
fn a_tuned_window_fills_a_long_link(sim: &mut Sim) {
    const RATE: u64 = 100_000_000;
    const RAMP: u64 = 16 << 20;
    const BYTES: u64 = 48 << 20;
    const ROUND_TRIP: Duration = Duration::from_millis(50);
    sim.perturb(false);
    sim.latency(ROUND_TRIP / 2..=ROUND_TRIP / 2);
    let options = SocketOptions::new().send_buffer_bytes(16 << 20).receive_buffer_bytes(16 << 20);
    let start = Cell::new();
    let of_server = start.clone();
    pair_with(
        sim,
        Config::default(),
        Transports { options, awkward: false },
        async move |end| {
            end.host.inject().narrow("client", "server", RATE);
            let mut stream = end.session.open().await.expect("a stream");
            start.set(end.now());
            body::write(&mut stream, 0, 0..BYTES, 64 << 10).await.1.expect("written");
            stream.shutdown().await.expect("finished");
            let (read, result) = body::read(&mut stream, 1, 0, 1).await;
            assert!(read == 0 && result.is_ok());
            drop(stream);
            end.finish(SECOND).await;
        },
        async move |end| {
            let mut stream = end.session.accept().await.expect("a stream");
            let mut read_up_to = async |from: u64, to: u64| {
                let (read, result) = body::read(&mut stream, 0, from, to - from).await;
                assert!(read == to - from && result.is_ok(), "{read} {result:?}");
                end.now()
            };
            let ramped = read_up_to(0, RAMP).await;
            let ended = read_up_to(RAMP, BYTES).await;
            let ramp = ramped - of_server.get().expect("the client has begun");
            let rate = (BYTES - RAMP) * 1_000_000 / (ended - ramped).as_micros() as u64;
            let at_once = Duration::from_nanos(RAMP * 1_000_000_000 / RATE);
            assert!(ramp < at_once + 4 * ROUND_TRIP, "16 MiB took {ramp:?}");
            assert!(rate > RATE / 100 * 95, "{rate} B/s");
            let (read, result) = body::read(&mut stream, 0, BYTES, 1).await;
            assert!(read == 0 && result.is_ok());
            stream.close_write().expect("the stream is open");
            drop(stream);
            end.ends().await;
        },
    );
}

/// Reads and writes that are dropped at any await have moved nothing that they did not report.
#[wavetank::test(seeds = 300, sometimes = "required")]
fn cancelled_reads_and_writes_lose_no_byte(sim: &mut Sim) {
    const BYTES: u64 = 600_000;
    let options = SocketOptions::new().send_buffer_bytes(8192).receive_buffer_bytes(8192);
    let narrow = Transports { options, awkward: true };
    pair_with(
        sim,
        configured(|config| {
            config.window(Window::Fixed(256 << 10));
        }),
        narrow,
        async |end| {
            let mut stream = end.session.open().await.expect("a stream");
            let mut offset = 0;
            while offset < BYTES {
                let piece = body::bytes(3, offset..BYTES.min(offset + 20_000));
                match cancellable("write", stream.write(&piece)).await {
                    None => sometimes!(true, "a write is cancelled"),
                    Some(count) => offset += count.expect("written") as u64,
                }
                let _dropped = cancellable("flush", stream.flush()).await;
            }
            while cancellable("shutdown", stream.shutdown()).await.is_none() {}
            let (read, result) = body::read(&mut stream, 3, 0, 1).await;
            assert!(read == 0 && result.is_ok());
            drop(stream);
            end.finish(LATE).await;
        },
        async |end| {
            let mut stream = end.session.accept().await.expect("a stream");
            let (mut offset, mut buffer) = (0, vec![0; 30_000]);
            loop {
                match cancellable("read", stream.read(&mut buffer)).await.map(|read| read.expect("no error"))
                {
                    None => sometimes!(true, "a read is cancelled"),
                    Some(0) => break,
                    Some(count) => {
                        body::check(3, offset, &buffer[..count]);
                        offset += count as u64;
                    }
                }
                inspect(&stream);
            }
            assert_eq!(offset, BYTES);
            stream.close_write().expect("the stream is open");
            drop(stream);
            end.ends().await;
        },
    );
}

/// A deadline ends the wait of a read and of a write, and harms nothing. A half that waits is borrowed, so that no
/// deadline can be set meanwhile.
#[wavetank::test(seeds = 100)]
fn deadlines_end_waits_and_nothing_else(sim: &mut Sim) {
    pair(
        sim,
        configured(|config| {
            config.window(Window::Fixed(256 << 10));
        }),
        async |end| {
            let stream = end.session.open().await.expect("a stream");
            let (mut reader, mut writer) = stream.into_split();
            reader.set_read_deadline(Some(end.now() + 3 * SECOND));
            let start = end.now();
            let error = reader.read(&mut [0; 10]).await.expect_err("nothing comes");
            assert_eq!(
                (read_error(&error), error.kind()),
                (ReadError::TimedOut, std::io::ErrorKind::TimedOut)
            );
            writer.set_write_deadline(Some(end.now() + 3 * SECOND));
            let (written, result) = body::write(&mut writer, 0, 0..LARGE, 30_000).await;
            assert_eq!(write_error(&result.expect_err("no task reads")), WriteError::TimedOut);
            let waited = end.now() - start;
            assert!(waited >= 6 * SECOND && waited <= 6 * SECOND + 2 * SOON, "{waited:?}");
            writer.set_write_deadline(None);
            reader.set_read_deadline(None);
            let (rest, result) = body::write(&mut writer, 0, written..LARGE, 30_000).await;
            assert!(result.is_ok() && written + rest == LARGE, "the same bytes go on");
            writer.close_write().expect("the stream is open");
            let (read, result) = body::read(&mut reader, 0, 0, 1).await;
            assert!(read == 0 && result.is_ok());
            drop((reader, writer));
            end.finish(SOON).await;
        },
        async |end| {
            let mut stream = end.session.accept().await.expect("a stream");
            end.sleep(20 * SECOND).await;
            let (read, result) = body::read(&mut stream, 0, 0, LARGE + 1).await;
            assert!(read == LARGE && result.is_ok(), "{read} {result:?}");
            stream.close_write().expect("the stream is open");
            drop(stream);
            end.ends().await;
        },
    );
}

/// What waits for readers on all streams together is bounded: a stream that would exceed it is reset, and has no gap.
#[wavetank::test(seeds = 60, sometimes = "required")]
fn a_receive_budget_resets_streams_without_gaps(sim: &mut Sim) {
    let mut config = configured(|config| {
        config.window(Window::Fixed(256 << 10));
    });
    config.limits().receive_budget_bytes(400_000);
    pair(
        sim,
        config,
        async |end| {
            let mut tasks = Vec::new();
            for seed in 0..4 {
                let mut stream = end.session.open().await.expect("a stream");
                let (read, result) = body::read(&mut stream, 9, 0, 1).await;
                assert!(read == 1 && result.is_ok(), "the stream is accepted: {result:?}");
                tasks.push(end.host.spawn("writer", async move {
                    let (_, result) = body::write(&mut stream, seed, 0..LARGE, 30_000).await;
                    if result.is_ok() {
                        let _reset_meanwhile = stream.shutdown().await;
                    }
                }));
            }
            for task in tasks {
                task.await.expect("no panic");
            }
            end.finish(60 * SECOND).await;
        },
        async |end| {
            let mut streams = Vec::new();
            for _ in 0..4 {
                let mut stream = end.session.accept().await.expect("a stream");
                body::write(&mut stream, 9, 0..1, 1).await.1.expect("written");
                streams.push(stream);
            }
            end.sleep(20 * SECOND).await;
            assert!(end.session.statistics().buffered_bytes <= 400_000);
            for (mut stream, seed) in streams.into_iter().zip(0..) {
                let (read, result) = body::read(&mut stream, seed, 0, LARGE + 1).await;
                match result {
                    Ok(()) => assert_eq!(read, LARGE, "an end only behind everything"),
                    Err(error) => {
                        assert_eq!(read_error(&error), ReadError::ResetHere(LocalReset::ReceiveBudget));
                        sometimes!(true, "a stream is reset");
                    }
                }
                let _was_reset = stream.close();
            }
            end.ends().await;
        },
    );
}

/// Sessions that start at one instant do not ping at one instant.
#[wavetank::test(seeds = 20)]
fn keepalive_pings_are_spread(sim: &mut Sim) {
    sim.perturb(false);
    pair(
        sim,
        configured(|config| {
            config.keepalive().interval(Some(20 * SECOND)).timeout(20 * SECOND);
        }),
        async |end| {
            let mut others = Vec::new();
            for _ in 0..8 {
                let (ours, theirs) = tokio::io::duplex(1000);
                let config = configured(|config| {
                    config.keepalive().interval(Some(20 * SECOND)).timeout(20 * SECOND);
                });
                let side = wavetank_sim_tests::multiplexer::network::Side::Client;
                others.push((super::world::end(end.host, side, ours, config), theirs));
            }
            // No task reads what the pipes hold: each session has sent its first ping, and the
            // next says that it is time.
            end.sleep(Duration::from_secs(14)).await;
            assert!(
                others.iter().all(|(other, _)| other.monitor.pings_sent() == 1),
                "not before three quarters"
            );
            let mut moments = Vec::new();
            while others.iter().any(|(other, _)| other.monitor.pings_sent() == 1) {
                end.sleep(Duration::from_millis(100)).await;
                moments.push(others.iter().filter(|(other, _)| other.monitor.pings_sent() > 1).count());
                assert!(moments.len() < 65, "not after the interval: {moments:?}");
            }
            assert!(moments.iter().any(|&count| count > 0 && count < 8), "{moments:?}");
            drop(others);
            end.sleep(10 * SECOND).await;
            end.finish(SOON).await;
        },
        async |end| end.ends().await,
    );
}
