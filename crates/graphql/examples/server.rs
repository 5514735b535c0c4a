//! A GraphQL server on axum: WebSocket and POST at `/graphql`.
//!
//! ```console
//! $ cargo run -p wavetank-graphql --features async-graphql,axum --example server -- --listen 127.0.0.1:4000
//! ```
//!
//! `--init-timeout-ms N` sets how long a client may take for `connection_init`; `--legacy` also serves the old
//! subprotocol `graphql-ws`. Ctrl-C drains: running queries may end within 5 s, and clients are told to reconnect.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use async_graphql::{Context, Data, Error, Object, Schema, Subscription};
use axum::Router;
use axum::body::Bytes;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_core::Stream;
use tokio::sync::mpsc;
use wavetank_graphql::engine::async_graphql::AsyncGraphql;
use wavetank_graphql::{AcceptAll, Config, Legacy, Server, Shutdown};
use wavetank_runtime::Tokio;

/// Messages that a subscriber may be behind before it misses some.
const BEHIND_MAX: usize = 64;

/// The channels, each with its subscribers.
#[derive(Clone, Default)]
struct Channels(Arc<Mutex<BTreeMap<String, Vec<mpsc::Sender<String>>>>>);

impl Channels {
    fn publish(&self, channel: &str, text: &str) -> i32 {
        let mut channels = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(subscribers) = channels.get_mut(channel) else { return 0 };
        subscribers.retain(|subscriber| !subscriber.is_closed());
        let reached = subscribers.iter().filter(|subscriber| subscriber.try_send(text.to_owned()).is_ok());
        i32::try_from(reached.count()).unwrap_or(i32::MAX)
    }

    fn subscribe(&self, channel: String) -> Received {
        let (sender, receiver) = mpsc::channel(BEHIND_MAX);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(channel).or_default().push(sender);
        Received(receiver)
    }
}

struct Received(mpsc::Receiver<String>);

impl Stream for Received {
    type Item = String;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut TaskContext<'_>) -> Poll<Option<String>> {
        self.0.poll_recv(context)
    }
}

/// Numbers from 1, `every` apart.
struct Count {
    next: i32,
    to: i32,
    every: Duration,
    pause: Pin<Box<tokio::time::Sleep>>,
}

#[expect(clippy::disallowed_methods, reason = "an example of a server on Tokio")]
fn sleep(duration: Duration) -> tokio::time::Sleep {
    tokio::time::sleep(duration)
}

impl Stream for Count {
    type Item = i32;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut TaskContext<'_>) -> Poll<Option<i32>> {
        if self.next > self.to {
            return Poll::Ready(None);
        }
        if !self.every.is_zero() {
            std::task::ready!(self.pause.as_mut().poll(context));
            self.pause = Box::pin(sleep(self.every));
        }
        self.next += 1;
        Poll::Ready(Some(self.next - 1))
    }
}

struct Query;

#[Object]
impl Query {
    async fn hello(&self) -> &str {
        "world"
    }

    async fn slow(&self, ms: Option<u64>) -> &str {
        sleep(Duration::from_millis(ms.unwrap_or(1000).min(60_000))).await;
        "done"
    }

    async fn boom(&self) -> Result<Option<String>, Error> {
        Err(Error::new("boom"))
    }
}

struct Mutation;

#[Object]
impl Mutation {
    async fn publish(&self, context: &Context<'_>, channel: String, text: String) -> Result<i32, Error> {
        Ok(context.data::<Channels>()?.publish(&channel, &text))
    }
}

struct Subscriptions;

#[Subscription(name = "Subscription")]
impl Subscriptions {
    async fn count(&self, to: Option<i32>, every_ms: Option<u64>) -> Count {
        let every = Duration::from_millis(every_ms.unwrap_or(100));
        Count { next: 1, to: to.unwrap_or(i32::MAX), every, pause: Box::pin(sleep(every)) }
    }

    async fn one(&self) -> Count {
        Count { next: 1, to: 1, every: Duration::ZERO, pause: Box::pin(sleep(Duration::ZERO)) }
    }

    async fn channel(&self, context: &Context<'_>, name: String) -> Result<Received, Error> {
        Ok(context.data::<Channels>()?.subscribe(name))
    }

    async fn silent(&self) -> Count {
        let ages = Duration::from_secs(1 << 32);
        Count { next: 1, to: 1, every: ages, pause: Box::pin(sleep(ages)) }
    }

    async fn fails(&self) -> Result<Count, Error> {
        Err(Error::new("this subscription always fails"))
    }
}

type AppSchema = Schema<Query, Mutation, Subscriptions>;
type AppServer = Server<Tokio, AsyncGraphql<AppSchema>, AcceptAll<Data>>;

#[derive(Clone)]
struct App {
    schema: AppSchema,
    server: AppServer,
}

async fn websocket(
    State(app): State<App>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    request: WebSocketUpgrade,
) -> Response {
    wavetank_graphql::axum::upgrade(app.server, request, headers, Some(peer))
}

async fn post(State(app): State<App>, body: Bytes) -> Response {
    match serde_json::from_slice::<async_graphql::Request>(&body) {
        Ok(request) => {
            let response = app.schema.execute(request).await;
            let body = serde_json::to_vec(&response).unwrap_or_default();
            ([(header::CONTENT_TYPE, "application/graphql-response+json")], body).into_response()
        }
        Err(error) => (StatusCode::BAD_REQUEST, format!("not a GraphQL request: {error}")).into_response(),
    }
}

struct Arguments {
    listen: SocketAddr,
    config: Config,
}

const USAGE: &str = "usage: server [--listen ADDRESS:PORT] [--legacy] [--init-timeout-ms N]";

fn arguments() -> Result<Arguments, String> {
    let mut listen = SocketAddr::from(([127, 0, 0, 1], 4000));
    let mut config = Config::new();
    let mut given = std::env::args().skip(1);
    while let Some(argument) = given.next() {
        let mut value = || given.next().ok_or_else(|| format!("`{argument}` needs a value"));
        match argument.as_str() {
            "--listen" => {
                let text = value()?;
                listen = text.parse().map_err(|error| format!("invalid address `{text}`: {error}"))?;
            }
            "--init-timeout-ms" => {
                let text = value()?;
                let millis = text.parse().map_err(|error| format!("invalid number `{text}`: {error}"))?;
                config = config.init_timeout(Duration::from_millis(millis));
            }
            "--legacy" => config = config.legacy(Legacy::On),
            other => return Err(format!("unknown argument `{other}`")),
        }
    }
    Ok(Arguments { listen, config })
}

#[tokio::main]
async fn main() -> ExitCode {
    let Arguments { listen, config } = match arguments() {
        Ok(arguments) => arguments,
        Err(problem) => {
            eprintln!("{problem}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let schema = Schema::build(Query, Mutation, Subscriptions).data(Channels::default()).finish();
    let server = Server::new(Tokio, AsyncGraphql::new(schema.clone())).config(config);
    let app = App { schema, server: server.clone() };
    let router = Router::new().route("/graphql", get(websocket).post(post)).with_state(app);
    match serve(listen, router, server).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cannot serve on {listen}: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(listen: SocketAddr, router: Router, server: AppServer) -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::bind(listen).await?;
    println!("ws://{}/graphql", listener.local_addr()?);
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let drain = async move {
        drop(tokio::signal::ctrl_c().await);
        // axum does not know of the WebSockets: they are drained beside it.
        server.shutdown(Shutdown::restart(Duration::from_secs(5))).await;
    };
    axum::serve(listener, service).with_graceful_shutdown(drain).await
}
