//! Single endpoints against recorded answers.

use std::collections::BTreeSet;
use std::time::Duration;

use mockito::{Matcher, Mock, Server, ServerGuard};
use rstest::rstest;

use super::*;
use crate::pve::secret::Secret;
use crate::pve::types::{ExitStatus, GuestKind, Token, TokenId};

mod cluster;
mod guest_lists;

#[path = "../../tests/recording.rs"]
mod recording;
use recording::Recording;

const SECRET: &str = "00000000-0000-0000-0000-000000000001";

/// A client of a server that replays `fixtures/api`.
pub(crate) fn client_of(server: &ServerGuard) -> Pve {
    let access = Access {
        endpoints: vec![Endpoint {
            host: server.url().parse().unwrap(),
            trust: Trust::SystemRoots,
            proxy: None,
        }],
        token: Token {
            id: TokenId {
                user: "root".into(),
                realm: "pam".into(),
                key: "cli".into(),
            },
            secret: Secret::new(SECRET.into()),
        },
        request_timeout: Duration::from_secs(5),
    };
    Pve::new(&access, None).unwrap()
}

/// Replays a recorded answer, but with the standard reason phrase: mockito cannot send another.
fn replay(server: &mut ServerGuard, recording: &Recording) -> Mock {
    let path = format!("/api2/json{}", recording.path.replace(':', "%3A"));
    let path = path.replace('@', "%40").replace('!', "%21");
    server
        .mock(&recording.method, path.as_str())
        .with_status(recording.status.into())
        .with_header("Content-Type", "application/json;charset=UTF-8")
        .with_body(&recording.answer)
}

fn answered<T>(name: &str, ask: impl FnOnce(&Pve) -> T) -> T {
    let mut server = Server::new();
    let mock = replay(&mut server, &Recording::load(name)).create();
    let result = ask(&client_of(&server));
    mock.assert();
    result
}

fn node(name: &str) -> Node {
    Node(name.to_owned())
}

fn all_guests(pve: &Pve) -> Result<GuestList, Error> {
    pve.guests(&|_| true)
}

#[test]
fn guests_are_read_from_the_list() {
    let list = answered("resources-vm-and-template", all_guests).unwrap();
    let seen: Vec<(u32, Option<&str>, bool)> = list
        .guests
        .iter()
        .map(|guest| (guest.vmid.0, guest.name.as_deref(), guest.template))
        .collect();
    assert_eq!(
        seen,
        [
            (101, Some("web-01"), false),
            (9000, Some("debian-12"), true)
        ]
    );
}

#[test]
fn a_vm_being_cloned_has_a_lock_but_no_name() {
    let list = answered("resources-while-cloning", all_guests).unwrap();
    let clone = &list.guests[1];
    assert_eq!(
        (clone.vmid, clone.name.as_deref(), clone.lock.as_deref()),
        (Vmid(102), None, Some("clone"))
    );
}

#[test]
fn containers_and_guests_of_offline_nodes_are_distinguished() {
    let list = answered("resources-offline-node-and-container", all_guests).unwrap();
    let seen: Vec<(u32, GuestKind, bool)> = list
        .guests
        .iter()
        .map(|guest| (guest.vmid.0, guest.kind, guest.may_hide_its_name()))
        .collect();
    assert_eq!(
        seen,
        [
            (101, GuestKind::Qemu, false),
            (300, GuestKind::Qemu, true),
            (301, GuestKind::Lxc, false),
            (9000, GuestKind::Qemu, false),
        ]
    );
}

#[test]
fn an_empty_list_is_accepted() {
    let list = answered("resources-empty", all_guests).unwrap();
    assert_eq!(list, GuestList::default());
}

#[test]
fn a_nodes_list_has_the_name_of_a_vm_being_cloned() {
    let list = answered("node-qemu-while-cloning", |pve| {
        pve.vms_of_node(&node("pve1"), &|_| true)
    });
    let clone = list.unwrap().guests.remove(1);
    assert_eq!(
        (clone.name.as_deref(), clone.lock.as_deref(), clone.node),
        (Some("listme"), Some("clone"), node("pve1"))
    );
}

#[test]
fn a_configuration_is_read() {
    let config = answered("config-of-fresh-clone", |pve| {
        pve.vm_config(&node("pve1"), Vmid(101))
    });
    let config = config.unwrap().unwrap();
    assert_eq!(
        (config.name.as_deref(), config.template, config.lock.clone()),
        (Some("web-01"), false, None)
    );
    // The cloud-init drive is not a disk.
    assert_eq!(config.disks(), BTreeSet::from(["scsi0".into()]));
    assert_eq!(config.storages(), BTreeSet::from(["data".into()]));
    assert_eq!(config.bridges(), BTreeSet::from(["vmbr0".into()]));
    assert_eq!(config.size_of("scsi0"), Some(Size(2 << 30)));
    assert_eq!(config.cards()[0].mac, "bc:24:11:c6:8e:7f");
    assert!(config.has_agent() && config.has_cloud_init_drive());
    assert_eq!(config.option("cores"), Some("1"));
}

#[test]
fn a_bridge_inside_a_guest_belongs_to_no_network_card() {
    let report = answered("agent-interfaces-docker", |pve| {
        pve.interfaces(&node("pve1"), Vmid(283))
    });
    let Report::Interfaces(interfaces) = report.unwrap() else {
        panic!("not a list");
    };
    let net0 = "virtio=BC:24:11:51:13:54,bridge=vmbr0".to_owned();
    let cards = VmConfig::of([("net0".to_owned(), net0)]).cards();
    let seen = addresses(&interfaces, &cards).into_iter().map(|it| {
        let (card, interface) = (
            it.card.unwrap_or_default(),
            it.interface.unwrap_or_default(),
        );
        format!("{card} {} {interface}", it.ip)
    });
    assert_eq!(
        seen.collect::<Vec<_>>(),
        [
            "net0 10.77.0.184 eth0",
            "net0 fd00::5 eth0",
            "net0 2001:db8::5 eth0",
            " 172.17.0.1 docker0",
            " 172.18.0.1 br-0f1e2d3c"
        ]
    );
}

#[test]
fn a_guest_agents_error_comes_with_status_200() {
    let report = answered("agent-command-disabled", |pve| {
        pve.interfaces(&node("pve1"), Vmid(284))
    });
    let error = AgentError {
        reason: Reason::Disabled,
        message: "Command guest-network-get-interfaces has been disabled".to_owned(),
    };
    assert_eq!(report.unwrap(), Report::Refused(error));
}

#[test]
fn an_incomplete_vm_has_a_lock_and_no_disk() {
    let config = answered("worker-killed-config", |pve| {
        pve.vm_config(&node("pve1"), Vmid(222))
    });
    let config = config.unwrap().unwrap();
    assert!(config.is_being_created());
    assert_eq!(
        (config.name.as_deref(), config.disks()),
        (Some("killed"), BTreeSet::new())
    );
}

#[rstest]
#[case::free("nextid-vmid-free", 500, true)]
#[case::taken("nextid-vmid-taken", 101, false)]
fn a_vmid_is_free_or_taken(#[case] recording: &str, #[case] vmid: u32, #[case] expected: bool) {
    let is_free = answered(recording, |pve| pve.is_free(Vmid(vmid)));
    assert_eq!(is_free.unwrap(), expected);
}

#[test]
fn a_vm_that_does_not_exist_has_no_configuration() {
    let config = answered("aborted-config-after", |pve| {
        pve.vm_config(&node("pve1"), Vmid(220))
    });
    assert_eq!(config.unwrap(), None);
}

#[test]
fn nextid_is_a_string_with_a_number() {
    assert_eq!(answered("nextid", Pve::next_vmid).unwrap(), Vmid(100));
}

#[test]
fn a_clone_is_full_by_default_and_sends_no_other_options() {
    let mut server = Server::new();
    let recording = Recording::load("clone-ok");
    let mock = replay(&mut server, &recording)
        .match_body(Matcher::Exact("newid=101&name=web-01&full=1".into()))
        .match_header("Content-Type", "application/x-www-form-urlencoded")
        .match_header("Content-Length", "28")
        .match_header(
            "Authorization",
            format!("PVEAPIToken=root@pam!cli={SECRET}").as_str(),
        )
        .create();
    let upid = client_of(&server).clone_vm(
        &node("pve1"),
        Vmid(9000),
        Vmid(101),
        &"web-01".parse().unwrap(),
        &CloneOptions::default(),
    );
    mock.assert();
    let expected = "UPID:pve1:000001E0:0001ECB8:6B03EE51:qmclone:9000:root@pam!cli:";
    assert_eq!(upid.unwrap().as_str(), expected);
}

#[rstest]
#[case::vmid_taken(
    "clone-vmid-taken",
    "unable to create VM 101: config file already exists"
)]
#[case::template_in_a_backup("clone-template-locked", "VM is locked (backup)")]
#[case::privilege(
    "clone-forbidden-source",
    "Permission check failed (/vms/9000, VM.Clone)"
)]
#[case::parameter(
    "clone-bad-newid",
    "Parameter verification failed. newid: invalid format - value does not look like a valid VM ID"
)]
fn a_refused_clone_reports_the_servers_message(#[case] name: &str, #[case] message: &str) {
    let recording = Recording::load(name);
    let mut server = Server::new();
    let mock = replay(&mut server, &recording).create();
    let template = Vmid(9000);
    let error = client_of(&server)
        .clone_vm(
            &node("pve1"),
            template,
            Vmid(101),
            &"x".parse().unwrap(),
            &CloneOptions::default(),
        )
        .unwrap_err();
    mock.assert();
    assert_eq!(
        (error.to_string(), error.delivery()),
        (message.to_owned(), Delivery::Refused)
    );
}

#[rstest]
#[case::running("task-running-status", TaskStatus::Running)]
#[case::done("task-ok-status", TaskStatus::Stopped(ExitStatus::Ok))]
#[case::warnings("warnings-status", TaskStatus::Stopped(ExitStatus::Warnings(1)))]
#[case::worker_died("worker-killed-status", TaskStatus::Stopped(ExitStatus::Unexpected))]
#[case::vmid_taken_on_another_node(
    "taken-on-other-node-status",
    TaskStatus::Stopped(ExitStatus::Failed(
        "close (rename) atomic file '/etc/pve/nodes/pve1/qemu-server/300.conf' failed: File exists"
            .into()
    ))
)]
fn the_status_of_a_task_is_read(#[case] name: &str, #[case] expected: TaskStatus) {
    let recording = Recording::load(name);
    let upid = recording.path.split('/').nth(4).unwrap();
    let status = answered(name, |pve| pve.task_status(&upid.parse().unwrap()));
    assert_eq!(status.unwrap(), expected);
}

#[test]
fn an_unknown_task_is_refused() {
    let recording = Recording::load("task-unknown-status");
    let upid = recording.path.split('/').nth(4).unwrap();
    let status = answered("task-unknown-status", |pve| {
        pve.task_status(&upid.parse().unwrap())
    });
    let message = "Parameter verification failed. upid: no such task";
    assert_eq!(status.unwrap_err().to_string(), message);
}

#[rstest]
#[case::unknown_status(r#"{"data":{"status":"dreaming"}}"#)]
#[case::no_status(r#"{"data":{}}"#)]
#[case::not_an_object(r#"{"data":"running"}"#)]
#[case::null(r#"{"data":null}"#)]
fn after_an_invalid_task_status_the_delivery_is_unknown(#[case] body: &str) {
    let mut server = Server::new();
    server.mock("GET", Matcher::Any).with_body(body).create();
    let upid = "UPID:pve1:000001E0:0001ECB8:6B03EE51:qmclone:9000:root@pam!cli:";
    let error = client_of(&server)
        .task_status(&upid.parse().unwrap())
        .unwrap_err();
    assert_eq!(error.delivery(), Delivery::Unknown);
}

#[test]
fn a_node_name_with_special_characters_stays_one_path_segment() {
    let mut server = Server::new();
    let mock = server
        .mock("GET", "/api2/json/nodes/a%2F..%2Fb%3Fc/qemu")
        .with_body(r#"{"data":[]}"#)
        .create();
    let list = client_of(&server).vms_of_node(&node("a/../b?c"), &|_| true);
    mock.assert();
    assert_eq!(list.unwrap(), GuestList::default());
}

#[test]
fn characters_that_separate_form_fields_are_escaped() {
    let mut server = Server::new();
    let mock = server
        .mock("POST", "/api2/json/nodes")
        .match_body(Matcher::Exact("a=b%3Dc%26d%3Be%20f%2B%C3%A9".into()))
        .with_body(r#"{"data":null}"#)
        .create();
    let pve = client_of(&server);
    let form = [("a", "b=c&d;e f+é")];
    let answer = pve.change(Method::POST, "/nodes", &form, |_| Ok(()));
    mock.assert();
    assert!(answer.is_ok());
}

#[test]
fn a_byte_that_is_not_utf8_does_not_hide_other_guests() {
    let mut server = Server::new();
    let rows = [b"a\xe4b".as_slice(), b"web-1"].map(|name| {
        let head = br#"{"vmid":100,"type":"qemu","node":"pve1","name":""#.as_slice();
        [head, name, br#""}"#].concat()
    });
    let body = [br#"{"data":["#.as_slice(), &rows.join(&b','), b"]}"].concat();
    server.mock("GET", Matcher::Any).with_body(body).create();
    let list = all_guests(&client_of(&server)).unwrap();
    let names: Vec<Option<&str>> = list.guests.iter().map(|g| g.name.as_deref()).collect();
    assert_eq!(names, [Some("a\u{fffd}b"), Some("web-1")]);
}
