//! Random runs: applications that act only when they are ready, under random link conditions and silence, with small
//! buffers.
//!
//! Every run must end with every byte read once, in order, and every direction ended; the same seed must give the same
//! run.

use std::net::Shutdown;
use std::task::Poll;
use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;
use wavetank_runtime::{ListenOptions, SocketOptions};

use super::faults::Way;
use super::harness::{Harness, any_conditions};
use super::hosts::EPHEMERAL_FIRST;
use super::link::SECOND;
use super::trace::NetEventKind;
use super::*;
use crate::choice::below;

const SEEDS: u64 = 64;
const FAULTS_MAX: u32 = 6;

/// The byte at a position of a direction: other directions, and shifts of this one, look different.
fn byte_at(direction: u64, position: u64) -> u8 {
    let mixed = (position + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15 ^ (direction << 7 | direction));
    (mixed >> 32) as u8
}

/// How an application says that it has no more to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Goodbye {
    Shutdown,
    /// Only after the peer's end was read, so that nothing is reset.
    CloseLast,
}

/// One end's application: a writer and a reader that block and are woken separately.
#[derive(Debug)]
struct Application {
    socket: Option<SocketId>,
    connecting: bool,
    writes: u64,
    reads: u64,
    written: u64,
    read: u64,
    chunk: u32,
    goodbye: Goodbye,
    wrote_all: bool,
    read_all: bool,
    write_blocked: bool,
    read_blocked: bool,
    /// Names the direction that it writes; the one it reads has the last bit flipped.
    direction: u64,
}

impl Application {
    fn new(direction: u64, rng: &mut ChaCha8Rng) -> Self {
        Self {
            socket: None,
            connecting: false,
            writes: u64::from(below(rng, 1 << below(&mut rng.clone(), 16))),
            reads: 0,
            written: 0,
            read: 0,
            chunk: 1 + below(rng, 3000),
            goodbye: if below(rng, 2) == 0 { Goodbye::Shutdown } else { Goodbye::CloseLast },
            wrote_all: false,
            read_all: false,
            write_blocked: false,
            read_blocked: false,
            direction,
        }
    }

    fn is_done(&self) -> bool {
        self.wrote_all && self.read_all && self.socket.is_none()
    }

    fn can_write(&self) -> bool {
        self.socket.is_some() && !self.connecting && !self.write_blocked && !self.wrote_all
    }

    fn can_read(&self) -> bool {
        self.socket.is_some() && !self.connecting && !self.read_blocked && !self.read_all
    }

    fn write(&mut self, harness: &mut Harness, rng: &mut ChaCha8Rng) {
        let socket = self.socket.unwrap();
        if self.written < self.writes {
            let count = u64::from(1 + below(rng, self.chunk)).min(self.writes - self.written);
            let bytes: Vec<u8> =
                (self.written..self.written + count).map(|at| byte_at(self.direction, at)).collect();
            match harness.write(socket, &bytes) {
                Poll::Ready(result) => self.written += result.expect("the connection is open") as u64,
                Poll::Pending => self.write_blocked = true,
            }
        } else if self.goodbye == Goodbye::Shutdown {
            harness.shutdown(socket, Shutdown::Write).expect("the connection is open");
            self.wrote_all = true;
        } else if self.read_all {
            self.wrote_all = true;
        } else {
            // The peer must end first; two that wait for each other would wait for ever.
            self.goodbye = Goodbye::Shutdown;
        }
        self.close_if_done(harness);
    }

    fn read(&mut self, harness: &mut Harness, rng: &mut ChaCha8Rng) {
        let size = 1 + below(rng, self.chunk) as usize;
        match harness.read(self.socket.unwrap(), size) {
            Poll::Ready(result) => {
                let bytes = result.expect("nothing is reset");
                for (at, byte) in (self.read..).zip(&bytes) {
                    assert_eq!(*byte, byte_at(self.direction ^ 1, at), "byte {at} of {}", self.direction ^ 1);
                }
                self.read += bytes.len() as u64;
                if bytes.is_empty() {
                    assert_eq!(self.read, self.reads, "the end comes after the last byte");
                    self.read_all = true;
                }
            }
            Poll::Pending => self.read_blocked = true,
        }
        self.close_if_done(harness);
    }

    fn close_if_done(&mut self, harness: &mut Harness) {
        if self.wrote_all
            && self.read_all
            && let Some(socket) = self.socket.take()
        {
            harness.close(socket);
        }
    }
}

struct Run {
    harness: Harness,
    rng: ChaCha8Rng,
    listener: ListenerId,
    /// Client and server of each connection.
    applications: Vec<[Application; 2]>,
    accept_blocked: bool,
    faults_left: u32,
    next_fault: Nanos,
    broken: bool,
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut harness = Harness::new();
        let mut latencies = ChaCha8Rng::seed_from_u64(seed ^ 0xa5a5);
        harness.outside.pick = Box::new(move |bound| below(&mut latencies, bound));
        harness.outside.losses = (0..200).map(|_| below(&mut rng, 5) * below(&mut rng, 2)).collect();
        harness.network.set_latency(LatencyRange {
            min: Duration::from_micros(u64::from(below(&mut rng, 500))),
            max: Duration::from_micros(u64::from(below(&mut rng, 80_000))),
        });
        let options = |rng: &mut ChaCha8Rng| {
            let mut size = || 1 + below(rng, 1 << below(&mut rng.clone(), 17));
            SocketOptions::new().send_buffer_bytes(size()).receive_buffer_bytes(size())
        };
        let accepted = options(&mut rng);
        let listener = harness.listen(ListenOptions::new().backlog(below(&mut rng, 3)).accepted(accepted));
        let mut applications = Vec::new();
        for connection in 0..u64::from(1 + below(&mut rng, 4)) {
            let mut pair = [0, 1].map(|side| Application::new(connection << 1 | side, &mut rng));
            [pair[0].reads, pair[1].reads] = [pair[1].writes, pair[0].writes];
            let client_options = options(&mut rng);
            pair[0].socket = Some(harness.connect_with(client_options));
            pair[0].connecting = true;
            applications.push(pair);
        }
        let next_fault = u64::from(below(&mut rng, 300)) * 1_000_000;
        let faults_left = below(&mut rng, FAULTS_MAX);
        Self {
            harness,
            rng,
            listener,
            applications,
            accept_blocked: false,
            faults_left,
            next_fault,
            broken: false,
        }
    }

    fn run(mut self) -> (Nanos, Vec<NetEvent>) {
        for _ in 0..3_000_000 {
            self.wake();
            self.harness.network.check();
            if self.applications.iter().flatten().all(Application::is_done) && !self.broken {
                self.harness.settle();
                assert!(self.harness.network.quiet());
                assert!(self.harness.is_empty());
                return (self.harness.now, self.harness.outside.events);
            }
            if below(&mut self.rng, 4) == 0 || !self.act() {
                self.advance();
            }
        }
        panic!("the run does not end: {:?}\n{:#?}", self.applications, self.harness.network.connections);
    }

    fn wake(&mut self) {
        for ready in self.harness.ready() {
            match ready {
                Ready::Listener(_) => self.accept_blocked = false,
                Ready::Socket(socket, direction) => {
                    let application = self
                        .applications
                        .iter_mut()
                        .flatten()
                        .find(|application| application.socket == Some(socket));
                    let Some(application) = application else { continue };
                    match direction {
                        Direction::Connect => {
                            let result = self.harness.network.poll_connected(socket);
                            assert!(matches!(result, Poll::Ready(Ok(()))), "{result:?}");
                            application.connecting = false;
                        }
                        Direction::Read => application.read_blocked = false,
                        Direction::Write => application.write_blocked = false,
                    }
                }
                other => panic!("{other:?} without UDP and Unix sockets"),
            }
        }
    }

    /// One call of one application that is not blocked. Returns whether there was one.
    fn act(&mut self) -> bool {
        let mut able: Vec<(usize, usize, bool)> = Vec::new();
        for (index, pair) in self.applications.iter().enumerate() {
            for (side, application) in pair.iter().enumerate() {
                able.extend(application.can_write().then_some((index, side, true)));
                able.extend(application.can_read().then_some((index, side, false)));
            }
        }
        let bound = able.len() as u32 + u32::from(!self.accept_blocked);
        if bound == 0 {
            return false;
        }
        let pick = below(&mut self.rng, bound) as usize;
        match able.get(pick) {
            None => self.accept(),
            Some(&(index, side, true)) => {
                self.applications[index][side].write(&mut self.harness, &mut self.rng)
            }
            Some(&(index, side, false)) => {
                self.applications[index][side].read(&mut self.harness, &mut self.rng)
            }
        }
        true
    }

    fn accept(&mut self) {
        match self.harness.network.accept(self.listener) {
            Poll::Pending => self.accept_blocked = true,
            Poll::Ready(result) => {
                let (socket, peer) = result.expect("the listener is open");
                let connection = self
                    .applications
                    .iter()
                    .position(|pair| {
                        pair[1].socket.is_none() && !pair[1].is_done() && {
                            let client = pair[0].direction >> 1;
                            u64::from(peer.port() - EPHEMERAL_FIRST) == client
                        }
                    })
                    .expect("the peer is one of the clients");
                self.applications[connection][1].socket = Some(socket);
            }
        }
    }

    /// Goes to the next event or the next fault, whichever comes first.
    fn advance(&mut self) {
        let fault = (self.faults_left > 0 || self.broken).then_some(self.next_fault);
        match (self.harness.network.next_event(), fault) {
            (Some(event), Some(fault)) if fault < event => self.fault(),
            (None, Some(_)) => self.fault(),
            (Some(_), _) => {
                self.harness.step();
            }
            (None, None) => {
                let able = |a: &Application| a.can_read() || a.can_write();
                let able = !self.accept_blocked || self.applications.iter().flatten().any(able);
                assert!(able, "stuck: {:?}\n{:#?}", self.applications, self.harness.network.connections);
            }
        }
    }

    fn fault(&mut self) {
        let Self { harness, rng, .. } = self;
        harness.now = self.next_fault;
        self.next_fault += 1 + u64::from(below(rng, 2_500)) * 1_000_000;
        if self.broken {
            harness.heal();
            let (client, server) = (harness.client, harness.server);
            harness.network.unsilence(harness.now, &mut harness.outside, client);
            harness.network.unsilence(harness.now, &mut harness.outside, server);
            self.broken = false;
            return;
        }
        self.faults_left -= 1;
        self.broken = true;
        match below(rng, 6) {
            4 => harness.conditions(any_conditions(rng)),
            5 => {
                let conditions = any_conditions(rng);
                harness.change_one_way(below(rng, 2) == 0, conditions);
            }
            0 => harness.partition(Way::Both),
            1 => harness.partition(Way::OneWay),
            2 => harness.partition_from_server(),
            _ => {
                let host = if below(rng, 2) == 0 { harness.client } else { harness.server };
                harness.network.silence(harness.now, &mut harness.outside, host);
            }
        }
    }
}

#[test]
fn faults_never_lose_reorder_or_repeat_bytes() {
    for seed in 0..SEEDS {
        Run::new(seed).run();
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in 0..SEEDS / 8 {
        assert_eq!(Run::new(seed).run(), Run::new(seed).run());
    }
}

#[test]
fn a_random_run_meets_faults_and_full_backlogs() {
    let mut shown = [false; 4];
    for seed in 0..SEEDS {
        let (ended, events) = Run::new(seed).run();
        shown[0] |= ended > 20 * SECOND;
        for event in events {
            let what = event.what;
            shown[1] |= what == NetEventKind::BacklogFull;
            shown[2] |= what == NetEventKind::Retransmitted;
            shown[3] |= what == NetEventKind::Lost;
        }
    }
    assert_eq!(shown, [true; 4]);
}
