//! Opening and accepting: many at once, more than are accepted, refused, cancelled, and until ids run out.

use std::time::Duration;
use wavetank_sim_tests::multiplexer::configured;

use tokio::io::AsyncWriteExt as _;
use wavetank::runtime::Runtime;
use wavetank::{Sim, cancellable, sometimes};
use wavetank_multiplexer::{Config, Limits, OpenError, ReadError};
use wavetank_sim_tests::multiplexer::body;

use super::world::{LATE, SECOND, SOON, awkward, finish_writing, pair, pair_with, read_error};

fn limits(change: impl FnOnce(&mut Limits)) -> Config {
    configured(|config| change(config.limits()))
}

/// More streams than the peer lets wait: those beyond are refused, the others are served, and nothing is
/// kept of either.
#[wavetank::test(seeds = 200, sometimes = "required")]
fn a_storm_of_refused_opens_leaves_nothing(sim: &mut Sim) {
    let config = limits(|limits| {
        limits.accept_backlog(4);
    });
    pair_with(
        sim,
        config,
        awkward(),
        async |end| {
            let mut tasks = Vec::new();
            for seed in 0..300 {
                let mut stream = end.session.open().await.expect("a stream");
                tasks.push(end.host.spawn("opener", async move {
                    let (_, written) = body::write(&mut stream, seed, 0..100, 100).await;
                    let _refused = stream.close_write();
                    let (read, result) = body::read(&mut stream, seed, 0, 101).await;
                    match result {
                        Ok(()) => {
                            assert!(read == 100 && written.is_ok());
                            true
                        }
                        Err(error) => {
                            assert_eq!((read, read_error(&error)), (0, ReadError::Refused));
                            false
                        }
                    }
                }));
            }
            let mut served = 0;
            for task in tasks {
                served += u32::from(task.await.expect("no panic"));
            }
            assert!(served > 0, "at least the first is served");
            sometimes!(served < 300, "some are refused");
            end.ask().await;
            end.finish(LATE).await;
        },
        async |end| {
            let mut echoing = Vec::new();
            while let Ok(mut stream) = end.session.accept().await {
                echoing.push(
                    end.host.spawn("echo", async move { body::echo(&mut stream).await.expect("echoed") }),
                );
                end.sleep(Duration::from_millis(1)).await;
            }
            for task in echoing {
                task.await.expect("no panic");
            }
            end.ends().await;
        },
    );
}

/// Openers wait while 256 streams are not acknowledged, and go on when the peer accepts.
#[wavetank::test(seeds = 60)]
fn openers_wait_for_acknowledgements_and_go_on(sim: &mut Sim) {
    pair(
        sim,
        Config::default(),
        async |end| {
            let mut streams = Vec::new();
            let start = end.now();
            for _ in 0..300 {
                streams.push(end.session.open().await.expect("a stream"));
            }
            assert!(end.now() - start >= 5 * SECOND, "the peer accepts only then");
            for mut stream in streams {
                finish_writing(&mut stream);
                let (read, result) = body::read(&mut stream, 0, 0, 1).await;
                assert!(read == 0 && result.is_ok(), "{result:?}");
            }
            end.finish(SOON).await;
        },
        async |end| {
            end.sleep(6 * SECOND).await;
            for _ in 0..300 {
                let mut stream = end.session.accept().await.expect("a stream");
                finish_writing(&mut stream);
            }
            end.ends().await;
        },
    );
}

/// A peer that accepts nothing: the stream fails by itself, and the session works on.
#[wavetank::test(seeds = 100)]
fn an_open_timeout_fails_the_stream_alone(sim: &mut Sim) {
    pair(
        sim,
        configured(|config| {
            config.timeouts().open(Some(5 * SECOND));
        }),
        async |end| {
            let mut stream = end.session.open().await.expect("a stream");
            let (start, result) = (end.now(), body::read(&mut stream, 0, 0, 1).await.1);
            let error = read_error(&result.expect_err("no task accepts"));
            assert!(matches!(error, ReadError::ResetHere(_)), "{error}");
            let waited = end.now() - start;
            assert!(waited >= 4 * SECOND && waited <= 5 * SECOND + SOON, "{waited:?}");
            drop(stream);
            end.sleep(6 * SECOND).await;
            end.ask().await;
            end.finish(SOON).await;
        },
        async |end| {
            end.sleep(10 * SECOND).await;
            end.answer().await;
            end.ends().await;
        },
    );
}

/// An open, an accept and a ping that are dropped at any await have done nothing, and the next one works.
#[wavetank::test(seeds = 400, sometimes = "required")]
fn cancelled_opens_and_accepts_lose_no_stream(sim: &mut Sim) {
    pair_with(
        sim,
        limits(|limits| {
            limits.unacknowledged_opens(2);
        }),
        awkward(),
        async |end| {
            let mut opened = 0;
            while opened < 12 {
                let Some(stream) = cancellable("open", end.session.open()).await else {
                    sometimes!(true, "an open is cancelled");
                    continue;
                };
                let mut stream = stream.expect("a stream");
                let _cancelled = cancellable("ping", end.session.ping()).await;
                body::write(&mut stream, opened, 0..50, 50).await.1.expect("written");
                stream.shutdown().await.expect("finished");
                drop(stream);
                opened += 1;
            }
            end.finish(LATE).await;
        },
        async |end| {
            let mut accepted = 0;
            while accepted < 12 {
                let Some(stream) = cancellable("accept", end.session.accept()).await else {
                    sometimes!(true, "an accept is cancelled");
                    continue;
                };
                let mut stream = stream.expect("a stream");
                let (read, result) = body::read(&mut stream, accepted, 0, 51).await;
                assert!(read == 50 && result.is_ok(), "stream {accepted} is the next one: {read} {result:?}");
                let _may_be_stopped = stream.close();
                accepted += 1;
            }
            end.ends().await;
        },
    );
}

/// The local limit of streams is an error of one open; others, and the session, are not disturbed.
#[wavetank::test(seeds = 60)]
fn the_local_stream_limit_fails_one_open(sim: &mut Sim) {
    pair(
        sim,
        limits(|limits| {
            limits.outbound_streams(3);
        }),
        async |end| {
            let mut streams = Vec::new();
            for _ in 0..3 {
                streams.push(end.session.open().await.expect("a stream"));
            }
            assert_eq!(end.session.open().await.map(drop), Err(OpenError::TooManyStreams(3)));
            for (mut stream, seed) in streams.into_iter().zip(0..) {
                body::write(&mut stream, seed, 0..1000, 100).await.1.expect("written");
                stream.close_write().expect("the stream is open");
                let (read, result) = body::read(&mut stream, seed, 0, 1001).await;
                assert!(read == 1000 && result.is_ok(), "{read} {result:?}");
            }
            end.quiesce(SOON).await;
            end.ask().await;
            end.finish(SOON).await;
        },
        async |end| {
            for _ in 0..4 {
                end.answer().await;
            }
            end.ends().await;
        },
    );
}

/// The last ids below 2^32 work; then opening fails, and the session works on the other way round.
#[wavetank::test(seeds = 60)]
fn ids_run_out_with_an_error(sim: &mut Sim) {
    let config = configured(|config| {
        config.first_id(u32::MAX - 4);
    });
    pair(
        sim,
        config,
        async |end| {
            for id in [u32::MAX - 4, u32::MAX - 2, u32::MAX] {
                let mut stream = end.session.open().await.expect("a stream");
                assert_eq!(stream.id(), id);
                body::write(&mut stream, id, 0..100, 100).await.1.expect("written");
                stream.close_write().expect("the stream is open");
                let (read, result) = body::read(&mut stream, id, 0, 101).await;
                assert!(read == 100 && result.is_ok(), "{read} {result:?}");
            }
            assert_eq!(end.session.open().await.map(drop), Err(OpenError::IdsExhausted));
            end.answer().await;
            end.finish(SOON).await;
        },
        async |end| {
            for _ in 0..3 {
                end.answer().await;
            }
            end.ask().await;
            end.ends().await;
        },
    );
}
