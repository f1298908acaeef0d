//! Proxmox VE's API: one method per endpoint.

mod guest_list;
mod http;
mod interfaces;
mod permissions;
pub mod property;
pub mod secret;
mod size;
mod tls;
mod trace;
pub mod types;
mod vm_config;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

pub use self::guest_list::GuestList;
pub use self::http::connection::{Endpoint, Presented};
pub use self::http::error::{Behind, Delivery, Error, Unreached};
pub use self::http::host::{Address, Host, addresses, parse_port};
pub use self::http::{Access, Event, Met, Pve, escaped};
pub use self::interfaces::{Interface, best_address};
pub use self::permissions::Permissions;
pub use self::size::{NotASize, Size};
pub use self::tls::certificate::{Day, Fingerprint, NotAFingerprint};
pub use self::tls::distrust::Distrust;
pub use self::tls::{Error as TlsError, Trust};
pub use self::vm_config::{VmConfig, is_agent_on, is_cloud_init};

use self::guest_list::Keep;
use self::http::connection::Method;
use self::http::encode_form;
use self::types::{
    CloneMode, CloneOptions, ExitStatus, Node, TaskStatus, Upid, Version, VmName, Vmid,
};

impl Pve {
    /// `GET /version`. Any token may ask.
    pub fn version(&self) -> Result<Version, Error> {
        #[derive(Deserialize)]
        struct Answer {
            version: String,
        }
        self.get("/version", |data| {
            let Answer { version: text } = parsed(data, "a version")?;
            let major = text.split(['.', '-']).next();
            let major = major.and_then(|major| major.parse().ok());
            let major = major.ok_or("a version")?;
            Ok(Version { text, major })
        })
    }

    /// `GET /access/permissions?path={path}`. What this token itself may do on that path, with all
    /// that is inherited there, and after whatever privilege separation takes away.
    pub fn permissions_on(&self, path: &str) -> Result<Permissions, Error> {
        let path = format!("/access/permissions?path={}", escaped(path));
        self.get(&path, permissions)
    }

    /// `GET /access/permissions`. The same for all paths of which something is said; those on which
    /// the token has nothing are left out.
    pub fn permissions(&self) -> Result<Permissions, Error> {
        self.get("/access/permissions", permissions)
    }

    /// `GET /cluster/resources?type=vm`. Only guests on which the token has VM.Audit, and of those what
    /// `keep` says. Name, status and template flag come from a cache: absent for up to 10 s after a
    /// clone and on nodes that are down, and for a reused VMID those of the dead guest.
    pub fn guests(&self, keep: Keep) -> Result<GuestList, Error> {
        self.list_guests("/cluster/resources?type=vm", None, keep)
    }

    /// `GET /nodes/{node}/qemu`. Reads the configurations themselves, so VMs always have their
    /// names here, also while they are being cloned.
    pub fn vms_of_node(&self, node: &Node, keep: Keep) -> Result<GuestList, Error> {
        let path = format!("/nodes/{}/qemu", escaped(&node.0));
        self.list_guests(&path, Some(node), keep)
    }

    /// `GET /nodes/{node}/qemu/{vmid}/config`. The truth about a VM, as it will be after its next
    /// start; `None` if the node has none of that VMID. 403 if the token may not see it, whether it is there or not.
    pub fn vm_config(&self, node: &Node, vmid: Vmid) -> Result<Option<VmConfig>, Error> {
        let path = format!("/nodes/{}/qemu/{vmid}/config", escaped(&node.0));
        match self.get(&path, |data| parsed(data, "a VM's configuration")) {
            Err(Error::Refused {
                status: 500, words, ..
            }) if words.starts_with("Configuration file") && words.ends_with("does not exist") => {
                Ok(None)
            }
            other => other.map(Some),
        }
    }

    /// `GET /cluster/nextid`. The lowest VMID that was free a moment ago, also of guests that this
    /// token cannot see, and within the range that the administrator set. Reserved for nobody.
    pub fn next_vmid(&self) -> Result<Vmid, Error> {
        self.get("/cluster/nextid", |data| {
            // A number or a text.
            let text = match parsed(data, "a VMID")? {
                Value::String(text) => text,
                other => other.to_string(),
            };
            text.parse().map_err(|_| "a VMID")
        })
    }

    /// `GET /cluster/nextid?vmid={vmid}`. Whether no guest has this VMID, seen or unseen by this
    /// token. That it is taken is said by a 400.
    pub fn is_free(&self, vmid: Vmid) -> Result<bool, Error> {
        let path = format!("/cluster/nextid?vmid={vmid}");
        match self.get(&path, |_| Ok(true)) {
            Err(Error::Refused {
                status: 400, words, ..
            }) if words.contains("already exists") => Ok(false),
            other => other,
        }
    }

    /// `POST /nodes/{node}/qemu/{template}/clone`. For a full clone with `full=1`, for without it
    /// the clone of a template is a linked one. The task runs on `node`, where the template is. That
    /// the VMID is taken may show here or only in the task.
    pub fn clone_vm(
        &self,
        node: &Node,
        template: Vmid,
        newid: Vmid,
        name: &VmName,
        options: &CloneOptions,
    ) -> Result<Upid, Error> {
        let path = format!("/nodes/{}/qemu/{template}/clone", escaped(&node.0));
        let newid = newid.to_string();
        let mut form = vec![("newid", newid.as_str()), ("name", name.as_str())];
        let CloneOptions { mode, pool, target } = options;
        if let CloneMode::Full { storage } = mode {
            form.push(("full", "1"));
            form.extend(storage.iter().map(|it| ("storage", it.0.as_str())));
        }
        form.extend(pool.iter().map(|it| ("pool", it.0.as_str())));
        form.extend(target.iter().map(|it| ("target", it.0.as_str())));
        self.request(Method::Post(encode_form(&form)), &path, upid)
    }

    /// `PUT /nodes/{node}/qemu/{vmid}/config`. Changes options at once, in Proxmox's own names; with
    /// a `digest` only if the configuration is still the one that had it. What is wrong with single
    /// options is said in one 400. A network card without its hardware address gets a new one.
    pub fn configure(
        &self,
        node: &Node,
        vmid: Vmid,
        options: &[(&str, &str)],
    ) -> Result<(), Error> {
        let path = format!("/nodes/{}/qemu/{vmid}/config", escaped(&node.0));
        self.request(Method::Put(encode_form(options)), &path, |_| Ok(()))
    }

    /// `PUT /nodes/{node}/qemu/{vmid}/resize`, with a size that is not relative, so that it may come
    /// twice. That there is no such disk, or that it is larger, shows only in the task.
    pub fn resize_disk(
        &self,
        node: &Node,
        vmid: Vmid,
        disk: &str,
        size: Size,
    ) -> Result<Upid, Error> {
        let path = format!("/nodes/{}/qemu/{vmid}/resize", escaped(&node.0));
        let size = size.to_string();
        let form = [("disk", disk), ("size", size.as_str())];
        self.request(Method::Put(encode_form(&form)), &path, upid)
    }

    /// `POST /nodes/{node}/qemu/{vmid}/status/start`. Gives a task for everything, also for a VM that
    /// is not there or runs already; the task then fails.
    pub fn start_vm(&self, node: &Node, vmid: Vmid) -> Result<Upid, Error> {
        let path = format!("/nodes/{}/qemu/{vmid}/status/start", escaped(&node.0));
        self.request(Method::Post(String::new()), &path, upid)
    }

    /// `GET /nodes/{node}/qemu/{vmid}/status/current`: whether it runs. Asks QEMU itself, where rows
    /// of lists lag.
    pub fn is_running(&self, node: &Node, vmid: Vmid) -> Result<bool, Error> {
        #[derive(Deserialize)]
        struct Status {
            status: String,
        }
        let path = format!("/nodes/{}/qemu/{vmid}/status/current", escaped(&node.0));
        self.get(&path, |data| {
            let Status { status } = parsed(data, "a VM's status")?;
            Ok(status == "running")
        })
    }

    /// `GET /nodes/{node}/qemu/{vmid}/agent/network-get-interfaces`: the guest's network cards and
    /// their addresses, as its agent tells them. While the agent is not running, a 500 after 3 s.
    pub fn interfaces(&self, node: &Node, vmid: Vmid) -> Result<Vec<Interface>, Error> {
        #[derive(Deserialize)]
        struct Answer {
            result: Vec<Interface>,
        }
        let node = escaped(&node.0);
        let path = format!("/nodes/{node}/qemu/{vmid}/agent/network-get-interfaces");
        self.get(&path, |data| {
            let Answer { result } = parsed(data, "a guest's interfaces")?;
            Ok(result)
        })
    }

    /// `GET /nodes/{node}/tasks/{upid}/status`, of the node that the UPID names. Without
    /// Sys.Audit a token sees only the tasks that it started itself.
    pub fn task_status(&self, upid: &Upid) -> Result<TaskStatus, Error> {
        #[derive(Deserialize)]
        struct Status {
            status: String,
            exitstatus: Option<String>,
        }
        let node = upid.node();
        let (node, upid) = (escaped(&node.0), escaped(upid.as_str()));
        let path = format!("/nodes/{node}/tasks/{upid}/status");
        self.get(&path, |data| {
            let status: Status = parsed(data, "a task's status")?;
            match (status.status.as_str(), status.exitstatus) {
                ("running", _) => Ok(TaskStatus::Running),
                ("stopped", Some(text)) => Ok(TaskStatus::Stopped(ExitStatus::from(text.trim()))),
                ("stopped", None) => Ok(TaskStatus::Stopped(ExitStatus::Unexpected)),
                _ => Err("a task that is running or stopped"),
            }
        })
    }

    /// `GET /nodes/{node}/tasks/{upid}/log`: its lines from the one with this index on, the oldest
    /// first. Of an unknown task it is one line that says so.
    pub fn task_log(&self, upid: &Upid, start: usize) -> Result<Vec<String>, Error> {
        #[derive(Deserialize)]
        struct Line {
            t: String,
        }
        let node = upid.node();
        let (node, upid) = (escaped(&node.0), escaped(upid.as_str()));
        let start = match start {
            0 => String::new(),
            start => format!("start={start}&"),
        };
        let path = format!("/nodes/{node}/tasks/{upid}/log?{start}limit=0");
        self.request(Method::GetLong, &path, |data| {
            let lines: Vec<Line> = parsed(data, "the lines of a log")?;
            Ok(lines.into_iter().map(|line| line.t).collect())
        })
    }

    /// `GET /nodes/{node}/tasks`: the clones of a template that are running there. Without
    /// Sys.Audit a token sees only those that it started itself.
    pub fn running_clones_of(&self, template: Vmid, node: &Node) -> Result<Vec<Upid>, Error> {
        #[derive(Deserialize)]
        struct Task {
            upid: String,
            endtime: Option<Value>,
        }
        let node = escaped(&node.0);
        let path = format!("/nodes/{node}/tasks?source=all&typefilter=qmclone&vmid={template}");
        self.get(&path, |data| {
            let tasks: Vec<Task> = parsed(data, "a list of tasks")?;
            let running = tasks.into_iter().filter(|task| task.endtime.is_none());
            Ok(running.filter_map(|task| task.upid.parse().ok()).collect())
        })
    }
}

fn permissions(data: &RawValue) -> Result<Permissions, &'static str> {
    parsed(data, "privileges by their paths")
}

fn upid(data: &RawValue) -> Result<Upid, &'static str> {
    parsed(data, "a task's UPID")
}

/// `data` as a `T`, or the words for what was expected.
fn parsed<'a, T: Deserialize<'a>>(
    data: &'a RawValue,
    expected: &'static str,
) -> Result<T, &'static str> {
    serde_json::from_str(data.get()).map_err(|_| expected)
}

#[cfg(test)]
pub(crate) mod tests;
