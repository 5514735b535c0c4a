//! What addresses belong to, in memory that OS processes of one program share.
//!
//! To look an address up, a process first reads the program's symbols, which takes longer than a thousand runs. A run
//! in an OS process of its own would do that anew for each panic.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::Place;

/// Addresses of a program, and what each belongs to. Zeroes are an empty table.
pub(crate) struct Known([Entry; Self::SIZE]);

struct Entry {
    /// 0 is none.
    address: AtomicU64,
    /// The places from the innermost out, four bits each, and a bit that says that they are written.
    places: AtomicU32,
}

impl Known {
    const SIZE: usize = 4096;
    const WRITTEN: u32 = 1 << 31;
    const PLACES_MAX: usize = 7;
}

const PLACES: [Place; 5] = [Place::Catch, Place::Std, Place::Begin, Place::Tokio, Place::Other];

static KNOWN: OnceLock<&'static Known> = OnceLock::new();

/// Has this process look into `known` before it looks an address up.
pub(crate) fn share(known: &'static Known) {
    let _ = KNOWN.set(known);
}

fn entry(address: usize) -> Option<&'static Entry> {
    let known = KNOWN.get()?;
    Some(&known.0[(address.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) % Known::SIZE])
}

pub(super) fn places(address: usize) -> Option<Vec<Place>> {
    let entry = entry(address).filter(|entry| entry.address.load(Ordering::Acquire) == address as u64)?;
    let mut places = entry.places.load(Ordering::Acquire);
    if places & Known::WRITTEN == 0 {
        return None;
    }
    places &= !Known::WRITTEN;
    let mut all = Vec::new();
    while places > 0 {
        all.push(PLACES[(places & 0xf) as usize - 1]);
        places >>= 4;
    }
    Some(all)
}

/// Keeps what an address belongs to, unless its place in the table is taken.
pub(super) fn keep(address: usize, places: &[Place]) {
    let Some(entry) = entry(address).filter(|_| places.len() <= Known::PLACES_MAX) else { return };
    let taken = entry.address.compare_exchange(0, address as u64, Ordering::AcqRel, Ordering::Acquire);
    if taken.is_err() {
        return;
    }
    let number = |place: &Place| 1 + PLACES.iter().position(|known| known == place).unwrap_or(0) as u32;
    let packed = places.iter().rev().fold(0, |packed, place| packed << 4 | number(place));
    entry.places.store(packed | Known::WRITTEN, Ordering::Release);
}
