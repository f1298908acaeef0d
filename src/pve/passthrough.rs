//! Devices of a node that are passed through to a VM. A clone uses the same devices, so cloning needs
//! permission to use them.

use crate::pve::property::{bare_value, is_numbered, value_of};
use crate::pve::vm_config::VmConfig;

/// What the server requires to clone a VM that uses a device of its node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Passthrough {
    /// The root user itself: no API token suffices, not even one of root@pam.
    Root,
    /// Mapping.Use on this path, the device's resource mapping.
    Mapping(String),
}

impl VmConfig {
    /// The options that use a device of the node, each with what cloning it requires.
    pub fn passthrough(&self) -> Vec<(&str, Passthrough)> {
        let options = self.options_where(|_| true);
        options
            .filter_map(|(key, value)| Some((key, needed(key, value)?)))
            .collect()
    }
}

fn needed(key: &str, value: &str) -> Option<Passthrough> {
    let mapped = |kind: &str| {
        let name = value_of(value, "mapping")?;
        Some(Passthrough::Mapping(format!("/mapping/{kind}/{name}")))
    };
    let first = |key: &str| value_of(value, key).or_else(|| bare_value(value));
    if is_numbered(key, &["hostpci"]) {
        return mapped("pci").or(Some(Passthrough::Root));
    }
    if is_numbered(key, &["usb"]) {
        let is_emulated = first("host").is_some_and(|host| host.eq_ignore_ascii_case("spice"));
        let device = || mapped("usb").or(Some(Passthrough::Root));
        return (!is_emulated).then(device).flatten();
    }
    if is_numbered(key, &["rng"]) {
        let is_real = first("source") == Some("/dev/hwrng");
        return is_real.then(|| Passthrough::Mapping("/mapping/hwrng".to_owned()));
    }
    if is_numbered(key, &["virtiofs"]) {
        let directory = first("dirid")?;
        return Some(Passthrough::Mapping(format!("/mapping/dir/{directory}")));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::pci_address("hostpci0", "0000:01:00.0,pcie=1", Some("root"))]
    #[case::pci_address_with_its_key("hostpci1", "host=01:00;02:00,x-vga=1", Some("root"))]
    #[case::pci_mapping("hostpci0", "mapping=gpu,pcie=1", Some("/mapping/pci/gpu"))]
    #[case::usb_device("usb0", "host=046d:c52b,usb3=1", Some("root"))]
    #[case::usb_port("usb1", "1-2", Some("root"))]
    #[case::usb_mapping("usb0", "mapping=dongle", Some("/mapping/usb/dongle"))]
    #[case::spice_usb("usb0", "spice", None)]
    #[case::spice_usb_with_its_key("usb0", "host=SPICE,usb3=1", None)]
    #[case::random_numbers_from_the_kernel("rng0", "source=/dev/urandom", None)]
    #[case::random_numbers_from_hardware("rng0", "/dev/hwrng,period=1000", Some("/mapping/hwrng"))]
    #[case::directory("virtiofs0", "share,cache=auto", Some("/mapping/dir/share"))]
    #[case::directory_with_its_key("virtiofs0", "dirid=share", Some("/mapping/dir/share"))]
    #[case::disk("scsi0", "data:100/vm-100-disk-0.raw", None)]
    #[case::serial_port("serial0", "socket", None)]
    fn a_device_of_the_node_needs_a_mapping_or_root(
        #[case] key: &str,
        #[case] value: &str,
        #[case] expected: Option<&str>,
    ) {
        let config = VmConfig::of([(key.to_owned(), value.to_owned())]);
        let expected = expected.map(|needs| match needs {
            "root" => Passthrough::Root,
            path => Passthrough::Mapping(path.to_owned()),
        });
        let expected: Vec<_> = expected.into_iter().map(|needs| (key, needs)).collect();
        assert_eq!(config.passthrough(), expected);
    }
}
