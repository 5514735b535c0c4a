//! Where a process has its code, data and stacks: at other addresses in each process, unless the environment asks for
//! the same ones (`WAVETANK_ASLR=0`).
//!
//! The kernel places a process when it starts. So a process that is to have fixed addresses starts itself once more,
//! before anything of it has run.

#[cfg(all(target_os = "linux", target_env = "gnu", not(miri)))]
mod linux {
    #![expect(unsafe_code, reason = "runs before `main`, where only libc's calls may be used")]

    use libc::{c_char, c_int};

    type BeforeMain = extern "C" fn(c_int, *const *const c_char, *const *const c_char);

    /// Asks for the personality of this process, and changes nothing.
    const ASK: libc::c_ulong = 0xffff_ffff;

    // glibc passes the arguments of `main` to what this section lists.
    #[used]
    #[unsafe(link_section = ".init_array")]
    static BEFORE_MAIN: BeforeMain = before_main;

    extern "C" fn before_main(_: c_int, arguments: *const *const c_char, environment: *const *const c_char) {
        // SAFETY: plain calls of libc; the lists are those that the process was started with. Where one fails, the
        // process goes on as it is, and the settings complain.
        unsafe {
            let asked_for = libc::getenv(c"WAVETANK_ASLR".as_ptr());
            if asked_for.is_null() || libc::strcmp(asked_for, c"0".as_ptr()) != 0 || super::are_fixed() {
                return;
            }
            let fixed = libc::personality(ASK) | libc::ADDR_NO_RANDOMIZE;
            if libc::personality(fixed as libc::c_ulong) != -1 {
                libc::execve(c"/proc/self/exe".as_ptr(), arguments, environment);
            }
        }
    }

    pub(super) fn are_fixed() -> bool {
        // Keeps the linker from leaving the list's entry out.
        std::hint::black_box(&raw const BEFORE_MAIN);
        // SAFETY: only asks.
        let personality = unsafe { libc::personality(ASK) };
        personality & libc::ADDR_NO_RANDOMIZE != 0
    }
}

/// Whether this process has the same addresses as every other one of its program.
pub(crate) fn are_fixed() -> bool {
    #[cfg(all(target_os = "linux", target_env = "gnu", not(miri)))]
    return linux::are_fixed();
    #[cfg(not(all(target_os = "linux", target_env = "gnu", not(miri))))]
    false
}
