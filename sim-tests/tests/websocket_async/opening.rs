//! Opening: answers that come late, glued to frames, by the byte or not at all, and attempts that are cancelled.

use std::time::Duration;

use wavetank::runtime::Runtime;
use wavetank::{Faults, Host, Sim, cancellable, sometimes};
use wavetank_sim_tests::websocket::frames::{self, CONTINUATION, PING, TEXT};
use wavetank_sim_tests::websocket::slow_link::narrow;
use wavetank_sim_tests::websocket::{Opening, TwoAddresses, scripts, serve};
use wavetank_websocket::client::Client;
use wavetank_websocket::{CloseCode, Error, OpenError};

use super::world::{SECOND, SLACK, config, connect, hurried, in_time, patient, request, within};

#[wavetank::test(seeds = 900, sometimes = "required", base_seed = 0xc287fba73a190c6a)]
fn an_answer_near_the_timeout_opens_or_fails(sim: &mut Sim) {
    // The open timeout is 10 s; connecting and asking takes 1.5 to 8 ms.
    let late = 10 * SECOND - Duration::from_millis(12) + Duration::from_millis(1) * sim.choose("late", 14);
    sim.server("server", move |host| serve(host, Opening { late, ..Opening::default() }, scripts::echo));
    sim.client("client", async move |host: Host| {
        let client = Client::new(host).config(hurried());
        match within(host, 10 * SECOND + SLACK, client.connect(request())).await {
            Ok(socket) => {
                sometimes!(true, "the answer is in time");
                socket.send("hello").await.expect("is open");
                assert_eq!(socket.recv().await.expect("is open").as_text(), Some("hello"));
                assert!(in_time(host, socket.close(CloseCode::NORMAL, "")).await.sent.is_some());
            }
            Err(OpenError::TimedOut { .. }) => sometimes!(true, "the answer is too late"),
            Err(other) => panic!("{other}"),
        }
    });
}

#[wavetank::test(seeds = 900, sometimes = "required", base_seed = 0xf83a4f98a83337b1)]
fn opening_on_a_failing_network_ends_in_time(sim: &mut Sim) {
    let late = SECOND * sim.choose("late", 3);
    sim.faults(
        Faults::none()
            .partitions()
            .silence()
            .resets()
            .paused_links()
            .lossy_links()
            .half_open()
            .begin_max(3 * SECOND),
    );
    sim.server("server", move |host| serve(host, Opening { late, ..Opening::default() }, scripts::echo));
    sim.client("client", async move |host: Host| {
        let client = Client::new(host).config(hurried());
        match within(host, 10 * SECOND + SLACK, client.connect(request())).await {
            Ok(_) => sometimes!(true, "a connection"),
            Err(error) => {
                assert!(error.is_transient(), "{error}");
                sometimes!(matches!(error, OpenError::TimedOut { .. }), "no connection in time");
                sometimes!(matches!(error, OpenError::Io { .. }), "a reset");
            }
        }
    });
}

#[wavetank::test(seeds = 900, sometimes = "required", base_seed = 0x59766e21fe4eb23c)]
fn a_cancelled_attempt_leaves_nothing_behind(sim: &mut Sim) {
    let late = Duration::from_millis(1) * sim.choose("late", 3);
    sim.server("server", move |host| serve(host, Opening { late, ..Opening::default() }, scripts::echo));
    sim.client("client", async move |host: Host| {
        let client = Client::new(host).config(config());
        let mut attempts = 0;
        let socket = loop {
            attempts += 1;
            if let Some(socket) = cancellable("connect", client.connect(request())).await {
                break socket.expect("a connection");
            }
        };
        sometimes!(attempts > 1, "an attempt is cancelled");
        socket.send("hello").await.expect("is open");
        assert_eq!(socket.recv().await.expect("is open").as_text(), Some("hello"));
    });
}

#[wavetank::test(seeds = 600, sometimes = "required", base_seed = 0x5d58694f9db18f3d)]
fn a_refusing_answer_is_a_distinct_error(sim: &mut Sim) {
    let late = Duration::from_millis(1) * sim.choose("late", 3);
    sim.faults(Faults::none().short_transfers().tiny_windows());
    sim.server("server", move |host| {
        let opening = Opening { late, refusal: Some("503 Service Unavailable"), ..Opening::default() };
        serve(host, opening, scripts::echo)
    });
    sim.client("client", async |host: Host| {
        let start = host.now();
        let Err(OpenError::Rejected(rejection)) = connect(&host, config()).await else {
            panic!("is refused")
        };
        assert_eq!(rejection.status.as_u16(), 503);
        sometimes!(host.now() - start > Duration::from_millis(5), "the refusal takes a while");
    });
}

#[wavetank::test(seeds = 100)]
fn an_unended_refusal_is_reported_soon(sim: &mut Sim) {
    sim.perturb(false);
    sim.server("server", |host| {
        let opening = Opening { unended_refusal: Some("403 Forbidden"), ..Opening::default() };
        serve(host, opening, scripts::echo)
    });
    sim.client("client", async |host: Host| {
        let client = Client::new(host).config(hurried());
        let opened = within(host, 2 * SECOND, client.connect(request())).await;
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
    sim.client("client", async |host: Host| {
        let client = Client::new(host).config(hurried()).socket_options(narrow());
        let request = request().header("X-Long", "x".repeat(100_000)).expect("a header");
        let opened = within(host, SECOND, client.connect(request)).await;
        let Err(OpenError::Rejected(rejection)) = opened else { panic!("{opened:?}") };
        assert_eq!(rejection.status.as_u16(), 431);
    });
}

#[wavetank::test(seeds = 100)]
fn a_silent_first_address_costs_250_ms(sim: &mut Sim) {
    let calm = sim.choose("calm", 2) == 0;
    sim.perturb(!calm);
    for name in ["silent", "server"] {
        sim.server(name, |host| serve(host, Opening::default(), scripts::echo));
    }
    sim.client("client", async move |host: Host| {
        host.inject().partition("client", "silent");
        let client = Client::new(TwoAddresses::new(host, "silent")).config(hurried());
        let start = host.now();
        let socket = client.connect(request()).await.expect("the second address answers");
        let took = host.now() - start;
        let delay = Duration::from_millis(250);
        // Connecting and asking takes some round trips of 1 to 4 ms.
        let latest = delay + if calm { Duration::from_millis(20) } else { SLACK };
        assert!(delay <= took && took <= latest, "took {took:?}");
        assert!(socket.close(CloseCode::NORMAL, "").await.is_clean());
    });
}

#[wavetank::test(seeds = 300, base_seed = 0xba99fa0afdb76d49)]
fn an_unknown_name_is_an_error_at_once(sim: &mut Sim) {
    sim.client("client", async |host: Host| {
        let client = Client::new(host).config(hurried());
        for nowhere in ["ws://nowhere/", "ws://server/"] {
            let connecting = client.connect(nowhere.parse().expect("an address"));
            let error = within(host, SLACK, connecting).await.expect_err("no host is there");
            assert!(matches!(error, OpenError::Connect { .. }), "{error}");
        }
    });
}

#[wavetank::test(seeds = 900, sometimes = "required", base_seed = 0x5a77ff53295d88f0)]
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
    let pause = Duration::from_micros(500) * sim.choose("pause", 4);
    let dribble = (sim.choose("dribble", 3) == 2).then_some(Duration::ZERO);
    sim.faults(Faults::none().short_transfers().tiny_windows());
    sim.server("server", move |host: Host| {
        let rest = bytes[glued..].to_vec();
        let opening = Opening { glued: bytes[..glued].to_vec(), dribble, ..Opening::default() };
        serve(host, opening, move |mut peer| {
            let rest = rest.clone();
            async move {
                peer.host.sleep(pause).await;
                peer.output.send(&rest).await?;
                if peer.input.close().await?.is_some() {
                    peer.output.finish().await?;
                }
                peer.input.end().await
            }
        })
    });
    sim.client("client", async move |host: Host| {
        let socket = connect(&host, patient()).await.expect("a connection");
        for expected in ["first", "second"] {
            assert_eq!(socket.recv().await.expect("came before the Close").as_text(), Some(expected));
        }
        let Err(Error::Closed(closed)) = in_time(host, socket.recv()).await else {
            panic!("a third message")
        };
        assert!(closed.is_clean() && closed.code() == 1001, "{closed}");
        sometimes!(glued > 0 && dribble.is_none(), "something is glued to the answer");
    });
}
