//! What goes out, in which order, and whose turn it is.

use super::*;

#[test]
fn small_messages_share_a_buffer() {
    let mut lab = Lab::new(Role::Client);
    let key = lab.opened();
    for _ in 0..3 {
        assert_eq!(lab.write(key, 128), Poll::Ready(Ok(128)));
    }
    let mut transmit = Transmit::new();
    assert!(lab.connection.take_output(&mut transmit, lab.now));
    assert_eq!(transmit.first().len(), 3 * (HEADER_BYTES + 128));
}

#[test]
fn slices_of_one_write_share_a_frame() {
    use std::io::IoSlice;
    let mut lab = Lab::new(Role::Client);
    let key = lab.opened();
    let slices = [IoSlice::new(b"head"), IoSlice::new(b""), IoSlice::new(b"body")];
    assert_eq!(lab.connection.write_vectored(key, &slices), Poll::Ready(Ok(8)));
    assert_eq!(lab.sent(), [Frame::Data(NONE, 1, 8)]);
}

#[test]
fn only_fin_and_rst_never_overtake_data() {
    let mut lab = Lab::new(Role::Client);
    let (first, second) = (lab.opened(), lab.opened());
    assert_eq!(lab.write(first, 10), Poll::Ready(Ok(10)));
    assert_eq!(lab.write(second, 10), Poll::Ready(Ok(10)));
    lab.connection.close_write(first, lab.now).unwrap();
    lab.connection.reset(second, ResetCode::new(3), lab.now);
    lab.receive(Frame::Ping(SYN, 77));
    assert_eq!(
        lab.sent(),
        [
            Frame::Ping(ACK, 77),
            Frame::Data(NONE, 1, 10),
            Frame::Data(NONE, 3, 10),
            Frame::Window(FIN, 1, 0),
            Frame::Window(RST, 3, 3),
        ]
    );
}

use crate::error::ResetCode;

#[test]
fn a_full_output_stops_writers_not_readers() {
    let mut lab = Lab::new(Role::Client);
    let key = lab.opened();
    let mut pending = 0;
    while let Poll::Ready(Ok(count)) = lab.write(key, 50_000) {
        pending += count;
    }
    assert!(pending < 200_000, "{pending}");
    for _ in 0..1000 {
        lab.receive(Frame::Data(NONE, 1, 100));
        assert_eq!(lab.read(key, 100), Poll::Ready(Ok(100)));
        lab.receive(Frame::Ping(SYN, 1));
    }
    assert_eq!(lab.connection.state(), State::Open);
    lab.events();
    lab.sent();
    assert_eq!(lab.events(), [Event::Writable(key)]);
}

/// Bytes that each of `bulk` streams, which always want to write, and a stream of 100 B messages wrote in `rounds`.
fn contend(bulk: usize, rounds: usize) -> (Vec<usize>, usize) {
    let mut lab = Lab::new(Role::Client);
    let keys: Vec<StreamKey> = (0..bulk).map(|_| lab.opened()).collect();
    let small = lab.opened();
    let mut written = vec![0; bulk];
    let mut small_written = 0;
    let mut ready: Vec<StreamKey> = keys.clone();
    for _ in 0..rounds {
        for key in std::mem::take(&mut ready) {
            let place = keys.iter().position(|other| *other == key);
            lab.receive(Frame::Window(NONE, key.id(), 200_000));
            while let Poll::Ready(Ok(count)) = lab.write(key, 100_000) {
                if let Some(place) = place {
                    written[place] += count;
                }
            }
        }
        if lab.write(small, 100) == Poll::Ready(Ok(100)) {
            small_written += 1;
        }
        lab.sent();
        ready.extend(lab.events().into_iter().filter_map(|event| match event {
            Event::Writable(key) if key != small => Some(key),
            _ => None,
        }));
        lab.receive(Frame::Window(NONE, small.id(), 100));
    }
    (written, small_written)
}

#[test]
fn bulk_streams_get_equal_shares() {
    let (written, _) = contend(8, 400);
    let (least, most) = (written.iter().min().unwrap(), written.iter().max().unwrap());
    assert!(*least * 10 > *most * 9, "{written:?}");
}

#[test]
fn a_small_stream_writes_in_every_round() {
    let (_, small) = contend(8, 400);
    assert!(small > 390, "{small}");
}

#[test]
fn a_single_stream_fills_every_round() {
    let (written, _) = contend(1, 100);
    assert!(written[0] > 99 * 120_000, "{written:?}");
}

#[test]
fn an_absent_woken_writer_blocks_no_other() {
    let mut lab = Lab::new(Role::Client);
    let keys: Vec<StreamKey> = (0..20).map(|_| lab.opened()).collect();
    for key in &keys {
        while lab.write(*key, 100_000).is_ready() {}
    }
    let mut told = std::collections::BTreeSet::new();
    lab.sent();
    for _ in 0..20 {
        told.extend(lab.events().into_iter().filter_map(|event| match event {
            Event::Writable(key) => Some(key),
            _ => None,
        }));
        if !lab.connection.has_waiting_writers() {
            break;
        }
        lab.connection.wake_writers();
    }
    assert_eq!(told.len(), 20);
}

#[test]
fn a_flush_waits_for_the_transport() {
    let mut lab = Lab::new(Role::Client);
    let key = lab.opened();
    assert_eq!(lab.connection.flush(key), Poll::Ready(Ok(())));
    assert_eq!(lab.write(key, 10), Poll::Ready(Ok(10)));
    assert_eq!(lab.connection.flush(key), Poll::Pending);
    lab.connection.wait_flushed(key);
    lab.events();
    lab.sent();
    assert_eq!(lab.events(), [Event::Writable(key)]);
    assert_eq!(lab.connection.flush(key), Poll::Ready(Ok(())));
}

#[test]
fn deadlines_bound_waiting_only() {
    let mut lab = Lab::new(Role::Client);
    let key = lab.opened();
    let soon = lab.now + Duration::from_secs(1);
    lab.connection.set_read_deadline(key, Some(soon), lab.now);
    lab.connection.set_write_deadline(key, Some(soon), lab.now);
    assert_eq!(lab.read(key, 1), Poll::Pending);
    lab.write_to_the_end_of_credit(key);
    lab.events();
    lab.pass(Duration::from_secs(1));
    assert_eq!(lab.events(), [Event::Readable(key), Event::Writable(key)]);
    assert_eq!(lab.read(key, 1), Poll::Ready(Err(ReadError::TimedOut)));
    assert_eq!(lab.write(key, 1), Poll::Ready(Err(WriteError::TimedOut)));
    // What need not wait succeeds.
    lab.receive(Frame::Data(NONE, key.id(), 1));
    lab.receive(Frame::Window(NONE, key.id(), 1));
    assert_eq!(lab.read(key, 1), Poll::Ready(Ok(1)));
    assert_eq!(lab.write(key, 1), Poll::Ready(Ok(1)));
    // And another deadline gives another wait.
    lab.connection.set_read_deadline(key, None, lab.now);
    assert_eq!(lab.read(key, 1), Poll::Pending);
    lab.connection.set_read_deadline(key, Some(lab.now), lab.now);
    assert_eq!(lab.events(), [Event::Readable(key)]);
}
