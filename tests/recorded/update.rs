//! Setting options: how they read back, and which privileges they need.

use rstest::rstest;
use serde_json::{Value, json};

use super::client::{get, put};
use super::rights::{CLONER, ask};
use super::states::{State, template, with};
use crate::fake_pve::FakePve;

pub(super) const CONFIG: &str = "/nodes/pve1/qemu/101/config";

pub(super) fn web_01() -> State {
    with(json!({"guests": [{"vmid": 101, "name": "web-01"}, template()]}))
}

/// The other node is off.
pub(super) fn no_quorum_of_two() -> State {
    with(json!({
        "nodes": ["pve1", "pve2"],
        "offline": ["pve2"],
        "no_quorum": true,
        "guests": [{"vmid": 102}],
        "tokens": {"homelab@pve!cli": "blind"},
    }))
}

pub(super) fn no_quorum() -> State {
    let mut template = template();
    template["vmid"] = json!(9001);
    with(json!({"guests": [template], "no_quorum": true}))
}

/// VM 103 with this digest at first, and after a change.
pub(super) fn digest_known() -> State {
    let digest = "506e5cac96160220dbea7bcc7b7da765639c5f25";
    with(json!({"guests": [{"vmid": 103, "config": {"digest": digest}}]}))
}

pub(super) fn digest_outdated() -> State {
    let state = digest_known();
    put(&state.fake, "/nodes/pve1/qemu/103/config", "description=a");
    state
}

pub(super) fn config(fake: &FakePve) -> Value {
    get(fake, CONFIG).json()["data"].take()
}

/// The reason of the answer; `OK` on success.
pub(super) fn set(fake: &FakePve, form: &str) -> String {
    put(fake, CONFIG, form).reason
}

#[rstest]
#[case::number("cores=4", "cores", json!(4))]
#[case::switch("onboot=1", "onboot", json!(1))]
#[case::memory("memory=8192", "memory", json!("8192"))]
#[case::secret("cipassword=hunter2", "cipassword", json!("**********"))]
#[case::keys(
    "sshkeys=ssh-ed25519%2520AAAAC3%252Bx",
    "sshkeys",
    json!("ssh-ed25519%20AAAAC3%2Bx")
)]
#[case::tags("tags=web%2CProd%3Bweb+db", "tags", json!("db;prod;web"))]
#[case::lines("description=a%0A+b%0A%0A", "description", json!("a\n b"))]
#[case::mac(
    "net0=bridge%3Dvmbr1%2Cvirtio%3D02:00:00:00:00:01",
    "net0",
    json!("virtio=02:00:00:00:00:01,bridge=vmbr1")
)]
#[case::disk(
    "scsi1=data:8,ssd%3D1,discard%3Don",
    "scsi1",
    json!("data:101/vm-101-disk-1.raw,discard=on,size=8G,ssd=1")
)]
#[case::part_of_a_gibibyte(
    "virtio0=small:0.5,format%3Dqcow2",
    "virtio0",
    json!("small:101/vm-101-disk-0.qcow2,size=512M")
)]
#[case::existing_disk(
    "scsi0=data:101/vm-101-disk-0.raw,ssd%3D1,size%3D9G",
    "scsi0",
    json!("data:101/vm-101-disk-0.raw,size=2G,ssd=1")
)]
#[case::cloudinit(
    "ide2=small:cloudinit",
    "ide2",
    json!("small:101/vm-101-cloudinit.qcow2,media=cdrom,size=4M")
)]
fn an_option_reads_back(#[case] form: &str, #[case] option: &str, #[case] expected: Value) {
    let fake = web_01().fake;
    assert_eq!(set(&fake, form), "OK");
    assert_eq!(config(&fake)[option], expected);
}

#[test]
fn a_test_can_read_a_secret() {
    let fake = web_01().fake;
    set(&fake, "cipassword=hunter2%2F%C3%A4");
    let cluster = fake.cluster();
    assert_eq!(cluster.guests[&101].secrets["cipassword"], "hunter2/ä");
}

#[test]
fn a_net_without_a_mac_gets_a_new_one_each_time() {
    let fake = web_01().fake;
    let nets = [(); 2].map(|()| {
        set(&fake, "net0=virtio,bridge%3Dvmbr1");
        config(&fake)["net0"].as_str().unwrap().to_owned()
    });
    assert_ne!(nets[0], nets[1]);
    for net in nets {
        let is_new = net.starts_with("virtio=BC:24:11:") && net.ends_with(",bridge=vmbr1");
        assert!(is_new, "{net}");
    }
}

#[test]
fn a_new_disk_is_allocated_each_time_and_the_old_one_is_kept() {
    let fake = web_01().fake;
    for _ in 0..2 {
        set(&fake, "scsi1=data:8");
    }
    let config = config(&fake);
    assert_eq!(
        (&config["scsi1"], &config["unused0"], &config["unused1"]),
        (
            &json!("data:101/vm-101-disk-2.raw,size=8G"),
            &json!("data:101/vm-101-disk-1.raw"),
            &Value::Null,
        )
    );
}

#[test]
fn deleting_a_drive_removes_it_from_the_boot_order_and_keeps_its_disk() {
    let fake = web_01().fake;
    assert_eq!(set(&fake, "delete=scsi0,agent"), "OK");
    let config = config(&fake);
    let left = ["scsi0", "agent", "boot", "unused0"].map(|option| config[option].clone());
    let disk = json!("data:101/vm-101-disk-0.raw");
    assert_eq!(left, [Value::Null, Value::Null, json!(" "), disk]);
}

#[test]
fn a_change_changes_the_digest_and_an_old_one_is_refused() {
    let fake = web_01().fake;
    let digest = config(&fake)["digest"].as_str().unwrap().to_owned();
    let form = format!("cores=2&digest={digest}");
    assert_eq!(digest.len(), 40);
    assert_eq!(
        [(); 2].map(|()| set(&fake, &form)),
        ["OK", "checksum mismatch (file change by other user?)"]
    );
}

#[test]
fn setting_an_equal_value_keeps_the_digest() {
    let fake = web_01().fake;
    let digests = ["cores=1&memory=512", "delete=tags", "cores=2"].map(|form| {
        assert_eq!(set(&fake, form), "OK");
        config(&fake)["digest"].clone()
    });
    assert_eq!(digests[0], digests[1]);
    assert_ne!(digests[1], digests[2]);
}

#[rstest]
#[case::no_vm(
    "/nodes/pve1/qemu/150/config",
    "Configuration file 'nodes/pve1/qemu-server/150.conf' does not exist"
)]
#[case::locked("/nodes/pve1/qemu/102/config", "VM is locked (backup)")]
#[case::node_unknown(
    "/nodes/pve9/qemu/101/config",
    "hostname lookup 'pve9' failed - failed to get address info for: pve9: Name or service not known"
)]
#[case::node_away("/nodes/pve2/qemu/101/config", "No route to host")]
fn a_change_that_is_impossible_is_refused(#[case] path: &str, #[case] reason: &str) {
    let fake = with(json!({
        "nodes": ["pve1", "pve2"],
        "offline": ["pve2"],
        "guests": [{"vmid": 101}, {"vmid": 102, "lock": "backup"}],
    }))
    .fake;
    assert_eq!(put(&fake, path, "cores=2").reason, reason);
}

#[rstest]
#[case::anything(
    "",
    "VM.Config.Disk|VM.Config.CDROM|VM.Config.CPU|VM.Config.Memory|VM.Config.Network|VM.Config.HWType|VM.Config.Options|VM.Config.Cloudinit",
    "cores=2"
)]
#[case::cpu("VM.Config.Options", "VM.Config.CPU", "cores=2")]
#[case::memory("VM.Config.CPU", "VM.Config.Memory", "cores=2&balloon=256")]
#[case::cloudinit(
    "VM.Config.CPU",
    "VM.Config.Cloudinit|VM.Config.Network",
    "ipconfig0=ip%3Ddhcp"
)]
#[case::net(
    "VM.Config.Cloudinit",
    "VM.Config.Network",
    "net0=virtio,bridge%3Dvmbr0"
)]
#[case::hardware("VM.Config.CPU", "VM.Config.HWType", "vga=std")]
#[case::general("VM.Config.CPU", "VM.Config.Options", "agent=1")]
#[case::tags("VM.Config.CPU", "VM.Config.Options", "tags=a")]
#[case::deleted("VM.Config.CPU", "VM.Config.Options", "delete=agent")]
#[case::serial("VM.Config.CPU", "VM.Config.HWType", "serial0=socket")]
#[case::boot("VM.Config.Options", "VM.Config.Disk", "boot=order%3Dscsi0")]
#[case::drive("VM.Config.CPU", "VM.Config.Disk", "scsi0=data:101/vm-101-disk-0.raw")]
#[case::cdrom("VM.Config.Disk", "VM.Config.CDROM", "ide0=none,media%3Dcdrom")]
#[case::cloudinit_drive("VM.Config.CDROM", "VM.Config.Cloudinit", "ide2=small:cloudinit")]
fn each_option_needs_its_privilege(
    #[case] granted: &str,
    #[case] missing: &str,
    #[case] form: &str,
) {
    let granted: Vec<&str> = granted.split(',').filter(|name| !name.is_empty()).collect();
    let refusal = format!("Permission check failed (/vms/101, {missing})");
    let mut acl = json!({"/vms": granted});
    assert_eq!(set_as(&acl, form), refusal);
    let enough = missing.split('|').next().unwrap();
    acl["/vms"].as_array_mut().unwrap().push(json!(enough));
    acl["/storage"] = json!(["Datastore.AllocateSpace"]);
    acl["/sdn"] = json!(["SDN.Use"]);
    if !granted.is_empty() {
        assert_eq!(set_as(&acl, form), "OK");
    }
}

#[rstest]
#[case::disk(
    "scsi1=small:8",
    "Permission check failed (/storage/small, Datastore.AllocateSpace)"
)]
#[case::bridge(
    "net0=virtio,bridge%3Dvmbr1",
    "Permission check failed (/sdn/zones/localnetwork/vmbr1, SDN.Use)"
)]
#[case::root("args=-cpu+max", "only root can set 'args' config")]
#[case::startup("startup=order%3D1", "Permission check failed (/, Sys.Modify)")]
fn some_options_need_more_privileges(#[case] form: &str, #[case] reason: &str) {
    let all = ["VM.Config.Disk", "VM.Config.Network", "VM.Config.Options"];
    assert_eq!(set_as(&json!({"/vms": all}), form), reason);
}

#[test]
fn a_network_administrator_may_set_the_network_of_cloudinit() {
    let acl = json!({"/vms": ["VM.Config.Network"]});
    assert_eq!(set_as(&acl, "ipconfig0=ip%3Ddhcp&ciuser=me"), "OK");
}

fn set_as(acl: &Value, form: &str) -> String {
    let fake = with(json!({"guests": [{"vmid": 101}], "tokens": {CLONER: acl}})).fake;
    ask(&fake, CLONER, "PUT", CONFIG, form).reason
}
