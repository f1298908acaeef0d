//! Proxmox VE's API: one method per endpoint.

mod cluster;
mod guest_list;
mod http;
mod image;
mod interfaces;
pub mod network;
mod passthrough;
mod permissions;
pub mod property;
pub mod secret;
mod size;
pub mod small_file;
mod tls;
mod trace;
pub mod types;
mod vm_config;
mod vm_details;

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use ureq::http::Method;

pub use self::cluster::{ClusterStatus, NodeStatus, StorageStatus};
pub use self::guest_list::GuestList;
pub use self::http::connection::Endpoint;
pub use self::http::error::{Delivery, Error, Unreached, Upstream, is_no_quorum};
pub use self::http::host::{Host, parse_hosts, parse_port, parse_urls};
pub use self::http::proxy::Proxy;
pub use self::http::{Access, Contact, Event, Presented, Pve, escaped};
pub use self::image::{Checksum, ImageVolume};
pub use self::interfaces::{
    Address, Addresses, AgentError, Card, Family, Interface, Reason, Report, addresses,
};
pub use self::passthrough::Passthrough;
pub use self::permissions::Permissions;
pub use self::size::Size;
pub use self::tls::certificate::{Day, Fingerprint, NotAFingerprint};
pub use self::tls::distrust::Distrust;
pub use self::tls::{Error as TlsError, Trust};
pub use self::vm_config::{Identity, VmConfig, is_agent_on, is_cloud_init};
pub use self::vm_details::{Ha, PendingChange, PendingConfig, VmStatus};

use self::cluster::{NodeRow, StatusRow};
use self::guest_list::Keep;
use self::http::parsed;
use self::types::{
    CloneMode, CloneOptions, ExitStatus, Node, Pool, Storage, TaskStatus, Upid, Version, VmName,
    Vmid,
};
use self::vm_details::PendingRow;

impl Pve {
    /// `GET /version`. Any token may ask.
    pub fn version(&self) -> Result<Version, Error> {
        #[derive(Deserialize)]
        struct Answer {
            version: String,
        }
        self.read("/version", false, |data| {
            let Answer { version: text } = parsed(data, "a version")?;
            let major = text.split(['.', '-']).next();
            let major = major.and_then(|major| major.parse().ok());
            let major = major.ok_or("a version")?;
            Ok(Version { text, major })
        })
    }

    /// `GET /access/permissions?path={path}`. This token's effective privileges on `path`,
    /// including inherited ones, reduced by privilege separation.
    pub fn permissions_on(&self, path: &str) -> Result<Permissions, Error> {
        let path = format!("/access/permissions?path={}", escaped(path));
        self.get(&path, "privileges by path")
    }

    /// `GET /access/permissions`. This token's effective privileges on all paths that appear in the
    /// ACL; paths on which it has none are omitted.
    pub fn permissions(&self) -> Result<Permissions, Error> {
        self.get("/access/permissions", "privileges by path")
    }

    /// `GET /cluster/status`. Whether the cluster has a quorum, according to the node that answers.
    /// Needs Sys.Audit on `/`.
    pub fn cluster_status(&self) -> Result<ClusterStatus, Error> {
        let rows: Vec<StatusRow> = self.get("/cluster/status", "a cluster status")?;
        Ok(rows.into())
    }

    /// `GET /nodes`. All nodes of the cluster. Any token may ask.
    pub fn nodes(&self) -> Result<Vec<NodeStatus>, Error> {
        let rows: Vec<NodeRow> = self.get("/nodes", "a list of nodes")?;
        Ok(rows.into_iter().map(NodeStatus::from).collect())
    }

    /// `GET /nodes/{node}/storage`. The storages that the node may use. Those on which the token has
    /// neither Datastore.Audit nor Datastore.AllocateSpace are omitted.
    pub fn storages(&self, node: &Node) -> Result<Vec<StorageStatus>, Error> {
        let path = format!("/nodes/{}/storage", escaped(&node.0));
        self.get(&path, "a list of storages")
    }

    /// `GET /pools`. The pools on which the token has Pool.Audit.
    pub fn pools(&self) -> Result<Vec<Pool>, Error> {
        #[derive(Deserialize)]
        struct Row {
            poolid: Pool,
        }
        let rows: Vec<Row> = self.get("/pools", "a list of pools")?;
        Ok(rows.into_iter().map(|row| row.poolid).collect())
    }

    /// `GET /cluster/resources?type=vm`. The guests on which the token has VM.Audit and that `keep`
    /// accepts. Name, status and template flag come from a cache: they are absent for up to 10 s after
    /// a clone and on nodes that are offline, and for a reused VMID they may be the deleted guest's.
    pub fn guests(&self, keep: Keep) -> Result<GuestList, Error> {
        self.list_guests("/cluster/resources?type=vm", None, keep)
    }

    /// `GET /nodes/{node}/qemu`. The server reads the configurations, not a cache, so VMs have their
    /// names here even while they are being cloned.
    pub fn vms_of_node(&self, node: &Node, keep: Keep) -> Result<GuestList, Error> {
        let path = format!("/nodes/{}/qemu", escaped(&node.0));
        self.list_guests(&path, Some(node), keep)
    }

    /// `GET /nodes/{node}/qemu/{vmid}/config`. The configuration as of the next start; `None` if the
    /// node has no such VM. 403 if the token may not see it, whether it exists or not.
    pub fn vm_config(&self, node: &Node, vmid: Vmid) -> Result<Option<VmConfig>, Error> {
        unless_missing(self.get(&of_vm(node, vmid, "config"), "a VM's configuration"))
    }

    /// `GET /cluster/nextid`. The lowest free VMID within the range that the administrator configured,
    /// considering also guests that this token cannot see. The VMID is not reserved.
    pub fn next_vmid(&self) -> Result<Vmid, Error> {
        self.read("/cluster/nextid", false, |data| {
            // The server sends a string; a number is accepted too.
            let vmid: Value = parsed(data, "a VMID")?;
            let text = vmid
                .as_str()
                .map_or_else(|| vmid.to_string(), str::to_owned);
            text.parse().map_err(|_| "a VMID")
        })
    }

    /// `GET /cluster/nextid?vmid={vmid}`. Whether the VMID is free, considering also guests that this
    /// token cannot see. The server answers 400 if it is taken.
    pub fn is_free(&self, vmid: Vmid) -> Result<bool, Error> {
        let path = format!("/cluster/nextid?vmid={vmid}");
        match self.read(&path, false, |_| Ok(true)) {
            Err(Error::Refused {
                status: 400,
                message,
                ..
            }) if message.contains("already exists") => Ok(false),
            other => other,
        }
    }

    /// `POST /nodes/{node}/qemu/{template}/clone`. A full clone needs `full=1`: the default for a
    /// template is a linked clone. The task runs on `node`, the template's node. If the VMID is taken,
    /// either the request or the task fails.
    pub fn clone_vm(
        &self,
        node: &Node,
        template: Vmid,
        newid: Vmid,
        name: &VmName,
        options: &CloneOptions,
    ) -> Result<Upid, Error> {
        let newid = newid.to_string();
        let mut form = vec![("newid", newid.as_str()), ("name", name.as_str())];
        let CloneOptions { mode, pool, target } = options;
        if let CloneMode::Full { storage } = mode {
            form.push(("full", "1"));
            form.extend(storage.iter().map(|it| ("storage", it.0.as_str())));
        }
        form.extend(pool.iter().map(|it| ("pool", it.0.as_str())));
        form.extend(target.iter().map(|it| ("target", it.0.as_str())));
        let path = of_vm(node, template, "clone");
        self.change(Method::POST, &path, &form, upid)
    }

    /// `POST /nodes/{node}/qemu`. Creates a VM with these options, among them perhaps disks that are imported:
    /// `scsi0=STORAGE:0,import-from=VOLUME`. The request fails if a guest of the cluster has the VMID. Until the
    /// task ends, the configuration is `lock: create` and nothing else, without the name.
    pub fn create_vm(
        &self,
        node: &Node,
        vmid: Vmid,
        name: &VmName,
        options: &[(&str, &str)],
    ) -> Result<Upid, Error> {
        let vmid = vmid.to_string();
        let mut form = vec![("vmid", vmid.as_str()), ("name", name.as_str())];
        form.extend(options);
        let path = format!("/nodes/{}/qemu", escaped(&node.0));
        self.change(Method::POST, &path, &form, upid)
    }

    /// `POST /nodes/{node}/qemu/{vmid}/template`. Converts a VM that is off to a template, whatever its name and
    /// identity. Fails if it is one already. Without quorum the request succeeds and the task fails.
    pub fn convert_to_template(&self, node: &Node, vmid: Vmid) -> Result<Upid, Error> {
        let path = of_vm(node, vmid, "template");
        self.change(Method::POST, &path, &[], upid)
    }

    /// `GET /nodes/{node}/storage/{storage}/content?content=import`. The names of the disk images on a storage,
    /// without those that are being downloaded.
    pub fn images(&self, node: &Node, storage: &Storage) -> Result<Vec<ImageVolume>, Error> {
        #[derive(Deserialize)]
        struct Row {
            volid: String,
        }
        let (node, storage) = (escaped(&node.0), escaped(&storage.0));
        let path = format!("/nodes/{node}/storage/{storage}/content?content=import");
        let rows: Vec<Row> = self.get(&path, "a list of volumes")?;
        Ok(rows
            .iter()
            .filter_map(|row| row.volid.parse().ok())
            .collect())
    }

    /// `POST /nodes/{node}/storage/{storage}/download-url`. The node downloads an image. The subject of the task
    /// is the file's name. If the file exists, the task succeeds if the checksum is the file's, and fails if
    /// there is none or another. If the connection is cut, the task tries again for hours.
    pub fn download_image(
        &self,
        node: &Node,
        volume: &ImageVolume,
        url: &str,
        checksum: Option<&Checksum>,
    ) -> Result<Upid, Error> {
        let mut form = vec![
            ("content", "import"),
            ("url", url),
            ("filename", &volume.file),
        ];
        if let Some(Checksum { algorithm, hex }) = checksum {
            form.extend([
                ("checksum", hex.as_str()),
                ("checksum-algorithm", algorithm),
            ]);
        }
        let (node, storage) = (escaped(&node.0), escaped(&volume.storage.0));
        let path = format!("/nodes/{node}/storage/{storage}/download-url");
        self.change(Method::POST, &path, &form, upid)
    }

    /// `PUT /nodes/{node}/qemu/{vmid}/config`. Sets options synchronously. With a `digest`, the
    /// server refuses the change if the configuration has changed since. One 400 lists all invalid options.
    /// A network card that is sent without its MAC address gets a new one.
    pub fn configure(
        &self,
        node: &Node,
        vmid: Vmid,
        options: &[(&str, &str)],
    ) -> Result<(), Error> {
        let path = of_vm(node, vmid, "config");
        self.change(Method::PUT, &path, options, |_| Ok(()))
    }

    /// `PUT /nodes/{node}/qemu/{vmid}/resize`. The size is absolute, so the request may be repeated. With
    /// a `digest`, the server refuses it if the configuration has changed since. If the disk does not exist
    /// or is larger, the request succeeds and the task fails. Before Proxmox VE 8 there is no task: the
    /// server answers once the disk is resized.
    pub fn resize_disk(
        &self,
        node: &Node,
        vmid: Vmid,
        disk: &str,
        size: Size,
        digest: Option<&str>,
    ) -> Result<Option<Upid>, Error> {
        let path = of_vm(node, vmid, "resize");
        let size = size.to_string();
        let mut form = vec![("disk", disk), ("size", size.as_str())];
        form.extend(digest.map(|digest| ("digest", digest)));
        self.change(Method::PUT, &path, &form, |data| {
            parsed(data, "a task's UPID or null")
        })
    }

    /// `POST /nodes/{node}/qemu/{vmid}/status/start`. If the VM does not exist or is already running,
    /// the request succeeds and the task fails.
    pub fn start_vm(&self, node: &Node, vmid: Vmid) -> Result<Upid, Error> {
        let path = of_vm(node, vmid, "status/start");
        self.change(Method::POST, &path, &[], upid)
    }

    /// `POST /nodes/{node}/qemu/{vmid}/status/shutdown`. Asks the guest to shut down, and with `force` powers
    /// the VM off if it has not done so after `timeout`. The task fails then without `force`, but the guest
    /// may still shut down later. While it runs, other requests to stop the VM fail after 10 s.
    pub fn shut_down_vm(
        &self,
        node: &Node,
        vmid: Vmid,
        timeout: Duration,
        force: bool,
    ) -> Result<Upid, Error> {
        let timeout = timeout.as_secs().to_string();
        let mut form = vec![("timeout", timeout.as_str())];
        form.extend(force.then_some(("forceStop", "1")));
        self.change(
            Method::POST,
            &of_vm(node, vmid, "status/shutdown"),
            &form,
            upid,
        )
    }

    /// `POST /nodes/{node}/qemu/{vmid}/status/stop`. Powers the VM off. `overrule` ends the running shutdowns
    /// of this token first; a server before 8.2 refuses it, and each server for a VM under HA (400).
    pub fn stop_vm(&self, node: &Node, vmid: Vmid, overrule: bool) -> Result<Upid, Error> {
        let form: &[_] = if overrule {
            &[("overrule-shutdown", "1")]
        } else {
            &[]
        };
        self.change(Method::POST, &of_vm(node, vmid, "status/stop"), form, upid)
    }

    /// `POST /nodes/{node}/qemu/{vmid}/status/reboot`. Asks the guest to shut down within `timeout`; another
    /// task then starts the VM again. The task ends when the VM is off. Without quorum it stays off.
    pub fn reboot_vm(&self, node: &Node, vmid: Vmid, timeout: Duration) -> Result<Upid, Error> {
        let timeout = timeout.as_secs().to_string();
        let form = [("timeout", timeout.as_str())];
        self.change(
            Method::POST,
            &of_vm(node, vmid, "status/reboot"),
            &form,
            upid,
        )
    }

    /// `DELETE /nodes/{node}/qemu/{vmid}`. Destroys the guest that has the VMID when the task begins, with all
    /// its disks, also those of that VMID that no configuration mentions, on all storages of the node. With
    /// `purge`, its backup jobs, replication jobs and HA resource go as well. Without quorum the request
    /// succeeds and the disks are removed, and then the task fails.
    pub fn destroy_vm(&self, node: &Node, vmid: Vmid, purge: bool) -> Result<Upid, Error> {
        let node = escaped(&node.0);
        let purge = if purge { "&purge=1" } else { "" };
        let path = format!("/nodes/{node}/qemu/{vmid}?destroy-unreferenced-disks=1{purge}");
        self.change(Method::DELETE, &path, &[], upid)
    }

    /// `DELETE /nodes/{node}/tasks/{upid}`. Ends a task; one that has ended already is no error. The server
    /// gives the task 5 s to clean up. Tasks of other tokens need Sys.Modify on the node.
    pub fn cancel_task(&self, upid: &Upid) -> Result<(), Error> {
        let (node, upid) = (upid.node(), escaped(upid.as_str()));
        let path = format!("/nodes/{}/tasks/{upid}", escaped(&node.0));
        self.change(Method::DELETE, &path, &[], |_| Ok(()))
    }

    /// `GET /nodes/{node}/qemu/{vmid}/status/current`. The state according to QEMU; lists lag behind. `None` if
    /// the node has no such VM.
    pub fn vm_status(&self, node: &Node, vmid: Vmid) -> Result<Option<VmStatus>, Error> {
        const EXPECTED: &str = "a VM's status";

        unless_missing(
            self.read(&of_vm(node, vmid, "status/current"), false, |data| {
                let status: VmStatus = parsed(data, EXPECTED)?;
                // Without it, a VM that runs would seem to be off.
                status.status.is_some().then_some(status).ok_or(EXPECTED)
            }),
        )
    }

    /// `GET /nodes/{node}/qemu/{vmid}/agent/network-get-interfaces`. The guest's network interfaces as
    /// its agent reports them. An error from the agent comes with status 200; if the agent is not running,
    /// 500 after 3 s.
    pub fn interfaces(&self, node: &Node, vmid: Vmid) -> Result<Report, Error> {
        #[derive(Deserialize)]
        struct Answer {
            result: Report,
        }
        let path = of_vm(node, vmid, "agent/network-get-interfaces");
        match self.get(&path, "a guest's interfaces") {
            Ok(Answer { result }) => Ok(result),
            Err(Error::Refused {
                status: 500,
                message,
                ..
            }) => Ok(Report::Unavailable(message)),
            Err(error) => Err(error),
        }
    }

    /// `GET /nodes/{node}/tasks/{upid}/status`. Without Sys.Audit a token can read only its own tasks.
    pub fn task_status(&self, upid: &Upid) -> Result<TaskStatus, Error> {
        self.read(&of_task(upid, "status"), false, |data| {
            let Status { status, exitstatus } = parsed(data, "a task's status")?;
            match (status.as_str(), exitstatus) {
                ("running", _) => Ok(TaskStatus::Running),
                ("stopped", Some(text)) => Ok(TaskStatus::Stopped(ExitStatus::from(text.trim()))),
                ("stopped", None) => Ok(TaskStatus::Stopped(ExitStatus::Unexpected)),
                _ => Err("a task that is running or stopped"),
            }
        })
    }

    /// `GET /nodes/{node}/tasks/{upid}/log`. The log lines from index `start`, oldest first. For an
    /// unknown task the server returns one line that says so.
    pub fn task_log(&self, upid: &Upid, start: usize) -> Result<Vec<String>, Error> {
        #[derive(Deserialize)]
        struct Line {
            t: String,
        }
        let lines = match start {
            0 => "log?limit=0".to_owned(),
            start => format!("log?start={start}&limit=0"),
        };
        self.read(&of_task(upid, &lines), true, |data| {
            let lines: Vec<Line> = parsed(data, "log lines")?;
            Ok(lines.into_iter().map(|line| line.t).collect())
        })
    }

    /// `GET /nodes/{node}/tasks`. The running tasks of this type: `qmstart`, `download` …; with a VMID, only
    /// those on this VM, with `qmclone` its clones. Without Sys.Audit a token sees only its own tasks.
    pub fn running_tasks(
        &self,
        kind: &str,
        vmid: Option<Vmid>,
        node: &Node,
    ) -> Result<Vec<Upid>, Error> {
        #[derive(Deserialize)]
        struct Task {
            upid: String,
            endtime: Option<Value>,
        }
        let node = escaped(&node.0);
        let vmid = vmid.map_or_else(String::new, |vmid| format!("&vmid={vmid}"));
        let path = format!("/nodes/{node}/tasks?source=all&typefilter={kind}{vmid}");
        let tasks: Vec<Task> = self.get(&path, "a list of tasks")?;
        let running = tasks.into_iter().filter(|task| task.endtime.is_none());
        Ok(running.filter_map(|task| task.upid.parse().ok()).collect())
    }

    /// `GET /nodes/{node}/qemu/{vmid}/pending`. The configuration with which a VM runs, and the changes that
    /// wait for its next start; `None` if the node has no such VM. The server hides `cipassword`.
    pub fn pending_config(&self, node: &Node, vmid: Vmid) -> Result<Option<PendingConfig>, Error> {
        let rows = self.get(&of_vm(node, vmid, "pending"), "a list of a VM's options");
        let rows: Option<Vec<PendingRow>> = unless_missing(rows)?;
        Ok(rows.map(PendingConfig::from))
    }
}

/// The status of a task.
#[derive(Deserialize)]
struct Status {
    status: String,
    /// Only for a task that has stopped.
    exitstatus: Option<String>,
}

/// `None` instead of the error that a node has no such VM.
fn unless_missing<T>(answer: Result<T, Error>) -> Result<Option<T>, Error> {
    match answer {
        Err(Error::Refused {
            status: 500,
            message,
            ..
        }) if message.starts_with("Configuration file") && message.ends_with("does not exist") => {
            Ok(None)
        }
        other => other.map(Some),
    }
}

fn of_vm(node: &Node, vmid: Vmid, what: &str) -> String {
    format!("/nodes/{}/qemu/{vmid}/{what}", escaped(&node.0))
}

fn of_task(upid: &Upid, what: &str) -> String {
    let (node, upid) = (upid.node(), escaped(upid.as_str()));
    format!("/nodes/{}/tasks/{upid}/{what}", escaped(&node.0))
}

fn upid(data: &RawValue) -> Result<Upid, &'static str> {
    parsed(data, "a task's UPID")
}

#[cfg(test)]
pub(crate) mod tests;
