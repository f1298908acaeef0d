//! What a VM shall be beyond its template, and whether the template, or the VM that is there already,
//! can become that: all that can be known to be wrong is said before the first change.

use std::collections::BTreeMap;

use snafu::{OptionExt, Snafu, ensure};

use crate::pve::types::Vmid;
use crate::pve::{Size, VmConfig, is_agent_on, is_cloud_init};
use crate::say::stage::Step;
use crate::settings::resize::{NewSize, Resize};
use crate::settings::{Settings, asks_for_new_volume};

/// What is done for a VM once it is there.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Wanted {
    /// What its configuration shall say.
    pub settings: Settings,
    /// How large its disks shall be at least.
    pub resizes: Vec<Resize>,
    /// Whether it shall run.
    pub start: bool,
    /// Whether its address shall be known.
    pub address: bool,
}

/// How large a disk shall be at least.
pub type DiskSize<'w> = (&'w str, Size);

/// How large disks of a template are, by their keys: those that others are to outgrow by so much.
pub type TemplateSizes = BTreeMap<String, Size>;

impl Wanted {
    /// What comes first, if there is anything to do.
    pub fn first_step(&self) -> Option<Step> {
        if !self.settings.is_empty() || !self.resizes.is_empty() {
            Some(Step::Configure)
        } else if self.start {
            Some(Step::Start)
        } else {
            None
        }
    }

    /// The sizes of disks, if the template's that they depend on are among these.
    pub fn sizes(&self, of_template: &TemplateSizes) -> Option<Vec<DiskSize<'_>>> {
        let resizes = self.resizes.iter();
        resizes
            .map(|Resize { disk, to }| match to {
                NewSize::Absolute(size) => Some((disk.as_str(), *size)),
                NewSize::MoreThanTemplate(more) => {
                    let there = of_template.get(disk)?;
                    Some((disk.as_str(), there.plus(*more)))
                }
            })
            .collect()
    }

    /// Whether there is something that a template or a VM may not fit.
    pub fn asks_much(&self) -> bool {
        !self.settings.is_empty() || !self.resizes.is_empty() || self.address
    }

    /// Whether a template with this VMID and configuration can become that.
    pub fn fit_of_template(&self, template: Vmid, config: &VmConfig) -> Result<(), Unfit> {
        check_settings(&self.settings, config)?;
        self.fit_of_vm(template, config)?;
        self.resizes
            .iter()
            .try_for_each(|resize| check_size(resize, config))
    }

    /// Whether a VM that is there can. A disk that is larger stays so, and a new volume takes no
    /// disk's place.
    pub fn fit_of_vm(&self, vmid: Vmid, config: &VmConfig) -> Result<(), Unfit> {
        if self.address {
            check_agent(&self.settings, config, vmid)?;
        }
        let mut resizes = self.resizes.iter();
        resizes.try_for_each(|resize| check_disk(resize, config))
    }

    /// How large the disks of a template with this configuration are that others are to outgrow.
    pub fn sizes_of_template(&self, config: &VmConfig) -> Result<TemplateSizes, Unfit> {
        let resizes = self.resizes.iter();
        let relative = resizes.filter(|resize| matches!(resize.to, NewSize::MoreThanTemplate(_)));
        relative
            .map(|resize| {
                check_disk(resize, config)?;
                let disk = &resize.disk;
                let there = config.size_of(disk).context(SizeUnknownSnafu { disk })?;
                Ok((disk.clone(), there))
            })
            .collect()
    }

    /// The settings that will not reach a VM with this configuration, or a clone of that template.
    pub fn out_of_reach(&self, config: &VmConfig) -> Vec<&str> {
        let is_set = self
            .settings
            .drives()
            .any(|(_, drive)| is_cloud_init(drive));
        if is_set || config.has_cloud_init_drive() {
            return Vec::new();
        }
        self.settings.for_cloud_init()
    }
}

fn check_disk(Resize { disk, .. }: &Resize, config: &VmConfig) -> Result<(), Unfit> {
    let disks = config.disks();
    let is_there = disks.contains(disk);
    let disks = Vec::from_iter(disks);
    ensure!(is_there, NoDiskSnafu { disk, disks });
    Ok(())
}

fn check_size(Resize { disk, to }: &Resize, config: &VmConfig) -> Result<(), Unfit> {
    if let (NewSize::Absolute(size), Some(there)) = (*to, config.size_of(disk)) {
        ensure!(size >= there, SmallerSnafu { disk, there, size });
    }
    Ok(())
}

/// A new volume in the place of a disk would leave that one behind, and nothing to start from.
fn check_settings(settings: &Settings, config: &VmConfig) -> Result<(), Unfit> {
    let disks = config.disks();
    let is_taken =
        |(disk, drive): &(&str, &str)| disks.contains(*disk) && asks_for_new_volume(drive);
    match settings.drives().find(is_taken) {
        Some((disk, _)) => DiskThereSnafu { disk }.fail(),
        None => Ok(()),
    }
}

fn check_agent(settings: &Settings, config: &VmConfig, vmid: Vmid) -> Result<(), Unfit> {
    match settings.value_of("agent") {
        Some(agent) => ensure!(is_agent_on(agent), AgentTurnedOffSnafu),
        None => ensure!(config.has_agent(), NoAgentSnafu { vmid }),
    }
    Ok(())
}

/// Why a template or a VM cannot become what is wanted.
#[derive(Debug, Snafu)]
#[allow(missing_docs)]
pub enum Unfit {
    #[snafu(display("it has no disk '{disk}', but {}", match disks[..] {
        [] => "none at all".to_owned(),
        _ => disks.join(", "),
    }))]
    NoDisk { disk: String, disks: Vec<String> },

    #[snafu(display("its disk {disk} has {there}, and no disk can be made smaller: {size}"))]
    Smaller {
        disk: String,
        there: Size,
        size: Size,
    },

    #[snafu(display(
        "nobody knows what +… comes to, for the size of its disk {disk} is not known"
    ))]
    SizeUnknown { disk: String },

    #[snafu(display("it has a disk {disk} already, and --set {disk} asks for a new one"))]
    DiskThere { disk: String },

    #[snafu(display("it has no guest agent, and only that could tell the address"))]
    NoAgent { vmid: Vmid },

    #[snafu(display(
        "--set agent turns the guest agent off, and only that could tell the address"
    ))]
    AgentTurnedOff,
}

impl Unfit {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Unfit::Smaller { disk, .. } => {
                format!("leave --resize {disk} out to keep the size it has")
            }
            Unfit::SizeUnknown { disk } => format!("say the whole size: --resize {disk}=32G"),
            Unfit::DiskThere { disk } => format!(
                "--resize {disk}=SIZE makes the one that is there larger; another one needs a name of \
                 its own, like scsi1"
            ),
            Unfit::NoAgent { vmid } => format!(
                "if the agent is installed in it: --set agent=1, or once and for all on its node: qm set \
                 {vmid} --agent 1"
            ),
            Unfit::AgentTurnedOff => "take one of the two away".to_owned(),
            Unfit::NoDisk { .. } => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    /// A template with two disks, of which one does not tell its size.
    fn template(agent: &str) -> VmConfig {
        let options = [
            ("scsi0", "data:9000/base-9000-disk-0.raw,size=2252M"),
            ("virtio1", "iscsi:0.0.1.scsi"),
            ("ide2", "none,media=cdrom"),
            ("agent", agent),
        ];
        VmConfig::of(options.map(|(key, value)| (key.to_owned(), value.to_owned())))
    }

    fn wanted(set: &[&str], resize: &[&str], address: bool) -> Wanted {
        let set: Vec<String> = set.iter().map(|&words| words.to_owned()).collect();
        let resizes = resize.iter().map(|words| words.parse().unwrap());
        Wanted {
            settings: Settings::gather(&set, &[]).unwrap(),
            resizes: resizes.collect(),
            start: address,
            address,
        }
    }

    #[rstest]
    #[case::absolute("scsi0=32G", Ok("32G"))]
    #[case::as_it_is("scsi0=2252M", Ok("2252M"))]
    #[case::more_than_there_is("scsi0=+8G", Ok("10444M"))]
    #[case::absolute_where_the_size_is_not_known("virtio1=32G", Ok("32G"))]
    #[case::no_such_disk("scsi5=32G", Err("it has no disk 'scsi5', but scsi0, virtio1"))]
    #[case::no_disk_but_a_cd("ide2=32G", Err("it has no disk 'ide2', but scsi0, virtio1"))]
    #[case::smaller(
        "scsi0=2G",
        Err("its disk scsi0 has 2252M, and no disk can be made smaller: 2G")
    )]
    #[case::more_than_nobody_knows(
        "virtio1=+8G",
        Err("nobody knows what +… comes to, for the size of its disk virtio1 is not known")
    )]
    fn sizes_are_checked_against_the_templates(
        #[case] resize: &str,
        #[case] expected: Result<&str, &str>,
    ) {
        let wanted = wanted(&[], &[resize], false);
        let template = template("1");
        let fit = wanted.fit_of_template(Vmid(9000), &template);
        let sizes = fit.and_then(|()| wanted.sizes_of_template(&template));
        let size = sizes.map(|sizes| wanted.sizes(&sizes).unwrap()[0].1.to_string());
        let expected = expected.map(str::to_owned).map_err(str::to_owned);
        assert_eq!(size.map_err(|unfit| unfit.to_string()), expected);
    }

    #[rstest]
    #[case::turned_on("1", &[], None)]
    #[case::turned_off("0", &[], Some("it has no guest agent, and only that could tell the address"))]
    #[case::turned_on_by_the_way("0", &["agent=enabled=1"], None)]
    #[case::turned_off_by_the_way(
        "1",
        &["agent=0"],
        Some("--set agent turns the guest agent off, and only that could tell the address")
    )]
    fn an_address_takes_an_agent(
        #[case] agent: &str,
        #[case] set: &[&str],
        #[case] expected: Option<&str>,
    ) {
        let wanted = wanted(set, &[], true);
        let unfit = wanted.fit_of_template(Vmid(9000), &template(agent)).err();
        assert_eq!(unfit.map(|unfit| unfit.to_string()).as_deref(), expected);
    }

    #[rstest]
    #[case::new_one("scsi1=data:32", true)]
    #[case::in_place_of_one_that_is_there("scsi0=data:32", false)]
    #[case::the_one_that_is_there("scsi0=data:9000/base-9000-disk-0.raw,discard=on", true)]
    #[case::in_place_of_a_cd("ide2=data:cloudinit", true)]
    fn a_new_disk_takes_no_others_place(#[case] set: &str, #[case] fits: bool) {
        let wanted = wanted(&[set], &[], false);
        let unfit = wanted.fit_of_template(Vmid(9000), &template("1"));
        assert_eq!(unfit.is_ok(), fits);
        // In a VM it is there since an earlier run.
        assert!(wanted.fit_of_vm(Vmid(101), &template("1")).is_ok());
    }

    #[rstest]
    #[case::user(&["ciuser=admin", "cores=4"], &["ciuser"])]
    #[case::all_kinds(
        &["ipconfig0=ip=dhcp", "nameserver=192.0.2.53", "cipassword=x"],
        &["ipconfig0", "nameserver", "cipassword"]
    )]
    #[case::with_a_drive_of_its_own(&["ciuser=admin", "ide2=data:cloudinit"], &[])]
    #[case::nothing_for_cloud_init(&["cores=4"], &[])]
    fn cloud_init_takes_a_drive(#[case] set: &[&str], #[case] expected: &[&str]) {
        let wanted = wanted(set, &[], false);
        assert_eq!(wanted.out_of_reach(&template("1")), expected);
    }
}
