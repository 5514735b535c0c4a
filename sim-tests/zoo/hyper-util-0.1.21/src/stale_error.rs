//! Two users share a connection. The server closes it, and both notice it at the next use.
//!
//! The first user's error empties the pool, and the user connects again. If the second user notices the end of the old
//! connection while the new one is being made, its error discards the new one. The first user is not woken any more. If
//! it is polled for another reason, it panics (`unreachable!`).

use std::future::poll_fn;
use std::time::Duration;

use hyper_util::client::pool::singleton::Singleton;
use tower_service::Service;
use wavetank::runtime::Runtime;
use wavetank::{Host, Sim};

use crate::connections::Connect;

const TURNS: u64 = 8;

async fn share(host: Host) -> Result<(), String> {
    let pool = Singleton::new(Connect(host));
    let users = [1, 2].map(|pace| {
        let mut pool = pool.clone();
        host.spawn("user", async move {
            for _ in 0..TURNS {
                let mut connection = pool.call(()).await.map_err(|error| error.to_string())?;
                // Sends requests until the connection has ended.
                while poll_fn(|cx| connection.poll_ready(cx)).await.is_ok() {
                    let used = connection.call(()).await.map_err(|error| error.to_string())?;
                    host.sleep(Duration::from_millis(pace)).await;
                    // The server closes the connection.
                    used.close();
                }
            }
            Ok::<_, String>(())
        })
    });
    for user in users {
        user.await.map_err(|error| error.to_string())??;
    }
    Ok(())
}

/// The body of the test: builds the host.
pub fn two_users_notice_the_end_of_their_connection(sim: &mut Sim) {
    sim.client("client", share);
}
