//! A small protocol over UDP that loses, repeats and reorders: stop and wait.
//!
//! The sender numbers its messages and repeats each one until it is acknowledged. The receiver acknowledges every
//! message and delivers only new ones. The code uses the runtime traits: the sender is a task, the receiver a thread.
//!
//! A sweep finds two wrong versions. One does not check for repetitions. The other checks only one bit of the number,
//! which suffices on a line that keeps the order (a wire), but not on UDP.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use wavetank::runtime::{
    BlockingDatagrams, BlockingUdpSocket, Datagrams, Runtime, SocketOptions, Std, ThreadHandle, Threads,
    Tokio, UdpSocket,
};
use wavetank::{Faults, Sim, Udp};

const MESSAGES: u8 = 5;

/// How long the sender waits for an acknowledgement.
const PATIENCE: Duration = Duration::from_millis(50);

/// How the receiver distinguishes a message from the one before.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Label {
    Number,
    Bit,
    /// Every message counts as new.
    None,
}

impl Label {
    const fn of(self, message: u8) -> u8 {
        match self {
            Self::Number | Self::None => message,
            Self::Bit => message & 1,
        }
    }
}

/// Sends the messages 0, 1, 2, ... to `receiver`, and repeats each until it is acknowledged.
async fn send_all<R: Datagrams>(world: R, receiver: SocketAddr, label: Label) -> io::Result<()> {
    let socket = world.bind_udp(SocketAddr::from(([0, 0, 0, 0], 0)), SocketOptions::new()).await?;
    for message in 0..MESSAGES {
        'sending: loop {
            socket.send_to(&[label.of(message), message], receiver).await?;
            let deadline = world.now() + PATIENCE;
            loop {
                let mut acknowledged = [0];
                tokio::select! {
                    biased;
                    received = socket.recv_from(&mut acknowledged) => received?,
                    () = world.sleep_until(deadline) => continue 'sending,
                };
                if acknowledged == [label.of(message)] {
                    break 'sending;
                }
            }
        }
        tracing::info!("{message} is acknowledged");
    }
    Ok(())
}

/// Acknowledges messages and delivers each new one, until `deliver` says that it was the last.
fn receive_all<S: BlockingUdpSocket>(
    socket: &S,
    label: Label,
    mut deliver: impl FnMut(u8) -> bool,
) -> io::Result<()> {
    let mut expected = 0;
    loop {
        let mut datagram = [0; 2];
        let (_, sender) = socket.recv_from(&mut datagram)?;
        let [labelled, message] = datagram;
        socket.send_to(&[labelled], sender)?;
        if label == Label::None || labelled == label.of(expected) {
            expected += 1;
            if deliver(message) {
                return Ok(());
            }
        }
    }
}

/// A sender and a receiver that checks its messages, on two hosts.
fn stop_and_wait(sim: &mut Sim, label: Label) {
    sim.server_thread("receiver", move |host| {
        let any = SocketAddr::from(([0, 0, 0, 0], 7));
        let socket = BlockingDatagrams::bind_udp(&host, any, SocketOptions::new())?;
        let mut next = 0;
        receive_all(&socket, label, |message| {
            assert_eq!(message, next, "exactly once, in order");
            next += 1;
            tracing::info!("{message} is delivered");
            false
        })
    });
    sim.client("sender", async move |host| {
        let receiver = Runtime::resolve(&host, "receiver", 7).await?[0];
        send_all(host, receiver, label).await
    });
}

/// No number is lost, repeated or reordered, whatever the network does.
#[wavetank::test(seeds = 1000, base_seed = 0x28e591da96ad96b3)]
fn numbered_messages_are_delivered_exactly_once(sim: &mut Sim) {
    sim.udp(Udp::unreliable().one_in(3));
    sim.faults(Faults::none().partitions().begin_max(PATIENCE * 2).last_max(PATIENCE * 100));
    stop_and_wait(sim, Label::Number);
}

#[wavetank::test(seeds = 1000, finds = "exactly once, in order", base_seed = 0x0da293c594302fd9)]
fn a_receiver_without_duplicate_check_delivers_twice(sim: &mut Sim) {
    sim.udp(Udp::unreliable());
    stop_and_wait(sim, Label::None);
}

/// The alternating bit needs a channel that keeps the order.
#[wavetank::test(seeds = 1000, base_seed = 0xade8ef36423ee81c)]
fn one_bit_suffices_for_an_ordered_network(sim: &mut Sim) {
    sim.udp(Udp::reliable().loss().one_in(3));
    stop_and_wait(sim, Label::Bit);
}

#[wavetank::test(seeds = 1000, finds = "exactly once, in order", base_seed = 0xf6247b4ee5c6bf47)]
fn one_bit_is_not_enough_with_reordering(sim: &mut Sim) {
    sim.udp(Udp::unreliable().one_in(3));
    stop_and_wait(sim, Label::Bit);
}

/// The same code on real sockets: a Tokio task sends to an OS thread.
#[test]
fn the_same_code_delivers_on_real_sockets() {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let socket = Std.bind_udp(any, SocketOptions::new()).expect("a free port");
    let address = socket.local_addr().expect("a socket has an address");
    let receiver = Std.spawn("receiver", move || {
        let mut delivered = Vec::new();
        let ended = receive_all(&socket, Label::Number, |message| {
            delivered.push(message);
            message + 1 == MESSAGES
        });
        ended.map(|()| delivered)
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(send_all(Tokio, address, Label::Number)).expect("every message is acknowledged");
    let delivered = receiver.expect("a thread").join().expect("it does not panic").expect("a live socket");
    assert_eq!(delivered, [0, 1, 2, 3, 4]);
}
