//! What adversaries do in runs of their own, seed by seed.

use std::future::{Future, pending, poll_fn, ready};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wavetank_runtime::Runtime;

use super::{Adversary, cancellable, pausable};
use crate::host::Host;
use crate::run::tests::{seeded, strictly_again, symptom};
use crate::sim::Sim;

/// Runs `body` with `seeds` seeds, each of which must pass, and returns its traces joined.
fn traces(seeds: u64, body: impl Fn(&mut Sim) + Send + Sync + Clone + 'static) -> String {
    let one = |seed| {
        let outcome = seeded(seed, body.clone());
        assert_eq!(symptom(&outcome), "", "seed {seed}\n{}", outcome.trace.render());
        outcome.trace.render()
    };
    (0..seeds).map(one).collect()
}

/// A client without a network.
fn client<F: Future<Output = ()> + 'static>(
    main: impl Fn(Host) -> F + Clone + Send + Sync + 'static,
) -> impl Fn(&mut Sim) + Clone + Send + Sync + 'static {
    move |sim| {
        let main = main.clone();
        sim.client("client", async move |host| main(host).await);
    }
}

/// Returns `Pending` so often, woken at once, then `7`.
fn seven_after(mut pendings: u32) -> impl Future<Output = u32> {
    poll_fn(move |context| {
        if pendings == 0 {
            return Poll::Ready(7);
        }
        pendings -= 1;
        context.waker().wake_by_ref();
        Poll::Pending
    })
}

#[test]
fn outside_a_run_the_adversary_does_nothing() {
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..100 {
        assert_eq!(pin!(cancellable("wait", ready(7))).poll(&mut context), Poll::Ready(Some(7)));
        assert_eq!(pin!(pausable("wait", ready(7))).poll(&mut context), Poll::Ready(7));
        assert_eq!(pin!(Adversary::new("wait", ready(7))).poll(&mut context), Poll::Ready(7));
        assert!(pin!(cancellable("wait", pending::<()>())).poll(&mut context).is_pending());
    }
}

#[test]
fn a_future_is_cancelled_at_every_await() {
    let (cancelled, ended) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counts = (cancelled.clone(), ended.clone());
    let traces = traces(
        300,
        client(move |_| {
            let (cancelled, ended) = counts.clone();
            async move {
                let count = match cancellable("wait", seven_after(3)).await {
                    None => cancelled,
                    Some(seven) => {
                        assert_eq!(seven, 7);
                        ended
                    }
                };
                count.fetch_add(1, Ordering::Relaxed);
            }
        }),
    );
    let (cancelled, ended) = (cancelled.load(Ordering::Relaxed), ended.load(Ordering::Relaxed));
    assert_eq!(cancelled + ended, 300);
    assert!(cancelled > 30 && ended > 30, "{cancelled} cancelled, {ended} ended");
    for what in [
        "~ cancels `wait` at its 1st await\n",
        "~ cancels `wait` at its 2nd await\n",
        "~ cancels `wait` at its 3rd await\n",
        "~ cancels `wait` at its 2nd await, when it is polled again\n",
    ] {
        assert!(traces.contains(what), "{what}");
    }
    assert!(!traces.contains("4th await"), "it has three");
}

#[test]
fn a_cancelled_futures_destructor_may_use_the_run() {
    struct Notes(Host);
    impl Drop for Notes {
        fn drop(&mut self) {
            tracing::info!("dropped at {}", Runtime::now(&self.0).as_nanos());
        }
    }
    let traces = traces(
        200,
        client(|host| async move {
            let wait = cancellable("wait", async {
                let _notes = Notes(host);
                pending::<()>().await;
            });
            // Where nothing cancels it, the timer ends it.
            tokio::select! {
                biased;
                _ = wait => {}
                () = Runtime::sleep(&host, Duration::from_secs(60)) => {}
            }
        }),
    );
    for what in ["1st await, after 1.000ms", "1st await, after 1000.000ms", "| dropped at 1000000\n"] {
        assert!(traces.contains(what), "{what}");
    }
}

#[test]
fn a_wrapped_stream_carries_every_byte_in_order() {
    let traces = traces(
        200,
        client(|_| async {
            let (near, far) = tokio::io::duplex(50);
            let (mut near, mut far) = (Adversary::new("near end", near), Adversary::new("far end", far));
            let bytes: Vec<u8> = (0..200).collect();
            let sent = bytes.clone();
            let send = async move {
                near.write_all(&sent).await.unwrap();
                near.flush().await.unwrap();
                near.shutdown().await.unwrap();
            };
            let mut received = Vec::new();
            let (_, read) = tokio::join!(send, far.read_to_end(&mut received));
            assert_eq!((read.unwrap(), received), (200, bytes));
        }),
    );
    for what in [
        "~ near-end: write moves 1 B at most",
        "~ near-end: write is pending, woken at once",
        "~ near-end: flush is pending, woken after",
        "~ far-end: read moves 7 B at most",
        "~ far-end: read is pending, woken after 100.000ms",
        "~ far-end: read is polled with another waker first",
    ] {
        assert!(traces.contains(what), "{what}");
    }
}

#[test]
fn halves_stay_wrapped_and_equal_names_get_numbers() {
    use wavetank_runtime::{ListenOptions, Listener, SocketOptions, Stream};
    let body = |sim: &mut Sim| {
        sim.server("server", async |host| {
            let address = "0.0.0.0:80".parse().unwrap();
            let listener = Runtime::listen(&host, address, ListenOptions::new()).await.unwrap();
            let (stream, _) = listener.accept().await.unwrap();
            let (mut reader, mut writer) = Adversary::new("socket", stream).into_split();
            tokio::io::copy(&mut reader, &mut writer).await.unwrap();
            writer.shutdown().await.unwrap();
        });
        sim.client("client", async |host| {
            let server = Runtime::resolve(&host, "server", 80).await.unwrap()[0];
            let stream = Runtime::connect(&host, server, SocketOptions::new()).await.unwrap();
            let (mut reader, mut writer) = Adversary::new("socket", stream).into_split();
            Runtime::spawn(&host, "writer", async move {
                writer.write_all(&[7; 300]).await.unwrap();
                writer.shutdown().await.unwrap();
            });
            let mut echo = Vec::new();
            assert_eq!(reader.read_to_end(&mut echo).await.unwrap(), 300);
        });
    };
    let traces = traces(100, body);
    assert!(traces.contains("~ socket: read") && traces.contains("~ socket#2: write"), "{traces}");
}

#[test]
fn the_last_poll_uses_the_tasks_waker() {
    let wakers: Arc<Mutex<Vec<bool>>> = Arc::default();
    let seen = wakers.clone();
    traces(
        100,
        client(move |_| {
            let seen = seen.clone();
            async move {
                seen.lock().unwrap().push(true);
                let own = poll_fn(|context| Poll::Ready(context.waker().clone())).await;
                let mut polls = 0;
                let future = poll_fn(|context| {
                    polls += 1;
                    seen.lock().unwrap().push(context.waker().will_wake(&own));
                    if polls < 4 {
                        context.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                    Poll::Ready(())
                });
                Adversary::new("future", future).await;
            }
        }),
    );
    let wakers = wakers.lock().unwrap();
    let decoys = wakers.iter().filter(|is_own| !**is_own).count();
    assert!(decoys > 10, "{decoys} polls with another waker");
    let two_in_a_row = wakers.windows(2).any(|pair| pair == [false, false]);
    assert!(!two_in_a_row, "after another waker comes the task's own, unless the future has ended");
}

#[test]
fn a_run_with_adversaries_replays_strictly() {
    let body = client(|host| async move {
        let (near, far) = tokio::io::duplex(8);
        let (mut near, mut far) = (Adversary::new("near", near), Adversary::new("far", far));
        let mut rest: &[u8] = &[1; 30];
        Runtime::spawn(&host, "reader", async move {
            let mut buffer = [0; 5];
            // A cancelled read has read nothing.
            while cancellable("read", far.read(&mut buffer)).await.is_none_or(|read| read.unwrap() > 0) {}
        });
        while !rest.is_empty() {
            if let Some(written) = cancellable("write", near.write(rest)).await {
                rest = &rest[written.unwrap()..];
            }
        }
    });
    for seed in 0..300 {
        let first = seeded(seed, body.clone());
        assert_eq!(symptom(&first), "", "seed {seed}");
        let again = strictly_again(seed, &first, body.clone());
        assert_eq!(again.trace.first_difference(&first.trace), None);
        assert_eq!((again.divergence, again.log), (None, first.log));
    }
}

#[test]
fn a_paused_future_keeps_what_it_was_given() {
    // The waiter gets the lock and is not polled, so the third waits for it although no task uses it.
    let body = client(|host| async move {
        let lock = Arc::new(tokio::sync::Mutex::new(()));
        let held = lock.clone().lock_owned().await;
        let (own, theirs) = (lock.clone(), lock.clone());
        let waiter = Runtime::spawn(&host, "waiter", async move {
            drop(pausable("lock", own.lock()).await);
        });
        let third = Runtime::spawn(&host, "third", async move {
            Runtime::sleep(&host, Duration::from_micros(10)).await;
            let before = Runtime::now(&host);
            drop(theirs.lock().await);
            Runtime::now(&host) - before
        });
        Runtime::sleep(&host, Duration::from_micros(30)).await;
        drop(held);
        let waited = third.await.expect("no panic");
        waiter.await.expect("no panic");
        wavetank_runtime::sometimes!(
            waited > Duration::from_millis(50),
            "the third waits for a paused future"
        );
    });
    let mut longest = 0;
    for seed in 0..300 {
        let outcome = seeded(seed, body.clone());
        let trace = outcome.trace.render();
        assert_eq!(symptom(&outcome), "", "seed {seed}\n{trace}");
        if trace.contains("~ pauses `lock` at its 1st await, after ") {
            longest += usize::from(outcome.points.values().any(|&reached| reached));
        }
        let again = strictly_again(seed, &outcome, body.clone());
        assert_eq!(again.trace.first_difference(&outcome.trace), None);
    }
    assert!(longest > 10, "{longest} of 300 seeds waited long");
}

#[test]
fn a_pause_ends_by_itself_in_any_run() {
    let body = client(|_| async move { assert_eq!(pausable("seven", seven_after(20)).await, 7) });
    let traces = traces(200, body);
    let pauses: Vec<_> = traces.lines().filter(|line| line.contains("pauses `seven`")).collect();
    assert!(pauses.len() > 20, "{}", pauses.len());
    assert!(pauses.iter().any(|line| line.contains("at its 2nd await")), "{pauses:?}");
}
