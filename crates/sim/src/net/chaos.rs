//! Random calls of applications and fault drivers: any call at any time, on any socket, under any link conditions.
//!
//! No call may panic or break an invariant. No error may come twice. A direction may only deliver a prefix of what was
//! written into it. After all sockets are closed and all faults are healed, nothing may be left.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::net::Shutdown;
use std::task::Poll;
use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;
use wavetank_runtime::{ListenOptions, SocketOptions};

use super::faults::Way;
use super::harness::{Harness, any_conditions};
use super::link::SECOND;
use super::*;
use crate::choice::below;

const SEEDS: u64 = 150;
const STEPS: u32 = 600;

/// What one socket has written and read.
#[derive(Debug, Default)]
struct Story {
    written: Vec<u8>,
    read: Vec<u8>,
    failed: bool,
}

struct Chaos {
    harness: Harness,
    rng: ChaCha8Rng,
    listeners: Vec<ListenerId>,
    sockets: Vec<SocketId>,
    stories: BTreeMap<SocketId, Story>,
}

impl Chaos {
    fn new(seed: u64) -> Self {
        let mut harness = Harness::new();
        let mut latencies = ChaCha8Rng::seed_from_u64(!seed);
        harness.outside.losses =
            (0..200).map(|_| below(&mut latencies, 7) * below(&mut latencies, 2)).collect();
        harness.outside.pick = Box::new(move |bound| below(&mut latencies, bound));
        harness.network.set_latency(LatencyRange { min: Duration::ZERO, max: Duration::from_millis(300) });
        let rng = ChaCha8Rng::seed_from_u64(seed);
        Self { harness, rng, listeners: Vec::new(), sockets: Vec::new(), stories: BTreeMap::new() }
    }

    fn run(mut self) {
        for _ in 0..STEPS {
            self.step();
            self.harness.network.check();
        }
        self.check_stories();
        let (a, b) = (self.harness.client, self.harness.server);
        for socket in self.sockets {
            self.harness.close(socket);
        }
        for listener in self.listeners {
            self.harness.network.close_listener(self.harness.now, &mut self.harness.outside, listener);
        }
        self.harness.heal();
        for host in [a, b] {
            self.harness.network.unsilence(self.harness.now, &mut self.harness.outside, host);
        }
        assert!(self.harness.network.quiet(), "no application is left to notice anything");
        self.harness.settle();
        assert!(self.harness.is_empty(), "{:?}", self.harness.network.connections.iter().collect::<Vec<_>>());
        assert!(self.harness.network.tuples.is_empty());
        assert!([a, b].iter().all(|&host| self.harness.network.open_sockets(host).is_empty()));
    }

    fn step(&mut self) {
        let Self { harness, rng, .. } = self;
        let (a, b) = (harness.client, harness.server);
        match below(rng, 100) {
            0..20 => {
                harness.step();
            }
            20..24 => harness.pass(u64::from(below(rng, 3_000)) * SECOND / 1000),
            24 => harness.pass(u64::from(below(rng, 200)) * SECOND),
            25..28 => self.listen(),
            28..36 => self.connect(),
            36..44 => self.accept(),
            44..60 => self.write(),
            60..76 => self.read(),
            76..80 => self.shutdown(),
            80..86 => self.close(),
            86 if !self.listeners.is_empty() => {
                let index = below(rng, self.listeners.len() as u32) as usize;
                let listener = self.listeners.swap_remove(index);
                harness.network.close_listener(harness.now, &mut harness.outside, listener);
            }
            87 => harness.partition(Way::Both),
            88 => harness.partition(Way::OneWay),
            89 => {
                let from_client = below(rng, 2) == 0;
                let conditions = any_conditions(rng);
                harness.change_one_way(from_client, conditions);
            }
            90..94 => harness.heal(),
            94 => harness.network.silence(harness.now, &mut harness.outside, b),
            95..97 => harness.network.unsilence(harness.now, &mut harness.outside, b),
            97 if below(rng, 4) == 0 => {
                harness.network.reset_connections(harness.now, &mut harness.outside, a, b)
            }
            98 => match below(rng, 12) {
                0..3 => harness.network.vanish(harness.now, &mut harness.outside, b),
                3 => harness.network.kill(harness.now, &mut harness.outside, a),
                4 => {
                    let ways = [below(rng, 2) == 0, below(rng, 2) == 0];
                    harness.network.sever(
                        harness.now,
                        &mut harness.outside,
                        [a, b],
                        ways,
                        below(rng, 3) as usize,
                    );
                }
                _ => harness.conditions(any_conditions(rng)),
            },
            99 => harness.network.set_user_timeout(Duration::from_secs(u64::from(below(rng, 100)))),
            _ => drop(harness.ready()),
        }
    }

    fn any_socket(&mut self) -> Option<SocketId> {
        let count = u32::try_from(self.sockets.len()).unwrap();
        (count > 0).then(|| self.sockets[below(&mut self.rng, count) as usize])
    }

    fn options(&mut self) -> SocketOptions {
        let mut size = || below(&mut self.rng, 3000);
        SocketOptions::new().send_buffer_bytes(size()).receive_buffer_bytes(size())
    }

    fn listen(&mut self) {
        let accepted = self.options();
        let options = ListenOptions::new().backlog(below(&mut self.rng, 3)).accepted(accepted);
        let addr = self.harness.server_addr();
        if let Ok(listener) =
            self.harness.network.listen(self.harness.now, self.harness.server, addr, options)
        {
            self.listeners.push(listener);
        }
    }

    fn connect(&mut self) {
        let options = self.options();
        let socket = self.harness.connect_with(options);
        self.sockets.push(socket);
    }

    fn accept(&mut self) {
        for &listener in &self.listeners {
            if let Poll::Ready(Ok((socket, _))) = self.harness.network.accept(listener) {
                self.sockets.push(socket);
            }
        }
    }

    fn write(&mut self) {
        let Some(socket) = self.any_socket() else { return };
        let bytes: Vec<u8> =
            (0..below(&mut self.rng, 4000)).map(|_| below(&mut self.rng, 256) as u8).collect();
        let result = self.harness.write(socket, &bytes);
        let story = self.stories.entry(socket).or_default();
        match result {
            Poll::Ready(Ok(count)) => story.written.extend(&bytes[..count]),
            Poll::Ready(Err(error)) => story.fail(&error),
            Poll::Pending => {}
        }
    }

    fn read(&mut self) {
        let Some(socket) = self.any_socket() else { return };
        let size = below(&mut self.rng, 4000) as usize;
        let result = self.harness.read(socket, size);
        let story = self.stories.entry(socket).or_default();
        match result {
            Poll::Ready(Ok(bytes)) => story.read.extend(bytes),
            Poll::Ready(Err(error)) => story.fail(&error),
            Poll::Pending => {}
        }
    }

    fn shutdown(&mut self) {
        let Some(socket) = self.any_socket() else { return };
        let how = [Shutdown::Read, Shutdown::Write, Shutdown::Both][below(&mut self.rng, 3) as usize];
        if let Err(error) = self.harness.shutdown(socket, how) {
            assert!(matches!(error.raw_os_error(), Some(libc::ENOTCONN | libc::EBADF)), "{error}");
        }
    }

    fn close(&mut self) {
        let Some(socket) = self.any_socket() else { return };
        if below(&mut self.rng, 2) == 0 {
            self.harness.network.set_linger_zero(socket);
        }
        self.harness.close(socket);
        // Sometimes the application continues to call.
        if below(&mut self.rng, 4) != 0 {
            self.sockets.retain(|&open| open != socket);
        }
    }

    fn check_stories(&self) {
        for (socket, story) in &self.stories {
            let peer = SocketId::new(socket.connection(), 1 - socket.side());
            let written = self.stories.get(&peer).map_or(&[][..], |peer| &peer.written);
            assert!(written.starts_with(&story.read), "{socket:?} read what was not written");
        }
    }
}

impl Story {
    /// A socket reports what ended its connection once.
    fn fail(&mut self, error: &io::Error) {
        if error.kind() != ErrorKind::BrokenPipe && error.raw_os_error() != Some(libc::EBADF) {
            assert!(!self.failed, "a second error: {error}");
            self.failed = true;
        }
    }
}

#[test]
fn no_call_at_any_time_breaks_the_network() {
    for seed in 0..SEEDS {
        Chaos::new(seed).run();
    }
}
