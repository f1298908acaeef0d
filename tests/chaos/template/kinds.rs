//! VMs and templates of the same name, created by the two commands on one host.

use serde_json::json;

use super::orders::{NAME, VMID, from_url_with_checksum};
use super::testbed::Testbed;
use crate::homelab::Seen;

#[track_caller]
fn expect_output(testbed: &Testbed, seen: &Seen, expected: &str) {
    let text = format!("{}{}", seen.stderr, seen.stdout);
    assert_eq!(text, expected, "{}", testbed.details());
}

/// The record of the finished VM does not make it ours to convert.
#[test]
fn a_vm_of_the_name_is_not_converted() {
    let order = from_url_with_checksum();
    let testbed = Testbed::new(&order, &json!({}), []);
    let vm_create = format!("vm create {NAME} base");
    expect_output(
        &testbed,
        &testbed.show(&vm_create),
        "Creating VM 'debian-12' from template 'base'...\n\
         Successfully created VM 101 'debian-12' on node 'pve1'\n",
    );
    for ensure in ["", " --ensure"] {
        expect_output(
            &testbed,
            &testbed.show(&format!("{}{ensure}", order.line)),
            "Creating template 'debian-12' from debian-12-amd64.img...\n\
             Failed to create template: VM 101 'debian-12' on node 'pve1' has that name and is not a template\n\
             Hint: choose another name; or, if that VM is to become the template, on node 'pve1': qm template 101\n",
        );
    }
    assert_eq!(testbed.deeds(), []);
    // What is known about the VM is still known.
    expect_output(
        &testbed,
        &testbed.show(&format!("{vm_create} --ensure")),
        "Creating VM 'debian-12' from template 'base'...\n\
         VM 101 'debian-12' already exists on node 'pve1'\n",
    );
}

#[test]
fn a_template_of_the_name_is_no_vm() {
    let order = from_url_with_checksum();
    let testbed = Testbed::new(&order, &json!({}), []);
    let ready = testbed.expect_created(&testbed.run(&order.line));
    assert_eq!(ready.map(|ready| ready.vmid), Ok(VMID));
    expect_output(
        &testbed,
        &testbed.show(&format!("vm create {NAME} base --ensure")),
        "Creating VM 'debian-12' from template 'base'...\n\
         Successfully created VM 102 'debian-12' on node 'pve1'\n",
    );
    expect_output(
        &testbed,
        &testbed.show(&format!("{} --ensure", order.line)),
        "Creating template 'debian-12' from debian-12-amd64.img...\n\
         template 101 'debian-12' on node 'pve1' already exists, so --storage has no effect\n\
         Template 101 'debian-12' already exists on node 'pve1'\n",
    );
}

/// Somebody wants to change its disk, for example.
#[test]
fn a_template_that_was_made_a_vm_again_is_not_converted() {
    let order = from_url_with_checksum();
    let testbed = Testbed::new(&order, &json!({}), []);
    let ready = testbed.expect_created(&testbed.run(&order.line));
    assert_eq!(ready.map(|ready| ready.vmid), Ok(VMID));
    let vm_again = format!("PUT /nodes/pve1/qemu/{VMID}/config template=0");
    let (status, _) = testbed.fake.cluster().ask_as("stranger@pve!cli", &vm_again);
    assert_eq!(status, 200);
    let deeds = testbed.deeds();
    expect_output(
        &testbed,
        &testbed.show(&format!("{} --ensure", order.line)),
        "Creating template 'debian-12' from debian-12-amd64.img...\n\
         Failed to create template: VM 101 'debian-12' on node 'pve1' has that name and is not a template\n\
         Hint: choose another name; or, if that VM is to become the template, on node 'pve1': qm template 101\n",
    );
    assert_eq!(testbed.deeds(), deeds);
}
