//! Frames of a hostile peer between calls of the application, while time passes: no panic, the invariants hold after
//! every step, every frame that goes out is valid, no stream gets more than the peer has granted, FIN and RST go out
//! once, and when everything is dropped nothing is left.
#![no_main]

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::task::Poll;
use std::time::Duration;

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use wavetank_multiplexer::protocol::{Connection, Event, Role, State, StreamKey, Transmit};
use wavetank_multiplexer::{Config, ResetCode};
use wavetank_runtime::Instant;

fuzz_target!(|data: &[u8]| {
    let Some((&way, script)) = data.split_first() else { return };
    let mut world = World::new(way);
    let mut script = Script { bytes: script };
    while let Some(step) = script.next() {
        world.step(step, &mut script);
        world.check();
    }
    world.end();
});

/// The input, read as numbers.
struct Script<'a> {
    bytes: &'a [u8],
}

impl Script<'_> {
    fn next(&mut self) -> Option<u8> {
        let (&first, rest) = self.bytes.split_first()?;
        self.bytes = rest;
        Some(first)
    }

    fn number(&mut self) -> usize {
        usize::from(self.next().unwrap_or(0))
    }
}

/// One half of a stream each: whether the application still has it.
#[derive(Clone, Copy)]
struct Held {
    reader: bool,
    writer: bool,
}

struct World {
    connection: Connection,
    now: Instant,
    held: BTreeMap<StreamKey, Held>,
    transmit: Transmit,
    /// What the peer has granted, by stream: for streams that it knows of.
    granted: BTreeMap<u32, u64>,
    sent: BTreeMap<u32, u64>,
    said: BTreeMap<(u32, u16), u32>,
}

const WINDOW: u64 = 256 * 1024;

impl World {
    fn new(way: u8) -> Self {
        let role = if way & 1 == 0 { Role::Client } else { Role::Server };
        let mut config = Config::default();
        config
            .limits()
            .inbound_streams(6)
            .outbound_streams(6)
            .accept_backlog(4)
            .unacknowledged_opens(3)
            .receive_budget_bytes(100_000)
            .drain_budget_bytes(200_000)
            .write_buffer_bytes(if way & 2 == 0 { 1024 } else { 64 * 1024 })
            .pending_refusals(50)
            .early_resets(50)
            .idle_frames(500)
            .control_bytes(200)
            .skipped_ids(3)
            .tombstones(3);
        let now = Instant::from_nanos(1_000_000_000);
        let connection = Connection::new(role, config, 1, now);
        let (transmit, held) = (Transmit::new(), BTreeMap::new());
        let (granted, sent, said) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { connection, now, held, transmit, granted, sent, said }
    }

    fn step(&mut self, step: u8, script: &mut Script<'_>) {
        match step % 16 {
            0..6 => self.frame(script),
            6 => {
                if let Poll::Ready(Ok(key)) = self.connection.open(self.now) {
                    self.held.insert(key, Held { reader: true, writer: true });
                }
            }
            7 => {
                if let Some(key) = self.connection.accept() {
                    self.held.insert(key, Held { reader: true, writer: true });
                }
            }
            8 => self.write(script),
            9 => self.read(script),
            10 | 11 => self.end_something(script),
            12 => self.transmit(script.number() + 1),
            13 => self.transmit(usize::MAX),
            14 => {
                self.now += Duration::from_millis(1 << (script.number() % 16));
                if self.connection.deadline().is_some_and(|deadline| deadline <= self.now) {
                    self.connection.handle_deadline(self.now);
                }
            }
            _ => match script.number() % 8 {
                0 => self.connection.drain(self.now),
                1 => self.connection.close(self.now),
                2 => drop(self.connection.ping()),
                3 => self.connection.transport_full(self.now),
                4 => self.connection.go_away(self.now),
                5 => self.connection.write_failed(&ErrorKind::BrokenPipe.into(), self.now),
                _ => self.connection.wake_writers(),
            },
        }
    }

    /// A frame of the peer, mostly valid.
    fn frame(&mut self, script: &mut Script<'_>) {
        let (kind, flags, stream, length) =
            (script.number(), script.number(), script.number(), script.number());
        let stream = u32::try_from(stream % 24).unwrap();
        let length = match length % 8 {
            0 => 0,
            1 => u32::try_from(length).unwrap(),
            2 => 5000,
            // Rarely, as it takes the most time.
            3 => {
                if stream == 1 {
                    256 * 1024
                } else {
                    20_000
                }
            }
            4 => u32::MAX,
            _ => u32::try_from(length * 97).unwrap(),
        };
        let kind = u8::try_from(kind % 9).unwrap().saturating_sub(4);
        let flags = u8::try_from(flags).unwrap();
        let mut bytes = vec![0, kind, 0, flags];
        bytes.extend_from_slice(&stream.to_be_bytes());
        bytes.extend_from_slice(&length.to_be_bytes());
        if kind == 0 {
            bytes.resize(12 + length.min(if stream == 1 { 300_000 } else { 20_000 }) as usize, b'p');
        }
        if kind == 1 && flags & 8 == 0 {
            *self.granted.entry(stream).or_default() += u64::from(length);
        }
        let cut = script.number().min(bytes.len());
        self.connection.receive(&mut BytesMut::from(&bytes[..cut]), self.now);
        self.connection.assert_invariants();
        self.connection.receive(&mut BytesMut::from(&bytes[cut..]), self.now);
    }

    fn pick(&self, script: &mut Script<'_>) -> Option<(StreamKey, Held)> {
        let count = self.held.len();
        let at = script.number() % count.max(1);
        self.held.iter().nth(at).map(|(key, held)| (*key, *held))
    }

    fn write(&mut self, script: &mut Script<'_>) {
        let Some((key, held)) = self.pick(script) else { return };
        let length = script.number() * 400;
        if held.writer && self.connection.write(key, &vec![b'w'; length]).is_pending() {
            self.connection.wait_writable(key, self.now);
            self.connection.wait_write_end(key);
        }
    }

    fn read(&mut self, script: &mut Script<'_>) {
        let Some((key, held)) = self.pick(script) else { return };
        let max = script.number() * 400;
        if held.reader && self.connection.read_with(key, max, |_| ()).is_pending() {
            self.connection.wait_readable(key);
        }
    }

    fn end_something(&mut self, script: &mut Script<'_>) {
        let Some((key, held)) = self.pick(script) else { return };
        let (connection, now) = (&mut self.connection, self.now);
        match script.number() % 8 {
            0 if held.writer => drop(connection.close_write(key, now)),
            1 if held.reader => connection.stop(key, now),
            2 => connection.reset(key, ResetCode::new(3), now),
            3 if held.reader => {
                connection.drop_receiver(key, now);
                self.held.get_mut(&key).unwrap().reader = false;
            }
            4 if held.writer => {
                connection.drop_sender(key, now);
                self.held.get_mut(&key).unwrap().writer = false;
            }
            5 if held.reader && held.writer => {
                connection.drop_stream(key, now);
                self.held.remove(&key);
            }
            6 if held.reader => {
                connection.set_read_deadline(key, Some(now + Duration::from_millis(20)), now);
            }
            7 if held.writer => {
                connection.set_write_deadline(key, Some(now + Duration::from_millis(20)), now);
            }
            _ => {}
        }
        self.held.retain(|_, held| held.reader || held.writer);
    }

    fn transmit(&mut self, count: usize) {
        if self.transmit.is_empty() {
            if !self.connection.take_output(&mut self.transmit, self.now) {
                return;
            }
            let bytes: Vec<u8> = self.transmit.slices().iter().flat_map(|slice| slice.to_vec()).collect();
            self.inspect(&bytes);
        }
        let count = count.min(self.transmit.len());
        self.transmit.advance(count);
        self.connection.output_written(count, self.transmit.is_empty(), self.now);
    }

    /// Checks each frame that goes out.
    fn inspect(&mut self, mut bytes: &[u8]) {
        while let Some((header, rest)) = bytes.split_first_chunk::<12>() {
            let [0, kind, f0, f1, s0, s1, s2, s3, l0, l1, l2, l3] = *header else { panic!("version 0") };
            let flags = u16::from_be_bytes([f0, f1]);
            let stream = u32::from_be_bytes([s0, s1, s2, s3]);
            let length = u32::from_be_bytes([l0, l1, l2, l3]);
            bytes = rest;
            match kind {
                0 => {
                    assert!(flags == 0 && length > 0, "data frames carry payload and no flags");
                    bytes = &bytes[length as usize..];
                    let sent = self.sent.entry(stream).or_default();
                    *sent += u64::from(length);
                    let granted = WINDOW + self.granted.get(&stream).copied().unwrap_or(0);
                    assert!(*sent <= granted, "stream {stream}: {sent} B sent, {granted} B granted");
                }
                1 => {
                    for flag in [4, 8] {
                        if flags & flag != 0 && flags & 2 == 0 {
                            let said = self.said.entry((stream, flag)).or_default();
                            *said += 1;
                            assert!(*said <= 1, "stream {stream}: FIN and RST go out once");
                        }
                    }
                }
                2 | 3 => assert_eq!(stream, 0),
                other => panic!("a frame of type {other}"),
            }
        }
        assert!(bytes.is_empty(), "frames are whole");
    }

    fn check(&mut self) {
        while let Some(event) = self.connection.next_event() {
            if let Event::Readable(key) | Event::Writable(key) = event {
                assert!(self.connection.is_held(key) || !self.held.contains_key(&key));
            }
        }
        self.connection.assert_invariants();
    }

    /// Drops everything and passes time: nothing is left.
    fn end(mut self) {
        while let Some(key) = self.connection.accept() {
            self.held.insert(key, Held { reader: true, writer: true });
        }
        for (key, held) in std::mem::take(&mut self.held) {
            match (held.reader, held.writer) {
                (true, true) => self.connection.drop_stream(key, self.now),
                (true, false) => self.connection.drop_receiver(key, self.now),
                (false, _) => self.connection.drop_sender(key, self.now),
            }
        }
        self.transmit(usize::MAX);
        self.transmit(usize::MAX);
        for _ in 0..20 {
            self.now += Duration::from_secs(10);
            while self.connection.deadline().is_some_and(|deadline| deadline <= self.now) {
                self.connection.handle_deadline(self.now);
            }
            self.check();
        }
        // While output was congested, streams waited to be accepted. Now the session is over, and they come.
        while let Some(key) = self.connection.accept() {
            self.connection.drop_stream(key, self.now);
        }
        let statistics = self.connection.statistics();
        assert_eq!(
            (statistics.backlog, statistics.streams_held, statistics.buffered_bytes),
            (0, 0, 0),
            "nothing is left: {:?}",
            self.connection
        );
        assert_eq!(self.connection.state(), State::Closed, "a peer that is silent for 200 s is given up");
    }
}
