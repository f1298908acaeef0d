//! A binary linked statically with glibc must not load the host's name service modules, which belong
//! to another glibc: it would crash if nsswitch.conf names one that is not built in.

#![allow(unsafe_code, reason = "glibc has no other way to configure this")]

use std::ffi::{c_char, c_int};
use std::sync::Once;

unsafe extern "C" {
    fn __nss_configure_lookup(database: *const c_char, services: *const c_char) -> c_int;
}

/// Restricts host name lookups to files and DNS. Must be called before the first lookup.
pub fn configure_host_lookup() {
    static CONFIGURED: Once = Once::new();

    // SAFETY: both strings are NUL-terminated and static. `Once` admits one caller, and every thread
    // calls this before it looks up a name, so no lookup runs at the same time.
    CONFIGURED.call_once(|| unsafe {
        __nss_configure_lookup(c"hosts".as_ptr(), c"files dns".as_ptr());
    });
}
