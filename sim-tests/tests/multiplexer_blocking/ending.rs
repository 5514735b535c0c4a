//! Ends on threads: half-closes, resets, drains, and sessions that close with data on the way.

use std::time::Duration;

use wavetank::Sim;
use wavetank::runtime::Threads;
use wavetank_multiplexer::{Config, OpenError, ReadError, ResetCode, WriteEnd, WriteError};
use wavetank_sim_tests::multiplexer::body;

use super::world::{SECOND, SOON, pair, read_error, spawn, write_error};

/// An answer that begins when the question has ended arrives whole, though both directions have ended
/// before it is read.
#[wavetank::test(seeds = 100)]
fn an_answer_survives_both_ends(sim: &mut Sim) {
    const ANSWER: u64 = 100 << 10;
    pair(
        sim,
        Config::default(),
        |end| {
            let mut stream = end.session.open().expect("a stream");
            body::write_blocking(&mut stream, 0, 0..1024, 100).1.expect("written");
            stream.close_write().expect("the stream is open");
            assert_eq!(stream.close_write(), Ok(()), "again changes nothing");
            let error = body::write_blocking(&mut stream, 0, 0..1, 1).1.expect_err("it is closed");
            assert_eq!(write_error(&error), WriteError::Finished);
            end.sleep(5 * SECOND);
            let (read, result) = body::read_blocking(&mut stream, 1, 0, ANSWER + 1);
            assert!(read == ANSWER && result.is_ok(), "{read} {result:?}");
            assert_eq!(stream.wait_stopped(), WriteEnd::Complete);
            drop(stream);
            end.finish(SOON);
        },
        |end| {
            let mut stream = end.session.accept().expect("a stream");
            let (read, result) = body::read_blocking(&mut stream, 0, 0, 1025);
            assert!(read == 1024 && result.is_ok(), "{read} {result:?}");
            body::write_blocking(&mut stream, 1, 0..ANSWER, 7000).1.expect("written");
            stream.close_write().expect("the stream is open");
            drop(stream);
            end.ends();
        },
    );
}

/// What was received comes out before a reset, and a reset is no end.
#[wavetank::test(seeds = 100)]
fn bytes_come_before_a_reset_with_its_code(sim: &mut Sim) {
    let drops = sim.choose("drops", 2) == 1;
    pair(
        sim,
        Config::default(),
        move |end| {
            let mut stream = end.session.open().expect("a stream");
            body::write_blocking(&mut stream, 0, 0..5000, 5000).1.expect("written");
            // The peer has accepted the stream and all bytes.
            let (read, result) = body::read_blocking(&mut stream, 1, 0, 1);
            assert!(read == 1 && result.is_ok(), "{read} {result:?}");
            if !drops {
                stream.reset(ResetCode::new(42));
                let error = body::read_blocking(&mut stream, 1, 0, 1).1.expect_err("it is reset");
                assert!(matches!(read_error(&error), ReadError::ResetHere(_)), "{error}");
            }
            drop(stream);
            end.ask();
            end.finish(SOON);
        },
        move |end| {
            let mut stream = end.session.accept().expect("a stream");
            let (read, result) = body::read_blocking(&mut stream, 0, 0, 1000);
            assert!(read == 1000 && result.is_ok(), "{read} {result:?}");
            body::write_blocking(&mut stream, 1, 0..1, 1).1.expect("written");
            end.sleep(SECOND);
            let (rest, result) = body::read_blocking(&mut stream, 0, 1000, 5000);
            assert_eq!(rest, 4000, "what was received before the reset");
            let code = if drops { ResetCode::NONE } else { ResetCode::new(42) };
            assert_eq!(read_error(&result.expect_err("a reset is no end")), ReadError::Reset(code));
            let error = body::write_blocking(&mut stream, 1, 0..1, 1).1.expect_err("both directions");
            assert_eq!(write_error(&error), WriteError::Reset(code));
            drop(stream);
            end.answer();
            end.ends();
        },
    );
}

/// A session that is closed has sent what was written before: the peer reads it all, then learns of the end.
#[wavetank::test(seeds = 100)]
fn a_session_close_delivers_what_was_written(sim: &mut Sim) {
    let finishes = sim.choose("finishes", 2) == 1;
    pair(
        sim,
        Config::default(),
        move |end| {
            let mut stream = end.session.open().expect("a stream");
            body::write_blocking(&mut stream, 0, 0..200_000, 30_000).1.expect("written");
            if finishes {
                stream.close_write().expect("the stream is open");
            }
            let closed = end.session.close();
            assert!(closed.is_clean(), "{closed}");
            let error = body::read_blocking(&mut stream, 1, 0, 1).1.expect_err("the session is closed");
            assert!(matches!(read_error(&error), ReadError::Closed(_)), "{error}");
            assert!(matches!(end.session.open(), Err(OpenError::Closed(_))));
            drop(stream);
            assert_eq!(end.session.statistics().streams_held, 0);
        },
        move |end| {
            end.session.wait_closed();
            let mut stream = end.session.accept().expect("a stream that waits");
            let (read, result) = body::read_blocking(&mut stream, 0, 0, 200_001);
            assert_eq!(read, 200_000);
            match result {
                Ok(()) => assert!(finishes, "an end without FIN"),
                Err(error) => {
                    assert!(!finishes && matches!(read_error(&error), ReadError::Closed(_)), "{error}");
                }
            }
            assert!(end.session.accept().is_err());
        },
    );
}

/// GoAway: no more streams, those that are open end in their own time, then the session.
#[wavetank::test(seeds = 100)]
fn a_drain_lets_open_streams_end(sim: &mut Sim) {
    let says_go_away = sim.choose("go away", 2) == 1;
    pair(
        sim,
        Config::default(),
        |end| {
            let mut stream = end.session.open().expect("a stream");
            body::write_blocking(&mut stream, 0, 0..1000, 1000).1.expect("written");
            end.sleep(5 * SECOND);
            assert!(matches!(end.session.open().map(drop), Err(OpenError::GoAway)));
            body::write_blocking(&mut stream, 0, 1000..50_000, 1000).1.expect("what is open goes on");
            stream.close_write().expect("the stream is open");
            let (read, result) = body::read_blocking(&mut stream, 0, 0, 50_001);
            assert!(read == 50_000 && result.is_ok(), "{read} {result:?}");
            drop(stream);
            end.ends();
        },
        move |end| {
            let mut stream = end.session.accept().expect("a stream");
            let copy = end.clone();
            let draining = spawn(end.host, "drain", move || {
                copy.sleep(SECOND);
                if says_go_away {
                    copy.session.go_away();
                    copy.session.wait_closed()
                } else {
                    copy.session.shutdown(100 * SECOND)
                }
            });
            body::echo_blocking(&mut stream).expect("echoed, to the end");
            stream.close_write().expect("the stream is open");
            drop(stream);
            let closed = draining();
            assert!(closed.is_clean(), "{closed}");
            end.ends();
        },
    );
}

/// A drain that takes too long ends by closing.
#[wavetank::test(seeds = 60)]
fn a_shutdown_ends_when_its_patience_does(sim: &mut Sim) {
    pair(
        sim,
        Config::default(),
        |end| {
            let mut stream = end.session.open().expect("a stream");
            body::write_blocking(&mut stream, 0, 0..10, 10).1.expect("written");
            let start = end.now();
            let closed = end.session.shutdown(5 * SECOND);
            let took = end.now() - start;
            assert!(took >= 5 * SECOND && took <= 10 * SECOND + SOON, "{took:?}");
            assert!(closed.is_clean(), "{closed}");
            drop(stream);
        },
        |end| {
            let mut stream = end.session.accept().expect("a stream");
            let (read, result) = body::read_blocking(&mut stream, 0, 0, 11);
            assert_eq!(read, 10);
            assert!(matches!(read_error(&result.expect_err("no FIN came")), ReadError::Closed(_)));
        },
    );
}

/// Every call that waits ends when the session does: accept, read, write, `wait_stopped`, `wait_closed`.
#[wavetank::test(seeds = 100)]
fn every_waiting_call_ends_with_the_session(sim: &mut Sim) {
    let crashes = sim.choose("crashes", 2) == 1;
    pair(
        sim,
        Config::default(),
        move |end| {
            let stream = std::sync::Arc::new(end.session.open().expect("a stream"));
            let copies = [&stream, &stream, &stream].map(std::sync::Arc::clone);
            let [reading, writing, watching] = copies;
            let (accepting, closing) = (end.session.clone(), end.session.clone());
            let waits: Vec<Box<dyn FnOnce()>> = vec![
                Box::new(spawn(end.host, "accept", move || drop(accepting.accept().expect_err("the end")))),
                Box::new(spawn(end.host, "closed", move || drop(closing.wait_closed()))),
                Box::new(spawn(end.host, "reader", move || {
                    let error = body::read_blocking(&mut &*reading, 1, 0, 1).1.expect_err("the end");
                    assert!(matches!(read_error(&error), ReadError::Closed(_)), "{error}");
                })),
                Box::new(spawn(end.host, "writer", move || {
                    let (_, result) = body::write_blocking(&mut &*writing, 0, 0..1 << 20, 50_000);
                    let error = write_error(&result.expect_err("the end"));
                    assert!(matches!(error, WriteError::Closed(_)), "{error}");
                })),
                Box::new(spawn(end.host, "stopped", move || {
                    let seen = watching.wait_stopped();
                    assert!(matches!(seen, WriteEnd::Failed(WriteError::Closed(_))), "{seen:?}");
                })),
            ];
            end.sleep(2 * SECOND);
            let start = end.now();
            if crashes {
                end.host.inject().reset("client", "server");
            } else {
                end.session.close();
            }
            for wait in waits {
                wait();
            }
            assert!(end.now() - start <= 6 * SECOND, "within the close timeout");
            drop(stream);
            assert_eq!(end.session.statistics().streams_held, 0);
        },
        |end| {
            let stream = end.session.accept().expect("a stream");
            end.session.wait_closed();
            drop(stream);
        },
    );
}

/// Handles that are all dropped: held streams go on, and the session closes behind the last.
#[wavetank::test(seeds = 60)]
fn dropped_handles_close_behind_the_last_stream(sim: &mut Sim) {
    pair(
        sim,
        Config::default(),
        |end| {
            let mut stream = end.session.open().expect("a stream");
            body::write_blocking(&mut stream, 0, 0..1000, 1000).1.expect("written");
            let (host, monitor) = (end.host, end.monitor.clone());
            drop(end);
            Threads::sleep(&host, Duration::from_secs(3));
            stream.close_write().expect("the stream is open");
            let (read, result) = body::read_blocking(&mut stream, 0, 0, 1001);
            assert!(read == 1000 && result.is_ok(), "{read} {result:?}");
            drop(stream);
            Threads::sleep(&host, SOON);
            assert!(monitor.is_quiescent());
        },
        |end| {
            end.answer();
            end.ends();
        },
    );
}
