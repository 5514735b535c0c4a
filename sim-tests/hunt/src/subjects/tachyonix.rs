//! tachyonix: a bounded channel with one consumer.

crate::workloads::channel::usual_channel!("tachyonix", tachyonix::channel, send, recv, |_| None);
