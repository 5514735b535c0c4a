//! With permessage-deflate: ours against yawc, in memory, level 6, whole windows, both sides keeping their context.
//!
//! Both use flate2 over zlib-rs and compress every message, however short. The text is such as is worth compressing,
//! no two messages are alike, and all of them together are more than a window, so that a stream that gives them again
//! and again stays decodable: each time around begins with the window that the time before left.

use wavetank_runtime::Instant;
use wavetank_websocket::deflate::Parameters;
use wavetank_websocket::protocol::{Connection, Role};
use wavetank_websocket::{Config, Kind};
use yawc::{CompressionLevel, DeflateOptions};

use crate::contenders::ours::{Core, config};
use crate::contenders::yawc::Yawc;
use crate::meter::{Meter, Sample};
use crate::payload::Payload;
use crate::report::{median, short};
use crate::socket::Socket;
use crate::transport::Memory;

/// More than a window.
const CYCLE: usize = 256 * 1024;

fn compressing() -> Config {
    let mut config = config();
    config.compression().enabled(true).level(6).threshold(0);
    config
}

fn messages(size: usize) -> Vec<Payload> {
    let mut state = 1_u32;
    let mut number = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state >> 12
    };
    let messages = (0..CYCLE / size).map(|_| {
        let mut text = String::new();
        while text.len() < size {
            text += &format!(r#"{{"id":{},"side":"buy","price":"{}.50"}},"#, number(), number() % 9_999);
        }
        text.truncate(size);
        Payload::text(&text)
    });
    messages.collect()
}

/// The messages as a server sends them: the first time, and every time after it.
fn server_frames(messages: &[Payload]) -> (Vec<u8>, Vec<u8>) {
    let now = Instant::from_nanos(0);
    let mut server = Connection::new(Role::Server, compressing(), Some(Parameters::default()), [7; 32], now);
    let mut cycle = || {
        let mut frames = Vec::new();
        for message in messages {
            server.send(Kind::Text, &message.bytes).expect("the connection is open");
            frames.extend_from_slice(server.output());
            server.output_written(server.output().len(), &|| now);
        }
        frames
    };
    (cycle(), cycle())
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Work {
    Inflate,
    Deflate,
}

async fn run<S: Socket>(mut socket: S, work: Work, messages: &[Payload], cycles: u64) -> Sample {
    let mut run = async |cycles| {
        for message in (0..cycles).flat_map(|_| messages) {
            match work {
                Work::Inflate => {
                    assert_eq!(socket.receive().await, message.bytes.len(), "the message that was sent")
                }
                Work::Deflate => socket.send(message).await,
            }
        }
    };
    run(2).await;
    let meter = Meter::start();
    run(cycles).await;
    meter.stop(cycles * messages.len() as u64)
}

async fn ours(memory: Memory, work: Work, messages: &[Payload], cycles: u64) -> Sample {
    run(Core::negotiated(memory, compressing(), Some(Parameters::default())), work, messages, cycles).await
}

async fn yawc(memory: Memory, work: Work, messages: &[Payload], cycles: u64) -> Sample {
    let deflate = DeflateOptions { level: CompressionLevel::new(6), ..DeflateOptions::default() };
    run(Yawc::negotiated(memory, Some(deflate)), work, messages, cycles).await
}

/// Prints the table.
pub fn print(rounds: usize, nanoseconds: u64) {
    println!("| compression | ours / yawc | ours msgs/s | yawc msgs/s | ours allocs/msg | yawc allocs/msg |");
    println!("|---|--:|--:|--:|--:|--:|");
    for work in [Work::Inflate, Work::Deflate] {
        for size in [16, 1 << 10, 64 << 10] {
            let messages = messages(size);
            let (first, every) = server_frames(&messages);
            let memory = || Memory::after(first.clone(), every.clone());
            let measured = |cycles| {
                let mut samples = [Sample::default(), Sample::default()];
                futures::executor::block_on(async {
                    samples[0].add(ours(memory(), work, &messages, cycles).await);
                    samples[1].add(yawc(memory(), work, &messages, cycles).await);
                    samples[1].add(yawc(memory(), work, &messages, cycles).await);
                    samples[0].add(ours(memory(), work, &messages, cycles).await);
                });
                samples
            };
            let cycles = (nanoseconds * 4 / measured(1)[0].wall.max(1)).max(1);
            let rounds: Vec<_> = (0..rounds).map(|_| measured(cycles)).collect();
            let speed = |sample: &Sample| sample.messages as f64 * 1e9 / sample.processor as f64;
            let ratio = median(rounds.iter().map(|[ours, yawc]| speed(ours) / speed(yawc)));
            let [fast, other] = [0, 1].map(|index| median(rounds.iter().map(|round| speed(&round[index]))));
            let [lean, fat] = [0, 1].map(|index| {
                median(
                    rounds.iter().map(|round| round[index].allocations as f64 / round[index].messages as f64),
                )
            });
            let name = format!("{work:?}/{size}B/text").to_lowercase();
            println!("| {name} | {ratio:.2} | {} | {} | {lean:.3} | {fat:.3} |", short(fast), short(other));
        }
    }
    println!();
}
