//! An allocator that counts: calls that hand out memory, and bytes that are in use.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static BYTES: AtomicI64 = AtomicI64::new(0);
static PEAK: AtomicI64 = AtomicI64::new(0);

/// The system's allocator, counting for the whole process: a multiplexer's work is spread over tasks and threads.
#[derive(Debug)]
pub struct CountingAllocator;

fn grow(bytes: usize) {
    ALLOCATIONS.fetch_add(1, Relaxed);
    BYTES.fetch_add(bytes as i64, Relaxed);
}

// SAFETY: every call is passed on to `System` unchanged; counting neither allocates nor unwinds.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grow(layout.size());
        // SAFETY: the caller's promises are those of `System::alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        grow(layout.size());
        // SAFETY: the caller's promises are those of `System::alloc_zeroed`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        grow(size);
        BYTES.fetch_sub(layout.size() as i64, Relaxed);
        // SAFETY: the caller's promises are those of `System::realloc`.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        BYTES.fetch_sub(layout.size() as i64, Relaxed);
        // SAFETY: the caller's promises are those of `System::dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// Returns how many allocations there were so far.
pub fn allocations() -> u64 {
    ALLOCATIONS.load(Relaxed)
}

/// Returns how many bytes are in use.
pub fn bytes_in_use() -> i64 {
    BYTES.load(Relaxed)
}

/// Takes what is in use now into account for [`peak`]. Not every allocation does so by itself: that would cost the
/// contenders that allocate.
pub fn note_peak() {
    PEAK.fetch_max(bytes_in_use(), Relaxed);
}

/// Forgets the peak so far.
pub fn reset_peak() {
    PEAK.store(bytes_in_use(), Relaxed);
}

/// Returns the most bytes that were in use when [`note_peak`] was called.
pub fn peak() -> i64 {
    PEAK.load(Relaxed)
}
