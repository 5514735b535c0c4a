//! The simulator against turmoil, side by side in one binary.
//!
//! `cargo bench -p wavetank --bench turmoil` runs everything and prints one table. Rounds of both contenders alternate,
//! and the figure is the median of their ratios, so that a noisy machine disturbs both alike. A busy machine still
//! delays the simulator more, because its runs have an OS thread of their own, so the table has CPU time as well as
//! elapsed time. An argument runs only the parts whose name contains it: `cargo bench -p wavetank --bench turmoil --
//! hosts`.
//!
//! Both hold the same conversation, and every run has a seed of its own. The simulator runs with everything on that a
//! test has by default: perturbations, the trace, choices written down, every 64th seed run a second time. The OS
//! thread of a run is used again, because this conversation leaves no trace on it. Within 1 to 10 ms the simulator
//! draws latencies uniformly (5.5 ms on average), turmoil from a truncated exponential distribution whose default
//! curve makes 2.3 ms: less simulated time, and so fewer of its ticks. Targets are judged against that default; a line
//! with a curve that also makes 5.5 ms shows what equal latencies come to.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::Barrier;
use wavetank::runtime::{ListenOptions, Listener, Runtime, SocketOptions};
use wavetank::{Host, Sim, Sweep};

const ROUND_TRIPS: usize = 100;
const ROUNDS: usize = 9;

fn main() {
    let wanted: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let asked_for = |name: &str| wanted.is_empty() || wanted.iter().any(|part| name.contains(part.as_str()));
    println!("medians of {ROUNDS} interleaved rounds; the simulator runs with one worker\n");
    if asked_for("against turmoil") {
        against_turmoil();
    }
    if asked_for("hosts") {
        hosts();
    }
    if asked_for("workers") {
        workers();
    }
    if asked_for("memory") {
        memory(10_000);
    }
    if wanted.iter().any(|part| part == "million") {
        memory(1_000_000);
    }
    if wanted.iter().any(|part| part == "profile") {
        // Nothing but the simulator, for a profiler that counts instructions.
        wavetank_echo(500, 0);
    }
}

/// Seconds that something took.
#[derive(Clone, Copy, Default)]
struct Time {
    passed: f64,
    /// CPU time of all threads.
    used: f64,
}

impl Time {
    /// Times `f`.
    #[expect(clippy::disallowed_types, reason = "a benchmark measures real time")]
    fn of(f: impl FnOnce()) -> Self {
        let (start, used) = (std::time::Instant::now(), Self::cpu());
        f();
        Self { passed: start.elapsed().as_secs_f64(), used: Self::cpu() - used }
    }

    /// CPU time of the process.
    #[expect(unsafe_code, reason = "std has no such clock")]
    fn cpu() -> f64 {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: `time` is a valid place to write to.
        unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
        time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
    }

    fn each(self, count: usize) -> Self {
        Self { passed: self.passed / count as f64, used: self.used / count as f64 }
    }

    fn ratio(self, other: Self) -> Self {
        Self { passed: self.passed / other.passed, used: self.used / other.used }
    }

    fn medians(times: &[Self]) -> Self {
        let of = |f: fn(&Self) -> f64| median(times.iter().map(f).collect());
        Self { passed: of(|time| time.passed), used: of(|time| time.used) }
    }
}

/// Times `f` on the real clock, in seconds.
fn seconds(f: impl FnOnce()) -> f64 {
    Time::of(f).passed
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Alternates two contenders and returns the medians of their times a run and of the ratios first : second.
fn compare(runs: [usize; 2], mut first: impl FnMut(usize), mut second: impl FnMut(usize)) -> [Time; 3] {
    first(1);
    second(1);
    let (mut a, mut b, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let one = Time::of(|| first(runs[0])).each(runs[0]);
        let two = Time::of(|| second(runs[1])).each(runs[1]);
        a.push(one);
        b.push(two);
        ratios.push(one.ratio(two));
    }
    [a, b, ratios].map(|times| Time::medians(&times))
}

fn show(name: &str, [wavetank, turmoil, ratio]: [Time; 3], target: f64) {
    let verdict = if ratio.passed <= target { "met" } else { "MISSED" };
    println!(
        "{name:<44} wavetank {:>8.1} µs ({:.1} CPU)   turmoil {:>10.1} µs ({:.1})   ratio {:.6} ({:.6})   \
        target {target}   \
         {verdict}",
        wavetank.passed * 1e6,
        wavetank.used * 1e6,
        turmoil.passed * 1e6,
        turmoil.used * 1e6,
        ratio.passed,
        ratio.used,
    );
}

fn against_turmoil() {
    println!("against turmoil: time a run, and CPU time");
    let times =
        compare([2000, 150], |runs| wavetank_echo(runs, 0), |runs| turmoil_echo(runs, 0, Curve::Default));
    show("2 hosts, connect, 100 round trips of 64 B", times, 0.1);
    let times =
        compare([2000, 150], |runs| wavetank_echo(runs, 0), |runs| turmoil_echo(runs, 0, Curve::SameMean));
    show("the same, latencies with the same mean", times, 0.1);
    let times =
        compare([2000, 1], |runs| wavetank_echo(runs, 300), |runs| turmoil_echo(runs, 300, Curve::Default));
    show("the same, and 300 idle simulated seconds", times, 0.001);
    println!();
}

/// Time for hosts that each talk to two others, by number of hosts. Linear is: a host costs the same among many.
fn hosts() {
    const COUNTS: [usize; 4] = [10, 25, 50, 100];
    const LINEAR: f64 = 1.25;
    println!("hosts: each connects to two others, 100 round trips of 64 B on each connection");
    let mut rounds: [Vec<[f64; 3]>; COUNTS.len()] = Default::default();
    for _ in 0..ROUNDS {
        let mut first = None;
        for (count, lines) in COUNTS.iter().zip(&mut rounds) {
            let (runs, turmoil_runs) = (2000 / count, 100 / count);
            let wavetank = seconds(|| wavetank_ring(runs, *count)) / runs as f64;
            let turmoil = seconds(|| turmoil_ring(turmoil_runs, *count)) / turmoil_runs as f64;
            let each = wavetank / *count as f64;
            lines.push([wavetank, turmoil, each / *first.get_or_insert(each)]);
        }
    }
    for (count, lines) in COUNTS.iter().zip(rounds) {
        let of = |f: fn(&[f64; 3]) -> f64| median(lines.iter().map(f).collect());
        let (wavetank, growth) = (of(|line| line[0]), of(|line| line[2]));
        println!(
            "{count:>4} hosts: wavetank {:>9.1} µs, {:>6.1} µs a host, {growth:.2} of the first line   \
            turmoil {:>11.1} µs   \
             ratio {:.4}   target {LINEAR}   {}",
            wavetank * 1e6,
            wavetank * 1e6 / *count as f64,
            of(|line| line[1]) * 1e6,
            of(|line| line[0] / line[1]),
            if growth <= LINEAR { "met" } else { "MISSED" },
        );
    }
    println!();
}

/// How much faster two workers sweep than one.
fn workers() {
    println!("workers: the same sweep of 4,000 seeds with one worker and with two");
    let sweep = |workers: usize| {
        move |runs: usize| {
            Sweep::new("bench", env!("CARGO_MANIFEST_DIR"))
                .seeds(runs as u64)
                .workers(workers)
                .run(|sim| echo(sim, 0));
        }
    };
    let [one, two, ratio] = compare([4_000, 4_000], sweep(1), sweep(2));
    let verdict = if ratio.passed >= 1.8 { "met" } else { "MISSED" };
    println!(
        "one {:.1} µs a run ({:.1} CPU), two {:.1} µs ({:.1} CPU): {:.2} times as fast   target 1.8   {verdict}\n",
        one.passed * 1e6,
        one.used * 1e6,
        two.passed * 1e6,
        two.used * 1e6,
        ratio.passed,
    );
}

/// Resident memory over a sweep of `runs` runs.
fn memory(runs: u64) {
    println!("memory: resident set while {runs} runs of the echo pass by");
    for part in 1..=10 {
        Sweep::new("bench", env!("CARGO_MANIFEST_DIR"))
            .base_seed(part * runs)
            .seeds(runs / 10)
            .run(|sim| echo(sim, 0));
        println!("after {:>8} runs: {:>6} KiB", part * (runs / 10), resident_kib());
    }
    println!();
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or("VmRSS: 0");
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).unwrap_or(0)
}

// The conversation, the same for both.

async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    let mut message = [0; 64];
    while stream.read_exact(&mut message).await.is_ok() {
        if stream.write_all(&message).await.is_err() {
            return;
        }
    }
}

async fn ask(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> std::io::Result<()> {
    let mut answer = [0; 64];
    for number in 0..ROUND_TRIPS {
        stream.write_all(&[number as u8; 64]).await?;
        stream.read_exact(&mut answer).await?;
        assert_eq!(black_box(answer), [number as u8; 64]);
    }
    Ok(())
}

// The simulator.

async fn serve(host: Host) -> std::io::Result<()> {
    let listener = host.listen(([0, 0, 0, 0], 80).into(), ListenOptions::new()).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        host.spawn("connection", answer(stream));
    }
}

async fn request(host: Host, server: String) -> std::io::Result<()> {
    let server = host.resolve(&server, 80).await?[0];
    ask(host.connect(server, SocketOptions::new()).await?).await
}

fn echo(sim: &mut Sim, idle_seconds: u64) {
    sim.latency(Duration::from_millis(1)..=Duration::from_millis(10));
    sim.server("server", serve);
    sim.client("client", async move |host: Host| {
        request(host, "server".to_owned()).await?;
        host.sleep(Duration::from_secs(idle_seconds)).await;
        std::io::Result::Ok(())
    });
}

fn wavetank_echo(runs: usize, idle_seconds: u64) {
    Sweep::new("bench", env!("CARGO_MANIFEST_DIR"))
        .seeds(runs as u64)
        .workers(1)
        .run(move |sim| echo(sim, idle_seconds));
}

fn wavetank_ring(runs: usize, count: usize) {
    Sweep::new("bench", env!("CARGO_MANIFEST_DIR")).seeds(runs as u64).workers(1).run(move |sim| {
        sim.latency(Duration::from_millis(1)..=Duration::from_millis(10));
        // The other end of a connection sees its end a little after the mains have ended, and may be delayed for 10 s.
        sim.leak_grace(Duration::from_secs(60));
        let through = Arc::new(Barrier::new(count));
        for index in 0..count {
            let through = through.clone();
            sim.client(&format!("host{index}"), async move |host: Host| {
                let server = host.spawn("server", async move { serve(host).await });
                let peers = [1, 2].map(|step| format!("host{}", (index + step) % count));
                let [one, two] = peers.map(|peer| host.spawn("request", request(host, peer)));
                one.await.expect("a request does not panic")?;
                two.await.expect("a request does not panic")?;
                // The others may still need this host's server.
                through.wait().await;
                wavetank::runtime::TaskHandle::abort(&server);
                std::io::Result::Ok(())
            });
        }
    });
}

// turmoil.

/// How turmoil distributes latencies within their range.
#[derive(Clone, Copy)]
enum Curve {
    /// 2.3 ms on average.
    Default,
    /// 5.5 ms on average, as in the simulator: the root of 10 e^-λ + Σ (k + 1)(e^(-λk/9) - e^(-λ(k+1)/9)) = 5.5, k =
    /// 0..9.
    SameMean,
}

fn turmoil_sim(seed: u64, curve: Curve) -> turmoil::Sim<'static> {
    let sim = turmoil::Builder::new()
        .min_message_latency(Duration::from_millis(1))
        .max_message_latency(Duration::from_millis(10))
        .simulation_duration(Duration::from_secs(3600))
        .rng_seed(seed)
        .build();
    if let Curve::SameMean = curve {
        sim.set_message_latency_curve(1.388);
    }
    sim
}

async fn turmoil_serve() -> turmoil::Result {
    let listener = turmoil::net::TcpListener::bind(("0.0.0.0", 80)).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::task::spawn_local(answer(stream));
    }
}

async fn turmoil_request(server: String) -> std::io::Result<()> {
    ask(turmoil::net::TcpStream::connect((server, 80)).await?).await
}

#[expect(clippy::disallowed_methods, reason = "turmoil's timers are tokio's")]
fn turmoil_echo(runs: usize, idle_seconds: u64, curve: Curve) {
    for seed in 0..runs {
        let mut sim = turmoil_sim(seed as u64, curve);
        sim.host("server", turmoil_serve);
        sim.client("client", async move {
            turmoil_request("server".to_owned()).await?;
            tokio::time::sleep(Duration::from_secs(idle_seconds)).await;
            Ok(())
        });
        sim.run().expect("the conversation ends");
    }
}

fn turmoil_ring(runs: usize, count: usize) {
    for seed in 0..runs {
        let mut sim = turmoil_sim(seed as u64, Curve::Default);
        let through = Arc::new(Barrier::new(count));
        for index in 0..count {
            let through = through.clone();
            sim.client(format!("host{index}"), async move {
                tokio::task::spawn_local(turmoil_serve());
                let peers = [1, 2].map(|step| format!("host{}", (index + step) % count));
                let [one, two] = peers.map(|peer| tokio::task::spawn_local(turmoil_request(peer)));
                one.await??;
                two.await??;
                through.wait().await;
                Ok(())
            });
        }
        sim.run().expect("the conversations end");
    }
}
