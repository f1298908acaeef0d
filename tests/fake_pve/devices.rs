//! Devices of the host: raw ones are for root only, mapped ones need a privilege.

use super::acl::Acl;
use super::http::Answer;
use super::replies::failure;

/// Whether a token may use this `usbN` or `hostpciN`.
pub(super) fn check_device(acl: &Acl, option: &str, value: &str) -> Result<(), Answer> {
    let is_pci = option.starts_with("hostpci");
    let mut parts = value.split(',');
    let property = |name: &str| {
        let named = value
            .split(',')
            .find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
        named.map(str::to_owned)
    };
    let first = parts.next().filter(|part| !part.contains('='));
    let host = first.map(str::to_owned).or_else(|| property("host"));
    if let Some(host) = host {
        if !is_pci && host.eq_ignore_ascii_case("spice") {
            return Ok(());
        }
        let what = if is_pci { "non-mapped" } else { "real" };
        let refusal = format!("only root can set '{option}' config for {what} devices");
        return Err(failure(500, &refusal));
    }
    let Some(mapping) = property("mapping") else {
        return Err(failure(500, "either 'host' or 'mapping' must be set."));
    };
    let kind = if is_pci { "pci" } else { "usb" };
    acl.check(&format!("/mapping/{kind}/{mapping}"), "Mapping.Use")
}
