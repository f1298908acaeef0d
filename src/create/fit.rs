//! Whether the template, or the VM that is there already, can become what is wanted, said before the
//! first change.

use snafu::{OptionExt, ResultExt};

use super::error::{Error, LookAtTemplateSnafu, TemplateGoneSnafu, UnfitSnafu};
use super::run::{Ready, Run};
use super::unfinished::Cause;
use super::wanted::{TemplateSizes, Wanted};
use super::work::Work;
use crate::pve::VmConfig;
use crate::pve::types::Guest;
use crate::say::stage::Step;

/// Whether a clone of this template can become that, and the sizes of the disks that the clone's are
/// to outgrow.
pub fn check_template(run: &Run, template: &Guest) -> Result<TemplateSizes, Error> {
    let wanted = &run.plan.wanted;
    if !wanted.asks_much() {
        return Ok(TemplateSizes::new());
    }
    let config = config_of(run, template)?;
    let fit = wanted.fit_of_template(template.vmid, &config);
    let sizes = fit.and_then(|()| wanted.sizes_of_template(&config));
    let sizes = sizes.context(UnfitSnafu {
        template: template.clone(),
    })?;
    tell_what_is_out_of_reach(run, &wanted.out_of_reach(&config), template);
    Ok(sizes)
}

/// The same sizes where a VM is there already, so that it matters no more what else its template is
/// like.
pub fn sizes_of_template(run: &Run, template: &Guest) -> Result<TemplateSizes, Error> {
    let config = config_of(run, template)?;
    let sizes = run.plan.wanted.sizes_of_template(&config);
    sizes.context(UnfitSnafu {
        template: template.clone(),
    })
}

fn config_of(run: &Run, template: &Guest) -> Result<VmConfig, Error> {
    let (vmid, node) = (template.vmid, &template.node);
    let config = run.server.ask(|pve| pve.vm_config(node, vmid));
    let config = config.context(LookAtTemplateSnafu { vmid })?;
    config.context(TemplateGoneSnafu { vmid })
}

/// Whether a VM that is there can become that. Its owner may have changed it since it was made, and
/// who made it from what is not even known of each.
pub fn check_vm(run: &Run, ready: &Ready) -> Result<(), Error> {
    let wanted = &run.plan.wanted;
    if !wanted.asks_much() {
        return Ok(());
    }
    let work = Work::new(run, run.unfinished(ready, Step::Configure));
    let fit = work.config().and_then(|config| {
        let fit = wanted.fit_of_vm(ready.vmid, &config);
        fit.map_err(|source| Cause::Unfit { source })?;
        let out_of_reach = what_will_be_out_of_reach(wanted, &config);
        tell_what_is_out_of_reach(run, &out_of_reach, &work.unfinished.vm);
        Ok(())
    });
    fit.map_err(|cause| Error::Unfinished {
        unfinished: work.unfinished,
        cause: Box::new(cause),
    })
}

/// What was set before was told of then.
fn what_will_be_out_of_reach<'w>(wanted: &'w Wanted, config: &VmConfig) -> Vec<&'w str> {
    let mut out_of_reach = wanted.out_of_reach(config);
    out_of_reach.retain(|key| config.option(key).is_none());
    out_of_reach
}

fn tell_what_is_out_of_reach(run: &Run, keys: &[&str], of: &impl std::fmt::Display) {
    if !keys.is_empty() {
        run.progress.warning(&format!(
            "{of} has no drive for cloud-init, so {} will not reach the VM; --set \
             ide2=STORAGE:cloudinit gives it one",
            keys.join(", ")
        ));
    }
}
