//! Senders whose receiver has gone, receivers whose sender has, and requests to a loop that has ended.

use std::time::Duration;

use tokio::sync::{oneshot, watch};
use wavetank::Host;
use wavetank::runtime::Runtime;

use super::Version;
use super::tools::{Channel, is_set};

const MILLISECOND: Duration = Duration::from_millis(1);

/// A compactor is told of work before it runs: its channel has room for one message.
pub async fn cockroach_24808(host: Host, version: Version) {
    let work = Channel::buffered(1);
    let receiver = work.clone();
    let start = move || {
        let compact = async move { while receiver.receive().await.is_some() {} };
        host.spawn("compactor", compact)
    };
    if version == Version::Fixed {
        let compactor = start();
        work.send("a").await;
        work.send("b").await;
        work.close();
        let _ = compactor.await;
    } else {
        work.send("a").await;
        work.send("b").await;
        work.close();
        let _ = start().await;
    }
}

/// A consistency check sends its result to a caller that has already given up, unless it also looks at the end.
pub async fn cockroach_25456(host: Host, version: Version) {
    let results = Channel::unbuffered();
    let (end, ended) = watch::channel(false);
    let (own, end_of_check) = (results.clone(), ended.clone());
    let check = host.spawn("check", async move {
        tokio::select! {
            () = own.send("checksum") => {}
            () = is_set(end_of_check), if version == Version::Fixed => {}
        }
    });
    let caller = host.spawn("caller", async move {
        tokio::select! {
            _ = results.receive() => {}
            () = is_set(ended) => {}
        }
    });
    let stop = host.spawn("stop", async move { end.send_replace(true) });
    let _ = stop.await;
    let _ = caller.await;
    let _ = check.await;
}

/// A node's loop ends when it is stopped. A request for its status waits for the loop.
pub async fn etcd_6857(host: Host, version: Version) {
    let requests = Channel::unbuffered();
    let stops = Channel::unbuffered();
    let (end, ended) = watch::channel(false);
    let (own_requests, own_stops) = (requests.clone(), stops.clone());
    let node = host.spawn("node", async move {
        loop {
            tokio::select! {
                Some(answer) = own_requests.receive() => {
                    let answer: oneshot::Sender<u32> = answer;
                    let _ = answer.send(1);
                }
                Some(()) = own_stops.receive() => break,
            }
        }
        end.send_replace(true);
    });
    let status = host.spawn("status", async move {
        let (answer, answered) = oneshot::channel();
        tokio::select! {
            () = requests.send(answer) => {
                let _ = answered.await;
            }
            () = is_set(ended), if version == Version::Fixed => {}
        }
    });
    stops.send(()).await;
    let _ = node.await;
    let _ = status.await;
}

/// A reader waits for bytes or for the end of its stream. Closing the stream ends it without a message.
pub async fn grpc_1275(host: Host, version: Version) {
    let bytes: Channel<u8> = Channel::buffered(4);
    let own = bytes.clone();
    let reader = host.spawn("reader", async move { while own.receive().await.is_some() {} });
    let stream = bytes.clone();
    let closer = host.spawn("closer", async move {
        stream.send(1).await;
        if version == Version::Fixed {
            stream.close();
        }
    });
    let _ = closer.await;
    let _ = reader.await;
    drop(bytes);
}

/// A request that takes longer than its timeout sends its result to a channel that no task reads any more.
pub async fn kubernetes_5316(host: Host, version: Version) {
    let results = if version == Version::Buggy { Channel::unbuffered() } else { Channel::buffered(1) };
    let own = results.clone();
    host.spawn("request", async move {
        host.sleep(2 * MILLISECOND).await;
        own.send("result").await;
    });
    tokio::select! {
        _ = results.receive() => {}
        () = host.sleep(MILLISECOND) => {}
    }
}

/// A watcher that gets an error cancels itself and passes the error on, although its user may have stopped reading.
pub async fn kubernetes_25331(host: Host, version: Version) {
    let (errors, results) = (Channel::unbuffered(), Channel::unbuffered());
    let (cancel, cancelled) = watch::channel(false);
    let (own_errors, own_results, own_cancelled) = (errors.clone(), results.clone(), cancelled.clone());
    let watch = host.spawn("watch", async move {
        let cancelled_while_sending = own_cancelled.clone();
        tokio::select! {
            Some(error) = own_errors.receive() => tokio::select! {
                () = own_results.send(error) => {}
                () = is_set(cancelled_while_sending), if version == Version::Fixed => {}
            },
            () = is_set(own_cancelled) => {}
        }
    });
    let _detached = watch;
    errors.send("error").await;
    cancel.send_replace(true);
    drop((results, cancelled));
}

/// A watcher sends the events that it begins with before its user reads. The user stops it without reading.
pub async fn kubernetes_38669(host: Host, version: Version) {
    let events = if version == Version::Buggy { Channel::unbuffered() } else { Channel::buffered(2) };
    let (stop, stopped) = watch::channel(false);
    let own = events.clone();
    host.spawn("watcher", async move {
        for event in 1..=2 {
            own.send(event).await;
        }
        is_set(stopped).await;
    });
    stop.send_replace(true);
}

/// A function's result is sent to a caller that never receives it.
pub async fn moby_4395(host: Host, version: Version) {
    let results = if version == Version::Buggy { Channel::unbuffered() } else { Channel::buffered(1) };
    host.spawn("function", async move { results.send("error").await });
}

/// Two tasks report an error to a caller that receives one.
pub async fn moby_33293(host: Host, version: Version) {
    let errors = if version == Version::Buggy { Channel::unbuffered() } else { Channel::buffered(2) };
    for name in ["output", "input"] {
        let own = errors.clone();
        host.spawn(name, async move { own.send(name).await });
    }
    errors.receive().await;
}

/// A health probe sends its result to a monitor that was stopped meanwhile.
pub async fn moby_33781(host: Host, version: Version) {
    let stops = Channel::unbuffered();
    let own = stops.clone();
    let monitor = host.spawn("monitor", async move {
        loop {
            tokio::select! {
                _ = own.receive() => return,
                () = host.sleep(MILLISECOND) => {}
            }
            let results = Channel::unbuffered();
            let probe = results.clone();
            host.spawn("probe", async move { probe.send("healthy").await });
            tokio::select! {
                _ = own.receive() => {
                    if version == Version::Fixed {
                        results.receive().await;
                    }
                    return;
                }
                _ = results.receive() => {}
            }
        }
    });
    host.sleep(MILLISECOND).await;
    stops.send(()).await;
    let _ = monitor.await;
}
