//! The real program, tested from outside. Table of contents:
//!
//! - `scenarios`: one story per file in `fixtures/scenarios`, against the fake server
//! - `check`: the findings about everything that a run depends on
//! - `after_clone`: the steps after the clone: settings, keys, disks, start and address, and runs that end in between
//! - `addresses`: what guest agents report, for many VMs and for one that moves
//! - `dry_run`: what a run would do, without doing it
//! - `ledger`: the files in which runs on one host leave records for each other
//! - `interrupted`: Ctrl-C and `kill`
//! - `outages`: a server that stops answering while a run waits
//! - `terminal`: the progress line, and what remains of it
//! - `trust`: TLS with the right and the wrong server, for each way to verify it
//! - `hosts`: several hosts, some of them dead
//! - `proxies`: a proxy from the environment, and one in front of the server
//! - `configuration`: options, environment and file, and errors in them
//! - `wire`: what a story cannot express: connections, compression, big clusters, exits
//! - `limits`: endless answers, and memory limits
//! - `recorded`: the fake server answers like the recorded real one
//! - `crowd`: many runs at once
//! - `chaos`: exactly one VM, whatever fails and whenever it fails
//! - `soak`: exactly one VM in random schedules of runs, faults and other users
//! - `homelab`: no output of a run contains a secret
//! - `skipped`: tests that need what a machine may lack
//! - `completions`: what bash, zsh and fish offer, and a user at a terminal
//! - `help`: the pages of `--help`, and the manual
//! - `usage`: wrong usage, and what to type instead
//! - `house`: the structure of `src`: layers, imports, file lengths
//! - `readme`: what the README shows is what the program does
//! - `cron`: the cron jobs of the README, run every night
//! - `manual`: the topics of the manual: their format and size, and that what they name exists

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot continue has failed"
)]

mod addresses;
mod after_clone;
mod chaos;
mod check;
mod completions;
mod configuration;
mod cron;
mod crowd;
mod demo;
mod dry_run;
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
mod ssh;
mod terminal;
mod today;
mod trust;
mod usage;
mod wire;
