//! Ends that cross on the wire: both sides write, finish, stop, reset and drop, in any order and at any time.

use std::time::Duration;
use wavetank_sim_tests::multiplexer::configured;

use wavetank::Sim;
use wavetank_multiplexer::ResetCode;
use wavetank_multiplexer::blocking::Stream;
use wavetank_sim_tests::multiplexer::body;

use super::world::{End, SECOND, SOON, pair};

/// What a side may do to its stream.
#[derive(Clone, Copy, Debug)]
enum Step {
    Write,
    Read,
    Finish,
    Stop,
    Reset,
    Wait,
}

const STEPS: [Step; 6] = [Step::Write, Step::Read, Step::Finish, Step::Stop, Step::Reset, Step::Wait];

/// Draws what a side does before it drops the stream.
fn steps(sim: &mut Sim, side: &str) -> Vec<Step> {
    let count = sim.choose(&format!("{side} steps"), 6);
    (0..count).map(|_| STEPS[sim.choose(&format!("{side} step"), 6) as usize]).collect()
}

fn walk(end: &End, mut stream: Stream<wavetank::Host>, steps: &[Step], seeds: [u32; 2]) {
    let [ours, theirs] = seeds;
    let (mut written, mut read) = (0, 0);
    for step in steps {
        match step {
            // A write that waits for credit must not wait for ever.
            Step::Write => {
                stream.set_write_deadline(Some(end.now() + SECOND));
                written += body::write_blocking(&mut stream, ours, written..written + 150_000, 40_000).0;
            }
            Step::Read => {
                stream.set_read_deadline(Some(end.now() + SECOND));
                read += body::read_blocking(&mut stream, theirs, read, 100_000).0;
            }
            Step::Finish => drop(stream.close_write()),
            Step::Stop => stream.stop(),
            Step::Reset => stream.reset(ResetCode::new(5)),
            Step::Wait => end.sleep(Duration::from_millis(1)),
        }
    }
}

/// Whatever crosses: the rules of the wire hold, every call ends, no stream is left, and the session works on.
#[wavetank::test(seeds = 800)]
fn every_order_of_ends_leaves_nothing(sim: &mut Sim) {
    let (client, server) = (steps(sim, "client"), steps(sim, "server"));
    // The reset of a stream that one side has finished and left, and the other keeps open, comes with this timer.
    pair(
        sim,
        configured(|config| {
            config.timeouts().close_linger(5 * SECOND);
        }),
        move |end| {
            let stream = end.session.open().expect("a stream");
            let mark = end.session.open().expect("a stream that is accepted behind it");
            walk(&end, stream, &client, [1, 2]);
            drop(mark);
            end.sleep(20 * SECOND);
            end.ask();
            end.finish(SOON);
        },
        move |end| {
            // What the client has reset before it is accepted is not given out.
            loop {
                let mut stream = end.session.accept().expect("a stream");
                match stream.id() {
                    1 => walk(&end, stream, &server, [2, 1]),
                    3 => drop(stream),
                    _ => {
                        body::echo_blocking(&mut stream).expect("echoed");
                        break stream.close_write().expect("the stream is open");
                    }
                }
            }
            end.ends();
        },
    );
}
