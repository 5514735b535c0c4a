//! The re-created yamux on real threads and real sockets.
//!
//! The bug does not depend on the schedule, so these tests show it too, with a short close timeout.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use wavetank_runtime::{BlockingListener, ListenOptions, SocketOptions, Std, ThreadHandle as _, Threads};
use wavetank_sim_tests::museum::yamux::scenarios::{Outcome, serve_listener, write_messages};
use wavetank_sim_tests::museum::yamux::{
    Config, Error, INITIAL_STREAM_WINDOW, PeerScript, Session, Version, Workload,
};

const ANY_PORT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Opens a session and returns its two ends.
fn sessions(client: Config, server: Config) -> (Session<Std>, Session<Std>) {
    let listener = Std.listen(ANY_PORT, ListenOptions::new()).expect("loopback has a free port");
    let address = BlockingListener::local_addr(&listener).expect("the listener is open");
    let conn = Std.connect(address, SocketOptions::new(), None).expect("the listener is open");
    let (accepted, _) = BlockingListener::accept(&listener).expect("the client connects");
    let client = Session::client(&Std, conn, client).expect("the threads start");
    (client, Session::server(&Std, accepted, server).expect("the threads start"))
}

/// Runs the scenario and returns the client's outcome.
fn write_to(config: Config, workload: Workload, script: PeerScript) -> Outcome {
    let listener = Std.listen(ANY_PORT, ListenOptions::new()).expect("loopback has a free port");
    let address = BlockingListener::local_addr(&listener).expect("the listener is open");
    let server = Std
        .spawn("server", move || -> io::Result<()> {
            serve_listener(&Std, &listener, config, workload, script)
        })
        .expect("a thread starts");
    let outcome = write_messages(&Std, address, config, workload).expect("the server listens");
    server.join().expect("the server does not panic").expect("the server could accept");
    outcome
}

#[test]
fn streams_carry_many_windows_in_order() {
    for version in Version::ALL {
        let (client, server) = sessions(Config::new(version), Config::new(version));
        let data: Vec<u8> = (0..3 * INITIAL_STREAM_WINDOW).map(|i| (i % 251) as u8).collect();
        let streams: Vec<_> = (0..3).map(|_| client.open().expect("the session is open")).collect();
        let writers: Vec<_> = streams
            .into_iter()
            .map(|stream| {
                let data = data.clone();
                let body = move || stream.write(&data).and_then(|()| stream.close_write()).map(|()| stream);
                Std.spawn("writer", body).expect("a thread starts")
            })
            .collect();
        let readers: Vec<_> = (0..3)
            .map(|_| {
                let stream = server.accept().expect("the session is open");
                let mut read = vec![0; data.len() + 1];
                let body = move || {
                    let length = stream.read_full(&mut read)?;
                    read.truncate(length);
                    stream.close().map(|()| read)
                };
                Std.spawn("reader", body).expect("a thread starts")
            })
            .collect();
        for reader in readers {
            assert!(reader.join().expect("no panic").expect("the stream is whole") == data, "{version:?}");
        }
        let streams = writers.into_iter().map(|writer| writer.join().expect("no panic").expect("no error"));
        let ids: Vec<u32> = streams.map(|stream| stream.id()).collect();
        assert_eq!(ids, [1, 3, 5]);
        client.close();
        server.close();
    }
}

#[test]
fn closing_the_writing_half_keeps_the_answer_readable() {
    for version in Version::ALL {
        let (client, server) = sessions(Config::new(version), Config::new(version));
        let question = client.open().expect("the session is open");
        question.write(b"?").expect("the stream is open");
        question.close_write().expect("the session is open");
        assert_eq!(question.write(b"more"), Err(Error::StreamClosed));
        let answer = server.accept().expect("the session is open");
        let mut buffer = [0; 64];
        assert_eq!(answer.read_full(&mut buffer), Ok(1));
        answer.write(b"an answer").expect("only the other direction is closed");
        answer.close().expect("the session is open");
        assert_eq!(question.read_full(&mut buffer), Ok(9), "{version:?}");
        assert_eq!(&buffer[..9], b"an answer");
        client.close();
        server.close();
    }
}

#[test]
fn ending_a_session_ends_all_its_calls() {
    let (client, server) = sessions(Config::new(Version::Upstream), Config::new(Version::Upstream));
    assert!(client.ping().is_ok());
    let stream = client.open().expect("the session is open");
    let accepted = server.accept().expect("the session is open");
    let reader = Std.spawn("reader", move || accepted.read(&mut [0])).expect("a thread starts");
    client.close();
    assert_eq!(reader.join().expect("no panic"), Ok(0));
    assert_eq!(stream.write(b"late"), Err(Error::StreamClosed));
    assert_eq!(server.accept().map(|_| ()), Err(Error::SessionShutdown));
    assert_eq!(server.ping(), Err(Error::SessionShutdown));
    server.close();
}

#[test]
fn a_stream_beyond_the_backlog_is_reset() {
    let config = Config::new(Version::Upstream);
    let (client, server) = sessions(config, config.accept_backlog(1));
    let first = client.open().expect("the session is open");
    let second = client.open().expect("opening does not wait for the peer");
    assert_eq!(second.read(&mut [0]), Err(Error::ConnectionReset));
    server.accept().expect("the first one waits").close().expect("the session is open");
    assert_eq!(first.read(&mut [0]), Ok(0));
    client.close();
    server.close();
}

#[test]
fn upstream_a_writer_waits_for_the_close_timeout() {
    let timeout = Duration::from_millis(300);
    let config = Config::new(Version::Upstream).stream_close_timeout(timeout);
    let outcome = write_to(config, Workload::REPORTED, PeerScript::Closes);
    assert_eq!(outcome.end, Err(Error::ConnectionReset));
    assert!(outcome.elapsed >= timeout && outcome.written < 10, "{outcome:?}");
}

#[test]
fn draining_or_stopping_servers_never_block_the_writer() {
    let drained = write_to(Config::new(Version::Upstream), Workload::REPORTED, PeerScript::DrainsThenCloses);
    assert_eq!((drained.written, drained.end), (10, Ok(())));
    let stopped = write_to(Config::new(Version::StopsSending), Workload::REPORTED, PeerScript::Closes);
    assert_eq!(stopped.end, Err(Error::ConnectionReset));
    assert!(stopped.elapsed < Duration::from_secs(60), "{stopped:?}");
}
