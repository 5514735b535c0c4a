//! Opening and accepting on threads: many at once, more than are accepted, refused, and until ids run out.

use std::time::Duration;
use wavetank_sim_tests::multiplexer::configured;

use wavetank::{Sim, sometimes};
use wavetank_multiplexer::{Config, Limits, OpenError, ReadError};
use wavetank_sim_tests::multiplexer::body;

use super::world::{SECOND, SOON, finish_writing, pair, read_error, spawn};

fn limits(change: impl FnOnce(&mut Limits)) -> Config {
    configured(|config| change(config.limits()))
}

/// More streams than the peer lets wait: those beyond are refused, the others are served, and nothing is
/// kept of either.
#[wavetank::test(seeds = 100, sometimes = "required")]
fn a_storm_of_refused_opens_leaves_nothing(sim: &mut Sim) {
    pair(
        sim,
        limits(|limits| {
            limits.accept_backlog(4);
        }),
        |end| {
            let mut streams = Vec::new();
            for seed in 0..100 {
                let mut stream = end.session.open().expect("a stream");
                let _may_be_refused = body::write_blocking(&mut stream, seed, 0..100, 100);
                let _may_be_refused = stream.close_write();
                streams.push((seed, stream));
            }
            let mut served = 0;
            for (seed, mut stream) in streams {
                let (read, result) = body::read_blocking(&mut stream, seed, 0, 101);
                match result {
                    Ok(()) => {
                        assert_eq!(read, 100);
                        served += 1;
                    }
                    Err(error) => assert_eq!((read, read_error(&error)), (0, ReadError::Refused)),
                }
            }
            assert!(served > 0, "at least the first is served");
            sometimes!(served < 100, "some are refused");
            end.ask();
            end.finish(SOON);
        },
        |end| {
            let mut echoing = Vec::new();
            while let Ok(mut stream) = end.session.accept() {
                echoing.push(spawn(end.host, "echo", move || {
                    body::echo_blocking(&mut stream).expect("echoed");
                    stream.close_write().expect("the stream is open");
                }));
                end.sleep(Duration::from_millis(1));
            }
            for echo in echoing {
                echo();
            }
            end.ends();
        },
    );
}

/// Openers wait while 256 streams are not acknowledged, and go on when the peer accepts.
#[wavetank::test(seeds = 30)]
fn openers_wait_for_acknowledgements_and_go_on(sim: &mut Sim) {
    pair(
        sim,
        Config::default(),
        |end| {
            let start = end.now();
            let streams: Vec<_> = (0..300).map(|_| end.session.open().expect("a stream")).collect();
            assert!(end.now() - start >= 5 * SECOND, "the peer accepts only then");
            for mut stream in streams {
                finish_writing(&stream);
                let (read, result) = body::read_blocking(&mut stream, 0, 0, 1);
                assert!(read == 0 && result.is_ok(), "{result:?}");
            }
            end.finish(SOON);
        },
        |end| {
            end.sleep(6 * SECOND);
            for _ in 0..300 {
                let stream = end.session.accept().expect("a stream");
                finish_writing(&stream);
            }
            end.ends();
        },
    );
}

/// A peer that accepts nothing: the stream fails by itself, and the session works on.
#[wavetank::test(seeds = 60)]
fn an_open_timeout_fails_the_stream_alone(sim: &mut Sim) {
    pair(
        sim,
        configured(|config| {
            config.timeouts().open(Some(5 * SECOND));
        }),
        |end| {
            let mut stream = end.session.open().expect("a stream");
            let (start, result) = (end.now(), body::read_blocking(&mut stream, 0, 0, 1).1);
            let error = read_error(&result.expect_err("no task accepts"));
            assert!(matches!(error, ReadError::ResetHere(_)), "{error}");
            let waited = end.now() - start;
            assert!(waited >= 4 * SECOND && waited <= 5 * SECOND + SOON, "{waited:?}");
            drop(stream);
            end.sleep(6 * SECOND);
            end.ask();
            end.finish(SOON);
        },
        |end| {
            end.sleep(10 * SECOND);
            end.answer();
            end.ends();
        },
    );
}

/// An accept that gives up has lost nothing.
#[wavetank::test(seeds = 60)]
fn an_accept_that_times_out_loses_nothing(sim: &mut Sim) {
    pair(
        sim,
        Config::default(),
        |end| {
            for _ in 0..5 {
                end.sleep(SECOND / 2);
                end.ask();
            }
            end.finish(SOON);
        },
        |end| {
            let mut answered = 0;
            while answered < 5 {
                let accepted = end.session.accept_timeout(SECOND / 5).expect("the session is open");
                let Some(mut stream) = accepted else { continue };
                body::echo_blocking(&mut stream).expect("echoed");
                stream.close_write().expect("the stream is open");
                answered += 1;
            }
            end.ends();
        },
    );
}

/// The local limit of streams is an error of one open; others, and the session, are not disturbed.
#[wavetank::test(seeds = 30)]
fn the_local_stream_limit_fails_one_open(sim: &mut Sim) {
    pair(
        sim,
        limits(|limits| {
            limits.outbound_streams(3);
        }),
        |end| {
            let streams: Vec<_> = (0..3).map(|_| end.session.open().expect("a stream")).collect();
            assert_eq!(end.session.open().map(drop), Err(OpenError::TooManyStreams(3)));
            for (mut stream, seed) in streams.into_iter().zip(0..) {
                body::write_blocking(&mut stream, seed, 0..1000, 100).1.expect("written");
                stream.close_write().expect("the stream is open");
                let (read, result) = body::read_blocking(&mut stream, seed, 0, 1001);
                assert!(read == 1000 && result.is_ok(), "{read} {result:?}");
            }
            end.quiesce(SOON);
            end.ask();
            end.finish(SOON);
        },
        |end| {
            for _ in 0..4 {
                end.answer();
            }
            end.ends();
        },
    );
}

/// The last ids below 2^32 work; then opening fails, and the session works on the other way round.
#[wavetank::test(seeds = 30)]
fn ids_run_out_with_an_error(sim: &mut Sim) {
    let mut config = Config::default();
    config.first_id(u32::MAX - 4);
    pair(
        sim,
        configured(|config| {
            config.first_id(u32::MAX - 4);
        }),
        |end| {
            for id in [u32::MAX - 4, u32::MAX - 2, u32::MAX] {
                let mut stream = end.session.open().expect("a stream");
                assert_eq!(stream.id(), id);
                body::write_blocking(&mut stream, id, 0..100, 100).1.expect("written");
                stream.close_write().expect("the stream is open");
                let (read, result) = body::read_blocking(&mut stream, id, 0, 101);
                assert!(read == 100 && result.is_ok(), "{read} {result:?}");
            }
            assert_eq!(end.session.open().map(drop), Err(OpenError::IdsExhausted));
            end.answer();
            end.finish(SOON);
        },
        |end| {
            for _ in 0..3 {
                end.answer();
            }
            end.ask();
            end.ends();
        },
    );
}
