//! Exactly one template, whatever fails and whenever it fails: it is made by us, can be cloned and has the
//! content of the image, or the error says what is there.
//!
//! - `kinds`: VMs and templates of the same name

mod conversions;
mod imports;
mod kinds;
mod orders;
mod testbed;
