//! Credit: what is granted, what is charged, and how windows are tuned.

use super::*;
use crate::config::{Limits, Window};

fn fixed(bytes: u32) -> Config {
    Config { window: Window::Fixed(bytes), ..Config::default() }
}

fn tuned(bytes_max: u32) -> Config {
    Config { window: Window::Tuned { bytes_max }, ..Config::default() }
}

#[test]
fn no_more_is_written_than_was_granted() {
    let mut lab = Lab::new(Role::Client);
    let key = lab.opened();
    assert_eq!(lab.write_to_the_end_of_credit(key), WINDOW as usize);
    assert_eq!(lab.write(key, 1), Poll::Pending);
    lab.events();
    lab.receive(Frame::Window(NONE, key.id(), 10));
    assert_eq!(lab.events(), [Event::Writable(key)]);
    assert_eq!(lab.write(key, 100), Poll::Ready(Ok(10)));
    assert_eq!(lab.write(key, 100), Poll::Pending);
}

#[test]
fn three_eighths_of_a_window_grant_credit() {
    let mut lab = Lab::with(Role::Server, fixed(WINDOW));
    let key = lab.accept(1);
    lab.receive(Frame::Data(NONE, 1, WINDOW as usize));
    let count = WINDOW as usize / 8 * 3;
    assert_eq!(lab.read(key, count - 1), Poll::Ready(Ok(count - 1)));
    assert_eq!(lab.sent(), []);
    assert_eq!(lab.read(key, 1), Poll::Ready(Ok(1)));
    assert_eq!(lab.sent(), [Frame::Window(NONE, 1, WINDOW / 8 * 3)]);
}

/// Two reads of 64 KiB hold a little less than half of the window, because of headers.
#[test]
fn two_reads_grant_credit() {
    let mut lab = Lab::with(Role::Server, fixed(WINDOW));
    let key = lab.accept(1);
    let mut frame = Header::new(Kind::Data, NONE, 1, 64 << 10).encode().to_vec();
    frame.resize(HEADER_BYTES + (64 << 10), b'x');
    let bytes = frame.repeat(4);
    for piece in bytes[..128 << 10].chunks(64 << 10) {
        lab.receive_bytes(piece);
        while let Poll::Ready(Ok(_)) = lab.read(key, 64 << 10) {}
    }
    assert_eq!(lab.sent(), [Frame::Window(NONE, 1, (128 << 10) - 24)]);
}

#[test]
fn syn_and_ack_announce_a_larger_window() {
    let mut lab = Lab::with(Role::Server, fixed(4 * WINDOW));
    lab.open();
    assert_eq!(lab.sent(), [Frame::Window(SYN, 2, 3 * WINDOW)]);
    lab.receive(Frame::Window(SYN, 1, WINDOW));
    let key = lab.connection.accept().expect("a stream waits");
    assert_eq!(lab.sent(), [Frame::Window(ACK, 1, 3 * WINDOW)]);
    assert_eq!(lab.connection.stream_statistics(key).send_credit, 2 * WINDOW);
    lab.receive(Frame::Data(NONE, 1, 4 * WINDOW as usize));
    assert_eq!(lab.connection.state(), State::Open);
}

#[test]
fn grants_that_wait_for_the_transport_are_one() {
    let mut lab = Lab::with(Role::Server, fixed(WINDOW));
    let (first, second) = (lab.accept(1), lab.accept(3));
    // The peer guesses what it is granted, and reads nothing.
    for round in 1..=1000_u32 {
        for key in [first, second] {
            lab.receive(Frame::Data(NONE, key.id(), WINDOW as usize));
            assert_eq!(lab.read(key, WINDOW as usize), Poll::Ready(Ok(WINDOW as usize)), "round {round}");
        }
    }
    assert_eq!(lab.connection.statistics().pending_bytes, 2 * HEADER_BYTES);
    assert_eq!(lab.sent(), [Frame::Window(NONE, 1, 1000 * WINDOW), Frame::Window(NONE, 3, 1000 * WINDOW)]);
    // Where another stream's grant waits now, nothing is added.
    for key in [second, first] {
        lab.receive(Frame::Data(NONE, key.id(), WINDOW as usize));
        assert_eq!(lab.read(key, WINDOW as usize), Poll::Ready(Ok(WINDOW as usize)));
    }
    assert_eq!(lab.sent(), [Frame::Window(NONE, 3, WINDOW), Frame::Window(NONE, 1, WINDOW)]);
}

#[test]
fn a_finished_peer_gets_no_credit() {
    let mut lab = Lab::new(Role::Server);
    let key = lab.accept(1);
    lab.receive(Frame::Data(FIN, 1, WINDOW as usize));
    assert_eq!(lab.read(key, WINDOW as usize), Poll::Ready(Ok(WINDOW as usize)));
    assert_eq!(lab.read(key, 1), Poll::Ready(Ok(0)));
    assert_eq!(lab.sent(), []);
}

/// Has the peer fill the window `rounds` times, with `pause` between, and returns the window at the end.
fn window_after(lab: &mut Lab, key: StreamKey, rounds: u32, pause: Duration) -> u32 {
    for _ in 0..rounds {
        lab.pass(pause);
        let credit = lab.connection.stream_statistics(key).receive_credit;
        lab.receive(Frame::Data(NONE, key.id(), credit as usize));
        assert_eq!(lab.read(key, credit as usize), Poll::Ready(Ok(credit as usize)));
        lab.sent();
    }
    lab.connection.stream_statistics(key).receive_window
}

/// A lab whose round trip takes 50 ms.
fn far_lab(config: Config) -> Lab {
    let now = Instant::from_nanos(1_000_000_000);
    let mut lab = Lab { connection: Connection::new(Role::Server, config, 1, now), now };
    assert_eq!(lab.sent(), [Frame::Ping(SYN, ANNOUNCEMENT)]);
    lab.pass(Duration::from_millis(50));
    lab.receive(Frame::Ping(ACK, ANNOUNCEMENT));
    lab
}

#[test]
fn windows_emptied_in_two_round_trips_double() {
    let mut lab = far_lab(tuned(16 * WINDOW));
    let key = lab.accept(1);
    assert_eq!(window_after(&mut lab, key, 1, Duration::from_millis(90)), 2 * WINDOW);
    assert_eq!(window_after(&mut lab, key, 10, Duration::from_millis(90)), 16 * WINDOW);
}

#[test]
fn windows_emptied_in_a_round_trip_quadruple() {
    let mut lab = far_lab(tuned(64 * WINDOW));
    let key = lab.accept(1);
    for window in [4, 16, 64, 64] {
        assert_eq!(window_after(&mut lab, key, 1, Duration::from_millis(51)), window * WINDOW);
    }
}

/// Two connections whose bytes take 25 ms, and no time to be sent, each way: how many round trips pass until the window
/// of a stream that is written to all the time has reached 16 MiB.
#[test]
fn three_round_trips_open_the_largest_window() {
    let half = Duration::from_millis(25);
    let mut pair = Pair { client: Lab::bare(Role::Client), server: Lab::bare(Role::Server), now: Lab::START };
    let Poll::Ready(Ok(near)) = pair.client.open(pair.now) else { panic!("a stream can be opened") };
    let mut far = None;
    // What arrives is sent half a round trip before.
    let (mut to_server, mut to_client) = (BytesMut::new(), BytesMut::new());
    for trip in 0_u32.. {
        pair.server.receive(&mut to_server, pair.now);
        pair.client.receive(&mut to_client, pair.now);
        far = far.or_else(|| pair.server.accept());
        if let Some(far) = far {
            while let Poll::Ready(Ok(_)) = pair.server.read_with(far, 1 << 20, |_| ()) {}
            if pair.server.stream_statistics(far).receive_window == 16 << 20 {
                // Half a trip until the first bytes, then three until the third grant has had its effect.
                assert_eq!(trip, 1 + 2 * 2);
                return;
            }
        }
        loop {
            to_server.extend_from_slice(&take_output(&mut pair.client, pair.now));
            if pair.client.write(near, &[0; 100_000]).is_pending() {
                pair.client.wait_writable(near, pair.now);
                break;
            }
        }
        to_client.extend_from_slice(&take_output(&mut pair.server, pair.now));
        pair.now += half;
    }
}

#[test]
fn a_slow_reader_keeps_its_window() {
    let mut lab = far_lab(tuned(16 * WINDOW));
    let key = lab.accept(1);
    assert_eq!(window_after(&mut lab, key, 10, Duration::from_millis(101)), WINDOW);
}

#[test]
fn windows_grow_within_the_budget_of_the_session() {
    let mut config = tuned(64 * WINDOW);
    config.limits = Limits { receive_budget_bytes: 8 * WINDOW as usize, ..Limits::default() };
    let mut lab = far_lab(config);
    let (first, second) = (lab.accept(1), lab.accept(3));
    let mut windows = [0; 2];
    for _ in 0..5 {
        for (key, window) in [first, second].into_iter().zip(&mut windows) {
            *window = window_after(&mut lab, key, 1, Duration::from_millis(20));
        }
    }
    assert_eq!(windows, [4 * WINDOW, 4 * WINDOW]);
    lab.connection.drop_stream(first, lab.now);
    assert_eq!(window_after(&mut lab, second, 2, Duration::from_millis(20)), 8 * WINDOW);
    // All of it may wait at once.
    let credit = lab.connection.stream_statistics(second).receive_credit;
    lab.receive(Frame::Data(NONE, 3, credit as usize));
    assert_eq!(lab.read(second, credit as usize), Poll::Ready(Ok(credit as usize)));
}

#[test]
fn an_old_round_trip_is_measured_again() {
    let mut lab = far_lab(tuned(16 * WINDOW));
    let key = lab.accept(1);
    lab.pass(Duration::from_secs(11));
    lab.receive(Frame::Data(NONE, 1, WINDOW as usize));
    assert_eq!(lab.read(key, WINDOW as usize), Poll::Ready(Ok(WINDOW as usize)));
    assert!(lab.sent().contains(&Frame::Ping(SYN, 2)));
}

#[test]
fn a_large_frame_is_read_as_it_arrives() {
    let mut lab = Lab::with(Role::Server, fixed(4 * 1024 * 1024));
    lab.receive(Frame::Window(SYN, 1, 0));
    let key = lab.connection.accept().expect("a stream waits");
    lab.receive_bytes(&Header::new(Kind::Data, FIN, 1, 4 * 1024 * 1024).encode());
    assert_eq!(lab.connection.statistics().buffered_bytes, 0);
    for _ in 0..4 * 64 {
        lab.receive_bytes(&[7; 16 * 1024]);
        assert_eq!(lab.read(key, 100_000), Poll::Ready(Ok(16 * 1024)));
    }
    assert_eq!(lab.read(key, 1), Poll::Ready(Ok(0)));
}

#[test]
fn a_slow_stream_does_not_hold_up_another() {
    let mut lab = Lab::new(Role::Server);
    let (slow, fast) = (lab.accept(1), lab.accept(3));
    lab.receive(Frame::Data(NONE, 1, WINDOW as usize));
    for _ in 0..100 {
        lab.receive(Frame::Data(NONE, 3, 100_000));
        assert_eq!(lab.read(fast, 100_000), Poll::Ready(Ok(100_000)));
        let left = lab.connection.stream_statistics(fast).receive_credit;
        assert!(left >= WINDOW / 2 - 100_000, "{left}");
        lab.sent();
        if left < 100_000 {
            break;
        }
    }
    assert_eq!(lab.read(slow, WINDOW as usize), Poll::Ready(Ok(WINDOW as usize)));
}

#[test]
fn small_frames_cost_about_their_bytes() {
    let mut lab = Lab::new(Role::Server);
    let key = lab.accept(1);
    for _ in 0..WINDOW {
        lab.receive(Frame::Data(NONE, 1, 1));
    }
    assert_eq!(lab.connection.statistics().buffered_bytes, WINDOW as usize);
    assert_eq!(read_all(&mut lab.connection, key).0, WINDOW as usize);
}
