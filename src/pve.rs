//! Proxmox VE's API: one method per endpoint.

mod guest_list;
mod http;
mod interfaces;
mod permissions;
pub mod property;
pub mod secret;
mod size;
mod tls;
pub mod types;
mod vm_config;

use std::net::IpAddr;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

pub use self::guest_list::GuestList;
pub use self::http::connection::{Endpoint, Presented};
pub use self::http::error::{Behind, Delivery, Error, Unreached};
pub use self::http::host::{Address, Host, addresses, parse_port};
#[cfg(all(target_env = "gnu", target_feature = "crt-static"))]
pub use self::http::static_glibc;
pub use self::http::{Event, Met, Witness, escaped};
pub use self::interfaces::{Interface, best_address};
pub use self::permissions::Permissions;
pub use self::size::Size;
pub use self::tls::certificate::{Day, Fingerprint, NotAFingerprint};
pub use self::tls::distrust::Distrust;
pub use self::tls::{Error as TlsError, Trust};
pub use self::vm_config::{VmConfig, is_agent_on, is_cloud_init};

use self::guest_list::Reading;
use self::http::Transport;
use self::http::connection::Line;
use self::types::{
    CloneMode, CloneOptions, ExitStatus, Guest, Node, TaskStatus, Token, TokenId, Upid, Version,
    VmName, Vmid,
};

/// How to reach a cluster.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Access {
    /// Its servers, any of which will do, in the order in which they are asked.
    pub endpoints: Vec<Endpoint>,
    /// Who we are.
    pub token: Token,
    /// What one request may take at the most. The server itself gives up after 30 s.
    pub request_timeout: Duration,
}

/// A Proxmox VE server, asked with one token.
pub struct Pve {
    transport: Transport,
}

impl Pve {
    /// Gets ready to ask the servers; no request is sent. No later request outlives `deadline`.
    pub fn new(access: &Access, deadline: Option<Instant>) -> Result<Pve, Error> {
        let Access {
            endpoints,
            token,
            request_timeout,
        } = access;
        let transport = Transport::new(endpoints, token, *request_timeout, deadline)?;
        Ok(Pve { transport })
    }

    /// Tells `witness` of each request from now on.
    pub fn told_to(mut self, witness: Witness) -> Pve {
        self.transport.tell(witness);
        self
    }

    /// A client of its own for another thread, which begins with the host that has answered last and
    /// tells nobody of its requests.
    pub fn another(&self) -> Pve {
        let transport = self.transport.another();
        Pve { transport }
    }

    /// Who asks.
    pub fn token(&self) -> &TokenId {
        self.transport.token()
    }

    /// How far these servers and this token have got in this run.
    pub fn met(&self) -> Met {
        self.transport.met()
    }

    /// What the first host has presented of itself, if it was asked by TLS.
    pub fn presented(&self) -> Option<Presented> {
        self.transport.lines().first()?.presented()
    }

    /// Where the first host's name has led to.
    pub fn addresses(&self) -> Vec<IpAddr> {
        let first = self.transport.lines().first();
        first.map_or_else(Vec::new, Line::addresses)
    }

    /// `GET /version`. Any token may ask.
    pub fn version(&self) -> Result<Version, Error> {
        #[derive(Deserialize)]
        struct Answer {
            version: String,
        }
        self.transport.get("/version", |data| {
            let Answer { version } = parsed(data, "a version")?;
            version.parse().map_err(|_| "a version".to_owned())
        })
    }

    /// `GET /access/permissions?path={path}`. What this token itself may do on that path, with all
    /// that is inherited there, and after whatever privilege separation takes away.
    pub fn permissions_on(&self, path: &str) -> Result<Permissions, Error> {
        let path = format!("/access/permissions?path={}", escaped(path));
        self.transport.get(&path, Permissions::read)
    }

    /// `GET /access/permissions`. The same for all paths of which something is said; those on which
    /// the token has nothing are left out.
    pub fn permissions(&self) -> Result<Permissions, Error> {
        self.transport.get("/access/permissions", Permissions::read)
    }

    /// `GET /cluster/resources?type=vm`. Only guests on which the token has VM.Audit, and of those what
    /// `keep` says. Name, status and template flag come from a cache: absent for up to 10 s after a
    /// clone and on nodes that are down, and for a reused VMID those of the dead guest.
    pub fn guests(&self, keep: &dyn Fn(&Guest) -> bool) -> Result<GuestList, Error> {
        let of_node = None;
        let reading = Reading { of_node, keep };
        self.transport.guests("/cluster/resources?type=vm", reading)
    }

    /// `GET /nodes/{node}/qemu`. Reads the configurations themselves, so VMs always have their
    /// names here, also while they are being cloned.
    pub fn vms_of_node(
        &self,
        node: &Node,
        keep: &dyn Fn(&Guest) -> bool,
    ) -> Result<GuestList, Error> {
        let of_node = Some(node);
        let path = format!("/nodes/{}/qemu", escaped(&node.0));
        self.transport.guests(&path, Reading { of_node, keep })
    }

    /// `GET /nodes/{node}/qemu/{vmid}/config`. The truth about a VM, as it will be after its next
    /// start; `None` if the node has none of that VMID. 403 if the token may not see it, whether it is there or not.
    pub fn vm_config(&self, node: &Node, vmid: Vmid) -> Result<Option<VmConfig>, Error> {
        let path = format!("/nodes/{}/qemu/{vmid}/config", escaped(&node.0));
        match self
            .transport
            .get(&path, |data| VmConfig::read(data).map(Some))
        {
            Err(Error::Refused {
                status: 500, words, ..
            }) if words.starts_with("Configuration file") && words.ends_with("does not exist") => {
                Ok(None)
            }
            other => other,
        }
    }

    /// `GET /cluster/nextid`. The lowest VMID that was free a moment ago, also of guests that this
    /// token cannot see, and within the range that the administrator set. Reserved for nobody.
    pub fn next_vmid(&self) -> Result<Vmid, Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Next {
            Text(String),
            Number(u32),
        }
        self.transport.get("/cluster/nextid", |data| {
            let text = match parsed(data, "a VMID")? {
                Next::Text(text) => text,
                Next::Number(number) => number.to_string(),
            };
            text.parse().map_err(|_| "a VMID".to_owned())
        })
    }

    /// `GET /cluster/nextid?vmid={vmid}`. Whether no guest has this VMID, seen or unseen by this
    /// token. That it is taken is said by a 400.
    pub fn is_free(&self, vmid: Vmid) -> Result<bool, Error> {
        let path = format!("/cluster/nextid?vmid={vmid}");
        match self.transport.get(&path, |_| Ok(true)) {
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
        if let CloneMode::Full { storage } = &options.mode {
            form.push(("full", "1"));
            form.extend(
                storage
                    .iter()
                    .map(|storage| ("storage", storage.0.as_str())),
            );
        }
        form.extend(options.pool.iter().map(|pool| ("pool", pool.0.as_str())));
        form.extend(
            options
                .target
                .iter()
                .map(|node| ("target", node.0.as_str())),
        );
        self.transport.post(&path, &form, upid)
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
        self.transport.put(&path, options, |_| Ok(()))
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
        self.transport.put(&path, &form, upid)
    }

    /// `POST /nodes/{node}/qemu/{vmid}/status/start`. Gives a task for everything, also for a VM that
    /// is not there or runs already; the task then fails.
    pub fn start_vm(&self, node: &Node, vmid: Vmid) -> Result<Upid, Error> {
        let path = format!("/nodes/{}/qemu/{vmid}/status/start", escaped(&node.0));
        self.transport.post(&path, &[], upid)
    }

    /// `GET /nodes/{node}/qemu/{vmid}/status/current`: whether it runs. Asks QEMU itself, where rows
    /// of lists lag.
    pub fn is_running(&self, node: &Node, vmid: Vmid) -> Result<bool, Error> {
        #[derive(Deserialize)]
        struct Status {
            status: String,
        }
        let path = format!("/nodes/{}/qemu/{vmid}/status/current", escaped(&node.0));
        self.transport.get(&path, |data| {
            let Status { status } = parsed(data, "a VM's status")?;
            Ok(status == "running")
        })
    }

    /// `GET /nodes/{node}/qemu/{vmid}/agent/network-get-interfaces`: the guest's network cards and
    /// their addresses, as its agent tells them. While the agent is not running, a 500 after 3 s.
    pub fn interfaces(&self, node: &Node, vmid: Vmid) -> Result<Vec<Interface>, Error> {
        let node = escaped(&node.0);
        let path = format!("/nodes/{node}/qemu/{vmid}/agent/network-get-interfaces");
        self.transport.get(&path, interfaces::read)
    }

    /// `GET /nodes/{node}/tasks/{upid}/status`, of the node that the UPID names. Without
    /// Sys.Audit a token sees only the tasks that it started itself.
    pub fn task_status(&self, upid: &Upid) -> Result<TaskStatus, Error> {
        #[derive(Deserialize)]
        struct Status {
            status: String,
            exitstatus: Option<String>,
        }
        let node = escaped(&upid.node().0);
        let path = format!("/nodes/{node}/tasks/{}/status", escaped(upid.as_str()));
        self.transport.get(&path, |data| {
            let status: Status = parsed(data, "a task's status")?;
            match (status.status.as_str(), status.exitstatus) {
                ("running", _) => Ok(TaskStatus::Running),
                ("stopped", Some(text)) => Ok(TaskStatus::Stopped(ExitStatus::from(text.trim()))),
                ("stopped", None) => Ok(TaskStatus::Stopped(ExitStatus::Unexpected)),
                _ => Err("a task that is running or stopped".to_owned()),
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
        let node = escaped(&upid.node().0);
        let start = match start {
            0 => String::new(),
            start => format!("start={start}&"),
        };
        let upid = escaped(upid.as_str());
        let path = format!("/nodes/{node}/tasks/{upid}/log?{start}limit=0");
        self.transport.list(&path, |data| {
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
        self.transport.get(&path, |data| {
            let tasks: Vec<Task> = parsed(data, "a list of tasks")?;
            let running = tasks.into_iter().filter(|task| task.endtime.is_none());
            Ok(running.filter_map(|task| task.upid.parse().ok()).collect())
        })
    }
}

fn upid(data: &RawValue) -> Result<Upid, String> {
    let text: String = parsed(data, "a task's UPID")?;
    text.parse().map_err(|_| "a task's UPID".to_owned())
}

/// `data` as a `T`, or the words for what was expected.
fn parsed<'a, T: Deserialize<'a>>(data: &'a RawValue, expected: &str) -> Result<T, String> {
    serde_json::from_str(data.get()).map_err(|_| expected.to_owned())
}

#[cfg(test)]
pub(crate) mod tests;
