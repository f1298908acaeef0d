//! One file per verb, and the session that each verb runs in.
//!
//! - A verb returns its result or its failure and prints neither; only `check` prints findings as it goes.
//! - The end of a run is printed once, here, and the exit code is chosen here.
//! - Two threads may end the run: the main thread with the verb's result, and the signal thread with what
//!   is certain when a signal arrives. The first one locks the output, prints, and exits the process; the
//!   other waits for that exit. Only a second signal, a second or more later, does not wait: it exits at
//!   once.

#![allow(clippy::disallowed_methods, reason = "the one place that ends a run")]

mod change;
mod check;
pub mod complete;
mod container_list;
mod creation;
mod guest_list;
mod lookup;
mod signals;
mod task_cancel;
mod task_wait;
mod template_create;
mod template_list;
mod vm_create;
mod vm_delete;
mod vm_list;
mod vm_reboot;
mod vm_show;
mod vm_shutdown;
mod vm_ssh;
mod vm_start;
mod vm_stop;

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::exit;
use std::sync::Arc;
use std::time::Duration;

use console::Term;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use crate::cli::{
    ContainerVerb, Noun, Proxmox, Seconds, TaskVerb, TemplateVerb, VmVerb, WrongUsage,
};
use crate::config::{self, Configuration};
use crate::pve::{self, Access, Event, Pve};
use crate::say::failure::{Facts, Failure, Kind};
use crate::say::hint::hint_for_one_of;
use crate::say::stage::Stage;
use crate::ui::progress::{Progress, Verbosity, say, warn};
use crate::ui::table::Style;
use crate::ui::text::{clean, json};
use crate::wait::server::Server;
use crate::wait::{Budget, SystemClock};

/// Runs a command and exits.
pub fn run(command: &Proxmox) -> ! {
    let session = |failed_to: Option<&'static str>, json: bool, quiet: bool| Session {
        connection: command,
        clock: SystemClock::start(),
        quiet,
        end: End {
            failed_to,
            json,
            // 'check' prints its own findings.
            progress: Arc::new(Progress::new(verbosity(json, quiet || failed_to.is_none()))),
        },
    };
    match &command.noun {
        Noun::Template(template) => match &template.verb {
            TemplateVerb::List(arguments) => {
                session(Some("list templates"), arguments.json, false).run(template_list::run)
            }
            TemplateVerb::Create(arguments) => {
                session(Some("create template"), arguments.json, arguments.quiet)
                    .run(|session| template_create::run(session, arguments))
            }
        },
        Noun::Vm(vm) => run_vm(&vm.verb, session),
        Noun::Container(container) => match &container.verb {
            ContainerVerb::List(arguments) => {
                session(Some("list containers"), arguments.json, false)
                    .run(|session| container_list::run(session, arguments))
            }
        },
        Noun::Task(task) => match &task.verb {
            TaskVerb::Wait(arguments) => {
                session(Some("wait for the task"), arguments.json, arguments.quiet)
                    .run(|session| task_wait::run(session, arguments))
            }
            TaskVerb::Cancel(arguments) => {
                session(Some("cancel the task"), arguments.json, arguments.quiet)
                    .run(|session| task_cancel::run(session, arguments))
            }
        },
        Noun::Check(arguments) => {
            session(None, arguments.json, false).run(|session| check::run(session, arguments))
        }
    }
}

/// Runs a command about VMs and exits.
fn run_vm<'c>(
    verb: &VmVerb,
    session: impl FnOnce(Option<&'static str>, bool, bool) -> Session<'c>,
) -> ! {
    match verb {
        VmVerb::List(arguments) => session(Some("list VMs"), arguments.json, false)
            .run(|session| vm_list::run(session, arguments)),
        VmVerb::Show(arguments) => session(Some("show VM"), arguments.json, false)
            .run(|session| vm_show::run(session, arguments)),
        // What it prints is ssh's.
        VmVerb::Ssh(arguments) => session(Some("connect to VM"), false, true)
            .run(|session| vm_ssh::run(session, arguments)),
        VmVerb::Create(arguments) => session(Some("create VM"), arguments.json, arguments.quiet)
            .run(|session| vm_create::run(session, arguments)),
        VmVerb::Start(arguments) => session(Some("start VM"), arguments.json, arguments.quiet)
            .run(|session| vm_start::run(session, arguments)),
        VmVerb::Shutdown(arguments) => {
            session(Some("shut down VM"), arguments.json, arguments.quiet)
                .run(|session| vm_shutdown::run(session, arguments))
        }
        VmVerb::Stop(arguments) => session(Some("stop VM"), arguments.json, arguments.quiet)
            .run(|session| vm_stop::run(session, arguments)),
        VmVerb::Reboot(arguments) => session(Some("reboot VM"), arguments.json, arguments.quiet)
            .run(|session| vm_reboot::run(session, arguments)),
        VmVerb::Delete(arguments) => session(Some("delete VM"), arguments.json, arguments.quiet)
            .run(|session| vm_delete::run(session, arguments)),
    }
}

/// Prints text on stdout and exits.
pub fn print_and_exit(text: String) -> ! {
    End::quiet(false).end(Ok(Success {
        output: text.into_bytes(),
        ..Success::default()
    }))
}

/// Exits because the command line is wrong.
pub fn exit_with_wrong_usage(wrong: &WrongUsage, json: bool) -> ! {
    let failure = wrong.failure();
    End::quiet(json).print_failure(&wrong.lines(), &failure);
    exit(exit_code(failure.kind))
}

/// The width to which text on stdout is wrapped.
pub fn columns() -> usize {
    const PIPE_WIDTH: u16 = 80;
    let terminal = io::stdout().is_terminal().then(|| Term::stdout().size().1);
    terminal.unwrap_or(PIPE_WIDTH).into()
}

/// The settings from options, environment and file.
fn configuration(options: &Proxmox) -> Result<Configuration, config::Error> {
    let flags = config::Flags {
        host: options.host.clone(),
        config: options.config.clone(),
        ca_file: options.ca_file.clone(),
        fingerprint: options.fingerprint.clone(),
        insecure: options.insecure,
        request_timeout: options.request_timeout.map(|Seconds(timeout)| timeout),
    };
    config::load(&flags, &|name| std::env::var_os(name))
}

/// What a verb runs with.
pub struct Session<'c> {
    connection: &'c Proxmox,
    /// The time since the run began.
    pub clock: SystemClock,
    quiet: bool,
    end: End,
}

impl Session<'_> {
    /// Reports what the verb is doing, and what is certain.
    pub fn progress(&self) -> &Progress {
        &self.end.progress
    }

    /// Whether the result is one JSON document.
    pub fn json(&self) -> bool {
        self.end.json
    }

    /// The configuration. Prints warnings on stderr about settings that are probably mistakes.
    pub fn configuration(&self) -> Result<Configuration, Failure> {
        let configuration =
            configuration(self.connection).map_err(|error| config_failure(&error))?;
        for warning in &configuration.warnings {
            warn(warning);
        }
        Ok(configuration)
    }

    /// The directory of the ledger.
    pub fn state_directory() -> Result<PathBuf, Failure> {
        let directory = config::state_directory(&|name| std::env::var_os(name));
        directory.map_err(|error| config_failure(&error))
    }

    /// A client that prints its requests with `--verbose`. No request outlives `timeout`.
    pub fn client(&self, access: &Access, timeout: Option<Duration>) -> Result<Pve, pve::Error> {
        let deadline = timeout.map(|timeout| self.clock.after(timeout));
        let pve = Pve::new(access, deadline)?;
        let (verbose, hosts) = (self.connection.verbose, access.endpoints.len());
        let progress = self.end.progress.clone();
        Ok(pve.observed_by(Box::new(move |event| match event {
            Event::Exchange(line) if verbose => progress.say(line),
            Event::Exchange(_) => {}
            Event::HostSkipped(error) => report_skipped_host(error, hosts, &progress),
        })))
    }

    /// As [`Session::client`]; an error is the failure of the verb.
    pub fn connect(&self, access: &Access, timeout: Option<Duration>) -> Result<Pve, Failure> {
        let pve = self.client(access, timeout);
        pve.map_err(|error| Failure::of_request(&error))
    }

    /// A server to which requests are repeated until the time limit.
    pub fn server<'s>(
        &'s self,
        pve: &'s Pve,
        timeout: Seconds,
        poll_interval: Seconds,
    ) -> Server<'s> {
        let budget = Budget {
            clock: &self.clock,
            total: timeout.0,
            interval: poll_interval.0,
        };
        self.with_budget(pve, budget)
    }

    /// A server to which each request is sent once.
    pub fn server_for_one_try<'s>(&'s self, pve: &'s Pve) -> Server<'s> {
        self.with_budget(pve, Budget::for_one_try(&self.clock))
    }

    fn with_budget<'s>(&'s self, pve: &'s Pve, budget: Budget<'s>) -> Server<'s> {
        Server {
            pve,
            budget,
            progress: self.progress(),
        }
    }

    /// From now on the first SIGINT or SIGTERM ends the run and prints what is certain at that moment; if no VM
    /// was requested, it calls `clean_up` first.
    pub fn handle_signals(&self, clean_up: impl Fn() + Send + 'static) {
        let end = self.end.clone();
        let answer = move |code| {
            // Held until the exit, so that what is printed stays true.
            let stage = end.progress.stage();
            let _owner = end.progress.lock_for_exit();
            // The stage is set before each change is requested, so no change is requested from now on.
            if let Stage::NothingStarted
            | Stage::Inspecting(_)
            | Stage::Downloading(..)
            | Stage::Downloaded(_) = *stage
            {
                clean_up();
            }
            let failure = stage.interrupted();
            end.print_failure(&end.message(&failure), &failure);
            exit(code)
        };
        if let Err(error) = signals::on_first_signal(answer) {
            warn(&format!("cannot handle signals: {error}"));
        }
    }

    /// How to show a result.
    pub fn style(&self) -> Style {
        if self.end.json {
            Style::Json
        } else if io::stdout().is_terminal() {
            Style::Terminal {
                columns: Term::stdout().size().1.into(),
            }
        } else {
            Style::Plain
        }
    }

    /// A result: JSON with `--json`, nothing with `--quiet`, otherwise what `write` writes.
    pub fn result(
        &self,
        document: &impl Serialize,
        write: impl FnOnce(&mut dyn Write, Style) -> io::Result<()>,
    ) -> Result<Success, Failure> {
        let mut output = Vec::new();
        let written = match self.style() {
            _ if self.quiet => Ok(()),
            Style::Json => json(&mut output, document),
            style => write(&mut output, style),
        };
        written.map_err(|error| write_failure(&error))?;
        Ok(Success {
            output,
            ..Success::default()
        })
    }

    /// The results for one VM, or for each of several: then the document is an array, also of failures.
    pub fn results(
        &self,
        is_several: bool,
        results: Vec<Result<Outcome, Failure>>,
    ) -> Result<Success, Failure> {
        let mut success = Success::default();
        let mut documents = Vec::new();
        let mut text = String::new();
        for result in results {
            match result {
                Ok(outcome) => {
                    success.warnings.extend(outcome.warnings);
                    text.extend([&clean(&outcome.text), "\n"]);
                    documents.push(outcome.document);
                }
                Err(failure) if !is_several => return Err(failure),
                Err(failure) => {
                    documents.push(raw(&failure.document()));
                    success.failures.push(failure);
                }
            }
        }
        let shown = match documents.pop() {
            Some(document) if !is_several => document,
            last => {
                documents.extend(last);
                raw(&documents)
            }
        };
        let done = self.result(&shown, |out, _| out.write_all(text.as_bytes()))?;
        Ok(Success {
            output: done.output,
            ..success
        })
    }

    /// `--json` and `--quiet` contradict each other.
    pub fn check_output_options(&self) -> Result<(), Failure> {
        if self.end.json && self.quiet {
            let message = "--json and --quiet cannot be used together";
            let hint = "omit --quiet; to silence progress too: 2>/dev/null";
            return Err(Failure::new(Kind::Usage, message).with_hint(hint.to_owned()));
        }
        Ok(())
    }

    fn run(self, verb: impl FnOnce(&Self) -> Result<Success, Failure>) -> ! {
        self.end.end(verb(&self))
    }
}

/// The result for one VM.
pub struct Outcome {
    /// For people: `Started VM 101 'web-1' on node 'pve1'`.
    pub text: String,
    /// For scripts.
    pub document: Box<RawValue>,
    /// Warnings of the server.
    pub warnings: Vec<String>,
}

/// A document of one VM. Unlike a `Value`, it keeps the order of its fields.
fn raw(document: &impl Serialize) -> Box<RawValue> {
    to_raw_value(document).unwrap_or_default()
}

/// What a successful command prints.
#[derive(Default)]
pub struct Success {
    /// For stdout.
    pub output: Vec<u8>,
    /// For stderr, before the output.
    pub warnings: Vec<String>,
    /// For stderr, after the output.
    pub hint: Option<String>,
    /// The VM that exists even if the output cannot be written, as text and for scripts.
    pub vm: Option<(String, Facts)>,
    /// The kind of the worst failure that `check` found, if any.
    pub failed_check: Option<Kind>,
    /// For stderr, after the output: what failed for some of several VMs.
    pub failures: Vec<Failure>,
}

/// Ends the run of one command.
#[derive(Clone)]
struct End {
    /// `create VM`, for the beginning of a failure's message.
    failed_to: Option<&'static str>,
    json: bool,
    progress: Arc<Progress>,
}

impl End {
    fn quiet(json: bool) -> End {
        End {
            failed_to: None,
            json,
            progress: Arc::new(Progress::new(Verbosity::Quiet)),
        }
    }

    /// Prints the result or the failure and exits.
    fn end(&self, done: Result<Success, Failure>) -> ! {
        let _owner = self.progress.lock_for_exit();
        let printed = done.and_then(|success| self.print_success(success));
        let code = printed.unwrap_or_else(|failure| {
            self.print_failure(&self.message(&failure), &failure);
            exit_code(failure.kind)
        });
        exit(code)
    }

    fn message(&self, failure: &Failure) -> Vec<String> {
        let message = match self.failed_to {
            Some(verb) if !failure.vm_exists => format!("Failed to {verb}: {failure}"),
            _ => failure.to_string(),
        };
        let log = failure.log.iter().map(|line| format!("  {line}"));
        [message].into_iter().chain(log).collect()
    }

    /// Prints a failure on stderr, and on stdout as JSON with `--json`.
    fn print_failure(&self, lines: &[String], failure: &Failure) {
        print_lines(lines, failure);
        if self.json {
            // A closed stdout is ignored, because the exit code reports the failure too.
            let _ = json(&mut io::stdout(), &failure.document());
        }
    }

    /// Prints a success and returns the exit code; fails if the output cannot be written.
    fn print_success(&self, success: Success) -> Result<i32, Failure> {
        for warning in &success.warnings {
            warn(warning);
        }
        let written = print(|out| out.write_all(&success.output));
        written.map_err(|failure| match success.vm {
            None => failure,
            Some((vm, facts)) => Failure {
                message: format!("{vm}, but {failure}"),
                facts,
                vm_exists: true,
                ..failure
            },
        })?;
        for failure in &success.failures {
            print_lines(&self.message(failure), failure);
        }
        if let Some(hint) = &success.hint {
            say(&format!("Hint: {hint}"));
        }
        let failed = success.failures.first().map(|_| 1);
        Ok(failed.unwrap_or_else(|| success.failed_check.map_or(0, exit_code)))
    }
}

/// Prints the lines of a failure on stderr, and what to do about it.
fn print_lines(lines: &[String], failure: &Failure) {
    for line in lines {
        say(line);
    }
    if let Some(hint) = &failure.hint {
        say(&format!("Hint: {hint}"));
    }
}

/// Writes to stdout at once. A reader that closes the pipe early (`| head`) is no failure.
fn print(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), Failure> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    match write(&mut out).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(write_failure(&error)),
        _ => Ok(()),
    }
}

fn write_failure(error: &io::Error) -> Failure {
    let message = format!("the result cannot be written: {error}");
    Failure::new(Kind::Failed, message)
}

fn exit_code(kind: Kind) -> i32 {
    match kind {
        Kind::Usage | Kind::Config => 2,
        _ => 1,
    }
}

fn config_failure(error: &config::Error) -> Failure {
    Failure::of(Kind::Config, error).with_hint(error.hint())
}

/// Reports that a host was skipped. A host that is down is a note: the others exist for that. An
/// untrusted one is a warning: another machine may be impersonating it.
fn report_skipped_host(error: &pve::Error, hosts: usize, progress: &Progress) {
    let is_distrusted = matches!(error, pve::Error::Untrusted { .. });
    let message = format!("{}; trying another host", error.with_host());
    match hint_for_one_of(hosts, error) {
        Some(hint) if is_distrusted => progress.warning(&format!("{message}; {hint}")),
        _ => progress.note(&message),
    }
}

/// How much a run reports while it works. A dumb terminal gets lines.
fn verbosity(json: bool, quiet: bool) -> Verbosity {
    let is_dumb = || std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
    if quiet {
        Verbosity::Quiet
    } else if json {
        Verbosity::Notes
    } else if io::stderr().is_terminal() && !is_dumb() {
        Verbosity::Live
    } else {
        Verbosity::Steps
    }
}
