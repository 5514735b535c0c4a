//! A GraphQL server on axum: WebSocket and POST at `/graphql`, GraphiQL at `/`, a chat at `/chat`.
//!
//! ```console
//! $ cargo run -p wavetank-graphql --example server -- --listen 127.0.0.1:4000
//! ```
//!
//! - `--engine async-graphql|juniper` chooses the engine. Both serve the same schema. Default: `async-graphql`.
//! - `--legacy` also serves the old subprotocol `graphql-ws`, even to a client that agreed on the new one.
//! - `--init-timeout-ms N` sets how long a client may take for `connection_init`.
//! - `--token TEXT` accepts only clients whose payload of `connection_init` is `{"token": TEXT}`. A POST needs the
//!   header `Authorization: Bearer TEXT`. For GraphiQL, write
//!   `{"Authorization": "Bearer TEXT", "token": "TEXT"}` into its editor of headers. For the chat, add `?token=TEXT`
//!   to its address.
//!
//! Ctrl-C and SIGTERM drain: what runs may end within 5 s, and clients are told to reconnect. A second later the
//! program ends. In production put a proxy in front of `axum::serve`: it sets no limit to connections that ask for
//! nothing.

mod async_graphql_schema;
mod channels;
mod juniper_schema;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use async_graphql::Data;
use axum::Router;
use axum::body::Bytes;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use serde::Deserialize;
use wavetank_graphql::engine::async_graphql::AsyncGraphql;
use wavetank_graphql::engine::juniper::Juniper;
use wavetank_graphql::{
    Accepted, Config, ConnectionInfo, Engine, Hooks, Legacy, Operation, Payload, RawValue, Rejection,
    Request, Server, Shutdown,
};
use wavetank_runtime::{Runtime as _, Tokio};

use channels::Channels;

/// A page that chats: the subscription `channel`, and the mutation `publish`.
const CHAT: &str = include_str!("chat.html");

/// Accepts clients that know the token, and makes their context.
struct Door<C> {
    token: Option<String>,
    context: fn(&Channels) -> C,
    channels: Channels,
}

impl<C: Send + Sync + 'static> Hooks for Door<C> {
    type Context = C;

    async fn on_connect(
        &self,
        _connection: &ConnectionInfo,
        payload: Option<&RawValue>,
    ) -> Result<Accepted<C>, Rejection> {
        #[derive(Deserialize)]
        struct Init {
            token: Option<String>,
        }
        if let Some(expected) = &self.token {
            let given = payload.and_then(|payload| serde_json::from_str::<Init>(payload.get()).ok()?.token);
            if given.as_ref() != Some(expected) {
                return Err(Rejection::default());
            }
        }
        Ok(Accepted::new((self.context)(&self.channels)))
    }
}

struct App<E: Engine> {
    server: Server<Tokio, E, Door<E::Context>>,
    engine: E,
    context: fn(&Channels) -> E::Context,
    channels: Channels,
    token: Option<String>,
}

async fn websocket<E: Engine>(
    State(app): State<Arc<App<E>>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    request: WebSocketUpgrade,
) -> Response {
    wavetank_graphql::axum::upgrade(app.server.clone(), request, headers, Some(peer))
}

/// The body of a POST (GraphQL over HTTP).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Post {
    query: String,
    operation_name: Option<String>,
    variables: Option<Box<RawValue>>,
    extensions: Option<Box<RawValue>>,
}

fn json(result: &impl Payload) -> Vec<u8> {
    let mut json = Vec::new();
    result.append_to(&mut json);
    json
}

/// Why a POST is not served. A page of another origin can send one without asking first, unless it must be JSON.
fn refusal<E: Engine>(app: &App<E>, headers: &HeaderMap) -> Option<(StatusCode, &'static str)> {
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = header(header::CONTENT_TYPE).split(';').next().unwrap_or_default().trim();
    if !media_type.eq_ignore_ascii_case("application/json") {
        return Some((StatusCode::UNSUPPORTED_MEDIA_TYPE, "send application/json"));
    }
    if !app.server.allows_origin(headers) {
        return Some((StatusCode::FORBIDDEN, "this origin is not allowed"));
    }
    let is_known = app
        .token
        .as_ref()
        .is_none_or(|token| header(header::AUTHORIZATION).strip_prefix("Bearer ") == Some(token));
    (!is_known).then_some((StatusCode::UNAUTHORIZED, "the token is missing or wrong"))
}

async fn post<E: Engine>(State(app): State<Arc<App<E>>>, headers: HeaderMap, body: Bytes) -> Response {
    if let Some(refusal) = refusal(&app, &headers) {
        return refusal.into_response();
    }
    // serde would take an array for the fields of a struct.
    if body.trim_ascii_start().first() != Some(&b'{') {
        return (StatusCode::BAD_REQUEST, "invalid GraphQL request: expected a JSON object").into_response();
    }
    let Post { query, operation_name, variables, extensions } = match serde_json::from_slice(&body) {
        Ok(post) => post,
        Err(error) => {
            return (StatusCode::BAD_REQUEST, format!("invalid GraphQL request: {error}")).into_response();
        }
    };
    let request = Request { query, operation_name, variables, extensions };
    let (status, body) = match app.engine.prepare(request, Arc::new((app.context)(&app.channels))).await {
        Ok(Operation::Done(result)) => (StatusCode::OK, json(&result)),
        Ok(Operation::Single(result)) => (StatusCode::OK, json(&result.await)),
        Ok(_) => {
            let text = "send subscriptions over the WebSocket";
            return (StatusCode::BAD_REQUEST, text).into_response();
        }
        Err(errors) => {
            let errors = serde_json::to_string(&errors).unwrap_or_default();
            (StatusCode::BAD_REQUEST, format!(r#"{{"errors":{errors}}}"#).into_bytes())
        }
    };
    (status, [(header::CONTENT_TYPE, "application/graphql-response+json")], body).into_response()
}

/// How long operations and queries may go on after the program was asked to end.
const DRAIN: Duration = Duration::from_secs(5);

enum Chosen {
    AsyncGraphql,
    Juniper,
}

struct Arguments {
    listen: SocketAddr,
    engine: Chosen,
    token: Option<String>,
    config: Config,
}

const USAGE: &str = "usage: server [--listen ADDRESS:PORT] [--engine async-graphql|juniper] [--legacy] \
                     [--init-timeout-ms N] [--token TEXT]";

fn arguments() -> Result<Arguments, String> {
    let mut arguments = Arguments {
        listen: SocketAddr::from(([127, 0, 0, 1], 4000)),
        engine: Chosen::AsyncGraphql,
        token: None,
        config: Config::new(),
    };
    let mut given = std::env::args().skip(1);
    while let Some(argument) = given.next() {
        let mut value = || given.next().ok_or_else(|| format!("`{argument}` needs a value"));
        match argument.as_str() {
            "--listen" => {
                let text = value()?;
                arguments.listen =
                    text.parse().map_err(|error| format!("invalid address `{text}`: {error}"))?;
            }
            "--engine" => {
                arguments.engine = match value()?.as_str() {
                    "async-graphql" => Chosen::AsyncGraphql,
                    "juniper" => Chosen::Juniper,
                    other => return Err(format!("unknown engine `{other}`")),
                }
            }
            "--init-timeout-ms" => {
                let text = value()?;
                let millis = text.parse().map_err(|error| format!("invalid number `{text}`: {error}"))?;
                arguments.config = arguments.config.init_timeout(Duration::from_millis(millis));
            }
            "--legacy" => arguments.config = arguments.config.legacy(Legacy::Tolerated),
            "--token" => arguments.token = Some(value()?),
            other => return Err(format!("unknown argument `{other}`")),
        }
    }
    Ok(arguments)
}

#[tokio::main]
async fn main() -> ExitCode {
    if std::env::args().skip(1).any(|argument| argument == "--help" || argument == "-h") {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    let arguments = match arguments() {
        Ok(arguments) => arguments,
        Err(problem) => {
            eprintln!("{problem}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let listen = arguments.listen;
    let served = match arguments.engine {
        Chosen::AsyncGraphql => {
            let context = |channels: &Channels| {
                let mut data = Data::default();
                data.insert(channels.clone());
                data
            };
            serve(arguments, AsyncGraphql::new(async_graphql_schema::schema()), context).await
        }
        Chosen::Juniper => {
            let context = |channels: &Channels| juniper_schema::Context(channels.clone());
            serve(arguments, Juniper::new(juniper_schema::schema()), context).await
        }
    };
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cannot serve on {listen}: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve<E: Engine + Clone>(
    arguments: Arguments,
    engine: E,
    context: fn(&Channels) -> E::Context,
) -> std::io::Result<()> {
    let channels = Channels::default();
    let door = Door { token: arguments.token.clone(), context, channels: channels.clone() };
    let server = Server::with_hooks(Tokio, engine.clone(), door).config(arguments.config);
    let app = Arc::new(App { server: server.clone(), engine, context, channels, token: arguments.token });
    let router = Router::new()
        .route("/", wavetank_graphql::axum::graphiql("/graphql"))
        .route("/chat", get(|| async { Html(CHAT) }))
        .route("/graphql", get(websocket::<E>).post(post::<E>))
        .with_state(app);

    let listener = tokio::net::TcpListener::bind(arguments.listen).await?;
    println!("ws://{}/graphql", listener.local_addr()?);
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let (asked, is_asked) = tokio::sync::oneshot::channel::<()>();
    let drain = async move {
        asked_to_end().await;
        drop(asked);
        // axum does not know of the WebSockets: they are drained before it stops. Newcomers hear 1012 meanwhile, after
        // which npm's `graphql-ws` tries again. After a refused connection it would give up.
        server.shutdown(Shutdown::restart(DRAIN)).await;
    };
    // axum waits for each connection that has asked for something, without end.
    let last = async {
        drop(is_asked.await);
        Tokio.sleep(DRAIN + Duration::from_secs(1)).await;
    };
    tokio::select! {
        served = axum::serve(listener, service).with_graceful_shutdown(drain).into_future() => served,
        () = last => Ok(()),
    }
}

/// Waits for Ctrl-C, or for what a supervisor sends.
async fn asked_to_end() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminated) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = terminated.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
            return;
        }
    }
    drop(tokio::signal::ctrl_c().await);
}
