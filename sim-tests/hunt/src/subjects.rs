//! The crates under test. One file for each.

use crate::subject::Subject;

mod async_broadcast;
mod async_channel;
mod async_lock;
mod bb8;
mod crossfire;
mod deadpool;
mod event_listener;
mod flume;
mod futures_util;
mod hyper;
mod kanal;
mod loole;
mod mea;
mod postage;
mod tachyonix;
mod tokio_util;
mod tower;

/// Returns all subjects, in the order of the table.
pub(crate) fn all() -> Vec<Subject> {
    [
        async_broadcast::SUBJECTS,
        async_channel::SUBJECTS,
        async_lock::SUBJECTS,
        bb8::SUBJECTS,
        crossfire::SUBJECTS,
        deadpool::SUBJECTS,
        event_listener::SUBJECTS,
        flume::SUBJECTS,
        futures_util::SUBJECTS,
        hyper::SUBJECTS,
        kanal::SUBJECTS,
        loole::SUBJECTS,
        mea::SUBJECTS,
        postage::SUBJECTS,
        tachyonix::SUBJECTS,
        tokio_util::SUBJECTS,
        tower::SUBJECTS,
    ]
    .concat()
}
