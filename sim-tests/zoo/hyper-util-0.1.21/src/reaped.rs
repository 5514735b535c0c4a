//! Four users share one connection, and a task reaps it now and then (`retain`), as pools do with idle connections.
//!
//! The users that wait for a connection have ids, which begin with 0 for each connection. A future of the pool removes
//! its id when it is dropped, also after its result, and by then another user may wait for the next connection under
//! the same id. The sender of that user's result is dropped, and the user waits without end.

use std::time::Duration;

use hyper_util::client::pool::singleton::Singleton;
use tower_service::Service;
use wavetank::runtime::Runtime;
use wavetank::{Host, Sim};

use crate::connections::Connect;

const USERS: usize = 4;
const TURNS: usize = 8;

async fn share(host: Host) -> Result<(), String> {
    let pool = Singleton::new(Connect(host));
    let users: Vec<_> = (0..USERS)
        .map(|_| {
            let mut pool = pool.clone();
            host.spawn("user", async move {
                for _ in 0..TURNS {
                    let _connection = pool.call(()).await.map_err(|error| error.to_string())?;
                    host.sleep(Duration::from_millis(1)).await;
                }
                Ok::<_, String>(())
            })
        })
        .collect();
    let mut reaped = pool.clone();
    let reaper = host.spawn("reaper", async move {
        for _ in 0..TURNS {
            host.sleep(Duration::from_millis(2)).await;
            reaped.retain(|_| false);
        }
    });
    for user in users {
        user.await.map_err(|error| error.to_string())??;
    }
    reaper.await.map_err(|error| error.to_string())
}

/// The body of the test: builds the host.
pub fn users_share_a_connection_that_is_reaped(sim: &mut Sim) {
    sim.client("client", share);
}
