//! Storages with images answer as recorded: lists, downloads and removals.

use rstest::rstest;
use serde_json::{Value, json};

use super::client::{Reply, delete};
use super::downloads::{begun, remove, upid_of};
use super::states::{State, with};
use super::{relevant_headers, replay};
use crate::recording::Recording;

const LOW: &str = "homelab@pve!cli";
const SEP: &str = "homelab@pve!sep";
const URL: &str = "http://127.0.0.1:8099/small.qcow2";

fn small() -> Value {
    json!({
        "size": 50_659_328,
        "virtual_size": 268_435_456,
        "sha256": "932f4a242c80e2872d9a8916f907ea27b86fdf913f692c26065bce97c3a4b766",
    })
}

fn internet() -> Value {
    let file = |kind: &str, size: u64| json!({"file": {"kind": kind, "size": size}});
    json!({
        URL: {"file": small()},
        "http://127.0.0.1:8099/slow/small.qcow2": {"file": small()},
        "http://127.0.0.1:8099/other.img": {"file": small()},
        "http://127.0.0.1:8099/cut/small.qcow2": {"cut": {"file": small(), "at": 11_534_336}},
        "http://127.0.0.1:8099/garbage.qcow2": file("raw", 100_000),
        "http://127.0.0.1:8099/evil.qcow2": file("backing_file", 196_616),
        "http://127.0.0.1:9/x.qcow2": "refused",
    })
}

/// The storages of the real server; `data` and `small`, which it lacked, accept nothing.
fn storages() -> Value {
    json!({
        "data": {"content": []},
        "full": {"content": ["images", "import"], "avail": 25_165_824},
        "iso-only": {"content": ["iso"]},
        "local": {"content": ["backup", "images", "import", "iso", "rootdir", "snippets", "vztmpl"]},
        "off": {"content": ["images"], "disabled": true},
        "other": {"content": ["images"]},
        "small": {"content": []},
    })
}

fn story(images: &[&str]) -> Value {
    let images = images.iter().map(|name| {
        let volid = format!("local:import/{name}");
        json!({"volid": volid, "file": small()})
    });
    json!({
        "storages": storages(),
        "internet": internet(),
        "images": images.collect::<Value>(),
        "tokens": {LOW: {"/storage/local": ["Datastore.AllocateSpace"]}, SEP: "none"},
    })
}

/// Without images.
fn lab() -> State {
    with(story(&[]))
}

fn lab_with_small() -> State {
    with(story(&["small.qcow2"]))
}

fn lab_with_three() -> State {
    with(story(&["low.qcow2", "o_t_her_.qcow2", "small.qcow2"]))
}

fn lab_where_low_may(storage: &[&str], node: &[&str]) -> State {
    let mut story = story(&[]);
    story["tokens"][LOW] = json!({"/storage/local": storage, "/nodes/pve1": node});
    with(story)
}

fn template_allocator() -> State {
    lab_where_low_may(&["Datastore.AllocateTemplate"], &[])
}

fn downloader() -> State {
    lab_where_low_may(&["Datastore.AllocateTemplate"], &["Sys.AccessNetwork"])
}

fn lab_without_quorum() -> State {
    let mut story = story(&[]);
    story["no_quorum"] = json!(true);
    with(story)
}

fn downloading() -> State {
    let mut story = story(&["low.qcow2", "o_t_her_.qcow2", "small.qcow2"]);
    story["download_polls"] = json!(9);
    let mut state = with(story);
    let url = "http://127.0.0.1:8099/slow/small.qcow2";
    let upid = begun(&state.fake, &format!("url={url}&filename=abort.qcow2"));
    state.upid = Some(upid);
    state
}

fn aborted() -> State {
    let state = downloading();
    let upid = state.upid.as_deref().unwrap();
    let path = format!("/nodes/pve1/tasks/{upid}");
    assert_eq!(delete(&state.fake, &path).status, 200);
    state
}

fn removed() -> State {
    let mut state = lab_with_three();
    state.upid = Some(remove(&state.fake, "local:import/o_t_her_.qcow2"));
    state
}

#[rstest]
#[case::storages("storage-list", lab)]
#[case::storages_for_import("storage-list-import", lab)]
#[case::storages_for_few("storage-list-low", lab)]
#[case::storages_for_nobody("storage-list-forbidden", lab)]
#[case::images("storage-content-import", lab_with_small)]
#[case::no_images("storage-content-import-empty", lab)]
#[case::several_images("storage-content-import-after", lab_with_three)]
#[case::images_for_few("storage-content-low", lab)]
#[case::images_for_nobody("storage-content-forbidden", lab)]
#[case::images_while_downloading("storage-content-while-downloading", downloading)]
#[case::without_algorithm("download-checksum-without-algorithm", lab)]
#[case::wrong_extension("download-img-extension", lab)]
#[case::storage_unknown("download-storage-unknown", lab)]
#[case::storage_without_import("download-storage-without-import", lab)]
#[case::forbidden("download-forbidden-low", lab)]
#[case::network_forbidden("download-forbidden-network", template_allocator)]
#[case::abort("abort-download", downloading)]
#[case::task_aborted("abort-download-status", aborted)]
#[case::log_aborted("abort-download-log", aborted)]
#[case::remove("delete-import-image", lab_with_three)]
#[case::task_removed("delete-import-image-status", removed)]
#[case::log_removed("delete-import-image-log", removed)]
#[case::remove_forbidden("delete-import-image-low", lab_with_three)]
#[case::remove_forbidden_for_nobody("delete-import-image-forbidden", lab_with_three)]
#[case::metadata("query-url-metadata", lab)]
fn storages_answer_as_recorded(#[case] name: &str, #[case] state: fn() -> State) {
    assert_is_recorded(name, &state());
}

/// The request, its task after this many polls of the status, and the log of that.
#[rstest]
#[case::ok("download-ok", lab, 1)]
#[case::for_few("download-low-ok", downloader, 1)]
#[case::with_another_name("download-img-as-qcow2", lab, 1)]
#[case::without_quorum("no-quorum-download", lab_without_quorum, 1)]
#[case::not_found("download-404", lab, 1)]
#[case::refused("download-refused", lab, 1)]
#[case::no_such_host("download-no-such-host", lab, 1)]
#[case::same_file_exists("download-exists-same", lab_with_small, 1)]
#[case::other_file_exists("download-exists-other-checksum", lab_with_small, 1)]
#[case::file_exists("download-exists-no-checksum", lab_with_small, 1)]
#[case::wrong_checksum("download-wrong-checksum", lab, 1)]
#[case::not_an_image("download-garbage", lab, 1)]
#[case::backing_file("download-backing-file", lab, 1)]
#[case::no_space("download-full", lab, 1)]
#[case::cut("download-cut", lab, 16)]
fn a_download_goes_as_recorded(
    #[case] name: &str,
    #[case] state: fn() -> State,
    #[case] polls: usize,
) {
    let mut state = state();
    let reply = assert_is_recorded(name, &state);
    state.upid = Some(upid_of(&reply));
    let status = format!("{name}-status");
    for _ in 1..polls {
        replay(&Recording::load(&status), &state);
    }
    assert_is_recorded(&status, &state);
    assert_is_recorded(&format!("{name}-log"), &state);
}

fn assert_is_recorded(name: &str, state: &State) -> Reply {
    let recording = Recording::load(name);
    let reply = replay(&recording, state);
    assert_eq!(
        (
            reply.status,
            &*reply.reason,
            relevant_headers(&reply.headers),
            shape(&reply.text()),
        ),
        (
            recording.status,
            &*recording.reason,
            relevant_headers(&recording.headers),
            shape(&recording.answer),
        ),
        "{name}"
    );
    reply
}

/// In lists of storages, images and types of content, the order does not matter.
fn shape(text: &str) -> Value {
    let mut answer: Value = serde_json::from_str(text).expect("JSON");
    if let Value::Array(rows) = &mut answer["data"] {
        rows.retain(|row| row["content"] != "");
        rows.sort_by_key(|row| [&row["storage"], &row["volid"]].map(Value::to_string));
        for row in rows {
            tidy(row);
        }
    } else {
        tidy(&mut answer["data"]);
    }
    super::shape("", &answer)
}

fn tidy(row: &mut Value) {
    for (key, value) in row.as_object_mut().into_iter().flatten() {
        match (&**key, &value) {
            ("content", Value::String(list)) => {
                let mut types: Vec<&str> = list.split(',').collect();
                types.sort_unstable();
                *value = json!(types);
            }
            ("total", _) => *value = Value::Null,
            ("active" | "enabled" | "shared", _) => *value = json!(value.to_string()),
            ("t" | "exitstatus", Value::String(line)) => *value = json!(without_times(line)),
            _ => {}
        }
    }
}

/// The clock, the speed of the network and the number of the process differ.
fn without_times(line: &str) -> String {
    let line = match line.split_once(".tmp_dwnl.") {
        Some((file, rest)) => {
            let rest = rest.trim_start_matches(|c: char| c.is_ascii_digit());
            format!("{file}.tmp_dwnl.PID{rest}")
        }
        None => line.to_owned(),
    };
    if let Some(rest) = line.strip_prefix("--2026-11-") {
        return format!("--TIME--{}", &rest["30 10:22:10--".len()..]);
    }
    if let Some((_, rest)) = line
        .split_once(" MB/s) - ")
        .or(line.split_once(" GB/s) - "))
    {
        return format!("TIME AND SPEED - {rest}");
    }
    match (line.split_once('%'), line.split_once(" ERROR ")) {
        (Some((progress, _)), _) if progress.contains("K ") => format!("{progress}%"),
        (_, Some((_, error))) => format!("TIME ERROR {error}"),
        _ => line,
    }
}
