//! Opening: time limits, subprotocols, refusals, redirects, streams of other kinds, reconnecting.

use std::io::Read;

use http::{HeaderMap, StatusCode};
use wavetank_runtime::{
    BlockingListener, BlockingLocalSockets, BlockingUnixListener, ListenOptions, SocketOptions, Std, Threads,
};

use super::peer::{Listener, PONG, Peer, TEXT, answer, connect, frame, listen};
use super::{LONG, millis, quiet, spawn};
use crate::blocking::{Answer, Client, Server, Stopper, WebSocket};
use crate::handshake::{AcceptOptions, ClientRequest};
use crate::{BackoffPolicy, CloseCode, Config, Error, Message, OpenError};

#[test]
fn opening_times_out_on_silent_or_slow_servers() {
    for drips in [false, true] {
        let (listener, address) = listen();
        let serving = spawn(move || {
            let mut peer = Peer { stream: listener.accept().expect("a connection").0 };
            let request = peer.read_request();
            let bytes = answer(&request).into_bytes();
            for byte in bytes.iter().filter(|_| drips) {
                if std::io::Write::write_all(&mut peer.stream, &[*byte]).is_err() {
                    break;
                }
                Std.sleep(millis(20));
            }
            peer.read_until_end()
        });
        let request = ClientRequest::new(&format!("ws://{address}/")).expect("a URL");
        let config = Config { open_timeout: millis(150), ..Config::default() };
        let failed = Client::new(Std).config(config).connect(request).map(drop);
        assert!(matches!(failed, Err(OpenError::TimedOut { .. })), "{failed:?}");
        assert!(serving(), "the stream is closed");
    }
}

#[test]
fn a_refusal_before_the_whole_request_is_reported() {
    let (listener, address) = listen();
    let serving = spawn(move || {
        let mut peer = Peer { stream: listener.accept().expect("a connection").0 };
        peer.stream.read_exact(&mut [0; 100]).expect("a request");
        peer.write(b"HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Length: 0\r\n\r\n");
        peer
    });
    let request = ClientRequest::new(&format!("ws://{address}/")).expect("a URL");
    let request = request.header("X-Long", "x".repeat(8 << 20)).expect("a header");
    let failed = Client::new(Std).config(quiet(LONG)).connect(request).map(drop);
    let Err(OpenError::Rejected(rejection)) = failed else { panic!("{failed:?}") };
    assert_eq!(rejection.status, 431);
    drop(serving());
}

#[test]
fn an_opening_is_stopped_by_another_thread() {
    let (listener, address) = listen();
    let stopper = Stopper::new(Std);
    let stops = stopper.clone();
    let serving = spawn(move || {
        let mut peer = Peer { stream: listener.accept().expect("a connection").0 };
        peer.read_request();
        stops.stop();
        peer.read_until_end()
    });
    let request = || ClientRequest::new(&format!("ws://{address}/")).expect("a URL");
    let client = Client::new(Std).config(quiet(LONG));
    let error = client.connect_stoppable(request(), &stopper).map(drop).expect_err("it is stopped");
    assert!(matches!(error, OpenError::Stopped) && !error.is_transient(), "{error}");
    assert!(serving(), "the stream is closed");
    // Nothing listens any more, and nothing is tried.
    let error = client.connect_stoppable(request(), &stopper).map(drop).expect_err("it was stopped before");
    assert!(matches!(error, OpenError::Stopped), "{error}");
}

#[test]
fn an_opening_over_a_stream_is_stopped() {
    let (listener, address) = listen();
    let stopper = Stopper::new(Std);
    let stops = stopper.clone();
    let serving = spawn(move || {
        let mut peer = Peer { stream: listener.accept().expect("a connection").0 };
        peer.read_request();
        stops.stop();
        // Nothing is asked of it any more.
        let mut late = Peer { stream: listener.accept().expect("a connection").0 };
        (peer.read_until_end(), late.read_until_end())
    });
    let client = Client::new(Std).config(quiet(LONG));
    for when in ["under way", "before"] {
        let stream = Std.connect(address, SocketOptions::new(), None).expect("a listener");
        let request = ClientRequest::new("ws://peer.test/").expect("a URL");
        let stopped = client.connect_over_stoppable(stream, request, &stopper).map(drop);
        assert!(matches!(stopped, Err(OpenError::Stopped)), "{when}: {stopped:?}");
    }
    assert_eq!(serving(), (true, true), "both streams are closed");
}

#[test]
fn an_opening_that_is_not_stopped_opens() {
    let (listener, address) = listen();
    let accepting = spawn(move || Peer::accept(&listener));
    let stopper = Stopper::new(Std);
    let request = ClientRequest::new(&format!("ws://localhost:{}/", address.port())).expect("a URL");
    let client = Client::new(Std).config(quiet(LONG));
    let socket = client.connect_stoppable(request, &stopper).expect("a connection");
    let mut peer = accepting();
    // It does not end a connection that is open.
    stopper.stop();
    peer.send(TEXT, b"still here");
    assert_eq!(socket.recv_timeout(LONG), Ok(Message::from("still here")));
    let pinger = socket.clone();
    let pinging = spawn(move || pinger.ping_with(b"own payload"));
    assert_eq!(peer.read().payload, b"own payload");
    peer.send(PONG, b"own payload");
    assert!(pinging().is_ok());
}

#[test]
fn frames_sent_with_the_answer_are_received() {
    let (listener, address) = listen();
    let serving = spawn(move || {
        let mut peer = Peer { stream: listener.accept().expect("a connection").0 };
        let request = peer.read_request();
        let mut bytes = answer(&request).into_bytes();
        bytes.extend(frame(1, b"glued"));
        peer.write(&bytes);
        peer
    });
    let client = connect(address, quiet(LONG)).expect("a connection");
    let _peer = serving();
    assert_eq!(client.recv_timeout(LONG), Ok(Message::from("glued")));
}

fn accept_one(
    listener: Listener,
    decide: impl FnOnce(&crate::handshake::Request) -> Answer + Send + 'static,
) -> impl FnOnce() -> Result<WebSocket<Std>, OpenError> {
    spawn(move || {
        let options = AcceptOptions::new().subprotocols(["b", "a"]);
        let server = Server::new(Std).config(quiet(LONG)).options(options);
        server.accept_with(listener.accept().expect("a connection").0, decide)
    })
}

#[test]
fn both_ends_know_the_subprotocol_that_was_chosen() {
    let (listener, address) = listen();
    let accepting = accept_one(listener, |request| {
        assert_eq!((request.path(), request.query()), ("/room", Some("5")));
        Answer::Accept
    });
    let request = ClientRequest::new(&format!("ws://{address}/room?5")).expect("a URL");
    let request = request.subprotocol("a").and_then(|request| request.subprotocol("b")).expect("tokens");
    let client = Client::new(Std).connect(request).expect("a connection");
    let server = accepting().expect("a connection");
    assert_eq!((client.subprotocol(), server.subprotocol()), (Some("b"), Some("b")));
    assert!(client.response().is_some() && client.request().is_none());
    assert!(server.response().is_none() && server.request().is_some());
}

#[test]
fn a_server_that_refuses_is_heard() {
    let (listener, address) = listen();
    let accepting = accept_one(listener, |_| Answer::Refuse {
        status: StatusCode::IM_A_TEAPOT,
        headers: HeaderMap::new(),
        body: b"no coffee".to_vec(),
    });
    match connect(address, quiet(LONG)) {
        Err(OpenError::Rejected(rejection)) => {
            assert_eq!((rejection.status, &rejection.body[..]), (StatusCode::IM_A_TEAPOT, &b"no coffee"[..]));
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(accepting(), Err(OpenError::Refused(StatusCode::IM_A_TEAPOT))));
}

#[test]
fn an_impossible_answer_fails_and_sends_500() {
    let own = HeaderMap::from_iter([(http::header::UPGRADE, "h2c".parse().expect("a value"))]);
    let refuse = |status| Answer::Refuse { status, headers: HeaderMap::new(), body: Vec::new() };
    for answer in [
        refuse(StatusCode::CONTINUE),
        refuse(StatusCode::SWITCHING_PROTOCOLS),
        Answer::AcceptWith { subprotocol: Some("not offered".to_owned()), headers: HeaderMap::new() },
        Answer::AcceptWith { subprotocol: None, headers: own },
    ] {
        let (listener, address) = listen();
        let accepting = accept_one(listener, |_| answer);
        let Err(OpenError::Rejected(rejection)) = connect(address, quiet(LONG)) else { panic!("no answer") };
        assert_eq!((rejection.status, rejection.complete), (StatusCode::INTERNAL_SERVER_ERROR, true));
        let error = accepting().expect_err("the answer cannot be given");
        assert!(matches!(error, OpenError::Setup(_)), "{error}");
    }
}

#[test]
fn a_redirect_is_followed_to_another_server() {
    let ((here, from), (there, to)) = (listen(), listen());
    let redirecting = spawn(move || {
        let mut peer = Peer { stream: here.accept().expect("a connection").0 };
        peer.read_request();
        let head = format!("HTTP/1.1 307 Over there\r\nLocation: ws://{to}/\r\nContent-Length: 0\r\n\r\n");
        peer.write(head.as_bytes());
        peer.read_until_end()
    });
    let accepting = accept_one(there, |_| Answer::Accept);
    let client = connect(from, quiet(LONG)).expect("a connection");
    let server = accepting().expect("a connection");
    client.send("hello").expect("an open connection");
    assert_eq!(server.recv(), Ok(Message::from("hello")));
    assert!(redirecting());
}

#[test]
fn closed_ports_and_unknown_names_fail_to_connect() {
    let (listener, address) = listen();
    drop(listener);
    for url in [format!("ws://{address}/"), "ws://unknown.invalid/".to_owned()] {
        let failed = Client::new(Std).connect(url.parse().expect("a URL"));
        assert!(matches!(failed, Err(OpenError::Connect { .. })), "{failed:?}");
    }
}

#[test]
fn a_name_is_looked_up() {
    let (listener, address) = listen();
    let accepting = accept_one(listener, |_| Answer::Accept);
    let url = format!("ws://localhost:{}/", address.port());
    let client = Client::new(Std).connect(url.parse().expect("a URL")).expect("a connection");
    assert_eq!(accepting().expect("a connection").request().expect("accepted").host, url[5..url.len() - 1]);
    drop(client);
}

#[test]
fn unix_sockets_and_given_streams_carry_connections() {
    let path = std::env::temp_dir().join(format!("wavetank-{}.socket", std::process::id()));
    let _old = Std.unlink_unix(&path);
    let listener = Std.listen_unix(&path, ListenOptions::new()).expect("a free path");
    let accepting = spawn(move || {
        let stream = listener.accept().expect("a connection");
        Server::new(Std).accept_unix(stream, |_| Answer::Accept)
    });
    let request = ClientRequest::new("ws://local/").expect("a URL").unix_path(&path);
    let refused = Client::new(Std).connect(request.clone());
    assert!(matches!(refused, Err(OpenError::Setup(_))), "{refused:?}");
    let client = Client::new(Std).unix_sockets().connect(request).expect("a connection");
    let server = accepting().expect("a connection");
    echo_and_part(&client, &server);
    Std.unlink_unix(&path).expect("the socket is there");

    let (listener, address) = listen();
    let accepting = accept_one(listener, |_| Answer::Accept);
    let stream = Std.connect(address, SocketOptions::new(), None).expect("a listener");
    let request = ClientRequest::new("ws://elsewhere/").expect("a URL");
    let client = Client::new(Std).connect_over(stream, request).expect("a connection");
    echo_and_part(&client, &accepting().expect("a connection"));
}

fn echo_and_part(client: &WebSocket<Std>, server: &WebSocket<Std>) {
    client.send("there").expect("an open connection");
    let message = server.recv().expect("a message");
    server.send(&message).expect("an open connection");
    assert_eq!(client.recv(), Ok(Message::from("there")));
    assert!(client.close(CloseCode::NORMAL, "").is_clean());
    assert!(server.wait_closed().is_clean());
}

/// Next to no delays.
fn fast() -> BackoffPolicy {
    BackoffPolicy {
        first_delay_max: millis(1),
        delay_base: millis(2),
        delay_max: millis(5),
        ..BackoffPolicy::default()
    }
}

#[test]
fn reconnecting_runs_the_hook_on_every_connection() {
    let (listener, address) = listen();
    let serving = spawn(move || {
        let mut resumed = Vec::new();
        for number in 0..5 {
            if number % 2 == 1 {
                // Every second attempt is dropped in its opening.
                drop(listener.accept().expect("a connection"));
                continue;
            }
            let mut peer = Peer::accept(&listener);
            resumed.push(String::from_utf8(peer.read().payload).expect("text"));
        }
        resumed
    });
    let request = ClientRequest::new(&format!("ws://{address}/")).expect("a URL");
    let mut count = 0;
    let connections = Client::new(Std).config(quiet(LONG)).reconnect(request).backoff(fast());
    let mut connections = connections.on_connect(move |socket| {
        count += 1;
        Ok(socket.send(&format!("resume {count}"))?)
    });
    for _ in 0..3 {
        let socket = connections.next().expect("not stopped").expect("a temporary failure is retried");
        assert!(connections.failure().is_none());
        assert!(matches!(socket.recv(), Err(Error::Closed(_))));
    }
    assert_eq!(serving(), ["resume 1", "resume 2", "resume 3"]);
    assert_eq!(connections.failures(), 4, "short connections count as failures");
}

#[test]
fn a_failing_hook_closes_its_kept_connection() {
    let (listener, address) = listen();
    let serving = spawn(move || {
        let mut peer = Peer::accept(&listener);
        let code = peer.read_to_close().1;
        drop(peer);
        let mut peer = Peer::accept(&listener);
        peer.send(TEXT, b"welcome");
        peer.read_to_close();
        code
    });
    let request = ClientRequest::new(&format!("ws://{address}/")).expect("a URL");
    let mut kept = Vec::new();
    let connections = Client::new(Std).config(quiet(LONG)).reconnect(request).backoff(fast());
    let mut connections = connections.on_connect(move |socket| {
        kept.push(socket.clone());
        if kept.len() == 1 { Err("not this one".into()) } else { Ok(()) }
    });
    let socket = connections.next().expect("not stopped").expect("a connection");
    assert_eq!(socket.recv(), Ok(Message::from("welcome")));
    socket.close(CloseCode::NORMAL, "");
    assert_eq!(serving(), 1001);
}

#[test]
fn stopping_a_reconnect_interrupts_its_delay() {
    let (listener, address) = listen();
    drop(listener);
    let request = ClientRequest::new(&format!("ws://{address}/")).expect("a URL");
    let minute = std::time::Duration::from_secs(60);
    let policy = BackoffPolicy { first_delay_max: minute, jitter_percent: 0, delay_base: minute, ..fast() };
    let mut connections =
        Client::new(Std).reconnect(request).backoff(BackoffPolicy { delay_max: minute, ..policy });
    let stopper = connections.stopper();
    let stopping = spawn(move || {
        Std.sleep(millis(50));
        stopper.stop();
    });
    assert!(connections.next().is_none());
    assert!(connections.failure().is_some());
    stopping();
}

#[test]
fn a_silent_client_times_out_in_its_opening() {
    let (listener, address) = listen();
    let mut config = quiet(LONG);
    config.open_timeout = millis(100);
    let serving = spawn(move || {
        Server::new(Std).config(config).accept(listener.accept().expect("a connection").0).map(drop)
    });
    let mut stream = Std.connect(address, SocketOptions::new(), None).expect("a listener");
    assert!(matches!(stream.read(&mut [0]), Ok(0) | Err(_)));
    assert!(matches!(serving(), Err(OpenError::TimedOut { .. })));
}
