//! From a VM that is there to one that is all that it shall be: settings, disks, start, address.
//!
//! Each step looks first, and asks for nothing that is so already. So a step whose answer was lost is
//! simply taken again, and so is a whole run.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::error::Error;
use super::run::{Ready, Run};
use super::unfinished::Cause;
use super::wanted::DiskSize;
use super::work::{Request, Work};
use crate::ledger::Claim;
use crate::pve::{self, best_address};
use crate::say::stage::{Step, Unfinished};
use crate::settings::Change;
use crate::ui::progress::Activity;
use crate::wait::{GaveUp, Look};

/// What is done for a VM that is there.
pub struct Steps<'r> {
    /// The run that does it.
    pub run: &'r Run<'r>,
    /// How large its disks shall be at least.
    pub sizes: &'r [DiskSize<'r>],
    /// What runs leave word of for each other.
    pub claim: &'r mut Claim,
}

impl Steps<'_> {
    /// Takes each step that is not taken yet.
    pub fn take(self, mut ready: Ready) -> Result<Ready, Error> {
        let wanted = &self.run.plan.wanted;
        if !wanted.settings.is_empty() {
            let mut note = self.run.noted(self.claim, ready.vmid);
            let set = self.step(Step::Configure, &mut ready, |work| {
                self.configure(work, &note.set)
            })?;
            if !set.is_subset(&note.set) {
                note.set.extend(set);
                self.run.remember(self.claim.note(note));
            }
        }
        for (disk, size) in self.sizes {
            let step = Step::Enlarge((*disk).to_owned(), *size);
            self.step(step, &mut ready, |work| self.enlarge(work, (disk, *size)))?;
        }
        if wanted.start {
            self.step(Step::Start, &mut ready, |work| self.start(work))?;
        }
        if wanted.address {
            let address = self.step(Step::Address, &mut ready, |work| self.address(work))?;
            ready.ip = Some(address);
        }
        Ok(ready)
    }

    fn step<T>(
        &self,
        step: Step,
        ready: &mut Ready,
        take: impl FnOnce(&mut Work) -> Result<T, Cause>,
    ) -> Result<T, Error> {
        let unfinished = self.run.unfinished(ready, step);
        let mut work = Work::new(self.run, unfinished);
        let taken = take(&mut work);
        ready.warnings.append(&mut work.warnings);
        taken.map_err(|cause| Error::Unfinished {
            unfinished: work.unfinished,
            cause: Box::new(cause),
        })
    }

    /// The options that are set by then and cannot be read back, of which `known` are set already.
    fn configure(
        &self,
        work: &mut Work,
        known: &BTreeSet<String>,
    ) -> Result<BTreeSet<String>, Cause> {
        let settings = &self.run.plan.wanted.settings;
        let mut is_told = false;
        let mut unreadable = BTreeSet::new();
        work.until_it_is_so(|work| {
            let there = work.config()?;
            unreadable = settings.unreadable(&there).map(str::to_owned).collect();
            let changes = settings.changes(&there, known);
            if changes.is_empty() {
                return Ok(None);
            }
            if !is_told {
                is_told = true;
                self.tell(work, &Activity::Configuring(&listed(&changes)));
            }
            let digest = there.option("digest").map(str::to_owned);
            Ok(Some(Request::Configure { changes, digest }))
        })?;
        Ok(unreadable)
    }

    /// A disk that is larger was made so by somebody, and stays so.
    fn enlarge(&self, work: &mut Work, (disk, size): DiskSize) -> Result<(), Cause> {
        let mut is_told = false;
        work.until_it_is_so(|work| {
            let there = work.config()?.size_of(disk);
            if there.is_some_and(|there| there >= size) {
                return Ok(None);
            }
            if !is_told {
                is_told = true;
                self.tell(work, &Activity::Enlarging(disk, size));
            }
            Ok(Some(Request::Enlarge(disk.to_owned(), size)))
        })?;
        Ok(())
    }

    fn start(&self, work: &mut Work) -> Result<(), Cause> {
        let mut is_told = false;
        let is_started = work.until_it_is_so(|work| {
            if work.is_running()? {
                return Ok(None);
            }
            if !is_told {
                is_told = true;
                self.tell(work, &Activity::Starting);
            }
            Ok(Some(Request::Start))
        })?;
        if is_started {
            self.see_it_running(work)?;
        }
        Ok(())
    }

    /// The task that starts a VM is over before it is certain that the guest does not fall over.
    fn see_it_running(&self, work: &Work) -> Result<(), Cause> {
        let budget = self.run.server.budget;
        let until = budget.clock.elapsed() + budget.a_while();
        let vm = &work.unfinished.vm;
        let seen = self.run.server.watch(|pve| {
            Ok(if pve.is_running(&vm.node, vm.vmid)? {
                Look::Done(true)
            } else if budget.clock.elapsed() >= until {
                Look::Done(false)
            } else {
                Look::NotYet
            })
        });
        match seen {
            Ok(true) => Ok(()),
            Ok(false) => Err(Cause::NotRunning {
                upid: work.unfinished.upid.clone(),
            }),
            Err(gave_up) => Err(work.not_seen(gave_up)),
        }
    }

    /// The first address that others can use. While there is only an IPv6 one, an IPv4 one is waited
    /// for a while: DHCP may take longer than a router's advertisement.
    fn address(&self, work: &mut Work) -> Result<IpAddr, Cause> {
        let config = work.config()?;
        if !config.has_agent() {
            return Err(Cause::NoAgent);
        }
        self.tell(work, &Activity::AwaitingAddress);
        let macs = config.macs();
        let vm = &work.unfinished.vm;
        let budget = self.run.server.budget;
        let now = || budget.clock.elapsed();
        let a_while = budget.a_while();
        let (mut second_best, mut off_since, mut last) = (None, None, None);
        let seen = self.run.server.watch(|pve| {
            let words = match pve.interfaces(&vm.node, vm.vmid) {
                Ok(interfaces) => {
                    off_since = None;
                    match best_address(&interfaces, &macs) {
                        Some(address) if address.is_ipv4() => return Ok(Look::Done(Ok(address))),
                        Some(address) => {
                            let (_, since) = *second_best.get_or_insert((address, now()));
                            if now() >= since + a_while {
                                return Ok(Look::Done(Ok(address)));
                            }
                        }
                        None => second_best = None,
                    }
                    "the guest has none yet".to_owned()
                }
                Err(pve::Error::Refused {
                    status: 500, words, ..
                }) => words,
                Err(error) => return Err(error),
            };
            if words.starts_with("No QEMU guest agent configured") {
                return Ok(Look::Done(Err(Cause::NoAgent)));
            }
            if words.starts_with("VM ") && words.ends_with(" is not running") {
                let since = *off_since.get_or_insert_with(now);
                if now() >= since + a_while {
                    return Ok(Look::Done(Err(Cause::RunsNoMore)));
                }
            }
            last = Some(words);
            Ok(Look::NotYet)
        });
        match (seen, second_best) {
            (Ok(found), _) => found,
            (Err(GaveUp::TimeIsUp(_)), Some((address, _))) => Ok(address),
            (Err(gave_up), _) => Err(because(work, gave_up, last)),
        }
    }

    fn tell(&self, work: &Work, doing: &Activity) {
        let Unfinished { vm, created, .. } = &work.unfinished;
        self.run.progress.doing(vm, *created, doing);
    }
}

/// Why the looking ended; `last` is what the last look found, if it did not fail.
fn because(work: &Work, gave_up: GaveUp<pve::Error>, last: Option<String>) -> Cause {
    match gave_up {
        GaveUp::TimeIsUp(unseen) => work.time_is_up(unseen.map(|error| error.to_string()).or(last)),
        GaveUp::Failed(error) => work.not_done(error),
    }
}

fn listed(changes: &[Change]) -> String {
    let shown: Vec<&str> = changes.iter().map(|change| change.shown.as_str()).collect();
    shown.join(", ")
}
