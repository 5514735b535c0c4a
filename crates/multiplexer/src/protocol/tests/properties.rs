//! What holds for every order of calls and every way of cutting the wire into pieces.

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::*;
use crate::config::Window;
use crate::error::ResetCode;

const RUNS: u64 = 150;
const STEPS: usize = 250;

/// The byte at `offset` of what the side sends on the stream.
fn byte(side: usize, stream: u32, offset: u64) -> u8 {
    let mixed = offset + (offset >> 8) + u64::from(stream) * 7 + side as u64 * 101;
    u8::try_from(mixed & 0xff).unwrap()
}

/// What the test knows of one side's half of a stream.
#[derive(Debug, Default, Clone, Copy)]
struct Half {
    written: u64,
    read: u64,
    fin: bool,
    /// The reader has seen the end.
    end: bool,
    dropped_reader: bool,
    dropped_writer: bool,
}

struct Side {
    connection: Connection,
    held: BTreeMap<StreamKey, Half>,
    /// Bytes on their way to the other side.
    wire: Vec<u8>,
    transmit: Transmit,
    /// FIN and RST that went out, by stream.
    said: BTreeMap<(u32, bool), usize>,
}

struct World {
    rng: StdRng,
    sides: [Side; 2],
    now: Instant,
    /// All bytes that were written with success, and whether FIN followed: by side and stream.
    sent: BTreeMap<(usize, u32), (u64, bool)>,
    /// The extension is hidden from both sides.
    unmodified: bool,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let now = Instant::from_nanos(1_000_000_000);
        let mut side = |role| {
            let mut config = Config::default();
            if rng.random_bool(0.3) {
                config.window = Window::Fixed(WINDOW << rng.random_range(0..3));
            }
            if rng.random_bool(0.3) {
                config.limits.inbound_streams = 3;
                config.limits.accept_backlog = 2;
                config.limits.unacknowledged_opens = 2;
            }
            if rng.random_bool(0.2) {
                config.limits.receive_budget_bytes = 400_000;
            }
            config.limits.write_buffer_bytes = [2048, 64 * 1024][rng.random_range(0..2)];
            Side {
                connection: Connection::new(role, config, 1, now),
                held: BTreeMap::new(),
                wire: Vec::new(),
                transmit: Transmit::new(),
                said: BTreeMap::new(),
            }
        };
        let sides = [side(Role::Client), side(Role::Server)];
        let unmodified = rng.random_bool(0.5);
        Self { rng, sides, now, sent: BTreeMap::new(), unmodified }
    }

    fn step(&mut self) {
        let side = self.rng.random_range(0..2);
        match self.rng.random_range(0..24) {
            0..2 => self.open(side),
            2..4 => self.accept(side),
            4..8 => self.write(side),
            8..12 => self.read(side),
            12 => self.end_something(side),
            13 => self.now += Duration::from_millis(self.rng.random_range(0..50)),
            14..19 => self.transmit(side),
            _ => self.deliver(side),
        }
        for side in &mut self.sides {
            if side.connection.deadline().is_some_and(|deadline| deadline <= self.now) {
                side.connection.handle_deadline(self.now);
            }
            while side.connection.next_event().is_some() {}
            side.connection.assert_invariants();
            assert_eq!(side.connection.closed(), None, "two sides of ours find no fault with each other");
        }
    }

    fn open(&mut self, side: usize) {
        if let Poll::Ready(Ok(key)) = self.sides[side].connection.open(self.now) {
            self.sides[side].held.insert(key, Half::default());
        }
    }

    fn accept(&mut self, side: usize) {
        if let Some(key) = self.sides[side].connection.accept() {
            self.sides[side].held.insert(key, Half::default());
        }
    }

    fn pick(&mut self, side: usize) -> Option<StreamKey> {
        let count = self.sides[side].held.len();
        let at = if count == 0 { return None } else { self.rng.random_range(0..count) };
        self.sides[side].held.keys().nth(at).copied()
    }

    fn write(&mut self, side: usize) {
        let Some(key) = self.pick(side) else { return };
        let half = self.sides[side].held[&key];
        if half.dropped_writer {
            return;
        }
        let length = [1, 100, 5000, 70_000, 300_000][self.rng.random_range(0..5)];
        let bytes: Vec<u8> = (0..length).map(|at| byte(side, key.id(), half.written + at)).collect();
        let connection = &mut self.sides[side].connection;
        match connection.write(key, &bytes) {
            Poll::Ready(Ok(count)) => {
                assert!(!half.fin, "nothing is written after FIN");
                self.sides[side].held.get_mut(&key).unwrap().written += count as u64;
                self.sent.entry((side, key.id())).or_default().0 += count as u64;
            }
            Poll::Ready(Err(_)) => {}
            Poll::Pending => connection.wait_writable(key, self.now),
        }
    }

    fn read(&mut self, side: usize) {
        let Some(key) = self.pick(side) else { return };
        if self.sides[side].held[&key].dropped_reader {
            return;
        }
        let max = [1, 1000, 200_000, 1_000_000][self.rng.random_range(0..4)];
        self.read_up_to(side, key, max);
    }

    /// Reads, and checks every byte. Returns whether anything came.
    fn read_up_to(&mut self, side: usize, key: StreamKey, max: usize) -> bool {
        let mut bytes = Vec::new();
        let read = self.sides[side].connection.read_with(key, max, |piece| bytes.extend_from_slice(piece));
        let half = self.sides[side].held.get_mut(&key).unwrap();
        for (at, found) in bytes.iter().enumerate() {
            let expected = byte(1 - side, key.id(), half.read + at as u64);
            assert_eq!(*found, expected, "stream {} at {}", key.id(), half.read + at as u64);
        }
        half.read += bytes.len() as u64;
        match read {
            Poll::Ready(Ok(0)) => {
                half.end = true;
                let (sent, fin) = self.sent.get(&(1 - side, key.id())).copied().unwrap_or_default();
                assert!(fin, "the end comes after FIN");
                assert_eq!(half.read, sent, "the end comes after all bytes");
                false
            }
            Poll::Ready(Ok(_)) => true,
            Poll::Ready(Err(_)) => false,
            Poll::Pending => {
                self.sides[side].connection.wait_readable(key);
                false
            }
        }
    }

    fn end_something(&mut self, side: usize) {
        let Some(key) = self.pick(side) else { return };
        let half = self.sides[side].held[&key];
        let choice = self.rng.random_range(0..7);
        let (connection, now) = (&mut self.sides[side].connection, self.now);
        match choice {
            0..2 if !half.dropped_writer && connection.close_write(key, now).is_ok() => {
                self.finished(side, key);
            }
            2 if !half.dropped_reader => connection.stop(key, now),
            3 => connection.reset(key, ResetCode::new(4), now),
            4 if !half.dropped_reader => {
                connection.drop_receiver(key, now);
                self.sides[side].held.get_mut(&key).unwrap().dropped_reader = true;
            }
            5 if !half.dropped_writer => {
                connection.drop_sender(key, now);
                self.sides[side].held.get_mut(&key).unwrap().dropped_writer = true;
            }
            6 if !half.dropped_reader && !half.dropped_writer => {
                connection.drop_stream(key, now);
                self.sides[side].held.remove(&key);
            }
            _ => {}
        }
        if let Some(half) = self.sides[side].held.get(&key)
            && half.dropped_reader
            && half.dropped_writer
        {
            self.sides[side].held.remove(&key);
        }
    }

    fn finished(&mut self, side: usize, key: StreamKey) {
        self.sides[side].held.get_mut(&key).unwrap().fin = true;
        self.sent.entry((side, key.id())).or_default().1 = true;
    }

    /// Moves some output onto the wire.
    fn transmit(&mut self, side: usize) {
        let (unmodified, now) = (self.unmodified, self.now);
        let side = &mut self.sides[side];
        if side.transmit.is_empty() {
            if !side.connection.take_output(&mut side.transmit, now) {
                side.connection.wake_writers();
                return;
            }
            let mut bytes =
                side.transmit.slices().iter().flat_map(|slice| slice.to_vec()).collect::<Vec<u8>>();
            side.inspect(&mut bytes, unmodified);
            side.wire.extend_from_slice(&bytes);
        }
        // In pieces, as far as the connection knows.
        let count = self.rng.random_range(1..=side.transmit.len());
        side.transmit.advance(count);
        side.connection.output_written(count, side.transmit.is_empty(), now);
    }

    /// Moves some bytes from the wire into the other side.
    fn deliver(&mut self, side: usize) {
        let length = self.sides[side].wire.len();
        if length == 0 {
            return;
        }
        let most = [1, 13, 5000, 100_000][self.rng.random_range(0..4)];
        let count = self.rng.random_range(1..=length.min(most));
        let piece: Vec<u8> = self.sides[side].wire.drain(..count).collect();
        self.sides[1 - side].connection.receive(&mut BytesMut::from(&*piece), self.now);
    }

    /// Lets everything that is under way arrive, and every reader read.
    fn heal(&mut self) {
        for _ in 0..100_000 {
            let mut moved = false;
            for side in 0..2 {
                moved |= self.sides[side].connection.has_output() || !self.sides[side].transmit.is_empty();
                self.transmit(side);
                moved |= !self.sides[side].wire.is_empty();
                self.deliver(side);
                let readable = self.sides[side].held.iter().filter(|(_, half)| !half.dropped_reader);
                for key in readable.map(|(key, _)| *key).collect::<Vec<_>>() {
                    moved |= self.read_up_to(side, key, usize::MAX);
                }
                while self.sides[side].connection.next_event().is_some() {}
            }
            if !moved {
                return;
            }
        }
        panic!("the two sides become silent");
    }

    /// Closes and drops everything, and passes enough time for every timer.
    fn end(&mut self) {
        for side in 0..2 {
            while let Some(key) = self.sides[side].connection.accept() {
                self.sides[side].held.insert(key, Half::default());
            }
            for (key, half) in std::mem::take(&mut self.sides[side].held) {
                let connection = &mut self.sides[side].connection;
                if !half.dropped_writer {
                    let _ = connection.close_write(key, self.now);
                    connection.drop_sender(key, self.now);
                }
                if !half.dropped_reader {
                    connection.drop_receiver(key, self.now);
                }
            }
        }
        for _ in 0..30 {
            self.heal();
            self.now += Duration::from_secs(5);
            for side in 0..2 {
                while self.sides[side].connection.deadline().is_some_and(|deadline| deadline <= self.now) {
                    self.sides[side].connection.handle_deadline(self.now);
                }
                if let Some(key) = self.sides[side].connection.accept() {
                    self.sides[side].connection.drop_stream(key, self.now);
                }
            }
        }
        for side in &self.sides {
            let statistics = side.connection.statistics();
            let left = (statistics.streams_held, statistics.buffered_bytes, statistics.tuned_bytes);
            assert_eq!(left, (0, 0, 0), "nothing is left: {:?}", side.connection);
            assert_eq!(side.connection.timers.next(), None, "no timer is left");
        }
    }
}

impl Side {
    /// Counts FIN and RST, and hides the extension if told so.
    fn inspect(&mut self, bytes: &mut [u8], unmodified: bool) {
        let mut at = 0;
        while at < bytes.len() {
            let header: &mut [u8; HEADER_BYTES] = (&mut bytes[at..at + HEADER_BYTES]).try_into().unwrap();
            let frame = Header::decode(*header).expect("frames of ours are valid");
            at += HEADER_BYTES;
            match frame.kind {
                // The number of the ping is another one on the way, and the old one on its way back.
                Kind::Ping if unmodified => match (frame.flags.has(SYN), frame.length) {
                    (true, ANNOUNCEMENT) => header[11] ^= 1,
                    (false, number) if number == ANNOUNCEMENT ^ 1 => header[11] ^= 1,
                    _ => {}
                },
                Kind::Data => {
                    assert_eq!(frame.flags, NONE, "data carries no flag");
                    at += frame.length as usize;
                }
                Kind::WindowUpdate => {
                    assert!(
                        !(unmodified && frame.flags.has(STOP)),
                        "an unmodified peer is not asked to stop"
                    );
                    for (flag, is_rst) in [(FIN, false), (RST, true)] {
                        if frame.flags.has(flag) {
                            let said = self.said.entry((frame.stream, is_rst)).or_default();
                            *said += 1;
                            assert_eq!(*said, 1, "FIN and RST are sent once: {frame:?}");
                        }
                    }
                    assert!(!(frame.flags.has(FIN) && frame.flags.has(RST)), "never both together");
                }
                Kind::Ping | Kind::GoAway => {}
            }
        }
    }
}

#[test]
fn every_order_of_calls_keeps_the_invariants() {
    for seed in 0..RUNS {
        let run = std::panic::catch_unwind(|| {
            let mut world = World::new(seed);
            for _ in 0..STEPS {
                world.step();
            }
            world.heal();
            world.end();
        });
        if let Err(panic) = run {
            eprintln!("the failing seed is {seed}");
            std::panic::resume_unwind(panic);
        }
    }
}

#[test]
fn reading_everything_lets_every_writer_finish() {
    for seed in 0..8 {
        let mut world = World::new(seed);
        for side in &mut world.sides {
            side.connection.config.limits = crate::Limits::default();
        }
        for _ in 0..4 {
            world.open(0);
            world.open(1);
        }
        world.heal();
        for side in 0..2 {
            for _ in 0..4 {
                world.accept(side);
            }
        }
        let target = 600_000;
        for _ in 0..2_000 {
            world.heal();
            let mut done = true;
            for side in 0..2 {
                for key in world.sides[side].held.keys().copied().collect::<Vec<_>>() {
                    let written = world.sides[side].held[&key].written;
                    if written < target {
                        done = false;
                        let length = (target - written).min(70_000);
                        let bytes: Vec<u8> =
                            (0..length).map(|at| byte(side, key.id(), written + at)).collect();
                        match world.sides[side].connection.write(key, &bytes) {
                            Poll::Ready(count) => {
                                let count = count.expect("an open stream") as u64;
                                world.sides[side].held.get_mut(&key).unwrap().written += count;
                                world.sent.entry((side, key.id())).or_default().0 += count;
                            }
                            Poll::Pending => world.sides[side].connection.wait_writable(key, world.now),
                        }
                    }
                }
            }
            if done {
                break;
            }
        }
        world.heal();
        for side in &world.sides {
            assert_eq!(side.held.len(), 8);
            assert!(
                side.held.values().all(|half| half.written == target && half.read == target),
                "seed {seed}"
            );
        }
    }
}
