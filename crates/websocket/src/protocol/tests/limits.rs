//! RFC 6455, section 10.4: a peer cannot make us hold more than we said.

use super::*;
use crate::{Limit, Limits};

fn limited(limits: Limits) -> Connection {
    with(Role::Client, Config { limits, ..Config::default() })
}

#[track_caller]
fn assert_exceeds(connection: &mut Connection, bytes: &[u8], limit: Limit, allowed: usize) {
    let (last, before) = bytes.split_last().unwrap();
    feed(connection, before);
    assert_eq!(connection.state(), State::Open, "failed early");
    feed(connection, &[*last]);
    assert_eq!(close_code_written(connection), 1009);
    assert_eq!(outcome(connection).cause, Cause::LimitExceeded { limit, allowed });
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-10.4
//= type=test
//# Implementations that have implementation- and/or platform-specific limitations regarding the frame size or
//# total message size after reassembly from multiple frames MUST protect themselves against exceeding those
//# limits.
#[test]
fn an_overlong_frame_fails_by_its_head() {
    let mut connection = limited(Limits { frame: 1000, ..Limits::default() });
    feed(&mut connection, &frame(BINARY, &[0; 1000]));
    assert_eq!(messages(&mut connection).len(), 1);
    assert_exceeds(&mut connection, &[BINARY, 126, 0x03, 0xe9], Limit::Frame, 1000);

    let mut connection = client();
    let head = [BINARY, 127, 0x7f, 255, 255, 255, 255, 255, 255, 255];
    assert_exceeds(&mut connection, &head, Limit::Frame, 64 << 20);
    assert!(connection.input().capacity() < 1 << 20);
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-10.4
//= type=test
//# Implementations that have implementation- and/or platform-specific limitations regarding the frame size or
//# total message size after reassembly from multiple frames MUST protect themselves against exceeding those
//# limits.
#[test]
fn an_overlong_message_fails_by_its_frame_head() {
    let limits = Limits { message: 100, ..Limits::default() };
    let mut connection = limited(limits.clone());
    feed(&mut connection, &frames([(BINARY_BEGINS, &[0; 60]), (ENDS, &[0; 40])]));
    assert_eq!(messages(&mut connection).len(), 1);
    feed(&mut connection, &frame(BINARY_BEGINS, &[0; 60]));
    assert_exceeds(&mut connection, &[GOES_ON, 41], Limit::Message, 100);

    assert_exceeds(&mut limited(limits), &[BINARY, 101], Limit::Message, 100);
}

#[test]
fn a_message_of_too_many_fragments_fails() {
    let mut connection = limited(Limits { fragments: 3, ..Limits::default() });
    feed(&mut connection, &frames([(BINARY_BEGINS, b""), (GOES_ON, b""), (ENDS, b"")]));
    assert_eq!(messages(&mut connection).len(), 1);
    feed(&mut connection, &frames([(BINARY_BEGINS, b""), (GOES_ON, b""), (GOES_ON, b"")]));
    assert_exceeds(&mut connection, &[ENDS, 0], Limit::Fragments, 3);
}

#[test]
fn the_default_limits_admit_all_of_autobahn() {
    let mut connection = client();
    feed(&mut connection, &frame(BINARY_BEGINS, &[1; 64]));
    for _ in 0..65_535 {
        feed(&mut connection, &frame(GOES_ON, &[1; 64]));
    }
    // One more than the message needs: its end is an empty fragment.
    feed(&mut connection, &frame(ENDS, b""));
    feed(&mut connection, &frame(BINARY, &vec![1; 16 << 20]));
    let lengths: Vec<usize> =
        messages(&mut connection).iter().map(|message| message.as_bytes().len()).collect();
    assert_eq!(lengths, [4 << 20, 16 << 20]);
}

#[test]
fn one_read_does_not_overfill_the_queue() {
    let limits = Limits { receive_queue_messages: 3, ..Limits::default() };
    let mut connection = limited(limits);
    feed(&mut connection, &frame(BINARY, b"").repeat(30_000));
    assert_eq!(connection.statistics().messages_received, 3);
    assert_eq!(messages(&mut connection).len(), 30_000, "all of them come, and are not read anew");
    assert!(connection.wants_read() && !connection.has_input_left());
}

#[test]
fn a_zero_write_buffer_means_one_byte() {
    let mut connection = limited(Limits { write_buffer: 0, ..Limits::default() });
    assert!(!connection.write_buffer_is_full());
    connection.ping(START).unwrap();
    assert!(connection.write_buffer_is_full());
}

#[test]
fn an_arriving_long_frame_gets_a_fitting_buffer() {
    let mut connection = client();
    feed(&mut connection, &frame(BINARY, &vec![1; 1 << 20])[..1000]);
    let input = connection.input();
    assert!(input.capacity() >= 1 << 20);
    let before = input.as_ptr();
    feed(&mut connection, &vec![1; (1 << 20) + 10 - 1000]);
    let message = connection.recv_message().unwrap();
    assert_eq!((message.as_bytes().len(), message.as_bytes().as_ptr()), (1 << 20, before));
}
