//! Plays a schedule with the real program, then checks that a clean run with `--ensure` succeeds.

use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::director::{Director, DirectorWatcher, Ended, Run, lock};
use super::schedule::{Order, Schedule, Verb, token};
use super::verdict::{self, IN_TIME};
use crate::fake_pve::{Cluster, FakePve, Setup};
use crate::homelab::{Homelab, Seen, Signal, StateDir};

/// A run that exceeds its timeout by this much hangs.
const PATIENCE: Duration = Duration::from_secs(8);
/// Long enough for a clean run on a busy machine, and short enough for one that must wait for its time
/// limit.
const CLEAN_TIMEOUTS: [f64; 2] = [1.5, 8.0];

/// The server does not know this task.
const NO_TASK: &str = "UPID:pve1:000001E0:00002710:6A1B2C3D:qmclone:9000:root@pam!none:";

type End = (usize, Seen);

struct Scene {
    fake: FakePve,
    state: StateDir,
    director: Arc<Mutex<Director>>,
    /// Ended runs, by number.
    ends: (Sender<End>, Receiver<End>),
}

/// The violations, and all details.
pub(super) fn play(schedule: &Schedule) -> (Vec<String>, String) {
    let setup: Setup = serde_json::from_value(schedule.cluster.clone()).expect("a setup");
    let fake = FakePve::start(setup);
    let director = Arc::new(Mutex::new(Director::of(schedule, &fake.cluster())));
    fake.watch(DirectorWatcher(director.clone()));
    let state = StateDir::new();
    let scene = Scene {
        fake,
        state,
        director,
        ends: mpsc::channel(),
    };
    scene.play_all(schedule.runs.len());
    scene.end_faults(schedule.settles);
    for order in verdict::clean_orders(&schedule.runs) {
        scene.clean_run(&order);
    }
    scene.end_faults(true);
    let cluster = scene.fake.cluster();
    let mut director = lock(&scene.director);
    for run in 0..director.runs.len() {
        let name = director.runs[run].order.name;
        director.records.insert(name, scene.state.record(name));
    }
    verdict::at_the_end(&mut director, &cluster);
    let details = details(&director, &cluster);
    (std::mem::take(&mut director.violations), details)
}

impl Scene {
    /// Each run begins at a certain request of the one before, or when that has ended.
    fn play_all(&self, count: usize) {
        for next in 0..count {
            loop {
                let may_begin = {
                    let director = lock(&self.director);
                    let before = next.checked_sub(1).map(|before| &director.runs[before]);
                    let at = director.runs[next].order.begins_at;
                    let all_ended = director.runs[..next].iter().all(|run| run.ended.is_some());
                    all_ended
                        || before
                            .zip(at)
                            .is_some_and(|(before, at)| before.sent() >= at)
                };
                if may_begin {
                    break;
                }
                self.wait_for_an_end(Duration::from_millis(1));
            }
            self.begin(next);
        }
        self.wait_for_all();
    }

    fn wait_for_all(&self) {
        while lock(&self.director).runs.iter().any(Run::is_running) {
            self.wait_for_an_end(Duration::from_millis(100));
        }
    }

    fn begin(&self, run: usize) {
        let last_clone = {
            let cluster = self.fake.cluster();
            cluster.tasks.last().map(|task| task.upid.clone())
        };
        let mut director = lock(&self.director);
        let order = &mut director.runs[run].order;
        if order.verb == Verb::Cancel {
            order.upid = Some(last_clone.unwrap_or_else(|| NO_TASK.to_owned()));
        }
        let homelab = Homelab::at(&self.fake)
            .in_state(&self.state)
            .with_token_id(&token(run));
        let order = &director.runs[run].order;
        let homelab = match order.disk {
            Some(bytes) => homelab.with_disk_size(bytes),
            None => homelab,
        };
        let running = homelab.start(&order.command_line());
        let process = running.process().try_into().ok().and_then(Pid::from_raw);
        let process = pidfd_open(process.expect("a process"), PidfdFlags::empty());
        director.runs[run].process = Some(process.expect("Linux 5.3"));
        director.runs[run].started = Some(Instant::now());
        let ends = self.ends.0.clone();
        thread::spawn(move || ends.send((run, running.wait())));
    }

    fn wait_for_an_end(&self, at_most: Duration) {
        if let Ok((run, seen)) = self.ends.1.recv_timeout(at_most) {
            let cluster = self.fake.cluster();
            let mut director = lock(&self.director);
            let at = director.now;
            let started = director.runs[run].started.expect("it was started");
            director.log.push(format!(
                "     run {run} ends: {:?} {}",
                seen.exit,
                seen.stdout.trim()
            ));
            director.runs[run].ended = Some(Ended {
                seen,
                at,
                after: started.elapsed(),
            });
            verdict::of_run(&mut director, &cluster, run);
            return;
        }
        let mut director = lock(&self.director);
        for run in 0..director.runs.len() {
            let it = &director.runs[run];
            let most = Duration::from_secs_f64(it.order.timeout) + PATIENCE;
            let hangs =
                it.is_running() && it.started.is_some_and(|started| started.elapsed() > most);
            if hangs && it.ended_by != Some(Signal::KILL) && director.end(run, Signal::KILL) {
                director.violate(format!("run {run} did not end {IN_TIME} and hangs"));
            }
        }
    }

    fn end_faults(&self, settles: bool) {
        let mut cluster = self.fake.cluster();
        let mut director = lock(&self.director);
        director.end_faults(&mut cluster);
        drop(cluster);
        director.log.push(format!(
            "     faults end; everything is finished: {settles}"
        ));
        if settles {
            drop(director);
            self.fake.finish_all();
            let cluster = self.fake.cluster();
            let mut director = lock(&self.director);
            director.record_new_vms(&cluster);
            director.check_deeds(&cluster);
            director.check_image_deeds(&cluster);
            director.check_strangers(&cluster);
            director.record_state(&cluster);
        }
    }

    /// A run that times out on a busy machine gets more time before it is judged.
    fn clean_run(&self, order: &Order) {
        for timeout in CLEAN_TIMEOUTS {
            let order = Order {
                timeout,
                ..order.clone()
            };
            let run = {
                let mut director = lock(&self.director);
                director.runs.push(Run::of(order));
                director.runs.len() - 1
            };
            self.begin(run);
            self.wait_for_all();
            let mut director = lock(&self.director);
            if !verdict::is_timeout(&director, run) || timeout == CLEAN_TIMEOUTS[1] {
                drop(director);
                let cluster = self.fake.cluster();
                director = lock(&self.director);
                verdict::of_clean_run(&mut director, &cluster, run);
                return;
            }
        }
    }
}

fn details(director: &Director, cluster: &Cluster) -> String {
    let mut details = Vec::new();
    for (number, run) in director.runs.iter().enumerate() {
        details.push(format!("run {number}: {}", run.order.command_line()));
        if let Some(Ended { seen, after, .. }) = &run.ended {
            details.push(format!("exit {:?} after {after:?}", seen.exit));
            details.push(format!("{}{}", seen.stderr, seen.stdout));
        }
    }
    details.push("journal:".to_owned());
    details.extend(director.log.iter().cloned());
    for guest in cluster.guests.values() {
        let config = serde_json::to_string(&guest.config).expect("JSON");
        let (vmid, node, maker) = (guest.vmid, &guest.node, &guest.maker);
        details.push(format!(
            "{vmid} on {node}, by {maker:?}, {}: {config}",
            guest.status
        ));
    }
    details.join("\n")
}
