//! Scripts on Linux: many at once, each a task.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use socket2::SockRef;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::{JoinHandle, LocalSet};
use tokio::time::Instant;

use super::network::Network;
use super::script::{Call, How, Outcome, Outcomes, Script, byte_at};

const PORT: u16 = 80;

/// An end of a connection.
#[derive(Default)]
struct End {
    stream: Option<Rc<TcpStream>>,
    written: usize,
    /// Bytes read so far, shared with a read that waits.
    read: Rc<RefCell<usize>>,
    reading: Option<JoinHandle<()>>,
}

struct Running {
    network: Rc<Network>,
    pair: usize,
    listener: Option<Rc<TcpListener>>,
    accepting: Option<JoinHandle<()>>,
    ends: [Vec<End>; 2],
    connecting: Vec<Option<JoinHandle<()>>>,
    ports: Vec<Option<u16>>,
    outcomes: Outcomes,
}

type Shared = Rc<RefCell<Running>>;

/// Runs all scripts at once, over a network that delays each packet, and returns what became of their calls.
pub(crate) fn run(scripts: &[Script], delay: Duration) -> io::Result<Vec<Outcomes>> {
    let network = Rc::new(Network::new(delay, &[])?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let tasks = LocalSet::new();
    let running = scripts.iter().enumerate().map(|(pair, script)| {
        let (network, script) = (Rc::clone(&network), script.clone());
        tasks.spawn_local(async move {
            // Not all at the same moment.
            tokio::time::sleep_until(Instant::now() + Duration::from_millis(pair as u64 * 3)).await;
            play(network, pair, &script).await
        })
    });
    let running: Vec<_> = running.collect();
    runtime.block_on(tasks.run_until(async {
        let mut outcomes = Vec::new();
        for script in running {
            outcomes.push(script.await.map_err(io::Error::other)?);
        }
        Ok(outcomes)
    }))
}

async fn play(network: Rc<Network>, pair: usize, script: &Script) -> Outcomes {
    for machine in [0, 1] {
        network.cut(pair, machine, false);
    }
    let running: Shared = Rc::new(RefCell::new(Running {
        network,
        pair,
        listener: None,
        accepting: None,
        ends: [0, 1].map(|_| (0..script.connections()).map(|_| End::default()).collect()),
        connecting: (0..script.connections()).map(|_| None).collect(),
        ports: vec![None; script.connections()],
        outcomes: vec![(Outcome::Waits(0), 0); script.steps.len()],
    }));
    let began = Instant::now();
    let (times, end) = script.times_ms();
    for (index, step) in script.steps.iter().enumerate() {
        tokio::time::sleep_until(began + Duration::from_millis(times[index].into())).await;
        let made = Instant::now();
        if let Some(outcome) = make(&running, index, step.call, made) {
            running.borrow_mut().outcomes[index] = (outcome, millis(made));
        }
    }
    tokio::time::sleep_until(began + Duration::from_millis(end.into())).await;
    let mut running = running.borrow_mut();
    running.stop_all();
    std::mem::take(&mut running.outcomes)
}

fn millis(since: Instant) -> u32 {
    u32::try_from(since.elapsed().as_millis()).unwrap_or(u32::MAX)
}

/// Makes a call. None if it waits: a task writes its outcome then.
fn make(shared: &Shared, index: usize, call: Call, made: Instant) -> Option<Outcome> {
    let mut running = shared.borrow_mut();
    match call {
        Call::Listen { backlog } => Some(running.listen(backlog)),
        Call::CloseListener => Some(running.close_listener()),
        Call::ListenAsClient { at } => Some(running.listen_as_client(at)),
        Call::Connect { at } => running.connect(shared, index, at, made),
        Call::Accept => running.accept(shared, index, made),
        Call::Write { host, at, bytes } => Some(running.write(host, at, bytes)),
        Call::Read { host, at, bytes } => running.read(shared, index, host, at, bytes, made),
        Call::Shutdown { host, at, how } => Some(running.shutdown(host, at, how)),
        Call::Close { host, at } => Some(running.close(host, at, false)),
        Call::Abort { host, at } => Some(running.close(host, at, true)),
        Call::Cut { from } => {
            for machine in [0, 1] {
                running.network.cut(running.pair, machine, from[machine]);
            }
            Some(Outcome::Done(0))
        }
        Call::Heal => {
            for machine in [0, 1] {
                running.network.cut(running.pair, machine, false);
            }
            Some(Outcome::Done(0))
        }
    }
}

/// What a call that is over came to.
fn done(result: &io::Result<usize>, before: usize) -> Outcome {
    match result {
        Ok(count) => Outcome::Done(*count),
        Err(error) => Outcome::Failed(error.raw_os_error().unwrap_or(0), before),
    }
}

impl Running {
    fn address(&self, machine: usize, port: u16) -> SocketAddr {
        (Network::address(self.pair, machine), port).into()
    }

    fn listen(&mut self, backlog: u32) -> Outcome {
        if self.listener.is_some() {
            return Outcome::Skipped;
        }
        let address = self.address(1, PORT);
        let listener = self.network.on(1, || {
            let socket = TcpSocket::new_v4()?;
            socket.set_reuseaddr(true)?;
            socket.bind(address)?;
            socket.listen(backlog)
        });
        let outcome = done(&listener.as_ref().map(|_| 0).map_err(copied), 0);
        self.listener = listener.ok().map(Rc::new);
        outcome
    }

    fn close_listener(&mut self) -> Outcome {
        match self.listener.take_if(|_| self.accepting.is_none()) {
            Some(_) => Outcome::Done(0),
            None => Outcome::Skipped,
        }
    }

    fn listen_as_client(&self, at: usize) -> Outcome {
        let Some(port) = self.ports[at] else { return Outcome::Skipped };
        let address = self.address(0, port);
        let listener = self.network.on(0, || {
            let socket = TcpSocket::new_v4()?;
            socket.set_reuseaddr(true)?;
            socket.bind(address)?;
            socket.listen(1)
        });
        done(&listener.map(|_| 0), 0)
    }

    fn connect(&mut self, shared: &Shared, index: usize, at: usize, made: Instant) -> Option<Outcome> {
        if self.ports[at].is_some() {
            return Some(Outcome::Skipped);
        }
        let (own, target) = (self.address(0, 0), self.address(1, PORT));
        let socket = self.network.on(0, TcpSocket::new_v4).expect("a descriptor");
        socket.bind(own).expect("a local address");
        self.ports[at] = socket.local_addr().ok().map(|address| address.port());
        let shared = Rc::clone(shared);
        self.connecting[at] = Some(tokio::task::spawn_local(async move {
            let connected = socket.connect(target).await;
            let mut running = shared.borrow_mut();
            running.outcomes[index] = (done(&connected.as_ref().map(|_| 0).map_err(copied), 0), millis(made));
            running.connecting[at] = None;
            if let Ok(stream) = connected {
                running.ends[0][at].stream = Some(Rc::new(stream));
            }
        }));
        None
    }

    fn accept(&mut self, shared: &Shared, index: usize, made: Instant) -> Option<Outcome> {
        let Some(listener) = self.listener.clone().filter(|_| self.accepting.is_none()) else {
            return Some(Outcome::Skipped);
        };
        let shared = Rc::clone(shared);
        self.accepting = Some(tokio::task::spawn_local(async move {
            let accepted = listener.accept().await;
            let mut running = shared.borrow_mut();
            running.accepting = None;
            let outcome = match accepted {
                Err(error) => done(&Err(error), 0),
                Ok((stream, peer)) => {
                    let at = running.ports.iter().position(|port| *port == Some(peer.port()));
                    if let Some(at) = at {
                        running.ends[1][at].stream = Some(Rc::new(stream));
                    }
                    Outcome::Accepted(at)
                }
            };
            running.outcomes[index] = (outcome, millis(made));
        }));
        None
    }

    fn write(&mut self, host: usize, at: usize, bytes: usize) -> Outcome {
        let end = &mut self.ends[host][at];
        let Some(stream) = &end.stream else { return Outcome::Skipped };
        let message: Vec<u8> =
            (end.written..end.written + bytes).map(|position| byte_at(host, position)).collect();
        // Not tokio's: that waits until the socket says that it is writable.
        let written = SockRef::from(&**stream).send(&message);
        end.written += written.as_ref().copied().unwrap_or(0);
        done(&written, 0)
    }

    fn read(
        &mut self,
        shared: &Shared,
        index: usize,
        host: usize,
        at: usize,
        bytes: usize,
        made: Instant,
    ) -> Option<Outcome> {
        let end = &mut self.ends[host][at];
        let Some(stream) = end.stream.clone().filter(|_| end.reading.is_none()) else {
            return Some(Outcome::Skipped);
        };
        let (shared, total) = (Rc::clone(shared), Rc::clone(&end.read));
        end.reading = Some(tokio::task::spawn_local(async move {
            let mut count = 0;
            let outcome = loop {
                let mut buffer = vec![0; bytes - count];
                match stream.try_read(&mut buffer) {
                    Ok(0) => break Outcome::End(count),
                    Ok(some) => {
                        let from = *total.borrow();
                        let mut expected = (from..).map(|position| byte_at(1 - host, position));
                        if buffer[..some].iter().any(|byte| expected.next() != Some(*byte)) {
                            break Outcome::Corrupt;
                        }
                        *total.borrow_mut() += some;
                        count += some;
                        if count == bytes {
                            break Outcome::Done(count);
                        }
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        shared.borrow_mut().outcomes[index].0 = Outcome::Waits(count);
                        if let Err(error) = stream.readable().await {
                            break done(&Err(error), count);
                        }
                    }
                    Err(error) => break done(&Err(error), count),
                }
            };
            let mut running = shared.borrow_mut();
            running.outcomes[index] = (outcome, millis(made));
            running.ends[host][at].reading = None;
        }));
        None
    }

    fn shutdown(&mut self, host: usize, at: usize, how: How) -> Outcome {
        let Some(stream) = &self.ends[host][at].stream else { return Outcome::Skipped };
        let how = match how {
            How::Read => std::net::Shutdown::Read,
            How::Write => std::net::Shutdown::Write,
            How::Both => std::net::Shutdown::Both,
        };
        done(&SockRef::from(&**stream).shutdown(how).map(|()| 0), 0)
    }

    fn close(&mut self, host: usize, at: usize, abort: bool) -> Outcome {
        let end = &mut self.ends[host][at];
        if end.reading.is_some() {
            return Outcome::Skipped;
        }
        let Some(stream) = end.stream.take() else { return Outcome::Skipped };
        if abort {
            SockRef::from(&*stream).set_linger(Some(Duration::ZERO)).expect("a live socket");
        }
        Outcome::Done(0)
    }

    fn stop_all(&mut self) {
        let reading = self.ends.iter_mut().flatten().filter_map(|end| end.reading.take());
        let connecting = self.connecting.iter_mut().filter_map(Option::take);
        reading.chain(connecting).chain(self.accepting.take()).for_each(|task| task.abort());
        self.listener = None;
        for end in self.ends.iter_mut().flatten() {
            if let Some(stream) = end.stream.take() {
                // Nothing stays behind to be sent again.
                let _ = SockRef::from(&*stream).set_linger(Some(Duration::ZERO));
            }
        }
    }
}

fn copied(error: &io::Error) -> io::Error {
    error.raw_os_error().map_or_else(|| error.kind().into(), io::Error::from_raw_os_error)
}
