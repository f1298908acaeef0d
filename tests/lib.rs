//! What the real program does, seen from outside. Table of contents:
//!
//! - `scenarios`: one story per file of `fixtures/scenarios`, against the fake server
//! - `check`: what is said of everything that a run depends on
//! - `afterwards`: settings, keys and disks, the start and the address, and runs that end in between
//! - `addresses`: what guest agents report, of many VMs and of one that moves
//! - `ledger`: the files in which runs on one host leave records for each other
//! - `interrupted`: Ctrl-C and `kill`
//! - `outages`: a server that stops answering while a run waits
//! - `terminal`: the line that changes, and what is left of it
//! - `trust`: TLS with the right and the wrong server, for each way to trust one
//! - `hosts`: several hosts, some of them dead
//! - `proxies`: a proxy that the environment names, and one in front of the server
//! - `configuration`: flags, environment and file, and what is wrong with them
//! - `wire`: what no story can say: connections, compression, big clusters, endings
//! - `limits`: answers without end, and what they may cost
//! - `recorded`: the fake server answers like the recorded real one
//! - `crowd`: many runs at once
//! - `chaos`: exactly one VM, whatever happens and whenever it happens
//! - `soak`: exactly one VM in random schedules of runs, faults and other users
//! - `homelab`: whatever a run writes, no secret is in it
//! - `skipped`: tests that need what a machine may lack
//! - `completions`: what bash, zsh and fish offer, and a user at a terminal
//! - `help`: the pages of `--help`, and the manual
//! - `usage`: wrong usage, and what to type instead
//! - `house`: the structure of `src`: rooms, imports, file lengths
//! - `readme`: what the README shows is what happens
//! - `manual`: the topics of the manual: their format and size, and that what they name exists

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on has failed"
)]

mod addresses;
mod afterwards;
mod chaos;
mod check;
mod completions;
mod configuration;
mod crowd;
mod demo;
mod fake_pve;
mod help;
mod homelab;
mod hosts;
mod house;
mod interrupted;
mod ledger;
mod limits;
mod manual;
mod outages;
mod proxies;
mod readme;
mod recorded;
mod recording;
mod scenarios;
mod shells;
mod skipped;
mod soak;
mod terminal;
mod today;
mod trust;
mod usage;
mod wire;
