//! What became of each value that a test put in: the oracle of nothing lost, nothing doubled, nothing left behind.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The fate of one value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Fate {
    accepted: bool,
    received: u32,
    dropped: u32,
}

/// Notes the fate of every [`Item`]. Clones share the notes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    fates: Arc<Mutex<BTreeMap<u64, Fate>>>,
}

/// A value under observation: its id, and the ledger that notes its end.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) id: u64,
    ledger: Ledger,
}

impl Drop for Item {
    fn drop(&mut self) {
        let mut fates = self.ledger.lock();
        fates.entry(self.id).or_default().dropped += 1;
    }
}

impl Ledger {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Fate>> {
        self.fates.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a value. Ids must differ.
    pub(crate) fn item(&self, id: u64) -> Item {
        let before = self.lock().insert(id, Fate::default());
        assert!(before.is_none(), "the workload uses id {id} twice");
        Item { id, ledger: self.clone() }
    }

    /// Notes that the crate under test took the value.
    pub(crate) fn accept(&self, id: u64) {
        self.lock().entry(id).or_default().accepted = true;
    }

    /// Notes that the value came out.
    pub(crate) fn receive(&self, item: Item) {
        let mut fates = self.lock();
        let fate = fates.entry(item.id).or_default();
        fate.received += 1;
        assert_eq!(fate.received, 1, "{} is received twice", item.id);
        assert_eq!(fate.dropped, 0, "{} is received after it was dropped", item.id);
        drop(fates);
    }

    /// Counts the values that were taken and have not come out.
    pub(crate) fn pending(&self) -> usize {
        self.lock().values().filter(|fate| fate.accepted && fate.received == 0).count()
    }

    /// Checks that every value was dropped once, when the crate under test is gone.
    pub(crate) fn nothing_is_left(&self) {
        for (id, fate) in self.lock().iter() {
            assert_eq!(fate.dropped, 1, "{id} is dropped {} times", fate.dropped);
        }
    }

    /// Checks that every value that was taken came out.
    pub(crate) fn nothing_is_lost(&self) {
        for (id, fate) in self.lock().iter() {
            assert!(!fate.accepted || fate.received == 1, "{id} was accepted and is lost");
        }
    }
}
