//! flume: a bounded channel with several consumers.

crate::workloads::channel::usual_channel!("flume", flume::bounded, send_async, recv_async, |all| Some(
    all.clone()
));
