//! The future of a connection is dropped at any of its awaits.

use wavetank::runtime::Runtime as _;
use wavetank::{Sim, sometimes};
use wavetank_graphql::{Server, Upgrade, memory, mock::Mock, mock::TokenHooks};
use wavetank_sim_tests::graphql::Checked;

#[wavetank::test(seeds = 400, sometimes = "required")]
fn a_dropped_server_leaves_nothing_behind(sim: &mut Sim) {
    sim.client("client", async |host: wavetank::Host| {
        let mock = Mock::new(host);
        let server = Server::with_hooks(host, mock.clone(), TokenHooks);
        let (transport, mut client) = memory::pair(Some("graphql-transport-ws"), 2);
        let serving = server.serve(Checked::new(transport), Upgrade::new());
        let connection = host.spawn("connection", async move {
            let cut = wavetank::cancellable("connection", serving).await.is_none();
            sometimes!(cut, "the connection is dropped");
        });
        for text in [
            r#"{"type":"connection_init"}"#,
            r#"{"type":"subscribe","id":"1","payload":{"query":"subscription { count(everyMs: 1) }"}}"#,
            r#"{"type":"subscribe","id":"2","payload":{"query":"{ slow(ms: 3, prepareMs: 2) }"}}"#,
            r#"{"type":"ping"}"#,
        ] {
            client.send(text).await;
        }
        for _ in 0..10 {
            if client.recv().await.is_none() {
                break;
            }
        }
        client.close(None).await;
        connection.await.expect("no panic");
        assert_eq!((mock.live(), server.connections(), server.operations()), (0, 0, 0));
    });
}
