//! async-broadcast: every active receiver gets every value, and a full channel makes senders wait.

use std::sync::Arc;

use async_broadcast::{Receiver, RecvError, Sender, broadcast};
use wavetank::runtime::Runtime;
use wavetank::{Host, Sim};

use crate::subject::Subject;
use crate::workloads::{Patience, work};

pub(crate) const SUBJECTS: &[Subject] = &[Subject {
    package: "async-broadcast",
    name: "broadcast",
    workload: "a channel of 1 to 3 places, receivers that cancel, pause, or leave: each \
               gets all of each sender, in order",
    known: &[],
    body: senders_and_receivers,
}];

/// A value: the sender and its number. The [`Arc`] counts copies.
type Value = (u32, u32, Arc<()>);

#[derive(Clone, Copy, Debug)]
struct Plan {
    patience: Patience,
    count: u32,
    pause: u32,
    leaves_after: Option<u32>,
}

fn draw(sim: &mut Sim) -> Plan {
    Plan {
        patience: Patience::drawn(sim.choose("patience", Patience::KINDS)),
        count: 1 + sim.choose("values", 8),
        pause: sim.choose("pause", 3),
        leaves_after: match sim.choose("leaves after", 12) {
            after @ 8.. => Some(after - 8),
            _ => None,
        },
    }
}

async fn send(host: Host, index: u32, plan: Plan, sender: Sender<Value>, copies: Arc<()>) -> u32 {
    let mut sent = 0;
    for number in 0..plan.count {
        let value = (index, number, Arc::clone(&copies));
        match plan.patience.wait(host, sender.broadcast_direct(value)).await {
            Some(Ok(overflow)) => {
                assert!(overflow.is_none(), "the channel is not one that overflows");
                sent += 1;
            }
            Some(Err(_)) => break,
            None => {}
        }
        work(host, plan.pause).await;
    }
    sent
}

async fn receive(host: Host, plan: Plan, senders: u32, mut receiver: Receiver<Value>) -> Option<Vec<u32>> {
    let mut next = vec![None; senders as usize];
    let mut counts = vec![0; senders as usize];
    let mut total = 0;
    while plan.leaves_after != Some(total) {
        match plan.patience.wait(host, receiver.recv_direct()).await {
            Some(Ok((sender, number, _))) => {
                let last = &mut next[sender as usize];
                assert!(*last < Some(number), "{number} of sender {sender} comes after {last:?}");
                *last = Some(number);
                counts[sender as usize] += 1;
                total += 1;
            }
            Some(Err(RecvError::Closed)) => return Some(counts),
            Some(Err(RecvError::Overflowed(lost))) => panic!("{lost} values are lost"),
            None => {}
        }
        work(host, plan.pause).await;
    }
    None
}

fn senders_and_receivers(sim: &mut Sim) {
    let capacity = 1 + sim.choose("capacity", 3) as usize;
    let senders = 1 + sim.choose("senders", 3);
    let receivers = 1 + sim.choose("receivers", 3);
    let sending: Vec<Plan> = (0..senders).map(|_| draw(sim)).collect();
    let receiving: Vec<Plan> = (0..receivers).map(|_| draw(sim)).collect();
    sim.client("client", async move |host| {
        let copies = Arc::new(());
        let (sender, receiver) = broadcast(capacity);
        let mut receives = Vec::new();
        for plan in receiving {
            receives.push(host.spawn("receiver", receive(host, plan, senders, receiver.clone())));
        }
        drop(receiver);
        let mut sends = Vec::new();
        for (plan, index) in sending.into_iter().zip(0..) {
            let send = send(host, index, plan, sender.clone(), Arc::clone(&copies));
            sends.push((plan, host.spawn("sender", send)));
        }
        drop(sender);
        let mut sent = Vec::new();
        for (plan, task) in sends {
            sent.push((plan, task.await.expect("a task neither panics nor is aborted")));
        }
        for task in receives {
            let Some(counts) = task.await.expect("a task neither panics nor is aborted") else { continue };
            for ((plan, sent), count) in sent.iter().zip(counts) {
                assert!(count >= *sent, "{count} of {sent} values arrive");
                assert!(count <= plan.count, "{count} of {} values arrive", plan.count);
            }
        }
        assert_eq!(Arc::strong_count(&copies), 1, "values are left");
    });
}
