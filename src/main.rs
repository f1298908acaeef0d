//! Makes virtual machines from templates on Proxmox VE: one command, exactly one VM.

mod addresses;
mod api;
mod check;
mod claim;
mod cli;
mod clone;
mod closest;
mod completions;
mod config;
mod file;
mod finding;
mod grant;
mod guests;
mod hint;
mod interrupt;
mod output;
mod progress;
mod report;
mod resize;
mod server;
mod settings;
mod shell;
mod stage;
#[cfg(all(target_env = "gnu", target_feature = "crt-static"))]
mod static_glibc;
mod task;
mod template;
mod wait;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::net::IpAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use console::Term;

use crate::addresses::{Addresses, addresses};
use crate::api::types::{CloneMode, CloneOptions, Guest, Node, Pool, Storage, Vmid};
use crate::api::{Access, Event, Pve};
use crate::cli::{
    Check, Cli, Completions, Noun, Proxmox, Seconds, Task, TaskVerb, TaskWait, Template,
    TemplateList, TemplateVerb, Topic, Vm, VmCreate, VmList, VmVerb,
};
use crate::clone::{Plan, Ready, Run, Wanted};
use crate::config::Configuration;
use crate::finding::{Finding, Verdict};
use crate::guests::Guests;
use crate::hint::{hint_for, hint_for_one_of, what_an_empty_list_means};
use crate::output::{Ended, Made, Style};
use crate::progress::{Lines, Progress, Voice, say, warn};
use crate::report::{Kind, Known, Report, Started};
use crate::server::Server;
use crate::settings::Settings;
use crate::stage::Stage;
use crate::wait::{Budget, SystemClock};

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let readable: Vec<String> = arguments
        .iter()
        .filter_map(|argument| argument.to_str().map(str::to_owned))
        .collect();
    if readable.len() < arguments.len() {
        return wrong_usage("An argument is not UTF-8", &readable);
    }
    let arguments = readable;
    match cli::parse(&arguments) {
        Ok(Cli { version: true, .. }) => {
            print(|out| writeln!(out, "homelab {}", env!("CARGO_PKG_VERSION")))
        }
        Ok(Cli {
            topic: Some(Topic::Proxmox(command)),
            ..
        }) => proxmox(&command),
        Ok(Cli {
            topic: Some(Topic::Completions(Completions { shell })),
            ..
        }) => print(|out| write!(out, "{}", cli::completions(shell))),
        Ok(Cli { topic: None, .. }) => wrong_usage("No command was given", &arguments),
        Err(exit) if exit.status.is_ok() => {
            print(|out| writeln!(out, "{}", exit.output.trim_end()))
        }
        Err(exit) => wrong_usage(&exit.output, &arguments),
    }
}

fn proxmox(command: &Proxmox) -> ExitCode {
    #[cfg(all(target_env = "gnu", target_feature = "crt-static"))]
    static_glibc::ask_files_and_dns_for_hosts();

    match &command.noun {
        Noun::Template(Template {
            verb: TemplateVerb::List(list),
        }) => Verb::new("list templates", list.json).end(list_templates(command, list)),
        Noun::Vm(Vm {
            verb: VmVerb::List(list),
        }) => Verb::new("list VMs", list.json).end(list_vms(command, list)),
        Noun::Vm(Vm {
            verb: VmVerb::Create(create),
        }) => {
            let verb = Verb::new("create VM", create.json);
            verb.end(create_vm(command, create, verb))
        }
        Noun::Task(Task {
            verb: TaskVerb::Wait(wait),
        }) => {
            let verb = Verb::new("wait for the task", wait.json);
            verb.end(wait_for_task(command, wait, verb))
        }
        Noun::Check(words) => check(command, words),
    }
}

/// What was to be done, for whoever has to say that it was not.
#[derive(Clone, Copy)]
struct Verb {
    failed_to: &'static str,
    json: bool,
}

impl Verb {
    fn new(failed_to: &'static str, json: bool) -> Verb {
        Verb { failed_to, json }
    }

    fn end(self, done: Result<(), Report>) -> ExitCode {
        match done {
            Ok(()) => ExitCode::SUCCESS,
            Err(report) => self.failed(&report),
        }
    }

    fn failed(self, report: &Report) -> ExitCode {
        if report.made {
            say(&report.message);
        } else {
            say(&format!("Failed to {}: {}", self.failed_to, report.message));
        }
        for line in &report.log {
            say(&format!("  {line}"));
        }
        failed(report, self.json)
    }

    /// From now on a signal ends the run with what is certain then.
    fn answer_signals(self, lines: &Arc<Lines>) {
        let lines = lines.clone();
        let answer = move |code: u8| {
            // Held to the end: what is said stays true, and nobody else says anything.
            let stage = lines.stage();
            let _still = lines.still();
            let made = stage.is_made();
            let message = if made {
                format!("{stage}: interrupted")
            } else {
                format!("interrupted; {stage}")
            };
            let report = Report {
                known: stage.known(),
                made,
                ..Report::new(Kind::Interrupted, message).with_hint(stage.hint())
            };
            self.failed(&report);
            std::process::exit(i32::from(code));
        };
        if let Err(error) = interrupt::on_first_signal(answer) {
            warn(&format!(
                "signals will end this run without a word: {error}"
            ));
        }
    }
}

fn access(command: &Proxmox) -> Result<Access, Report> {
    configuration(command).map(|configuration| configuration.access)
}

/// What was set, with warnings on stderr where that may not be what was meant.
fn configuration(command: &Proxmox) -> Result<Configuration, Report> {
    let flags = config::Flags {
        host: command.host.clone(),
        config: command.config.clone(),
        ca_file: command.ca_file.clone(),
        fingerprint: command.fingerprint.clone(),
        insecure: command.insecure,
        request_timeout: command.request_timeout.map(|Seconds(timeout)| timeout),
    };
    let configuration = config::load(&flags, &|name| std::env::var_os(name));
    let configuration = configuration.map_err(|error| of_config(&error))?;
    for warning in &configuration.warnings {
        warn(warning);
    }
    Ok(configuration)
}

/// A client that tells of its requests if that was asked for.
fn connect(
    command: &Proxmox,
    access: &Access,
    deadline: Option<Instant>,
    lines: &Arc<Lines>,
) -> Result<Pve, api::Error> {
    let pve = Pve::new(access, deadline)?;
    let (verbose, hosts, lines) = (command.verbose, access.endpoints.len(), lines.clone());
    Ok(pve.told_to(Box::new(move |event| match event {
        Event::Exchange(line) if verbose => lines.say(line),
        Event::Exchange(_) => {}
        Event::PassedOver(error) => tell_of_passed_over(error, hosts, &lines),
    })))
}

/// That a host is down is what the others are there for. That somebody else may answer in its place
/// is not.
fn tell_of_passed_over(error: &api::Error, hosts: usize, lines: &Lines) {
    let is_distrusted = matches!(error, api::Error::Untrusted { .. });
    let message = format!("{}; another host is asked instead", error.with_host());
    match hint_for_one_of(hosts, error) {
        Some(hint) if is_distrusted => lines.warning(&format!("{message}; {hint}")),
        _ => lines.note(&message),
    }
}

fn of_config(error: &config::Error) -> Report {
    Report::of(Kind::Config, error).with_hint(error.hint())
}

fn list_templates(command: &Proxmox, words: &TemplateList) -> Result<(), Report> {
    list(
        command,
        &|guest| guest.is_vm_template(),
        |_, out, templates| output::templates(out, templates, style(words.json)),
    )
}

fn list_vms(command: &Proxmox, words: &VmList) -> Result<(), Report> {
    list(command, &|guest| guest.is_vm(), |pve, out, vms| {
        let addresses = words.ip.then(|| addresses_of(pve, vms));
        output::vms(out, vms, addresses.as_ref(), style(words.json))
    })
}

fn addresses_of(pve: &Pve, vms: &[&Guest]) -> BTreeMap<Vmid, IpAddr> {
    let Addresses { known, failed } = addresses(pve, vms);
    if let Some((vmid, error)) = failed.first_key_value() {
        let of_others = match failed.len() {
            1 => String::new(),
            count => format!(" and of {} more", count - 1),
        };
        let hint = hint_for(error).map(|hint| format!("; {hint}"));
        warn(&format!(
            "the address of VM {vmid}{of_others} cannot be asked for: {error}{}",
            hint.unwrap_or_default()
        ));
    }
    known
}

fn list(
    command: &Proxmox,
    is_meant: &dyn Fn(&Guest) -> bool,
    write: impl FnOnce(&Pve, &mut dyn Write, &[&Guest]) -> io::Result<()>,
) -> Result<(), Report> {
    let lines = Arc::new(Lines::new(Voice::Notes));
    let pve = connect(command, &access(command)?, None, &lines)
        .map_err(|error| Report::of_request(&error))?;
    let clock = SystemClock::start();
    let server = Server {
        pve: &pve,
        budget: Budget::for_one_try(&clock),
    };
    let guests = Guests::read(server, is_meant).map_err(|error| Report::of_request(&error))?;
    let listed: Vec<&Guest> = guests.all().filter(|guest| is_meant(guest)).collect();
    let doubts = guests.doubts();
    for doubt in &doubts {
        warn(&format!("the list may not be complete: {doubt}"));
    }
    show(|out| write(&pve, out, &listed))?;
    if listed.is_empty() && doubts.is_empty() {
        say(&format!("Hint: {}", what_an_empty_list_means(pve.token())));
    }
    Ok(())
}

fn check(command: &Proxmox, words: &Check) -> ExitCode {
    let mut found = Vec::new();
    let mut written = Ok(());
    let mut tell = |finding: Finding| {
        if !words.json && written.is_ok() {
            written = show(|out| output::finding(out, &finding, style(false)));
        }
        found.push(finding);
    };
    // Asked of the environment before anything is asked of a server.
    let state = config::state_directory(&|name| std::env::var_os(name));
    match (configuration(command), &state) {
        (Ok(configuration), Ok(_)) => {
            check::check_configuration(&configuration, &mut tell);
            // It says of each host how it is.
            let lines = Arc::new(Lines::new(Voice::Quiet));
            check::check_server(
                &configuration.access,
                &|access| connect(command, access, None, &lines),
                words.template_name.as_deref(),
                &SystemClock::start(),
                &mut tell,
            );
        }
        (Ok(configuration), Err(_)) => check::check_configuration(&configuration, &mut tell),
        (Err(report), _) => tell(Finding::of("configuration", report)),
    }
    match state {
        Ok(state) => check::check_state_directory(&state, &mut tell),
        Err(error) => tell(Finding::of("state directory", of_config(&error))),
    }
    if words.json {
        written = show(|out| output::findings(out, &found));
    }
    if let Err(report) = written {
        say(&report.message);
        return ExitCode::FAILURE;
    }
    let failed = || {
        found
            .iter()
            .filter(|finding| finding.result == Verdict::Fail)
    };
    if failed().any(|finding| finding.is_config) {
        ExitCode::from(2)
    } else if failed().next().is_some() {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

fn create_vm(command: &Proxmox, words: &VmCreate, verb: Verb) -> Result<(), Report> {
    let style = style_of_result(words.json, words.quiet, "vm create")?;
    let plan = plan(words)?;
    let access = access(command)?;
    let state = config::state_directory(&|name| std::env::var_os(name))
        .map_err(|error| of_config(&error))?;
    let lines = Arc::new(Lines::new(voice(words.json, words.quiet)));
    verb.answer_signals(&lines);
    let clock = SystemClock::start();
    let pve = connect(command, &access, Some(clock.after(words.timeout.0)), &lines)
        .map_err(|error| Report::of_request(&error))?;
    let ready = clone::create(&Run {
        plan,
        server: Server {
            pve: &pve,
            budget: budget(&clock, words.timeout, words.poll_interval),
        },
        hosts: access
            .endpoints
            .iter()
            .map(|it| it.host.to_string())
            .collect(),
        state: &state,
        progress: &*lines,
    });
    // Held to the end: from here on it is too late for a signal to be answered.
    let _ended = lines.stage();
    drop(lines.still());
    let ready = ready.map_err(|error| error.report())?;
    for warning in &ready.warnings {
        lines.warning(warning);
    }
    show_vm(ready, words.vm_name.as_str(), style)
}

/// What is asked for, with what stands in files. What is known to be refused is not asked for.
fn plan(words: &VmCreate) -> Result<Plan, Report> {
    let storage = words.storage.clone().map(Storage);
    if words.linked && storage.is_some() {
        let message = "--linked and --storage contradict each other: what a linked clone keeps is \
                       beside its template's disks";
        return Err(Report::new(Kind::Usage, message.to_owned())
            .with_hint("leave --linked out to copy the disks to another storage".to_owned()));
    }
    let mode = if words.linked {
        CloneMode::Linked
    } else {
        CloneMode::Full { storage }
    };
    let disks = words.resize.iter().map(|resize| &resize.disk);
    let mut seen = BTreeSet::new();
    if let Some(disk) = disks.into_iter().find(|disk| !seen.insert(*disk)) {
        let message = format!("--resize {disk} is given twice");
        return Err(Report::new(Kind::Usage, message));
    }
    let settings = Settings::gather(&words.set, &words.ssh_key);
    let settings =
        settings.map_err(|error| Report::of(Kind::Usage, &error).with_hint(error.hint()))?;
    Ok(Plan {
        name: words.vm_name.clone(),
        template: words.template_name.clone(),
        vmid: words.vmid,
        ensure: words.ensure,
        options: CloneOptions {
            mode,
            pool: words.pool.clone().map(Pool),
            target: words.node.clone().map(Node),
        },
        wanted: Wanted {
            settings,
            resizes: words.resize.clone(),
            start: words.start || words.wait_ip,
            address: words.wait_ip,
        },
    })
}

fn show_vm(ready: Ready, name: &str, style: Option<Style>) -> Result<(), Report> {
    let Some(style) = style else {
        return Ok(());
    };
    let made = Made {
        vmid: ready.vmid,
        name: name.to_owned(),
        node: ready.node,
        created: ready.created,
        upid: ready.upid,
        ip: ready.ip,
        warnings: ready.warnings,
    };
    show(|out| output::made(out, &made, style)).map_err(|report| Report {
        message: format!(
            "VM {} '{name}' {} on node '{}', but {}",
            made.vmid,
            if made.created {
                "was created"
            } else {
                "exists"
            },
            made.node,
            report.message
        ),
        known: Known {
            vmid: Some(made.vmid),
            upid: made.upid.clone(),
            node: Some(made.node.clone()),
            started: if made.created {
                Started::Yes
            } else {
                Started::No
            },
        },
        made: true,
        ..report
    })
}

fn wait_for_task(command: &Proxmox, words: &TaskWait, verb: Verb) -> Result<(), Report> {
    let style = style_of_result(words.json, words.quiet, "task wait")?;
    let access = access(command)?;
    let lines = Arc::new(Lines::new(voice(words.json, words.quiet)));
    lines.at(Stage::Waiting(words.upid.clone()));
    verb.answer_signals(&lines);
    let clock = SystemClock::start();
    let pve = connect(command, &access, Some(clock.after(words.timeout.0)), &lines)
        .map_err(|error| Report::of_request(&error))?;
    let server = Server {
        pve: &pve,
        budget: budget(&clock, words.timeout, words.poll_interval),
    };
    let waited = task::wait_for_success(server, &words.upid, &*lines);
    let _ended = lines.stage();
    drop(lines.still());
    let (status, warnings) = waited.map_err(|error| error.report())?;
    for warning in &warnings {
        lines.warning(warning);
    }
    let ended = Ended {
        upid: words.upid.clone(),
        exitstatus: status.to_string(),
        warnings,
    };
    style.map_or(Ok(()), |style| {
        show(|out| output::ended(out, &ended, style))
    })
}

fn budget(clock: &SystemClock, timeout: Seconds, poll_interval: Seconds) -> Budget<'_> {
    Budget {
        clock,
        total: timeout.0,
        interval: poll_interval.0,
    }
}

/// How to show the one result of a command; `None` for not at all.
fn style_of_result(json: bool, quiet: bool, command: &str) -> Result<Option<Style>, Report> {
    if json && quiet {
        let message = "--json and --quiet contradict each other".to_owned();
        let hint = format!("'homelab proxmox {command} --help' explains both");
        return Err(Report::new(Kind::Usage, message).with_hint(hint));
    }
    Ok((!quiet).then(|| style(json)))
}

fn style(json: bool) -> Style {
    if json {
        Style::Json
    } else if io::stdout().is_terminal() {
        Style::Terminal {
            columns: Term::stdout().size().1.into(),
        }
    } else {
        Style::Plain
    }
}

/// How much a run tells while it works. A terminal that knows no more than a teletype gets lines.
fn voice(json: bool, quiet: bool) -> Voice {
    let is_dumb = || std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
    if quiet {
        Voice::Quiet
    } else if json {
        Voice::Notes
    } else if io::stderr().is_terminal() && !is_dumb() {
        Voice::Live
    } else {
        Voice::Lines
    }
}

/// Writes a result to stdout. That nobody reads it to its end (`| head`) is no failure.
fn show(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), Report> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    match write(&mut out).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            let message = format!("the result cannot be written: {error}");
            Err(Report::new(Kind::Failed, message))
        }
        _ => Ok(()),
    }
}

fn print(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> ExitCode {
    match show(write) {
        Ok(()) => ExitCode::SUCCESS,
        Err(report) => {
            say(&report.message);
            ExitCode::FAILURE
        }
    }
}

fn wrong_usage(complaint: &str, arguments: &[String]) -> ExitCode {
    let command = cli::command_of(arguments);
    let lines: Vec<&str> = complaint.trim().lines().collect();
    for line in &lines {
        say(line);
    }
    say(&cli::usage_of(&command));
    let message: Vec<&str> = lines.iter().map(|line| line.trim()).collect();
    let mut hint = format!("'{command} --help' explains it");
    if let Some(meant) = cli::meant(arguments) {
        hint = format!("did you mean '{meant}'? {hint}");
    }
    let report = Report::new(Kind::Usage, message.join(" ")).with_hint(hint);
    failed(
        &report,
        arguments.iter().any(|argument| argument == "--json"),
    )
}

/// Says what to do about a failure, and all of it in JSON if that was asked for.
fn failed(report: &Report, json: bool) -> ExitCode {
    if let Some(hint) = &report.hint {
        say(&format!("Hint: {hint}"));
    }
    if json {
        // The exit code says it as well, so a closed stdout changes nothing.
        let _ = output::json(&mut io::stdout(), &report.document());
    }
    match report.kind {
        Kind::Usage | Kind::Config => ExitCode::from(2),
        _ => ExitCode::FAILURE,
    }
}
