//! deadpool: a managed pool of connections.

use std::sync::Arc;
use std::time::Duration;

use deadpool::Runtime;
use deadpool::managed::{self, Metrics, Object, RecycleResult};

use crate::subject::Subject;
use crate::workloads::pool::{self, Broken, Connection, Factory, Pool};

pub(crate) const SUBJECTS: &[Subject] = &[Subject {
    package: "deadpool",
    name: "managed",
    workload: pool::WORKLOAD,
    known: &[],
    body: pool::users_share::<managed::Pool<Manager>>,
}];

#[derive(Debug)]
pub(crate) struct Manager(Arc<Factory>);

impl managed::Manager for Manager {
    type Type = Connection;
    type Error = Broken;

    async fn create(&self) -> Result<Connection, Broken> {
        self.0.connect().await
    }

    async fn recycle(&self, connection: &mut Connection, _: &Metrics) -> RecycleResult<Broken> {
        Ok(self.0.check(connection).await?)
    }
}

impl Pool for managed::Pool<Manager> {
    type Guard = Object<Manager>;

    async fn open(factory: Arc<Factory>, most: u32, wait: Duration) -> Self {
        let builder = Self::builder(Manager(factory)).max_size(most as usize).runtime(Runtime::Tokio1);
        let builder = builder.wait_timeout(Some(wait)).create_timeout(Some(wait)).recycle_timeout(Some(wait));
        builder.build().expect("the settings are complete")
    }

    async fn get(&self) -> Option<Self::Guard> {
        Self::get(self).await.ok()
    }

    fn connection(guard: &Self::Guard) -> &Connection {
        guard
    }

    fn take(guard: Self::Guard) -> Option<Connection> {
        Some(Object::take(guard))
    }

    fn size(&self) -> u32 {
        self.status().size as u32
    }
}
