//! Passwords and values from files: set once, and never printed.

use rstest::rstest;
use serde_json::json;

use super::{CREATE, fake, sent};
use crate::fake_pve::Cluster;
use crate::homelab::{Homelab, Seen, StateDir};

#[test]
fn a_password_from_a_file_is_printed_nowhere() {
    const PASSWORD: &str = "correct horse=battery&staple;";
    // The server repeats what it rejects.
    let body = format!("{{\"data\":null,\"message\":\"'{PASSWORD}' is too long\\n\"}}");
    let refusal = json!({"status": 500, "reason": "x", "body": body});
    let fake = fake(&json!({"faults": [{"on": "PUT", "nth": 1, "answer": refusal}]}));
    let state = StateDir::new();
    let run = |more: &str| {
        let homelab = Homelab::at(&fake).with_file("password", &format!("{PASSWORD}\n"));
        let chmod = homelab.home().join("password");
        std::fs::set_permissions(chmod, std::os::unix::fs::PermissionsExt::from_mode(0o600))
            .unwrap();
        let arguments = format!("{CREATE} --verbose --set cipassword=@password{more}");
        homelab.in_state(&state).run(&arguments)
    };
    let refused = run("");
    assert!(
        refused
            .stderr
            .contains("it was not configured: '(secret)' is too long"),
        "{}",
        refused.stderr
    );
    let (fixed, again) = (run(" --json"), run(" --ensure"));
    assert_eq!(
        (refused.exit, fixed.exit, again.exit),
        (Some(1), Some(0), Some(0))
    );
    // Sent until it was certainly set, and not again: it cannot be read back.
    assert_eq!(sent(&fake, "cipassword"), [PASSWORD, PASSWORD]);
    for seen in [refused, fixed, again] {
        for text in [seen.stdout, seen.stderr] {
            assert!(!text.contains("horse"), "{text}");
        }
    }
    let record = std::fs::read_to_string(format!("{}/web-1.jsonl", state.path())).unwrap();
    assert!(!record.contains("horse"), "{record}");
}

/// It cannot be read back whether a password is set, so the run records it.
#[rstest]
#[case::of_an_existing_vm(json!([{"vmid": 100, "name": "web-1"}]))]
#[case::of_an_existing_vm_with_another(json!([{"vmid": 100, "name": "web-1", "config": {"cipassword": "**********"}}]))]
#[case::of_a_new_vm(json!([]))]
#[case::of_a_new_vm_whose_template_has_another(json!([{"vmid": 9000, "name": "debian-12", "template": true, "config": {"cipassword": "**********"}}]))]
fn a_password_is_set_once_by_nightly_runs(#[case] guests: serde_json::Value) {
    let mut guests = guests;
    if guests[0]["vmid"] != 9000 {
        let template = json!({"vmid": 9000, "name": "debian-12", "template": true});
        guests.as_array_mut().unwrap().push(template);
    }
    let fake = fake(&json!({"guests": guests}));
    let state = StateDir::new();
    let run = |more: &str| {
        let homelab = Homelab::at(&fake).in_state(&state);
        homelab.run(&format!("{CREATE} --ensure{more}")).exit
    };
    let password = " --set cipassword=new --set cores=2";
    let nights = [run(""), run(password), run(password), run(password)];
    assert_eq!(nights, [Some(0); 4]);
    assert_eq!(sent(&fake, "cipassword"), ["new"]);
    // A VM that is created again has no password yet.
    fake.cluster().remove(100);
    assert_eq!((run(password), run(password)), (Some(0), Some(0)));
    assert_eq!(sent(&fake, "cipassword"), ["new", "new"]);
}

/// Proxmox VE does not show a password, so only a hash of the one that was set shows whether another one is
/// requested.
#[test]
fn only_a_different_password_for_a_vm_that_has_one_is_a_warning() {
    let fake = fake(&json!({}));
    let state = StateDir::new();
    let run = |password: &str| {
        let homelab = Homelab::at(&fake).with_file("password", password);
        let path = homelab.home().join("password");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(path, mode).unwrap();
        let arguments = format!("{CREATE} --ensure --quiet --set cipassword=@password");
        let seen = homelab.in_state(&state).run(&arguments);
        assert_eq!(seen.exit, Some(0), "{}", seen.stderr);
        seen.stderr
    };
    let warning = "Warning: cipassword of VM 100 'web-1' on node 'pve1' was set earlier and is kept; to \
                   change it, on node 'pve1': qm set 100 --cipassword\n";
    let nights = ["horse", "horse", "staple", "horse"].map(run);
    assert_eq!(nights, ["", "", warning, ""]);
    assert_eq!(sent(&fake, "cipassword"), ["horse"]);
    // Somebody has removed it, so it is set again, and the new one counts from then on.
    let remove = |cluster: &mut Cluster| {
        cluster
            .guests
            .get_mut(&100)
            .unwrap()
            .config
            .remove("cipassword")
    };
    remove(&mut fake.cluster());
    let nights = ["staple", "staple", "horse"].map(run);
    assert_eq!(nights, ["", "", warning]);
    assert_eq!(sent(&fake, "cipassword"), ["horse", "staple"]);
}

/// A message of the kernel or of QEMU may contain the whole command line.
#[test]
fn a_value_from_a_file_is_masked_in_a_message_of_a_task() {
    let fake =
        fake(&json!({"start_exit": "start failed: command '/usr/bin/kvm -fw horse' failed"}));
    let seen = Homelab::at(&fake)
        .with_file("text", "horse")
        .run(&format!("{CREATE} --set description=@text --start --json"));
    let expected =
        "it was not started: Task failed: start failed: command '/usr/bin/kvm -fw (secret)' failed";
    assert!(seen.stderr.contains(expected), "{}", seen.stderr);
    assert!(!format!("{}{}", seen.stdout, seen.stderr).contains("horse"));
}

#[test]
fn a_password_that_everybody_can_read_is_refused() {
    let fake = fake(&json!({}));
    let homelab = Homelab::at(&fake).with_file("password", "hunter2\n");
    let path = homelab.home().join("password");
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let expected = Seen {
        exit: Some(2),
        stdout: String::new(),
        stderr:
            "Failed to create VM: 'password' contains a secret (cipassword), and all users of this \
                 machine can read it\nHint: chmod o= password; if it is mounted read-only, set its mode in the mount (0440; Kubernetes: \
                 defaultMode), or use a private copy: install -m 600 password COPY\n"
                .to_owned(),
    };
    let seen = homelab.run(&format!("{CREATE} --set cipassword=@password"));
    assert_eq!((seen, fake.journal().len()), (expected, 0));
}
