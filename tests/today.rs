//! The day on which the tests run, as the program writes it.

use std::time::SystemTime;

use x509_cert::der::DateTime;

pub(crate) fn today() -> String {
    let now = DateTime::from_system_time(SystemTime::now()).unwrap();
    format!("{:04}-{:02}-{:02}", now.year(), now.month(), now.day())
}
