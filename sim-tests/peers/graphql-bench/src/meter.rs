//! What is counted: allocations, bytes in use, processor time.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static BYTES: AtomicI64 = AtomicI64::new(0);

/// The system's allocator, counting for the whole process.
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

fn processor_time(clock: libc::clockid_t) -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is writable.
    let answer = unsafe { libc::clock_gettime(clock, &mut time) };
    assert_eq!(answer, 0, "the clock exists");
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Returns the processor time of this process, in seconds: of all its threads, and of nothing else on the machine.
pub fn process_seconds() -> f64 {
    processor_time(libc::CLOCK_PROCESS_CPUTIME_ID)
}
