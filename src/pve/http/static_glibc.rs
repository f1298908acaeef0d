//! A binary that carries glibc along must not load the host's name service modules, which belong to
//! another glibc: it crashes as soon as nsswitch.conf names one that is not built in.

#![allow(unsafe_code, reason = "glibc has no other way to say it")]

use std::ffi::{c_char, c_int};

unsafe extern "C" {
    fn __nss_configure_lookup(database: *const c_char, services: *const c_char) -> c_int;
}

/// Has to come before the first lookup of a name, and before there are other threads.
pub fn ask_files_and_dns_for_hosts() {
    // SAFETY: both are NUL-terminated and static, and no other thread runs yet.
    unsafe {
        __nss_configure_lookup(c"hosts".as_ptr(), c"files dns".as_ptr());
    }
}
