//! How to set up a VM, and whether a template or an existing VM allows it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use snafu::{OptionExt, Snafu, ensure};

use super::ip_from::IpFrom;
use super::resize::{NewSize, Resize};
use super::{Settings, asks_for_new_volume};
use crate::ledger::Growth;
use crate::pve::types::Vmid;
use crate::pve::{Size, VmConfig, is_agent_on};

/// The steps after a VM exists.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Setup {
    /// The options to set.
    pub settings: Settings,
    /// The minimum sizes of disks.
    pub resizes: Vec<Resize>,
    /// Whether to start it.
    pub start: bool,
    /// Whether to wait for its address, and the values of `--ip-from`.
    pub address: Option<Vec<IpFrom>>,
}

impl Setup {
    /// Whether it has requirements that a template or a VM may not meet.
    pub fn may_not_fit(&self) -> bool {
        !self.settings.is_empty() || !self.resizes.is_empty() || self.address.is_some()
    }

    /// Checks whether a clone of this template can be set up, and converts relative disk sizes to absolute
    /// ones.
    pub fn fit_of_template(
        &self,
        template: Vmid,
        config: &VmConfig,
    ) -> Result<BTreeMap<String, Growth>, Unfit> {
        // A new volume in place of a disk would detach that disk, and the VM could not boot.
        let disks = config.disks();
        let mut drives = self.settings.drives();
        let taken =
            drives.find(|(disk, drive)| disks.contains(*disk) && asks_for_new_volume(drive));
        if let Some((disk, _)) = taken {
            return DiskExistsSnafu { disk }.fail();
        }
        self.fit_of_vm(template, config)?;
        let mut growth = BTreeMap::new();
        for Resize { disk, to } in &self.resizes {
            match (*to, config.size_of(disk)) {
                (NewSize::Absolute(size), Some(current)) => {
                    ensure!(
                        size >= current,
                        SmallerSnafu {
                            disk,
                            current,
                            size
                        }
                    );
                }
                (NewSize::Absolute(_), None) => {}
                (NewSize::MoreThanTemplate(by), current) => {
                    let current = current.context(SizeUnknownSnafu { disk, by })?;
                    let to = current.plus(by);
                    growth.insert(disk.clone(), Growth { by, to });
                }
            }
        }
        Ok(growth)
    }

    /// Checks whether an existing VM can be set up. A disk that is larger than requested, or that exists
    /// where `--set` requests a new volume, is kept, so neither is an error.
    pub fn fit_of_vm(&self, vmid: Vmid, config: &VmConfig) -> Result<(), Unfit> {
        if let Some(from) = &self.address {
            let known = self.static_address(config);
            match self.settings.value_of("agent") {
                Some(agent) => ensure!(is_agent_on(agent), AgentTurnedOffSnafu),
                None => ensure!(config.has_agent(), NoAgentSnafu { vmid, known }),
            }
            self.check_cards(from, config)?;
        }
        let disks = config.disks();
        for Resize { disk, .. } in &self.resizes {
            if !disks.contains(disk) {
                let disks: Vec<String> = disks.iter().cloned().collect();
                return NoDiskSnafu { disk, disks }.fail();
            }
        }
        Ok(())
    }

    /// Checks that the network cards in `--ip-from` exist.
    fn check_cards(&self, from: &[IpFrom], config: &VmConfig) -> Result<(), Unfit> {
        let is_network = |from: &IpFrom| matches!(from, IpFrom::Network(..));
        let has_card = || !config.cards().is_empty() || self.settings.sets_card();
        if !from.iter().any(is_network) && !has_card() {
            let (card, cards) = ("net0", Vec::new());
            return NoCardSnafu { card, cards }.fail();
        }
        for from in from {
            let IpFrom::Card(card) = from else { continue };
            let given = self.settings.value_of(card);
            if given.or(config.option(card)).is_none() {
                let cards: Vec<String> = config.cards().into_iter().map(|it| it.key).collect();
                return NoCardSnafu { card, cards }.fail();
            }
        }
        Ok(())
    }

    /// The static address that cloud-init configures for the first network card, if any.
    fn static_address(&self, config: &VmConfig) -> Option<IpAddr> {
        let mut card = config.cards().into_iter().next()?;
        let ipconfig = self.settings.value_of(&card.key.replace("net", "ipconfig"));
        card.ipconfig = ipconfig.map_or(card.ipconfig, str::to_owned);
        card.static_address(None)
    }
}

/// Why a template or a VM does not fit. Messages are predicates: `has no disk 'scsi9' …`.
#[derive(Debug, Snafu)]
#[allow(missing_docs)]
pub enum Unfit {
    #[snafu(display("has no disk '{disk}' (it has: {})", match disks[..] {
        [] => "none".to_owned(),
        _ => disks.join(", "),
    }))]
    NoDisk { disk: String, disks: Vec<String> },

    #[snafu(display("cannot shrink disk {disk} from {current} to {size}"))]
    Smaller {
        disk: String,
        current: Size,
        size: Size,
    },

    #[snafu(display("cannot grow disk {disk} by {by}: its original size is unknown"))]
    SizeUnknown { disk: String, by: Size },

    #[snafu(display("already has a disk {disk}, but --set {disk} requests a new one"))]
    DiskExists { disk: String },

    #[snafu(display("{}", no_agent(*known)))]
    NoAgent { vmid: Vmid, known: Option<IpAddr> },

    #[snafu(display("has no network card '{card}' (it has: {})", match cards[..] {
        [] => "none".to_owned(),
        _ => cards.join(", "),
    }))]
    NoCard { card: String, cards: Vec<String> },

    #[snafu(display("cannot report an address: --set agent disables its guest agent"))]
    AgentTurnedOff,
}

/// The predicate for a VM whose guest agent is disabled. `known` is its static address, which only the agent
/// What to do about a VM whose guest agent is not enabled.
pub const AGENT_OFF: &str = "if it is installed in the guest, enable it with --set agent=1; that takes effect at \
                             the next start of the VM";

/// could confirm.
pub fn no_agent(known: Option<IpAddr>) -> String {
    let what = match known {
        Some(address) => format!("can confirm its static address {address}"),
        None => "reports an address".to_owned(),
    };
    format!("has its guest agent disabled, and only the agent {what}")
}

impl Unfit {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Unfit::Smaller { disk, .. } => {
                format!("omit --resize {disk} to keep the current size")
            }
            Unfit::SizeUnknown { disk, .. } => {
                format!("give the absolute size: --resize {disk}=SIZE")
            }
            Unfit::DiskExists { disk } => format!(
                "to grow that disk: --resize {disk}=SIZE; to add another one, use another key, like scsi1"
            ),
            Unfit::NoAgent { vmid, known } => {
                let unconfirmed = known.map_or(
                    "",
                    |_| "; or use --start instead of --wait-ip to skip the wait for the address",
                );
                format!(
                    "if the agent is installed in the guest: --set agent=1; or, for all clones, on the node: qm set \
                     {vmid} --agent 1{unconfirmed}"
                )
            }
            Unfit::NoCard { .. } => {
                "name one of its network cards with --ip-from, or a network like 10.0.0.0/8"
                    .to_owned()
            }
            Unfit::AgentTurnedOff => "remove one of the two options".to_owned(),
            Unfit::NoDisk { .. } => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    /// A template with two disks, one of which has no size in the configuration.
    fn template(agent: &str) -> VmConfig {
        let options = [
            ("scsi0", "data:9000/base-9000-disk-0.raw,size=2252M"),
            ("virtio1", "iscsi:0.0.1.scsi"),
            ("ide2", "none,media=cdrom"),
            ("net0", "virtio=BC:24:11:00:00:65,bridge=vmbr0"),
            ("agent", agent),
        ];
        VmConfig::of(options.map(|(key, value)| (key.to_owned(), value.to_owned())))
    }

    fn setup(set: &[&str], resize: &[&str], address: bool) -> Setup {
        let set: Vec<String> = set.iter().map(|&text| text.to_owned()).collect();
        let resizes = resize.iter().map(|text| text.parse().unwrap());
        Setup {
            settings: Settings::gather(&set, &[]).unwrap(),
            resizes: resizes.collect(),
            start: address,
            address: address.then(Vec::new),
        }
    }

    #[rstest]
    #[case::absolute("scsi0=32G", Ok(""))]
    #[case::same_size("scsi0=2252M", Ok(""))]
    #[case::relative("scsi0=+8G", Ok("8G=10444M"))]
    #[case::absolute_with_unknown_size("virtio1=32G", Ok(""))]
    #[case::no_such_disk("scsi5=32G", Err("has no disk 'scsi5' (it has: scsi0, virtio1)"))]
    #[case::cd_drive_is_not_a_disk("ide2=32G", Err("has no disk 'ide2' (it has: scsi0, virtio1)"))]
    #[case::smaller("scsi0=2G", Err("cannot shrink disk scsi0 from 2252M to 2G"))]
    #[case::relative_to_an_unknown_size(
        "virtio1=+8G",
        Err("cannot grow disk virtio1 by 8G: its original size is unknown")
    )]
    fn sizes_are_checked_against_the_templates_disks(
        #[case] resize: &str,
        #[case] expected: Result<&str, &str>,
    ) {
        let setup = setup(&[], &[resize], false);
        let growth = setup.fit_of_template(Vmid(9000), &template("1"));
        let shown = growth.map(|growth| {
            let shown = growth
                .values()
                .map(|Growth { by, to }| format!("{by}={to}"));
            shown.collect::<String>()
        });
        let expected = expected.map(str::to_owned).map_err(str::to_owned);
        assert_eq!(shown.map_err(|unfit| unfit.to_string()), expected);
    }

    #[rstest]
    #[case::turned_on("1", &[], None)]
    #[case::turned_off("0", &[], Some("has its guest agent disabled, and only the agent reports an address"))]
    #[case::turned_on_by_set("0", &["agent=enabled=1"], None)]
    #[case::turned_off_by_set(
        "1",
        &["agent=0"],
        Some("cannot report an address: --set agent disables its guest agent")
    )]
    fn an_address_requires_the_agent(
        #[case] agent: &str,
        #[case] set: &[&str],
        #[case] expected: Option<&str>,
    ) {
        let setup = setup(set, &[], true);
        let unfit = setup.fit_of_template(Vmid(9000), &template(agent)).err();
        assert_eq!(unfit.map(|unfit| unfit.to_string()).as_deref(), expected);
    }

    #[rstest]
    #[case::existing_card("net0", &[], None)]
    #[case::missing_card("net7", &[], Some("has no network card 'net7' (it has: net0, net1)"))]
    #[case::card_that_is_set("net7", &["net7=virtio,bridge=vmbr0"], None)]
    #[case::network("10.0.0.0/8", &[], None)]
    fn an_address_is_expected_on_a_card_that_exists(
        #[case] from: &str,
        #[case] set: &[&str],
        #[case] expected: Option<&str>,
    ) {
        let nets = ["net0", "net1"].map(|net| {
            let card = "virtio=BC:24:11:00:00:65,bridge=vmbr0";
            (net.to_owned(), card.to_owned())
        });
        let agent = ("agent".to_owned(), "1".to_owned());
        let config = VmConfig::of(nets.into_iter().chain([agent]));
        let setup = Setup {
            address: Some(vec![from.parse().unwrap()]),
            ..setup(set, &[], false)
        };
        let unfit = setup.fit_of_vm(Vmid(101), &config).err();
        assert_eq!(unfit.map(|unfit| unfit.to_string()).as_deref(), expected);
    }

    /// An address of an interface inside the guest, like a tunnel, requires no card.
    #[rstest]
    #[case::any(&[], Some("has no network card 'net0' (it has: none)"))]
    #[case::of_a_family(&["ipv6"], Some("has no network card 'net0' (it has: none)"))]
    #[case::in_a_network(&["100.64.0.0/10"], None)]
    fn an_address_requires_a_card(#[case] from: &[&str], #[case] expected: Option<&str>) {
        let config = VmConfig::of([("agent".to_owned(), "1".to_owned())]);
        let setup = Setup {
            address: Some(from.iter().map(|from| from.parse().unwrap()).collect()),
            ..setup(&[], &[], false)
        };
        let unfit = setup.fit_of_vm(Vmid(101), &config).err();
        assert_eq!(unfit.map(|unfit| unfit.to_string()).as_deref(), expected);
    }

    #[rstest]
    #[case::configured("ip=10.0.0.5/24", &[], "can confirm its static address 10.0.0.5")]
    #[case::set("ip=dhcp", &["ipconfig0=ip=10.0.0.6/24"], "can confirm its static address 10.0.0.6")]
    #[case::dynamic("ip=dhcp", &[], "reports an address")]
    fn without_an_agent_a_static_address_cannot_be_confirmed(
        #[case] ipconfig0: &str,
        #[case] set: &[&str],
        #[case] what: &str,
    ) {
        let options = [
            ("net0", "virtio=BC:24:11:00:00:65,bridge=vmbr0"),
            ("ide2", "data:cloudinit,media=cdrom"),
            ("ipconfig0", ipconfig0),
        ];
        let config = VmConfig::of(options.map(|(key, value)| (key.to_owned(), value.to_owned())));
        let unfit = setup(set, &[], true).fit_of_vm(Vmid(101), &config).err();
        let message = format!("has its guest agent disabled, and only the agent {what}");
        assert_eq!(unfit.map(|unfit| unfit.to_string()), Some(message));
    }

    #[rstest]
    #[case::new_disk("scsi1=data:32", true)]
    #[case::new_volume_for_an_existing_disk("scsi0=data:32", false)]
    #[case::volume_of_the_existing_disk("scsi0=data:9000/base-9000-disk-0.raw,discard=on", true)]
    #[case::new_volume_for_a_cd_drive("ide2=data:cloudinit", true)]
    fn a_new_volume_must_not_replace_a_disk(#[case] set: &str, #[case] fits: bool) {
        let setup = setup(&[set], &[], false);
        let fit = setup.fit_of_template(Vmid(9000), &template("1"));
        assert_eq!(fit.is_ok(), fits);
        // An existing VM has it from an earlier run.
        assert!(setup.fit_of_vm(Vmid(101), &template("1")).is_ok());
    }
}
