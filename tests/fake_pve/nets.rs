//! Network devices as written in a configuration: `virtio=BC:24:11:00:00:65,bridge=vmbr0`.

use std::fmt;

use super::stored_values::tidy;

pub(super) const MODELS: [&str; 14] = [
    "e1000",
    "e1000-82540em",
    "e1000-82544gc",
    "e1000-82545em",
    "e1000e",
    "i82551",
    "i82557b",
    "i82559er",
    "ne2k_isa",
    "ne2k_pci",
    "pcnet",
    "rtl8139",
    "virtio",
    "vmxnet3",
];

pub(super) struct Net {
    pub(super) model: String,
    pub(super) mac: Option<String>,
    settings: Vec<(String, String)>,
}

impl Net {
    /// The model may come first, with or without a MAC, or be a setting like the others.
    pub(super) fn parse(text: &str) -> Self {
        let mut net = Self {
            model: String::new(),
            mac: None,
            settings: Vec::new(),
        };
        for part in text.split(',') {
            match part.split_once('=') {
                None => part.clone_into(&mut net.model),
                Some(("model", model)) => model.clone_into(&mut net.model),
                Some(("macaddr", mac)) => net.mac = Some(mac.to_owned()),
                Some((model, mac)) if MODELS.contains(&model) => {
                    model.clone_into(&mut net.model);
                    net.mac = Some(mac.to_owned());
                }
                Some((name, value)) => net.settings.push((name.to_owned(), value.to_owned())),
            }
        }
        net.settings.sort();
        net
    }

    /// As the server writes it.
    pub(super) fn tidy(&mut self, option: &str) {
        tidy(option, &mut self.settings);
    }

    pub(super) fn bridge(&self) -> Option<&str> {
        let (_, bridge) = self.settings.iter().find(|(name, _)| name == "bridge")?;
        Some(bridge)
    }
}

impl fmt::Display for Net {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.model)?;
        if let Some(mac) = &self.mac {
            write!(out, "={mac}")?;
        }
        let mut settings = self.settings.iter();
        settings.try_for_each(|(name, value)| write!(out, ",{name}={value}"))
    }
}

/// The default MAC of the network device with this number. It differs from that of a former guest with the
/// VMID.
pub(super) fn first_mac(vmid: u32, number: u32, births: u32) -> String {
    let high = (vmid >> 16) + (number << 4) + (births << 3);
    let [.., high] = high.to_be_bytes();
    let [.., middle, low] = vmid.to_be_bytes();
    format!("BC:24:11:{high:02X}:{middle:02X}:{low:02X}")
}

/// A device that is set without a MAC gets a new one each time.
pub(super) fn next_mac(given: u32) -> String {
    let [.., middle, low] = given.to_be_bytes();
    format!("BC:24:11:FE:{middle:02X}:{low:02X}")
}
