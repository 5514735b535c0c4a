//! async-channel: a bounded channel with several consumers.

crate::workloads::channel::usual_channel!("async-channel", async_channel::bounded, send, recv, |all| Some(
    all.clone()
));
