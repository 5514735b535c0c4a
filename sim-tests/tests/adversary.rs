//! Small drivers with frequent bugs of async code: a lost waker, halves that overwrite each other's waker, a cancelled
//! receive, a short write, a wake-up without a check. Sweeps with an adversary find each bug and pass on the correct
//! driver.

mod adversary {
    pub(crate) mod drivers;
}

use std::sync::Arc;

use adversary::drivers::{
    Duplex, FirstWaker, Frames, LatestWaker, OnePlace, Parking, PlaceForEach, Slot, Taking, TrustsWakeUps,
    WholeFrames,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wavetank::runtime::{ListenOptions, Listener, Runtime, SocketOptions};
use wavetank::{Adversary, Host, Sim, cancellable};

/// Connects `host` to the server.
async fn connect(host: &Host) -> std::io::Result<<Host as Runtime>::Stream> {
    let server = Runtime::resolve(host, "server", 80).await?[0];
    Runtime::connect(host, server, SocketOptions::new()).await
}

/// Accepts one connection.
async fn accept(host: &Host) -> std::io::Result<<Host as Runtime>::Stream> {
    let address = "0.0.0.0:80".parse().expect("an address");
    let listener = Runtime::listen(host, address, ListenOptions::new()).await?;
    Ok(listener.accept().await?.0)
}

mod a_slot_that_hands_over_one_value {
    use super::*;

    /// One task fills the slot. The future that takes the value is polled with several wakers.
    fn filled_and_taken<P: Taking>(sim: &mut Sim) {
        sim.client("client", async |host| {
            let slot = Arc::new(Slot::<P>::default());
            let filler = slot.clone();
            Runtime::spawn(&host, "filler", async move {
                tracing::info!("fills the slot");
                filler.put(7);
            });
            assert_eq!(Adversary::new("take", slot.take()).await, 7);
        });
    }

    #[wavetank::test(seeds = 500, finds = "deadlock: nothing can happen: client/main waits")]
    fn keeps_only_the_first_waker(sim: &mut Sim) {
        filled_and_taken::<FirstWaker>(sim);
    }

    #[wavetank::test(seeds = 500)]
    fn keeps_the_latest_waker(sim: &mut Sim) {
        filled_and_taken::<LatestWaker>(sim);
    }

    /// Wraps nothing: the run itself has spurious wake-ups.
    fn filled_late_and_taken<P: Taking>(sim: &mut Sim) {
        sim.client("client", async |host: Host| {
            let slot = Arc::new(Slot::<P>::default());
            let filler = slot.clone();
            Runtime::spawn(&host, "filler", async move {
                Runtime::sleep(&host, std::time::Duration::from_secs(1)).await;
                filler.put(7);
            });
            assert_eq!(slot.take().await, 7);
        });
    }

    #[wavetank::test(seeds = 500, finds = "panic in client/main: woken, so there is a value")]
    fn takes_a_wake_up_for_a_value(sim: &mut Sim) {
        filled_late_and_taken::<TrustsWakeUps>(sim);
    }

    #[wavetank::test(seeds = 500)]
    fn looks_again_when_it_is_woken(sim: &mut Sim) {
        filled_late_and_taken::<LatestWaker>(sim);
    }
}

mod a_receive_that_is_cancelled {
    use super::*;

    const MESSAGES: [&str; 3] = ["tide", "swell", "surf"];

    /// Sends three frames, each in two segments.
    async fn send(host: Host) -> std::io::Result<()> {
        let mut stream = accept(&host).await?;
        for message in MESSAGES {
            stream.write_all(&(message.len() as u32).to_be_bytes()).await?;
            Runtime::sleep(&host, std::time::Duration::from_millis(5)).await;
            stream.write_all(message.as_bytes()).await?;
        }
        stream.shutdown().await
    }

    fn receives_every_message(
        sim: &mut Sim,
        receive: impl AsyncFnOnce(Host) -> std::io::Result<Vec<String>> + 'static,
    ) {
        sim.server("server", send);
        sim.client("client", async |host| {
            let received = receive(host).await?;
            wavetank::always!(received == MESSAGES, "every message is received, once and whole");
            std::io::Result::Ok(())
        });
    }

    #[wavetank::test(
        seeds = 500,
        finds = "error in client: a message of absurd length",
        base_seed = 0xbb7106ebd83e0293
    )]
    fn loses_the_half_message_it_had_read(sim: &mut Sim) {
        receives_every_message(sim, async |host| {
            let mut frames = Frames::new(connect(&host).await?);
            let mut received = Vec::new();
            while received.len() < MESSAGES.len() {
                if let Some(message) = cancellable("recv", frames.recv()).await {
                    received.push(message?);
                }
            }
            Ok(received)
        });
    }

    #[wavetank::test(
        seeds = 500,
        sometimes = "required",
        reaches = "a cancelled receive had read half a message"
    )]
    fn keeps_what_it_had_read(sim: &mut Sim) {
        receives_every_message(sim, async |host| {
            let mut frames = WholeFrames::new(connect(&host).await?);
            let mut received = Vec::new();
            while received.len() < MESSAGES.len() {
                match cancellable("recv", frames.recv()).await {
                    Some(message) => received.push(message?),
                    None => {
                        wavetank::sometimes!(frames.has_part(), "a cancelled receive had read half a message")
                    }
                }
            }
            Ok(received)
        });
    }
}

mod a_message_that_is_written {
    use super::*;

    const MESSAGE: &[u8] = b"all hands on deck";

    /// A server that expects the whole message, and a client whose stream shows every legal awkward behaviour.
    fn arrives_whole(
        sim: &mut Sim,
        write: impl AsyncFnOnce(&mut Adversary<<Host as Runtime>::Stream>) -> std::io::Result<()> + 'static,
    ) {
        sim.server("server", async |host: Host| {
            let mut message = Vec::new();
            accept(&host).await?.read_to_end(&mut message).await?;
            tracing::info!("received {} B", message.len());
            assert_eq!(message, MESSAGE, "the message is whole");
            std::io::Result::Ok(())
        });
        sim.client("client", async |host: Host| {
            let mut stream = Adversary::new("socket", connect(&host).await?);
            write(&mut stream).await?;
            stream.shutdown().await?;
            // Waits until the server closes the connection.
            stream.read_to_end(&mut Vec::new()).await
        });
    }

    #[wavetank::test(
        seeds = 500,
        finds = "panic in server/main: assertion `left == right` failed: the message is whole"
    )]
    fn is_cut_where_a_write_was_short(sim: &mut Sim) {
        arrives_whole(sim, async |stream| stream.write(MESSAGE).await.map(drop));
    }

    #[wavetank::test(seeds = 500)]
    fn goes_on_after_a_short_write(sim: &mut Sim) {
        arrives_whole(sim, async |stream| stream.write_all(MESSAGE).await);
    }
}

mod halves_that_two_tasks_poll {
    use super::*;

    const NUMBERS: u32 = 8;
    const MILLISECOND: std::time::Duration = std::time::Duration::from_millis(1);

    /// One task sends a number each millisecond, and another receives them. The room suffices if the peer is not
    /// delayed.
    fn sent_and_received<P: Parking>(sim: &mut Sim) {
        sim.client("client", async |host: Host| {
            let duplex = Arc::new(Duplex::<P>::default());
            let (peer, sender) = (duplex.clone(), duplex.clone());
            Runtime::spawn(&host, "peer", async move { peer.echo(NUMBERS as usize).await });
            Runtime::spawn(&host, "sender", async move {
                for number in 0..NUMBERS {
                    sender.send(number).await;
                    Runtime::sleep(&host, MILLISECOND).await;
                }
            });
            for number in 0..NUMBERS {
                assert_eq!(duplex.receive().await, number);
            }
        });
    }

    #[wavetank::test(
        seeds = 500,
        finds = "deadlock: nothing can happen: client/main waits",
        base_seed = 0xbb64aebf50947a52
    )]
    fn lose_a_waker_with_one_place_for_both(sim: &mut Sim) {
        sent_and_received::<OnePlace>(sim);
    }

    #[wavetank::test(seeds = 500, base_seed = 0xa0589fe973875321)]
    fn are_both_woken_with_a_place_each(sim: &mut Sim) {
        sent_and_received::<PlaceForEach>(sim);
    }
}

mod how_long_delays_last {
    use super::*;
    use std::time::Duration;

    /// Sleeps for 10 ms and returns how late it woke up.
    async fn lateness(host: Host) -> Duration {
        let start = Runtime::now(&host);
        Runtime::sleep(&host, Duration::from_millis(10)).await;
        Runtime::now(&host) - start - Duration::from_millis(10)
    }

    #[wavetank::test(seeds = 1000, reaches = "delayed for seconds", base_seed = 0x67e3ecbe5c325668)]
    fn is_seconds_where_a_test_allows_it(sim: &mut Sim) {
        sim.delay_total_max(Duration::from_secs(20));
        sim.client("client", async |host| {
            wavetank::sometimes!(lateness(host).await > Duration::from_secs(2), "delayed for seconds");
        });
    }

    #[wavetank::test(seeds = 1000, reaches = "delayed for a tenth of a second")]
    fn is_less_than_an_ordinary_timeout_by_default(sim: &mut Sim) {
        sim.client("client", async |host| {
            let late = lateness(host).await;
            wavetank::sometimes!(late >= Duration::from_millis(100), "delayed for a tenth of a second");
            assert!(late < Duration::from_millis(400), "{late:?}");
        });
    }

    #[wavetank::test(seeds = 1000, reaches = "delayed for a millisecond", base_seed = 0x0e15f0f38886c379)]
    fn is_what_the_test_says(sim: &mut Sim) {
        sim.delay_max(Duration::from_millis(1));
        sim.client("client", async |host| {
            let late = lateness(host).await;
            wavetank::sometimes!(late >= Duration::from_millis(1), "delayed for a millisecond");
            // The operation and the task may both be delayed, sometimes more than once.
            assert!(late < Duration::from_millis(100), "{late:?}");
        });
    }
}
