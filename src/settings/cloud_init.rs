//! Settings that reach the guest only through cloud-init, and reasons why they do not.

use std::fmt::Display;

use super::Settings;
use super::options::{PASSWORD, SSH_KEYS};
use crate::pve::property::{is_numbered, value_of};
use crate::pve::{VmConfig, is_cloud_init};

/// Settings that will have no effect in the guest.
#[derive(Debug)]
pub struct Ineffective<'s> {
    /// Their names in Proxmox VE.
    pub keys: Vec<&'s str>,
    reason: Reason<'s>,
}

#[derive(PartialEq, Eq, Debug)]
enum Reason<'s> {
    NoDrive,
    NoCard(String),
    /// `cicustom` names a file, so Proxmox VE does not generate this part from the settings.
    Custom {
        is_set: bool,
        data: &'static str,
        file: &'s str,
    },
}

impl Settings {
    /// The settings that will have no effect in a VM with this configuration, or in a clone of a template
    /// with this configuration, grouped by reason.
    pub fn ineffective<'s>(&'s self, config: &'s VmConfig) -> Vec<Ineffective<'s>> {
        let mut found: Vec<Ineffective> = Vec::new();
        for key in self.keys() {
            let Some(reason) = self.why_ineffective(key, config) else {
                continue;
            };
            match found.iter_mut().find(|it| it.reason == reason) {
                Some(other) => other.keys.push(key),
                None => found.push(Ineffective {
                    keys: vec![key],
                    reason,
                }),
            }
        }
        found
    }

    fn why_ineffective<'s>(&'s self, key: &str, config: &'s VmConfig) -> Option<Reason<'s>> {
        let is_ip = is_numbered(key, &["ipconfig"]);
        let (file, data) = match key {
            SSH_KEYS | PASSWORD | "ciuser" | "ciupgrade" => ("user", "user data"),
            "nameserver" | "searchdomain" => ("network", "network configuration"),
            _ if is_ip => ("network", "network configuration"),
            "cicustom" | "citype" => ("", ""),
            _ => return None,
        };
        let mut drives = self.drives();
        if !config.has_cloud_init_drive() && !drives.any(|(_, drive)| is_cloud_init(drive)) {
            return Some(Reason::NoDrive);
        }
        let option = |key: &str| self.value_of(key).or(config.option(key));
        if let Some(file) = option("cicustom").and_then(|it| value_of(it, file)) {
            let is_set = self.value_of("cicustom").is_some();
            return Some(Reason::Custom { is_set, data, file });
        }
        let card = key.replace("ipconfig", "net");
        (is_ip && option(&card).is_none()).then_some(Reason::NoCard(card))
    }
}

impl Ineffective<'_> {
    /// A warning about a VM, or about clones of a template.
    pub fn warning(&self, of: &impl Display) -> String {
        let reason = match &self.reason {
            Reason::NoDrive => {
                format!("{of} has no cloud-init drive; --set ide2=STORAGE:cloudinit adds one")
            }
            Reason::NoCard(card) => format!(
                "{of} has no network card {card}; --set {card}=virtio,bridge=BRIDGE adds one"
            ),
            Reason::Custom { is_set, data, file } => {
                let whose = if *is_set {
                    "--set cicustom".to_owned()
                } else {
                    format!("cicustom of {of}")
                };
                format!("{whose} takes the {data} from {file}; change that file instead")
            }
        };
        format!("{} will have no effect: {reason}", self.keys.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const DRIVE: (&str, &str) = ("ide2", "data:vm-100-cloudinit,media=cdrom");
    const CARD: (&str, &str) = ("net0", "virtio=BC:24:11:00:00:01,bridge=vmbr0");
    const USER: (&str, &str) = (
        "cicustom",
        "user=local:snippets/u.yaml,vendor=local:snippets/v",
    );
    const NETWORK: (&str, &str) = ("cicustom", "network=local:snippets/n.yaml");

    #[rstest]
    #[case::all_effective(&[DRIVE, CARD], &["ciuser=a", "ipconfig0=ip=dhcp"], &[])]
    #[case::no_drive(
        &[CARD],
        &["ipconfig0=ip=dhcp", "cores=2", "ciupgrade=0", "cicustom=user=local:snippets/u"],
        &["ipconfig0, ciupgrade, cicustom will have no effect: the VM has no cloud-init drive; --set \
           ide2=STORAGE:cloudinit adds one"]
    )]
    #[case::drive_that_is_added(&[CARD], &["ciuser=a", "ide0=data:cloudinit"], &[])]
    #[case::user_data_from_a_file(
        &[DRIVE, CARD, USER],
        &["ciuser=a", "ipconfig0=ip=dhcp", "cipassword=x"],
        &["ciuser, cipassword will have no effect: cicustom of the VM takes the user data from \
           local:snippets/u.yaml; change that file instead"]
    )]
    #[case::network_configuration_from_a_file(
        &[DRIVE, CARD, NETWORK],
        &["ciuser=a", "ipconfig0=ip=dhcp", "nameserver=192.0.2.53", "searchdomain=lan"],
        &["ipconfig0, nameserver, searchdomain will have no effect: cicustom of the VM takes the \
           network configuration from local:snippets/n.yaml; change that file instead"]
    )]
    #[case::file_that_is_set(
        &[DRIVE, CARD],
        &["cicustom=user=local:snippets/u.yaml", "ciuser=a"],
        &["ciuser will have no effect: --set cicustom takes the user data from \
           local:snippets/u.yaml; change that file instead"]
    )]
    #[case::file_that_is_replaced(
        &[DRIVE, CARD, USER],
        &["cicustom=vendor=local:snippets/v", "ciuser=a"],
        &[]
    )]
    #[case::no_card(
        &[DRIVE, CARD],
        &["ipconfig1=ip=dhcp", "ipconfig0=ip=dhcp"],
        &["ipconfig1 will have no effect: the VM has no network card net1; --set \
           net1=virtio,bridge=BRIDGE adds one"]
    )]
    #[case::card_that_is_added(&[DRIVE], &["ipconfig1=ip=dhcp", "net1=virtio,bridge=vmbr0"], &[])]
    fn settings_that_cloud_init_will_not_pass_on_are_found(
        #[case] config: &[(&str, &str)],
        #[case] set: &[&str],
        #[case] warnings: &[&str],
    ) {
        let options = config.iter();
        let options = options.map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let config = VmConfig::of(options);
        let set: Vec<String> = set.iter().map(|&text| text.to_owned()).collect();
        let settings = Settings::gather(&set, &[]).unwrap();
        let found = settings.ineffective(&config);
        let found: Vec<String> = found.iter().map(|it| it.warning(&"the VM")).collect();
        assert_eq!(found, warnings);
    }
}
