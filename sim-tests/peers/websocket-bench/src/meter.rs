//! What is measured around a stretch of work: wall time, the thread's processor time, its allocations.
//!
//! Everything is of the calling thread alone, so that a peer on another thread, or a busy machine, does not count as
//! work of the contender. Reading the clocks and counting do not allocate.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

/// The system's allocator, counting calls that may hand out memory, each thread for itself.
#[derive(Debug)]
pub struct CountingAllocator;

fn count() {
    // A thread that is being torn down has lost its counter, and no measurement needs it.
    let _ = ALLOCATIONS.try_with(|allocations| allocations.set(allocations.get() + 1));
}

// SAFETY: every call is passed on to `System` unchanged; counting neither allocates nor unwinds.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promises are those of `System::alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promises are those of `System::alloc_zeroed`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's promises are those of `System::realloc`.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are those of `System::dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

fn nanoseconds(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid place for the answer.
    let answer = unsafe { libc::clock_gettime(clock, &raw mut time) };
    assert_eq!(answer, 0, "Linux has this clock");
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Nanoseconds of the monotonic clock.
pub fn now() -> u64 {
    nanoseconds(libc::CLOCK_MONOTONIC)
}

/// What a stretch of work took.
#[derive(Debug, Clone, Default)]
pub struct Sample {
    /// Messages that were sent, received or echoed.
    pub messages: u64,
    /// Nanoseconds that passed.
    pub wall: u64,
    /// Nanoseconds that the thread was running, in user and kernel mode.
    pub processor: u64,
    /// Calls of the allocator.
    pub allocations: u64,
    /// Nanoseconds of every eighth round trip, where there are round trips one at a time.
    pub latencies: Vec<u64>,
}

impl Sample {
    /// Adds up two samples of the same work.
    pub fn add(&mut self, other: Self) {
        self.messages += other.messages;
        self.wall += other.wall;
        self.processor += other.processor;
        self.allocations += other.allocations;
        self.latencies.extend(other.latencies);
    }
}

/// A measurement under way.
#[derive(Debug)]
pub struct Meter {
    wall: u64,
    processor: u64,
    allocations: u64,
}

impl Meter {
    /// Starts measuring.
    pub fn start() -> Self {
        let allocations = ALLOCATIONS.with(Cell::get);
        Self { wall: now(), processor: nanoseconds(libc::CLOCK_THREAD_CPUTIME_ID), allocations }
    }

    /// Ends the measurement of `messages` messages.
    pub fn stop(self, messages: u64) -> Sample {
        Sample {
            processor: nanoseconds(libc::CLOCK_THREAD_CPUTIME_ID) - self.processor,
            wall: now() - self.wall,
            allocations: ALLOCATIONS.with(Cell::get) - self.allocations,
            messages,
            latencies: Vec::new(),
        }
    }
}
