//! Scripts in the simulation: one run each.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use wavetank::{Host, Sim, Strategy, Sweep};
use wavetank_runtime::{BlockingListener, BlockingStream, Instant, ListenOptions, SocketOptions, Threads};

use super::script::{Call, How, Outcome, Outcomes, Script, byte_at};

const PORT: u16 = 80;

/// A write that finds no room gives up at once.
const AT_ONCE: Duration = Duration::from_millis(1);

type Stream = <Host as Threads>::Stream;
type Listener = <Host as Threads>::Listener;

#[derive(Default)]
struct End {
    stream: Option<Stream>,
    written: usize,
    read: usize,
    reads: bool,
}

#[derive(Default)]
struct State {
    listener: Option<Arc<Listener>>,
    accepts: bool,
    ends: [Vec<End>; 2],
    connects: Vec<bool>,
    ports: Vec<Option<u16>>,
    outcomes: Outcomes,
}

/// What all threads of a script share. Nothing waits while it holds the lock.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<State>>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs a script, and returns what became of its calls.
pub(crate) fn run(script: &Script) -> Outcomes {
    run_delayed(script, Duration::from_millis(1))
}

/// Runs a script over a network that delays each segment by this.
pub(crate) fn run_delayed(script: &Script, delay: Duration) -> Outcomes {
    run_with(script, "scripts", delay..=delay)
}

/// Runs a script with latencies of its own for each segment.
pub(crate) fn run_variant(script: &Script, variant: u32) -> Outcomes {
    let name = format!("scripts, variant {variant}");
    run_with(script, &name, Duration::from_micros(100)..=Duration::from_millis(30))
}

fn run_with(script: &Script, name: &str, latency: RangeInclusive<Duration>) -> Outcomes {
    let played: Arc<Mutex<Outcomes>> = Arc::default();
    let (into, script) = (Arc::clone(&played), Arc::new(script.clone()));
    let folder = std::env::temp_dir().join(format!("wavetank-scripts-{}", std::process::id()));
    Sweep::new(name, folder).seeds(1).workers(1).run(move |sim: &mut Sim| {
        sim.perturb(false).strategy(Strategy::Fifo).time_limit(Duration::from_secs(1000));
        sim.latency(latency.clone());
        for host in ["client", "server"] {
            sim.server(host, async |_| {});
        }
        let (into, script) = (Arc::clone(&into), Arc::clone(&script));
        sim.client_thread("script", move |clock: Host| {
            let hosts = ["client", "server"].map(|name| clock.host(name).expect("the set-up has added it"));
            let outcomes = play(clock, hosts, &script);
            *into.lock().unwrap_or_else(PoisonError::into_inner) = outcomes;
        });
    });
    std::mem::take(&mut *played.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Connects and closes first, again and again, until all ports are in TIME-WAIT.
pub(crate) fn use_up_ports() {
    let folder = std::env::temp_dir().join(format!("wavetank-scripts-{}", std::process::id()));
    Sweep::new("scripts, ports", folder).seeds(1).check_every(0).workers(1).run(|sim: &mut Sim| {
        sim.perturb(false).strategy(Strategy::Fifo);
        sim.latency(Duration::from_micros(10)..=Duration::from_micros(10));
        sim.server_thread("server", |host| {
            let listener = Threads::listen(&host, ([0, 0, 0, 0], PORT).into(), ListenOptions::new())?;
            while let Ok((mut stream, _)) = listener.accept() {
                // The client closes first.
                let _end = stream.read(&mut [0]);
            }
            io::Result::Ok(())
        });
        sim.client_thread("client", |host: Host| {
            let target = (host.host("server").expect("the set-up has added it").ip(), PORT).into();
            let mut connections = 0;
            let error = loop {
                match Threads::connect(&host, target, SocketOptions::new(), None) {
                    Ok(_closed_first) => connections += 1,
                    Err(error) => break error,
                }
            };
            assert_eq!(error.raw_os_error(), Some(libc::EADDRNOTAVAIL));
            assert_eq!(connections, 1 << 14, "as many as there are ephemeral ports");
        });
    });
}

struct Player {
    hosts: [Host; 2],
    shared: Shared,
}

fn play(clock: Host, hosts: [Host; 2], script: &Script) -> Outcomes {
    let player = Player { hosts, shared: Shared::default() };
    {
        let mut state = player.shared.lock();
        state.ends = [0, 1].map(|_| (0..script.connections()).map(|_| End::default()).collect());
        state.connects = vec![false; script.connections()];
        state.ports = vec![None; script.connections()];
        state.outcomes = vec![(Outcome::Waits(0), 0); script.steps.len()];
    }
    let began = Threads::now(&clock);
    let (times, end) = script.times_ms();
    let until =
        |at: u32| Threads::sleep(&clock, began + Duration::from_millis(at.into()) - Threads::now(&clock));
    for (index, step) in script.steps.iter().enumerate() {
        until(times[index]);
        let made = Threads::now(&clock);
        if let Some(outcome) = player.make(index, step.call) {
            let took = millis(clock, made);
            player.shared.lock().outcomes[index] = (outcome, took);
        }
    }
    until(end);
    std::mem::take(&mut player.shared.lock().outcomes)
}

fn millis(host: Host, since: Instant) -> u32 {
    u32::try_from((Threads::now(&host) - since).as_millis()).unwrap_or(u32::MAX)
}

fn done(result: &io::Result<usize>, before: usize) -> Outcome {
    match result {
        Ok(count) => Outcome::Done(*count),
        Err(error) => Outcome::Failed(error.raw_os_error().unwrap_or(0), before),
    }
}

impl Player {
    /// Makes a call. None if it waits: a thread writes its outcome then.
    fn make(&self, index: usize, call: Call) -> Option<Outcome> {
        let [client, server] = self.hosts;
        match call {
            Call::Listen { backlog } => Some(self.listen(backlog)),
            Call::CloseListener => Some(self.close_listener()),
            Call::ListenAsClient { at } => Some(self.listen_as_client(at)),
            Call::Connect { at } => self.connect(index, at),
            Call::Accept => self.accept(index),
            Call::Write { host, at, bytes } => Some(self.write(host, at, bytes)),
            Call::Read { host, at, bytes } => self.read(index, host, at, bytes),
            Call::Shutdown { host, at, how } => Some(self.shutdown(host, at, how)),
            Call::Close { host, at } => Some(self.close(host, at, false)),
            Call::Abort { host, at } => Some(self.close(host, at, true)),
            Call::Cut { from } => {
                for (cuts, from, to) in [(from[0], client, server), (from[1], server, client)] {
                    if cuts {
                        client.inject().partition_one_way(&from.name(), &to.name());
                    }
                }
                Some(Outcome::Done(0))
            }
            Call::Heal => {
                client.inject().heal_all();
                Some(Outcome::Done(0))
            }
        }
    }

    /// Starts a thread that makes a call, and writes what became of it.
    fn start(&self, index: usize, host: usize, call: impl FnOnce(&Shared) -> Outcome + Send + 'static) {
        let (host, shared) = (self.hosts[host], self.shared.clone());
        let started = Threads::spawn(&host, &format!("call {index}"), move || {
            let made = Threads::now(&host);
            let outcome = call(&shared);
            let took = millis(host, made);
            shared.lock().outcomes[index] = (outcome, took);
        });
        drop(started.expect("threads cost nothing"));
    }

    fn listen(&self, backlog: u32) -> Outcome {
        if self.shared.lock().listener.is_some() {
            return Outcome::Skipped;
        }
        let address = SocketAddr::new(self.hosts[1].ip(), PORT);
        let listener = Threads::listen(&self.hosts[1], address, ListenOptions::new().backlog(backlog));
        let outcome = done(&listener.as_ref().map(|_| 0).map_err(copied), 0);
        self.shared.lock().listener = listener.ok().map(Arc::new);
        outcome
    }

    fn close_listener(&self) -> Outcome {
        let listener = {
            let mut state = self.shared.lock();
            let accepts = state.accepts;
            state.listener.take_if(|_| !accepts)
        };
        if listener.is_some() { Outcome::Done(0) } else { Outcome::Skipped }
    }

    fn listen_as_client(&self, at: usize) -> Outcome {
        let port = self.shared.lock().ports[at];
        let Some(port) = port else { return Outcome::Skipped };
        let address = SocketAddr::new(self.hosts[0].ip(), port);
        done(&Threads::listen(&self.hosts[0], address, ListenOptions::new()).map(|_| 0), 0)
    }

    fn connect(&self, index: usize, at: usize) -> Option<Outcome> {
        {
            let mut state = self.shared.lock();
            if state.ends[0][at].stream.is_some() || state.connects[at] || state.ports[at].is_some() {
                return Some(Outcome::Skipped);
            }
            state.connects[at] = true;
        }
        let target = SocketAddr::new(IpAddr::V4(server_ip(self.hosts[1])), PORT);
        let client = self.hosts[0];
        self.start(index, 0, move |shared| {
            let connected = Threads::connect(&client, target, SocketOptions::new(), None);
            let outcome = done(&connected.as_ref().map(|_| 0).map_err(copied), 0);
            let port = connected.as_ref().ok().and_then(|stream| stream.local_addr().ok());
            if let Ok(stream) = &connected {
                stream.set_write_timeout(Some(AT_ONCE)).expect("a live stream");
            }
            let mut state = shared.lock();
            state.connects[at] = false;
            state.ports[at] = Some(port.map_or(0, |address| address.port()));
            state.ends[0][at].stream = connected.ok();
            outcome
        });
        None
    }

    fn accept(&self, index: usize) -> Option<Outcome> {
        let listener = {
            let mut state = self.shared.lock();
            let Some(listener) = state.listener.clone().filter(|_| !state.accepts) else {
                return Some(Outcome::Skipped);
            };
            state.accepts = true;
            listener
        };
        self.start(index, 1, move |shared| {
            let accepted = listener.accept();
            drop(listener);
            if let Ok((stream, _)) = &accepted {
                stream.set_write_timeout(Some(AT_ONCE)).expect("a live stream");
            }
            let mut state = shared.lock();
            state.accepts = false;
            match accepted {
                Err(error) => done(&Err(error), 0),
                Ok((stream, peer)) => {
                    let at = state.ports.iter().position(|port| *port == Some(peer.port()));
                    if let Some(at) = at {
                        state.ends[1][at].stream = Some(stream);
                    }
                    Outcome::Accepted(at)
                }
            }
        });
        None
    }

    /// The stream of an end, without the lock.
    fn stream(&self, host: usize, at: usize) -> Option<Stream> {
        let state = self.shared.lock();
        state.ends[host][at].stream.as_ref().map(|stream| stream.try_clone().expect("clones cost nothing"))
    }

    fn write(&self, host: usize, at: usize, bytes: usize) -> Outcome {
        let Some(mut stream) = self.stream(host, at) else { return Outcome::Skipped };
        let from = self.shared.lock().ends[host][at].written;
        let message: Vec<u8> = (from..from + bytes).map(|position| byte_at(host, position)).collect();
        let written = stream.write(&message);
        self.shared.lock().ends[host][at].written += written.as_ref().copied().unwrap_or(0);
        done(&written, 0)
    }

    fn read(&self, index: usize, host: usize, at: usize, bytes: usize) -> Option<Outcome> {
        let Some(mut stream) = self.stream(host, at) else { return Some(Outcome::Skipped) };
        if std::mem::replace(&mut self.shared.lock().ends[host][at].reads, true) {
            return Some(Outcome::Skipped);
        }
        self.start(index, host, move |shared| {
            let outcome = read_all(shared, index, host, at, &mut stream, bytes);
            drop(stream);
            shared.lock().ends[host][at].reads = false;
            outcome
        });
        None
    }

    fn shutdown(&self, host: usize, at: usize, how: How) -> Outcome {
        let Some(stream) = self.stream(host, at) else { return Outcome::Skipped };
        let how = match how {
            How::Read => std::net::Shutdown::Read,
            How::Write => std::net::Shutdown::Write,
            How::Both => std::net::Shutdown::Both,
        };
        done(&stream.shutdown(how).map(|()| 0), 0)
    }

    fn close(&self, host: usize, at: usize, abort: bool) -> Outcome {
        let stream = {
            let mut state = self.shared.lock();
            let end = &mut state.ends[host][at];
            end.stream.take_if(|_| !end.reads)
        };
        let Some(stream) = stream else { return Outcome::Skipped };
        if abort {
            stream.abort();
        }
        Outcome::Done(0)
    }
}

/// Reads until `bytes`, the end or an error have come.
fn read_all(
    shared: &Shared,
    index: usize,
    host: usize,
    at: usize,
    stream: &mut Stream,
    bytes: usize,
) -> Outcome {
    let mut count = 0;
    let mut buffer = vec![0; bytes];
    while count < bytes {
        let read = stream.read(&mut buffer[..bytes - count]);
        let mut state = shared.lock();
        match read {
            Ok(0) => return Outcome::End(count),
            Err(error) => return done(&Err(error), count),
            Ok(some) => {
                let end = &mut state.ends[host][at];
                let mut expected = (end.read..).map(|position| byte_at(1 - host, position));
                if buffer[..some].iter().any(|byte| expected.next() != Some(*byte)) {
                    return Outcome::Corrupt;
                }
                end.read += some;
                count += some;
                state.outcomes[index].0 = Outcome::Waits(count);
            }
        }
    }
    Outcome::Done(count)
}

fn server_ip(server: Host) -> std::net::Ipv4Addr {
    match server.ip() {
        IpAddr::V4(ip) => ip,
        IpAddr::V6(ip) => panic!("hosts have addresses of IPv4, not {ip}"),
    }
}

fn copied(error: &io::Error) -> io::Error {
    error.raw_os_error().map_or_else(|| error.kind().into(), io::Error::from_raw_os_error)
}
