//! What a user reads if somebody or something gets between import and conversion, and what happens if the hint is
//! obeyed.

use rstest::rstest;
use serde_json::{Value, json};

use super::orders::{NAME, VMID, from_url_with_checksum};
use super::testbed::Testbed;
use crate::fake_pve::{Did, Fault};

/// The end of a message after the download.
const KEPT: &str = "; the image is kept: 'local:import/debian-12-amd64-cae66afe.qcow2'";
const IMPORTED: &str = "\
Creating template 'debian-12' from debian-12-amd64.img...
Downloading it to 'local:import/debian-12-amd64-cae66afe.qcow2'...
Importing the image to VM 101...
";

/// Before the run has read the configuration of its VM, and after that.
#[rstest::fixture]
fn moments() -> [&'static str; 2] {
    [
        "GET /nodes/pve1/qemu/101/config",
        "PUT /nodes/pve1/qemu/101/config",
    ]
}

fn at(moment: &str, act: &Value) -> Value {
    json!({"others": [{"before": moment, "do": act}]})
}

fn fault(fields: Value) -> Fault {
    serde_json::from_value(fields).expect("a fault")
}

#[track_caller]
fn must<T>(testbed: &Testbed, went: Result<T, String>) -> T {
    went.unwrap_or_else(|why| panic!("{why}\n{}", testbed.details()))
}

fn conversions(testbed: &Testbed) -> usize {
    let deeds = testbed.deeds();
    deeds.iter().filter(|deed| deed.did == Did::Convert).count()
}

#[rstest]
fn it_is_renamed(moments: [&'static str; 2]) {
    let order = from_url_with_checksum();
    for moment in moments {
        let rename = json!({"rename": {"vmid": VMID, "name": "db-1"}});
        let testbed = Testbed::new(&order, &at(moment, &rename), []);
        let seen = testbed.show(&order.line);
        let hint = "to restore its name, on node 'pve1': qm set 101 --name debian-12; then run the same command \
                    with --ensure to resume";
        testbed.expect_stderr(
            &seen,
            &format!(
                "{IMPORTED}VM 101 'debian-12' was created on node 'pve1', but it was renamed to 'db-1', so nothing \
                 more was changed{KEPT}\n\
                 Hint: {hint}\n"
            ),
        );
        assert_eq!(conversions(&testbed), 0);
        testbed.obey(hint);
        let ready = must(&testbed, testbed.expect_ensured());
        assert_eq!(ready.vmid, VMID);
    }
}

/// Nobody restores the name: another template is created, and the VM is named again.
#[test]
fn it_is_renamed_for_good() {
    let order = from_url_with_checksum();
    let rename = json!({"rename": {"vmid": VMID, "name": "db-1"}});
    let testbed = Testbed::new(&order, &at("PUT /nodes/pve1/qemu/101/config", &rename), []);
    testbed.run(&order.line);
    let seen = testbed.show(&format!("{} --ensure", order.line));
    testbed.expect_stderr(
        &seen,
        "Creating template 'debian-12' from debian-12-amd64.img...\n\
         The VM that an earlier run created was deleted or renamed: its VMID now belongs to VM 101 'db-1' on node \
         'pve1'\n\
         Downloading it to 'local:import/debian-12-amd64-cae66afe.qcow2'...\n\
         Importing the image to VM 102...\n\
         Converting VM 102 to a template...\n\
         The image is kept: 'local:import/debian-12-amd64-cae66afe.qcow2'\n",
    );
    assert_eq!((seen.exit, conversions(&testbed)), (Some(0), 1));
}

#[rstest]
fn it_is_deleted(moments: [&'static str; 2]) {
    let order = from_url_with_checksum();
    for moment in moments {
        let testbed = Testbed::new(&order, &at(moment, &json!({"destroy": VMID})), []);
        let seen = testbed.show(&order.line);
        testbed.expect_stderr(
            &seen,
            &format!(
                "{IMPORTED}VM 101 'debian-12' was created on node 'pve1', but it was deleted{KEPT}\n\
                 Hint: 'homelab proxmox vm list' shows the VMs; run the same command to create a new one\n"
            ),
        );
        must(&testbed, testbed.expect_ensured());
    }
}

/// The other VM has the same name, but not the UUID.
#[rstest]
fn it_is_replaced(moments: [&'static str; 2]) {
    let order = from_url_with_checksum();
    for moment in moments {
        let replace = json!({"replace": {"vmid": VMID, "name": NAME}});
        let testbed = Testbed::new(&order, &at(moment, &replace), []);
        let seen = testbed.show(&order.line);
        testbed.expect_stderr(
            &seen,
            &format!(
                "{IMPORTED}VM 101 'debian-12' was created on node 'pve1', but it was deleted, and its VMID now \
                 belongs to VM 101 'debian-12' on node 'pve1', which was not changed{KEPT}\n\
                 Hint: 'homelab proxmox vm list' shows the VMs; choose another name, or rename that one and \
                 run the same command to create a new one\n"
            ),
        );
        let seen = testbed.show(&format!("{} --ensure", order.line));
        testbed.expect_stderr(
            &seen,
            "Creating template 'debian-12' from debian-12-amd64.img...\n\
             Failed to create template: VM 101 'debian-12' on node 'pve1' has that name and is not a template\n\
             Hint: choose another name; or, if that VM is to become the template, on node 'pve1': qm template \
             101\n",
        );
        must(&testbed, testbed.expect_no_trespass());
        assert_eq!(conversions(&testbed), 0);
    }
}

/// The server converts whatever has the VMID when the request arrives. This cannot be prevented, but it is not
/// denied.
#[test]
fn it_is_replaced_at_the_last_moment() {
    let order = from_url_with_checksum();
    let replace = json!({"replace": {"vmid": VMID, "name": "db-1"}});
    let more = at("POST /nodes/pve1/qemu/101/template", &replace);
    let testbed = Testbed::new(&order, &more, []);
    let seen = testbed.show(&order.line);
    testbed.expect_stderr(
        &seen,
        &format!(
            "{IMPORTED}Converting VM 101 to a template...\n\
             VM 101 'debian-12' was created on node 'pve1', but it was deleted, and its VMID now belongs to template \
             101 'db-1' on node 'pve1', which may have been changed{KEPT}\n\
             Hint: 'homelab proxmox vm list' shows the VMs; run the same command to create a new one\n"
        ),
    );
    assert_eq!(conversions(&testbed), 1);
}

#[rstest]
fn it_is_started(moments: [&'static str; 2]) {
    let order = from_url_with_checksum();
    for moment in moments {
        let testbed = Testbed::new(&order, &at(moment, &json!({"start": VMID})), []);
        let seen = testbed.show(&order.line);
        testbed.expect_stderr(
            &seen,
            &format!(
                "{IMPORTED}Converting VM 101 to a template...\n\
                 VM 101 'debian-12' was created on node 'pve1', but it is running{KEPT}\n\
                 Hint: homelab proxmox vm stop 101; then run the same command with --ensure to resume\n"
            ),
        );
        assert_eq!(testbed.run("vm stop 101").exit, Some(0));
        let seen = testbed.run(&format!("{} --ensure", order.line));
        assert!(must(&testbed, testbed.judge(&seen)));
        assert_eq!(conversions(&testbed), 1);
    }
}

/// It is found on its new node, whose request for the conversion it gets.
#[rstest]
fn it_is_moved(moments: [&'static str; 2]) {
    let order = from_url_with_checksum();
    for moment in moments {
        let to = json!({"move": {"vmid": VMID, "node": "pve2"}});
        let testbed = Testbed::new(&order, &at(moment, &to), []);
        let ready = must(&testbed, testbed.expect_created(&testbed.run(&order.line)));
        assert_eq!(ready.node, "pve2");
    }
}

/// The server sets the option `template` first, and its worker dies right after that. So did the run.
#[test]
fn the_worker_of_the_conversion_dies_and_so_did_the_run() {
    let order = from_url_with_checksum();
    let poll = "GET /nodes/pve1/tasks/UPID:pve1:00000003";
    let hang = fault(json!({"on": poll, "nth": 1, "hang": "after"}));
    let more = json!({"template_exit": ["unexpected status", "OK"]});
    let testbed = Testbed::new(&order, &more, [hang]);
    let running = testbed.start(&order.line);
    testbed.fake.wait_for_requests(order.number_of(poll));
    testbed.remember("killed", &running.kill());
    testbed.finish_all();
    let seen = testbed.show(&format!("{} --ensure", order.line));
    testbed.expect_stderr(
        &seen,
        "Creating template 'debian-12' from debian-12-amd64.img...\n\
         Resuming VM 101, which an earlier run created...\n\
         Converting VM 101 to a template...\n\
         The image is kept: 'local:import/debian-12-amd64-cae66afe.qcow2'\n",
    );
    must(&testbed, testbed.expect_ensured());
}

#[test]
fn the_conversion_fails() {
    let order = from_url_with_checksum();
    let more = json!({"template_exit": ["no space", "OK"]});
    let testbed = Testbed::new(&order, &more, []);
    let seen = testbed.show(&order.line);
    testbed.expect_stderr(
        &seen,
        &format!(
            "{IMPORTED}Converting VM 101 to a template...\n\
             VM 101 'debian-12' was created on node 'pve1', but it was not converted to a template: Task failed: \
             no space{KEPT}\n\
             Hint: for the whole log, on node 'pve1': pvenode task log \
             'UPID:pve1:00000003:0000001E:6B000003:qmtemplate:101:root@pam!cli:'; once the cause is fixed, run the \
             same command with --ensure to resume\n"
        ),
    );
    let ready = must(&testbed, testbed.expect_ensured());
    assert_eq!(ready.vmid, VMID);
}

/// Its task has ended `OK`. That its effect cannot be read does not matter.
#[test]
fn the_vm_cannot_be_read_after_the_conversion() {
    let order = from_url_with_checksum();
    let refusal = json!({"status": 403, "reason": "Permission check failed"});
    let on = "GET /nodes/pve1/qemu/101/config";
    let second = fault(json!({"on": on, "nth": 2, "answer": refusal}));
    let testbed = Testbed::new(&order, &json!({}), [second]);
    let ready = must(&testbed, testbed.expect_created(&testbed.run(&order.line)));
    assert_eq!(ready.vmid, VMID);
}
