//! Downloads of images: how they end, what they leave, and who may begin them.

use rstest::rstest;
use serde_json::{Value, json};

use super::client::{Reply, delete, get, post};
use super::races::exit_of;
use super::rights::{CLONER, ask, read};
use super::states::with;
use crate::fake_pve::{FakePve, ImageDid, TOKEN};

const DOWNLOAD: &str = "/nodes/pve1/storage/local/download-url";
const LARGE: &str = "url=https://cloud.example/large.qcow2&filename=x.qcow2";
const VOLUME: &str = "local:import/x.qcow2";

/// A file of 96 MiB.
fn large() -> Value {
    json!({
        "internet": {"https://cloud.example/large.qcow2": {"file": {"size": 96 << 20}}},
        "download_polls": 2,
    })
}

fn large_and(field: &str, value: Value) -> FakePve {
    let mut story = large();
    story[field] = value;
    with(story).fake
}

pub(super) fn upid_of(reply: &Reply) -> String {
    let upid = reply.json()["data"].as_str().map(str::to_owned);
    upid.unwrap_or_else(|| panic!("{}", reply.reason))
}

pub(super) fn begun(fake: &FakePve, form: &str) -> String {
    upid_of(&post(fake, DOWNLOAD, &format!("content=import&{form}")))
}

pub(super) fn remove(fake: &FakePve, volume: &str) -> String {
    let path = format!("/nodes/pve1/storage/local/content/{volume}");
    upid_of(&delete(fake, &path))
}

fn log_of(fake: &FakePve, upid: &str) -> Vec<String> {
    let log = get(fake, &format!("/nodes/pve1/tasks/{upid}/log?limit=0")).json();
    let lines = log["data"].as_array().expect("lines").iter();
    let text = |line: &Value| line["t"].as_str().expect("text").to_owned();
    lines.map(text).collect()
}

fn images_on(fake: &FakePve, node: &str, storage: &str) -> Vec<String> {
    let path = format!("/nodes/{node}/storage/{storage}/content?content=import");
    let entries = get(fake, &path).json();
    let entries = entries["data"].as_array().expect("a list").iter();
    let volid = |entry: &Value| entry["volid"].as_str().expect("text").to_owned();
    entries.map(volid).collect()
}

fn is_listed(fake: &FakePve) -> bool {
    images_on(fake, "pve1", "local") == [VOLUME]
}

#[test]
fn the_log_of_a_download_grows_with_each_poll() {
    let fake = with(large()).fake;
    let upid = begun(&fake, LARGE);
    let whole = [
        "downloading https://cloud.example/large.qcow2 to /var/lib/vz/import/x.qcow2",
        "--2026-11-20 08:48:32--  https://cloud.example/large.qcow2",
        "Resolving cloud.example (cloud.example)... 203.0.113.80",
        "Connecting to cloud.example (cloud.example)|203.0.113.80|:443... connected.",
        "HTTP request sent, awaiting response... 200 OK",
        "Length: 100663296 (96M) [application/octet-stream]",
        "Saving to: '/var/lib/vz/import/x.qcow2.tmp_dwnl.1'",
        "     0K ........ ........ ........ ........ 33% 4.00M 16s",
        " 32768K ........ ........ ........ ........ 66% 4.00M 8s",
        " 65536K ........ ........ ........ ........100% 4.00M=24s",
        "2026-11-20 08:48:32 (4.00 MB/s) - '/var/lib/vz/import/x.qcow2.tmp_dwnl.1' saved \
         [100663296/100663296]",
        "download of 'https://cloud.example/large.qcow2' to '/var/lib/vz/import/x.qcow2' finished",
        "TASK OK",
    ];
    for (lines, exit) in [(7, "running"), (8, "running"), (9, "OK")] {
        assert_eq!(log_of(&fake, &upid), whole[..lines]);
        assert!(!is_listed(&fake));
        assert_eq!(exit_of(&fake, &upid), exit);
    }
    assert_eq!(log_of(&fake, &upid), whole);
    assert!(is_listed(&fake));
}

#[test]
fn a_download_can_end_by_itself() {
    let fake = large_and("download_requests", json!(3));
    begun(&fake, LARGE);
    let seen = [(); 4].map(|()| is_listed(&fake));
    assert_eq!(seen, [false, false, true, true]);
}

#[test]
fn the_later_of_two_downloads_replaces_the_file_of_the_other() {
    let fake = with(large()).fake;
    let upids = [(); 2].map(|()| begun(&fake, LARGE));
    fake.finish_all();
    assert_eq!(upids.map(|upid| exit_of(&fake, &upid)), ["OK", "OK"]);
    let cluster = fake.cluster();
    let replaced = cluster.image_deeds.iter().map(|deed| match &deed.did {
        ImageDid::Download { replaced, .. } => replaced.clone(),
        ImageDid::Remove => panic!("{deed:?}"),
    });
    let first = cluster.image_deeds[0].image.clone();
    assert_eq!(replaced.collect::<Vec<_>>(), [None, Some(first)]);
}

#[test]
fn a_download_is_recorded_with_its_owner_and_its_file() {
    let fake = with(large()).fake;
    begun(&fake, LARGE);
    fake.finish_all();
    let cluster = fake.cluster();
    let [deed] = &cluster.image_deeds[..] else {
        panic!("{:?}", cluster.image_deeds);
    };
    let image = cluster.image("pve1", VOLUME).unwrap();
    assert_eq!(&deed.image, image);
    assert_eq!((deed.at, &*deed.owner, &*deed.node), (1, TOKEN, "pve1"));
    let shown = (&*image.format, image.size, image.virtual_size);
    assert_eq!(shown, ("qcow2", 96 << 20, 3 << 30));
}

#[test]
fn a_killed_worker_leaves_no_image() {
    let fake = large_and("download_exit", json!(["unexpected status", "OK"]));
    let upid = begun(&fake, LARGE);
    fake.finish_all();
    assert_eq!(exit_of(&fake, &upid), "unexpected status");
    let log = log_of(&fake, &upid);
    let last = "Saving to: '/var/lib/vz/import/x.qcow2.tmp_dwnl.1'";
    assert_eq!((log.len(), &*log[6]), (7, last));
    assert!(!is_listed(&fake));
    let again = begun(&fake, LARGE);
    fake.finish_all();
    assert_eq!(exit_of(&fake, &again), "OK");
    assert!(is_listed(&fake));
}

#[rstest]
#[case::cleans_up(false, "download failed: received interrupt", 8)]
#[case::is_killed(true, "unexpected status", 7)]
fn an_aborted_download_leaves_no_image(
    #[case] kills: bool,
    #[case] exit: &str,
    #[case] lines: usize,
) {
    let fake = large_and("abort_kills", json!(kills));
    let upid = begun(&fake, LARGE);
    for _ in 0..2 {
        let aborted = delete(&fake, &format!("/nodes/pve1/tasks/{upid}"));
        assert_eq!(aborted.status, 200);
    }
    fake.finish_all();
    assert_eq!(exit_of(&fake, &upid), exit);
    assert_eq!(log_of(&fake, &upid).len(), lines);
    assert!(!is_listed(&fake));
}

/// Whether the download takes place, for each fault of its POST.
#[rstest]
#[case::lost(json!({"close": "lost"}), true)]
#[case::not_received(json!({"close": "before"}), false)]
#[case::executed_later(json!({"late": {"status": 596, "reason": "late", "after": 2}}), true)]
#[case::gateway(json!({"answer": {"status": 596, "reason": "no"}}), false)]
fn a_fault_of_the_request_leaves_a_task_or_none(#[case] mut fault: Value, #[case] acts: bool) {
    fault["on"] = json!("POST /nodes/pve1/storage");
    let fake = large_and("faults", json!([fault]));
    super::client::connect(&fake).post(DOWNLOAD, &format!("content=import&{LARGE}"));
    let list = "/nodes/pve1/tasks?source=all&typefilter=download";
    get(&fake, list);
    let tasks = get(&fake, list).json()["data"].take();
    let ids: Vec<&Value> = tasks
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["id"])
        .collect();
    assert_eq!(ids == ["x.qcow2"], acts);
    fake.finish_all();
    assert_eq!(is_listed(&fake), acts);
}

#[test]
fn a_download_is_given_up_after_20_attempts() {
    let url = "http://192.0.2.7/x.qcow2";
    let site = json!({"cut": {"file": {"size": 96 << 20}, "at": 40 << 20}});
    let fake = with(json!({"internet": {url: site}})).fake;
    let upid = begun(&fake, &format!("url={url}&filename=x.qcow2"));
    let exits = [(); 19].map(|()| exit_of(&fake, &upid));
    assert_eq!(exits[17..], ["running", "download failed: exit code 4"]);
    let log = log_of(&fake, &upid);
    let attempt = [
        "--2026-11-20 08:48:32--  (try:20)  http://192.0.2.7/x.qcow2",
        "Connecting to 192.0.2.7:80... connected.",
        "HTTP request sent, awaiting response... 200 OK",
        "Length: 100663296 (96M) [application/octet-stream]",
        "Saving to: '/var/lib/vz/import/x.qcow2.tmp_dwnl.1'",
        "     0K ........ ........ ........ ........ 33% 4.00M 16s",
        " 32768K ........                            41% 4.00M=10s",
        "2026-11-20 08:48:32 (4.00 MB/s) - Connection closed at byte 41943040. Giving up.",
        "TASK ERROR: download failed: exit code 4",
    ];
    assert_eq!(log[log.len() - attempt.len()..], attempt);
    assert_eq!(log.len(), 1 + 20 * 8 + 1);
}

#[test]
fn a_download_that_was_cut_is_complete_once_faults_end() {
    let url = "http://192.0.2.7/x.qcow2";
    let site = json!({"cut": {"file": {"size": 96 << 20}, "at": 1}});
    let fake = with(json!({"internet": {url: site}, "download_exit": "no"})).fake;
    let form = format!("url={url}&filename=x.qcow2");
    let upid = begun(&fake, &form);
    fake.cluster().end_faults();
    assert_eq!(exit_of(&fake, &upid), "OK");
    remove(&fake, VOLUME);
    assert_eq!(exit_of(&fake, &begun(&fake, &form)), "OK");
}

/// A file of this kind, saved under this name.
fn verified(kind: &str, filename: &str) -> String {
    let url = "http://192.0.2.7/file";
    let site = json!({"file": {"kind": kind}});
    let fake = with(json!({"internet": {url: site}})).fake;
    let upid = begun(&fake, &format!("url={url}&filename={filename}"));
    let exit = exit_of(&fake, &upid);
    let target = format!("/var/lib/vz/import/{filename}.tmp_dwnl.1");
    assert_eq!(images_on(&fake, "pve1", "local").is_empty(), exit != "OK");
    exit.replace(&target, "FILE")
}

#[rstest]
#[case::raw("raw", "x.raw", "OK")]
#[case::any_file_is_raw("backing_file", "x.raw", "OK")]
#[case::vmdk("vmdk", "x.vmdk", "OK")]
#[case::not_qcow2(
    "vmdk",
    "x.qcow2",
    "failed to verify file: qemu-img: Could not open 'FILE': Image is not in qcow2 format"
)]
#[case::not_vmdk(
    "qcow2",
    "x.vmdk",
    "failed to verify file: qemu-img: Could not open 'FILE': Image is not in vmdk format"
)]
fn the_format_of_a_file_must_match_its_name(
    #[case] kind: &str,
    #[case] filename: &str,
    #[case] exit: &str,
) {
    assert_eq!(verified(kind, filename), exit);
}

#[test]
fn a_raw_disk_is_as_large_as_its_file() {
    let volid = "local:import/x.raw";
    let fake = with(json!({"images": [{"volid": volid}]})).fake;
    let cluster = fake.cluster();
    let image = cluster.image("pve1", volid).unwrap();
    assert_eq!((image.size, image.virtual_size), (330 << 20, 330 << 20));
}

#[rstest]
#[case::sha256(
    "sha256",
    "a665a45920422f9d417e4867efdc4fb8a04a1f3fff1fa07e998e86f7f7a27ae3"
)]
#[case::upper_case(
    "sha256",
    "A665A45920422F9D417E4867EFDC4FB8A04A1F3FFF1FA07E998E86F7F7A27AE3"
)]
#[case::sha512(
    "sha512",
    "3c9909afec25354d551dae21590bb26e38d53f2173b8d3dc3eee4c047e7ab1c1eb8b85103e3be7ba613b31bb5c9c36214dc9f14a42fd7a2fdb84856bca5c44c2"
)]
fn checksums_are_those_of_the_content(#[case] algorithm: &str, #[case] sum: &str) {
    let url = "http://192.0.2.7/x.qcow2";
    let file = json!({"content": "123"});
    let fake = with(json!({"internet": {url: {"file": file}}})).fake;
    let begun = |sum: &str| {
        let checksum = format!("checksum={sum}&checksum-algorithm={algorithm}");
        let upid = begun(&fake, &format!("url={url}&filename=x.qcow2&{checksum}"));
        (exit_of(&fake, &upid), log_of(&fake, &upid).len())
    };
    let [lines_if_received, lines_if_found] = [21, 3];
    assert_eq!(begun(sum), ("OK".to_owned(), lines_if_received));
    assert_eq!(begun(sum), ("OK".to_owned(), lines_if_found));
    let (other, _) = begun("123");
    let got = sum.to_lowercase();
    let mismatch = format!("checksum mismatch: got '{got}' != expect '123', aborting");
    assert_eq!(other, mismatch);
}

#[rstest]
#[case::folders("..%2Fdir\\x.qcow2", "x.qcow2")]
#[case::unusual_characters("dä b+c.raw", "d__b_c.raw")]
#[case::dots("debian-12_amd64.5.vmdk", "debian-12_amd64.5.vmdk")]
fn a_file_name_is_normalized(#[case] filename: &str, #[case] expected: &str) {
    let fake = with(json!({})).fake;
    let filename = filename.replace(' ', "%20").replace('+', "%2B");
    let upid = begun(&fake, &format!("url=http://h/&filename={filename}"));
    assert_eq!(upid.split(':').nth(6), Some(expected));
}

#[rstest]
#[case::no_extension("x")]
#[case::nothing_else(".qcow2")]
#[case::compressed("x.qcow2.xz")]
#[case::upper_case("x.QCOW2")]
fn a_file_name_without_a_known_extension_is_refused(#[case] filename: &str) {
    let fake = with(json!({})).fake;
    let form = format!("content=import&url=http://h/&filename={filename}");
    let errors = post(&fake, DOWNLOAD, &form).json()["errors"].take();
    assert_eq!(
        errors,
        json!({"filename": "invalid filename or wrong extension"})
    );
}

#[test]
fn all_wrong_parameters_are_reported_at_once() {
    let fake = with(json!({})).fake;
    let form = "content=images&url=ftp://h/x&checksum-algorithm=sha3&overwrite=1";
    let errors = post(&fake, DOWNLOAD, form).json()["errors"].take();
    let unknown =
        "property is not defined in schema and the schema does not allow additional properties";
    let expected = json!({
        "checksum": "missing property required by 'checksum-algorithm'",
        "checksum-algorithm": "value 'sha3' does not have a value in the enumeration 'md5, sha1, \
                               sha224, sha256, sha384, sha512'",
        "content": "value 'images' does not have a value in the enumeration 'iso, vztmpl, import'",
        "filename": "property is missing and it is not optional",
        "overwrite": unknown,
        "url": "value does not match the regex pattern",
    });
    assert_eq!(errors, expected);
}

/// The reasons of a list and of a download.
#[rstest]
#[case::disabled(
    json!({"disabled": true}),
    ["storage 's' is disabled", "storage 's' is disabled"]
)]
#[case::elsewhere(
    json!({"nodes": ["pve2"]}),
    ["storage 's' is not available on node 'pve1'", "storage 's' is not available on node 'pve1'"]
)]
#[case::inactive(
    json!({"inactive": true, "content": ["import"]}),
    ["storage 's' is not online", "storage 's' is not online"]
)]
#[case::without_files(
    json!({"type": "lvm"}),
    ["OK", "can't upload to storage type 'lvm', not a file based storage!"]
)]
#[case::without_import(
    json!({}),
    ["OK", "storage 's' is not configured for content-type 'import'"]
)]
fn a_storage_that_cannot_have_images_is_refused(
    #[case] storage: Value,
    #[case] reasons: [&str; 2],
) {
    let fake = with(json!({"nodes": ["pve1", "pve2"], "storages": {"s": storage}})).fake;
    let path = "/nodes/pve1/storage/s";
    let form = "content=import&url=http://h/&filename=x.qcow2";
    let list = get(&fake, &format!("{path}/content?content=import"));
    let download = post(&fake, &format!("{path}/download-url"), form);
    assert_eq!([list.reason, download.reason], reasons);
}

#[rstest]
#[case::nothing(json!({}), "Permission check failed (/storage/local, Datastore.AllocateTemplate)")]
#[case::storage_only(
    json!({"/storage": ["Datastore.AllocateTemplate"]}),
    "Permission check failed"
)]
#[case::on_the_node(
    json!({"/storage": ["Datastore.AllocateTemplate"], "/nodes/pve1": ["Sys.AccessNetwork"]}),
    "OK"
)]
#[case::on_another_node(
    json!({"/storage": ["Datastore.AllocateTemplate"], "/nodes/pve2": ["Sys.AccessNetwork"]}),
    "Permission check failed"
)]
#[case::half_an_administrator(
    json!({"/storage": ["Datastore.AllocateTemplate"], "/": ["Sys.Modify"]}),
    "Permission check failed"
)]
#[case::an_administrator(
    json!({"/storage": ["Datastore.AllocateTemplate"], "/": ["Sys.Modify", "Sys.Audit"]}),
    "OK"
)]
fn a_download_needs_two_kinds_of_privileges(#[case] acl: Value, #[case] reason: &str) {
    let fake = with(json!({"tokens": {CLONER: acl}})).fake;
    let form = "content=import&url=http://h/&filename=x.qcow2";
    assert_eq!(ask(&fake, CLONER, "POST", DOWNLOAD, form).reason, reason);
}

#[rstest]
#[case::audit("Datastore.Audit", 200)]
#[case::space("Datastore.AllocateSpace", 200)]
#[case::templates("Datastore.AllocateTemplate", 403)]
fn a_list_of_images_needs_a_privilege(#[case] privilege: &str, #[case] status: u16) {
    let fake = with(json!({"tokens": {CLONER: {"/storage": [privilege]}}})).fake;
    let path = "/nodes/pve1/storage/local/content?content=import";
    assert_eq!(read(&fake, CLONER, path).status, status);
    let storages = read(&fake, CLONER, "/nodes/pve1/storage").json();
    assert_eq!(storages["data"] != json!([]), status == 200);
}

#[test]
fn an_image_is_on_its_node_or_on_a_shared_storage() {
    let image = |volid: &str, node: &str| json!({"volid": volid, "node": node});
    let fake = with(json!({
        "nodes": ["pve1", "pve2"],
        "storages": {"nfs": {"shared": true, "content": ["import"]}},
        "images": [
            image("local:import/a.qcow2", "pve1"),
            image("local:import/b.qcow2", "pve2"),
            image("nfs:import/c.qcow2", "pve1"),
        ],
    }))
    .fake;
    let shown = [
        ("pve1", "local"),
        ("pve2", "local"),
        ("pve1", "nfs"),
        ("pve2", "nfs"),
    ]
    .map(|(node, storage)| images_on(&fake, node, storage).concat());
    let nfs = "nfs:import/c.qcow2";
    assert_eq!(
        shown,
        ["local:import/a.qcow2", "local:import/b.qcow2", nfs, nfs]
    );
    let cluster = fake.cluster();
    assert!(cluster.image("pve2", nfs).is_some());
    assert!(cluster.image("pve2", "local:import/a.qcow2").is_none());
    assert!(cluster.image("pve1", "nosuch:import/a.qcow2").is_none());
}

#[rstest]
#[case::by_its_id("local:import/x.qcow2", None)]
#[case::by_its_name("import/x.qcow2", None)]
#[case::twice(
    "local:import/x.qcow2",
    Some("disk image '/var/lib/vz/import/x.qcow2' does not exist")
)]
fn an_image_is_removed(#[case] volume: &str, #[case] again: Option<&str>) {
    let fake = with(json!({"images": [{"volid": VOLUME}]})).fake;
    if again.is_some() {
        remove(&fake, volume);
    }
    let upid = remove(&fake, volume);
    assert_eq!(exit_of(&fake, &upid), "OK");
    let lines: Vec<&str> = again
        .into_iter()
        .chain(["Removed volume 'local:import/x.qcow2'", "TASK OK"])
        .collect();
    assert_eq!(log_of(&fake, &upid), lines);
    assert!(!is_listed(&fake));
    let cluster = fake.cluster();
    let deeds = cluster
        .image_deeds
        .iter()
        .map(|deed| (&*deed.image.volid, &deed.did));
    assert_eq!(deeds.collect::<Vec<_>>(), [(VOLUME, &ImageDid::Remove)]);
}

#[test]
fn other_users_put_and_remove_images() {
    let put = json!({"put_image": {"volid": VOLUME, "file": {"content": "another"}}});
    let fake = large_and(
        "others",
        json!([
            {"before": "GET /version", "do": put},
            {"before": "GET /version", "nth": 2, "do": {"remove_image": VOLUME}},
        ]),
    );
    let upid = begun(&fake, LARGE);
    fake.finish_all();
    assert_eq!(exit_of(&fake, &upid), "OK");
    let sum = || Some(fake.cluster().image("pve1", VOLUME)?.sha256.clone());
    let ours = sum();
    get(&fake, "/version");
    let theirs = sum();
    assert!(ours.is_some() && theirs.is_some() && ours != theirs);
    get(&fake, "/version");
    assert_eq!(sum(), None);
    assert_eq!(fake.cluster().image_deeds.len(), 1);
}

#[rstest]
#[case::no_file("http://192.0.2.7/y", "404 Not Found")]
#[case::closed_port(
    "http://192.0.2.8:81/",
    "500 Can't connect to 192.0.2.8:81 (Connection refused)"
)]
#[case::no_host(
    "https://nosuch.example/x",
    "500 Can't connect to nosuch.example:443 (Temporary failure in name resolution)"
)]
fn a_url_without_a_file_has_no_metadata(#[case] url: &str, #[case] why: &str) {
    let internet = json!({"http://192.0.2.7/x": {"file": {}}, "http://192.0.2.8:81/": "refused"});
    let fake = with(json!({"internet": internet})).fake;
    let reply = get(&fake, &format!("/nodes/pve1/query-url-metadata?url={url}"));
    assert_eq!(reply.reason, format!("invalid server response: '{why}'"));
}
