//! Random mixtures of spawning (tokio's, the runtime trait's), sleeping (both) and I/O do the same as on Tokio, at the
//! same times.

#![expect(clippy::disallowed_methods, reason = "what tokio runs by itself is what is tested")]

use std::pin::Pin;
use std::sync::Mutex as Shared;

use rand_chacha::ChaCha8Rng;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use wavetank_runtime::{ListenOptions, Listener, SocketOptions};

use super::*;
use crate::choice::below;

/// Whose function is called: tokio's or the runtime trait's.
#[derive(Clone, Copy, Debug)]
enum Whose {
    Tokio,
    Runtime,
}

/// What one end of a connection does.
#[derive(Clone, Debug)]
enum Act {
    Sleep(Whose, u64),
    Write(u8),
    Read,
    /// Goes on in a task of its own, of which the present one awaits the end, or not.
    GoOn {
        with: Whose,
        awaited: bool,
    },
}

/// What both ends of a connection do. Nothing is read that the other end has not written earlier in the list from which
/// this was made, so it always ends.
type Script = [Vec<Act>; 2];

fn script(rng: &mut ChaCha8Rng) -> Script {
    let whose = |rng: &mut _| if below(rng, 2) == 0 { Whose::Tokio } else { Whose::Runtime };
    let mut ends = [Vec::new(), Vec::new()];
    let mut unread = [0, 0];
    for number in 0..4 + below(rng, 12) {
        let end = below(rng, 2) as usize;
        let act = match below(rng, 6) {
            0 | 1 => Act::Sleep(whose(rng), u64::from(below(rng, 40))),
            2 | 3 => {
                unread[1 - end] += 1;
                Act::Write(number as u8)
            }
            4 if unread[end] > 0 => {
                unread[end] -= 1;
                Act::Read
            }
            _ => Act::GoOn { with: whose(rng), awaited: below(rng, 2) == 0 },
        };
        ends[end].push(act);
    }
    ends
}

/// An act, what came of it, and the millisecond at which it was done.
type Line = (usize, Option<u8>, u64);

/// What the tasks of one end have in common.
struct End<S> {
    runtime: Arc<dyn World>,
    acts: Vec<Act>,
    stream: S,
    lines: Arc<Shared<Vec<Line>>>,
    ended: Arc<tokio::sync::Notify>,
}

type BoxFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What differs between tokio and a simulation.
trait World: Send + Sync {
    fn sleep(&self, whose: Whose, milliseconds: u64) -> BoxFuture;
    fn spawn(&self, whose: Whose, task: BoxFuture) -> BoxFuture;
    fn milliseconds(&self) -> u64;
}

fn act<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(mut end: End<S>, from: usize) -> BoxFuture {
    Box::pin(async move {
        for index in from..end.acts.len() {
            let mut read = None;
            match end.acts[index].clone() {
                Act::Sleep(whose, milliseconds) => end.runtime.sleep(whose, milliseconds).await,
                Act::Write(byte) => end.stream.write_all(&[byte]).await.expect("a whole stream"),
                Act::Read => read = Some(end.stream.read_u8().await.expect("a whole stream")),
                Act::GoOn { with, awaited } => {
                    let world = end.runtime.clone();
                    let spawned = world.spawn(with, act(end, index + 1));
                    if awaited {
                        spawned.await;
                    }
                    return;
                }
            }
            end.lines.lock().expect("no panic").push((index, read, end.runtime.milliseconds()));
        }
        end.stream.shutdown().await.expect("a whole stream");
        end.stream.read_to_end(&mut Vec::new()).await.expect("a whole stream");
        end.ended.notify_one();
    })
}

/// What both ends of all connections did.
type Lines = Vec<[Arc<Shared<Vec<Line>>>; 2]>;

/// Starts `acts` on a stream; the future ends when all are done.
fn start<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(
    runtime: &Arc<dyn World>,
    stream: S,
    acts: &[Act],
    lines: &Arc<Shared<Vec<Line>>>,
) -> impl Future<Output = ()> + use<S> {
    let ended = Arc::new(tokio::sync::Notify::new());
    let end = End {
        runtime: runtime.clone(),
        acts: acts.to_vec(),
        stream,
        lines: lines.clone(),
        ended: ended.clone(),
    };
    let first = runtime.spawn(Whose::Tokio, act(end, 0));
    async move {
        ended.notified().await;
        drop(first);
    }
}

struct OnTokio(tokio::time::Instant);

impl World for OnTokio {
    fn sleep(&self, _: Whose, milliseconds: u64) -> BoxFuture {
        Box::pin(tokio::time::sleep(Duration::from_millis(milliseconds)))
    }

    fn spawn(&self, _: Whose, task: BoxFuture) -> BoxFuture {
        let handle = tokio::spawn(task);
        Box::pin(async { handle.await.expect("no panic") })
    }

    fn milliseconds(&self) -> u64 {
        self.0.elapsed().as_millis() as u64
    }
}

fn on_tokio(scripts: &[Script]) -> Vec<[Vec<Line>; 2]> {
    let lines: Lines = scripts.iter().map(|_| Default::default()).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(async {
        let world: Arc<dyn World> = Arc::new(OnTokio(tokio::time::Instant::now()));
        let mut ends = Vec::new();
        for (script, lines) in scripts.iter().zip(&lines) {
            let (client, server) = tokio::io::duplex(1 << 16);
            ends.push(start(&world, client, &script[0], &lines[0]));
            ends.push(start(&world, server, &script[1], &lines[1]));
        }
        for end in ends {
            end.await;
        }
    });
    taken(&lines)
}

fn taken(lines: &Lines) -> Vec<[Vec<Line>; 2]> {
    lines.iter().map(|ends| ends.each_ref().map(|end| end.lock().expect("no panic").clone())).collect()
}

struct Simulated(Host, u64);

impl World for Simulated {
    fn sleep(&self, whose: Whose, milliseconds: u64) -> BoxFuture {
        let pause = Duration::from_millis(milliseconds);
        match whose {
            Whose::Tokio => Box::pin(tokio::time::sleep(pause)),
            Whose::Runtime => Box::pin(Runtime::sleep(&self.0, pause)),
        }
    }

    fn spawn(&self, whose: Whose, task: BoxFuture) -> BoxFuture {
        match whose {
            Whose::Tokio => {
                let handle = tokio::spawn(task);
                Box::pin(async { handle.await.expect("no panic") })
            }
            Whose::Runtime => {
                let handle = Runtime::spawn(&self.0, "goes-on", task);
                Box::pin(async { handle.await.expect("no panic") })
            }
        }
    }

    fn milliseconds(&self) -> u64 {
        Runtime::now(&self.0).as_nanos() / 1_000_000 - self.1
    }
}

/// When the acts begin, in milliseconds: every connection stands by then.
const BEGIN: u64 = 1_000;

fn simulated(seed: u64, scripts: &Arc<Vec<Script>>, perturb: bool) -> (Outcome, Vec<[Vec<Line>; 2]>) {
    let lines: Lines = scripts.iter().map(|_| Default::default()).collect();
    let (shown, scripts) = (lines.clone(), scripts.clone());
    let outcome = seeded(seed, move |sim| {
        sim.perturb(perturb).latency(Duration::ZERO..=Duration::ZERO);
        let (of_server, server_scripts) = (lines.clone(), scripts.clone());
        sim.server("server", async move |host: Host| {
            let listener =
                Runtime::listen(&host, ([0, 0, 0, 0], 80).into(), ListenOptions::new()).await.unwrap();
            let mut streams = Vec::new();
            for _ in &*server_scripts {
                streams.push(listener.accept().await.unwrap().0);
            }
            Runtime::sleep_until(&host, wavetank_runtime::Instant::from_nanos(BEGIN * 1_000_000)).await;
            let world: Arc<dyn World> = Arc::new(Simulated(host, BEGIN));
            let mut ends = Vec::new();
            for ((script, lines), stream) in server_scripts.iter().zip(&of_server).zip(streams) {
                ends.push(start(&world, stream, &script[1], &lines[1]));
            }
            for end in ends {
                end.await;
            }
        });
        let (lines, scripts) = (lines.clone(), scripts.clone());
        sim.client("client", async move |host: Host| {
            let server = Runtime::resolve(&host, "server", 80).await.unwrap()[0];
            let mut streams = Vec::new();
            for _ in &*scripts {
                streams.push(Runtime::connect(&host, server, SocketOptions::new()).await.unwrap());
            }
            Runtime::sleep_until(&host, wavetank_runtime::Instant::from_nanos(BEGIN * 1_000_000)).await;
            let world: Arc<dyn World> = Arc::new(Simulated(host, BEGIN));
            let mut ends = Vec::new();
            for ((script, lines), stream) in scripts.iter().zip(&lines).zip(streams) {
                ends.push(start(&world, stream, &script[0], &lines[0]));
            }
            for end in ends {
                end.await;
            }
        });
    });
    (outcome, taken(&shown))
}

/// An act and what came of it.
type Done = (usize, Option<u8>);

/// The acts and what came of them, without the times.
fn without_times(all: &[[Vec<Line>; 2]]) -> Vec<[Vec<Done>; 2]> {
    let of_end = |end: &Vec<Line>| end.iter().map(|&(index, read, _)| (index, read)).collect();
    all.iter().map(|ends| ends.each_ref().map(of_end)).collect()
}

#[test]
fn random_mixtures_do_the_same_as_on_tokio() {
    for seed in 0..150 {
        let mut rng = Choices::seeded(seed).side_stream("mixture");
        let scripts: Vec<Script> = (0..1 + below(&mut rng, 4)).map(|_| script(&mut rng)).collect();
        let expected = on_tokio(&scripts);
        let scripts = Arc::new(scripts);
        let (outcome, plain) = simulated(seed, &scripts, false);
        assert_eq!(symptom(&outcome), "", "seed {seed}: {scripts:#?}\n{}", outcome.trace.render());
        assert_eq!(plain, expected, "seed {seed}: {scripts:#?}\n{}", outcome.trace.render());
        let (outcome, perturbed) = simulated(seed, &scripts, true);
        assert_eq!(symptom(&outcome), "", "seed {seed}: {scripts:#?}\n{}", outcome.trace.render());
        assert_eq!(without_times(&perturbed), without_times(&expected), "seed {seed}: {scripts:#?}");
    }
}
