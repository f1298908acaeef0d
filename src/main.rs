//! Makes virtual machines from templates on Proxmox VE: one command, exactly one VM.

mod cli;
mod cmd;
mod config;
mod create;
mod guests;
mod ledger;
mod pve;
mod say;
mod settings;
mod ui;
mod wait;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use console::Term;

use crate::cli::{
    Check, Cli, Completions, Noun, Proxmox, Seconds, Task, TaskVerb, TaskWait, Template,
    TemplateList, TemplateVerb, Topic, Vm, VmCreate, VmList, VmVerb,
};
use crate::cmd::check::finding::{Finding, Verdict};
use crate::cmd::ending::{Ending, Success};
use crate::config::Configuration;
use crate::create::{Plan, Ready, Run, Wanted};
use crate::guests::Guests;
use crate::guests::addresses::{Addresses, addresses};
use crate::pve::types::{CloneMode, CloneOptions, Guest, Node, Pool, Storage, Vmid};
use crate::pve::{Access, Event, Pve};
use crate::say::failure::{Kind, Known, Report, Started};
use crate::say::hint::{hint_for, hint_for_one_of, what_an_empty_list_means};
use crate::say::stage::Stage;
use crate::settings::Settings;
use crate::ui::output::{Ended, Made, Style};
use crate::ui::progress::{Lines, Progress, Voice, warn};
use crate::wait::server::Server;
use crate::wait::{Budget, SystemClock};

fn main() -> ! {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let readable: Vec<String> = arguments
        .iter()
        .filter_map(|argument| argument.to_str().map(str::to_owned))
        .collect();
    if readable.len() < arguments.len() {
        wrong_usage("An argument is not UTF-8", &readable);
    }
    let arguments = readable;
    let text = match cli::parse(&arguments) {
        Ok(Cli { version: true, .. }) => format!("homelab {}\n", env!("CARGO_PKG_VERSION")),
        Ok(Cli {
            topic: Some(Topic::Proxmox(command)),
            ..
        }) => proxmox(&command),
        Ok(Cli {
            topic: Some(Topic::Completions(Completions { shell })),
            ..
        }) => cli::completions(shell),
        Ok(Cli { topic: None, .. }) => wrong_usage("No command was given", &arguments),
        Err(exit) if exit.status.is_ok() => format!("{}\n", exit.output.trim_end()),
        Err(exit) => wrong_usage(&exit.output, &arguments),
    };
    Ending::new(false, Voice::Quiet).end(Ok(Success {
        output: text.into_bytes(),
        ..Success::default()
    }))
}

fn proxmox(command: &Proxmox) -> ! {
    match &command.noun {
        Noun::Template(Template {
            verb: TemplateVerb::List(list),
        }) => {
            let ending = Ending::of("list templates", list.json, Voice::Notes);
            ending.end(list_templates(command, list, &ending))
        }
        Noun::Vm(Vm {
            verb: VmVerb::List(list),
        }) => {
            let ending = Ending::of("list VMs", list.json, Voice::Notes);
            ending.end(list_vms(command, list, &ending))
        }
        Noun::Vm(Vm {
            verb: VmVerb::Create(create),
        }) => {
            let voice = voice(create.json, create.quiet);
            let ending = Ending::of("create VM", create.json, voice);
            ending.end(create_vm(command, create, &ending))
        }
        Noun::Task(Task {
            verb: TaskVerb::Wait(wait),
        }) => {
            let voice = voice(wait.json, wait.quiet);
            let ending = Ending::of("wait for the task", wait.json, voice);
            ending.end(wait_for_task(command, wait, &ending))
        }
        Noun::Check(words) => {
            // It says of each host how it is.
            let ending = Ending::new(words.json, Voice::Quiet);
            ending.end(check(command, words, &ending))
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
) -> Result<Pve, pve::Error> {
    let pve = Pve::new(access, deadline)?;
    let (verbose, hosts, lines) = (command.verbose, access.endpoints.len(), lines.clone());
    Ok(pve.observed_by(Box::new(move |event| match event {
        Event::Exchange(line) if verbose => lines.say(line),
        Event::Exchange(_) => {}
        Event::PassedOver(error) => tell_of_passed_over(error, hosts, &lines),
    })))
}

/// That a host is down is what the others are there for. That somebody else may answer in its place
/// is not.
fn tell_of_passed_over(error: &pve::Error, hosts: usize, lines: &Lines) {
    let is_distrusted = matches!(error, pve::Error::Untrusted { .. });
    let message = format!("{}; another host is asked instead", error.with_host());
    match hint_for_one_of(hosts, error) {
        Some(hint) if is_distrusted => lines.warning(&format!("{message}; {hint}")),
        _ => lines.note(&message),
    }
}

fn of_config(error: &config::Error) -> Report {
    Report::of(Kind::Config, error).with_hint(error.hint())
}

fn list_templates(
    command: &Proxmox,
    words: &TemplateList,
    ending: &Ending,
) -> Result<Success, Report> {
    list(
        command,
        ending,
        &|guest| guest.is_vm_template(),
        |_, out, templates| ui::output::templates(out, templates, style(words.json)),
    )
}

fn list_vms(command: &Proxmox, words: &VmList, ending: &Ending) -> Result<Success, Report> {
    list(command, ending, &|guest| guest.is_vm(), |pve, out, vms| {
        let addresses = words.ip.then(|| addresses_of(pve, vms));
        ui::output::vms(out, vms, addresses.as_ref(), style(words.json))
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
    ending: &Ending,
    is_meant: &dyn Fn(&Guest) -> bool,
    write: impl FnOnce(&Pve, &mut dyn Write, &[&Guest]) -> io::Result<()>,
) -> Result<Success, Report> {
    let pve = connect(command, &access(command)?, None, ending.lines())
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
    let is_empty = listed.is_empty() && doubts.is_empty();
    Ok(Success {
        hint: is_empty.then(|| what_an_empty_list_means(pve.token())),
        ..Success::written_by(|out| write(&pve, out, &listed))?
    })
}

fn check(command: &Proxmox, words: &Check, ending: &Ending) -> Result<Success, Report> {
    let mut found = Vec::new();
    let mut printed = Ok(());
    let mut tell = |finding: Finding| {
        if !words.json && printed.is_ok() {
            printed = cmd::ending::print(|out| ui::output::finding(out, &finding, style(false)));
        }
        found.push(finding);
    };
    // Asked of the environment before anything is asked of a server.
    let state = config::state_directory(&|name| std::env::var_os(name));
    match (configuration(command), &state) {
        (Ok(configuration), Ok(_)) => {
            cmd::check::check_configuration(&configuration, &mut tell);
            cmd::check::check_server(
                &configuration.access,
                &|access| connect(command, access, None, ending.lines()),
                words.template_name.as_deref(),
                &SystemClock::start(),
                &mut tell,
            );
        }
        (Ok(configuration), Err(_)) => cmd::check::check_configuration(&configuration, &mut tell),
        (Err(report), _) => tell(Finding::of("configuration", report)),
    }
    match state {
        Ok(state) => cmd::check::check_state_directory(&state, &mut tell),
        Err(error) => tell(Finding::of("state directory", of_config(&error))),
    }
    printed?;
    let success = if words.json {
        Success::written_by(|out| ui::output::findings(out, &found))?
    } else {
        Success::default()
    };
    let failed = || {
        found
            .iter()
            .filter(|finding| finding.result == Verdict::Fail)
    };
    let failed_check = if failed().any(|finding| finding.is_config) {
        Some(Kind::Config)
    } else {
        failed().next().map(|_| Kind::Failed)
    };
    Ok(Success {
        failed_check,
        ..success
    })
}

fn create_vm(command: &Proxmox, words: &VmCreate, ending: &Ending) -> Result<Success, Report> {
    let style = style_of_result(words.json, words.quiet, "vm create")?;
    let plan = plan(words)?;
    let access = access(command)?;
    let state = config::state_directory(&|name| std::env::var_os(name))
        .map_err(|error| of_config(&error))?;
    let lines = ending.lines();
    ending.answer_signals();
    let clock = SystemClock::start();
    let pve = connect(command, &access, Some(clock.after(words.timeout.0)), lines)
        .map_err(|error| Report::of_request(&error))?;
    let ready = create::create(&Run {
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
        progress: &**lines,
    });
    let ready = ready.map_err(|error| error.report())?;
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

fn show_vm(ready: Ready, name: &str, style: Option<Style>) -> Result<Success, Report> {
    let is_there = if ready.created {
        "was created"
    } else {
        "exists"
    };
    let Ready { vmid, node, .. } = &ready;
    let vm = format!("VM {vmid} '{name}' {is_there} on node '{node}'");
    let known = Known {
        vmid: Some(*vmid),
        upid: ready.upid.clone(),
        node: Some(node.clone()),
        started: if ready.created {
            Started::Yes
        } else {
            Started::No
        },
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
    Ok(Success {
        vm: Some((vm, known)),
        warnings: made.warnings.clone(),
        ..in_style(style, |out, style| ui::output::made(out, &made, style))?
    })
}

fn wait_for_task(command: &Proxmox, words: &TaskWait, ending: &Ending) -> Result<Success, Report> {
    let style = style_of_result(words.json, words.quiet, "task wait")?;
    let access = access(command)?;
    let lines = ending.lines();
    lines.at(Stage::Waiting(words.upid.clone()));
    ending.answer_signals();
    let clock = SystemClock::start();
    let pve = connect(command, &access, Some(clock.after(words.timeout.0)), lines)
        .map_err(|error| Report::of_request(&error))?;
    let server = Server {
        pve: &pve,
        budget: budget(&clock, words.timeout, words.poll_interval),
    };
    let waited = wait::task::wait_for_success(server, &words.upid, &**lines);
    let (status, warnings) = waited.map_err(|error| error.report())?;
    let ended = Ended {
        upid: words.upid.clone(),
        exitstatus: status.to_string(),
        warnings,
    };
    Ok(Success {
        warnings: ended.warnings.clone(),
        ..in_style(style, |out, style| ui::output::ended(out, &ended, style))?
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

/// A result in a style; without one, nothing.
fn in_style(
    style: Option<Style>,
    write: impl FnOnce(&mut dyn Write, Style) -> io::Result<()>,
) -> Result<Success, Report> {
    style.map_or_else(
        || Ok(Success::default()),
        |style| Success::written_by(|out| write(out, style)),
    )
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

fn wrong_usage(complaint: &str, arguments: &[String]) -> ! {
    let command = cli::command_of(arguments);
    let complaint: Vec<&str> = complaint.trim().lines().collect();
    let message: Vec<&str> = complaint.iter().map(|line| line.trim()).collect();
    let mut hint = format!("'{command} --help' explains it");
    if let Some(meant) = cli::meant(arguments) {
        hint = format!("did you mean '{meant}'? {hint}");
    }
    let report = Report::new(Kind::Usage, message.join(" ")).with_hint(hint);
    let mut lines: Vec<String> = complaint.into_iter().map(str::to_owned).collect();
    lines.push(cli::usage_of(&command));
    let json = arguments.iter().any(|argument| argument == "--json");
    Ending::new(json, Voice::Quiet).end_with_wrong_usage(&lines, &report)
}
