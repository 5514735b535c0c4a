//! bb8: a pool of connections.

use std::sync::Arc;
use std::time::Duration;

use bb8::{ManageConnection, PooledConnection};

use crate::subject::Subject;
use crate::workloads::pool::{self, Broken, Connection, Factory, Pool};

pub(crate) const SUBJECTS: &[Subject] = &[Subject {
    package: "bb8",
    name: "pool",
    workload: pool::WORKLOAD,
    known: &[],
    body: pool::users_share::<bb8::Pool<Manager>>,
}];

#[derive(Debug)]
struct Manager(Arc<Factory>);

impl ManageConnection for Manager {
    type Connection = Connection;
    type Error = Broken;

    async fn connect(&self) -> Result<Connection, Broken> {
        self.0.connect().await
    }

    async fn is_valid(&self, connection: &mut Connection) -> Result<(), Broken> {
        self.0.check(connection).await
    }

    fn has_broken(&self, connection: &mut Connection) -> bool {
        connection.is_broken()
    }
}

impl Pool for bb8::Pool<Manager> {
    type Guard = PooledConnection<'static, Manager>;

    async fn open(factory: Arc<Factory>, most: u32, wait: Duration) -> Self {
        Self::builder().max_size(most).connection_timeout(wait).build_unchecked(Manager(factory))
    }

    async fn get(&self) -> Option<Self::Guard> {
        self.get_owned().await.ok()
    }

    fn connection(guard: &Self::Guard) -> &Connection {
        guard
    }

    fn take(_: Self::Guard) -> Option<Connection> {
        None
    }

    fn size(&self) -> u32 {
        self.state().connections
    }
}
