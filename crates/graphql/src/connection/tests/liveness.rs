//! Deadlines.

use super::*;
use crate::{Keepalive, PingKind};

const SECOND: Duration = Duration::from_secs(1);

fn kept(keepalive: Keepalive) -> Pair {
    Pair::new(Config::new().keepalive(Some(keepalive)), "graphql-transport-ws").acknowledged()
}

#[test]
fn a_silent_client_is_closed_after_a_ping() {
    let mut pair = kept(Keepalive::new(10 * SECOND, 5 * SECOND).jitter_percent(0));
    pair.wait(10 * SECOND);
    assert_eq!(pair.sent(), [r#"{"type":"ping"}"#]);
    pair.wait(5 * SECOND);
    pair.expect_closed(3008, "No answer to a ping");
}

#[test]
fn anything_that_comes_is_an_answer() {
    for answer in [r#"{"type":"pong"}"#, r#"{"type":"ping"}"#, r#"{"type":"complete","id":"1"}"#, "frame"] {
        let mut pair = kept(Keepalive::new(10 * SECOND, 5 * SECOND).jitter_percent(0));
        for _ in 0..3 {
            pair.wait(10 * SECOND);
            assert_eq!(pair.sent().last().map(String::as_str), Some(r#"{"type":"ping"}"#));
            pair.wait(4 * SECOND);
            if answer == "frame" {
                pair.connection.handle_control();
            } else {
                pair.hear(answer);
            }
            pair.now = pair.now - 4 * SECOND;
        }
        assert!(pair.connection.is_open());
    }
}

#[test]
fn a_part_of_a_message_is_an_answer() {
    let mut pair = kept(Keepalive::new(10 * SECOND, 5 * SECOND).jitter_percent(0));
    pair.wait(10 * SECOND);
    pair.sent();
    let progress = Progress { received: 1, sent: 0 };
    pair.now += 5 * SECOND;
    pair.connection.handle_timeout(progress, pair.now);
    assert!(pair.connection.is_open());
    // Nothing more comes, and the next ping shows it.
    pair.now += 5 * SECOND;
    pair.connection.handle_timeout(progress, pair.now);
    assert_eq!(pair.sent(), [r#"{"type":"ping"}"#]);
    pair.now += 5 * SECOND;
    pair.connection.handle_timeout(progress, pair.now);
    pair.events();
    pair.expect_closed(3008, "No answer to a ping");
}

/// A transport may keep the pong of its frame to itself. Then its bytes are all that is known of it.
#[test]
fn bytes_alone_keep_a_quiet_client() {
    let mut pair = kept(Keepalive::new(10 * SECOND, 25 * SECOND).jitter_percent(0).ping(PingKind::Frame));
    let mut progress = Progress::default();
    let mut pings = 0;
    while pings < 5 {
        pair.now = pair.connection.poll_timeout().expect("a ping");
        pair.connection.handle_timeout(progress, pair.now);
        pair.events();
        assert!(pair.connection.is_open());
        if pair.sent() == ["ping frame"] {
            pings += 1;
            progress.received += 6;
        }
    }
}

#[test]
fn other_timers_do_not_hide_progress() {
    let mut pair = kept(Keepalive::new(10 * SECOND, 5 * SECOND).jitter_percent(0));
    let key = pair.subscribe("1");
    pair.wait(10 * SECOND);
    pair.sent();
    pair.next(key, "{}");
    let progress = Progress { received: 1, sent: 1 };
    // The next ping is due right before the answer to this one, and before the transport must have taken something.
    pair.connection.timers.ping = Some(pair.now + 4 * SECOND);
    pair.connection.timers.write = Some(pair.now + 5 * SECOND);
    pair.connection.handle_timeout(progress, pair.now + 4 * SECOND);
    pair.connection.handle_timeout(progress, pair.now + 5 * SECOND);
    assert!(pair.connection.is_open(), "what came is an answer, and what went is progress");
}

#[test]
fn a_transport_without_frames_sends_messages() {
    let mut pair = kept(Keepalive::new(10 * SECOND, 50 * SECOND).jitter_percent(0).ping(PingKind::Frame));
    pair.wait(10 * SECOND);
    assert_eq!(pair.sent(), ["ping frame"]);
    pair.connection.ping_unsupported(pair.now);
    assert_eq!(pair.sent(), [r#"{"type":"ping"}"#]);
    pair.connection.handle_control();
    pair.wait(10 * SECOND);
    assert_eq!(pair.sent(), [r#"{"type":"ping"}"#]);
}

#[test]
fn pings_of_connections_are_spread() {
    let due = |seed| {
        let config = Arc::new(Config::new());
        let connection = Connection::new(config, Some("graphql-transport-ws"), seed, START);
        connection.timers.ping.expect("a ping") - START
    };
    let times: std::collections::BTreeSet<Duration> = (0..100).map(due).collect();
    assert!(times.len() > 90, "they differ");
    assert!(times.iter().all(|time| *time >= 18 * SECOND && *time <= 22 * SECOND), "{times:?}");
}

#[test]
fn writing_needs_progress_and_no_speed() {
    let mut pair = Pair::transport().acknowledged();
    let key = pair.subscribe("1");
    pair.next(key, "{}");
    for sent in 1..=10 {
        let due = pair.connection.poll_timeout().expect("a deadline");
        pair.now = due;
        pair.connection.handle_timeout(Progress { received: 0, sent }, due);
        assert!(pair.connection.is_open(), "a byte is enough");
    }
    let took = stall(&mut pair, |_| 10);
    assert_eq!(took, 30 * SECOND);
    assert_eq!(pair.connection.ended(), Some(&Ended::Stalled));
    pair.events();
    assert!(pair.ended);
}

/// Lets time pass until the connection has ended, and returns how much. `sent` is the transport's count by then.
fn stall(pair: &mut Pair, sent: impl Fn(Duration) -> u64) -> Duration {
    let start = pair.now;
    while pair.connection.ended().is_none() {
        pair.now = pair.connection.poll_timeout().expect("a deadline");
        let progress = Progress { received: 0, sent: sent(pair.now - start) };
        pair.connection.handle_timeout(progress, pair.now);
    }
    pair.now - start
}

#[test]
fn a_stall_behind_progress_ends_in_time() {
    let mut pair = Pair::transport().acknowledged();
    let key = pair.subscribe("1");
    pair.next(key, "{}");
    // A byte goes after one second, and nothing behind it.
    let took = stall(&mut pair, |passed| u64::from(passed >= SECOND));
    assert!(took >= 31 * SECOND && took <= 31 * SECOND + 30 * SECOND / 8, "dropped after {took:?}");
    assert_eq!(pair.connection.ended(), Some(&Ended::Stalled));
}

#[test]
fn progress_of_earlier_messages_is_none() {
    let mut pair = Pair::transport().acknowledged();
    let key = pair.subscribe("1");
    pair.next(key, "{}");
    pair.sent();
    pair.next(key, "{}");
    let took = stall(&mut pair, |_| 100);
    assert!(took <= 30 * SECOND + 30 * SECOND / 8, "dropped after {took:?}");
}

#[test]
fn nothing_to_write_has_no_deadline() {
    let mut pair = Pair::transport().acknowledged();
    assert_eq!(pair.connection.poll_timeout(), None);
    let key = pair.subscribe("1");
    pair.next(key, "{}");
    assert!(pair.connection.poll_timeout().is_some());
    pair.sent();
    assert_eq!(pair.connection.poll_timeout(), None);
}

#[test]
fn closing_ends_at_its_deadline() {
    let mut pair = Pair::transport().acknowledged();
    pair.connection.close(CloseFrame::new(CloseCode::NORMAL, ""), pair.now);
    pair.events();
    // The transport takes nothing.
    let due = pair.connection.poll_timeout().expect("a deadline");
    assert_eq!(due - pair.now, 5 * SECOND);
    pair.connection.handle_timeout(Progress::default(), due);
    assert!(matches!(pair.connection.ended(), Some(Ended::Closed(_))));
    assert_eq!(pair.sent(), [""; 0]);
}

#[test]
fn idleness_is_time_without_operations() {
    let config = Config::new().keepalive(None).idle_timeout(Some(10 * SECOND));
    let mut pair = Pair::new(config, "graphql-transport-ws").acknowledged();
    pair.wait(9 * SECOND);
    let key = pair.subscribe("1");
    pair.wait(100 * SECOND);
    pair.complete(key);
    pair.sent();
    pair.wait(9 * SECOND);
    pair.hear(r#"{"type":"pong"}"#);
    assert!(pair.connection.is_open());
    pair.wait(SECOND);
    pair.expect_closed(3008, "Idle");
}

#[test]
fn an_old_connection_is_drained() {
    let config = Config::new().keepalive(None).age_max(Some(100 * SECOND));
    let mut pair = Pair::new(config, "graphql-transport-ws").acknowledged();
    let key = pair.subscribe("1");
    pair.wait(89 * SECOND);
    assert!(pair.connection.draining.is_none());
    pair.wait(11 * SECOND);
    pair.complete(key);
    pair.expect_closed(1001, "Connection age");
}

#[test]
fn deadlines_that_pass_together_close_once() {
    let config = Config::new()
        .init_timeout(10 * SECOND)
        .keepalive(Some(Keepalive::new(20 * SECOND, 5 * SECOND)))
        .idle_timeout(Some(30 * SECOND))
        .age_max(Some(40 * SECOND));
    let pass = |pair: &mut Pair| {
        pair.now += 1000 * SECOND;
        pair.connection.handle_timeout(Progress::default(), pair.now);
        pair.events();
    };
    let mut silent = Pair::new(config.clone(), "graphql-transport-ws");
    pass(&mut silent);
    silent.expect_closed(4408, "Connection initialisation timeout");

    let mut idle = Pair::new(config.clone(), "graphql-transport-ws").acknowledged();
    pass(&mut idle);
    idle.expect_closed(3008, "Idle");

    let mut gone = Pair::new(config.clone(), "graphql-transport-ws").acknowledged();
    gone.wait(22 * SECOND);
    assert_eq!(gone.sent(), [r#"{"type":"ping"}"#]);
    pass(&mut gone);
    gone.expect_closed(3008, "No answer to a ping");

    // The drain of an old connection has its own time, however late its beginning was noticed.
    let mut busy = Pair::new(config.clone().keepalive(None), "graphql-transport-ws").acknowledged();
    busy.subscribe("1");
    pass(&mut busy);
    assert!(busy.connection.is_open());
    pass(&mut busy);
    busy.expect_closed(1001, "Connection age");

    // What could not be written counts first: there is nothing left to close with.
    let mut stalled = Pair::new(config, "graphql-transport-ws").acknowledged();
    let key = stalled.subscribe("1");
    stalled.next(key, "{}");
    pass(&mut stalled);
    assert_eq!(stalled.connection.ended(), Some(&Ended::Stalled));
    assert_eq!((stalled.sent(), stalled.connection.poll_timeout()), (Vec::new(), None));
}
