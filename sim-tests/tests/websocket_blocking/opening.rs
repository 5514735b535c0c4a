//! Opening: answers that come late, glued to frames, by the byte or not at all.

use std::time::Duration;

use wavetank::runtime::{Runtime, SocketOptions, Threads};
use wavetank::{Faults, Host, Sim, sometimes};
use wavetank_sim_tests::websocket::frames::{self, CONTINUATION, PING, TEXT};
use wavetank_sim_tests::websocket::slow_link::narrow;
use wavetank_sim_tests::websocket::{Opening, TwoAddresses, scripts, serve};
use wavetank_websocket::blocking::{Client, Stopper};
use wavetank_websocket::{CloseCode, Error, OpenError};

use super::world::{
    MILLISECOND, SECOND, config, connect, hurried, in_time, now, request, slack, sleep, spawn, within,
};

#[wavetank::test(seeds = 300, sometimes = "required", base_seed = 0xed4c9be14b59ffbd)]
fn an_answer_near_the_timeout_opens_or_fails(sim: &mut Sim) {
    // The open timeout is 10 s; connecting and asking takes 1.5 to 8 ms.
    let late = 10 * SECOND - 12 * MILLISECOND + MILLISECOND * sim.choose("late", 14);
    let slack = slack(sim);
    sim.server("server", move |host| serve(host, Opening { late, ..Opening::default() }, scripts::echo));
    sim.client_thread("client", move |host: Host| {
        match within(host, 10 * SECOND + slack, || connect(host, hurried())) {
            Ok(socket) => {
                sometimes!(true, "the answer is in time");
                socket.send("hello").expect("is open");
                assert_eq!(socket.recv().expect("is open").as_text(), Some("hello"));
                let closed = in_time(host, slack, || socket.close(CloseCode::NORMAL, ""));
                assert!(closed.sent.is_some(), "{closed}");
            }
            Err(OpenError::TimedOut { .. }) => sometimes!(true, "the answer is too late"),
            Err(other) => panic!("{other}"),
        }
    });
}

#[wavetank::test(seeds = 300, sometimes = "required", base_seed = 0x8817acc7eb1017fa)]
fn opening_on_a_failing_network_ends_in_time(sim: &mut Sim) {
    let late = SECOND * sim.choose("late", 3);
    let slack = slack(sim);
    let faults = Faults::none().partitions().silence().resets().paused_links().lossy_links().half_open();
    sim.faults(faults.begin_max(3 * SECOND));
    sim.server("server", move |host| serve(host, Opening { late, ..Opening::default() }, scripts::echo));
    sim.client_thread("client", move |host: Host| {
        match within(host, 10 * SECOND + slack, || connect(host, hurried())) {
            Ok(_) => sometimes!(true, "a connection"),
            Err(error) => {
                assert!(error.is_transient(), "{error}");
                sometimes!(
                    matches!(error, OpenError::TimedOut { .. } | OpenError::Connect { .. }),
                    "no connection in time"
                );
                sometimes!(matches!(error, OpenError::Io { .. }), "a reset");
            }
        }
    });
}

#[wavetank::test(seeds = 300, sometimes = "required", base_seed = 0x45f55b45a70f3da4)]
fn a_refusing_answer_is_a_distinct_error(sim: &mut Sim) {
    let late = MILLISECOND * sim.choose("late", 3);
    sim.faults(Faults::none().short_transfers().tiny_windows());
    sim.server("server", move |host| {
        let opening = Opening { late, refusal: Some("503 Service Unavailable"), ..Opening::default() };
        serve(host, opening, scripts::echo)
    });
    sim.client_thread("client", |host: Host| {
        let Err(OpenError::Rejected(rejection)) = connect(host, config()) else { panic!("is refused") };
        assert_eq!(rejection.status.as_u16(), 503);
        sometimes!(now_is_later_than(host, 5 * MILLISECOND), "the refusal takes a while");
    });
}

#[wavetank::test(seeds = 60)]
fn an_unended_refusal_is_reported_soon(sim: &mut Sim) {
    sim.perturb(false);
    sim.server("server", |host| {
        let opening = Opening { unended_refusal: Some("403 Forbidden"), ..Opening::default() };
        serve(host, opening, scripts::echo)
    });
    sim.client_thread("client", |host: Host| {
        let opened = within(host, 2 * SECOND, || connect(host, hurried()));
        let Err(OpenError::Rejected(rejection)) = opened else { panic!("is refused") };
        assert_eq!((rejection.status.as_u16(), &rejection.body[..]), (403, &b"No."[..]));
    });
}

#[wavetank::test(seeds = 100)]
fn a_refusal_before_the_whole_request_is_reported(sim: &mut Sim) {
    sim.perturb(false);
    sim.server("server", |host| {
        let refusal = Some("431 Request Header Fields Too Large");
        serve(host, Opening { early_refusal: refusal, ..Opening::default() }, scripts::echo)
    });
    sim.client_thread("client", |host: Host| {
        let client = Client::new(host).config(hurried()).socket_options(narrow());
        let request = request().header("X-Long", "x".repeat(100_000)).expect("a header");
        let opened = within(host, SECOND, || client.connect(request));
        let Err(OpenError::Rejected(rejection)) = opened else { panic!("{:?}", opened.map(drop)) };
        assert_eq!(rejection.status.as_u16(), 431);
    });
}

fn now_is_later_than(host: Host, moment: Duration) -> bool {
    Runtime::now(&host).as_nanos() > moment.as_nanos() as u64
}

#[wavetank::test(seeds = 300, sometimes = "required", base_seed = 0xefcf88dc0afc7a59)]
fn frames_glued_to_the_answer_come_first(sim: &mut Sim) {
    let bytes = [
        frames::frame(TEXT, b"first"),
        frames::frame(PING, b"?"),
        frames::fragment(TEXT, false, b"sec"),
        frames::fragment(CONTINUATION, true, b"ond"),
        frames::close(1001, "already"),
    ]
    .concat();
    // Cut anywhere: some are glued, and the rest follows.
    let glued = sim.choose("glued", bytes.len() as u32 + 1) as usize;
    let pause = MILLISECOND / 2 * sim.choose("pause", 4);
    let dribble = (sim.choose("dribble", 3) == 2).then_some(Duration::ZERO);
    let slack = slack(sim);
    sim.faults(Faults::none().short_transfers().tiny_windows());
    sim.server("server", move |host: Host| {
        let rest = bytes[glued..].to_vec();
        let opening = Opening { glued: bytes[..glued].to_vec(), dribble, ..Opening::default() };
        serve(host, opening, move |mut peer| {
            let rest = rest.clone();
            async move {
                Runtime::sleep(&peer.host, pause).await;
                peer.output.send(&rest).await?;
                if peer.input.close().await?.is_some() {
                    peer.output.finish().await?;
                }
                peer.input.end().await
            }
        })
    });
    sim.client_thread("client", move |host: Host| {
        let socket = connect(host, config()).expect("a connection");
        for expected in ["first", "second"] {
            assert_eq!(socket.recv().expect("came before the Close").as_text(), Some(expected));
        }
        let Err(Error::Closed(closed)) = in_time(host, slack, || socket.recv()) else {
            panic!("a third message")
        };
        assert_eq!(closed.code(), 1001, "{closed}");
        assert!(closed.is_clean(), "{closed}");
        sometimes!(glued > 0 && dribble.is_none(), "something is glued to the answer");
    });
}

#[wavetank::test(seeds = 300, sometimes = "required")]
fn an_opening_stops_at_once_or_opens(sim: &mut Sim) {
    // Connecting and asking takes 1.5 to 8 ms, and the answer may take longer or never come.
    let late = [Duration::ZERO, 4 * MILLISECOND, 1000 * SECOND][sim.choose("late", 3) as usize];
    let stop_after = MILLISECOND / 4 * sim.choose("stop", 64);
    let unreachable = sim.choose("unreachable", 4) == 3;
    let over = sim.choose("over", 2) == 1 && !unreachable;
    let slack = slack(sim);
    sim.server("server", move |host| serve(host, Opening { late, ..Opening::default() }, scripts::echo));
    sim.client_thread("client", move |host: Host| {
        if unreachable {
            host.inject().partition("client", "server");
        }
        let dial = || {
            let address = Threads::resolve(&host, "server", 80).expect("a host")[0];
            Threads::connect(&host, address, SocketOptions::new(), None).expect("it listens")
        };
        let stream = over.then(dial);
        let stopper = Stopper::new(host);
        let stops = stopper.clone();
        let stopping = spawn(host, "stopper", move || {
            sleep(host, stop_after);
            stops.stop();
            now(host)
        });
        // A thread that is connecting ends with its timeout, which the simulation waits for.
        let config = config().open_timeout(8 * SECOND).clone();
        let client = Client::new(host).config(config);
        let opened = match stream {
            Some(stream) => client.connect_over_stoppable(stream, request(), &stopper),
            None => client.connect_stoppable(request(), &stopper),
        };
        let opened_at = now(host);
        let stopped_at = stopping();
        match opened {
            Ok(socket) => {
                // An open connection is none of the stopper's business.
                socket.send("hello").expect("is open");
                assert_eq!(socket.recv().expect("is open").as_text(), Some("hello"));
                in_time(host, slack, || socket.close(CloseCode::NORMAL, ""));
                sometimes!(opened_at < stopped_at, "it was open before");
            }
            Err(OpenError::Stopped) => {
                assert!(opened_at - stopped_at <= slack, "{:?} late", opened_at - stopped_at);
                sometimes!(unreachable, "stopped while connecting");
                sometimes!(!unreachable && late > SECOND, "stopped while waiting for the answer");
                sometimes!(over, "stopped over a stream of the caller's");
            }
            Err(other) => panic!("{other}"),
        }
    });
}

#[wavetank::test(seeds = 100)]
fn a_silent_first_address_costs_250_ms(sim: &mut Sim) {
    let slack = slack(sim);
    for name in ["silent", "server"] {
        sim.server(name, |host| serve(host, Opening::default(), scripts::echo));
    }
    sim.client_thread("client", move |host: Host| {
        host.inject().partition("client", "silent");
        let client = Client::new(TwoAddresses::new(host, "silent")).config(hurried());
        let start = now(host);
        let socket = client.connect(request()).expect("the second address answers");
        let took = now(host) - start;
        // Connecting and asking takes some round trips of 1 to 4 ms.
        let latest = 250 * MILLISECOND + 20 * MILLISECOND + slack;
        assert!(250 * MILLISECOND <= took && took <= latest, "took {took:?}");
        assert!(socket.close(CloseCode::NORMAL, "").is_clean());
    });
}

#[wavetank::test(seeds = 100, base_seed = 0x64a07d25a024ac16)]
fn an_unknown_name_is_an_error_at_once(sim: &mut Sim) {
    let slack = slack(sim);
    sim.client_thread("client", move |host: Host| {
        let client = Client::new(host).config(hurried());
        let nowhere = "ws://nowhere/".parse().expect("an address");
        let error = within(host, slack, || client.connect(nowhere)).expect_err("no host is there");
        assert!(matches!(error, OpenError::Connect { .. }), "{error}");
        let error = within(host, slack, || client.connect(request())).expect_err("no host is there either");
        assert!(matches!(error, OpenError::Connect { .. }), "{error}");
    });
}
