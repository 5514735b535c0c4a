//! What a hostile peer can send: each row of the table of known attacks.

use super::*;
use crate::config::Limits;
use crate::violation::Violation;

/// The peer's frame ends the session with this violation, told by GoAway(1) which is written before the transport ends.
fn check_violation(mut lab: Lab, expected: Violation) {
    assert_eq!(lab.violation(), Some(expected));
    assert_eq!(lab.connection.transport(), Transport::Open);
    assert_eq!(lab.sent(), [Frame::GoAway(1)]);
    assert_eq!(lab.connection.transport(), Transport::ShutDown);
    // What follows is discarded.
    lab.receive(Frame::Ping(SYN, 1));
    assert_eq!(lab.sent(), []);
    lab.connection.end_of_input(lab.now);
    assert_eq!(lab.connection.state(), State::Closed);
}

#[test]
fn malformed_frames_are_violations() {
    let cases: [([u8; 12], Violation); 6] = [
        ([1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0], Violation::Version(1)),
        ([0, 9, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0], Violation::UnknownType(9)),
        ([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], Violation::StreamZero),
        ([0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0], Violation::StreamZero),
        ([0, 2, 0, 1, 0, 0, 0, 5, 0, 0, 0, 0], Violation::SessionFrameOnStream(5)),
        ([0, 3, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0], Violation::SessionFrameOnStream(5)),
    ];
    for (bytes, violation) in cases {
        let mut lab = Lab::new(Role::Server);
        lab.receive_bytes(&bytes);
        check_violation(lab, violation);
    }
}

#[test]
fn unknown_flags_are_ignored() {
    let mut lab = Lab::new(Role::Server);
    lab.receive(Frame::Window(Flags(0x8000).and(SYN), 1, 0));
    assert!(lab.connection.accept().is_some());
}

#[test]
fn streams_of_the_wrong_parity_are_violations() {
    let mut lab = Lab::new(Role::Server);
    lab.receive(Frame::Window(SYN, 2, 0));
    check_violation(lab, Violation::WrongParity(2));
}

#[test]
fn streams_opened_again_are_violations() {
    let mut lab = Lab::new(Role::Server);
    let key = lab.accept(1);
    lab.connection.drop_stream(key, lab.now);
    lab.sent();
    lab.receive(Frame::Data(SYN, 1, 5));
    check_violation(lab, Violation::ReusedId(1));
}

/// CVE-2024-32984.
#[test]
fn a_flood_of_pings_leaves_few_pongs() {
    let mut lab = Lab::new(Role::Server);
    for opaque in 0..50_000 {
        lab.receive(Frame::Ping(SYN, opaque));
    }
    assert!(lab.connection.statistics().pending_bytes <= 8 * HEADER_BYTES);
    let latest: Vec<Frame> = (49_992..50_000).map(|opaque| Frame::Ping(ACK, opaque)).collect();
    assert_eq!(lab.sent(), latest);
}

/// CVE-2026-31814.
#[test]
fn credit_that_overflows_is_a_violation() {
    let mut lab = Lab::new(Role::Client);
    let key = lab.opened();
    let delta = u32::MAX - WINDOW;
    lab.receive(Frame::Window(NONE, key.id(), delta));
    assert_eq!(lab.connection.stream_statistics(key).send_credit, u32::MAX);
    lab.receive(Frame::Window(NONE, key.id(), 1));
    check_violation(lab, Violation::CreditOverflow { stream: 1, delta: 1, credit: u32::MAX });
}

/// CVE-2026-32314.
#[test]
fn syn_data_beyond_the_window_is_a_violation() {
    let mut lab = Lab::new(Role::Server);
    lab.receive_bytes(&Header::new(Kind::Data, SYN, 1, WINDOW + 1).encode());
    check_violation(lab, Violation::CreditExceeded { stream: 1, length: WINDOW + 1, credit: WINDOW });
}

#[test]
fn data_beyond_the_credit_is_a_violation() {
    let mut lab = Lab::new(Role::Server);
    lab.accept(1);
    lab.receive(Frame::Data(NONE, 1, WINDOW as usize));
    lab.receive_bytes(&Header::new(Kind::Data, NONE, 1, 1).encode());
    check_violation(lab, Violation::CreditExceeded { stream: 1, length: 1, credit: 0 });
}

#[test]
fn only_data_after_fin_is_a_violation() {
    let mut lab = Lab::new(Role::Server);
    lab.accept(1);
    lab.receive(Frame::Window(FIN, 1, 0));
    lab.receive(Frame::Window(FIN, 1, 0));
    lab.receive(Frame::Data(FIN, 1, 0));
    assert_eq!(lab.connection.state(), State::Open);
    lab.receive(Frame::Data(NONE, 1, 1));
    check_violation(lab, Violation::DataAfterFin(1));
}

/// CVE-2023-44487.
#[test]
fn rapid_resets_end_the_session() {
    let mut lab = Lab::new(Role::Server);
    let mut id = 1;
    for _ in 0..1024 {
        lab.receive(Frame::Window(SYN, id, 0));
        lab.receive(Frame::Window(RST, id, 0));
        id += 2;
    }
    let statistics = lab.connection.statistics();
    assert_eq!((statistics.streams_held, statistics.backlog), (0, 0));
    lab.receive(Frame::Window(SYN.and(RST), id, 0));
    check_violation(lab, Violation::RapidReset(1024));
}

#[test]
fn resets_of_accepted_streams_are_no_attack() {
    let mut lab = Lab::new(Role::Server);
    for number in 0..5000 {
        let key = lab.accept(2 * number + 1);
        lab.receive(Frame::Window(RST, key.id(), 0));
        lab.connection.drop_stream(key, lab.now);
    }
    assert_eq!(lab.connection.state(), State::Open);
}

#[test]
fn refusals_that_are_not_read_end_the_session() {
    let config = Config { limits: Limits { inbound_streams: 0, ..Limits::default() }, ..Config::default() };
    let mut lab = Lab::with(Role::Server, config);
    for number in 0..1024 {
        lab.receive(Frame::Window(SYN, 2 * number + 1, 0));
    }
    assert_eq!(lab.connection.state(), State::Open);
    assert_eq!(lab.sent().len(), 1024);
    // Those that were written count no more.
    for number in 1024..2049 {
        lab.receive(Frame::Window(SYN, 2 * number + 1, 0));
    }
    check_violation(lab, Violation::TooManyRefusals(1024));
}

/// RUSTSEC-2026-0258, and CVE-2024-32984 for pings.
#[test]
fn a_flood_of_empty_frames_ends_the_session() {
    let kinds: [fn() -> Frame; 8] = [
        || Frame::Data(NONE, 1, 0),
        || Frame::Window(NONE, 1, 0),
        || Frame::Ping(SYN, 7),
        // The answer to a ping that was never sent.
        || Frame::Ping(ACK, 7),
        // Of streams that never were.
        || Frame::Data(NONE, 3, 0),
        || Frame::Data(NONE, 3, 10),
        || Frame::Window(NONE, 3, 10),
        || Frame::Window(RST, 3, 0),
    ];
    for (number, frame) in kinds.into_iter().enumerate() {
        let mut lab = Lab::new(Role::Server);
        lab.accept(1);
        for _ in 0..100_000 {
            lab.receive(frame());
        }
        assert_eq!(lab.connection.state(), State::Open, "kind {number}");
        assert!(lab.connection.statistics().pending_bytes <= 8 * HEADER_BYTES, "kind {number}");
        lab.receive(frame());
        check_violation(lab, Violation::IdleFrames(100_000));
    }
}

/// The streams that a peer can name: one of each kind, by id.
fn every_kind_of_stream(lab: &mut Lab) -> [u32; 8] {
    let [open, finished, stopped, closed, reset] = [1, 3, 5, 7, 9].map(|id| lab.accept(id));
    let now = lab.now;
    lab.connection.close_write(finished, now).expect("an open stream");
    lab.connection.stop(stopped, now);
    lab.connection.close_stream(closed, now).expect("an open stream");
    lab.connection.drop_stream(reset, now);
    let opened = lab.open();
    let (waiting, unknown) = (11, 1001);
    lab.receive(Frame::Window(SYN, waiting, 0));
    lab.sent();
    [open.id(), finished.id(), stopped.id(), closed.id(), reset.id(), opened.id(), waiting, unknown]
}

/// Any frame, alone or with a ping, sent again and again: it ends the session, or is one that changed something.
#[test]
fn every_frame_without_effect_is_counted() {
    const LIMIT: u32 = 60;
    let limits = Limits { idle_frames: LIMIT, drain_budget_bytes: 1 << 20, ..Limits::default() };
    let config = Config { limits, ..Config::default() };
    let mut cases = 0;
    for bits in 0..64_u16 {
        let flags = if bits < 32 { Flags(bits) } else { Flags(bits - 32).and(Flags(0x8000)) };
        for (kind, length) in (0..4).flat_map(|kind| [(kind, 0), (kind, 16_000)]) {
            for (place, extended, with_ping) in
                (0..8).flat_map(|place| [(place, true, true), (place, true, false), (place, false, true)])
            {
                let mut lab = Lab::with(Role::Server, config.clone());
                if extended {
                    lab.receive(Frame::Ping(SYN, ANNOUNCEMENT));
                    lab.sent();
                }
                let stream = every_kind_of_stream(&mut lab)[place];
                let frame = match kind {
                    0 => Frame::Data(flags, stream, length),
                    1 => Frame::Window(flags, stream, u32::try_from(length).expect("a small number")),
                    2 => Frame::Ping(flags, 7),
                    _ => Frame::GoAway(0),
                };
                for _ in 0..2 * LIMIT {
                    lab.receive(frame.clone());
                    if with_ping {
                        lab.receive(Frame::Ping(SYN, 7));
                    }
                    lab.sent();
                }
                let case = format!("{frame:?}, with pings: {with_ping}, extended: {extended}");
                assert_ne!(lab.connection.state(), State::Open, "{case}");
                cases += 1;
            }
        }
    }
    assert!(cases > 10_000, "{cases}");
}

#[test]
fn credit_for_sent_bytes_is_not_idle() {
    let limits = Limits { idle_frames: 10, ..Limits::default() };
    let mut lab = Lab::with(Role::Client, Config { limits, ..Config::default() });
    let key = lab.opened();
    assert_eq!(lab.write(key, 1000), Poll::Ready(Ok(1000)));
    for _ in 0..500 {
        lab.receive(Frame::Window(NONE, key.id(), 1));
    }
    // The rest is answered behind FIN.
    lab.connection.close_write(key, lab.now).expect("an open stream");
    for _ in 0..500 {
        lab.receive(Frame::Window(NONE, key.id(), 1));
    }
    assert_eq!(lab.connection.statistics().idle_frames, 0);
    for _ in 0..11 {
        lab.receive(Frame::Window(NONE, key.id(), 1));
    }
    check_violation(lab, Violation::IdleFrames(10));
}

#[test]
fn grants_do_not_forgive_pings() {
    let limits = Limits { idle_frames: 10, ..Limits::default() };
    let mut lab = Lab::with(Role::Client, Config { limits, ..Config::default() });
    let key = lab.opened();
    assert_eq!(lab.write(key, 1000), Poll::Ready(Ok(1000)));
    lab.sent();
    for _ in 0..11 {
        lab.receive(Frame::Window(NONE, key.id(), 1));
        lab.receive(Frame::Ping(SYN, 7));
    }
    assert_eq!(lab.violation(), Some(Violation::IdleFrames(10)));
}

#[test]
fn time_forgives_frames_without_effect() {
    let mut lab = Lab::new(Role::Server);
    // A peer that pings twice a second, for 35 hours.
    for _ in 0..250_000 {
        lab.pass(Duration::from_millis(500));
        lab.receive(Frame::Ping(SYN, 1));
        lab.sent();
    }
    assert_eq!(lab.connection.state(), State::Open);
}

#[test]
fn memory_follows_received_bytes_not_declared_lengths() {
    let config = Config { window: crate::Window::Fixed(1 << 30), ..Config::default() };
    let mut lab = Lab::with(Role::Server, config);
    lab.receive(Frame::Window(SYN, 1, 0));
    lab.connection.accept().expect("a stream waits");
    lab.receive_bytes(&Header::new(Kind::Data, NONE, 1, 1 << 30).encode());
    lab.receive_bytes(b"a few");
    assert_eq!(lab.connection.statistics().buffered_bytes, 5);
}

/// CVE-2022-23492.
#[test]
fn unread_bytes_are_bounded_for_the_whole_session() {
    let budget = 4 * WINDOW as usize;
    let limits = Limits { receive_budget_bytes: budget, ..Limits::default() };
    let mut lab = Lab::with(Role::Server, Config { limits, ..Config::default() });
    let mut refused = 0;
    for number in 0..1000 {
        let id = 2 * number + 1;
        lab.receive(Frame::Data(SYN, id, WINDOW as usize));
        refused += lab.sent().iter().filter(|frame| **frame == Frame::Window(ACK.and(RST), id, 0)).count();
        assert!(lab.connection.statistics().buffered_bytes <= budget);
    }
    assert_eq!(refused, 996);
    assert_eq!(lab.connection.state(), State::Open);
}

/// Bytes beyond a budget are not counted, wherever the input was split.
#[test]
fn pieces_of_input_do_not_change_counts() {
    let limits = Limits { receive_budget_bytes: 1000, drain_budget_bytes: 2000, ..Limits::default() };
    for piece in [1, 7, 1000, 10_000] {
        let mut lab = Lab::with(Role::Server, Config { limits: limits.clone(), ..Config::default() });
        let receive = |lab: &mut Lab, id| {
            let before = lab.connection.statistics().payload_received;
            let mut bytes = Header::new(Kind::Data, NONE, id, 5000).encode().to_vec();
            bytes.resize(HEADER_BYTES + 5000, b'x');
            for piece in bytes.chunks(piece) {
                lab.receive_bytes(piece);
            }
            lab.connection.statistics().payload_received - before
        };
        lab.accept(1);
        assert_eq!(receive(&mut lab, 1), 1000, "unread, in pieces of {piece}");
        lab.sent();
        let stopped = lab.accept(3);
        lab.connection.stop(stopped, lab.now);
        assert_eq!(receive(&mut lab, 3), 2000, "stopped, in pieces of {piece}");
        assert_eq!(lab.connection.statistics().resets_sent, 2);
        assert_eq!(lab.connection.statistics().buffered_bytes, 0);
    }
}

/// The same, by a peer that does not read the refusals.
#[test]
fn unread_resets_for_the_budget_end_the_session() {
    let limits = Limits { receive_budget_bytes: 0, ..Limits::default() };
    let mut lab = Lab::with(Role::Server, Config { limits, ..Config::default() });
    for number in 0..1024 {
        lab.receive(Frame::Data(SYN, 2 * number + 1, 1));
    }
    assert_eq!(lab.connection.state(), State::Open);
    assert_eq!(lab.connection.statistics().pending_bytes, 1024 * HEADER_BYTES);
    lab.receive(Frame::Data(SYN, 2049, 1));
    check_violation(lab, Violation::TooManyRefusals(1024));
}

#[test]
fn frames_for_unknown_streams_get_no_answer() {
    let mut lab = Lab::new(Role::Server);
    lab.receive(Frame::Data(NONE, 7, 300_000));
    lab.receive(Frame::Data(RST, 8, 10));
    lab.receive(Frame::Window(RST, 9, 0));
    lab.receive(Frame::Window(NONE, 2, u32::MAX));
    assert_eq!(lab.sent(), []);
    assert_eq!(lab.connection.statistics().buffered_bytes, 0);
    assert_eq!(lab.connection.state(), State::Open);
}

#[test]
fn a_refused_stream_with_data_is_drained() {
    let config = Config { limits: Limits { inbound_streams: 0, ..Limits::default() }, ..Config::default() };
    let mut lab = Lab::with(Role::Server, config);
    lab.receive(Frame::Data(SYN.and(FIN), 1, 1000));
    lab.receive(Frame::Data(NONE, 1, 1000));
    assert_eq!(lab.sent(), [Frame::Window(ACK.and(RST), 1, 0)]);
}
