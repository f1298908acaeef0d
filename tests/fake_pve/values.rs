//! Whether a value is valid for its option, with the messages of the Proxmox VE schema.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::drives::{drive_names, rank_of_drive};
use super::stored_values::switch;

pub(super) const UNKNOWN: &str =
    "property is not defined in schema and the schema does not allow additional properties";
pub(super) const MISSING: &str = "property is missing and it is not optional";
const FORMAT_ERROR: &str = "format error";

/// The kind of value of an option.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Text,
    /// Minimum and maximum.
    Integer(i64, i64),
    Number,
    Boolean,
    Vmid,
    /// The name of a drive.
    Drive,
    Matching(fn(&str) -> bool),
    OneOf(&'static [&'static str]),
    Checked(fn(&str) -> Result<(), String>),
    /// `a=1,b=2`
    Properties(&'static Properties),
}

pub(super) struct Properties {
    /// The property whose name may be omitted.
    pub(super) first: Option<&'static str>,
    pub(super) keys: &'static [(&'static str, Kind)],
    pub(super) required: &'static [&'static str],
    /// Pairs of a property and the one that it requires.
    pub(super) requires: &'static [(&'static str, &'static str)],
}

impl Properties {
    pub(super) const NONE: Self = Self {
        first: None,
        keys: &[],
        required: &[],
        requires: &[],
    };
}

/// `None` if it is valid.
pub(super) fn what_is_wrong(kind: Kind, option: &str, value: &str) -> Option<String> {
    match kind {
        Kind::Text => None,
        Kind::Integer(least, most) => match whole_number(value) {
            None => Some(not_a("integer", value)),
            Some(number) if number < least => {
                Some(format!("value must have a minimum value of {least}"))
            }
            Some(number) if number > most => {
                Some(format!("value must have a maximum value of {most}"))
            }
            Some(_) => None,
        },
        Kind::Number => {
            let is_number = value.parse::<f64>().is_ok_and(f64::is_finite);
            (!is_number).then(|| not_a("number", value))
        }
        Kind::Boolean => (!matches!(value, "0" | "1")).then(|| not_a("boolean", value)),
        Kind::Vmid => what_is_wrong_with_vmid(value),
        Kind::Drive => rank_of_drive(value)
            .is_none()
            .then(|| none_of(value, &drive_names())),
        Kind::Matching(fits) => {
            (!fits(value)).then(|| "value does not match the regex pattern".to_owned())
        }
        Kind::OneOf(values) => {
            (!values.contains(&value)).then(|| none_of(value, &values.join(", ")))
        }
        Kind::Checked(check) => check(value).err().map(invalid),
        Kind::Properties(properties) => wrong_properties(properties, option, value).map(invalid),
    }
}

fn invalid(why: impl std::fmt::Display) -> String {
    format!("invalid format - {why}\n")
}

fn none_of(value: &str, values: &str) -> String {
    format!("value '{value}' does not have a value in the enumeration '{values}'")
}

fn not_a(kind: &str, value: &str) -> String {
    format!("type check ('{kind}') failed - got '{value}'")
}

fn whole_number(value: &str) -> Option<i64> {
    let number = value.parse().ok()?;
    (!value.starts_with('+')).then_some(number)
}

pub(super) fn what_is_wrong_with_vmid(vmid: &str) -> Option<String> {
    match vmid.parse::<i64>() {
        Ok(100..=999_999_999) => None,
        Ok(_) => Some(invalid("value does not look like a valid VM ID")),
        Err(_) => Some(not_a("integer", vmid)),
    }
}

fn wrong_properties(properties: &Properties, option: &str, text: &str) -> Option<String> {
    let mut given: Vec<(&str, &str)> = Vec::new();
    for part in text.split(',').filter(|part| !part.is_empty()) {
        let (name, value) = match (part.split_once('='), properties.first) {
            (Some(pair), _) => pair,
            (None, Some(first)) => (first, part),
            (None, None) => {
                let why = "value without key, but schema does not define a default key";
                return Some(why.to_owned());
            }
        };
        if given.iter().any(|(known, _)| *known == name) {
            let why = format!("duplicate key in comma-separated list property: {name}");
            return Some(why);
        }
        given.push((name, value));
    }
    let is_given = |name: &str| given.iter().any(|(known, _)| *known == name);
    let mut errors: Vec<(&str, String)> = Vec::new();
    for (name, value) in &given {
        match properties.keys.iter().find(|(known, _)| known == name) {
            None => errors.push((name, UNKNOWN.to_owned())),
            // Outside of properties it must be a number.
            Some((_, Kind::Boolean)) if switch(value).is_some() => {}
            Some((_, kind)) => {
                errors.extend(what_is_wrong(*kind, name, value).map(|why| (*name, why)));
            }
        }
    }
    let missing = properties.required.iter().filter(|name| !is_given(name));
    errors.extend(missing.map(|name| (*name, MISSING.to_owned())));
    for (name, needed) in properties.requires {
        if is_given(name) && !is_given(needed) {
            let why = format!("missing property - '{name}' requires this property");
            errors.push((needed, why));
        }
    }
    errors.sort();
    if errors.is_empty() {
        return None;
    }
    let lines = errors.iter();
    let lines = lines.map(|(name, why)| format!("{option}.{name}: {why}"));
    let lines: Vec<_> = [FORMAT_ERROR.to_owned()].into_iter().chain(lines).collect();
    Some(lines.join("\n"))
}

pub(super) fn dns_name(value: &str) -> Result<(), String> {
    let message = "value does not look like a valid DNS name";
    is_dns_name(value).then_some(()).ok_or(message.to_owned())
}

fn is_dns_name(name: &str) -> bool {
    name.split('.').all(|label| {
        let inner = |c: char| c.is_ascii_alphanumeric() || c == '-';
        !label.is_empty() && label.chars().all(inner) && label.trim_matches('-') == label
    })
}

/// The value must be percent-encoded itself, in addition to the encoding of the form.
pub(super) fn urlencoded(value: &str) -> Result<(), String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-%_.!~*'()".contains(c);
    if value.chars().all(plain) {
        return Ok(());
    }
    Err(format!("invalid urlencoded string: {value}"))
}

pub(super) fn ipv4_config(value: &str) -> Result<(), String> {
    let message = "value does not look like a valid ipv4 network configuration";
    let is_cidr = value.split_once('/').is_some_and(|(address, prefix)| {
        let prefix: Option<u8> = prefix.parse().ok();
        address.parse::<Ipv4Addr>().is_ok() && matches!(prefix, Some(8..=32))
    });
    (is_cidr || value == "dhcp")
        .then_some(())
        .ok_or(message.to_owned())
}

pub(super) fn ipv6_config(value: &str) -> Result<(), String> {
    let message = "value does not look like a valid ipv6 network configuration";
    let is_cidr = value.split_once('/').is_some_and(|(address, prefix)| {
        let prefix: Option<u8> = prefix.parse().ok();
        address.parse::<Ipv6Addr>().is_ok() && matches!(prefix, Some(8..=128))
    });
    let is_good = is_cidr || matches!(value, "dhcp" | "auto");
    is_good.then_some(()).ok_or(message.to_owned())
}

pub(super) fn ipv4(value: &str) -> Result<(), String> {
    let message = "value does not look like a valid IPv4 address";
    let is_address = value.parse::<Ipv4Addr>().is_ok();
    is_address.then_some(()).ok_or(message.to_owned())
}

pub(super) fn ipv6(value: &str) -> Result<(), String> {
    let message = "value does not look like a valid IPv6 address";
    let is_address = value.parse::<Ipv6Addr>().is_ok();
    is_address.then_some(()).ok_or(message.to_owned())
}

pub(super) fn addresses(value: &str) -> Result<(), String> {
    let is_address = |item: &&str| item.parse::<Ipv6Addr>().is_ok() || is_dns_name(item);
    match items_of(value).find(|item| !is_address(item)) {
        Some(item) => Err(format!("value does not look like a valid address: {item}")),
        None => Ok(()),
    }
}

pub(super) fn tags(value: &str) -> Result<(), String> {
    let is_first = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let is_rest = |c: char| is_first(c) || "-+.".contains(c);
    let is_tag = |tag: &&str| tag.starts_with(is_first) && tag.chars().all(is_rest);
    if items_of(value).all(|tag| is_tag(&tag)) {
        return Ok(());
    }
    Err("invalid characters in tag".to_owned())
}

pub(super) fn mac(value: &str) -> Result<(), String> {
    let bytes: Vec<&str> = value.split(':').collect();
    let is_byte = |byte: &&str| byte.len() == 2 && u8::from_str_radix(byte, 16).is_ok();
    let is_mac = bytes.len() == 6 && bytes.iter().all(is_byte);
    let message = "value does not look like a valid unicast MAC address";
    is_mac.then_some(()).ok_or(message.to_owned())
}

pub(super) fn boot_devices(value: &str) -> Result<(), String> {
    let is_numbered = |device: &str, kind: &str, count: u32| {
        let number = device.strip_prefix(kind).map(str::parse::<u32>);
        number.is_some_and(|number| number.is_ok_and(|number| number < count))
    };
    let boots = |device: &&str| {
        let is_drive = rank_of_drive(device).is_some();
        (is_drive && !device.starts_with("efidisk") && !device.starts_with("tpmstate"))
            || is_numbered(device, "net", 32)
            || is_numbered(device, "usb", 14)
            || is_numbered(device, "hostpci", 16)
    };
    match items_of(value).find(|device| !boots(device)) {
        Some(device) => Err(format!("invalid boot device '{device}'")),
        None => Ok(()),
    }
}

/// Proxmox VE accepts `;`, `,` and blanks as list separators.
pub(super) fn items_of(list: &str) -> impl Iterator<Item = &str> {
    list.split([';', ',', ' ', '\n', '\0'])
        .filter(|item| !item.is_empty())
}
