//! `/nodes/{node}/storage/{storage}/content`: the images on a storage, and their removal.

use serde_json::{Value, json};

use super::cluster::Cluster;
use super::deeds::ImageDid;
use super::file_tasks::FileTask;
use super::http::Answer;
use super::params::Params;
use super::processes::Process;
use super::replies::proxied;
use super::storages::{TO_SEE_STORAGES, folder};
use super::values::Kind;

/// A file that is being downloaded is not listed. Whether the storage is to have images does not matter.
pub(super) fn list(
    cluster: &Cluster,
    token: &str,
    node: &str,
    storage: &str,
    params: &Params,
) -> Result<Answer, Answer> {
    let acl = cluster.acl_of(token);
    acl.check_any(&format!("/storage/{storage}"), TO_SEE_STORAGES)?;
    cluster.reach(node)?;
    params.check(&[("content", Kind::Text), ("vmid", Kind::Vmid)])?;
    let found = cluster.setup.storage(storage)?;
    found.check_active(storage)?;
    cluster.setup.storage_on(storage, node)?;
    let content = params.get("content");
    assert_eq!(content, Some("import"), "the fake lists nothing else");
    let entries = cluster.images_on(node, storage).map(|image| {
        json!({
            "content": content,
            "ctime": image.ctime,
            "format": image.format,
            "size": image.size,
            "volid": image.volid,
        })
    });
    Ok(proxied(&entries.collect::<Value>()))
}

/// Answered with a task, which has ended. The volume may be named with or without its storage.
pub(super) fn remove(
    cluster: &mut Cluster,
    token: &str,
    node: &str,
    (storage, volume): (&str, &str),
    params: &Params,
) -> Result<Answer, Answer> {
    cluster.reach(node)?;
    params.check(&[("delay", Kind::Integer(1, 30))])?;
    cluster.setup.storage(storage)?;
    let acl = cluster.acl_of(token);
    acl.check(&format!("/storage/{storage}"), "Datastore.Allocate")?;
    cluster
        .setup
        .storage_on(storage, node)?
        .check_active(storage)?;
    let (_, name) = volume.split_once(':').unwrap_or((storage, volume));
    let volid = format!("{storage}:{name}");
    let mut task = FileTask::forked(Process {
        node: node.to_owned(),
        kind: "imgdel",
        id: storage.to_owned(),
        owner: token.to_owned(),
        number: cluster.next_process(),
    });
    if let Some(image) = cluster.remove_image(node, &volid) {
        cluster.record_image(token, node, image, ImageDid::Remove);
    } else {
        // A warning that does not count as one. It was read in the source, not seen.
        let path = format!("{}/{name}", folder(storage));
        let missing = format!("disk image '{path}' does not exist");
        task.log.push(missing);
    }
    task.log.push(format!("Removed volume '{volid}'"));
    task.end("OK".to_owned());
    let upid = task.upid.clone();
    cluster.file_tasks.push(task);
    Ok(proxied(&json!(upid)))
}
