//! Makes virtual machines from templates on Proxmox VE: one command, exactly one VM.

mod api;
mod cli;
mod clone;
mod config;
mod guests;
mod output;
mod progress;
mod report;
mod template;
mod wait;

use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::time::Instant;

use crate::api::types::Guest;
use crate::api::{Access, Pve};
use crate::cli::{
    Cli, Noun, Proxmox, Seconds, Template, TemplateList, TemplateVerb, Topic, Vm, VmCreate, VmList,
    VmVerb,
};
use crate::clone::{Cloning, Plan};
use crate::guests::Guests;
use crate::output::{Made, Style, clean};
use crate::progress::{Lines, Progress};
use crate::report::{Kind, Report, hint_for, kind_of};
use crate::wait::{Budget, SystemClock};

fn main() -> ExitCode {
    #[cfg(all(target_env = "gnu", target_feature = "crt-static"))]
    static_glibc::ask_files_and_dns_for_hosts();

    let arguments: Option<Vec<String>> = std::env::args_os()
        .skip(1)
        .map(|argument| argument.into_string().ok())
        .collect();
    let Some(arguments) = arguments else {
        return wrong_usage("An argument is not UTF-8", &[]);
    };
    match cli::parse(&arguments) {
        Ok(Cli { version: true, .. }) => {
            print(|out| writeln!(out, "homelab {}", env!("CARGO_PKG_VERSION")))
        }
        Ok(Cli {
            topic: Some(Topic::Proxmox(command)),
            ..
        }) => proxmox(&command),
        Ok(Cli { topic: None, .. }) => wrong_usage("No command was given", &arguments),
        Err(exit) if exit.status.is_ok() => {
            print(|out| writeln!(out, "{}", exit.output.trim_end()))
        }
        Err(exit) => wrong_usage(&exit.output, &arguments),
    }
}

fn proxmox(command: &Proxmox) -> ExitCode {
    let (failed_to, json, done) = match &command.noun {
        Noun::Template(Template {
            verb: TemplateVerb::List(list),
        }) => ("list templates", list.json, list_templates(command, list)),
        Noun::Vm(Vm {
            verb: VmVerb::List(list),
        }) => ("list VMs", list.json, list_vms(command, list)),
        Noun::Vm(Vm {
            verb: VmVerb::Create(create),
        }) => ("create VM", create.json, create_vm(command, create)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(report) => {
            say(&format!(
                "Failed to {failed_to}: {}",
                clean(&report.message)
            ));
            failed(&report, json)
        }
    }
}

fn access(command: &Proxmox) -> Result<Access, Report> {
    let flags = config::Flags {
        host: command.host.clone(),
        config: command.config.clone(),
        ca_file: command.ca_file.clone(),
        insecure: command.insecure,
        request_timeout: command.request_timeout.map(|Seconds(timeout)| timeout),
    };
    config::load(&flags, &|name| std::env::var_os(name))
        .map_err(|error| Report::of(Kind::Config, &error).with_hint(error.hint()))
}

fn list_templates(command: &Proxmox, words: &TemplateList) -> Result<(), Report> {
    let pve = Pve::new(&access(command)?, None).map_err(|error| of_api(&error))?;
    let guests = Guests::read(&pve, &Lines { quiet: false }).map_err(|error| of_api(&error))?;
    let templates: Vec<&Guest> = guests.unveiled().filter(|g| g.is_vm_template()).collect();
    warn_of_silent_nodes(&guests);
    show(|out| output::templates(out, &templates, style(words.json)))
}

fn list_vms(command: &Proxmox, words: &VmList) -> Result<(), Report> {
    let pve = Pve::new(&access(command)?, None).map_err(|error| of_api(&error))?;
    let guests = Guests::read(&pve, &Lines { quiet: false }).map_err(|error| of_api(&error))?;
    let vms: Vec<&Guest> = guests.unveiled().filter(|guest| guest.is_vm()).collect();
    warn_of_silent_nodes(&guests);
    show(|out| output::vms(out, &vms, style(words.json)))
}

fn warn_of_silent_nodes(guests: &Guests) {
    for silent in guests.silent_nodes() {
        let text = format!("{silent}: the names of some of its guests are not known");
        Lines { quiet: false }.warning(&text);
    }
}

fn create_vm(command: &Proxmox, words: &VmCreate) -> Result<(), Report> {
    if words.json && words.quiet {
        let message = "--json and --quiet contradict each other".to_owned();
        return Err(Report::new(Kind::Usage, message));
    }
    let Seconds(timeout) = words.timeout;
    let Seconds(interval) = words.poll_interval;
    let clock = SystemClock::start();
    let pve = Pve::new(&access(command)?, Some(Instant::now() + timeout))
        .map_err(|error| of_api(&error))?;
    let cloning = Cloning {
        pve: &pve,
        budget: Budget {
            clock: &clock,
            total: timeout,
            interval,
        },
        progress: &Lines { quiet: words.quiet },
    };
    let created = cloning
        .create(&Plan {
            name: words.vm_name.clone(),
            template: words.template_name.clone(),
            vmid: words.vmid,
        })
        .map_err(|error| error.report())?;
    let made = Made {
        vmid: created.vmid,
        name: words.vm_name.to_string(),
        node: created.node,
        created: true,
        upid: created.upid,
        ip: None,
    };
    if words.quiet {
        return Ok(());
    }
    show(|out| output::made(out, &made, style(words.json))).map_err(|report| Report {
        message: format!(
            "VM {} '{}' was created on node '{}', but {}",
            made.vmid, made.name, made.node, report.message
        ),
        ..report
    })
}

fn of_api(error: &api::Error) -> Report {
    Report::of(kind_of(error), error).with_hint(hint_for(error))
}

fn style(json: bool) -> Style {
    if json {
        Style::Json
    } else if io::stdout().is_terminal() {
        Style::Terminal
    } else {
        Style::Plain
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
    let complaint = complaint.trim();
    let command = cli::command_of(arguments);
    let lines: Vec<Cow<str>> = complaint
        .lines()
        .map(|line| clean(line.trim_end()))
        .collect();
    say(&lines.join("\n"));
    say(&cli::usage_of(&command));
    let message: Vec<&str> = lines.iter().map(|line| line.trim()).collect();
    let report = Report::new(Kind::Usage, message.join(" "))
        .with_hint(format!("'{command} --help' explains it"));
    failed(
        &report,
        arguments.iter().any(|argument| argument == "--json"),
    )
}

/// Says what to do about a failure, and all of it in JSON if that was asked for.
fn failed(report: &Report, json: bool) -> ExitCode {
    if let Some(hint) = &report.hint {
        say(&format!("Hint: {}", clean(hint)));
    }
    if json {
        // The exit code says it as well, so a closed stdout changes nothing.
        let _ = output::error(&mut io::stdout(), report);
    }
    match report.kind {
        Kind::Usage | Kind::Config => ExitCode::from(2),
        _ => ExitCode::FAILURE,
    }
}

/// A line on stderr; if that is closed nobody is listening, which is no reason to panic.
fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// A binary that carries glibc along must not load the host's name service modules, which belong
/// to another glibc: it crashes as soon as nsswitch.conf names one that is not built in.
#[cfg(all(target_env = "gnu", target_feature = "crt-static"))]
#[allow(unsafe_code)]
mod static_glibc {
    use std::ffi::{c_char, c_int};

    unsafe extern "C" {
        fn __nss_configure_lookup(database: *const c_char, services: *const c_char) -> c_int;
    }

    /// Has to come before the first lookup of a name.
    pub(super) fn ask_files_and_dns_for_hosts() {
        // SAFETY: both are NUL-terminated and static, and no other thread runs yet.
        unsafe {
            __nss_configure_lookup(c"hosts".as_ptr(), c"files dns".as_ptr());
        }
    }
}
