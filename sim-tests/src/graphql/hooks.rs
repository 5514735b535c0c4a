//! An application whose hooks take time, and are counted.

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use wavetank::Host;
use wavetank::runtime::{Runtime, Threads};
use wavetank_graphql::blocking::BlockingHooks;
use wavetank_graphql::mock::Context;
use wavetank_graphql::{
    Accepted, Completion, ConnectionInfo, Ended, GraphqlError, Hooks, OperationInfo, RawValue, Rejection,
    Request, RequestErrors,
};

/// A hook that takes time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// `on_connect`.
    Connect,
    /// `on_ping`.
    Ping,
    /// `on_operation`.
    Operation,
    /// `persisted_query`.
    Persisted,
    /// `on_complete`.
    Complete,
    /// `on_disconnect`.
    Disconnect,
}

/// How a hook fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It never answers.
    Hangs,
    /// It panics.
    Panics,
    /// It never answers, and panics when it is dropped.
    PanicsInDrop,
}

struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("the destructor of the hook panics, as the test says");
    }
}

/// How the hooks behave: how long each takes.
#[derive(Clone, Debug, Default)]
pub struct Behaviour {
    /// `on_connect`.
    pub connect: Duration,
    /// `on_ping`.
    pub ping: Duration,
    /// `on_operation`.
    pub operation: Duration,
    /// `on_complete`.
    pub complete: Duration,
    /// `on_disconnect`.
    pub disconnect: Duration,
    /// Rejects every connection, for this reason.
    pub reject: Option<String>,
    /// Refuses operations with this name.
    pub refuse: Option<String>,
    /// What an empty query is replaced with.
    pub document: Option<String>,
    /// Put before the message of each error that `format_error` is given.
    pub words: Option<String>,
    /// This one fails.
    pub fails: Option<(Hook, Failure)>,
}

/// What the hooks of one connection saw.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HookLog {
    /// Calls of `on_connect`.
    pub connects: u32,
    /// Calls of `on_ping`.
    pub pings: u32,
    /// Calls of `format_error`.
    pub formats: u32,
    /// Calls of `persisted_query`.
    pub persisted: u32,
    /// Calls of `on_operation`, by id.
    pub operations: BTreeMap<String, u32>,
    /// Calls of `on_complete`, by id.
    pub completes: BTreeMap<String, Vec<Completion>>,
    /// Calls of `on_disconnect`.
    pub disconnects: Vec<Ended>,
}

/// The hooks. The token in its `connection_init` identifies a connection. All connections without a token, or without
/// `connection_init`, count as one.
#[derive(Clone, Debug)]
pub struct Recorder {
    host: Host,
    behaviour: Behaviour,
    logs: Arc<Mutex<BTreeMap<String, HookLog>>>,
}

impl Recorder {
    /// Makes hooks that live on `host`.
    pub fn new(host: Host, behaviour: Behaviour) -> Self {
        Self { host, behaviour, logs: Arc::default() }
    }

    fn logs(&self) -> MutexGuard<'_, BTreeMap<String, HookLog>> {
        self.logs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn log<T>(&self, context: Option<&Context>, change: impl FnOnce(&mut HookLog) -> T) -> T {
        let token = context.and_then(Context::token).unwrap_or_default();
        change(self.logs().entry(token.to_owned()).or_default())
    }

    async fn take(&self, hook: Hook, time: Duration) {
        match self.behaviour.fails {
            Some((fails, Failure::Hangs)) if fails == hook => pending().await,
            Some((fails, Failure::PanicsInDrop)) if fails == hook => {
                let _bomb = Bomb;
                pending().await
            }
            Some((fails, Failure::Panics)) if fails == hook => panic!("the hook panics, as the test says"),
            _ if time.is_zero() => {}
            _ => Runtime::sleep(&self.host, time).await,
        }
    }

    fn take_on_thread(&self, hook: Hook, time: Duration) {
        match self.behaviour.fails {
            Some((fails, Failure::Panics)) if fails == hook => panic!("the hook panics, as the test says"),
            Some((fails, failure)) if fails == hook => panic!("no hook on a thread {failure:?}"),
            _ if time.is_zero() => {}
            _ => Threads::sleep(&self.host, time),
        }
    }

    /// Returns what the hooks of the connection with this token saw.
    pub fn of(&self, token: &str) -> HookLog {
        self.logs().get(token).cloned().unwrap_or_default()
    }

    /// Checks that `on_complete` was called once for each `on_operation`, and `on_disconnect` once for each of
    /// `connections`.
    ///
    /// # Panics
    ///
    /// If it was not.
    pub fn check(&self, connections: usize) {
        let logs = self.logs();
        let mut disconnects = 0;
        for (token, log) in &*logs {
            disconnects += log.disconnects.len();
            for (id, started) in &log.operations {
                let completes = log.completes.get(id).map_or(0, Vec::len);
                assert_eq!(completes, *started as usize, "`on_complete` of {id} on {token:?}");
            }
            for id in log.completes.keys() {
                assert!(log.operations.contains_key(id), "`on_complete` of {id} without `on_operation`");
            }
        }
        assert_eq!(disconnects, connections, "`on_disconnect` is called once for each connection");
    }
}

/// What the hooks do but for the time they take: the same for tasks and threads.
impl Recorder {
    fn connects(&self, payload: Option<&RawValue>) -> Context {
        let payload = payload.and_then(|raw| serde_json::from_str::<serde_json::Value>(raw.get()).ok());
        let token = payload.as_ref().and_then(|payload| payload.get("token")?.as_str());
        let context = Context::new(token);
        self.log(Some(&context), |log| log.connects += 1);
        context
    }

    fn decide(&self, context: Context) -> Result<Accepted<Context>, Rejection> {
        match &self.behaviour.reject {
            Some(reason) => Err(Rejection::new(reason)),
            None => Ok(Accepted::new(context)),
        }
    }

    fn operation_begins(&self, context: &Context, operation: &OperationInfo) {
        self.log(Some(context), |log| {
            *log.operations.entry(operation.id().to_owned()).or_default() += 1;
            assert!(log.disconnects.is_empty(), "an operation begins behind the end");
        });
    }

    fn allow(&self, operation: &OperationInfo) -> Result<(), RequestErrors> {
        match &self.behaviour.refuse {
            Some(name) if operation.name() == Some(name.as_str()) => Err(GraphqlError::new("refused").into()),
            _ => Ok(()),
        }
    }

    fn find(&self, mut request: Request) -> Result<Request, RequestErrors> {
        if request.query.is_empty() {
            let Some(document) = &self.behaviour.document else {
                return Err(GraphqlError::new("PersistedQueryNotFound").into());
            };
            request.query.clone_from(document);
        }
        Ok(request)
    }

    fn operation_ends(&self, context: &Context, operation: &OperationInfo, completion: Completion) {
        self.log(Some(context), |log| {
            let completes = log.completes.entry(operation.id().to_owned()).or_default();
            completes.push(completion);
            let started = log.operations.get(operation.id()).copied().unwrap_or_default();
            assert!(completes.len() <= started as usize, "`on_complete` is called too often");
        });
    }

    fn disconnects(&self, context: Option<&Context>, ended: &Ended) {
        self.log(context, |log| {
            log.disconnects.push(ended.clone());
            if context.is_some_and(|context| context.token().is_some()) {
                assert_eq!(log.disconnects.len(), 1, "`on_disconnect` is called once");
                let started: u32 = log.operations.values().sum();
                let completes: usize = log.completes.values().map(Vec::len).sum();
                assert_eq!(completes, started as usize, "`on_complete` comes before `on_disconnect`");
            }
        });
    }

    fn word(&self, context: &Context, mut error: GraphqlError) -> GraphqlError {
        self.log(Some(context), |log| log.formats += 1);
        if let Some(words) = &self.behaviour.words {
            error.message.insert_str(0, words);
        }
        error
    }
}

impl Hooks for Recorder {
    type Context = Context;

    async fn on_connect(
        &self,
        _connection: &ConnectionInfo,
        payload: Option<&RawValue>,
    ) -> Result<Accepted<Context>, Rejection> {
        let context = self.connects(payload);
        self.take(Hook::Connect, self.behaviour.connect).await;
        self.decide(context)
    }

    async fn on_ping(
        &self,
        context: Option<&Context>,
        payload: Option<Box<RawValue>>,
    ) -> Option<Box<RawValue>> {
        self.log(context, |log| log.pings += 1);
        self.take(Hook::Ping, self.behaviour.ping).await;
        payload
    }

    async fn on_operation(
        &self,
        context: &Context,
        operation: &OperationInfo,
        _request: &Request,
    ) -> Result<(), RequestErrors> {
        self.operation_begins(context, operation);
        self.take(Hook::Operation, self.behaviour.operation).await;
        self.allow(operation)
    }

    async fn persisted_query(&self, context: &Context, request: Request) -> Result<Request, RequestErrors> {
        self.log(Some(context), |log| log.persisted += 1);
        self.take(Hook::Persisted, Duration::ZERO).await;
        self.find(request)
    }

    async fn on_complete(&self, context: &Context, operation: &OperationInfo, completion: Completion) {
        self.operation_ends(context, operation, completion);
        self.take(Hook::Complete, self.behaviour.complete).await;
    }

    async fn on_disconnect(&self, _connection: &ConnectionInfo, context: Option<&Context>, ended: &Ended) {
        self.disconnects(context, ended);
        self.take(Hook::Disconnect, self.behaviour.disconnect).await;
    }

    fn format_error(&self, context: &Context, error: GraphqlError) -> GraphqlError {
        self.word(context, error)
    }
}

impl BlockingHooks for Recorder {
    type Context = Context;

    fn on_connect(
        &self,
        _connection: &ConnectionInfo,
        payload: Option<&RawValue>,
    ) -> Result<Accepted<Context>, Rejection> {
        let context = self.connects(payload);
        self.take_on_thread(Hook::Connect, self.behaviour.connect);
        self.decide(context)
    }

    fn on_ping(&self, context: Option<&Context>, payload: Option<Box<RawValue>>) -> Option<Box<RawValue>> {
        self.log(context, |log| log.pings += 1);
        self.take_on_thread(Hook::Ping, self.behaviour.ping);
        payload
    }

    fn on_operation(
        &self,
        context: &Context,
        operation: &OperationInfo,
        _request: &Request,
    ) -> Result<(), RequestErrors> {
        self.operation_begins(context, operation);
        self.take_on_thread(Hook::Operation, self.behaviour.operation);
        self.allow(operation)
    }

    fn persisted_query(&self, context: &Context, request: Request) -> Result<Request, RequestErrors> {
        self.log(Some(context), |log| log.persisted += 1);
        self.take_on_thread(Hook::Persisted, Duration::ZERO);
        self.find(request)
    }

    fn on_complete(&self, context: &Context, operation: &OperationInfo, completion: Completion) {
        self.operation_ends(context, operation, completion);
        self.take_on_thread(Hook::Complete, self.behaviour.complete);
    }

    fn on_disconnect(&self, _connection: &ConnectionInfo, context: Option<&Context>, ended: &Ended) {
        self.disconnects(context, ended);
        self.take_on_thread(Hook::Disconnect, self.behaviour.disconnect);
    }

    fn format_error(&self, context: &Context, error: GraphqlError) -> GraphqlError {
        self.word(context, error)
    }
}
