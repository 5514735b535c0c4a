//! The races in tasks.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wavetank::runtime::{ListenOptions, Listener, Runtime, SocketOptions};
use wavetank::{Faults, Sim};

use crate::shared::{Counter, Gate, Signal, SpinLock};

/// Two tasks add one each.
fn adding(sim: &mut Sim, add: fn(&Counter)) {
    sim.client("client", async move |host| {
        let counter = Arc::new(Counter::default());
        let adders = ["one", "other"].map(|name| {
            let counter = counter.clone();
            host.spawn(name, async move { add(&counter) })
        });
        for adder in adders {
            adder.await?;
        }
        assert_eq!(counter.get(), 2, "an update is lost");
        wavetank::Ok(())
    });
}

pub(crate) fn two_sections_lose_an_update(sim: &mut Sim) {
    adding(sim, Counter::add);
}

pub(crate) fn one_section_loses_no_update(sim: &mut Sim) {
    adding(sim, Counter::add_at_once);
}

/// Two tasks share a connection. The first says hello.
fn greeting(sim: &mut Sim, pass: fn(&Gate) -> bool) {
    sim.server("server", async |host| {
        let listener = host.listen(([0, 0, 0, 0], 80).into(), ListenOptions::new()).await?;
        let mut stream = listener.accept().await?.0;
        let mut greetings = Vec::new();
        stream.read_to_end(&mut greetings).await?;
        stream.write_all(&greetings).await
    });
    sim.client("client", async move |host| {
        let server = host.resolve("server", 80).await?[0];
        let stream = host.connect(server, SocketOptions::new()).await?;
        let stream = Arc::new(tokio::sync::Mutex::new(stream));
        let gate = Arc::new(Gate::default());
        let greeters = ["one", "other"].map(|name| {
            let (gate, stream) = (gate.clone(), stream.clone());
            host.spawn(name, async move {
                if pass(&gate) {
                    stream.lock().await.write_all(b"hello ").await.expect("the server reads");
                }
            })
        });
        for greeter in greeters {
            greeter.await?;
        }
        let mut stream = stream.lock().await;
        stream.shutdown().await?;
        let mut echo = Vec::new();
        stream.read_to_end(&mut echo).await?;
        assert_eq!(echo, b"hello ", "greeted twice");
        wavetank::Ok(())
    });
}

pub(crate) fn a_checked_flag_lets_two_greet(sim: &mut Sim) {
    greeting(sim, Gate::pass);
}

pub(crate) fn a_swapped_flag_lets_one_greet(sim: &mut Sim) {
    greeting(sim, Gate::pass_at_once);
}

/// A task waits for a flag that another sets.
fn waiting(sim: &mut Sim, poll: fn(&Signal, &std::task::Waker) -> bool) {
    sim.client("client", async move |host| {
        let signal = Arc::new(Signal::default());
        let sets = signal.clone();
        host.spawn("setter", async move { sets.set() });
        poll_fn(|context| if poll(&signal, context.waker()) { Poll::Ready(()) } else { Poll::Pending }).await;
    });
}

pub(crate) fn a_waker_noted_after_the_check_is_lost(sim: &mut Sim) {
    waiting(sim, Signal::poll);
}

pub(crate) fn a_waker_noted_before_the_check_is_woken(sim: &mut Sim) {
    waiting(sim, Signal::poll_after_noting);
}

/// Three tasks take a spin lock.
pub(crate) fn a_swapped_spin_lock_lets_one_in(sim: &mut Sim) {
    sim.client("client", async move |host| {
        let lock = Arc::new(SpinLock::default());
        let holders = ["one", "other", "third"].map(|name| {
            let lock = lock.clone();
            host.spawn(name, async move { lock.with_exclusively(|| ()) })
        });
        for holder in holders {
            holder.await?;
        }
        wavetank::Ok(())
    });
}

pub(crate) fn a_spinning_task_lets_time_pass(sim: &mut Sim) {
    sim.client("client", async |host| {
        let flag = Arc::new(AtomicBool::new(false));
        let (sets, own) = (flag.clone(), host);
        host.spawn("setter", async move {
            own.sleep(Duration::from_millis(3)).await;
            sets.store(true, Ordering::SeqCst);
        });
        host.sleep(Duration::from_millis(1)).await;
        while !flag.load(Ordering::SeqCst) {
            std::hint::spin_loop();
        }
    });
}

/// Tasks count, spin and send while their host crashes and starts again.
pub(crate) fn counting_hosts_crash(sim: &mut Sim) {
    sim.faults(Faults::none().crashes());
    sim.server("server", async |host| {
        let counter = Arc::new(Counter::default());
        let lock = Arc::new(SpinLock::default());
        loop {
            let (counter, lock, own) = (counter.clone(), lock.clone(), host);
            host.spawn("counts", async move {
                for _ in 0..5 {
                    lock.with_exclusively(|| counter.add());
                    own.sleep(Duration::from_millis(1)).await;
                }
            });
            host.sleep(Duration::from_millis(7)).await;
        }
    });
    sim.client("client", async |host| host.sleep(Duration::from_millis(300)).await);
}
