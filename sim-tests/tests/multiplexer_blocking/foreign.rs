//! Ours on threads beside the two published crates, which run on tasks of the other host.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use wavetank::runtime::{Runtime, SocketOptions};
use wavetank::{Host, Sim, sometimes};
use wavetank_multiplexer::{LocalReset, Window, WriteError};
use wavetank_sim_tests::multiplexer::configured;
use wavetank_sim_tests::multiplexer::network::{self, Side};
use wavetank_sim_tests::multiplexer::{Foreign, Kind, body};

use super::issue_133::{MESSAGE, READ, WRITTEN};
use super::world::{Cell, End, SECOND, SOON, end, write_error};

/// Adds two hosts: ours on `side`, a published crate on the other.
fn pair(
    sim: &mut Sim,
    kind: Kind,
    side: Side,
    ours: impl Fn(End) + 'static,
    theirs: impl AsyncFn(Host, Foreign<Host>) + 'static,
) {
    let config = configured(|config| {
        config.window(Window::Fixed(256 << 10));
    });
    match side {
        Side::Client => {
            sim.server("server", async move |host: Host| {
                let transport = network::accept(&host, SocketOptions::new()).await?;
                theirs(host, Foreign::start(&host, kind, Side::Server, transport)).await;
                wavetank::Ok(())
            });
            sim.client_thread("client", move |host: Host| {
                let transport = network::connect_blocking(&host, SocketOptions::new())?;
                ours(end(host, side, transport, config)?);
                wavetank::Ok(())
            });
        }
        Side::Server => {
            sim.server_thread("server", move |host: Host| {
                let transport = network::accept_blocking(&host, SocketOptions::new())?;
                ours(end(host, side, transport, config.clone())?);
                wavetank::Ok(())
            });
            sim.client("client", async move |host: Host| {
                let transport = network::connect(&host, SocketOptions::new()).await?;
                theirs(host, Foreign::start(&host, kind, Side::Client, transport)).await;
                wavetank::Ok(())
            });
        }
    }
}

fn kind_and_side(sim: &mut Sim) -> (Kind, Side) {
    let kind = Kind::ALL[sim.choose("crate", 2) as usize];
    (kind, Side::BOTH[sim.choose("our side", 2) as usize])
}

/// The reported scenario with a published crate as the reader, which closes, or drops, and says no more.
#[wavetank::test(seeds = 200, sometimes = "required", base_seed = 0x501c544127537093)]
fn a_departed_reader_soon_ends_our_writer(sim: &mut Sim) {
    let (kind, side) = kind_and_side(sim);
    let closes = sim.choose("closes", 2) == 0;
    let left = Cell::new();
    let leaving = left.clone();
    pair(
        sim,
        kind,
        side,
        move |end| {
            let mut stream = end.session.open().expect("a stream");
            let (_, result) = body::write_blocking(&mut stream, 0, 0..50 * WRITTEN, MESSAGE);
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
            end.ask();
            end.finish(2 * SOON);
        },
        async move |host, mut session| {
            let mut stream = session.accept().await.expect("a stream");
            let (read, result) = body::read(&mut stream, 0, 0, READ).await;
            assert!(read == READ && result.is_ok(), "{read} {result:?}");
            Runtime::sleep(&host, SOON).await;
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

/// The reported scenario with a published crate as the writer; ours drops the stream, or, beside `yamux`, closes it.
#[wavetank::test(seeds = 200)]
fn a_published_writer_learns_that_our_reader_left(sim: &mut Sim) {
    let (kind, side) = kind_and_side(sim);
    let closes = kind == Kind::Yamux && sim.choose("closes", 2) == 1;
    let left = Cell::new();
    let leaving = left.clone();
    pair(
        sim,
        kind,
        side,
        move |end| {
            let mut stream = end.session.accept().expect("a stream");
            let (read, result) = body::read_blocking(&mut stream, 0, 0, READ);
            assert!(read == READ && result.is_ok(), "{read} {result:?}");
            end.sleep(SOON);
            leaving.set(end.now());
            if closes {
                stream.close().expect("the stream is open");
            }
            let id = stream.id();
            drop(stream);
            end.sleep(SOON);
            assert!(end.monitor.has_reset(id), "the writer is told by RST once its credit is used up");
            end.answer();
            end.ends();
        },
        async move |host, session| {
            let (mut reader, mut writer) = tokio::io::split(session.open().await.expect("a stream"));
            let reading = host.spawn("reader", async move { reader.read(&mut [0]).await });
            let (_, result) = body::write(&mut writer, 0, 0..WRITTEN, MESSAGE).await;
            result.expect_err("no task reads");
            let late = Runtime::now(&host) - left.get().expect("the reader has left");
            assert!(late <= SOON, "{late:?}");
            drop(writer);
            let _end_or_error = reading.await.expect("no panic");
            let mut stream = session.open().await.expect("the session goes on");
            body::write(&mut stream, 99, 0..1024, 1024).await.1.expect("written");
            stream.shutdown().await.expect("finished");
            let (read, result) = body::read(&mut stream, 99, 0, 2000).await;
            assert!(read == 1024 && result.is_ok(), "{read} {result:?}");
            session.close().await;
        },
    );
}
