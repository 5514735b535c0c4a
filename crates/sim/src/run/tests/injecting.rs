//! Behaviours of a run in which a test injects faults, and of its oracles while faults come and go.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wavetank_runtime::{ListenOptions, Listener, SocketOptions};

use super::*;
use crate::fault::{Crash, Faults};

const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

type Stream = <Host as Runtime>::Stream;

/// A server that echoes byte for byte on any number of connections.
fn echo(sim: &mut Sim) {
    sim.latency(MILLISECOND..=MILLISECOND).perturb(false);
    sim.server("server", async |host: Host| -> std::io::Result<()> {
        let listener = Runtime::listen(&host, "0.0.0.0:80".parse().unwrap(), ListenOptions::new()).await?;
        loop {
            let (mut stream, _) = listener.accept().await?;
            Runtime::spawn(&host, "connection", async move {
                while let Ok(byte) = stream.read_u8().await {
                    if stream.write_u8(byte).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
}

async fn connect(host: Host) -> std::io::Result<Stream> {
    let server = Runtime::resolve(&host, "server", 80).await?[0];
    Runtime::connect(&host, server, SocketOptions::new()).await
}

/// How long an echo takes, in milliseconds; None if it does not come within a minute, or fails.
async fn round_trip(host: Host, stream: &mut Stream) -> Option<u64> {
    let began = Runtime::now(&host).as_nanos();
    stream.write_u8(7).await.ok()?;
    let echoed = tokio::time::timeout(60 * SECOND, stream.read_u8()).await.ok()?.ok()?;
    assert_eq!(echoed, 7);
    Some((Runtime::now(&host).as_nanos() - began) / 1_000_000)
}

/// Ends what was begun after `delay`, from another task.
fn later(host: Host, delay: Duration, end: impl FnOnce(crate::Injector) + Send + 'static) {
    drop(Runtime::spawn(&host, "later", async move {
        Runtime::sleep(&host, delay).await;
        end(host.inject());
    }));
}

fn fault_lines(outcome: &Outcome) -> Vec<String> {
    let trace = outcome.trace.render();
    let lines = trace.lines().filter_map(|line| line.split_once("  * "));
    lines.map(|(_, line)| line.trim().to_owned()).collect()
}

#[test]
fn every_injected_fault_shows_in_the_trace() {
    let outcome = seeded(1, |sim| {
        echo(sim);
        sim.client("client", async |host: Host| -> std::io::Result<()> {
            let injector = host.inject();
            let (a, b) = ("client", "server");
            let stream = &mut connect(host).await?;
            assert_eq!(round_trip(host, stream).await, Some(2));

            injector.pause_link(a, b);
            later(host, 100 * MILLISECOND, move |injector| injector.resume_link(b, a));
            assert_eq!(round_trip(host, stream).await, Some(101), "it waited right before the server");

            injector.partition(a, b);
            later(host, 100 * MILLISECOND, move |injector| injector.heal(a, b));
            assert_eq!(round_trip(host, stream).await, Some(202), "with the first retransmission");

            injector.partition_one_way(b, a);
            later(host, 300 * MILLISECOND, move |injector| injector.heal(a, b));
            assert_eq!(round_trip(host, stream).await, Some(402), "the answer, with its second");

            injector.slow(a, b, 20 * MILLISECOND);
            assert_eq!(round_trip(host, stream).await, Some(42));
            injector.heal(b, a);

            injector.narrow(a, b, 10);
            assert_eq!(round_trip(host, stream).await, Some(202), "a tenth of a second each way");
            injector.heal(a, b);

            injector.lose(a, b, 1);
            assert_eq!(round_trip(host, stream).await, Some(2 * 12_600 + 2), "as often as it can be");
            injector.heal_all();

            injector.silence(b);
            later(host, SECOND, move |injector| injector.unsilence(b));
            assert_eq!(round_trip(host, stream).await, Some(1_602));

            injector.pause_host(b);
            later(host, SECOND, move |injector| injector.resume_host(b));
            assert_eq!(round_trip(host, stream).await, Some(1_001));

            injector.forget_one_way(a, b);
            assert_eq!(round_trip(host, stream).await, None);
            let stream = &mut connect(host).await?;
            assert_eq!(round_trip(host, stream).await, Some(2), "another connection");
            injector.forget(a, b);
            assert_eq!(round_trip(host, stream).await, None);

            let stream = &mut connect(host).await?;
            injector.reset(a, b);
            assert_eq!(round_trip(host, stream).await, None);
            let stream = &mut connect(host).await?;
            injector.crash(b, Crash::Process);
            assert_eq!(round_trip(host, stream).await, None);
            injector.restart(b);
            injector.crash(b, Crash::Machine);
            injector.heal_all();
            Ok(())
        });
    });
    assert_eq!(symptom(&outcome), "", "{}", outcome.trace.render());
    assert_eq!(outcome.faults, 13);
    let lines = fault_lines(&outcome);
    let told = [
        "segments between client and server wait",
        "segments between client and server go on",
        "client and server are cut off from each other",
        "client and server reach each other again",
        "nothing from server reaches client",
        "server and client reach each other again",
        "segments between client and server take 20.000ms longer",
        "segments between client and server are as fast as before",
        "only 10 B a second pass between client and server",
        "the link between client and server is as wide as before",
        "one segment in 1 between client and server is lost",
        "no more segments between client and server are lost",
        "server falls silent",
        "server is heard again",
        "server is paused",
        "server runs on",
        "something forgets the connection client:49152 -> server:80, from client to server",
        "something forgets the connection client:49153 -> server:80, both ways",
        "something resets the connections between client and server",
        "the process of server is killed",
        "server is started again",
        "the machine of server is lost",
        "server is started again",
    ];
    assert_eq!(lines, told);
}

#[test]
fn overlapping_faults_end_with_the_last() {
    let outcome = seeded(1, |sim| {
        echo(sim);
        sim.client("client", async |host: Host| -> std::io::Result<()> {
            let injector = host.inject();
            let stream = &mut connect(host).await?;
            injector.partition("client", "server");
            injector.partition_one_way("client", "server");
            injector.silence("server");
            injector.heal("client", "server");
            later(host, SECOND, |injector| injector.unsilence("server"));
            assert_eq!(round_trip(host, stream).await, Some(1_602));
            injector.slow("client", "server", 50 * MILLISECOND);
            injector.slow("server", "client", 20 * MILLISECOND);
            assert_eq!(round_trip(host, stream).await, Some(102));
            Ok(())
        });
    });
    assert_eq!(symptom(&outcome), "", "{}", outcome.trace.render());
    let healed = fault_lines(&outcome).iter().filter(|line| line.contains("reach each other")).count();
    assert_eq!(healed, 1, "only the last of them heals the link");
}

#[test]
fn a_name_that_no_host_has_is_named() {
    let outcome = seeded(1, |sim| {
        sim.client("client", async |host: Host| host.inject().partition("client", "servre"));
    });
    assert!(symptom(&outcome).contains("no host of this simulation is called `servre`"));
}

/// A client that waits for ever, beside one that keeps the run alive. Ended by hand if `ends`.
fn waits_on_a_paused_link(sim: &mut Sim, ends: bool) {
    sim.stall_after(30 * SECOND).time_limit(400 * SECOND);
    echo(sim);
    sim.client("client", async move |host: Host| -> std::io::Result<()> {
        let mut stream = connect(host).await?;
        // The handshake is over at the server too: it would give up otherwise, and reset.
        round_trip(host, &mut stream).await.expect("nothing is wrong yet");
        host.inject().pause_link("client", "server");
        if ends {
            later(host, 100 * SECOND, |injector| injector.resume_link("client", "server"));
        }
        stream.read_u8().await.map(drop)
    });
    sim.client("other", async |host: Host| {
        loop {
            Runtime::sleep(&host, SECOND).await;
        }
    });
}

#[test]
fn a_stall_counts_from_the_last_fault() {
    let judged = seeded(1, |sim| waits_on_a_paused_link(sim, true));
    let expected = "stall: client/main waits to read client:49152 -> server:80 for more than 30000.000ms";
    assert_eq!(symptom(&judged), expected);
    assert_eq!(judged.virtual_time.as_secs(), 130);
    let never_ends = seeded(1, |sim| waits_on_a_paused_link(sim, false));
    assert!(symptom(&never_ends).starts_with("time limit"), "{}", symptom(&never_ends));
}

#[test]
fn everything_works_again_after_the_faults() {
    let mut faults = 0;
    for seed in 0..100 {
        let outcome = seeded(seed, |sim| {
            sim.faults(Faults::all().until(50 * SECOND));
            echo(sim);
            sim.perturb(true);
            sim.client("client", async |host: Host| -> std::io::Result<()> {
                let heals_at = host.inject().heals_at();
                assert!(heals_at.as_nanos() <= 50_000_000_000);
                Runtime::sleep_until(&host, heals_at).await;
                let mut stream = tokio::time::timeout(10 * SECOND, connect(host)).await.expect("in time")?;
                round_trip(host, &mut stream).await.expect("nothing is wrong yet");
                Ok(())
            });
        });
        assert_eq!(symptom(&outcome), "", "seed {seed}\n{}", outcome.trace.render());
        faults += outcome.faults;
    }
    assert!(faults > 100, "{faults} faults");
}

#[test]
fn the_trace_shows_short_transfers_and_tiny_windows() {
    fn large(sim: &mut Sim) {
        sim.faults(Faults::none().short_transfers().tiny_windows());
        sim.server_thread("server", |host: Host| -> std::io::Result<()> {
            use wavetank_runtime::BlockingListener;
            let listener = Threads::listen(&host, "0.0.0.0:80".parse().unwrap(), ListenOptions::new())?;
            let (mut stream, _) = listener.accept()?;
            std::io::Write::write_all(&mut stream, &[7; 20_000])
        });
        sim.client("client", async |host: Host| -> std::io::Result<()> {
            let mut stream = connect(host).await?;
            let mut all = Vec::new();
            stream.read_to_end(&mut all).await?;
            assert_eq!(all, [7; 20_000]);
            Ok(())
        });
    }
    let (mut short, mut tiny, mut calm) = (0, 0, 0);
    for seed in 0..100 {
        let outcome = seeded(seed, large);
        assert_eq!(symptom(&outcome), "");
        let lines = fault_lines(&outcome);
        let tells = |what: &str| lines.iter().any(|line| line.contains(what));
        let (reads, windows) = (tells("may be short"), tells("no socket buffers more than"));
        let trace = outcome.trace.render();
        let shortened = ["~ reads ", "~ writes "].iter().any(|what| trace.contains(what));
        assert!(reads || !shortened, "{trace}");
        short += u32::from(shortened);
        tiny += u32::from(windows);
        calm += u32::from(!reads && !windows);
    }
    assert!(short > 10 && tiny > 10 && calm > 10, "{short} {tiny} {calm}");
}
