//! A chat server on tokio with workers, and its race: two members with one number.
//!
//! The server knows nothing of the simulation.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::tcp::OwnedReadHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use wavetank::Sim;

/// The members of the only room, by number.
#[derive(Default)]
struct Room {
    members: Mutex<BTreeMap<usize, mpsc::UnboundedSender<String>>>,
    joined: AtomicUsize,
}

impl Room {
    fn members(&self) -> MutexGuard<'_, BTreeMap<usize, mpsc::UnboundedSender<String>>> {
        self.members.lock().expect("no member panics")
    }

    fn post(&self, from: usize, line: &str) {
        for (_, member) in self.members().iter().filter(|(number, _)| **number != from) {
            let _ = member.send(format!("{from}: {line}\n"));
        }
    }
}

async fn serve(room: Arc<Room>, lines: BufReader<OwnedReadHalf>, number: usize) -> io::Result<()> {
    let mut lines = lines.lines();
    while let Some(line) = lines.next_line().await? {
        room.post(number, &line);
    }
    room.members().remove(&number);
    Ok(())
}

async fn welcome(room: Arc<Room>, stream: TcpStream, counts: bool) -> io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let (sender, mut lines) = mpsc::unbounded_channel::<String>();
    // The bug: while one member is welcomed, another gets the same number.
    let number = if counts { room.joined.fetch_add(1, Ordering::SeqCst) } else { room.members().len() };
    writer.write_all(format!("welcome, you are {number}\n").as_bytes()).await?;
    room.members().insert(number, sender);
    tokio::spawn(serve(room, BufReader::new(reader), number));
    while let Some(line) = lines.recv().await {
        writer.write_all(line.as_bytes()).await?;
    }
    Ok(())
}

fn chat(counts: bool) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind("0.0.0.0:80").await?;
        let room = Arc::new(Room::default());
        loop {
            let (stream, _) = listener.accept().await?;
            tokio::spawn(welcome(Arc::clone(&room), stream, counts));
        }
    })
}

/// Joins, posts a line, and waits for that of the other member.
async fn member(name: &str) -> io::Result<()> {
    let (reader, mut writer) = TcpStream::connect("server:80").await?.into_split();
    let mut lines = BufReader::new(reader).lines();
    assert!(lines.next_line().await?.is_some_and(|line| line.starts_with("welcome")));
    // Both are there.
    tokio::time::sleep(Duration::from_secs(1)).await;
    writer.write_all(format!("I am {name}\n").as_bytes()).await?;
    let heard = tokio::time::timeout(Duration::from_secs(60), lines.next_line()).await;
    let heard = heard.ok().and_then(Result::ok).flatten();
    assert!(heard.is_some_and(|line| line.contains("I am ")), "the other member is not heard");
    Ok(())
}

fn two_members(sim: &mut Sim, counts: bool) {
    sim.process("server", move || chat(counts));
    for name in ["ann", "bob"] {
        sim.process_client(name, move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(member(name))
        });
    }
}

#[wavetank::test(seeds = 500, finds = "the other member is not heard")]
fn members_with_one_number_miss_each_other(sim: &mut Sim) {
    two_members(sim, false);
}

#[wavetank::test(seeds = 200)]
fn members_with_own_numbers_hear_each_other(sim: &mut Sim) {
    two_members(sim, true);
}
