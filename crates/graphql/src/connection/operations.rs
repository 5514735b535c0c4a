//! The operations of a connection: which ids are taken, and by which operation.
//!
//! An operation is called by a key, which names a slot and a generation of it. The key of an operation that has
//! ended is the key of no other.
//!
//! # Invariants
//!
//! - An id is taken from the start of its operation until it ends, and no longer.
//! - The slot of an operation that has ended stays until the last of its messages was taken by the transport, so
//!   that the client's `complete` finds them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::message::Id;

/// Names one operation of one connection, for as long as it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OperationKey {
    slot: u32,
    generation: u32,
}

impl OperationKey {
    /// Returns the slot: small numbers, which are used again.
    #[must_use]
    pub const fn slot(self) -> usize {
        self.slot as usize
    }
}

/// Whether a graceful end waits for an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A query, a mutation, or not known yet.
    Single,
    Subscription,
}

#[derive(Debug)]
struct Operation {
    id: Id,
    kind: Kind,
    active: bool,
    /// Messages of it in the outbox.
    queued: u32,
}

#[derive(Debug, Default)]
struct Slot {
    generation: u32,
    operation: Option<Operation>,
}

#[derive(Debug, Default)]
pub(super) struct Operations {
    slots: Vec<Slot>,
    free: Vec<u32>,
    active: BTreeMap<Arc<str>, OperationKey>,
    /// Ended, with messages in the outbox.
    ended: BTreeSet<OperationKey>,
    single: usize,
}

impl Operations {
    /// Returns how many operations are active.
    pub(super) fn len(&self) -> usize {
        self.active.len()
    }

    /// Returns how many operations are active that a graceful end waits for.
    pub(super) fn single(&self) -> usize {
        self.single
    }

    pub(super) fn find(&self, id: &str) -> Option<OperationKey> {
        self.active.get(id).copied()
    }

    /// Returns the operation of this id that has ended and whose messages wait: at most those of the outbox are
    /// looked at.
    pub(super) fn ended(&self, id: &str) -> Vec<OperationKey> {
        let of_id =
            |key: &&OperationKey| self.get(**key).is_some_and(|operation| operation.id.as_str() == id);
        self.ended.iter().filter(of_id).copied().collect()
    }

    /// Takes an id that is free.
    pub(super) fn start(&mut self, id: &str) -> (OperationKey, Id) {
        debug_assert!(!self.active.contains_key(id), "the id is free");
        let id = Id::new(id);
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
        });
        let place = &mut self.slots[slot as usize];
        place.operation = Some(Operation { id: id.clone(), kind: Kind::Single, active: true, queued: 0 });
        let key = OperationKey { slot, generation: place.generation };
        self.active.insert(Arc::clone(id.text()), key);
        self.single += 1;
        (key, id)
    }

    fn get(&self, key: OperationKey) -> Option<&Operation> {
        let slot = self.slots.get(key.slot())?;
        slot.operation.as_ref().filter(|_| slot.generation == key.generation)
    }

    fn get_mut(&mut self, key: OperationKey) -> Option<&mut Operation> {
        let slot = self.slots.get_mut(key.slot())?;
        slot.operation.as_mut().filter(|_| slot.generation == key.generation)
    }

    /// Returns the id of an active operation.
    pub(super) fn active_id(&self, key: OperationKey) -> Option<&Id> {
        self.get(key).filter(|operation| operation.active).map(|operation| &operation.id)
    }

    /// A message of it is in the outbox.
    pub(super) fn queued(&mut self, key: OperationKey) {
        if let Some(operation) = self.get_mut(key) {
            operation.queued += 1;
        }
    }

    /// A message of it has left the outbox.
    pub(super) fn unqueued(&mut self, key: OperationKey) {
        if let Some(operation) = self.get_mut(key) {
            operation.queued = operation.queued.saturating_sub(1);
            if operation.queued == 0 && !operation.active {
                self.free(key);
            }
        }
    }

    /// A graceful end does not wait for it.
    pub(super) fn is_subscription(&mut self, key: OperationKey) {
        if let Some(operation) = self.get_mut(key).filter(|operation| operation.active)
            && operation.kind == Kind::Single
        {
            operation.kind = Kind::Subscription;
            self.single -= 1;
        }
    }

    /// Ends an active operation: its id is free. Its messages stay in the outbox.
    pub(super) fn end(&mut self, key: OperationKey) {
        let Some(operation) = self.get_mut(key).filter(|operation| operation.active) else { return };
        operation.active = false;
        let (kind, queued, id) = (operation.kind, operation.queued, operation.id.clone());
        self.active.remove(id.as_str());
        self.single -= usize::from(kind == Kind::Single);
        if queued == 0 {
            self.free(key);
        } else {
            self.ended.insert(key);
        }
    }

    /// Forgets an operation whose messages are no longer in the outbox.
    pub(super) fn forget(&mut self, key: OperationKey) {
        self.end(key);
        if self.get(key).is_some() {
            self.free(key);
        }
    }

    fn free(&mut self, key: OperationKey) {
        self.ended.remove(&key);
        let slot = &mut self.slots[key.slot()];
        slot.operation = None;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(key.slot);
    }

    /// Returns `true` if messages of the operation are in the outbox.
    pub(super) fn has_queued(&self, key: OperationKey) -> bool {
        self.get(key).is_some_and(|operation| operation.queued > 0)
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}
