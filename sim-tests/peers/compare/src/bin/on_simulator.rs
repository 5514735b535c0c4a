//! The simulator, with all that a test has by default.

use std::time::Duration;

use compare::{Scenario, answer, ask, contend};
use wavetank::runtime::{ListenOptions, Listener, Runtime, SocketOptions};
use wavetank::{Host, Sim, Sweep};

fn main() {
    contend(|scenario, runs, seed| {
        Sweep::new("compare", env!("CARGO_MANIFEST_DIR"))
            .base_seed(seed)
            .seeds(runs)
            .workers(1)
            .without_recordings()
            .run(move |sim| match scenario {
                Scenario::RoundTrips => round_trips(sim),
                Scenario::Locks => {
                    sim.client_thread("main", |host| threads::locks(&host));
                }
                Scenario::Buffer => {
                    sim.client_thread("main", |host| threads::buffer(&host));
                }
            });
    });
}

fn round_trips(sim: &mut Sim) {
    sim.latency(Duration::from_millis(1)..=Duration::from_millis(10));
    sim.server("server", serve);
    sim.client("client", async |host: Host| {
        let server = host.resolve("server", 80).await?[0];
        ask(host.connect(server, SocketOptions::new()).await?).await
    });
}

async fn serve(host: Host) -> std::io::Result<()> {
    let listener = host.listen(([0, 0, 0, 0], 80).into(), ListenOptions::new()).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        host.spawn("connection", answer(stream));
    }
}

/// Apart, because the traits of tasks and threads have methods of the same names.
mod threads {
    use std::collections::VecDeque;
    use std::sync::Arc;

    use compare::{ITEMS, LOCKS, PLACES, THREADS};
    use wavetank::Host;
    use wavetank::runtime::{Condvar, Mutex, ThreadHandle, Threads};

    pub(super) fn locks(host: &Host) -> std::io::Result<()> {
        let count = Arc::new(Mutex::new(host, "count", 0));
        let threads: Vec<_> = (0..THREADS)
            .map(|_| {
                let count = Arc::clone(&count);
                host.spawn("counter", move || (0..LOCKS).for_each(|_| *count.lock() += 1))
            })
            .collect::<Result<_, _>>()?;
        for thread in threads {
            thread.join().expect("it does not panic");
        }
        assert_eq!(*count.lock(), THREADS * LOCKS);
        Ok(())
    }

    pub(super) fn buffer(host: &Host) -> std::io::Result<()> {
        let shared = Arc::new((
            Mutex::new(host, "buffer", VecDeque::new()),
            Condvar::new(host, "not full"),
            Condvar::new(host, "not empty"),
        ));
        let putting = Arc::clone(&shared);
        let producer = host.spawn("producer", move || {
            let (buffer, not_full, not_empty) = &*putting;
            for item in 0..ITEMS {
                let mut items = buffer.lock();
                while items.len() == PLACES {
                    items = not_full.wait(items);
                }
                items.push_back(item);
                not_empty.notify_one();
            }
        })?;
        let consumer = host.spawn("consumer", move || {
            let (buffer, not_full, not_empty) = &*shared;
            for expected in 0..ITEMS {
                let mut items = buffer.lock();
                while items.is_empty() {
                    items = not_empty.wait(items);
                }
                assert_eq!(items.pop_front(), Some(expected));
                not_full.notify_one();
            }
        })?;
        producer.join().expect("it does not panic");
        consumer.join().expect("it does not panic");
        Ok(())
    }
}
