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

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use crate::api::types::Guest;
use crate::api::{Access, Pve};
use crate::cli::{
    Cli, Noun, Proxmox, Seconds, Template, TemplateList, TemplateVerb, Topic, Vm, VmCreate, VmList,
    VmVerb,
};
use crate::clone::{Cloning, Plan};
use crate::guests::Guests;
use crate::output::{Made, Style};
use crate::progress::{Lines, Progress, say};
use crate::report::{Kind, Known, Report, Started, hint_for, kind_of};
use crate::wait::{Budget, SystemClock};

fn main() -> ExitCode {
    #[cfg(all(target_env = "gnu", target_feature = "crt-static"))]
    static_glibc::ask_files_and_dns_for_hosts();

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
            if report.made {
                say(&report.message);
            } else {
                say(&format!("Failed to {failed_to}: {}", report.message));
            }
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
    list(command, Guest::is_vm_template, |out, templates| {
        output::templates(out, templates, style(words.json))
    })
}

fn list_vms(command: &Proxmox, words: &VmList) -> Result<(), Report> {
    list(command, Guest::is_vm, |out, vms| {
        output::vms(out, vms, style(words.json))
    })
}

fn list(
    command: &Proxmox,
    is_meant: fn(&Guest) -> bool,
    write: impl FnOnce(&mut dyn Write, &[&Guest]) -> io::Result<()>,
) -> Result<(), Report> {
    let pve = Pve::new(&access(command)?, None).map_err(|error| of_api(&error))?;
    let guests = Guests::read(&pve).map_err(|error| of_api(&error))?;
    let listed: Vec<&Guest> = guests.all().filter(|guest| is_meant(guest)).collect();
    for doubt in guests.doubts() {
        Lines { quiet: false }.warning(&format!("the list may not be complete: {doubt}"));
    }
    show(|out| write(out, &listed))
}

fn create_vm(command: &Proxmox, words: &VmCreate) -> Result<(), Report> {
    if words.json && words.quiet {
        let message = "--json and --quiet contradict each other".to_owned();
        let hint = "'homelab proxmox vm create --help' explains both".to_owned();
        return Err(Report::new(Kind::Usage, message).with_hint(hint));
    }
    let Seconds(timeout) = words.timeout;
    let Seconds(interval) = words.poll_interval;
    let clock = SystemClock::start();
    let deadline = clock.after(timeout);
    let pve = Pve::new(&access(command)?, Some(deadline)).map_err(|error| of_api(&error))?;
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
        known: Known {
            vmid: Some(made.vmid),
            upid: Some(made.upid.clone()),
            node: Some(made.node.clone()),
            started: Started::Yes,
        },
        made: true,
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
    let command = cli::command_of(arguments);
    let lines: Vec<&str> = complaint.trim().lines().collect();
    for line in &lines {
        say(line);
    }
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
