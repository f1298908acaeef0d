//! How a configuration is written: the stored form of a value, and the result of a partial write.

use rstest::rstest;
use serde_json::{Value, json};

use super::client::put;
use super::rights::{CLONER, ask};
use super::states::{State, with};
use super::update::{CONFIG, config, set, web_01};
use crate::recording::Recording;

/// A VM with exactly this configuration, and the storages of the recorded server.
fn exactly(vmid: u32, config: Value) -> State {
    let state = with(json!({
        "guests": [{"vmid": vmid}],
        "storages": {"full": {"full": true}, "local": {}},
    }));
    let Value::Object(config) = config else {
        panic!("{config} is not a configuration");
    };
    let mut cluster = state.fake.cluster();
    cluster.guests.get_mut(&vmid).expect("the VM").config = config;
    drop(cluster);
    state
}

/// The state in one recording, without the options that another recording sets.
fn before(seen: &str, options: &[&str]) -> State {
    let mut config: Value = serde_json::from_str(&Recording::load(seen).answer).unwrap();
    let mut config = config["data"].take();
    for option in options {
        config.as_object_mut().unwrap().remove(*option);
    }
    exactly(109, config)
}

pub(super) fn vm_109() -> State {
    let written = [
        "cores",
        "memory",
        "net1",
        "startup",
        "tags",
        "nameserver",
        "description",
    ];
    before("config-put-normalised-read-back", &written)
}

pub(super) fn normalised() -> State {
    after("config-put-normalised", vm_109())
}

pub(super) fn vm_109_and_a_full_storage() -> State {
    before(
        "config-put-half-config-after",
        &["cores", "memory", "onboot", "description"],
    )
}

pub(super) fn half_written() -> State {
    after("config-put-half", vm_109_and_a_full_storage())
}

pub(super) fn vm_462() -> State {
    exactly(
        462,
        json!({
            "boot": " ",
            "digest": "0000000000000000000000000000000000000462",
            "memory": "64",
            "meta": "creation-qemu=10.0.2,ctime=1796034836",
            "name": "new-name",
            "scsi1": "local:462/vm-462-disk-0.raw,size=1G",
            "smbios1": "uuid=ce33c845-838b-46ec-ace9-1d127a25af52",
            "vmgenid": "928c0250-9c06-4c6e-a282-346482b21bb5",
        }),
    )
}

pub(super) fn new_disk_repeated() -> State {
    after("config-put-repeated-new-disk", vm_462())
}

pub(super) fn incomplete_vm_441() -> State {
    with(json!({"guests": [{"vmid": 441, "lock": "create"}]}))
}

pub(super) fn vm_103() -> State {
    with(json!({"guests": [{"vmid": 103}]}))
}

pub(super) fn template_400() -> State {
    with(json!({"guests": [{"vmid": 400, "template": true}]}))
}

/// The state after the recorded request.
fn after(name: &str, state: State) -> State {
    super::replay(&Recording::load(name), &state);
    state
}

#[rstest]
#[case::number("cpuunits=0100", "cpuunits", json!(100))]
#[case::memory("memory=0512", "memory", json!("0512"))]
#[case::memory_by_name("memory=current%3D2048", "memory", json!("current=2048"))]
#[case::fraction("cpulimit=0", "cpulimit", json!("0"))]
#[case::nothing("protection=0", "protection", json!(0))]
#[case::switch_in_a_drive(
    "scsi1=data:8,ssd%3Doff,iothread%3DYes",
    "scsi1",
    json!("data:101/vm-101-disk-1.raw,iothread=1,size=8G,ssd=0")
)]
#[case::switch_in_a_net(
    "net1=virtio%3D02:00:00:00:00:ab,firewall%3Dtrue,bridge%3Dvmbr0",
    "net1",
    json!("virtio=02:00:00:00:00:ab,bridge=vmbr0,firewall=1")
)]
#[case::agent("agent=yes", "agent", json!("yes"))]
#[case::startup("startup=order%3D01,up%3D030", "startup", json!("order=01,up=030"))]
#[case::graphics("vga=std,memory%3D032", "vga", json!("std,memory=032"))]
#[case::processor("cpu=cputype%3Dkvm64,flags%3D%2Baes", "cpu", json!("cputype=kvm64,flags=+aes"))]
#[case::address("ipconfig0=ip6%3Dauto,ip%3Ddhcp", "ipconfig0", json!("ip6=auto,ip=dhcp"))]
#[case::blanks_around("ciuser=+bob+", "ciuser", json!("bob"))]
#[case::lists("nameserver=192.0.2.53%2C+192.0.2.54", "nameserver", json!("192.0.2.53, 192.0.2.54"))]
#[case::domain("searchdomain=Lan.", "searchdomain", json!("Lan."))]
#[case::identity("smbios1=uuid%3D7064D0B2", "smbios1", json!("uuid=7064D0B2"))]
#[case::lines("description=+lead%0Atrail+%0A%0A", "description", json!(" lead\ntrail"))]
#[case::empty_description("description=", "description", Value::Null)]
#[case::empty("ciuser=", "ciuser", json!(" "))]
#[case::boot_order("boot=order%3Dscsi0+net0", "boot", json!("order=scsi0;net0"))]
#[case::cd_that_boots("ide0=none,media%3Dcdrom", "boot", json!("order=scsi0;ide0"))]
#[case::cd_without_a_size("ide0=none,media%3Dcdrom,size%3D4M", "ide0", json!("none,media=cdrom"))]
fn a_value_reads_back(#[case] form: &str, #[case] option: &str, #[case] expected: Value) {
    let fake = web_01().fake;
    assert_eq!(set(&fake, form), "OK");
    assert_eq!(config(&fake)[option], expected);
}

#[test]
fn a_disk_that_is_used_again_is_no_longer_unused() {
    let fake = web_01().fake;
    set(&fake, "delete=scsi0");
    set(&fake, "scsi0=data:101/vm-101-disk-0.raw");
    let config = config(&fake);
    assert_eq!(config["unused0"], Value::Null);
    assert_eq!(config["scsi0"], "data:101/vm-101-disk-0.raw");
}

/// Each is detected only when its turn comes.
#[rstest]
#[case::cloudinit_drive_elsewhere(
    "ide0=data:cloudinit",
    "ide0 - cloud-init drive is already attached at 'ide2'"
)]
#[case::cloudinit_drive_again(
    "ide2=data:cloudinit",
    "disk image '/var/lib/vz/images/101/vm-101-cloudinit.qcow2' already exists"
)]
#[case::cloudinit_drive_nowhere("ide2=fast:cloudinit", "storage 'fast' does not exist")]
#[case::boot_order(
    "boot=order%3Dscsi0%3Bnet3",
    "invalid bootorder: device 'net3' does not exist'"
)]
#[case::line_feed(
    "ciuser=a%0Ab",
    "unable to parse value of 'ciuser' - property contains a line feed"
)]
#[case::serial(
    "serial1=/dev/ttyS0",
    "only root can modify 'serial1' config for real devices"
)]
#[case::usb("usb0=host%3D1-2", "only root can set 'usb0' config for real devices")]
#[case::pci(
    "hostpci0=0000:01:00",
    "only root can set 'hostpci0' config for non-mapped devices"
)]
fn deletions_are_written_before_another_option_is_refused(
    #[case] form: &str,
    #[case] reason: &str,
) {
    let fake = web_01().fake;
    let answer = put(&fake, CONFIG, &format!("delete=agent&{form}"));
    assert_eq!((answer.status, &*answer.reason), (500, reason));
    assert_eq!(config(&fake)["agent"], Value::Null);
}

#[test]
fn options_after_the_refused_one_are_not_written() {
    let fake = web_01().fake;
    let form = "cores=4&memory=640&tags=half&description=half&ide0=data:cloudinit&onboot=1";
    assert_eq!(put(&fake, CONFIG, form).status, 500);
    let config = config(&fake);
    let seen =
        ["description", "onboot", "memory", "cores", "tags"].map(|option| config[option].clone());
    assert_eq!(json!(seen), json!([null, null, "512", 1, null]));
}

#[rstest]
#[case::too_large(
    "balloon=1024",
    "balloon value too large (must be smaller than assigned memory)"
)]
#[case::args("args=-s", "only root can set 'args' config")]
#[case::hugepages("hugepages=2", "only root can set 'hugepages' config")]
#[case::storage_unknown("scsi1=fast:8", "storage 'fast' does not exist")]
fn some_options_are_refused_before_anything_is_written(#[case] form: &str, #[case] reason: &str) {
    let fake = web_01().fake;
    let others = "description=x&cores=4&tags=x&onboot=1";
    let digest = config(&fake)["digest"].clone();
    let restricted = with(json!({"guests": [{"vmid": 101}], "tokens": {CLONER: "all"}})).fake;
    assert_eq!(set(&fake, &format!("{form}&{others}")), reason);
    assert_eq!(config(&fake)["digest"], digest);
    // A token with all privileges gets the same refusal.
    let answer = ask(&restricted, CLONER, "PUT", CONFIG, form);
    assert_eq!((answer.status, &*answer.reason), (500, reason));
}

#[test]
fn a_mapped_device_needs_a_privilege_on_its_mapping() {
    let acl = json!({"/vms": ["VM.Config.HWType"]});
    let set_as = |acl: &Value| {
        let fake = with(json!({"guests": [{"vmid": 101}], "tokens": {CLONER: acl}})).fake;
        ask(
            &fake,
            CLONER,
            "PUT",
            CONFIG,
            "hostpci0=mapping%3Dgpu,pcie%3D1",
        )
        .reason
    };
    let mut enough = acl.clone();
    enough["/mapping/pci/gpu"] = json!(["Mapping.Use"]);
    let refusal = "Permission check failed (/mapping/pci/gpu, Mapping.Use)";
    assert_eq!([set_as(&acl), set_as(&enough)], [refusal, "OK"]);
}
