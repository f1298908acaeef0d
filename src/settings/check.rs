//! Checks `--set` against the options of Proxmox VE 9 before any request: the server would report a mistake
//! only after the clone.
//!
//! Later versions may have more options, so an unknown name is an error only if it resembles a known one.

use snafu::ensure;

use super::compare::volume;
use super::error::{
    BeyondLastSnafu, Error, MisspelledKeySnafu, MisspelledPartSnafu, WrongValueSnafu,
};
use super::options::{
    ANY, Kind, NUMBERED, PASSWORD, SINGLE, SSH_KEYS, Schema, kind_of, number, split_number, stem,
    without_key,
};
use crate::pve::network::Network;
use crate::pve::{Size, property};
use crate::say::closest::closest;

/// Checks whether the server can be expected to accept this option with this value.
pub(super) fn check(key: &str, value: &str) -> Result<(), Error> {
    let may_have_lines = ["description", SSH_KEYS, PASSWORD].contains(&key);
    if !may_have_lines && value.contains(['\n', '\r']) {
        return wrong_value(key, "one line", None);
    }
    if property::is_drive(key) && !names_volume(value) {
        let expected = format!(
            "a volume: STORAGE:NAME, or STORAGE:SIZE for a new one; to grow a disk: --resize {key}=SIZE"
        );
        return wrong_value(key, &expected, None);
    }
    match kind_of(key) {
        Some(Kind::Properties(schema)) => check_parts(key, value, &schema),
        Some(kind) => check_value(key, value, kind),
        None => check_unknown(key),
    }
}

/// Whether a drive names a volume: `data:32`, `none,media=cdrom` and `/dev/sdb` do; `32G` does not, and
/// would replace the disk.
fn names_volume(drive: &str) -> bool {
    volume(drive)
        .is_none_or(|volume| volume == "none" || volume.starts_with('/') || volume.contains(':'))
}

/// Checks that the name of a known option is in lower case: the server's names are case-sensitive.
pub(super) fn check_case(key: &str) -> Result<(), Error> {
    let suggestion = key.to_ascii_lowercase();
    let is_valid = suggestion == key || kind_of(&suggestion).is_none();
    ensure!(is_valid, MisspelledKeySnafu { key, suggestion });
    Ok(())
}

/// What other programs call an option.
const OTHER_NAMES: &[(&str, &str)] = &[
    ("mem", "memory"),
    ("ram", "memory"),
    ("cpus", "cores"),
    ("vcpu", "cores"),
    ("user", "ciuser"),
    ("password", "cipassword"),
    ("ip", "ipconfig0"),
    ("hostname", "name"),
];

fn check_unknown(key: &str) -> Result<(), Error> {
    let known = OTHER_NAMES.iter().find(|(name, _)| *name == key);
    if let Some(&(_, suggestion)) = known {
        return MisspelledKeySnafu { key, suggestion }.fail();
    }
    let number = split_number(key);
    if let Some((kind, number)) = number
        && let Some(&(_, last, _)) = NUMBERED.iter().find(|(name, ..)| *name == kind)
    {
        ensure!(number <= last, BeyondLastSnafu { key, kind, last });
    }
    let number = number.map_or(0, |(_, number)| number);
    let numbered = NUMBERED.iter().map(|(name, last, _)| {
        let number = if number <= *last { number } else { 0 };
        format!("{name}{number}")
    });
    let single = SINGLE.iter().map(|(name, _)| (*name).to_owned());
    let known: Vec<String> = single.chain(numbered).collect();
    match closest(key, known.iter().map(String::as_str)) {
        Some(suggestion) => MisspelledKeySnafu { key, suggestion }.fail(),
        None => Ok(()),
    }
}

fn check_value(key: &str, value: &str, kind: Kind) -> Result<(), Error> {
    let is_whole_from = |text, least, most| is_whole(text) && is_between(text, least, most);
    let (is_valid, expected, suggestion) = match kind {
        Kind::Text | Kind::Properties(_) => return Ok(()),
        Kind::Boolean => {
            let suggestion = property::flag(value).map(|flag| u8::from(flag).to_string());
            (["0", "1"].contains(&value), "0 or 1".to_owned(), suggestion)
        }
        Kind::Integer(least, most) => {
            let expected = format!("a whole number{}", range(least, most));
            (is_whole_from(value, least, most), expected, None)
        }
        Kind::Number(most) => {
            let expected = format!("a number{}", range(0, most));
            (is_between(value, 0, most), expected, None)
        }
        Kind::Mebibytes(least) => {
            let number = without_key(value);
            let expected = format!("a whole number of MiB{}", range(least, ANY));
            // A later version may have more keys, but no other option is one.
            let other_keys = number.split(',').filter_map(|part| part.split_once('='));
            let is_later = number.contains('=')
                && other_keys
                    .map(|(key, _)| key)
                    .all(|key| kind_of(key).is_none());
            let is_valid = is_whole_from(number, least, ANY) || is_later;
            (is_valid, expected, mebibytes(number))
        }
        Kind::OneOf(words) => {
            let words: Vec<&str> = words.split_whitespace().collect();
            // A later version may have 'win12'.
            let is_valid = words.iter().any(|word| stem(word) == stem(value));
            let suggestion = closest(value, words.iter().copied()).map(str::to_owned);
            (is_valid, format!("one of {}", words.join(", ")), suggestion)
        }
    };
    if is_valid {
        Ok(())
    } else {
        wrong_value(key, &expected, suggestion)
    }
}

fn check_parts(key: &str, text: &str, schema: &Schema) -> Result<(), Error> {
    let known: Vec<&str> = schema.keys().collect();
    for (part, value) in property::parts(text) {
        let part = part.unwrap_or(schema.default);
        if part == schema.default
            && let Some(suggestion) = misspelled(value, schema.values.split_whitespace())
        {
            let part = value;
            return MisspelledPartSnafu {
                key,
                part,
                suggestion,
            }
            .fail();
        }
        let expected = if part.is_empty() {
            format!("KEY=VALUE with one of the keys {}", known.join(", "))
        } else if !known.contains(&part) {
            match misspelled(part, known.iter().copied()) {
                Some(suggestion) => {
                    return MisspelledPartSnafu {
                        key,
                        part,
                        suggestion,
                    }
                    .fail();
                }
                None => continue,
            }
        } else if schema.is_flag(part) && property::flag(value).is_none() {
            format!("0 or 1 for {part}")
        } else if schema.is_number(part) && number(value).is_none() {
            format!("a number for {part}")
        } else if part == "tag" && !is_between(value, 1, 4094) {
            "a VLAN ID from 1 to 4094 for tag".to_owned()
        } else if is_ip(key, part) && !is_ip_config(value) {
            format!("dhcp or an address with its prefix length, like 10.0.0.5/24, for {part}")
        } else {
            continue;
        };
        return wrong_value(key, &expected, None);
    }
    Ok(())
}

/// The name that was probably meant, unless `name` is one of these names or resembles none of them.
fn misspelled<'n>(name: &str, names: impl Iterator<Item = &'n str> + Clone) -> Option<&'n str> {
    let is_known = names.clone().any(|known| known == name);
    (!is_known).then(|| closest(name, names)).flatten()
}

fn is_ip(key: &str, part: &str) -> bool {
    property::is_numbered(key, &["ipconfig"]) && ["ip", "ip6"].contains(&part)
}

fn is_ip_config(value: &str) -> bool {
    let is_network = value.contains('/') && value.parse::<Network>().is_ok();
    is_network || ["dhcp", "auto", "manual"].contains(&value)
}

fn wrong_value(key: &str, expected: &str, suggestion: Option<String>) -> Result<(), Error> {
    let wrong = WrongValueSnafu {
        key,
        expected,
        suggestion,
    };
    wrong.fail()
}

fn is_whole(text: &str) -> bool {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_between(text: &str, least: u32, most: u32) -> bool {
    let is_valid =
        |number| number >= f64::from(least) && (most == ANY || number <= f64::from(most));
    number(text).is_some_and(is_valid)
}

fn range(least: u32, most: u32) -> String {
    if most == ANY {
        format!(", at least {least}")
    } else {
        format!(" from {least} to {most}")
    }
}

/// Converts `8G`, which the server does not accept, to `8192`.
pub(super) fn mebibytes(text: &str) -> Option<String> {
    let text = text.to_ascii_uppercase();
    let text = text.strip_suffix('B').unwrap_or(&text);
    let Size(bytes) = text.strip_suffix('I').unwrap_or(text).parse().ok()?;
    bytes
        .is_multiple_of(1 << 20)
        .then(|| (bytes >> 20).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    /// The error for `KEY=VALUE`, followed by a slash and the hint, or nothing.
    fn error_for(assignment: &str) -> String {
        let (key, value) = assignment.split_once('=').unwrap();
        let error = match check(key, value) {
            Ok(()) => return String::new(),
            Err(error) => error,
        };
        let hint = error.hint().map(|hint| format!(" / {hint}"));
        let message = error.to_string();
        let message = message.strip_prefix("--set ").unwrap();
        format!("{message}{}", hint.unwrap_or_default())
    }

    #[rstest]
    #[case::swapped_letters("coers=4", "cores")]
    #[case::missing_letter("memry=512", "memory")]
    #[case::missing_plural_s("sshkey=x", "sshkeys")]
    #[case::missing_number("net=virtio", "net0")]
    #[case::with_its_number("ipconfg1=ip=dhcp", "ipconfig1")]
    #[case::number_with_a_zero("net01=virtio", "net1")]
    #[case::number_of_something_else("vga0=std", "vga")]
    #[case::short_for_memory("mem=8192", "memory")]
    #[case::another_name_of_memory("ram=8192", "memory")]
    #[case::user_of_cloud_init("user=admin", "ciuser")]
    #[case::address("ip=dhcp", "ipconfig0")]
    #[case::hyphen_for_an_underscore("migrate-speed=1", "migrate_speed")]
    fn an_unknown_option_that_is_close_to_a_known_one_is_a_typo(
        #[case] assignment: &str,
        #[case] suggestion: &str,
    ) {
        let (key, _) = assignment.split_once('=').unwrap();
        let expected =
            format!("{key}: Proxmox VE has no such option / did you mean '{suggestion}'?");
        assert_eq!(error_for(assignment), expected);
    }

    #[rstest]
    #[case::card("net32=virtio", "net32: Proxmox VE has net0 to net31")]
    #[case::disk("scsi31=data:8", "scsi31: Proxmox VE has scsi0 to scsi30")]
    fn an_option_with_too_high_a_number_is_refused(
        #[case] assignment: &str,
        #[case] expected: &str,
    ) {
        assert_eq!(error_for(assignment), expected);
    }

    #[rstest]
    #[case::option_of_a_later_version("foo=bar")]
    #[case::key_of_a_later_version("net0=virtio,quantum=1")]
    #[case::value_of_a_later_version("ostype=win12")]
    #[case::memory_of_a_later_version("memory=current=512,limit=8G")]
    #[case::highest_number("scsi30=data:8")]
    #[case::empty_cd_drive("ide2=none,media=cdrom")]
    #[case::disk_of_the_node("scsi1=/dev/sdb")]
    #[case::named_volume("scsi1=file=data:8,ssd=1")]
    #[case::import("scsi0=data:0,import-from=data:import/x.raw")]
    #[case::card_with_a_mac("net0=virtio=BC:24:11:00:00:01,bridge=vmbr0")]
    #[case::flag_as_a_word("net0=virtio,firewall=Yes")]
    #[case::number_with_zeros("cores=02")]
    #[case::number_with_a_sign("cores=+2")]
    #[case::fraction("cpulimit=.5")]
    #[case::memory_with_its_key("memory=current=512")]
    #[case::no_limit("migrate_downtime=99999999999")]
    #[case::model_of_a_later_version("net0=quantum-nic,bridge=vmbr0")]
    #[case::highest_tag("net0=virtio,tag=4094")]
    #[case::addresses("ipconfig0=ip=10.0.0.5/24,gw=10.0.0.1,ip6=auto")]
    #[case::text("ciuser=four")]
    #[case::several_lines("description=a\nb")]
    fn a_value_that_the_server_may_accept_is_not_refused(#[case] assignment: &str) {
        assert_eq!(error_for(assignment), "");
    }

    #[rstest]
    #[case::unit(
        "memory=8G",
        "a whole number of MiB, at least 16 / did you mean memory=8192?"
    )]
    #[case::long_unit("balloon=1.5 GiB", "a whole number of MiB, at least 0")]
    #[case::fraction_of_a_unit(
        "balloon=1.5GiB",
        "a whole number of MiB, at least 0 / did you mean balloon=1536?"
    )]
    #[case::unit_with_its_key(
        "memory=current=512mb",
        "a whole number of MiB, at least 16 / did you mean memory=512?"
    )]
    #[case::too_little_memory("memory=8", "a whole number of MiB, at least 16")]
    #[case::two_options("memory=8192,cores=2", "a whole number of MiB, at least 16")]
    #[case::not_a_number("cores=four", "a whole number, at least 1")]
    #[case::fraction("sockets=1.5", "a whole number, at least 1")]
    #[case::zero("cores=0", "a whole number, at least 1")]
    #[case::too_much("shares=50001", "a whole number from 0 to 50000")]
    #[case::infinity("cpulimit=inf", "a number from 0 to 128")]
    #[case::yes_for_1("onboot=yes", "0 or 1 / did you mean onboot=1?")]
    #[case::not_a_boolean("onboot=maybe", "0 or 1")]
    #[case::unknown_word("bios=uefi", "one of seabios, ovmf")]
    #[case::misspelled_word("bios=omvf", "one of seabios, ovmf / did you mean bios=ovmf?")]
    #[case::flag_in_a_part("net0=virtio,firewall=maybe", "0 or 1 for firewall")]
    #[case::number_in_a_part("net0=virtio,tag=ten", "a number for tag")]
    #[case::tag_out_of_range("net0=virtio,tag=99999", "a VLAN ID from 1 to 4094 for tag")]
    #[case::address_without_a_prefix(
        "ipconfig0=ip=10.0.0.5",
        "dhcp or an address with its prefix length, like 10.0.0.5/24, for ip"
    )]
    #[case::two_lines("ciuser=a\nb", "one line")]
    #[case::size_of_a_disk(
        "scsi0=40G",
        "a volume: STORAGE:NAME, or STORAGE:SIZE for a new one; to grow a disk: --resize scsi0=SIZE"
    )]
    #[case::no_key("ipconfig0=dhcp", "KEY=VALUE with one of the keys gw, gw6, ip, ip6")]
    fn a_value_of_the_wrong_type_is_refused(#[case] assignment: &str, #[case] expected: &str) {
        let (key, _) = assignment.split_once('=').unwrap();
        assert_eq!(error_for(assignment), format!("{key}: expected {expected}"));
    }

    #[rstest]
    #[case::card(
        "net0=virtio,brigde=vmbr0",
        "net0: unknown key 'brigde' / did you mean 'bridge'?"
    )]
    #[case::disk("scsi1=data:8,sdd=1", "scsi1: unknown key 'sdd' / did you mean 'ssd'?")]
    #[case::address(
        "ipconfig0=pi=dhcp",
        "ipconfig0: unknown key 'pi' / did you mean 'ip'?"
    )]
    #[case::model(
        "net0=virtoi,bridge=vmbr0",
        "net0: unknown key 'virtoi' / did you mean 'virtio'?"
    )]
    fn an_unknown_key_in_a_value_that_is_close_to_a_known_one_is_a_typo(
        #[case] assignment: &str,
        #[case] expected: &str,
    ) {
        assert_eq!(error_for(assignment), expected);
    }
}
