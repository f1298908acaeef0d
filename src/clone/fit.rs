//! Whether the template can become what is wanted, said before the first change.

use snafu::{OptionExt, ResultExt};

use super::error::{Error, LookAtTemplateSnafu, TemplateGoneSnafu, UnfitSnafu};
use super::run::Run;
use super::wanted::DiskSize;
use crate::api::types::Guest;

/// The sizes that the disks of a clone of this template are to get.
pub fn check<'r>(run: &'r Run, template: &Guest) -> Result<Vec<DiskSize<'r>>, Error> {
    let wanted = &run.plan.wanted;
    if !wanted.asks_much() {
        return Ok(Vec::new());
    }
    let (vmid, node) = (template.vmid, &template.node);
    let config = run.server.ask(|pve| pve.vm_config(node, vmid));
    let config = config.context(LookAtTemplateSnafu { vmid })?;
    let config = config.context(TemplateGoneSnafu { vmid })?;
    let sizes = wanted.fit(vmid, &config);
    let sizes = sizes.context(UnfitSnafu {
        template: template.clone(),
    })?;
    let out_of_reach = wanted.out_of_reach(&config);
    if !out_of_reach.is_empty() {
        run.progress.warning(&format!(
            "{template} has no drive for cloud-init, so {} will not reach the VM; --set \
             ide2=STORAGE:cloudinit gives it one",
            out_of_reach.join(", ")
        ));
    }
    Ok(sizes)
}
