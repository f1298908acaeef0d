//! SIGINT and SIGTERM: the first signal is handled; if that hangs, a later one ends the run at once.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::iterator::Signals;

/// `timeout` and some shells send each signal twice, to the process and to its group.
const SAME_SIGNAL: Duration = Duration::from_secs(1);

/// From now on calls `answer` in a thread of its own when the first SIGINT or SIGTERM arrives, with its exit
/// code: 130 or 143.
pub fn on_first_signal(answer: impl FnOnce(i32) + Send + 'static) -> io::Result<()> {
    let is_second = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        flag::register_conditional_shutdown(signal, code(signal), is_second.clone())?;
    }
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    thread::spawn(move || {
        if let Some(signal) = signals.forever().next() {
            thread::spawn(move || {
                thread::sleep(SAME_SIGNAL);
                is_second.store(true, Ordering::SeqCst);
            });
            answer(code(signal));
        }
    });
    Ok(())
}

fn code(signal: i32) -> i32 {
    match signal {
        SIGTERM => 143,
        _ => 130,
    }
}
