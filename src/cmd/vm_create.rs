//! `vm create`

mod dry_run;

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde::Serialize;

use super::{Session, Success, creation};
use crate::cli::VmCreate;
use crate::create::{CreateSpec, Method, create};
use crate::pve::Address;
use crate::pve::types::{CloneMode, CloneOptions, Node, Pool, Storage, Upid, Vmid};
use crate::say::failure::{Failure, Kind};
use crate::say::vm::{Existing, Vm};
use crate::settings::setup::Setup;
use crate::ui::text::clean;

#[derive(Serialize)]
struct Document<'e> {
    vmid: Vmid,
    name: &'e str,
    node: &'e Node,
    created: bool,
    upid: Option<&'e Upid>,
    ip: Option<IpAddr>,
    /// Absent unless an address was requested.
    #[serde(skip_serializing_if = "Option::is_none")]
    ips: Option<&'e [Address]>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    warnings: &'e [String],
}

/// Creates a VM from a template.
pub fn run(session: &Session, arguments: &VmCreate) -> Result<Success, Failure> {
    session.check_output_options()?;
    let spec = spec(arguments)?;
    let time = (arguments.timeout, arguments.poll_interval);
    creation::run(session, spec, time, arguments.dry_run, |run| {
        if arguments.dry_run {
            return dry_run::run(session, run);
        }
        report(session, create(run)?)
    })
}

/// The result.
fn report(session: &Session, existing: Existing) -> Result<Success, Failure> {
    let Vm { vmid, name, node } = &existing.vm;
    let addresses = existing.addresses.as_ref();
    let ip = addresses.and_then(|addresses| addresses.ip);
    let document = Document {
        vmid: *vmid,
        name: name.as_str(),
        node,
        created: existing.created,
        upid: existing.upid.as_ref(),
        ip,
        ips: addresses.map(|addresses| &addresses.ips[..]),
        warnings: &existing.warnings,
    };
    let success = session.result(&document, |out, _| {
        let node = clean(&node.0);
        let at = ip.map_or_else(String::new, |ip| format!(" at {ip}"));
        let vm = format!("VM {vmid} '{name}'");
        if existing.created {
            writeln!(out, "Successfully created {vm} on node '{node}'{at}")
        } else {
            writeln!(out, "{vm} already exists on node '{node}'{at}")
        }
    })?;
    Ok(creation::success(success, existing))
}

/// The request that the arguments and files describe. Rejects what the server is known to refuse.
fn spec(arguments: &VmCreate) -> Result<CreateSpec, Failure> {
    let storage = arguments.storage.clone().map(Storage);
    if arguments.linked && storage.is_some() {
        let message = "--linked and --storage contradict each other: a linked clone shares the storage of \
                       its template's disks";
        let hint = "omit --linked to copy the disks to another storage";
        return Err(Failure::new(Kind::Usage, message).with_hint(hint.to_owned()));
    }
    let mode = if arguments.linked {
        CloneMode::Linked
    } else {
        CloneMode::Full { storage }
    };
    let mut disks = BTreeSet::new();
    for resize in &arguments.resize {
        if !disks.insert(&resize.disk) {
            let message = format!("--resize {} is given twice", resize.disk);
            return Err(Failure::new(Kind::Usage, message));
        }
    }
    let named = [
        ("cores", arguments.cores.as_deref()),
        ("memory", arguments.memory.as_deref()),
        ("tags", arguments.tags.as_deref()),
        ("description", arguments.description.as_deref()),
    ];
    let settings = creation::settings(&arguments.set, &arguments.ssh_key, &named)?;
    let address = arguments.wait_ip || !arguments.ip_from.is_empty();
    Ok(CreateSpec {
        name: arguments.vm_name.clone(),
        method: Method::Clone {
            template: arguments.template_name.clone(),
            options: CloneOptions {
                mode,
                pool: arguments.pool.clone().map(Pool),
                target: arguments.node.clone().map(Node),
            },
        },
        vmid: arguments.vmid,
        ensure: arguments.ensure,
        ignore_offline: arguments.ignore_offline,
        setup: Setup {
            settings,
            resizes: arguments.resize.clone(),
            start: arguments.start || address,
            address: address.then(|| arguments.ip_from.clone()),
        },
    })
}
