//! The thread-local memory of an OS thread: what it contains, and how many destructors were registered for it.

#![cfg_attr(
    all(target_os = "linux", not(miri), not(target_feature = "crt-static")),
    expect(
        unsafe_code,
        reason = "the thread-local memory of a thread is read, and calls of libc are counted"
    )
)]

use std::cell::Cell;
use std::ops::Range;

thread_local! {
    /// How many destructors and values of C this thread has registered.
    static REGISTERED: Cell<usize> = const { Cell::new(0) };
}

/// How many destructors and values of C this thread has registered.
pub(crate) fn registered() -> usize {
    REGISTERED.get()
}

/// Registers destructors and values of C without counting them.
pub(crate) fn uncounted<T>(f: impl FnOnce() -> T) -> T {
    let before = REGISTERED.get();
    let result = f();
    REGISTERED.set(before);
    result
}

/// Where a value is.
pub(crate) fn place_of<T>(value: &T) -> Range<usize> {
    let start = std::ptr::from_ref(value) as usize;
    start..start + size_of::<T>()
}

/// Where the value of this module is.
pub(crate) fn own() -> Range<usize> {
    REGISTERED.with(place_of)
}

#[cfg(not(all(target_os = "linux", not(miri), not(target_feature = "crt-static"))))]
mod system {
    use std::ops::Range;

    pub(crate) const fn block() -> Option<Range<usize>> {
        None
    }

    pub(crate) fn read(_: &Range<usize>) -> Vec<u8> {
        unreachable!("there is no block")
    }

    pub(crate) fn write(_: &Range<usize>, _: usize, _: u8) {}
}

#[cfg(all(target_os = "linux", not(miri), not(target_feature = "crt-static")))]
mod system {
    use std::ffi::{c_int, c_void};
    use std::ops::Range;

    use super::REGISTERED;
    use crate::original::Original;

    fn count() {
        let _ = REGISTERED.try_with(|registered| registered.set(registered.get() + 1));
    }

    type AtExit = unsafe extern "C" fn(unsafe extern "C" fn(*mut c_void), *mut c_void, *mut c_void) -> c_int;

    /// glibc's call by which thread-local values register their destructors, counted.
    ///
    /// # Safety
    ///
    /// As glibc's: `destructor` may be called with `value` when this thread ends, or before `library` is unloaded.
    #[unsafe(no_mangle)]
    unsafe extern "C" fn __cxa_thread_atexit_impl(
        destructor: unsafe extern "C" fn(*mut c_void),
        value: *mut c_void,
        library: *mut c_void,
    ) -> c_int {
        static REAL: Original = Original::new(c"__cxa_thread_atexit_impl");
        count();
        // SAFETY: libc's symbol of this name has this signature.
        let real = unsafe { std::mem::transmute::<*mut c_void, AtExit>(REAL.get()) };
        // SAFETY: the arguments are passed on as they came.
        unsafe { real(destructor, value, library) }
    }

    type SetSpecific = unsafe extern "C" fn(libc::pthread_key_t, *const c_void) -> c_int;

    /// libc's `pthread_setspecific(3)`, by which C code keeps values for a thread, counted.
    ///
    /// # Safety
    ///
    /// As libc's.
    #[unsafe(no_mangle)]
    unsafe extern "C" fn pthread_setspecific(key: libc::pthread_key_t, value: *const c_void) -> c_int {
        static REAL: Original = Original::new(c"pthread_setspecific");
        count();
        // SAFETY: libc's symbol of this name has this signature.
        let real = unsafe { std::mem::transmute::<*mut c_void, SetSpecific>(REAL.get()) };
        // SAFETY: the arguments are passed on as they came.
        unsafe { real(key, value) }
    }

    /// The thread-local memory of the program on the current thread. `None` if a library other than those of the system
    /// has some, too.
    pub(crate) fn block() -> Option<Range<usize>> {
        struct Found {
            block: Option<Range<usize>>,
            is_known: bool,
        }
        unsafe extern "C" fn look(info: *mut libc::dl_phdr_info, _: usize, found: *mut c_void) -> c_int {
            // SAFETY: the loader passes a valid description with this many headers, and `block` its own value.
            let (info, found) = unsafe { (&*info, &mut *found.cast::<Found>()) };
            // SAFETY: as above.
            let headers = unsafe { std::slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum.into()) };
            let Some(header) = headers.iter().find(|header| header.p_type == libc::PT_TLS) else { return 0 };
            // SAFETY: the loader passes a name that ends with a zero.
            let name = unsafe { std::ffi::CStr::from_ptr(info.dlpi_name) }.to_bytes();
            if name.is_empty() && found.block.is_none() {
                let start = info.dlpi_tls_data as usize;
                found.block = (start != 0).then(|| start..start + header.p_memsz as usize);
            } else if !name.windows(8).any(|part| part == b"/libc.so" || part == b"ld-linux") {
                found.is_known = false;
            }
            0
        }
        let mut found = Found { block: None, is_known: true };
        // SAFETY: the callback keeps nothing.
        unsafe { libc::dl_iterate_phdr(Some(look), std::ptr::from_mut(&mut found).cast()) };
        found.block.filter(|_| found.is_known)
    }

    /// Copies a block of the current thread.
    pub(crate) fn read(block: &Range<usize>) -> Vec<u8> {
        let mut bytes = vec![0; block.len()];
        // SAFETY: callers pass what `block` returned on this thread, which is mapped while the thread lives. A call
        // copies it that the compiler does not look into, so padding is bytes like others.
        unsafe { libc::memcpy(bytes.as_mut_ptr().cast(), block.start as *const c_void, block.len()) };
        bytes
    }

    /// Sets a byte of a block of the current thread.
    ///
    /// # Safety
    ///
    /// The byte is part of a plain number without a destructor, in a cell that no code borrows.
    pub(crate) unsafe fn write(block: &Range<usize>, offset: usize, byte: u8) {
        assert!(offset < block.len(), "inside of the block");
        // SAFETY: the address is in this thread's block, by what this function asks for.
        unsafe { std::ptr::write_volatile((block.start + offset) as *mut u8, byte) };
    }
}

pub(crate) use system::{block, read, write};
