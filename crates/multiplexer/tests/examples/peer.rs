//! `yamux_peer` against itself.

use serde_json::Value;

use super::processes::Process;

/// Runs a scenario, and returns what both print, the connector first.
fn run(scenario: &str) -> [Vec<Value>; 2] {
    let mut listener = Process::start("yamux_peer", &["--listen", "127.0.0.1:0", "--scenario", scenario]);
    let event = parse(&listener.line().expect("it listens"));
    assert_eq!(event["event"], "listening");
    let address = event["addr"].as_str().expect("an address").to_owned();
    let mut connector = Process::start("yamux_peer", &["--connect", &address, "--scenario", scenario]);
    [&mut connector, &mut listener].map(|process| {
        let events: Vec<Value> = std::iter::from_fn(|| process.line()).map(|line| parse(&line)).collect();
        let done = events.last().expect("an event");
        assert_eq!(
            (done["event"].as_str(), done["ok"].as_bool()),
            (Some("done"), Some(true)),
            "{scenario}: {done}"
        );
        assert_eq!(process.code(), Some(0), "{scenario}");
        events
    })
}

fn parse(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"))
}

#[test]
fn peers_agree_in_every_scenario() {
    for scenario in ["echo", "reverse-echo", "sink", "source", "half-close", "open-many", "slow-reader"] {
        run(scenario);
    }
}

#[test]
fn a_writer_to_a_closed_stream_goes_on() {
    for scenario in ["issue-133", "issue-133-long"] {
        let [connector, _] = run(scenario);
        let second = connector.iter().find(|event| event["event"] == "second-stream").expect("it is tried");
        assert_eq!(second["ok"], true);
    }
}

#[test]
fn bad_arguments_exit_with_two() {
    let bad: [&[&str]; 7] = [
        &[],
        &["--listen", "127.0.0.1:0"],
        &["--scenario", "echo"],
        &["--listen", "127.0.0.1:0", "--scenario", "nothing"],
        &["--listen", "foo", "--scenario", "echo"],
        &["--connect", "localhost:port", "--scenario", "echo"],
        &["--listen", "127.0.0.1:0", "--connect", "127.0.0.1:1", "--scenario", "echo"],
    ];
    for arguments in bad {
        assert_eq!(Process::start("yamux_peer", arguments).code(), Some(2), "{arguments:?}");
    }
}

#[test]
fn help_exits_with_zero() {
    let mut help = Process::start("yamux_peer", &["--listen", "127.0.0.1:0", "--help"]);
    assert!(help.line().expect("help").starts_with("usage: yamux_peer"));
    assert_eq!(help.code(), Some(0));
}

#[test]
fn a_refused_connection_exits_with_one() {
    // A port that was just free.
    let address = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.local_addr().expect("it is bound").to_string()
    };
    let mut peer = Process::start("yamux_peer", &["--connect", &address, "--scenario", "echo"]);
    let done = parse(&peer.line().expect("it says so"));
    assert_eq!((done["event"].as_str(), done["ok"].as_bool()), (Some("done"), Some(false)));
    assert_eq!(peer.code(), Some(1));
}
