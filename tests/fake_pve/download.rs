//! `POST /nodes/{node}/storage/{storage}/download-url`, who may use it, and what can be asked beforehand.

use serde_json::json;

use super::acl::Acl;
use super::cluster::Cluster;
use super::downloads::{Checksum, DownloadOrder};
use super::http::Answer;
use super::images::has_image_extension;
use super::internet::Site;
use super::params::{Params, Schema};
use super::replies::{failure, parameter_error, proxied, success};
use super::storages::StorageKind;
use super::values::Kind;
use super::wget::host_and_port;

const PARAMETERS: &Schema = &[
    ("content", Kind::OneOf(&["iso", "vztmpl", "import"])),
    ("url", Kind::Matching(is_web_address)),
    ("filename", Kind::Text),
    ("checksum", Kind::Text),
    (
        "checksum-algorithm",
        Kind::OneOf(&["md5", "sha1", "sha224", "sha256", "sha384", "sha512"]),
    ),
    ("compression", Kind::Text),
    ("verify-certificates", Kind::Boolean),
];
const REQUIRED: &[&str] = &["content", "filename", "url"];
/// Pairs of a parameter and the one that it requires.
const REQUIRES: &[(&str, &str)] = &[
    ("checksum", "checksum-algorithm"),
    ("checksum-algorithm", "checksum"),
];

/// Whether a file exists already is checked by the worker.
pub(super) fn download(
    cluster: &mut Cluster,
    token: &str,
    node: &str,
    storage: &str,
    params: &Params,
) -> Result<Answer, Answer> {
    let acl = cluster.acl_of(token);
    acl.check(&format!("/storage/{storage}"), "Datastore.AllocateTemplate")?;
    check_network(&acl, node)?;
    cluster.reach(node)?;
    params.check_all(REQUIRED, REQUIRES, PARAMETERS)?;
    let text = |name| params.get(name).unwrap_or_default().to_owned();
    let content = text("content");
    check_storage(cluster, node, storage, &content)?;
    assert_eq!(content, "import", "the fake stores nothing else");
    let filename = normalized(&text("filename"));
    if !has_image_extension(&filename) {
        let why = "invalid filename or wrong extension";
        return Err(parameter_error("filename", why));
    }
    cluster.setup.storage(storage)?.check_active(storage)?;
    let checksum = params.get("checksum").map(|sum| Checksum {
        algorithm: text("checksum-algorithm"),
        sum: sum.to_owned(),
    });
    let order = DownloadOrder {
        node: node.to_owned(),
        storage: storage.to_owned(),
        filename,
        url: text("url"),
        checksum,
        owner: token.to_owned(),
    };
    Ok(proxied(&json!(cluster.begin_download(order))))
}

/// The refusal names neither of the two ways to be allowed.
fn check_network(acl: &Acl, node: &str) -> Result<(), Answer> {
    let may_modify = || acl.grants("/", "Sys.Audit") && acl.grants("/", "Sys.Modify");
    if acl.grants(&format!("/nodes/{node}"), "Sys.AccessNetwork") || may_modify() {
        return Ok(());
    }
    Err(failure(403, "Permission check failed"))
}

/// `GET /nodes/{node}/query-url-metadata`, answered by the node itself. The refusals were read in the
/// source, not seen.
pub(super) fn metadata(
    cluster: &Cluster,
    token: &str,
    node: &str,
    params: &Params,
) -> Result<Answer, Answer> {
    check_network(&cluster.acl_of(token), node)?;
    cluster.reach(node)?;
    let known = [
        ("url", Kind::Matching(is_web_address)),
        ("verify-certificates", Kind::Boolean),
    ];
    params.check_all(&["url"], &[], &known)?;
    let url = params.get("url").unwrap_or_default();
    let (host, port) = host_and_port(url);
    let why = match cluster.setup.internet.at(url) {
        Site::File(file) | Site::Cut { file, .. } => {
            let path = url.split('?').next().unwrap_or(url);
            return Ok(success(&json!({
                "filename": path.rsplit('/').next(),
                "mimetype": "application/octet-stream",
                "size": file.size,
            })));
        }
        Site::NotFound => "404 Not Found".to_owned(),
        Site::Refused => format!("500 Can't connect to {host}:{port} (Connection refused)"),
        Site::NoSuchHost => {
            format!("500 Can't connect to {host}:{port} (Temporary failure in name resolution)")
        }
    };
    Err(format!("invalid server response: '{why}'").into())
}

fn check_storage(
    cluster: &Cluster,
    node: &str,
    storage: &str,
    content: &str,
) -> Result<(), Answer> {
    cluster.setup.storage(storage)?.check_enabled(storage)?;
    let found = cluster.setup.storage_on(storage, node)?;
    if found.kind != StorageKind::Dir {
        let kind = found.kind.name();
        let why = format!("can't upload to storage type '{kind}', not a file based storage!");
        return Err(why.into());
    }
    if !found.accepts(content) {
        let why = format!("storage '{storage}' is not configured for content-type '{content}'");
        return Err(why.into());
    }
    Ok(())
}

fn is_web_address(url: &str) -> bool {
    url.starts_with("http://") || url.starts_with("https://")
}

/// Without folders, and with `_` for unusual characters.
fn normalized(filename: &str) -> String {
    let name = filename.rsplit(['/', '\\']).next().unwrap_or(filename);
    let is_kept = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    name.chars()
        .map(|c| if is_kept(c) { c } else { '_' })
        .collect()
}
