//! Property strings: VM options with several values, like `virtio=BC:24:11:C6:8E:7F,bridge=vmbr0`.

/// The parts of a property string: a key and a value, or a value alone, which belongs to the default key.
pub fn parts(text: &str) -> impl Iterator<Item = (Option<&str>, &str)> {
    let parts = text.split(',').filter(|part| !part.is_empty());
    parts.map(|part| match part.split_once('=') {
        Some((key, value)) => (Some(key), value),
        None => (None, part),
    })
}

/// The value of a key, if present.
pub fn value_of<'t>(text: &'t str, key: &str) -> Option<&'t str> {
    parts(text).find_map(|(found, value)| (found == Some(key)).then_some(value))
}

/// The value without a key, if present.
pub fn bare_value(text: &str) -> Option<&str> {
    parts(text).find_map(|(key, value)| key.is_none().then_some(value))
}

/// The value of a flag in a property string, in any spelling that the server accepts.
pub fn flag(text: &str) -> Option<bool> {
    let is_one_of = |words: [&str; 4]| words.iter().any(|word| word.eq_ignore_ascii_case(text));
    match text {
        _ if is_one_of(["1", "on", "yes", "true"]) => Some(true),
        _ if is_one_of(["0", "off", "no", "false"]) => Some(false),
        _ => None,
    }
}

/// Whether a key is one of `kinds` followed by a number: `scsi0`, but not `scsihw`.
pub fn is_numbered(key: &str, kinds: &[&str]) -> bool {
    let kind = key.trim_end_matches(|c: char| c.is_ascii_digit());
    kind != key && kinds.contains(&kind)
}

/// Whether a key names a drive: a disk, CD drive, EFI disk or TPM state.
pub fn is_drive(key: &str) -> bool {
    const DRIVES: [&str; 6] = ["ide", "sata", "scsi", "virtio", "efidisk", "tpmstate"];

    is_numbered(key, &DRIVES)
}

/// Whether a key names a network card.
pub fn is_net(key: &str) -> bool {
    is_numbered(key, &["net"])
}

/// The MAC address of a network card: the value of its model's key, or of `macaddr`.
pub fn mac(net: &str) -> Option<&str> {
    parts(net).find_map(|(key, value)| (key.is_some() && is_mac(value)).then_some(value))
}

fn is_mac(text: &str) -> bool {
    let is_byte = |byte: &str| byte.len() == 2 && byte.bytes().all(|b| b.is_ascii_hexdigit());
    text.split(':').count() == 6 && text.split(':').all(is_byte)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::as_the_server_writes_it("virtio=BC:24:11:C6:8E:7F,bridge=vmbr0", true)]
    #[case::with_its_own_key("model=virtio,bridge=vmbr0,macaddr=bc:24:11:c6:8e:7f", true)]
    #[case::none("virtio,bridge=vmbr0", false)]
    #[case::not_hexadecimal("virtio,bridge=a:b:c:d:e:f", false)]
    fn the_mac_of_a_network_card_is_found(#[case] net: &str, #[case] is_found: bool) {
        assert_eq!(mac(net).is_some(), is_found);
    }

    #[rstest]
    #[case::disk("scsi0", true)]
    #[case::efi_disk("efidisk0", true)]
    #[case::controller("scsihw", false)]
    #[case::detached_disk("unused0", false)]
    fn drives_are_recognized_by_their_keys(#[case] key: &str, #[case] expected: bool) {
        assert_eq!(is_drive(key), expected);
    }
}
