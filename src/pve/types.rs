//! Proxmox VE's identifiers and values as types.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use snafu::{OptionExt, Snafu, ensure};

use crate::pve::secret::Secret;

/// The number of a guest, unique in its cluster.
///
/// Proxmox VE assigns 100 to 999999999. Guests created by very old versions may have a lower one: a list
/// may contain it, but a user cannot request it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Vmid(pub u32);

impl Vmid {
    /// The lowest VMID that Proxmox VE assigns.
    pub const MIN: Vmid = Vmid(100);
    /// The highest VMID that Proxmox VE accepts.
    pub const MAX: Vmid = Vmid(999_999_999);
}

macro_rules! display_as_inner {
    ($($name:ident),+) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )+};
}

display_as_inner!(Vmid, Node, Storage, Pool, VmName, Upid);

impl FromStr for Vmid {
    type Err = Error;

    fn from_str(text: &str) -> Result<Vmid, Error> {
        // `parse` would accept a sign.
        let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
        let vmid = text.parse().ok().map(Vmid);
        vmid.filter(|vmid| is_number && (Vmid::MIN..=Vmid::MAX).contains(vmid))
            .context(NotAVmidSnafu)
    }
}

/// The name of a cluster node.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Node(pub String);

/// The name of a storage, which holds disks.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Storage(pub String);

/// The name of a pool, a group of guests.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Pool(pub String);

/// How to clone a template. Proxmox refuses a storage for a linked clone, whose disks stay on the
/// template's storages.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CloneMode {
    /// The clone gets its own disks: on the template's storages, or on this one.
    Full {
        /// The storage for all disks.
        storage: Option<Storage>,
    },
    /// The clone stores only the differences from the template, which it needs as long as it exists.
    Linked,
}

/// The options of a clone, except its name and VMID.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CloneOptions {
    /// Whether it gets its own disks, and where.
    pub mode: CloneMode,
    /// The pool to add it to.
    pub pool: Option<Pool>,
    /// The node to create it on; by default the template's node.
    pub target: Option<Node>,
}

/// A VM name that Proxmox accepts: labels of letters, digits and inner hyphens, joined by dots.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VmName(String);

impl VmName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of an existing guest. One without a name is called `VM 101`, as Proxmox VE does.
    pub fn of_guest(guest: &Guest) -> VmName {
        let name = guest.name.clone();
        VmName(name.unwrap_or_else(|| format!("VM {}", guest.vmid)))
    }
}

impl FromStr for VmName {
    type Err = Error;

    fn from_str(text: &str) -> Result<VmName, Error> {
        let is_label = |label: &str| {
            let is_allowed = |c: char| c.is_ascii_alphanumeric() || c == '-';
            !label.is_empty() && label.trim_matches('-') == label && label.chars().all(is_allowed)
        };
        ensure!(!text.is_empty(), EmptyNameSnafu);
        ensure!(text.split('.').all(is_label), NotAVmNameSnafu);
        Ok(VmName(text.to_owned()))
    }
}

/// The identifier of a task: `UPID:node:pid:pstart:starttime:type:id:user:`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Upid(String);

impl Upid {
    /// The node that runs the task and answers questions about it.
    pub fn node(&self) -> Node {
        Node(self.0.split(':').nth(1).unwrap_or_default().to_owned())
    }

    /// The process id of its worker.
    pub fn process(&self) -> u64 {
        let hex = self.0.split(':').nth(2).unwrap_or_default();
        u64::from_str_radix(hex, 16).unwrap_or_default()
    }

    /// What the task does: `qmclone`, `qmstart`, `hastart` …
    pub fn kind(&self) -> &str {
        self.0.split(':').nth(5).unwrap_or_default()
    }

    /// What the task works on: usually a VMID, for a clone the template's.
    pub fn subject(&self) -> &str {
        self.0.split(':').nth(6).unwrap_or_default()
    }

    /// The UPID as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Upid {
    type Error = Error;

    fn try_from(text: String) -> Result<Upid, Error> {
        text.parse()
    }
}

impl FromStr for Upid {
    type Err = Error;

    fn from_str(text: &str) -> Result<Upid, Error> {
        let parts: Vec<&str> = text.split(':').collect();
        let ["UPID", node, pid, pstart, start, kind, _id, user, ""] = parts[..] else {
            return NotAUpidSnafu.fail();
        };
        let is_hex = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_hexdigit());
        let is_set = [node, kind, user].iter().all(|text| !text.is_empty());
        let are_hex = [pid, pstart, start].into_iter().all(is_hex);
        ensure!(is_set && are_hex, NotAUpidSnafu);
        Ok(Upid(text.to_owned()))
    }
}

/// The kind of a guest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GuestKind {
    /// A virtual machine.
    Qemu,
    /// A container.
    Lxc,
}

/// A guest as a list shows it. Lists lag behind the configurations.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Guest {
    /// Its VMID.
    pub vmid: Vmid,
    /// VM or container.
    pub kind: GuestKind,
    /// Absent while the server does not know it: while the node is offline, or just after a clone.
    pub name: Option<String>,
    /// The node it is on.
    pub node: Node,
    /// `running`, `stopped`, or `unknown` if the name is absent too.
    pub status: String,
    /// Whether it is a template.
    pub template: bool,
    /// The operation that locked it: `clone`, `backup`, `migrate` …
    pub lock: Option<String>,
    /// What else the list shows of it.
    pub details: GuestDetails,
}

/// What a list shows of a guest beside its identity and state. Absent where the list does not tell.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct GuestDetails {
    /// The number of its CPU cores; a container's limit is rounded up.
    pub cores: Option<u64>,
    /// The maximum of its memory, in bytes.
    pub memory: Option<u64>,
    /// For how many seconds it has been running; 0 if it is not.
    pub uptime: Option<u64>,
    /// Its tags as the server writes them: `prod;web`.
    pub tags: Option<String>,
    /// Absent also if the token lacks Pool.Audit on the pool.
    pub pool: Option<Pool>,
}

impl GuestDetails {
    /// The tags, each for itself.
    pub fn tags(&self) -> impl Iterator<Item = &str> {
        tags(self.tags.as_deref().unwrap_or_default())
    }
}

/// The tags in a list of tags: `prod;web`.
pub fn tags(list: &str) -> impl Iterator<Item = &str> {
    let tags = list.split([';', ',', ' ']);
    tags.filter(|tag| !tag.is_empty())
}

impl Guest {
    /// Whether it is a VM template.
    pub fn is_vm_template(&self) -> bool {
        self.kind == GuestKind::Qemu && self.template
    }

    /// Whether it is a VM but not a template, according to the list.
    pub fn is_vm(&self) -> bool {
        self.kind == GuestKind::Qemu && !self.template
    }

    /// Whether it has this name, case-sensitively.
    pub fn is_named(&self, name: &str) -> bool {
        self.name.as_deref() == Some(name)
    }

    /// Whether it is a VM or VM template that the list shows without a name, or possibly with the name of
    /// the previous guest with its VMID.
    pub fn may_hide_its_name(&self) -> bool {
        self.kind == GuestKind::Qemu && (self.name.is_none() || self.is_being_cloned())
    }

    /// Whether a clone task is creating it, or left it incomplete.
    pub fn is_being_cloned(&self) -> bool {
        self.lock.as_deref() == Some("clone")
    }

    /// Whether it is a container, template or not.
    pub fn is_container(&self) -> bool {
        self.kind == GuestKind::Lxc
    }

    /// Whether it is a container but not a template, according to the list.
    pub fn is_plain_container(&self) -> bool {
        self.kind == GuestKind::Lxc && !self.template
    }

    /// VMID and node, to list several guests: `9000 on node 'pve1'`.
    pub fn place(&self) -> String {
        format!("{} on node '{}'", self.vmid, self.node)
    }
}

/// `VM 101 'web-1' on node 'pve1'`
impl fmt::Display for Guest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match (self.kind, self.template) {
            (GuestKind::Qemu, false) => "VM",
            (GuestKind::Qemu, true) => "template",
            (GuestKind::Lxc, false) => "container",
            (GuestKind::Lxc, true) => "container template",
        };
        write!(f, "{kind} {}", self.vmid)?;
        if let Some(name) = &self.name {
            write!(f, " '{name}'")?;
        }
        write!(f, " on node '{}'", self.node)
    }
}

/// The version of a server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Version {
    /// As the server writes it: `9.2.11`.
    pub text: String,
    /// The major version: `9`.
    pub major: u32,
}

impl Version {
    /// Whether it has storages for images of disks, and imports VMs from them: since 8.4.
    pub fn imports_images(&self) -> bool {
        let minor = self.text.split(['.', '-']).nth(1);
        let minor: u32 = minor.and_then(|minor| minor.parse().ok()).unwrap_or(0);
        (self.major, minor) >= (8, 4)
    }
}

/// The status of a task.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TaskStatus {
    /// Not finished yet.
    Running,
    /// Finished.
    Stopped(ExitStatus),
}

/// How a task ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ExitStatus {
    /// Success.
    Ok,
    /// Success, with this many warnings in its log.
    Warnings(u32),
    /// The worker process died or its node went down: it is unknown how much was done.
    Unexpected,
    /// Failure, with the server's message.
    Failed(String),
}

/// As the server writes it.
impl fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ExitStatus::Ok => f.write_str("OK"),
            ExitStatus::Warnings(count) => write!(f, "WARNINGS: {count}"),
            ExitStatus::Unexpected => f.write_str("unexpected status"),
            ExitStatus::Failed(message) => f.write_str(message),
        }
    }
}

impl From<&str> for ExitStatus {
    fn from(text: &str) -> ExitStatus {
        match (text, text.strip_prefix("WARNINGS: ").map(str::parse)) {
            ("OK", _) => ExitStatus::Ok,
            ("unexpected status", _) => ExitStatus::Unexpected,
            (_, Some(Ok(count))) => ExitStatus::Warnings(count),
            _ => ExitStatus::Failed(text.to_owned()),
        }
    }
}

/// An API token without its secret.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TokenId {
    /// `root`
    pub user: String,
    /// `pam`
    pub realm: String,
    /// The token ID, which distinguishes the user's tokens.
    pub key: String,
}

impl TokenId {
    /// The token's owner: `USER@REALM`.
    pub fn userid(&self) -> String {
        format!("{}@{}", self.user, self.realm)
    }
}

/// `USER@REALM!TOKENID`
impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}!{}", self.userid(), self.key)
    }
}

/// An API token, as needed for the `Authorization` header.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Token {
    /// Its public part.
    pub id: TokenId,
    /// The UUID that Proxmox VE showed once, when the token was created.
    pub secret: Secret,
}

impl Token {
    /// `PVEAPIToken=USER@REALM!TOKENID=SECRET`
    pub fn header(&self) -> Secret {
        let secret = self.secret.expose();
        Secret::new(format!("PVEAPIToken={}={secret}", self.id))
    }
}

/// Why a text is not one of the types above.
#[derive(Debug, Snafu, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Error {
    #[snafu(display("expected a number from 100 to 999999999"))]
    NotAVmid,

    #[snafu(display("must not be empty"))]
    EmptyName,

    #[snafu(display(
        "expected letters, digits and '-', in parts joined by '.', each beginning and ending with a \
         letter or digit"
    ))]
    NotAVmName,

    #[snafu(display("expected UPID:node:pid:pstart:starttime:type:id:user:"))]
    NotAUpid,
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    /// The default in tests.
    impl Default for CloneOptions {
        fn default() -> CloneOptions {
            CloneOptions {
                mode: CloneMode::Full { storage: None },
                pool: None,
                target: None,
            }
        }
    }

    #[rstest]
    #[case::lowest("100", Ok(Vmid(100)))]
    #[case::highest("999999999", Ok(Vmid(999_999_999)))]
    #[case::below_the_lowest("99", Err(Error::NotAVmid))]
    #[case::above_the_highest("1000000000", Err(Error::NotAVmid))]
    #[case::not_a_number("abc", Err(Error::NotAVmid))]
    #[case::negative("-1", Err(Error::NotAVmid))]
    #[case::plus_sign("+142", Err(Error::NotAVmid))]
    #[case::empty("", Err(Error::NotAVmid))]
    #[case::too_large_for_an_integer("99999999999999999999", Err(Error::NotAVmid))]
    fn a_vmid_is_valid_if_proxmox_accepts_it(
        #[case] text: &str,
        #[case] expected: Result<Vmid, Error>,
    ) {
        assert_eq!(text.parse(), expected);
    }

    #[rstest]
    #[case::plain("web-1", true)]
    #[case::one_letter("a", true)]
    #[case::digits("101", true)]
    #[case::with_domain("web-1.lan.example", true)]
    #[case::empty("", false)]
    #[case::underscore("my_vm", false)]
    #[case::space("my vm", false)]
    #[case::leading_hyphen("-web", false)]
    #[case::trailing_hyphen("web-", false)]
    #[case::hyphen_before_a_dot("web-.lan", false)]
    #[case::two_dots("web..lan", false)]
    #[case::trailing_dot("web.", false)]
    #[case::umlaut("wéb", false)]
    #[case::newline("web\n", false)]
    fn a_vm_name_is_valid_if_proxmox_accepts_it(#[case] text: &str, #[case] accepted: bool) {
        assert_eq!(text.parse::<VmName>().is_ok(), accepted);
    }

    #[rstest]
    #[case::done("OK", ExitStatus::Ok)]
    #[case::warnings("WARNINGS: 1", ExitStatus::Warnings(1))]
    #[case::many_warnings("WARNINGS: 12", ExitStatus::Warnings(12))]
    #[case::worker_died("unexpected status", ExitStatus::Unexpected)]
    #[case::other_message("clone failed: x", ExitStatus::Failed("clone failed: x".into()))]
    #[case::lower_case_ok("ok", ExitStatus::Failed("ok".into()))]
    #[case::warnings_without_a_number("WARNINGS: ", ExitStatus::Failed("WARNINGS: ".into()))]
    fn an_exit_status_is_matched_exactly(#[case] text: &str, #[case] expected: ExitStatus) {
        assert_eq!(ExitStatus::from(text), expected);
    }

    #[test]
    fn a_upid_names_its_node() {
        let upid: Upid = "UPID:pve1:000001E0:0001ECB8:6B03EE51:qmclone:9000:root@pam!cli:"
            .parse()
            .unwrap();
        assert_eq!(upid.node(), Node("pve1".into()));
    }

    #[rstest]
    #[case::empty("")]
    #[case::other_text("hello")]
    #[case::no_node("UPID::000001E0:0001ECB8:6B03EE51:qmclone:9000:root@pam!cli:")]
    #[case::truncated("UPID:pve1:000001E0:0001ECB8:6B03EE51:qmclone:9000")]
    #[case::not_hexadecimal("UPID:pve1:xyz:0001ECB8:6B03EE51:qmclone:9000:root@pam!cli:")]
    fn other_texts_are_not_upids(#[case] text: &str) {
        assert_eq!(text.parse::<Upid>(), Err(Error::NotAUpid));
    }

    #[test]
    fn a_secret_stays_out_of_debug() {
        let token = Token {
            id: TokenId {
                user: "root".into(),
                realm: "pam".into(),
                key: "cli".into(),
            },
            secret: Secret::new("s3cret".into()),
        };
        let shown = format!("{token:?} {:?}", token.header());
        assert!(!shown.contains("s3cret"), "{shown}");
    }
}
