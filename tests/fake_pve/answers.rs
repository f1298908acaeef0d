//! Authenticates a request, executes it on the cluster, and returns the answer.

use serde_json::json;

use super::abort;
use super::agent;
use super::clone;
use super::cluster::Cluster;
use super::containers;
use super::convert;
use super::create;
use super::current;
use super::destroy;
use super::download;
use super::http::{Answer, Body, Request};
use super::node_rows;
use super::node_tasks;
use super::params::Params;
use super::pending;
use super::permissions::permissions;
use super::places;
use super::power;
use super::quorum;
use super::replies::{failure, not_implemented, parameter_error, proxied, success, without_body};
use super::resize;
use super::setup::SECRET;
use super::storage_content;
use super::update;
use super::values::Kind;

/// Executes the request on the cluster.
pub(super) fn answer(cluster: &mut Cluster, request: &Request) -> Answer {
    let mut answer = respond(cluster, request).unwrap_or_else(|refusal| refusal);
    let path = request.path();
    let node = path
        .strip_prefix("/nodes/")
        .and_then(|rest| rest.split('/').next());
    if let Some(node) = node {
        cluster.count_poll_of(node);
        answer.through_node = node != cluster.here.node;
    }
    answer
}

fn respond(cluster: &mut Cluster, request: &Request) -> Result<Answer, Answer> {
    let method = request.method.as_str();
    if !matches!(method, "GET" | "POST" | "PUT" | "DELETE") {
        let refusal = format!("method '{method}' not available");
        return Err(without_body(501, &refusal));
    }
    if request.header("Transfer-Encoding").is_some() {
        let refusal = "chunked transfer encoding not supported";
        return Err(without_body(501, refusal));
    }
    let token = authenticate(cluster, request)?;
    if !request.body.is_empty() && !matches!(method, "POST" | "PUT") {
        let refusal = format!("Unexpected content for method '{method}'");
        return Err(without_body(501, &refusal));
    }
    act(cluster, &token, request)
}

fn act(cluster: &mut Cluster, token: &str, request: &Request) -> Result<Answer, Answer> {
    let method = request.method.as_str();
    let path = request.path();
    let steps: Vec<&str> = path.split('/').skip(1).collect();
    let params = Params::of(request);
    if let ["nodes", node, "qemu", vmid, ref rest @ ..] = steps[..] {
        let answer = act_on_vm(cluster, token, (method, rest), (node, vmid), &params);
        return answer.unwrap_or_else(|| Err(not_implemented(method, &path)));
    }
    match (method, steps.as_slice()) {
        ("GET", ["version"]) => version(cluster, &params),
        ("GET", ["access", "permissions"]) => permissions(cluster, token, &params),
        ("GET", ["cluster", "resources"]) => resources(cluster, token, &params),
        ("GET", ["cluster", "status"]) => quorum::status(cluster, token, &params),
        ("GET", ["nodes"]) => node_rows::list(cluster, token, &params),
        ("GET", ["cluster", "nextid"]) => nextid(cluster, &params),
        ("GET", ["pools"]) => places::pools(cluster, token, &params),
        ("GET", ["nodes", node, "storage"]) => places::storages(cluster, token, node, &params),
        ("GET", ["nodes", node, "query-url-metadata"]) => {
            download::metadata(cluster, token, node, &params)
        }
        (_, ["nodes", node, "storage", storage, rest @ ..]) => {
            let answer = act_on_storage(cluster, token, (method, rest), (node, storage), &params);
            answer.unwrap_or_else(|| Err(not_implemented(method, &path)))
        }
        ("GET", ["nodes", node, "qemu"]) => vms_of_node(cluster, token, node, &params),
        ("POST", ["nodes", node, "qemu"]) => create::create(cluster, token, node, &params),
        ("GET", ["nodes", node, "lxc"]) => containers::list(cluster, token, node, &params),
        ("GET", ["nodes", node, "tasks"]) => node_tasks::list(cluster, token, node, &params),
        ("DELETE", ["nodes", node, "tasks", upid]) => {
            abort::abort(cluster, token, node, upid, &params)
        }
        ("GET", ["nodes", node, "tasks", upid, "status"]) => {
            node_tasks::task_status(cluster, token, node, upid, &params)
        }
        ("GET", ["nodes", node, "tasks", upid, "log"]) => {
            node_tasks::task_log(cluster, token, node, upid, &params)
        }
        _ => Err(not_implemented(method, &path)),
    }
}

/// `None` if there is no such endpoint.
fn act_on_vm(
    cluster: &mut Cluster,
    token: &str,
    endpoint: (&str, &[&str]),
    (node, vmid): (&str, &str),
    params: &Params,
) -> Option<Result<Answer, Answer>> {
    Some(match endpoint {
        ("DELETE", []) => destroy::destroy(cluster, token, node, vmid, params),
        ("GET", ["config"]) => config(cluster, token, node, vmid, params),
        ("GET", ["pending"]) => pending::pending(cluster, token, node, vmid, params),
        ("POST", ["clone"]) => clone::clone(cluster, token, node, vmid, params),
        ("POST", ["template"]) => convert::convert(cluster, token, node, vmid, params),
        ("PUT", ["config"]) => update::update(cluster, token, node, vmid, params),
        ("PUT", ["resize"]) => resize::resize(cluster, token, node, vmid, params),
        ("POST", ["status", "start"]) => power::start(cluster, token, node, vmid, params),
        ("POST", ["status", "stop"]) => power::stop(cluster, token, node, vmid, params),
        ("POST", ["status", "shutdown"]) => power::shutdown(cluster, token, node, vmid, params),
        ("POST", ["status", "reboot"]) => power::reboot(cluster, token, node, vmid, params),
        ("GET", ["status", "current"]) => current::current(cluster, token, node, vmid, params),
        ("GET", ["agent", "network-get-interfaces"]) => {
            agent::interfaces(cluster, token, node, vmid, params)
        }
        _ => return None,
    })
}

/// `None` if there is no such endpoint.
fn act_on_storage(
    cluster: &mut Cluster,
    token: &str,
    endpoint: (&str, &[&str]),
    (node, storage): (&str, &str),
    params: &Params,
) -> Option<Result<Answer, Answer>> {
    Some(match endpoint {
        ("GET", ["content"]) => storage_content::list(cluster, token, node, storage, params),
        ("DELETE", ["content", volume @ ..]) => {
            let volume = volume.join("/");
            storage_content::remove(cluster, token, node, (storage, &volume), params)
        }
        ("POST", ["download-url"]) => download::download(cluster, token, node, storage, params),
        _ => return None,
    })
}

/// The token of the request. A wrong one is refused with the same message whatever is wrong with it.
fn authenticate(cluster: &Cluster, request: &Request) -> Result<String, Answer> {
    let Some(credentials) = request
        .header("Authorization")
        .and_then(|value| value.strip_prefix("PVEAPIToken="))
    else {
        return Err(without_body(401, "No ticket"));
    };
    match credentials.split_once('=') {
        Some((token, SECRET)) if cluster.knows_token(token) => Ok(token.to_owned()),
        _ => Err(without_body(401, "Authentication failed!")),
    }
}

/// The release is the first two parts of the version: of `9.2.11`, and of `7.4-17`.
fn version(cluster: &Cluster, params: &Params) -> Result<Answer, Answer> {
    params.check(&[])?;
    let version = &cluster.setup.version;
    let release: Vec<&str> = version.split(['.', '-']).take(2).collect();
    Ok(success(&json!({
        "release": release.join("."),
        "repoid": "14a22df35955d97d",
        "version": version,
    })))
}

/// The types of rows. The fake has rows of guests and nodes.
const RESOURCES: [&str; 5] = ["vm", "storage", "node", "sdn", "network"];

/// Guests without VM.Audit are left out, not refused.
fn resources(cluster: &mut Cluster, token: &str, params: &Params) -> Result<Answer, Answer> {
    params.check(&[("type", Kind::OneOf(&RESOURCES))])?;
    match params.get("type") {
        Some("vm") => {}
        Some("node") => return Ok(success(&json!(cluster.node_rows(token)))),
        other => unimplemented!("rows of {other:?}"),
    }
    if let Some(prebuilt) = &cluster.prebuilt {
        return Ok(Answer {
            body: Some(Body::Prebuilt(prebuilt.clone())),
            ..success(&json!(null))
        });
    }
    Ok(success(&json!(cluster.rows(token))))
}

fn nextid(cluster: &Cluster, params: &Params) -> Result<Answer, Answer> {
    params.check(&[("vmid", Kind::Vmid)])?;
    let Some(vmid) = params.get("vmid") else {
        let free = cluster.first_free_vmid();
        let free = free.ok_or_else(|| failure(500, "unable to get any free VMID"))?;
        return Ok(success(&json!(free.to_string())));
    };
    if cluster.guests.keys().any(|known| known.to_string() == vmid) {
        let why = format!("VM {vmid} already exists");
        return Err(parameter_error("vmid", &why));
    }
    Ok(success(&json!(vmid)))
}

fn vms_of_node(
    cluster: &Cluster,
    token: &str,
    node: &str,
    params: &Params,
) -> Result<Answer, Answer> {
    cluster.reach(node)?;
    params.check(&[("full", Kind::Boolean)])?;
    Ok(proxied(&json!(cluster.vms_of(node, token))))
}

/// What is pending for a running VM is included, unless `current=1`.
fn config(
    cluster: &Cluster,
    token: &str,
    node: &str,
    vmid: &str,
    params: &Params,
) -> Result<Answer, Answer> {
    let acl = cluster.acl_of(token);
    acl.check(&format!("/vms/{vmid}"), "VM.Audit")?;
    cluster.reach(node)?;
    let known = [("current", Kind::Boolean), ("snapshot", Kind::Text)];
    let vmid = params.check_for(vmid, &[], &known)?;
    let vm = cluster.existing_vm(node, vmid);
    let vm = vm.map_err(|missing| failure(500, &missing))?;
    if params.get("current") == Some("1") {
        return Ok(success(&json!(vm.live_config())));
    }
    Ok(success(&json!(vm.config)))
}
