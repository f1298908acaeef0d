//! The fake answers as the real server did: same status, reason, headers, keys and types.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails at its first error"
)]

mod abort;
mod acl;
mod agent;
mod client;
mod convert;
mod copies;
mod creations;
mod destroy;
mod downloads;
mod floods;
mod http;
mod identities;
mod images;
mod import;
mod listener;
mod mishaps;
mod options;
mod pending;
mod permissions;
mod planned_acts;
mod power;
mod progress;
mod pveum;
mod quorum;
mod races;
mod refusals;
mod resize;
mod rights;
mod shutdown;
mod states;
mod steps;
mod storages;
mod strangers;
mod tasks;
mod trust;
mod update;
mod written;

use rstest::rstest;
use serde_json::{Map, Value, json};

use self::client::{Client, Reply, connect};
use self::states::State;
use crate::fake_pve::SECRET;
use crate::recording::Recording;

#[rstest]
#[case::rows("resources-vm-and-template", states::vm_and_template)]
#[case::rows_while_cloning("resources-while-cloning", states::clone_running)]
#[case::rows_offline(
    "resources-offline-node-and-container",
    states::offline_node_and_container
)]
#[case::rows_running("resources-running-vm", power::running_vm)]
#[case::rows_with_containers("resources-running-and-containers", states::running_beside_containers)]
#[case::rows_without_quorum("no-quorum-resources", states::many_without_quorum)]
#[case::no_rows("resources-empty", states::empty)]
#[case::rows_unseen("resources-token-without-permission", states::token_without_rights)]
#[case::node_rows("resources-nodes", states::two_nodes)]
#[case::node_rows_for_few("resources-nodes-low", states::two_nodes)]
#[case::nodes("nodes", states::two_nodes)]
#[case::nodes_for_few("nodes-low", states::two_nodes)]
#[case::nodes_without_quorum("no-quorum-nodes", update::no_quorum_of_two)]
#[case::cluster("cluster-status-back", states::two_nodes)]
#[case::cluster_for_few("cluster-status-low", states::two_nodes)]
#[case::cluster_without_quorum("no-quorum-cluster-status", update::no_quorum_of_two)]
#[case::cluster_without_quorum_for_few("no-quorum-cluster-status-low", update::no_quorum_of_two)]
#[case::start_without_quorum("no-quorum-start", update::no_quorum_of_two)]
#[case::nextid_without_quorum("no-quorum-nextid", update::no_quorum_of_two)]
#[case::nextid("nextid", states::vm_and_template)]
#[case::vmid_free("nextid-vmid-free", states::vm_and_template)]
#[case::vmid_taken("nextid-vmid-taken", states::vm_and_template)]
#[case::quorum_lost("no-quorum-cluster-status", states::pve2_lost)]
#[case::quorum_forbidden("cluster-status-low", states::token_that_may_see_vms)]
#[case::clone("clone-ok", states::template_only)]
#[case::clone_vmid_taken("clone-vmid-taken", states::vm_and_template)]
#[case::clone_vmid_being_cloned("clone-vmid-being-cloned", states::clone_running)]
#[case::clone_bad_name("clone-bad-name", states::template_only)]
#[case::clone_bad_newid("clone-bad-newid", states::template_only)]
#[case::clone_all_bad("clone-several-bad-parameters", states::template_only)]
#[case::clone_node_unknown("clone-node-unknown", states::template_only)]
#[case::clone_template_gone("clone-template-gone", states::template_only)]
#[case::clone_template_locked("clone-template-locked", states::template_in_backup)]
#[case::clone_forbidden("clone-forbidden-source", states::token_without_rights)]
#[case::clone_forbidden_vmid("clone-forbidden-newid", acl::cloner)]
#[case::clone_forbidden_storage("clone-forbidden-storage", acl::cloner)]
#[case::clone_linked_storage("clone-storage-on-linked", states::template_only)]
#[case::clone_storage_unknown("clone-storage-unknown", states::template_only)]
#[case::clone_storage_bad("clone-storage-without-images", states::template_only)]
#[case::clone_without_a_base("clone-of-one-request-template", states::template_by_its_option_alone)]
#[case::clone_target_unknown("clone-target-unknown", states::template_only)]
#[case::clone_target_local("clone-target-local-storage", states::template_on_pve2)]
#[case::clone_pool_unknown("clone-pool-unknown", states::template_only)]
#[case::clone_without_quorum("no-quorum-clone", update::no_quorum)]
#[case::clone_taken_elsewhere("taken-on-other-node", states::vmid_taken_on_other_node)]
#[case::task_taken_elsewhere("taken-on-other-node-status", states::clone_lost_to_other_node)]
#[case::log_taken_elsewhere("taken-on-other-node-log", states::clone_lost_to_other_node)]
#[case::task_running("task-running-status", states::clone_running)]
#[case::task_ok("task-ok-status", states::clone_done)]
#[case::log_running("task-running-log", progress::a_third_copied)]
#[case::log_ok("task-ok-log", states::clone_done)]
#[case::task_unknown("task-unknown-status", states::empty)]
#[case::log_unknown("task-unknown-log", states::empty)]
#[case::task_elsewhere("task-status-asked-of-the-wrong-node", states::clone_running_on_pve2)]
#[case::task_foreign("task-status-of-another-token", states::clone_of_another_token)]
#[case::task_warnings("warnings-status", states::clone_done_with_a_warning)]
#[case::log_warnings("warnings-log", states::clone_done_with_a_warning)]
#[case::task_disk_full("disk-full-status", states::storage_got_full)]
#[case::config_disk_full("disk-full-config-after", states::storage_got_full)]
#[case::task_killed("worker-killed-status", states::worker_killed)]
#[case::config_killed("worker-killed-config", states::worker_killed)]
#[case::task_lost_to_a_clone("race-loser-status", races::lost_to_a_clone)]
#[case::log_lost_to_a_clone("race-loser-log", races::lost_to_a_clone)]
#[case::task_lost_to_a_vm("race-linked-loser-status", races::lost_to_a_complete_vm)]
#[case::task_quorum_lost("quorum-lost-while-cloning-status", states::quorum_lost)]
#[case::config_quorum_lost("quorum-lost-while-cloning-config", states::quorum_lost)]
#[case::tasks_of_a_token("node-tasks-own-running", tasks::own_running)]
#[case::rows_for_the_blind("resources-low-privilege-while-cloning", rights::blind_cloning)]
#[case::rows_for_the_late("resources-low-privilege-while-cloning", rights::late_cloning)]
#[case::rows_for_the_cloner("resources-low-privilege-while-cloning", acl::cloning_into_the_pool)]
#[case::permissions("permissions-low-privilege", acl::cloner)]
#[case::no_permissions("permissions-none", states::token_without_rights)]
#[case::clone_daemon_hung("pvedaemon-hung-clone", states::daemon_hung)]
#[case::task_daemon_hung("pvedaemon-hung-task-status", states::daemon_hung)]
#[case::clone_daemon_down("pvedaemon-down-clone", states::daemon_down)]
#[case::config("config-of-fresh-clone", states::web_01_cloned)]
#[case::config_of_a_container("qemu-config-of-a-container", states::container_300)]
#[case::config_missing("aborted-config-after", states::template_only)]
#[case::vms_of_node("node-qemu-while-cloning", states::clone_running_beside_tagged_vm)]
#[case::set("config-put-cloudinit", update::web_01)]
#[case::set_bad_value("config-put-bad-value", update::web_01)]
#[case::set_keys_raw("config-put-sshkeys-encoded-once", update::web_01)]
#[case::set_unknown("config-put-unknown-key", update::web_01)]
#[case::set_without_quorum("no-quorum-put-config", update::no_quorum)]
#[case::set_with_digest("config-put-digest-ok", update::digest_known)]
#[case::set_with_an_old_digest("config-put-digest-stale", update::digest_outdated)]
#[case::set_and_delete("config-put-and-delete-same", written::vm_109)]
#[case::delete_a_root_only_option("config-delete-absent-key", written::vm_109)]
#[case::delete_a_lock("config-put-delete-lock", written::incomplete_vm_441)]
#[case::skip_a_lock("config-put-skiplock", written::incomplete_vm_441)]
#[case::set_many("config-put-normalised", written::vm_109)]
#[case::config_of_many("config-put-normalised-read-back", written::normalised)]
#[case::set_half("config-put-half", written::vm_109_and_a_full_storage)]
#[case::config_half_set("config-put-half-config-after", written::half_written)]
#[case::new_disk("config-put-repeated-new-disk", written::vm_462)]
#[case::config_of_a_second_disk(
    "config-put-repeated-new-disk-config-after",
    written::new_disk_repeated
)]
#[case::convert_to_a_template("put-template-1", written::vm_103)]
#[case::convert_from_a_template("put-template-0", written::template_400)]
#[case::resize("resize-ok", update::web_01)]
#[case::resize_unknown("resize-no-such-disk", update::web_01)]
#[case::resize_shrink("resize-shrink", update::web_01)]
#[case::start("start-ok", update::web_01)]
#[case::start_under_ha("ha-start", power::under_ha)]
#[case::status_under_ha("current-ha", power::under_ha)]
#[case::rows_under_ha("resources-ha-and-pool", power::under_ha_beside_others)]
#[case::status_stopped("current-stopped", power::vm_110)]
#[case::status_running("current-running", power::vm_280_runs)]
#[case::status_of_no_vm("current-not-there", states::empty)]
#[case::status_forbidden("current-forbidden", power::vm_280_runs)]
#[case::start_forbidden("start-forbidden", power::vm_280_runs)]
#[case::start_in_a_backup("start-locked-status", power::started_in_a_backup)]
#[case::start_of_a_template("start-template-status", power::start_of_a_template)]
#[case::log_of_a_template("start-template-log", power::start_of_a_template)]
#[case::start_of_no_vm("start-not-there-status", power::start_of_no_vm)]
#[case::log_of_no_vm("start-not-there-log", power::start_of_no_vm)]
#[case::start_of_a_locked_vm("start-stopped-locked-status", power::start_of_a_locked_vm)]
#[case::start_again("start-already-running", power::running_vm)]
#[case::task_start_failed("start-failed-status", power::start_without_bridge)]
#[case::destroy("destroy-ok", destroy::vm_101)]
#[case::destroyed("destroy-ok-status", destroy::destroyed)]
#[case::log_destroyed("destroy-ok-log", destroy::destroyed)]
#[case::config_destroyed("config-after-destroy", destroy::destroyed)]
#[case::vmid_destroyed("nextid-after-destroy", destroy::destroyed)]
#[case::tasks_destroyed("tasks-of-a-destroyed-vm", destroy::destroyed)]
#[case::config_while_destroying("config-while-destroying", destroy::destroying)]
#[case::vmid_while_destroying("nextid-while-destroying", destroy::destroying)]
#[case::destroy_no_vm("destroy-not-there", states::empty)]
#[case::destroy_elsewhere("destroy-other-node", destroy::vm_101)]
#[case::destroy_a_container("destroy-vmid-of-a-container", states::container_300)]
#[case::destroy_a_running_vm("destroy-running", power::vm_280_runs)]
#[case::destroy_a_protected_vm("destroy-protected", destroy::protected)]
#[case::destroy_under_ha("destroy-ha-without-purge", power::under_ha)]
#[case::log_destroyed_under_ha("destroy-ha-with-purge-log", destroy::destroyed_under_ha)]
#[case::destroy_a_locked_vm("destroy-locked-backup", destroy::locked)]
#[case::task_destroy_a_locked_vm("destroy-locked-backup-status", destroy::destroy_of_a_locked_vm)]
#[case::log_destroy_a_locked_vm("destroy-locked-backup-log", destroy::destroy_of_a_locked_vm)]
#[case::destroy_a_base(
    "destroy-template-with-linked-clones-status",
    destroy::destroy_of_a_base
)]
#[case::log_destroy_a_base("destroy-template-with-linked-clones-log", destroy::destroy_of_a_base)]
#[case::destroy_twice("destroy-twice-2-status", destroy::destroyed_twice)]
#[case::log_destroy_twice("destroy-twice-2-log", destroy::destroyed_twice)]
#[case::destroy_started("start-then-destroy-destroy-status", destroy::started_before)]
#[case::log_destroy_started("start-then-destroy-destroy-log", destroy::started_before)]
#[case::destroy_a_clone("destroy-clone-target-status", destroy::destroyed_after_its_clone)]
#[case::log_destroy_a_clone("destroy-clone-target-log", destroy::destroyed_after_its_clone)]
#[case::log_destroy_a_source("destroy-clone-source-log", destroy::source_destroyed)]
#[case::destroy_in_vain("destroy-clone-target-long-status", destroy::long_clone)]
#[case::log_destroy_in_vain("destroy-clone-target-long-log", destroy::long_clone)]
#[case::destroy_beside_a_clone(
    "destroy-template-and-clone-at-once-clone-status",
    destroy::cloned_while_destroying
)]
#[case::log_destroy_beside_a_clone(
    "destroy-template-and-clone-at-once-clone-log",
    destroy::cloned_while_destroying
)]
#[case::destroy_storage_disabled("destroy-storage-disabled-status", destroy::storage_disabled)]
#[case::log_destroy_storage_disabled("destroy-storage-disabled-log", destroy::storage_disabled)]
#[case::log_destroy_storage_removed("destroy-storage-removed-log", destroy::storage_removed)]
#[case::destroy_without_quorum("no-quorum-destroy", destroy::vm_432_without_quorum)]
#[case::task_destroy_without_quorum("no-quorum-destroy-status", destroy::half_destroyed)]
#[case::log_destroy_without_quorum("no-quorum-destroy-log", destroy::half_destroyed)]
#[case::config_destroyed_without_quorum("no-quorum-destroy-config-after", destroy::half_destroyed)]
#[case::start_half_destroyed("start-after-no-quorum-destroy-status", destroy::half_started)]
#[case::log_start_half_destroyed("start-after-no-quorum-destroy-log", destroy::half_started)]
#[case::log_destroy_again("destroy-again-after-no-quorum-log", destroy::destroyed_at_last)]
#[case::destroy_past_a_lock("destroy-skiplock-token", destroy::vm_101)]
#[case::destroy_with_a_digest("destroy-unknown-parameter", destroy::vm_101)]
#[case::destroy_forbidden("destroy-forbidden", destroy::vm_101)]
#[case::destroy_no_vm_forbidden("destroy-forbidden-not-there", destroy::vm_101)]
#[case::destroy_in_the_pool("destroy-with-pool-right", destroy::vm_423_in_a_pool)]
#[case::log_destroy_without_purge("destroy-removes-acl-and-pool-log", destroy::without_purge)]
#[case::status_paused("current-paused", shutdown::paused)]
#[case::status_locked("current-locked", shutdown::locked)]
#[case::status_deaf("current-after-failed-shutdown", shutdown::timed_out)]
#[case::status_down_late("current-after-slow-shutdown", shutdown::down_late)]
#[case::status_rebooted("current-right-after-reboot", shutdown::rebooted)]
#[case::agent_paused("agent-paused-vm", shutdown::paused)]
#[case::start_paused("start-paused-status", shutdown::started_while_paused)]
#[case::log_start_paused("start-paused-log", shutdown::started_while_paused)]
#[case::start_while_cloning("start-while-being-cloned-status", shutdown::started_while_cloning)]
#[case::stop("stop-ok", power::vm_280_runs)]
#[case::stopped("stop-ok-status", shutdown::stopped)]
#[case::log_stopped("stop-ok-log", shutdown::stopped)]
#[case::stop_stopped("stop-already-stopped-status", shutdown::stop_of_a_stopped_vm)]
#[case::stop_no_vm("stop-not-there-status", shutdown::stop_of_no_vm)]
#[case::stop_locked("stop-locked-status", shutdown::stop_of_a_locked_vm)]
#[case::log_stop_locked("stop-locked-log", shutdown::stop_of_a_locked_vm)]
#[case::stop_forbidden("stop-forbidden", power::vm_280_runs)]
#[case::stop_by_force("stop-bad-forceStop", power::vm_280_runs)]
#[case::stop_while_shutting_down(
    "stop-while-shutdown-runs-status",
    shutdown::stop_behind_a_shutdown
)]
#[case::log_stop_while_shutting_down(
    "stop-while-shutdown-runs-log",
    shutdown::stop_behind_a_shutdown
)]
#[case::stop_overruling("stop-overrule-shutdown-status", shutdown::overruling)]
#[case::log_stop_overruling("stop-overrule-shutdown-log", shutdown::overruling)]
#[case::stop_without_quorum("no-quorum-stop-status", shutdown::stopped_without_quorum)]
#[case::shutdown("shutdown-ok", power::vm_280_runs)]
#[case::shut_down("shutdown-ok-status", shutdown::shut_down)]
#[case::log_shut_down("shutdown-ok-log", shutdown::shut_down)]
#[case::shutdown_stopped("shutdown-already-stopped-status", shutdown::shutdown_of_a_stopped_vm)]
#[case::log_shutdown_stopped("shutdown-already-stopped-log", shutdown::shutdown_of_a_stopped_vm)]
#[case::shutdown_no_vm("shutdown-not-there-status", shutdown::shutdown_of_no_vm)]
#[case::shutdown_locked("shutdown-locked-status", shutdown::shutdown_of_a_locked_vm)]
#[case::shutdown_paused("shutdown-paused", shutdown::paused)]
#[case::shutdown_paused_by_force("shutdown-paused-forceStop-status", shutdown::forced_while_paused)]
#[case::log_shutdown_paused_by_force(
    "shutdown-paused-forceStop-log",
    shutdown::forced_while_paused
)]
#[case::shutdown_forbidden("shutdown-forbidden", power::vm_280_runs)]
#[case::shutdown_bad("shutdown-bad-parameters", power::vm_280_runs)]
#[case::shutdown_past_a_lock("shutdown-skiplock-token", power::vm_280_runs)]
#[case::shutdown_timed_out("shutdown-default-timeout-status", shutdown::timed_out)]
#[case::log_shutdown_timed_out("shutdown-default-timeout-log", shutdown::timed_out)]
#[case::shutdown_agent_silent("shutdown-agent-silent-status", shutdown::agent_silent)]
#[case::log_shutdown_agent_silent("shutdown-agent-silent-log", shutdown::agent_silent)]
#[case::shutdown_slow("shutdown-slow-guest-timeout-status", shutdown::down_late)]
#[case::log_shutdown_slow("shutdown-slow-guest-timeout-log", shutdown::down_late)]
#[case::shutdown_by_force("shutdown-force-stop-status", shutdown::forced)]
#[case::log_shutdown_by_force("shutdown-force-stop-log", shutdown::forced)]
#[case::shutdown_twice("shutdown-while-shutdown-runs-status", shutdown::second_shutdown)]
#[case::log_shutdown_twice("shutdown-while-shutdown-runs-log", shutdown::second_shutdown)]
#[case::shutdown_overruled("shutdown-overruled-status", shutdown::overruled)]
#[case::log_shutdown_overruled("shutdown-overruled-log", shutdown::overruled)]
#[case::reboot("reboot-ok", power::vm_280_runs)]
#[case::rebooted("reboot-ok-status", shutdown::rebooted)]
#[case::log_rebooted("reboot-ok-log", shutdown::rebooted)]
#[case::reboot_stopped("reboot-already-stopped", power::vm_110)]
#[case::reboot_no_vm("reboot-not-there", states::empty)]
#[case::reboot_paused("reboot-paused", shutdown::paused)]
#[case::reboot_locked("reboot-locked-status", shutdown::reboot_of_a_locked_vm)]
#[case::reboot_forbidden("reboot-forbidden", power::vm_280_runs)]
#[case::reboot_by_force("reboot-bad-forceStop", power::vm_280_runs)]
#[case::reboot_timed_out("reboot-no-agent-timeout-status", shutdown::reboot_timed_out)]
#[case::log_reboot_timed_out("reboot-no-agent-timeout-log", shutdown::reboot_timed_out)]
#[case::reboot_without_quorum("no-quorum-reboot-status", shutdown::rebooted_without_quorum)]
#[case::tasks_rebooted_without_quorum(
    "tasks-after-no-quorum-reboot",
    shutdown::rebooted_without_quorum
)]
#[case::abort("abort-finished", abort::cloned)]
#[case::abort_forbidden("abort-forbidden-other-token", abort::task_of_another_token)]
#[case::abort_unknown("abort-unknown", states::empty)]
#[case::aborted("aborted-status", abort::aborted)]
#[case::config_aborted("abort-clone-config-after", abort::aborted)]
#[case::rows_while_destroying("resources-while-destroying", states::many_while_destroying)]
#[case::rows_after_a_destroy("resources-after-destroy", states::many_after_a_destroy)]
#[case::rows_without_their_pool("resources-pool-token", states::members_without_their_pool)]
#[case::containers("lxc-list", states::two_containers)]
#[case::config_pending("config-running-with-pending", pending::run_renamed)]
#[case::config_live("config-current-running-with-pending", pending::run_renamed)]
#[case::agent_vm_stopped("agent-vm-not-running", agent::vm_stopped)]
#[case::agent_not_yet("agent-not-running", agent::not_yet)]
#[case::agent_refuses("agent-command-disabled", agent::command_disabled)]
#[case::agent_not_configured("agent-not-configured", agent::not_configured)]
#[case::agent_not_configured_but_running(
    "agent-not-configured-running",
    agent::not_configured_but_running
)]
#[case::agent_of_no_vm("agent-not-there", states::empty)]
#[case::agent_forbidden("agent-forbidden", agent::forbidden)]
#[case::no_credentials("unauthorized-no-credentials", states::empty)]
#[case::wrong_secret("unauthorized-wrong-secret", states::empty)]
#[case::unknown_path("unknown-path", states::empty)]
#[case::version("version", states::empty)]
#[case::version_for_all("version-no-permission", states::token_without_rights)]
#[case::dead_node("dead-node", states::dead_pve3)]
fn answers_as_recorded(#[case] name: &str, #[case] state: fn() -> State) {
    check_answer(name, &state());
}

/// Sends a recorded request, and compares the answer.
fn check_answer(name: &str, state: &State) {
    let recording = Recording::load(name);
    let reply = replay(&recording, state);

    assert_eq!(
        (
            reply.status,
            &*reply.reason,
            relevant_headers(&reply.headers),
            shape_of_text(&reply.text()),
        ),
        (
            recording.status,
            &*recording.reason,
            relevant_headers(&recording.headers),
            shape_of_text(&recording.answer),
        )
    );
}

/// Sends the recorded request; if it was about a task, about the fake's own task.
fn replay(recording: &Recording, state: &State) -> Reply {
    let path = match (&state.upid, recording.path.split_once("/tasks/")) {
        (Some(upid), Some((node, rest))) => {
            let part = rest.find('/').map_or("", |at| &rest[at..]);
            format!("{node}/tasks/{upid}{part}")
        }
        _ => recording.path.clone(),
    };
    let line = format!("{} /api2/json{path} HTTP/1.1", recording.method);
    let credentials = recording.token.as_ref().map(|token| {
        let secret = if token.contains('=') {
            String::new()
        } else {
            format!("={SECRET}")
        };
        format!("Authorization: PVEAPIToken={token}{secret}")
    });
    let body = recording.body.as_deref().unwrap_or_default();
    let length = format!("Content-Length: {}", body.len());
    let mut head = vec![&*line, "Host: pve1:8006"];
    head.extend(credentials.as_deref());
    if !body.is_empty() {
        head.push(&length);
    }
    let mut client: Client<_> = connect(&state.fake);
    client.send(&head, body);
    client.reply().expect("an answer")
}

fn relevant_headers(headers: &[String]) -> Vec<&str> {
    let relevant = ["Connection: ", "Content-Type: "];
    let is_relevant = |line: &&str| relevant.iter().any(|name| line.starts_with(name));
    headers.iter().map(|s| &**s).filter(is_relevant).collect()
}

fn shape_of_text(text: &str) -> Option<Value> {
    if text.is_empty() {
        return None;
    }
    let value = serde_json::from_str(text).expect("JSON");
    Some(shape("", &value))
}

/// Fields that belong to the recorded machine; only their types are compared.
const OF_ONE_MACHINE: [&str; 6] = [
    "digest",
    "ide2",
    "scsi0",
    "smbios1",
    "ssl_fingerprint",
    "vmgenid",
];
const COMPARED_NUMBERS: [&str; 11] = [
    "cores", "local", "n", "nodes", "nodeid", "onboot", "online", "quorate", "template", "total",
    "vmid",
];

fn shape(key: &str, value: &Value) -> Value {
    match value {
        Value::Array(values) => values.iter().map(|value| shape(key, value)).collect(),
        Value::Object(object) => {
            let shapes: Map<_, _> = object
                .iter()
                .map(|(key, value)| (key.clone(), shape(key, value)))
                .collect();
            Value::Object(shapes)
        }
        Value::Number(_) if !COMPARED_NUMBERS.contains(&key) => json!("a number"),
        Value::String(_) if OF_ONE_MACHINE.contains(&key) => json!("a string"),
        Value::String(text) if text.contains(".conf.tmp.") => json!(without_pid(text)),
        Value::String(text) if text.contains("UPID:") => json!(shape_of_upid(text)),
        Value::String(text) if key.starts_with("net") => json!(without_mac(text)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

/// `…/101.conf.tmp.227' - Permission denied`, with any process ID.
fn without_pid(text: &str) -> String {
    let (file, rest) = text.split_once(".conf.tmp.").expect("checked before");
    let rest = rest.trim_start_matches(|c: char| c.is_ascii_digit());
    format!("{file}.conf.tmp.PID{rest}")
}

/// `virtio=BC:24:11:00:00:65,bridge=vmbr0`, with any MAC.
fn without_mac(net: &str) -> String {
    let settings = net.split(',').map(|setting| match setting.split_once('=') {
        Some((model, mac)) if mac.matches(':').count() == 5 => format!("{model}=a MAC"),
        _ => setting.to_owned(),
    });
    settings.collect::<Vec<_>>().join(",")
}

/// Process ID and times differ between tasks, but not their format.
fn shape_of_upid(upid: &str) -> String {
    let is_digit = |c: char| matches!(c, '0'..='9' | 'A'..='F');
    let parts = upid.split(':').map(|part| {
        if part.len() == 8 && part.chars().all(is_digit) {
            "8 digits"
        } else {
            part
        }
    });
    parts.collect::<Vec<_>>().join(":")
}
