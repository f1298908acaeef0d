//! `template create`

use std::cell::RefCell;

use serde::Serialize;

use super::{Session, Success};
use crate::cli::TemplateCreate;
use crate::create::{CreateSpec, ImageSpec, Method, Run, create};
use crate::ledger::remove_unused;
use crate::pve::types::{Node, Storage, Upid, Vmid};
use crate::pve::{ImageSource, ImageVolume};
use crate::say::failure::{Failure, Kind};
use crate::say::shell::word;
use crate::say::vm::Vm;
use crate::settings::Settings;
use crate::settings::resize::NewSize;
use crate::settings::setup::Setup;
use crate::ui::text::clean;

#[derive(Serialize)]
struct Document<'e> {
    vmid: Vmid,
    name: &'e str,
    node: &'e Node,
    created: bool,
    upid: Option<&'e Upid>,
    /// The image on its storage. Absent if the template existed.
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<&'e ImageVolume>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    warnings: &'e [String],
}

/// Creates a template from a cloud image.
pub fn run(session: &Session, arguments: &TemplateCreate) -> Result<Success, Failure> {
    session.check_output_options()?;
    let spec = spec(arguments)?;
    let access = session.configuration()?.access;
    let state = Session::state_directory()?;
    let (directory, name) = (state.clone(), spec.name.clone());
    session.handle_signals(move || remove_unused(&directory, &name));
    let pve = session.connect(&access, Some(arguments.timeout.0))?;
    let hosts = access.endpoints.iter();
    let run = Run {
        spec,
        server: session.server(&pve, arguments.timeout, arguments.poll_interval),
        hosts: hosts.map(|endpoint| endpoint.host.to_string()).collect(),
        state: &state,
        preview_only: false,
        warnings: RefCell::default(),
    };
    let existing = create(&run)?;
    let Vm { vmid, name, node } = &existing.vm;
    let image = existing.import.as_ref().map(|import| &import.volume);
    let document = Document {
        vmid: *vmid,
        name: name.as_str(),
        node,
        created: existing.created,
        upid: existing.upid.as_ref(),
        image,
        warnings: &existing.warnings,
    };
    if let Some(image) = image {
        run.progress().note(&format!(
            "Image '{image}' was kept; to delete it, on node '{node}': pvesm free {}",
            word(&image.to_string())
        ));
    }
    let success = session.result(&document, |out, _| {
        let node = clean(&node.0);
        let template = format!("template {vmid} '{name}'");
        if existing.created {
            writeln!(out, "Successfully created {template} on node '{node}'")
        } else {
            writeln!(
                out,
                "Template {vmid} '{name}' already exists on node '{node}'"
            )
        }
    })?;
    Ok(Success {
        vm: Some((existing.to_string(), existing.facts())),
        warnings: existing.warnings,
        ..success
    })
}

/// The request that the arguments and files describe. Rejects what the server is known to refuse.
fn spec(arguments: &TemplateCreate) -> Result<CreateSpec, Failure> {
    let usage =
        |message: String, hint: &str| Failure::new(Kind::Usage, message).with_hint(hint.to_owned());
    if let (ImageSource::Volume(volume), Some(_)) = (&arguments.image, &arguments.checksum) {
        let message = format!("--checksum does not apply to '{volume}', which is on a storage");
        return Err(usage(
            message,
            "the server verifies only what it downloads; omit --checksum",
        ));
    }
    if let (ImageSource::Volume(volume), Some(_)) = (&arguments.image, &arguments.image_storage) {
        let message =
            format!("--image-storage does not apply to '{volume}', which names its storage");
        return Err(usage(message, "omit --image-storage"));
    }
    let named = [
        ("cores", arguments.cores.as_deref()),
        ("memory", arguments.memory.as_deref()),
    ];
    let settings = Settings::gather(&arguments.set, &arguments.ssh_key)
        .and_then(|settings| settings.with_named(&named));
    let settings =
        settings.map_err(|error| Failure::of(Kind::Usage, &error).with_hint(error.hint()))?;
    for (key, instead) in [
        (
            "scsi0",
            "scsi0 is the disk from the image; to grow it: --resize scsi0=SIZE",
        ),
        (
            "smbios1",
            "its UUID identifies the VM that a run has created",
        ),
        ("template", "the VM becomes a template at the end"),
    ] {
        if settings.value_of(key).is_some() {
            return Err(usage(format!("--set {key} is not possible here"), instead));
        }
    }
    if arguments.bridge.is_some() && settings.value_of("net0").is_some() {
        let message = "--bridge and --set net0 contradict each other".to_owned();
        return Err(usage(message, "omit --bridge, and name the bridge in net0"));
    }
    for resize in &arguments.resize {
        if matches!(resize.to, NewSize::MoreThanTemplate(_)) {
            let message = format!(
                "--resize {}: the size of the image is not known beforehand",
                resize.disk
            );
            return Err(usage(message, "give the absolute size: --resize scsi0=32G"));
        }
        if resize.disk != "scsi0" {
            let message = format!(
                "--resize {}: the new template has one disk, scsi0",
                resize.disk
            );
            return Err(usage(message, "--resize scsi0=SIZE grows it"));
        }
    }
    if arguments.resize.len() > 1 {
        return Err(Failure::new(Kind::Usage, "--resize scsi0 is given twice"));
    }
    Ok(CreateSpec {
        name: arguments.name.clone(),
        method: Method::Import(Box::new(ImageSpec {
            source: arguments.image.clone(),
            checksum: arguments.checksum.clone(),
            image_storage: arguments.image_storage.clone().map(Storage),
            storage: arguments.storage.clone().map(Storage),
            node: arguments.node.clone().map(Node),
            bridge: arguments
                .bridge
                .clone()
                .unwrap_or_else(|| "vmbr0".to_owned()),
        })),
        vmid: arguments.vmid,
        ensure: arguments.ensure,
        ignore_offline: arguments.ignore_offline,
        setup: Setup {
            settings,
            resizes: arguments.resize.clone(),
            start: false,
            address: None,
        },
    })
}
