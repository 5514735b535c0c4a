//! Bytes on their way from one OS process of the simulator to another: numbers and texts, one after the other.
//!
//! Both ends are the same program, so there is no version. What does not read back is a bug.

#![cfg(all(feature = "process", not(miri)))]

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

/// Writes values.
#[derive(Debug, Default)]
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    pub(crate) fn number(&mut self, value: u64) -> &mut Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    pub(crate) fn small(&mut self, value: u32) -> &mut Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    pub(crate) fn text(&mut self, value: &str) -> &mut Self {
        self.small(value.len() as u32);
        self.0.extend_from_slice(value.as_bytes());
        self
    }

    /// Writes a value that may be missing.
    pub(crate) fn maybe<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) -> &mut Self {
        self.small(u32::from(value.is_some()));
        if let Some(value) = value {
            write(self, value);
        }
        self
    }

    /// Writes values and their number.
    pub(crate) fn all<T>(
        &mut self,
        values: impl ExactSizeIterator<Item = T>,
        mut write: impl FnMut(&mut Self, T),
    ) -> &mut Self {
        self.small(values.len() as u32);
        values.for_each(|value| write(self, value));
        self
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

/// Reads what a [`Writer`] has written, in the same order.
///
/// # Panics
///
/// All methods panic where the bytes end too early: a bug of the simulator.
#[derive(Debug)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count);
        self.0 = rest;
        taken
    }

    pub(crate) fn number(&mut self) -> u64 {
        u64::from_le_bytes(*self.take(8).first_chunk().expect("eight bytes"))
    }

    pub(crate) fn small(&mut self) -> u32 {
        u32::from_le_bytes(*self.take(4).first_chunk().expect("four bytes"))
    }

    pub(crate) fn text(&mut self) -> String {
        let length = self.small() as usize;
        String::from_utf8_lossy(self.take(length)).into_owned()
    }

    /// Reads a text of which there are few, and which lives as long as the program.
    pub(crate) fn name(&mut self) -> &'static str {
        static KNOWN: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
        let text = self.text();
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.get(&*text) {
            return known;
        }
        let leaked: &'static str = Box::leak(text.into_boxed_str());
        known.insert(leaked);
        leaked
    }

    pub(crate) fn maybe<T>(&mut self, read: impl FnOnce(&mut Self) -> T) -> Option<T> {
        (self.small() == 1).then(|| read(self))
    }

    pub(crate) fn all<T, C: FromIterator<T>>(&mut self, mut read: impl FnMut(&mut Self) -> T) -> C {
        let count = self.small();
        (0..count).map(|_| read(self)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_read_back_in_order() {
        let mut writer = Writer::default();
        writer.number(u64::MAX).small(7).text("é").maybe(Some(3), |to, value| {
            to.small(value);
        });
        writer.maybe(None, |to, value| {
            to.small(value);
        });
        writer.all([1, 2].iter(), |to, value| {
            to.small(*value);
        });
        let bytes = writer.into_bytes();
        let mut reader = Reader::new(&bytes);
        assert_eq!((reader.number(), reader.small(), reader.text()), (u64::MAX, 7, "é".to_owned()));
        assert_eq!((reader.maybe(Reader::small), reader.maybe(Reader::small)), (Some(3), None));
        assert_eq!(reader.all::<_, Vec<u32>>(Reader::small), [1, 2]);
        assert!(reader.0.is_empty());
    }
}
