//! Resizing disks.

use rstest::rstest;
use serde_json::{Value, json};

use super::client::put;
use super::races::exit_of;
use super::rights::{CLONER, ask};
use super::states::with;
use super::update::{config, web_01};
use crate::fake_pve::FakePve;

const RESIZE: &str = "/nodes/pve1/qemu/101/resize";

fn resize(fake: &FakePve, form: &str) -> String {
    let upid = put(fake, RESIZE, form).json()["data"].take();
    exit_of(fake, upid.as_str().expect("a UPID"))
}

#[rstest]
#[case::to("size=32G", "OK", "32G")]
#[case::by("size=%2B8G", "OK", "10G")]
#[case::in_odd_units("size=10444M", "OK", "10444M")]
#[case::part_of_a_unit("size=2.5G", "OK", "2560M")]
#[case::to_terabytes("size=2048G", "OK", "2T")]
#[case::to_what_it_has("size=2048M", "OK", "2G")]
#[case::to_less("size=1G", "shrinking disks is not supported", "2G")]
fn a_disk_is_enlarged(#[case] form: &str, #[case] exit: &str, #[case] size: &str) {
    let fake = web_01().fake;
    assert_eq!(resize(&fake, &format!("disk=scsi0&{form}")), exit);
    let expected = format!("data:101/vm-101-disk-0.raw,size={size}");
    assert_eq!(config(&fake)["scsi0"], json!(expected));
}

#[rstest]
#[case::unknown("disk=scsi5", "disk 'scsi5' does not exist")]
#[case::cdrom("disk=ide2", "you can't resize a cdrom")]
fn only_an_existing_disk_can_be_enlarged(#[case] form: &str, #[case] exit: &str) {
    assert_eq!(resize(&web_01().fake, &format!("{form}&size=9G")), exit);
}

#[test]
fn a_locked_vm_is_detected_in_the_task() {
    let fake = with(json!({"guests": [{"vmid": 101, "lock": "backup"}]})).fake;
    let exit = "VM is locked (backup)";
    assert_eq!(resize(&fake, "disk=scsi0&size=9G"), exit);
}

#[test]
fn an_outdated_digest_is_detected_in_the_task() {
    let fake = web_01().fake;
    let digest = config(&fake)["digest"].as_str().unwrap().to_owned();
    let exits = ["scsi0&size=9G", "scsi0&size=10G"]
        .map(|form| resize(&fake, &format!("disk={form}&digest={digest}")));
    let outdated = "checksum mismatch (file change by other user?)";
    assert_eq!(exits, ["OK", outdated]);
}

#[test]
fn a_slow_storage_times_out_and_succeeds_later() {
    let slow = "command '/usr/bin/qemu-img resize -f raw \
                /var/lib/vz/images/101/vm-101-disk-0.raw 9663676416' failed: got timeout";
    let exits = json!([slow, slow, "OK"]);
    let fake = with(json!({"guests": [{"vmid": 101}], "resize_exit": exits})).fake;
    let seen = [(); 3].map(|()| {
        let exit = resize(&fake, "disk=scsi0&size=9G");
        (exit, config(&fake)["scsi0"].clone())
    });
    let disk = |size: &str| json!(format!("data:101/vm-101-disk-0.raw,size={size}"));
    let expected = [(slow, disk("2G")), (slow, disk("2G")), ("OK", disk("9G"))];
    assert_eq!(seen, expected.map(|(exit, disk)| (exit.to_owned(), disk)));
}

#[rstest]
#[case::done("disk=scsi0&size=9G", 200, "OK")]
#[case::less("disk=scsi0&size=1G", 500, "shrinking disks is not supported")]
#[case::no_disk("disk=scsi5&size=9G", 500, "disk 'scsi5' does not exist")]
fn an_old_server_resizes_before_it_answers(
    #[case] form: &str,
    #[case] status: u16,
    #[case] reason: &str,
) {
    let guests = json!([{"vmid": 101}]);
    let fake = with(json!({"guests": guests, "version": "7.4-17"})).fake;
    let answer = put(&fake, RESIZE, form);
    assert_eq!((answer.status, &*answer.reason), (status, reason));
    if status == 200 {
        assert_eq!(answer.text(), r#"{"data":null}"#);
        assert_eq!(config(&fake)["scsi0"], "data:101/vm-101-disk-0.raw,size=9G");
    }
    assert!(fake.cluster().actions.is_empty());
}

#[rstest]
#[case::disk("size=1G", json!({"disk": "property is missing and it is not optional"}))]
#[case::size(
    "disk=scsi0&size=1GB",
    json!({"size": "value does not match the regex pattern"})
)]
#[case::unknown("disk=scsi0&size=1G&foo=1", json!({
    "foo": "property is not defined in schema and the schema does not allow additional properties"
}))]
fn its_parameters_are_checked_before_the_task(#[case] form: &str, #[case] errors: Value) {
    let answer = put(&web_01().fake, RESIZE, form);
    assert_eq!(answer.json()["errors"], errors);
}

#[test]
fn it_needs_a_privilege_on_the_vm_and_one_on_the_storage() {
    let resize = |acl: Value| {
        let fake = with(json!({"guests": [{"vmid": 101}], "tokens": {CLONER: acl}})).fake;
        let answer = ask(&fake, CLONER, "PUT", RESIZE, "disk=scsi0&size=9G");
        let exit = fake.cluster().actions.first().map(|task| task.exit.clone());
        exit.flatten().unwrap_or(answer.reason)
    };
    let disk = json!(["VM.Config.Disk"]);
    assert_eq!(
        [
            resize(json!({})),
            resize(json!({"/vms/101": disk})),
            resize(json!({"/vms/101": disk, "/storage/data": ["Datastore.AllocateSpace"]})),
        ],
        [
            "Permission check failed (/vms/101, VM.Config.Disk)",
            "403 Permission check failed (/storage/data, Datastore.AllocateSpace)",
            "OK",
        ]
    );
}
