//! Ctrl-C and `kill`: the first one is answered, a second one ends the run at once.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::iterator::Signals;

/// From now on calls `answer` in a thread of its own when SIGINT or SIGTERM arrives, with the exit
/// code that says so: 130 or 143.
pub fn on_first_signal(answer: impl FnOnce(u8) + Send + 'static) -> io::Result<()> {
    let is_second = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // In this order: the first signal must not find the flag set by itself.
        flag::register_conditional_shutdown(signal, i32::from(code(signal)), is_second.clone())?;
        flag::register(signal, is_second.clone())?;
    }
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    thread::spawn(move || {
        if let Some(signal) = signals.forever().next() {
            answer(code(signal));
        }
    });
    Ok(())
}

fn code(signal: i32) -> u8 {
    match signal {
        SIGTERM => 143,
        _ => 130,
    }
}
