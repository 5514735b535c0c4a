//! loole: a bounded channel with several consumers.

crate::workloads::channel::usual_channel!("loole", loole::bounded, send_async, recv_async, |all| Some(
    all.clone()
));
