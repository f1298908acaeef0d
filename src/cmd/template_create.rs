//! `template create`

use serde::Serialize;

use super::{Session, Success, creation};
use crate::cli::TemplateCreate;
use crate::create::{CreateSpec, ImageSpec, Method, create};
use crate::pve::ImageVolume;
use crate::pve::types::{Node, Storage, Upid, Vmid};
use crate::say::failure::{Failure, Kind};
use crate::say::vm::Vm;
use crate::settings::Settings;
use crate::settings::image::ImageSource;
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
    let time = (arguments.timeout, arguments.poll_interval);
    let existing = creation::run(session, spec, time, false, |run| {
        let existing = create(run)?;
        if let Some(import) = &existing.import {
            let note = format!("The image is kept: '{}'", import.volume);
            run.progress().note(&note);
        }
        Ok(existing)
    })?;
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
    Ok(creation::success(success, existing))
}

/// The request that the arguments and files describe. Rejects what the server is known to refuse.
fn spec(arguments: &TemplateCreate) -> Result<CreateSpec, Failure> {
    let named = [
        ("cores", arguments.cores.as_deref()),
        ("memory", arguments.memory.as_deref()),
    ];
    let settings = creation::settings(&arguments.set, &arguments.ssh_key, &named)?;
    check(arguments, &settings)
        .map_err(|(message, hint)| Failure::new(Kind::Usage, message).with_hint(hint.to_owned()))?;
    Ok(CreateSpec {
        name: arguments.name.clone(),
        method: Method::Import(Box::new(ImageSpec {
            source: arguments.image.clone(),
            checksum: arguments.checksum.clone(),
            image_storage: arguments.image_storage.clone().map(Storage),
            storage: arguments.storage.clone().map(Storage),
            node: arguments.node.clone().map(Node),
            bridge: arguments.bridge.clone(),
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

/// Options that cannot be given here, with the reason or the alternative.
const FIXED: [(&str, &str); 2] = [
    (
        "scsi0",
        "scsi0 is the disk from the image; --resize scsi0=SIZE grows it",
    ),
    ("smbios1", "its UUID is how a later run recognises the VM"),
];

/// Parameters of the request that creates a VM which are not options of the VM.
const NOT_OPTIONS: [&str; 9] = [
    "archive",
    "bwlimit",
    "ha-managed",
    "import-working-storage",
    "live-restore",
    "pool",
    "start",
    "storage",
    "unique",
];

/// Finds options that contradict each other or the image: a message, and what to do.
fn check(arguments: &TemplateCreate, settings: &Settings) -> Result<(), (String, &'static str)> {
    if let ImageSource::Volume(volume) = &arguments.image {
        if arguments.checksum.is_some() {
            let message = format!("--checksum does not apply to '{volume}', which is on a storage");
            return Err((
                message,
                "omit it: the server verifies only what it downloads",
            ));
        }
        if arguments.image_storage.is_some() {
            let message = format!("--image-storage does not apply to '{volume}'");
            return Err((message, "omit it: the volume names its storage"));
        }
    }
    let mut keys = settings.keys();
    if let Some(key) = keys.find(|key| NOT_OPTIONS.contains(key)) {
        let message = format!("--set {key} is not possible here");
        return Err((message, "it is not an option of a VM"));
    }
    let mut fixed = FIXED.iter();
    if let Some((key, why)) = fixed.find(|(key, _)| settings.value_of(key).is_some()) {
        return Err((format!("--set {key} is not possible here"), why));
    }
    if arguments.bridge.is_some() && settings.value_of("net0").is_some() {
        let message = "--bridge and --set net0 contradict each other".to_owned();
        return Err((message, "omit --bridge, and name the bridge in net0"));
    }
    for resize in &arguments.resize {
        let disk = &resize.disk;
        if disk != "scsi0" {
            let message = format!("--resize {disk}: the new template has one disk, scsi0");
            return Err((message, "--resize scsi0=SIZE grows it"));
        }
        if let NewSize::MoreThanTemplate(_) = resize.to {
            let message = "--resize scsi0=+SIZE: the size of the image is not known yet".to_owned();
            return Err((message, "give the absolute size: --resize scsi0=32G"));
        }
    }
    if arguments.resize.len() > 1 {
        return Err((
            "--resize scsi0 is given twice".to_owned(),
            "omit one of them",
        ));
    }
    Ok(())
}
