//! Exactly one VM, and exactly that VM, in random schedules of runs, faults and other users.
//!
//! Each schedule is derived from a seed: a cluster, one to four runs of the real program that may overlap,
//! be killed or be interrupted, faults of single requests, and other users who create, delete, move, start
//! and rename VMs at the worst moments. In every fourth schedule runs create templates from images, and VMs
//! from these. In half of the others runs only create VMs; in the rest they also delete, start, stop and
//! reboot them, and the cluster loses its quorum. Nothing depends on the clock: everything happens at a
//! certain request of a certain run. Once all faults are over, a clean run of the last command for each name
//! must succeed or say what a person must decide.
//!
//! - `SOAK_SEED=N`: only that schedule, with all details
//! - `SOAK_FROM=N`, `SOAK_COUNT=N`: this many schedules from that seed on
//! - `SOAK_STEP=N`: only every Nth of these; with 4, and from seed 3 on, all create templates

mod changes;
mod director;
mod imports;
mod life;
mod play;
mod promises;
mod schedule;
mod templates;
mod truths;
mod verdict;

use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use self::schedule::Schedule;
use self::verdict::IN_TIME;

/// Few enough for every `make test`.
const COUNT: u64 = 200;
const WORKERS: usize = 4;
/// More failures than this teach nothing new.
const MOST_FAILURES: usize = 20;

#[test]
fn one_vm_in_random_schedules() {
    let number = |name: &str| {
        let text = std::env::var(name).ok().filter(|text| !text.is_empty());
        text.map(|text| text.parse::<u64>().expect("a number"))
    };
    if let Some(seed) = number("SOAK_SEED") {
        let (violations, details) = attempt(seed);
        say(&format!("{details}\n"));
        assert!(violations.is_empty(), "{}", violations.join("\n"));
        return;
    }
    let from = number("SOAK_FROM").unwrap_or(0);
    let seeds = from..from + number("SOAK_COUNT").unwrap_or(COUNT);
    let step = number("SOAK_STEP").unwrap_or(1);
    let next = AtomicU64::new(from);
    let failures = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(step, Ordering::SeqCst);
                    let failed = failures.lock().expect("no panic").len();
                    if !seeds.contains(&seed) || failed >= MOST_FAILURES {
                        break;
                    }
                    let (violations, details) = attempt(seed);
                    if !violations.is_empty() {
                        let text = format!("=== {}\n{details}", violations.join("\n=== "));
                        say(&format!("seed {seed}: {}\n", violations.join(" || ")));
                        failures.lock().expect("no panic").push((seed, text));
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().expect("no panic");
    say(&format!("played schedules {seeds:?}\n"));
    let Some((seed, text)) = failures.iter().min() else {
        return;
    };
    let seeds: Vec<u64> = failures.iter().map(|(seed, _)| *seed).collect();
    panic!("{text}\nschedules {seeds:?} failed; again: make soak SEED={seed}");
}

/// The violations of a schedule, and all details. A violation that may be caused by a busy machine counts
/// only if it occurs three times.
fn attempt(seed: u64) -> (Vec<String>, String) {
    let schedule = Schedule::of(seed);
    let mut tries = 0;
    loop {
        tries += 1;
        let played = catch_unwind(AssertUnwindSafe(|| play::play(&schedule)));
        let Ok((violations, details)) = played else {
            return (vec!["the test panicked".to_owned()], schedule.to_string());
        };
        let is_late = |what: &String| what.contains(IN_TIME);
        if violations.is_empty() || tries == 3 || !violations.iter().all(is_late) {
            return (violations, format!("{schedule}{details}"));
        }
    }
}

fn say(text: &str) {
    io::stdout().write_all(text.as_bytes()).expect("stdout");
}
