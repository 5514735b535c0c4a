//! Ours beside the two published crates, unmodified: `yamux` 0.14.1 and `tokio-yamux` 0.3.20, in both roles.

use std::time::Duration;
use wavetank_sim_tests::multiplexer::configured;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use wavetank::runtime::{Runtime, SocketOptions};
use wavetank::{Faults, Host, Sim, sometimes};
use wavetank_multiplexer::{LocalReset, Stream, Window, WriteError};
use wavetank_sim_tests::multiplexer::interoperability::{self, AnySession, AnyStream, Scenario};
use wavetank_sim_tests::multiplexer::network::{self, Side};
use wavetank_sim_tests::multiplexer::{Foreign, Kind, body};

use super::issue_133::{MESSAGE, READ, WRITTEN};
use super::world::{Cell, End, SECOND, SOON, end, write_error};

/// Adds two hosts: ours on `side`, a published crate on the other.
fn pair(
    sim: &mut Sim,
    kind: Kind,
    side: Side,
    ours: impl AsyncFn(End) + 'static,
    theirs: impl AsyncFn(Host, Foreign<Host>) + 'static,
) {
    let config = configured(|config| {
        config.window(Window::Fixed(256 << 10));
    });
    let run = std::rc::Rc::new(async move |host: Host, at: Side| {
        let transport = match at {
            Side::Client => network::connect(&host, SocketOptions::new()).await?,
            Side::Server => network::accept(&host, SocketOptions::new()).await?,
        };
        if at == side {
            ours(end(host, at, transport, config.clone())).await;
        } else {
            theirs(host, Foreign::start(&host, kind, at, transport)).await;
        }
        wavetank::Ok(())
    });
    let of_server = std::rc::Rc::clone(&run);
    sim.server("server", async move |host: Host| of_server(host, Side::Server).await);
    sim.client("client", async move |host: Host| run(host, Side::Client).await);
}

fn kind_and_side(sim: &mut Sim) -> (Kind, Side) {
    let kind = Kind::ALL[sim.choose("crate", 2) as usize];
    (kind, Side::BOTH[sim.choose("our side", 2) as usize])
}

/// Reads five messages, and waits until the writer has used up its credit.
async fn read_five(host: &Host, stream: &mut AnyStream) {
    let (read, result) = body::read(stream, 0, 0, READ).await;
    assert!(read == READ && result.is_ok(), "{read} {result:?}");
    Runtime::sleep(host, SOON).await;
}

/// The reported scenario with a published crate as the reader, which closes, or drops, and says no more.
#[wavetank::test(seeds = 400, sometimes = "required", base_seed = 0xf06a8e9291cbde48)]
fn a_departed_reader_soon_ends_our_writer(sim: &mut Sim) {
    let (kind, side) = kind_and_side(sim);
    let closes = sim.choose("closes", 2) == 0;
    let left = Cell::new();
    let leaving = left.clone();
    pair(
        sim,
        kind,
        side,
        async move |end| {
            let mut stream = end.session.open().await.expect("a stream");
            // Five times what was reported: `yamux` enlarges windows.
            let (_, result) = body::write(&mut stream, 0, 0..50 * WRITTEN, MESSAGE).await;
            let error = write_error(&result.expect_err("no task reads"));
            let late = end.now() - left.get().expect("the reader has left");
            if closes {
                assert_eq!(error, WriteError::ResetHere(LocalReset::NoCredit), "FIN alone says nothing");
                assert!(late <= 10 * SECOND + SOON, "{late:?}");
                sometimes!(kind == Kind::Yamux, "yamux closes");
                sometimes!(kind == Kind::TokioYamux, "tokio-yamux closes");
            } else {
                assert!(matches!(error, WriteError::Reset(_)), "{error}");
                assert!(late <= SOON, "{late:?}");
                sometimes!(kind == Kind::Yamux, "yamux drops");
                sometimes!(kind == Kind::TokioYamux, "tokio-yamux drops");
            }
            drop(stream);
            end.ask().await;
            end.finish(2 * SOON).await;
        },
        async move |host, mut session| {
            let mut stream = session.accept().await.expect("a stream");
            read_five(&host, &mut stream).await;
            leaving.set(Runtime::now(&host));
            if closes {
                stream.shutdown().await.expect("closed");
            }
            drop(stream);
            let mut stream = session.accept().await.expect("the session goes on");
            body::echo(&mut stream).await.expect("echoed");
            drop(stream);
            session.closed().await;
        },
    );
}

/// How our reader leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leave {
    Drop,
    Close,
    FinishThenStop,
    StopThenFinish,
}

impl Leave {
    fn leave(self, stream: &mut Stream<Host>) {
        match self {
            Self::Drop => {}
            Self::Close => stream.close().expect("the stream is open"),
            Self::FinishThenStop => {
                stream.close_write().expect("the stream is open");
                stream.stop();
            }
            Self::StopThenFinish => {
                stream.stop();
                stream.close_write().expect("the stream is open");
            }
        }
    }
}

/// Reads five messages of a published crate's writer, leaves, and checks that the stream is gone and the session works.
async fn leave_a_writer(end: End, how: Leave, left: Cell<wavetank::runtime::Instant>) {
    let mut stream = end.session.accept().await.expect("a stream");
    let (read, result) = body::read(&mut stream, 0, 0, READ).await;
    assert!(read == READ && result.is_ok(), "{read} {result:?}");
    end.sleep(SOON).await;
    let id = stream.id();
    left.set(end.now());
    how.leave(&mut stream);
    drop(stream);
    end.sleep(SOON).await;
    assert!(end.monitor.has_reset(id), "{how:?}: the writer is told by RST once its credit is used up");
    assert_eq!(
        end.monitor.has_finished(id),
        how != Leave::Drop,
        "RST instead of FIN where nothing was closed"
    );
    end.answer().await;
    end.ends().await;
}

/// The reported scenario with a published crate as the writer. Both understand RST without FIN;
/// `tokio-yamux` sees it only while a task reads.
#[wavetank::test(seeds = 400, sometimes = "required")]
fn a_published_writer_learns_that_our_reader_left(sim: &mut Sim) {
    let (kind, side) = kind_and_side(sim);
    let how = match kind {
        Kind::Yamux => {
            let all = [Leave::Drop, Leave::Close, Leave::FinishThenStop, Leave::StopThenFinish];
            all[sim.choose("leave", 4) as usize]
        }
        // FIN makes it deaf: see `tokio_yamux_is_deaf_behind_our_fin`.
        Kind::TokioYamux => Leave::Drop,
    };
    let left = Cell::new();
    let leaving = left.clone();
    pair(
        sim,
        kind,
        side,
        async move |end| leave_a_writer(end, how, leaving.clone()).await,
        async move |host, session| {
            let (mut reader, mut writer) = tokio::io::split(session.open().await.expect("a stream"));
            let reading = host.spawn("reader", async move { reader.read(&mut [0]).await });
            // More than was read and two windows: a reader that stops before it closes grants another one.
            let (_, result) = body::write(&mut writer, 0, 0..2 * WRITTEN, MESSAGE).await;
            let error = result.expect_err("no task reads");
            let late = Runtime::now(&host) - left.get().expect("the reader has left");
            assert!(late <= SOON, "{error}, after {late:?}");
            sometimes!(how == Leave::Close, "FIN was sent before");
            drop(writer);
            let _end_or_error = reading.await.expect("no panic");
            ask(&session).await;
            session.close().await;
        },
    );
}

async fn ask(session: &Foreign<Host>) {
    let mut stream = session.open().await.expect("the session goes on");
    body::write(&mut stream, 99, 0..1024, 1024).await.1.expect("written");
    stream.shutdown().await.expect("finished");
    let (read, result) = body::read(&mut stream, 99, 0, 2000).await;
    assert!(read == 1024 && result.is_ok(), "{read} {result:?}");
}

/// What the peer cannot learn: behind our FIN `tokio-yamux` looks at neither credit nor RST. Our side forgets the
/// stream, the session goes on, and the writer waits until it ends.
#[wavetank::test(seeds = 100)]
fn tokio_yamux_is_deaf_behind_our_fin(sim: &mut Sim) {
    let side = Side::BOTH[sim.choose("our side", 2) as usize];
    let how = [Leave::Close, Leave::FinishThenStop][sim.choose("leave", 2) as usize];
    pair(
        sim,
        Kind::TokioYamux,
        side,
        async move |end| leave_a_writer(end, how, Cell::new()).await,
        async move |host, session| {
            let (mut reader, mut writer) = tokio::io::split(session.open().await.expect("a stream"));
            let reading = host.spawn("reader", async move { reader.read(&mut [0]).await });
            let writing =
                host.spawn("writer", async move { body::write(&mut writer, 0, 0..WRITTEN, MESSAGE).await });
            Runtime::sleep(&host, 100 * SECOND).await;
            assert!(!wavetank::runtime::TaskHandle::is_finished(&writing), "it was told after all");
            ask(&session).await;
            session.close().await;
            // The end of the session wakes the reader alone.
            let _the_end = reading.await.expect("no panic");
            wavetank::runtime::TaskHandle::abort(&writing);
        },
    );
}

/// Every scenario of interoperability, in both roles, where links are slow, lossy and cut.
#[wavetank::test(seeds = 300)]
fn the_published_crates_and_ours_understand_each_other(sim: &mut Sim) {
    let (kind, side) = kind_and_side(sim);
    let scenarios = [
        Scenario::Echo(1),
        Scenario::Echo(50),
        Scenario::HalfClose,
        Scenario::Windows,
        Scenario::ResetByOpener,
        Scenario::ResetByAcceptor,
    ];
    let scenario = scenarios[sim.choose("scenario", 6) as usize];
    let we_open = sim.choose("we open", 2) == 0;
    let client_opens = we_open == (side == Side::Client);
    // The published writer hangs unless a task reads, which it does here; the published session ends after 10 s without
    // progress.
    sim.faults(
        Faults::none()
            .partitions()
            .slow_links()
            .lossy_links()
            .begin_max(SECOND)
            .last_max(Duration::from_secs(5)),
    );
    let start = async move |host: Host, at: Side, any: AnySession<Host>| {
        if (at == Side::Client) == client_opens {
            interoperability::opener(host, any, scenario).await;
        } else {
            interoperability::acceptor(host, any, scenario).await;
        }
    };
    pair(
        sim,
        kind,
        side,
        async move |end| start(end.host, side, AnySession::Ours(end.session)).await,
        async move |host, session| start(host, side.other(), AnySession::Foreign(session)).await,
    );
}
