//! Messages and connections as streams: nothing is lost or doubled wherever a poll is given up, and they end as they
//! say.

use std::time::Duration;

use futures::StreamExt as _;
use wavetank::runtime::{ListenOptions, LocalSockets as _, Runtime, UnixListener as _};
use wavetank::{Faults, Host, Sim, cancellable, sometimes};
use wavetank_sim_tests::websocket::frames::{self, TEXT};
use wavetank_sim_tests::websocket::{Opening, scripts, serve};
use wavetank_websocket::client::{Client, Reason};
use wavetank_websocket::handshake::ClientRequest;
use wavetank_websocket::server::Server;
use wavetank_websocket::{CloseCode, Config, Error};

use super::world::{Log, SECOND, ask, connect, keepalive, patient, request, server};

const MESSAGES: u32 = 12;

#[wavetank::test(seeds = 600, sometimes = "required", base_seed = 0x883729cc36dc33c7)]
fn giving_up_a_stream_anywhere_loses_no_message(sim: &mut Sim) {
    let pause = Duration::from_micros(500) * sim.choose("pause", 4);
    let clean = sim.choose("clean", 2) == 0;
    server(sim, move |mut peer| async move {
        for number in 0..MESSAGES {
            peer.output.send(&frames::frame(TEXT, number.to_string().as_bytes())).await?;
            peer.host.sleep(pause).await;
        }
        if clean { scripts::close_first(peer, 1000).await } else { Ok(()) }
    });
    sim.client("client", async move |host: Host| {
        let socket = connect(&host, patient()).await.expect("a connection");
        let mut messages = socket.messages();
        let mut received = Vec::new();
        let end = loop {
            match cancellable("next", messages.next()).await {
                // Where a stream is dropped, another begins.
                None if received.len() % 2 == 0 => messages = socket.messages(),
                None => sometimes!(true, "a call is cancelled, and the stream kept"),
                Some(Some(Ok(message))) => {
                    received.push(message.as_text().expect("a text").parse::<u32>().expect("a number"));
                }
                Some(Some(Err(Error::Closed(closed)))) => break Some(closed),
                Some(Some(Err(other))) => panic!("{other}"),
                Some(None) => break None,
            }
        };
        assert!(received.into_iter().eq(0..MESSAGES), "every message, once, in order");
        let outcome = socket.outcome().expect("is over");
        match end {
            None => assert!(clean && outcome.is_clean(), "{outcome}"),
            Some(closed) => assert!(!clean && closed == outcome, "{outcome}"),
        }
        assert!(messages.next().await.is_none(), "the end stays the end");
    });
}

#[wavetank::test(seeds = 300, sometimes = "required", base_seed = 0x724702368c929cdb)]
fn streamed_connections_get_every_answer_under_any_faults(sim: &mut Sim) {
    sim.faults(Faults::all().half_open().crashes().until(100 * SECOND)).time_limit(5000 * SECOND);
    sim.server("server", |host| serve(host, Opening::default(), scripts::echo));
    sim.client("client", async move |host: Host| {
        let mut config = keepalive(20 * SECOND, 20 * SECOND);
        config.open_timeout(10 * SECOND);
        let (lost, failed) = (Log::new(), Log::new());
        let (tell_lost, tell_failed) = (lost.clone(), failed.clone());
        let reconnect = Client::new(host).config(config).reconnect(request()).on_retry(move |retry| {
            assert!(retry.number > 0 && retry.delay <= 90 * SECOND, "{retry}");
            match retry.reason {
                Reason::Closed(closed) => tell_lost.push(closed.clone()),
                Reason::Failed(failure) => tell_failed.push(failure.to_string()),
                other => panic!("{other:?}"),
            }
        });
        let mut connections = reconnect.into_stream();
        let (mut number, mut opened) = (0_u32, 0);
        while number < 8 {
            let Some(socket) = cancellable("next", connections.next()).await else { continue };
            let socket = socket.expect("endless").expect("only failures of the network happen here");
            opened += 1;
            assert_eq!(lost.entries().len(), opened - 1, "each lost connection is told, once");
            while number < 8 && ask(&socket, number).await.is_ok() {
                number += 1;
                host.sleep(10 * SECOND).await;
            }
        }
        sometimes!(opened > 1, "a connection was lost");
        sometimes!(!failed.entries().is_empty(), "an attempt has failed");
    });
}

#[wavetank::test(seeds = 200, sometimes = "required")]
fn connections_over_a_unix_socket_follow_each_other(sim: &mut Sim) {
    let gap = SECOND * sim.choose("gap", 3);
    sim.client("host", async move |host: Host| {
        let serving = host.spawn("service", async move {
            for number in 0..3_u32 {
                host.sleep(gap).await;
                let _old = host.unlink_unix("/run/service".as_ref());
                let listener = host.listen_unix("/run/service".as_ref(), ListenOptions::new()).await;
                let stream = listener.expect("a free path").accept().await.expect("a client");
                let server = Server::new(host).config(patient());
                let Ok(socket) = server.accept_over(stream).await else { panic!("nothing is in the way") };
                socket.send(number.to_string().as_str()).await.expect("is open");
                socket.close(CloseCode::SERVICE_RESTART, "").await;
            }
        });
        let request = ClientRequest::new("ws://service/").expect("a URL").unix_path("/run/service");
        let config: Config = patient();
        let mut connections = Client::new(host).config(config).reconnect_unix(request);
        for number in 0..3_u32 {
            let socket = connections.next().await.expect("is transient");
            sometimes!(connections.failures() > number, "no server has listened for a while");
            let message = socket.recv().await.expect("is open");
            assert_eq!(message.as_text(), Some(&*number.to_string()));
            assert_eq!(socket.closed().await.code(), 1012);
        }
        serving.await.expect("no panic");
    });
}
