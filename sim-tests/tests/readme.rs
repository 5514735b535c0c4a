//! The README's example: a client that skips slow answers takes the late one for the next question's.

use std::io::{Read, Write};
use std::time::Duration;

use wavetank::runtime::{BlockingListener, BlockingStream, ListenOptions, SocketOptions, Threads};

#[wavetank::test(seeds = 200, finds = "the answer to another question")]
fn answers_match_questions(sim: &mut wavetank::Sim) {
    sim.latency(Duration::from_millis(1)..=Duration::from_millis(20));
    sim.server_thread("server", |host| {
        let listener = host.listen(([0, 0, 0, 0], 80).into(), ListenOptions::new())?;
        let (mut stream, _) = listener.accept()?;
        let mut question = [0];
        while stream.read(&mut question)? == 1 {
            stream.write_all(&question)?;
        }
        std::io::Result::Ok(())
    });
    sim.client_thread("client", |host| {
        let server = host.resolve("server", 80)?[0];
        let mut stream = host.connect(server, SocketOptions::new(), None)?;
        stream.set_read_timeout(Some(Duration::from_millis(30)))?;
        for question in 0..10 {
            stream.write_all(&[question])?;
            let mut answer = [0];
            // An answer that takes longer than 30 ms is skipped.
            if stream.read_exact(&mut answer).is_ok() {
                assert_eq!(answer, [question], "the answer to another question");
            }
        }
        std::io::Result::Ok(())
    });
}
