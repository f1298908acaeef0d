//! Invalid values of options, and their errors.

use rstest::rstest;
use serde_json::json;

use super::client::put;
use super::update::{CONFIG, set, web_01};

#[rstest]
#[case::no_number("cores=x", "type check ('integer') failed - got 'x'")]
#[case::no_whole_number("sockets=1.5", "type check ('integer') failed - got '1.5'")]
#[case::too_small("cores=0", "value must have a minimum value of 1")]
#[case::no_switch("onboot=true", "type check ('boolean') failed - got 'true'")]
#[case::none_of_these(
    "bios=efi",
    "value 'efi' does not have a value in the enumeration 'seabios, ovmf'"
)]
#[case::memory(
    "memory=4G",
    "invalid format - format error\nmemory.current: type check ('integer') failed - got '4G'\n"
)]
#[case::name(
    "name=web_1",
    "invalid format - value does not look like a valid DNS name\n"
)]
#[case::tags("tags=a%2Fb", "invalid format - invalid characters in tag\n")]
#[case::nameserver(
    "nameserver=1.1.1.1%2Ca_b",
    "invalid format - value does not look like a valid address: a_b\n"
)]
#[case::gateway_alone(
    "ipconfig0=gw%3D10.0.0.1",
    "invalid format - format error\n\
     ipconfig0.ip: missing property - 'gw' requires this property\n"
)]
#[case::two_at_once(
    "ipconfig1=ip%3Dx%2Cfoo%3D1",
    "invalid format - format error\n\
     ipconfig1.foo: property is not defined in schema and the schema does not allow additional \
     properties\n\
     ipconfig1.ip: invalid format - value does not look like a valid ipv4 network configuration\n\
     \n"
)]
#[case::without_a_key(
    "ipconfig0=dhcp",
    "invalid format - value without key, but schema does not define a default key\n"
)]
#[case::twice(
    "ipconfig0=ip%3Ddhcp%2Cip%3Ddhcp",
    "invalid format - duplicate key in comma-separated list property: ip\n"
)]
#[case::drive(
    "scsi0=data:8%2Cssd%3Dmaybe",
    "invalid format - format error\nscsi0.ssd: type check ('boolean') failed - got 'maybe'\n"
)]
#[case::boots_from_no_device(
    "boot=order%3Dnosuch0",
    "invalid format - format error\n\
     boot.order: invalid format - invalid boot device 'nosuch0'\n\n"
)]
#[case::too_many_of_a_kind(
    "scsi31=data:8",
    "property is not defined in schema and the schema does not allow additional properties"
)]
fn an_invalid_value_is_refused(#[case] form: &str, #[case] why: &str) {
    let (option, _) = form.split_once('=').unwrap();
    let answer = put(&web_01().fake, CONFIG, form);
    assert_eq!(answer.status, 400);
    assert_eq!(answer.json()["errors"], json!({option: why}));
}

#[test]
fn all_invalid_values_are_reported_at_once() {
    let answer = put(&web_01().fake, CONFIG, "cores=x&foo=1&onboot=2&memory=512");
    let errors = answer.json()["errors"].take();
    let options: Vec<_> = errors.as_object().unwrap().keys().cloned().collect();
    assert_eq!(options, ["cores", "foo", "onboot"]);
}

#[rstest]
#[case::nothing("", "no options specified")]
#[case::no_key("sshkeys=hello", "SSH public key validation error")]
#[case::storage_unknown("scsi1=fast:8", "storage 'fast' does not exist")]
#[case::second_cloudinit(
    "ide0=data:cloudinit",
    "ide0 - cloud-init drive is already attached at 'ide2'"
)]
#[case::boots_from_nothing(
    "boot=order%3Dscsi0;net3",
    "invalid bootorder: device 'net3' does not exist'"
)]
fn a_valid_value_can_still_be_refused(#[case] form: &str, #[case] reason: &str) {
    let form = form.replace(';', "%3B");
    assert_eq!(set(&web_01().fake, &form), reason);
}
