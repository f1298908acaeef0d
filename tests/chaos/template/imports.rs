//! What a user reads about imports that get no answer or are left unfinished, and about templates that exist.

use rstest::rstest;
use serde_json::{Value, json};

use super::orders::{NAME, VMID, VOLUME, create, from_url_with_checksum, from_volume};
use super::testbed::Testbed;
use crate::fake_pve::{Did, Fault};
use crate::homelab::Signal;

fn fault(fields: Value) -> Fault {
    serde_json::from_value(fields).expect("a fault")
}

/// The request is not carried out, and its client gets no answer.
fn lost_import() -> Fault {
    fault(json!({"on": "POST /nodes/pve1/qemu ", "nth": 1, "close": "before"}))
}

#[track_caller]
fn must<T>(testbed: &Testbed, went: Result<T, String>) -> T {
    went.unwrap_or_else(|why| panic!("{why}\n{}", testbed.details()))
}

const UNANSWERED: &str = "\
Creating template 'debian-12' from debian-12-amd64.img...
Downloading it to 'local:import/debian-12-amd64-cae66afe.qcow2'...
No answer to the import request (no answer from 127.0.0.1:PORT: the connection was cut); checking VM 101...
";

/// A guest appears right before the run looks what has become of its request.
fn stranger(guest: &Value) -> Value {
    let before = "GET /nodes/pve1/qemu/101/config";
    json!({"others": [{"before": before, "do": {"create": guest}}]})
}

/// It has the requested VMID and the requested name, but not the recorded UUID.
#[test]
fn a_stranger_takes_vmid_and_name_of_an_import_without_an_answer() {
    let order = from_url_with_checksum();
    let guest = json!({"vmid": VMID, "name": NAME});
    let testbed = Testbed::new(&order, &stranger(&guest), [lost_import()]);
    let seen = testbed.show(&order.line);
    let refusal = "Failed to create template: VM 101 'debian-12' on node 'pve1' has that name and is not a template";
    let hint = "Hint: choose another name; or, if that VM is to become the template, on node 'pve1': qm template \
                101\n";
    testbed.expect_stderr(
        &seen,
        &format!(
            "{UNANSWERED}Another guest has taken VMID 101; trying another VMID...\n\
             {refusal}; if VMID 101 becomes free, another VM may still be created there: its import request got no \
             answer; the image is kept: 'local:import/debian-12-amd64-cae66afe.qcow2'\n\
             {hint}"
        ),
    );
    let seen = testbed.show(&format!("{} --ensure", order.line));
    testbed.expect_stderr(
        &seen,
        &format!("Creating template 'debian-12' from debian-12-amd64.img...\n{refusal}\n{hint}"),
    );
    must(&testbed, testbed.expect_no_trespass());
    assert_eq!(testbed.deeds(), []);
}

#[test]
fn a_strangers_template_takes_vmid_and_name_of_an_import_without_an_answer() {
    let order = from_url_with_checksum();
    let guest = json!({"vmid": VMID, "name": NAME, "template": true});
    let testbed = Testbed::new(&order, &stranger(&guest), [lost_import()]);
    let seen = testbed.show(&format!("{} --ensure", order.line));
    testbed.expect_stderr(
        &seen,
        &format!(
            "{UNANSWERED}Another guest has taken VMID 101; trying another VMID...\n\
             template 101 'debian-12' on node 'pve1' already exists, so --storage has no effect\n"
        ),
    );
    must(&testbed, testbed.expect_no_trespass());
    assert_eq!((seen.exit, testbed.deeds()), (Some(0), vec![]));
}

/// The import is not requested again while another VM has the name, or that could create a second one.
#[test]
fn a_stranger_takes_the_name_of_an_import_without_an_answer() {
    let order = from_url_with_checksum();
    let guest = json!({"vmid": 150, "name": NAME});
    let testbed = Testbed::new(&order, &stranger(&guest), [lost_import()]);
    let seen = testbed.show(&order.line);
    testbed.expect_stderr(
        &seen,
        &format!(
            "{UNANSWERED}Warning: VM 101 may still be created: its import request got no answer\n\
             Failed to create template: VM 150 'debian-12' on node 'pve1' has that name and is not a template; VM \
             101 'debian-12' on node 'pve1' may still be created: its import request got no answer; the image is kept: \
             'local:import/debian-12-amd64-cae66afe.qcow2'\n\
             Hint: choose another name; or, if that VM is to become the template, on node 'pve1': qm template \
             150\n"
        ),
    );
    let journal = testbed.fake.journal();
    let is_import = |line: &&String| line.starts_with("POST /nodes/pve1/qemu ");
    assert_eq!(journal.iter().filter(is_import).count(), 1);
}

/// Otherwise each further run would request it again, in vain.
#[rstest]
#[case::by_the_same_run("")]
#[case::by_the_next_run(" --timeout 3 --poll-interval 3")]
fn the_image_is_removed_before_a_lost_import_is_repeated(#[case] limits: &str) {
    let order = from_url_with_checksum();
    let before = "GET /nodes/pve1/qemu/101/config";
    let more = json!({"others": [{"before": before, "do": {"remove_image": order.volume}}]});
    let testbed = Testbed::new(&order, &more, [lost_import()]);
    let seen = testbed.run(&format!("{}{limits}", order.line));
    assert!(!must(&testbed, testbed.judge(&seen)));
    let ready = must(&testbed, testbed.expect_ensured());
    assert_eq!(ready.vmid, VMID);
}

/// Without the checksum the name of the file would be another one, but the recorded import names it.
#[test]
fn a_run_without_the_checksum_repeats_a_lost_import_with_the_recorded_file() {
    let order = from_url_with_checksum();
    let testbed = Testbed::new(&order, &json!({}), [lost_import()]);
    let limits = "--timeout 3 --poll-interval 3";
    testbed.run(&format!("{} {limits}", order.line));
    let (line, _) = order.line.split_once(" --checksum").expect("a checksum");
    let seen = testbed.run(&format!("{line} --ensure"));
    assert!(must(&testbed, testbed.judge(&seen)));
    let images: Vec<String> = testbed
        .fake
        .cluster()
        .images_on("pve1", "local")
        .map(|image| image.volid.clone())
        .collect();
    assert_eq!(images, [order.volume]);
}

/// The run is killed while it waits for the import, whose worker dies too. Root does what the hint says.
#[test]
fn half_an_import_is_named_and_removed() {
    const UPID: &str = "UPID:pve1:00000002:00000014:6B000002:qmcreate:101:root@pam!cli:";

    let order = from_url_with_checksum();
    let poll = "GET /nodes/pve1/tasks/UPID:pve1:00000002";
    let hang = fault(json!({"on": poll, "nth": 1, "hang": "after"}));
    let more = json!({"create_exit": ["unexpected status", "OK"]});
    let testbed = Testbed::new(&order, &more, [hang]);
    let running = testbed.start(&order.line);
    testbed.fake.wait_for_requests(order.number_of(poll));
    testbed.remember("killed", &running.kill());
    testbed.finish_all();
    let seen = testbed.show(&format!("{} --ensure --timeout 3", order.line));
    let hint = "on node 'pve1', 'pvenode task list --source active' shows whether an import is running (qmcreate, \
                with that VMID); if none is, as root there: qm unlock 101 && qm destroy 101 \
                --destroy-unreferenced-disks 1";
    testbed.expect_stderr(
        &seen,
        &format!(
            "Creating template 'debian-12' from debian-12-amd64.img...\n\
             An earlier run began creating VM 101; resuming it...\n\
             The import's worker died or its node went down ({UPID}); checking VM 101...\n\
             Failed to create template: VM 101 on node 'pve1' has no name yet; it is locked by an import that this \
             token cannot see, or its import was left unfinished; the import's worker died or its node went down: {UPID}\n\
             Hint: {hint}\n"
        ),
    );
    testbed.obey(hint);
    assert_eq!(testbed.fake.cluster().setup.leftovers, [""; 0]);
    must(&testbed, testbed.expect_ensured());
}

/// While the run reads the warnings of the import, nothing is converted yet.
#[test]
fn a_signal_while_warnings_are_read() {
    let order = from_url_with_checksum();
    let log = "GET /nodes/pve1/tasks/UPID:pve1:00000002:00000014:6B000002:qmcreate:101:root@pam!cli:/log?limit=0";
    let hang = fault(json!({"on": log, "nth": 1, "hang": true}));
    let testbed = Testbed::new(
        &order,
        &json!({"create_polls": 0, "create_exit": "WARNINGS: 1"}),
        [hang],
    );
    let running = testbed.start(&order.line);
    testbed
        .fake
        .wait_for_requests(order.number_of("GET /nodes/pve1/tasks/UPID:pve1:00000002") + 1);
    running.signal(Signal::INT);
    let seen = running.wait();
    testbed.expect_stderr(
        &seen,
        "Creating template 'debian-12' from debian-12-amd64.img...\n\
         VM 101 'debian-12' was created on node 'pve1', but it is still being converted to a template: interrupted\n\
         Hint: run the same command with --ensure to resume\n",
    );
    testbed.fake.cluster().end_faults();
    must(&testbed, testbed.expect_ensured());
}

/// It is not changed, and each difference is named.
#[test]
fn a_template_exists_and_another_image_and_other_options_are_requested() {
    let order = from_url_with_checksum();
    let more = json!({"images": [{"volid": VOLUME}]});
    let testbed = Testbed::new(&order, &more, []);
    must(&testbed, testbed.expect_created(&testbed.run(&order.line)));
    let deeds = testbed.deeds();
    let other = format!("--image {VOLUME} --cores 8 --bridge vmbr1 --resize scsi0=9G --ensure");
    let seen = testbed.show(&create(&other));
    testbed.expect_stderr(
        &seen,
        "Creating template 'debian-12' from local:import/debian-12.qcow2...\n\
         template 101 'debian-12' on node 'pve1' was created from image \
         'local:import/debian-12-amd64-cae66afe.qcow2'; it is not re-created from local:import/debian-12.qcow2\n\
         Warning: template 101 'debian-12' on node 'pve1' already exists and is not changed; it has cores=2, not \
         cores=8; scsi0 of 3G, not 9G; bridge=vmbr0, not bridge=vmbr1\n",
    );
    assert_eq!((seen.exit, testbed.deeds()), (Some(0), deeds));
}

/// The first run is killed after the import, for which the network card is final.
#[test]
fn a_resumed_run_requests_another_bridge() {
    let order = from_url_with_checksum();
    let config = "GET /nodes/pve1/qemu/101/config";
    let hang = fault(json!({"on": config, "nth": 1, "hang": true}));
    let testbed = Testbed::new(&order, &json!({}), [hang]);
    let running = testbed.start(&order.line);
    testbed.fake.wait_for_requests(order.number_of(config));
    testbed.remember("killed", &running.kill());
    let seen = testbed.show(&format!("{} --bridge vmbr1 --ensure", order.line));
    testbed.expect_stderr(
        &seen,
        "Creating template 'debian-12' from debian-12-amd64.img...\n\
         Resuming VM 101, which an earlier run created...\n\
         Warning: VM 101 'debian-12' on node 'pve1' was created with bridge vmbr0 and keeps it; to change it, \
         on node 'pve1': qm set 101 --net0 virtio,bridge=vmbr1\n\
         Converting VM 101 to a template...\n\
         The image is kept: 'local:import/debian-12-amd64-cae66afe.qcow2'\n",
    );
}

/// A password cannot be read back, so it is set after the import.
#[test]
fn a_run_is_killed_before_the_password_is_set() {
    let mut order = from_volume();
    order.line += " --set cipassword=first";
    let put = "PUT /nodes/pve1/qemu/101/config cipassword";
    for (hang, sent) in [(json!(true), 2), (json!("after"), 2)] {
        let fault = fault(json!({"on": put, "nth": 1, "hang": hang}));
        let testbed = Testbed::new(&order, &json!({}), [fault]);
        let running = testbed.start(&order.line);
        testbed.fake.wait_for_requests(order.number_of(put));
        testbed.remember("killed", &running.kill());
        let ready = must(&testbed, testbed.expect_ensured());
        let cluster = testbed.fake.cluster();
        let secrets = &cluster.guests[&ready.vmid].secrets;
        assert_eq!(secrets.get("cipassword").map(String::as_str), Some("first"));
        drop(cluster);
        let journal = testbed.fake.journal();
        let puts = journal.iter().filter(|line| line.starts_with(put)).count();
        let converted = testbed
            .deeds()
            .iter()
            .filter(|it| it.did == Did::Convert)
            .count();
        assert_eq!((puts, converted), (sent, 1), "{}", testbed.details());
    }
}
