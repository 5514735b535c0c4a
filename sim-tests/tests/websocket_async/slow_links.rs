//! Links so narrow that one message takes several timeouts: progress is life, and silence is still found.

use wavetank::runtime::Runtime;
use wavetank::{Host, Sim, sometimes};
use wavetank_sim_tests::websocket::slow_link::{ROUND_TRIP, Way, hurry, narrow, time_of, transfer};
use wavetank_websocket::{Cause, CloseCode};

use super::world::{SECOND, connect_plainly, patient, server};

#[wavetank::test(seeds = 200, sometimes = "required")]
fn live_connections_outlast_transfers_on_narrow_links(sim: &mut Sim) {
    let rate = 10_u64.pow(3 + sim.choose("rate", 4));
    let way = [Way::Up, Way::Down, Way::Both][sim.choose("way", 3) as usize];
    let bytes = (64 * 1024) << sim.choose("bytes", 2);
    let mut config = patient();
    let (_, timeout) = hurry(sim, &mut config, bytes, rate);
    sim.perturb(false).time_limit(10_000 * SECOND);
    server(sim, move |peer| transfer(peer, way, bytes as usize));
    sim.client("client", async move |host: Host| {
        let socket = connect_plainly(&host, config, narrow()).await.expect("a connection");
        host.inject().narrow("client", "server", rate);
        let start = host.now();
        let length = if way == Way::Down { 4 } else { bytes as usize };
        socket.send(&vec![7; length]).await.expect("the peer reads");
        let answer = socket.recv().await.expect("the peer is there");
        assert_eq!(answer.as_bytes().len(), if way == Way::Up { 6 } else { bytes as usize });
        sometimes!(host.now() - start > 2 * timeout, "a transfer takes several timeouts");
        assert!(socket.close(CloseCode::NORMAL, "").await.is_clean());
    });
}

/// The longest message of [`messages_at_the_limit_pass_narrow_links`], and the limit there.
const LIMIT: usize = 16 << 20;

#[wavetank::test(seeds = 6)]
fn messages_at_the_limit_pass_narrow_links(sim: &mut Sim) {
    let rate = 10_u64.pow(4 + sim.choose("rate", 3));
    let way = [Way::Up, Way::Down][sim.choose("way", 2) as usize];
    let mut config = patient();
    let (_, timeout) = hurry(sim, &mut config, LIMIT as u64 / 64, rate);
    config.limits().message(LIMIT).frame(LIMIT);
    // At 10 kB/s it takes half an hour.
    sim.perturb(false).time_limit(10_000 * SECOND).steps_max(20_000_000);
    server(sim, move |peer| transfer(peer, way, LIMIT));
    sim.client("client", async move |host: Host| {
        let socket = connect_plainly(&host, config, narrow()).await.expect("a connection");
        host.inject().narrow("client", "server", rate);
        let start = host.now();
        let length = if way == Way::Down { 4 } else { LIMIT };
        socket.send(&vec![7; length]).await.expect("the peer reads");
        let answer = socket.recv().await.expect("the peer is there");
        assert_eq!(answer.as_bytes().len(), if way == Way::Up { 6 } else { LIMIT });
        // At 1 MB/s it takes less than the timeout that is the default.
        assert!(rate == 1_000_000 || host.now() - start > 3 * timeout, "the transfer takes several timeouts");
        assert!(socket.close(CloseCode::NORMAL, "").await.is_clean());
    });
}

#[wavetank::test(seeds = 200, sometimes = "required")]
fn silence_during_a_transfer_is_found_in_time(sim: &mut Sim) {
    let rate = 10_u64.pow(3 + sim.choose("rate", 4));
    let way = [Way::Up, Way::Down, Way::Both][sim.choose("way", 3) as usize];
    let bytes = 64 * 1024;
    let mut config = patient();
    let (interval, timeout) = hurry(sim, &mut config, bytes, rate);
    config.close_timeout(ROUND_TRIP);
    let after = time_of(bytes, rate) * sim.choose("after", 8) / 4;
    let chatty = sim.choose("chatty", 2) == 1;
    sim.perturb(false).time_limit(10_000 * SECOND);
    server(sim, move |peer| transfer(peer, way, bytes as usize));
    sim.client("client", async move |host: Host| {
        let wait = interval + timeout;
        let socket = connect_plainly(&host, config, narrow()).await.expect("a connection");
        host.inject().narrow("client", "server", rate);
        let sender = socket.clone();
        let sending = host.spawn("sender", async move {
            let length = if way == Way::Down { 4 } else { bytes as usize };
            let mut sent = sender.send(&vec![7; length]).await;
            while sent.is_ok() && chatty {
                host.sleep(wait / 50).await;
                sent = sender.send(&[7; 4]).await;
            }
        });
        host.sleep(after).await;
        host.inject().forget("client", "server");
        let start = host.now();
        let closed = socket.closed().await;
        let took = host.now() - start;
        assert!(matches!(closed.cause, Cause::KeepaliveTimeout { .. }), "{closed}");
        sometimes!(chatty && way == Way::Up, "small messages follow the long one");
        // Closing takes its time, too.
        assert!(took <= wait + 3 * ROUND_TRIP, "found after {took:?}, and not within {wait:?}");
        sending.await.expect("no panic");
    });
}
