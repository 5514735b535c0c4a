//! The hook itself, and its state on each OS thread.
//!
//! The call of an edge is an ordinary C call, so the compiler saves what it needs around it. Most calls find that the
//! hook is off, or that the site does not count or was already passed. They take a few instructions, in assembly,
//! because Rust code here would be instrumented like any other and call the hook again.

#![expect(
    unsafe_code,
    reason = "the hook is called from compiled code, and its state lies in thread-local memory"
)]

use std::cell::RefCell;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use super::super::{UNSIMULATED, as_simulator};
use super::{SCHEDULING, SPIN_EDGES, Site, Spent, find_out, may_stop};

/// Whether a site counts.
const UNKNOWN: u8 = 0;
const COUNTED: u8 = 1;
const LEFT_OUT: u8 = 2;

/// The state of the hook on one OS thread. The assembly below knows the order of its fields.
#[repr(C)]
struct State {
    /// For each site, the last grant in which it was reached. Null while the hook is off.
    reached: *mut u32,
    /// For each site, whether it counts.
    classes: *const AtomicU8,
    /// The number of the present grant.
    grant: u32,
    /// How many sites of the grant are left.
    left: u32,
    /// How many edges are left until the running code counts as spinning.
    edges: u64,
    /// `reached`, also while the hook is off.
    kept: *mut u32,
}

std::arch::global_asm!(
    ".pushsection .tbss.wavetank_blocks,\"awT\",@nobits",
    ".p2align 3",
    "wavetank_blocks_tls: .zero {size}",
    ".popsection",
    ".pushsection .text.wavetank_blocks,\"ax\",@progbits",
    // Weak: where something else defines these symbols, as fuzzers do, that is used.
    ".weak __sanitizer_cov_trace_pc_guard",
    ".type __sanitizer_cov_trace_pc_guard,@function",
    "__sanitizer_cov_trace_pc_guard:",
    "mov rax, qword ptr [rip + wavetank_blocks_tls@gottpoff]",
    "mov rcx, qword ptr fs:[rax + {reached}]",
    "test rcx, rcx",
    "je 2f",
    "mov edx, dword ptr [rdi]",
    "mov rsi, qword ptr fs:[rax + {classes}]",
    "cmp byte ptr [rsi + rdx], {counted}",
    "jb 3f",
    "ja 2f",
    "dec qword ptr fs:[rax + {edges}]",
    "je 3f",
    "mov esi, dword ptr fs:[rax + {grant}]",
    "cmp dword ptr [rcx + 4*rdx], esi",
    "je 2f",
    "mov dword ptr [rcx + 4*rdx], esi",
    "mov qword ptr fs:[rax + {edges}], {spin}",
    "dec dword ptr fs:[rax + {left}]",
    "je 3f",
    "2: ret",
    // Off, before anything that is instrumented runs.
    "3: mov qword ptr fs:[rax + {reached}], 0",
    "mov rsi, qword ptr [rsp]",
    "jmp {slow}",
    ".size __sanitizer_cov_trace_pc_guard, . - __sanitizer_cov_trace_pc_guard",
    ".weak __sanitizer_cov_trace_pc_guard_init",
    ".type __sanitizer_cov_trace_pc_guard_init,@function",
    "__sanitizer_cov_trace_pc_guard_init: jmp {init}",
    ".size __sanitizer_cov_trace_pc_guard_init, . - __sanitizer_cov_trace_pc_guard_init",
    ".globl wavetank_blocks_state",
    ".hidden wavetank_blocks_state",
    ".type wavetank_blocks_state,@function",
    "wavetank_blocks_state:",
    "mov rax, qword ptr [rip + wavetank_blocks_tls@gottpoff]",
    "add rax, qword ptr fs:[0]",
    "ret",
    ".size wavetank_blocks_state, . - wavetank_blocks_state",
    ".popsection",
    size = const size_of::<State>(),
    reached = const std::mem::offset_of!(State, reached),
    classes = const std::mem::offset_of!(State, classes),
    grant = const std::mem::offset_of!(State, grant),
    left = const std::mem::offset_of!(State, left),
    edges = const std::mem::offset_of!(State, edges),
    counted = const COUNTED,
    spin = const SPIN_EDGES,
    slow = sym slow,
    init = sym number_sites,
);

unsafe extern "C" {
    fn wavetank_blocks_state() -> *mut State;
}

/// The sites of the program and of the libraries that it was started with.
static SITES: AtomicU32 = AtomicU32::new(0);

/// Whether each site counts. The first belongs to sites without a number.
static CLASSES: OnceLock<Box<[AtomicU8]>> = OnceLock::new();

/// The tables of OS threads that have ended, with their last grants.
static POOL: Mutex<Vec<(Box<[u32]>, u32)>> = Mutex::new(Vec::new());

/// The most tables that are kept.
const POOLED_MAX: usize = 16;

/// Called before main for every library, with the numbers of its sites, all 0.
///
/// # Safety
///
/// `start` and `end` are the bounds of an array that nothing else uses.
unsafe extern "C" fn number_sites(start: *mut u32, end: *mut u32) {
    // SAFETY: not empty, so the first number is there.
    if start == end || unsafe { start.read() } != 0 || CLASSES.get().is_some() {
        return;
    }
    let mut site = start;
    while site < end {
        // SAFETY: between the bounds.
        unsafe { site.write(SITES.fetch_add(1, Ordering::Relaxed) + 1) };
        // SAFETY: at most the end.
        site = unsafe { site.add(1) };
    }
}

/// Returns `true` if the build is instrumented.
pub(crate) fn is_instrumented() -> bool {
    SITES.load(Ordering::Relaxed) > 0
}

fn classes() -> &'static [AtomicU8] {
    CLASSES.get_or_init(|| {
        let mut classes: Box<[AtomicU8]> =
            (0..=SITES.load(Ordering::Relaxed)).map(|_| AtomicU8::new(UNKNOWN)).collect();
        *classes[0].get_mut() = LEFT_OUT;
        classes
    })
}

/// The table of an OS thread.
struct Table {
    reached: Box<[u32]>,
    grant: u32,
}

thread_local! {
    static TABLE: RefCell<Option<Table>> = const { RefCell::new(None) };
}

impl Table {
    fn take() -> Self {
        let pooled = POOL.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let (reached, grant) = pooled.unwrap_or_else(|| (vec![0; classes().len()].into(), 0));
        Self { reached, grant }
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        stop();
        let mut pool = POOL.lock().unwrap_or_else(PoisonError::into_inner);
        if pool.len() < POOLED_MAX {
            pool.push((std::mem::take(&mut self.reached), self.grant));
        }
    }
}

/// Switches the hook on, and calls the scheduler after `sites` more sites, or when the running code spins.
pub(crate) fn grant(sites: u32) {
    let known = TABLE.try_with(|table| {
        let mut table = table.borrow_mut();
        let table = table.get_or_insert_with(Table::take);
        if table.grant == u32::MAX {
            table.reached.fill(0);
            table.grant = 0;
        }
        table.grant += 1;
        (table.reached.as_mut_ptr(), table.grant)
    });
    let Ok((reached, number)) = known else { return };
    let classes = classes().as_ptr();
    // SAFETY: this OS thread's own state, which only it uses. What it points to lives until the OS thread ends,
    // and then `Table::drop` switches the hook off. Sites are below the length of both arrays (`number_sites`).
    unsafe {
        let state = wavetank_blocks_state();
        state.write(State {
            reached: std::ptr::null_mut(),
            classes,
            grant: number,
            left: sites,
            edges: SPIN_EDGES,
            kept: reached,
        });
        (*state).reached = reached;
    }
}

/// Switches the hook off.
pub(crate) fn stop() {
    // SAFETY: this OS thread's own state.
    unsafe { (*wavetank_blocks_state()).reached = std::ptr::null_mut() };
}

/// Switches the hook on again, as it was.
fn go_on() {
    // SAFETY: this OS thread's own state. `kept` is what `reached` was.
    unsafe {
        let state = wavetank_blocks_state();
        (*state).reached = (*state).kept;
    }
}

/// The state of the hook, set aside while other code runs on this OS thread.
pub(crate) struct Aside(State);

/// Switches the hook off and returns its state.
pub(crate) fn set_aside() -> Aside {
    // SAFETY: this OS thread's own state, of plain values.
    let aside = Aside(unsafe { wavetank_blocks_state().read() });
    stop();
    aside
}

impl Drop for Aside {
    fn drop(&mut self) {
        let Self(state) = self;
        // SAFETY: this OS thread's own state, and what it points to lives as long as the thread.
        unsafe {
            wavetank_blocks_state().write(State {
                reached: state.reached,
                classes: state.classes,
                grant: state.grant,
                left: state.left,
                edges: state.edges,
                kept: state.kept,
            });
        }
    }
}

/// What the hook does if a site is new, or something is used up. The hook is off. `address` is where the call returns.
///
/// # Safety
///
/// Called by the hook alone.
unsafe extern "C" fn slow(site: *const u32, address: usize) {
    let Some(&scheduling) = SCHEDULING.get() else { return };
    let here = 0_u8;
    // Signal handlers never run tested code, and must not take locks.
    if !(scheduling.is_on_stack)(std::ptr::from_ref(&here) as usize) {
        return go_on();
    }
    // SAFETY: the hook passes on the address of the site's number.
    let site = unsafe { site.read() };
    let class = &classes()[site as usize];
    // SAFETY: this OS thread's own state.
    let state = unsafe { &mut *wavetank_blocks_state() };
    if state.left != 0 && state.edges != 0 {
        // The site was not known. Meanwhile another OS thread may have looked it up.
        if class.load(Ordering::Relaxed) == UNKNOWN {
            let mut is_counted = false;
            as_simulator(|| (scheduling.apart)(&mut || is_counted = find_out(site, address)));
            class.store(if is_counted { COUNTED } else { LEFT_OUT }, Ordering::Relaxed);
        }
        if class.load(Ordering::Relaxed) == LEFT_OUT {
            return go_on();
        }
        // SAFETY: `kept` has a place for each site.
        unsafe { state.kept.add(site as usize).write(state.grant) };
        state.edges = SPIN_EDGES;
        state.left -= 1;
        if state.left != 0 {
            return go_on();
        }
    }
    let spent = if state.left == 0 { Spent::Sites } else { Spent::Spins };
    state.edges = SPIN_EDGES;
    if spent == Spent::Sites {
        let is_real = UNSIMULATED.try_with(std::cell::Cell::get).unwrap_or(1) > 0;
        if is_real || !as_simulator(|| may_stop(scheduling)) {
            // At the next new site, then.
            state.left = 1;
            return go_on();
        }
    }
    (scheduling.spent)(spent, Site(site));
}
