//! A clone breaks off and leaves half a VM behind, which only root can remove.

use rstest::rstest;
use serde_json::json;

use super::{FIRST, cluster, must};
use crate::chaos::ground::{Ground, NAME};

#[rstest]
#[case::quorum_lost(
    "clone failed: unable to open file '/etc/pve/nodes/pve1/qemu-server/{newid}.conf.tmp.563' - \
     Permission denied"
)]
#[case::worker_killed("unexpected status")]
fn half_a_vm_is_never_taken_for_a_whole_one(#[case] exit: &str) {
    let ground = Ground::new(
        cluster(json!({
            "clone_exit": [exit, "OK"],
            "clone_steps": {"appears": 1, "named": 2, "done": 4},
        })),
        [],
    );
    for words in [
        "--timeout 1.2",
        "--timeout 1.2 --ensure",
        "--timeout 1.2 --ensure",
    ] {
        let seen = ground.run(words);
        let failure = must(&ground, ground.expect_failure(&seen));
        assert_eq!(
            (failure.kind.as_str(), failure.vmid),
            ("half_made", Some(FIRST)),
            "{}",
            ground.account()
        );
        assert_eq!(ground.fake.vms_named(NAME), [FIRST]);
    }
    assert_eq!(ground.posts(), 1, "{}", ground.account());
    // `qm unlock 101 && qm destroy 101`, by root.
    ground.fake.cluster().remove(FIRST);
    let ready = must(&ground, ground.expect_ensured(""));
    assert!(ready.created);
    assert_eq!(ground.posts(), 2, "{}", ground.account());
}

/// `qm unlock 101` alone makes it look like any other VM, but for the disk that it lacks.
#[rstest]
#[case::of_an_earlier_run(true)]
#[case::of_somebody_else(false)]
fn half_a_vm_is_told_by_its_disks_once_it_is_unlocked(#[case] ours: bool) {
    let mut setup = cluster(json!({"clone_exit": ["unexpected status", "OK"]}));
    if !ours {
        let guests = setup["guests"].as_array_mut().expect("guests");
        guests.push(json!({"vmid": FIRST, "name": NAME}));
    }
    let ground = Ground::new(setup, []);
    if ours {
        let seen = ground.run("--timeout 1.2");
        must(&ground, ground.expect_failure(&seen));
    }
    {
        let mut cluster = ground.fake.cluster();
        let half = cluster.guests.get_mut(&FIRST).expect("the half VM");
        half.config.remove("lock");
        half.config.remove("scsi0");
    }
    let posts = usize::from(ours);
    let seen = ground.run("--ensure");
    let failure = must(&ground, ground.expect_failure(&seen));
    let told = (failure.kind.as_str(), failure.vmid);
    assert_eq!(told, ("half_made", Some(FIRST)), "{}", ground.account());
    assert_eq!(ground.posts(), posts, "{}", ground.account());
}
