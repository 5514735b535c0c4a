//! UDP under turmoil's loss: a client buys one ticket with each request, and repeats a request without an answer.
//!
//! The code uses the runtime traits: the client is a task, and the office is two threads that receive from one socket.
//! A request that is repeated because its answer was lost or late must not buy twice. The sweeps find three wrong
//! versions: an office that remembers nothing, an office that checks and writes its ledger in two steps (the repetition
//! must reach the other thread between the steps), and a client that accepts any answer.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use wavetank::runtime::{BlockingDatagrams, BlockingUdpSocket, Datagrams, UdpSocket};

use super::*;

const REQUESTS: u8 = 5;

/// How long the client waits for an answer.
const PATIENCE: Duration = Duration::from_millis(100);

/// How the office prevents a request from buying twice.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ledger {
    /// Not at all.
    None,
    /// It checks whether the request is known, and enters it afterwards.
    InTwoSteps,
    /// It does both under one lock.
    InOneStep,
}

/// The answers that the client accepts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Takes {
    ItsOwn,
    Any,
}

/// What the office has sold: the ticket of each request, and the number of tickets.
#[derive(Default)]
struct Sold {
    of_request: BTreeMap<u8, u8>,
    tickets: u8,
}

impl Sold {
    fn sell(&mut self, request: u8) -> u8 {
        let ticket = self.tickets;
        self.tickets += 1;
        self.of_request.insert(request, ticket);
        ticket
    }
}

/// Answers requests without end.
fn sell<T: Threads, S: BlockingUdpSocket>(
    socket: &S,
    sold: &ThreadsMutex<T, Sold>,
    ledger: Ledger,
) -> io::Result<()> {
    loop {
        let mut request = [0];
        let (_, buyer) = socket.recv_from(&mut request)?;
        let [request] = request;
        let ticket = match ledger {
            Ledger::None => sold.lock().sell(request),
            Ledger::InTwoSteps => {
                let known = sold.lock().of_request.get(&request).copied();
                known.unwrap_or_else(|| sold.lock().sell(request))
            }
            Ledger::InOneStep => {
                let mut sold = sold.lock();
                let known = sold.of_request.get(&request).copied();
                known.unwrap_or_else(|| sold.sell(request))
            }
        };
        socket.send_to(&[request, ticket], buyer)?;
    }
}

/// Buys a ticket with each request, and repeats the request until it has the ticket.
async fn buy<R: Datagrams>(runtime: R, office: SocketAddr, takes: Takes) -> io::Result<()> {
    let socket = runtime.bind_udp(([0, 0, 0, 0], 0).into(), SocketOptions::new()).await?;
    socket.connect(office).await?;
    for request in 0..REQUESTS {
        let ticket = 'asking: loop {
            socket.send(&[request]).await?;
            let deadline = runtime.now() + PATIENCE;
            loop {
                let mut answer = [0; 2];
                tokio::select! {
                    biased;
                    received = socket.recv(&mut answer) => received?,
                    () = runtime.sleep_until(deadline) => continue 'asking,
                };
                if takes == Takes::Any || answer[0] == request {
                    break 'asking answer[1];
                }
            }
        };
        assert_eq!(ticket, request, "each request buys the next ticket, once");
    }
    Ok(())
}

/// Builds a buyer and an office of two threads, on a lossy network.
fn tickets(sim: &mut TurmoilSim, ledger: Ledger, takes: Takes) {
    sim.builder().simulation_duration(Duration::from_secs(60)).max_message_latency(20 * MILLISECOND);
    sim.host_thread("office", move |host: TurmoilHost| {
        let socket = BlockingDatagrams::bind_udp(&host, WILDCARD, SocketOptions::new())?;
        let sold = Arc::new(ThreadsMutex::new(&host, "sold", Sold::default()));
        let (clone, shared) = (socket.try_clone()?, Arc::clone(&sold));
        let second = Threads::spawn(&host, "second", move || sell(&clone, &shared, ledger))?;
        sell(&socket, &sold, ledger)?;
        second.join().map_err(io::Error::other)?
    });
    sim.client("buyer", async move |host: TurmoilHost| {
        let office = Runtime::resolve(&host, "office", 80).await?[0];
        Ok(buy(host, office, takes).await?)
    });
}

/// Returns faults that lose or delay all datagrams between the two for a time.
fn interruptions() -> TurmoilFaults {
    TurmoilFaults::none()
        .partitions()
        .paused_links()
        .begin_max(500 * MILLISECOND)
        .last_max(Duration::from_secs(2))
}

#[wavetank::test(seeds = 300, base_seed = 0x6119137aca4436d5)]
fn a_request_buys_once_despite_lost_datagrams(sim: &mut TurmoilSim) {
    sim.builder().fail_rate(0.2).repair_rate(0.5);
    sim.faults(interruptions());
    tickets(sim, Ledger::InOneStep, Takes::ItsOwn);
}

#[wavetank::test(seeds = 300, finds = "each request buys the next ticket, once")]
fn an_office_that_remembers_nothing_sells_twice(sim: &mut TurmoilSim) {
    sim.faults(interruptions());
    tickets(sim, Ledger::None, Takes::ItsOwn);
}

#[wavetank::test(
    seeds = 3000,
    finds = "each request buys the next ticket, once",
    base_seed = 0x0abda47c00ed2ad0
)]
fn an_office_with_two_steps_sells_twice(sim: &mut TurmoilSim) {
    sim.faults(interruptions());
    tickets(sim, Ledger::InTwoSteps, Takes::ItsOwn);
}

#[wavetank::test(
    seeds = 300,
    finds = "each request buys the next ticket, once",
    base_seed = 0xec774847c24f7433
)]
fn a_buyer_that_takes_any_answer_fails(sim: &mut TurmoilSim) {
    sim.faults(interruptions());
    tickets(sim, Ledger::InOneStep, Takes::Any);
}
