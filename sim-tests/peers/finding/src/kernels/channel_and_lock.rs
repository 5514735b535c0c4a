//! A task sends to a channel under a lock that the receiver needs first.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use wavetank::Host;
use wavetank::runtime::Runtime;

use super::Version;
use super::tools::Channel;

/// A balancer sends addresses under its lock. The receiver takes the lock for each connection that it closes.
pub async fn grpc_1353(host: Host, version: Version) {
    let addresses = Channel::unbuffered();
    let lock = Arc::new(Mutex::new(()));
    let (own, own_lock) = (addresses.clone(), lock.clone());
    let balancer = host.spawn("balancer", async move {
        for address in 0..3 {
            let mut guard = Some(own_lock.lock().await);
            if version == Version::Fixed {
                guard.take();
            }
            own.send(address).await;
        }
        own.close();
    });
    let watcher = host.spawn("watcher", async move {
        while addresses.receive().await.is_some() {
            for _connection in 0..2 {
                drop(lock.lock().await);
            }
        }
    });
    let _ = balancer.await;
    let _ = watcher.await;
}

/// A multiplexer sends to its watchers under its lock. A watcher that stops takes the lock, and reads no more.
pub async fn kubernetes_1321(host: Host, version: Version) {
    let results = Channel::unbuffered();
    let watchers = Arc::new(Mutex::new(true));
    let (own, own_watchers) = (results.clone(), watchers.clone());
    let distribute = host.spawn("distribute", async move {
        for event in 0..2 {
            let watchers = own_watchers.lock().await;
            if *watchers {
                own.send(event).await;
            }
        }
    });
    let drain = results.clone();
    let drain = host
        .spawn("drain", async move { while version == Version::Fixed && drain.receive().await.is_some() {} });
    let stop = host.spawn("stop", async move {
        *watchers.lock().await = false;
    });
    let _ = stop.await;
    let _ = distribute.await;
    results.close();
    let _ = drain.await;
}

/// A frame is written under a lock, which resets a timer through a channel. The timer's task needs the lock to end.
pub async fn kubernetes_6632(host: Host, version: Version) {
    let (resets, closes) = (Channel::unbuffered(), Channel::unbuffered());
    let is_open = Arc::new(Mutex::new(true));
    let (own_resets, own_closes, own_open) = (resets.clone(), closes.clone(), is_open.clone());
    let monitor = host.spawn("monitor", async move {
        loop {
            tokio::select! {
                _ = own_resets.receive() => {}
                _ = own_closes.receive() => break,
            }
        }
        if version == Version::Fixed {
            // Takes what a writer still sends while it holds the lock.
            let drain = async { while own_resets.receive().await.is_some() {} };
            tokio::select! {
                () = drain => {}
                mut is_open = own_open.lock() => *is_open = false,
            }
        } else {
            *own_open.lock().await = false;
        }
    });
    let write = host.spawn("write", async move {
        let is_open = is_open.lock().await;
        if *is_open {
            resets.send(()).await;
        }
    });
    closes.send(()).await;
    let _ = monitor.await;
    let _ = write.await;
}

/// Setting a status sends it under the lock. The receiver takes the lock between two messages.
pub async fn kubernetes_10182(host: Host, version: Version) {
    let statuses = Channel::unbuffered();
    let lock = Arc::new(Mutex::new(()));
    let (own, own_lock) = (statuses.clone(), lock.clone());
    let synchronise = host.spawn("synchronise", async move {
        for _ in 0..2 {
            own.receive().await;
            drop(own_lock.lock().await);
        }
    });
    let set = |name| {
        let (own, own_lock) = (statuses.clone(), lock.clone());
        host.spawn(name, async move {
            let mut guard = Some(own_lock.lock().await);
            if version == Version::Fixed {
                guard.take();
            }
            own.send(name).await;
        })
    };
    let setters = [set("first"), set("second")];
    for setter in setters {
        let _ = setter.await;
    }
    let _ = synchronise.await;
}

/// A container's health monitor takes the container's lock for each probe. Stopping it sends under that lock.
pub async fn moby_28462(host: Host, version: Version) {
    let stops = Channel::unbuffered();
    let container = Arc::new(Mutex::new(()));
    let (own, own_container) = (stops.clone(), container.clone());
    let monitor = host.spawn("monitor", async move {
        loop {
            tokio::select! {
                _ = own.receive() => return,
                () = host.sleep(Duration::from_millis(1)) => drop(own_container.lock().await),
            }
        }
    });
    let change = host.spawn("change", async move {
        host.sleep(Duration::from_millis(1)).await;
        let mut guard = Some(container.lock().await);
        if version == Version::Fixed {
            guard.take();
        }
        stops.send(()).await;
    });
    let _ = change.await;
    let _ = monitor.await;
}
