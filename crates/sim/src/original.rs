//! libc's own symbols, where the simulator defines symbols of the same names.

#![cfg(all(target_os = "linux", not(miri)))]
#![expect(unsafe_code, reason = "symbols are looked up by a call of libc")]

use std::ffi::CStr;
use std::sync::atomic::{AtomicPtr, Ordering};

use libc::c_void;

/// A symbol of libc, looked up when it is first needed. No lock is taken: any code may call libc.
pub(crate) struct Original {
    name: &'static CStr,
    known: AtomicPtr<c_void>,
}

impl Original {
    pub(crate) const fn new(name: &'static CStr) -> Self {
        Self { name, known: AtomicPtr::new(std::ptr::null_mut()) }
    }

    /// Returns the symbol. A statically linked program has none: then this is null.
    #[inline]
    pub(crate) fn find(&self) -> *mut c_void {
        let known = self.known.load(Ordering::Relaxed);
        if known.is_null() { self.look_up() } else { known }
    }

    /// Returns the symbol.
    ///
    /// # Panics
    ///
    /// If libc has none.
    #[inline]
    pub(crate) fn get(&self) -> *mut c_void {
        let found = self.find();
        assert!(!found.is_null(), "libc has {:?}", self.name);
        found
    }

    #[cold]
    fn look_up(&self) -> *mut c_void {
        // SAFETY: a plain symbol look-up, of a text that ends with a zero.
        let found = unsafe { libc::dlsym(libc::RTLD_NEXT, self.name.as_ptr()) };
        self.known.store(found, Ordering::Relaxed);
        found
    }
}
