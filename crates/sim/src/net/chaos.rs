//! Applications and fault drivers without manners: any call at any time, on sockets open or closed, in any weather.
//!
//! Nothing may panic or break an invariant, no error may come twice, a direction may only give a prefix of what was
//! written into it, and once everybody is gone and every fault is healed nothing may be left.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::net::Shutdown;
use std::task::Poll;
use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;
use wavetank_runtime::{ListenOptions, SocketOptions};

use super::faults::Way;
use super::harness::{Harness, any_weather};
use super::link::SECOND;
use super::*;
use crate::choices::below;

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
    tank: Harness,
    rng: ChaCha8Rng,
    listeners: Vec<ListenerId>,
    sockets: Vec<SocketId>,
    stories: BTreeMap<SocketId, Story>,
}

impl Chaos {
    fn new(seed: u64) -> Self {
        let mut tank = Harness::new();
        let mut latencies = ChaCha8Rng::seed_from_u64(!seed);
        tank.out.losses = (0..200).map(|_| below(&mut latencies, 7) * below(&mut latencies, 2)).collect();
        tank.out.pick = Box::new(move |bound| below(&mut latencies, bound));
        tank.network.set_latency(LatencyRange { min: Duration::ZERO, max: Duration::from_millis(300) });
        let rng = ChaCha8Rng::seed_from_u64(seed);
        Self { tank, rng, listeners: Vec::new(), sockets: Vec::new(), stories: BTreeMap::new() }
    }

    fn run(mut self) {
        for _ in 0..STEPS {
            self.step();
            self.tank.network.check();
        }
        self.check_stories();
        let (a, b) = (self.tank.client, self.tank.server);
        for socket in self.sockets {
            self.tank.close(socket);
        }
        for listener in self.listeners {
            self.tank.network.close_listener(self.tank.now, &mut self.tank.out, listener);
        }
        self.tank.heal();
        for host in [a, b] {
            self.tank.network.unsilence(self.tank.now, &mut self.tank.out, host);
        }
        assert!(self.tank.network.quiet(), "nobody is left to notice anything");
        self.tank.settle();
        assert!(self.tank.is_empty(), "{:?}", self.tank.network.connections.iter().collect::<Vec<_>>());
        assert!(self.tank.network.tuples.is_empty());
        assert!([a, b].iter().all(|&host| self.tank.network.open_sockets(host).is_empty()));
    }

    fn step(&mut self) {
        let Self { tank, rng, .. } = self;
        let (a, b) = (tank.client, tank.server);
        match below(rng, 100) {
            0..20 => {
                tank.step();
            }
            20..24 => tank.pass(u64::from(below(rng, 3_000)) * SECOND / 1000),
            24 => tank.pass(u64::from(below(rng, 200)) * SECOND),
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
                tank.network.close_listener(tank.now, &mut tank.out, listener);
            }
            87 => tank.partition(Way::Both),
            88 => tank.partition(Way::OneWay),
            89 => {
                let from_client = below(rng, 2) == 0;
                let weather = any_weather(rng);
                tank.weather_one_way(from_client, weather);
            }
            90..94 => tank.heal(),
            94 => tank.network.silence(tank.now, &mut tank.out, b),
            95..97 => tank.network.unsilence(tank.now, &mut tank.out, b),
            97 if below(rng, 4) == 0 => tank.network.reset_connections(tank.now, &mut tank.out, a, b),
            98 => match below(rng, 12) {
                0..3 => tank.network.vanish(tank.now, &mut tank.out, b),
                3 => tank.network.kill(tank.now, &mut tank.out, a),
                4 => {
                    let ways = [below(rng, 2) == 0, below(rng, 2) == 0];
                    tank.network.sever(tank.now, &mut tank.out, [a, b], ways, below(rng, 3) as usize);
                }
                _ => tank.weather(any_weather(rng)),
            },
            99 => tank.network.set_user_timeout(Duration::from_secs(u64::from(below(rng, 100)))),
            _ => drop(tank.ready()),
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
        let addr = self.tank.server_addr();
        if let Ok(listener) = self.tank.network.listen(self.tank.server, addr, options) {
            self.listeners.push(listener);
        }
    }

    fn connect(&mut self) {
        let options = self.options();
        let socket = self.tank.connect_with(options);
        self.sockets.push(socket);
    }

    fn accept(&mut self) {
        for &listener in &self.listeners {
            if let Poll::Ready(Ok((socket, _))) = self.tank.network.accept(listener) {
                self.sockets.push(socket);
            }
        }
    }

    fn write(&mut self) {
        let Some(socket) = self.any_socket() else { return };
        let bytes: Vec<u8> =
            (0..below(&mut self.rng, 4000)).map(|_| below(&mut self.rng, 256) as u8).collect();
        let result = self.tank.write(socket, &bytes);
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
        let result = self.tank.read(socket, size);
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
        if let Err(error) = self.tank.shutdown(socket, how) {
            assert!(matches!(error.raw_os_error(), Some(libc::ENOTCONN | libc::EBADF)), "{error}");
        }
    }

    fn close(&mut self) {
        let Some(socket) = self.any_socket() else { return };
        if below(&mut self.rng, 2) == 0 {
            self.tank.network.set_linger_zero(socket);
        }
        self.tank.close(socket);
        // Sometimes the application goes on calling.
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
