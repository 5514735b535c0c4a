//! Delays of tasks and threads have a total limit. Ordinary timeouts hold on a network without faults. A failure that
//! needs a longer delay says so in its report.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wavetank::runtime::{ListenOptions, Listener, Runtime, SocketOptions, Threads};
use wavetank::{Sim, Sweep};

/// Builds a client that waits half a second for each of ten answers, and starts again on a new connection.
fn is_answered_within_half_a_second(sim: &mut Sim) {
    sim.server("server", async |host| {
        let listener = Runtime::listen(&host, ([0, 0, 0, 0], 80).into(), ListenOptions::new()).await?;
        loop {
            let (mut stream, _) = listener.accept().await?;
            drop(Runtime::spawn(&host, "answers", async move {
                while let Ok(question) = stream.read_u8().await {
                    if stream.write_u8(question).await.is_err() {
                        break;
                    }
                }
            }));
        }
        #[expect(unreachable_code, reason = "says what the type of an error is")]
        std::io::Result::Ok(())
    });
    sim.client("client", async |host| {
        let server = Runtime::resolve(&host, "server", 80).await?[0];
        for _ in 0..3 {
            let mut stream = Runtime::connect(&host, server, SocketOptions::new()).await?;
            let asks = async {
                for question in 0..10 {
                    stream.write_u8(question).await?;
                    assert_eq!(stream.read_u8().await?, question);
                }
                std::io::Result::Ok(())
            };
            tokio::time::timeout(Duration::from_millis(500), asks).await.expect("no answer in time")?;
        }
        std::io::Result::Ok(())
    });
}

/// How many seeds these tests run.
const SEEDS: u64 = 3_000;

#[wavetank::test(seeds = SEEDS, base_seed = 0xfad94f210351a4f7)]
fn ordinary_timeouts_of_tasks_hold_without_faults(sim: &mut Sim) {
    is_answered_within_half_a_second(sim);
}

#[test]
fn the_report_states_the_delay_a_failure_needs() {
    let name = "delays::needs-a-long-delay";
    let sweep = Sweep::new(name, env!("CARGO_TARGET_TMPDIR")).seeds(SEEDS).without_recordings();
    let failure = catch_unwind(AssertUnwindSafe(|| {
        sweep.run(|sim| {
            sim.delay_total_max(Duration::from_secs(5));
            is_answered_within_half_a_second(sim);
        })
    }));
    let report = failure.expect_err("it fails").downcast::<String>().expect("a report");
    let needs =
        report.lines().find(|line| line.starts_with("  needs ")).unwrap_or_else(|| panic!("{report}"));
    let said = ["  needs       a delay of 1s of ", "; if that cannot happen, `sim."];
    assert!(said.iter().all(|said| needs.contains(said)), "{report}");
    assert!(needs.ends_with("(Duration::from_millis(100))`"), "{report}");
}

#[wavetank::test(seeds = 200, base_seed = 0xc55420a76e0607e9)]
fn ordinary_timeouts_of_threads_hold_without_faults(sim: &mut Sim) {
    use std::io::{Read, Write};
    sim.server("server", async |host| {
        let listener = Runtime::listen(&host, ([0, 0, 0, 0], 80).into(), ListenOptions::new()).await?;
        let (mut stream, _) = listener.accept().await?;
        while let Ok(question) = stream.read_u8().await {
            stream.write_u8(question).await?;
        }
        std::io::Result::Ok(())
    });
    sim.client_thread("client", |host| {
        use wavetank::runtime::BlockingStream;
        let server = Threads::resolve(&host, "server", 80)?[0];
        let mut stream = Threads::connect(&host, server, SocketOptions::new(), None)?;
        stream.set_read_timeout(Some(Duration::from_millis(500)))?;
        for question in 0..10 {
            stream.write_all(&[question])?;
            let mut answer = [0];
            stream.read_exact(&mut answer)?;
            assert_eq!(answer, [question]);
        }
        std::io::Result::Ok(())
    });
}
