//! Ends: half-closes, resets, drains, and sessions that close with data on the way.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use wavetank::runtime::Runtime;
use wavetank::{Sim, sometimes};
use wavetank_multiplexer::{Config, OpenError, ReadError, ResetCode, WriteEnd, WriteError};
use wavetank_sim_tests::multiplexer::body;

use super::world::{LATE, SECOND, SOON, awkward, pair, pair_with, read_error, write_error};

/// An answer that begins when the question has ended arrives whole, though both directions have ended
/// before it is read.
#[wavetank::test(seeds = 200)]
fn an_answer_survives_both_ends(sim: &mut Sim) {
    const ANSWER: u64 = 100 << 10;
    pair_with(
        sim,
        Config::default(),
        awkward(),
        async |end| {
            let mut stream = end.session.open().await.expect("a stream");
            body::write(&mut stream, 0, 0..1024, 100).await.1.expect("written");
            stream.close_write().expect("the stream is open");
            assert_eq!(stream.close_write(), Ok(()), "again changes nothing");
            let error = body::write(&mut stream, 0, 0..1, 1).await.1.expect_err("it is closed");
            assert_eq!(write_error(&error), WriteError::Finished);
            // Both FINs are there long before the answer is read.
            end.sleep(5 * SECOND).await;
            let (read, result) = body::read(&mut stream, 1, 0, ANSWER + 1).await;
            assert!(read == ANSWER && result.is_ok(), "{read} {result:?}");
            assert_eq!(stream.stopped().await, WriteEnd::Complete);
            drop(stream);
            end.finish(LATE).await;
        },
        async |end| {
            let mut stream = end.session.accept().await.expect("a stream");
            let (read, result) = body::read(&mut stream, 0, 0, 1025).await;
            assert!(read == 1024 && result.is_ok(), "{read} {result:?}");
            body::write(&mut stream, 1, 0..ANSWER, 7000).await.1.expect("written");
            stream.shutdown().await.expect("finished");
            drop(stream);
            end.ends().await;
        },
    );
}

/// What was received comes out before a reset, and a reset is no end.
#[wavetank::test(seeds = 200, sometimes = "required")]
fn bytes_come_before_a_reset_with_its_code(sim: &mut Sim) {
    let drops = sim.choose("drops", 2) == 1;
    pair(
        sim,
        Config::default(),
        async move |end| {
            let mut stream = end.session.open().await.expect("a stream");
            body::write(&mut stream, 0, 0..5000, 5000).await.1.expect("written");
            // A reset may overtake what was written, and discards it here.
            stream.flush().await.expect("written");
            if drops {
                drop(stream);
            } else {
                stream.reset(ResetCode::new(42));
                let error = body::read(&mut stream, 1, 0, 1).await.1.expect_err("it is reset");
                assert!(matches!(read_error(&error), ReadError::ResetHere(_)), "{error}");
                drop(stream);
            }
            end.ask().await;
            end.finish(SOON).await;
        },
        async move |end| {
            let stream = end.session.accept().await;
            if let Ok(mut stream) = stream {
                // A stream that was reset while it waited to be accepted is not given out: then this is the next one.
                let mut buffer = [0; 1024];
                let (seed, from) = match stream.read(&mut buffer).await {
                    Ok(count) if buffer[0] == body::byte(99, 0) => {
                        sometimes!(true, "the reset comes before the stream is accepted");
                        stream.write_all(&buffer[..count]).await.expect("written");
                        (99, count as u64)
                    }
                    Ok(count) => {
                        body::check(0, 0, &buffer[..count]);
                        (0, count as u64)
                    }
                    Err(error) => panic!("bytes come first: {error}"),
                };
                if seed == 99 {
                    body::echo(&mut stream).await.expect("echoed");
                } else {
                    let (read, result) = body::read(&mut stream, 0, from, 5000).await;
                    sometimes!(true, "the stream is accepted in time");
                    assert_eq!(from + read, 5000, "what was received before the reset");
                    let code = if drops { ResetCode::NONE } else { ResetCode::new(42) };
                    assert_eq!(read_error(&result.expect_err("a reset is no end")), ReadError::Reset(code));
                    let error = body::write(&mut stream, 1, 0..1, 1).await.1.expect_err("both directions");
                    assert_eq!(write_error(&error), WriteError::Reset(code));
                    drop(stream);
                    end.answer().await;
                }
            }
            end.ends().await;
        },
    );
}

/// A session that is closed has sent what was written before: the peer reads it all, then learns of the end.
#[wavetank::test(seeds = 200)]
fn a_session_close_delivers_what_was_written(sim: &mut Sim) {
    let finishes = sim.choose("finishes", 2) == 1;
    pair_with(
        sim,
        Config::default(),
        awkward(),
        async move |end| {
            let mut stream = end.session.open().await.expect("a stream");
            body::write(&mut stream, 0, 0..200_000, 30_000).await.1.expect("written");
            if finishes {
                stream.close_write().expect("the stream is open");
            }
            let closed = end.session.close().await;
            assert!(closed.is_clean(), "{closed}");
            let error = body::read(&mut stream, 1, 0, 1).await.1.expect_err("the session is closed");
            assert!(matches!(read_error(&error), ReadError::Closed(_)), "{error}");
            assert!(matches!(end.session.open().await, Err(OpenError::Closed(_))));
            drop(stream);
            assert_eq!(end.session.statistics().streams_held, 0);
        },
        async move |end| {
            // The session may be over before the stream is accepted, and it is given out nevertheless.
            end.session.closed().await;
            let mut stream = end.session.accept().await.expect("a stream that waits");
            let (read, result) = body::read(&mut stream, 0, 0, 200_001).await;
            assert_eq!(read, 200_000);
            match result {
                Ok(()) => assert!(finishes, "an end without FIN"),
                Err(error) => {
                    assert!(!finishes && matches!(read_error(&error), ReadError::Closed(_)), "{error}")
                }
            }
            assert!(end.session.accept().await.is_err());
        },
    );
}

/// GoAway: no more streams, those that are open end in their own time, then the session.
#[wavetank::test(seeds = 200, sometimes = "required")]
fn a_drain_lets_open_streams_end(sim: &mut Sim) {
    let says_go_away = sim.choose("go away", 2) == 1;
    pair(
        sim,
        Config::default(),
        async move |end| {
            let mut stream = end.session.open().await.expect("a stream");
            body::write(&mut stream, 0, 0..1000, 1000).await.1.expect("written");
            end.sleep(5 * SECOND).await;
            let refused = end.session.open().await.map(drop);
            assert!(matches!(refused, Err(OpenError::GoAway)), "{refused:?}");
            body::write(&mut stream, 0, 1000..50_000, 1000).await.1.expect("what is open goes on");
            stream.close_write().expect("the stream is open");
            let (read, result) = body::read(&mut stream, 0, 0, 50_001).await;
            assert!(read == 50_000 && result.is_ok(), "{read} {result:?}");
            drop(stream);
            end.ends().await;
        },
        async move |end| {
            let mut stream = end.session.accept().await.expect("a stream");
            let copy = end.clone();
            let draining = end.host.spawn("drain", async move {
                copy.sleep(SECOND).await;
                if says_go_away {
                    copy.session.go_away();
                    copy.session.closed().await
                } else {
                    copy.session.shutdown(100 * SECOND).await
                }
            });
            body::echo(&mut stream).await.expect("echoed, to the end");
            drop(stream);
            let closed = draining.await.expect("no panic");
            assert!(closed.is_clean(), "{closed}");
            sometimes!(says_go_away, "GoAway is said at once");
            end.ends().await;
        },
    );
}

/// A drain that takes too long ends by closing.
#[wavetank::test(seeds = 100)]
fn a_shutdown_ends_when_its_patience_does(sim: &mut Sim) {
    pair(
        sim,
        Config::default(),
        async |end| {
            let mut stream = end.session.open().await.expect("a stream");
            body::write(&mut stream, 0, 0..10, 10).await.1.expect("written");
            let start = end.now();
            let closed = end.session.shutdown(5 * SECOND).await;
            let took = end.now() - start;
            assert!(took >= 5 * SECOND && took <= 10 * SECOND + SOON, "{took:?}");
            assert!(closed.is_clean(), "{closed}");
            drop(stream);
        },
        async |end| {
            let mut stream = end.session.accept().await.expect("a stream");
            let (read, result) = body::read(&mut stream, 0, 0, 11).await;
            assert_eq!(read, 10);
            assert!(matches!(read_error(&result.expect_err("no FIN came")), ReadError::Closed(_)));
        },
    );
}

/// Every call that waits ends when the session does: accept, open, read, write, `stopped`, ping, `closed`.
#[wavetank::test(seeds = 200)]
fn every_waiting_call_ends_with_the_session(sim: &mut Sim) {
    let crashes = sim.choose("crashes", 2) == 1;
    pair(
        sim,
        Config::default(),
        async move |end| {
            let stream = end.session.open().await.expect("a stream");
            let stopped = stream.stopped();
            let (mut reader, mut writer) = stream.into_split();
            let (accepting, watching) = (end.session.clone(), end.session.clone());
            let mut tasks = vec![
                end.host.spawn("accept", async move { drop(accepting.accept().await.expect_err("the end")) }),
                end.host.spawn("closed", async move { drop(watching.closed().await) }),
                end.host.spawn("stopped", async move {
                    let seen = stopped.await;
                    assert!(matches!(seen, WriteEnd::Failed(WriteError::Closed(_))), "{seen:?}");
                }),
            ];
            let reading = end.host.spawn("reader", async move {
                let error = body::read(&mut reader, 1, 0, 1).await.1.expect_err("the end");
                assert!(matches!(read_error(&error), ReadError::Closed(_)), "{error}");
                reader
            });
            let writing = end.host.spawn("writer", async move {
                let error = body::write(&mut writer, 0, 0..1 << 20, 50_000).await.1.expect_err("the end");
                assert!(matches!(write_error(&error), WriteError::Closed(_)), "{error}");
                writer
            });
            end.sleep(2 * SECOND).await;
            if crashes {
                end.host.inject().reset("client", "server");
            } else {
                let closing = end.session.clone();
                tasks.push(end.host.spawn("closer", async move { drop(closing.close().await) }));
            }
            let start = end.now();
            for task in tasks {
                task.await.expect("no panic");
            }
            let halves = (reading.await.expect("no panic"), writing.await.expect("no panic"));
            assert!(end.now() - start <= 6 * SECOND, "within the close timeout");
            drop(halves);
            assert_eq!(end.session.statistics().streams_held, 0);
        },
        async |end| {
            let stream = end.session.accept().await.expect("a stream");
            end.session.closed().await;
            drop(stream);
        },
    );
}

/// Handles that are all dropped: held streams go on, and the session closes behind the last.
#[wavetank::test(seeds = 100)]
fn dropped_handles_close_behind_the_last_stream(sim: &mut Sim) {
    pair(
        sim,
        Config::default(),
        async |end| {
            let mut stream = end.session.open().await.expect("a stream");
            body::write(&mut stream, 0, 0..1000, 1000).await.1.expect("written");
            let (host, monitor) = (end.host, end.monitor.clone());
            drop(end);
            Runtime::sleep(&host, Duration::from_secs(3)).await;
            stream.close_write().expect("the stream is open");
            let (read, result) = body::read(&mut stream, 0, 0, 1001).await;
            assert!(read == 1000 && result.is_ok(), "{read} {result:?}");
            drop(stream);
            Runtime::sleep(&host, SOON).await;
            assert!(monitor.is_quiescent());
        },
        async |end| {
            end.answer().await;
            end.ends().await;
        },
    );
}
