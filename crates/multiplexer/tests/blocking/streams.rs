//! Opening, conversing, half-close, stop, reset and deadlines.

use std::io::{ErrorKind, Read, Write};
use std::sync::Arc;
use std::time::Duration;

use wavetank_multiplexer::{ReadError, ResetCode, WriteEnd, WriteError};
use wavetank_runtime::{Std, ThreadHandle, Threads};

use crate::support::{body, echo, pair, streams};

#[test]
fn many_streams_echo_at_once() {
    let (client, server) = pair();
    let echo = Std.spawn("echo", move || echo(&server)).unwrap();
    let threads: Vec<_> = (0..10)
        .map(|seed| {
            let stream = Arc::new(client.open().unwrap());
            Std.spawn("user", move || {
                let sent = body(700_000, seed);
                let writer = {
                    let (stream, sent) = (Arc::clone(&stream), sent.clone());
                    Std.spawn("writer", move || {
                        (&*stream).write_all(&sent).unwrap();
                        stream.close_write().unwrap();
                    })
                    .unwrap()
                };
                let mut read = Vec::new();
                (&*stream).read_to_end(&mut read).unwrap();
                assert!(read == sent, "stream {seed}");
                writer.join().unwrap();
            })
            .unwrap()
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    assert!(client.close().is_clean());
    echo.join().unwrap();
}

#[test]
fn a_blocked_writer_learns_that_its_reader_stopped() {
    let (client, server) = pair();
    let (near, far) = streams(&client, &server);
    let near = Arc::new(near);
    let watcher = {
        let near = Arc::clone(&near);
        Std.spawn("watcher", move || near.wait_stopped()).unwrap()
    };
    let writer = {
        let near = Arc::clone(&near);
        Std.spawn("writer", move || {
            loop {
                if let Err(error) = (&*near).write_all(&[7; 100_000]) {
                    break error;
                }
            }
        })
        .unwrap()
    };
    (&far).read_exact(&mut [0; 1000]).unwrap();
    assert_eq!(near.wait_stopped_timeout(Duration::from_millis(20)), None);
    far.stop();
    assert_eq!(watcher.join().unwrap(), WriteEnd::Failed(WriteError::Stopped));
    assert_eq!(WriteError::from_io(&writer.join().unwrap()), Some(&WriteError::Stopped));
    (&far).write_all(b"still here").unwrap();
    far.close_write().unwrap();
    let mut read = Vec::new();
    (&*near).read_to_end(&mut read).unwrap();
    assert_eq!(read, b"still here");
    drop((near, far));
    server.shutdown(Duration::from_secs(60));
    assert_eq!((client.statistics().streams_held, server.statistics().streams_held), (0, 0));
}

#[test]
fn a_reset_wakes_both_directions() {
    let (client, server) = pair();
    let (near, far) = streams(&client, &server);
    let (mut read, mut write) = far.into_split();
    let reader = Std.spawn("reader", move || read.read(&mut [0; 10]).unwrap_err()).unwrap();
    let writer = Std.spawn("writer", move || write.write_all(&[0; 1_000_000]).unwrap_err()).unwrap();
    Std.sleep(Duration::from_millis(20));
    near.reset(ResetCode::new(9));
    assert_eq!(ReadError::from_io(&reader.join().unwrap()), Some(&ReadError::Reset(ResetCode::new(9))));
    assert_eq!(WriteError::from_io(&writer.join().unwrap()), Some(&WriteError::Reset(ResetCode::new(9))));
}

#[test]
fn deadlines_end_waits_and_lose_nothing() {
    let (client, server) = pair();
    let (near, far) = streams(&client, &server);
    far.set_read_deadline(Some(Std.now() + Duration::from_millis(20)));
    assert_eq!((&far).read(&mut [0; 4]).unwrap_err().kind(), ErrorKind::TimedOut);
    (&near).write_all(b"late").unwrap();
    far.set_read_deadline(None);
    let mut read = [0; 4];
    (&far).read_exact(&mut read).unwrap();
    assert_eq!(&read, b"late");

    near.set_write_deadline(Some(Std.now() + Duration::from_millis(20)));
    let error = loop {
        if let Err(error) = (&near).write(&[0; 50_000]) {
            break error;
        }
    };
    assert_eq!(WriteError::from_io(&error), Some(&WriteError::TimedOut));
}

#[test]
fn a_new_deadline_ends_a_waiting_read() {
    let (client, server) = pair();
    let (_near, far) = streams(&client, &server);
    let far = Arc::new(far);
    let reader = {
        let far = Arc::clone(&far);
        Std.spawn("reader", move || (&*far).read(&mut [0; 4]).unwrap_err().kind()).unwrap()
    };
    Std.sleep(Duration::from_millis(20));
    far.set_read_deadline(Some(Std.now() + Duration::from_millis(20)));
    assert_eq!(reader.join().unwrap(), ErrorKind::TimedOut);
}
