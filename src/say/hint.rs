//! What to do about a request that failed.

use crate::pve::types::{Node, TokenId, Vmid};
use crate::pve::{
    Behind, Distrust, Error, Fingerprint, Host, Proxy, TlsError, Trust, Unreached, is_no_quorum,
};
use crate::say::grant::{ALL_VMS, Role, grant, how_to_see_vms, path_to_grant_on};
use crate::say::shell::word;

/// What to do about a failed request, if that is known.
pub fn hint_for(error: &Error) -> Option<String> {
    hint_for_one_of(1, error)
}

/// What to do about a failed request to one of that many hosts, if that is known.
pub fn hint_for_one_of(hosts: usize, error: &Error) -> Option<String> {
    Some(match error {
        Error::Tls { source } => return for_setup(source),
        Error::NoTimeLeft { .. } => return None,
        Error::Unreachable { host, why } => for_unreached(host, why),
        Error::Untrusted {
            distrust,
            fingerprint,
            trust,
            ..
        } => for_distrust(distrust, &how_to_pin(*fingerprint, trust, hosts)),
        Error::NoneReached { each } => for_none_reached(each),
        Error::Undelivered { behind, reason } => for_undelivered(behind, reason),
        Error::LostBehind { behind, .. } => for_daemon(behind, "hangs or is restarting"),
        Error::NoAnswer { host, .. } => for_no_answer(host),
        Error::Unusable { host, status, what } => for_unusable(host, *status, what),
        Error::Unexpected { .. } => UNKNOWN_VERSION.to_owned(),
        Error::NoQuorum { .. } => NO_QUORUM.to_owned(),
        Error::Refused {
            status,
            words,
            token,
        } => return for_refusal(*status, words, token),
    })
}

/// What to do about a failed request to clone to this VMID on this node, if that is known.
pub fn hint_for_clone(error: &Error, newid: Vmid, node: &Node) -> Option<String> {
    match error {
        // The server does not say which privilege is lacking if either of two would do.
        Error::Refused {
            status: 403,
            words,
            token,
        } if words == BARE_REFUSAL => {
            let grant = grant(Role::VM_ADMIN, ALL_VMS, token);
            Some(format!(
                "the token lacks VM.Allocate on /vms/{newid}; {grant}"
            ))
        }
        Error::Refused { status, words, .. } if !matches!(status, 401 | 403) => {
            for_words(words, &format!("node '{node}'"))
        }
        error => hint_for(error),
    }
}

/// A hint, and what to do about the failure behind it, if that is more than to try again.
pub fn with_more(hint: String, error: Option<&Error>) -> String {
    let is_more = |error: &&Error| !matches!(error, Error::NoAnswer { .. });
    match error.filter(is_more).and_then(hint_for) {
        Some(more) => format!("{hint}; {more}"),
        None => hint,
    }
}

/// What Proxmox says if it names neither path nor privilege.
const BARE_REFUSAL: &str = "Permission check failed";

const UNKNOWN_VERSION: &str = "other versions of Proxmox VE may answer in other ways; 'homelab proxmox \
                               check' shows the server's version";

const NO_QUORUM: &str = "too few nodes of the cluster see each other for it to change anything; on a \
                         node: pvecm status";

/// The command that shows the fingerprint of a node's certificate on that node.
pub const SHOW_FINGERPRINT: &str =
    "openssl x509 -in /etc/pve/local/pve-ssl.pem -noout -fingerprint -sha256";

/// What the token may lack if its list is empty.
pub fn what_an_empty_list_means(token: &TokenId) -> String {
    let grant = how_to_see_vms(token);
    format!("if there are some, this token lacks VM.Audit on them; {grant}")
}

/// How to verify a certificate, and to trust it from then on.
pub fn how_to_pin(fingerprint: Fingerprint, trust: &Trust, hosts: usize) -> String {
    let set = if hosts > 1 {
        format!(
            "give it this host's place in PROXMOX_FINGERPRINT, which takes one for each host, in \
             their order: {fingerprint}"
        )
    } else {
        format!("PROXMOX_FINGERPRINT={fingerprint}")
    };
    let instead = match trust {
        Trust::CaFile(_) => " instead of the CA file",
        Trust::Anyone => " instead of turning the verification off",
        Trust::Pin(_) => {
            " (or --fingerprint, or \"fingerprint\" in the file: where the pin stands now)"
        }
        Trust::SystemRoots => "",
    };
    format!(
        "compare that fingerprint with the one that 'pvenode cert info' shows on the node for \
         pve-ssl.pem (or pveproxy-ssl.pem, if there is one), not for pve-root-ca.pem; if it is the \
         same: {set}{instead}"
    )
}

fn for_setup(error: &TlsError) -> Option<String> {
    let authority = "which is /etc/pve/pve-root-ca.pem on each node";
    match error {
        TlsError::NoAuthority { fingerprint, .. } => Some(format!(
            "pin it instead: PROXMOX_FINGERPRINT={fingerprint} and no CA file; or name the cluster's \
             authority, {authority}"
        )),
        TlsError::CaFile { .. } | TlsError::NoCertificate { .. } => Some(format!(
            "PROXMOX_CA_FILE and --ca-file take the certificate of the cluster's authority, {authority}"
        )),
        TlsError::Setup { .. } => None,
    }
}

fn for_unreached(host: &Host, why: &Unreached) -> String {
    let hint = match why {
        Unreached::Name { .. } => {
            let hint = "check the name (PROXMOX_HOST, --host); what this machine knows of it";
            return format!("{hint}: getent hosts {}", host.name());
        }
        Unreached::Proxy { proxy, words } => return for_proxy(host, proxy, words),
        Unreached::NotLoopback => "leave http:// out of the host, to speak TLS",
        Unreached::NotTls | Unreached::CutInTls => {
            "Proxmox VE speaks TLS on port 8006; check the port (PROXMOX_PORT, --host), which may be \
             one of plain HTTP or of another service"
        }
        Unreached::NothingInCommon => {
            "replace the server's certificate by one with another kind of key; what it has now, on \
             the node: openssl x509 -noout -text -in /etc/pve/local/pveproxy-ssl.pem (or pve-ssl.pem, \
             if there is no such file)"
        }
        Unreached::Connection { .. } | Unreached::Handshake { .. } => {
            "check the host and port (PROXMOX_HOST, PROXMOX_PORT, --host), and that pveproxy is \
             running there"
        }
    };
    hint.to_owned()
}

fn for_proxy(host: &Host, proxy: &Proxy, words: &str) -> String {
    let (name, origin) = (host.name(), proxy.origin());
    let without = format!("to reach {name} without the proxy: NO_PROXY={name}");
    if words.ends_with(" 407") {
        return format!(
            "the proxy requires a user and a password: {origin}=http://USER:PASSWORD@{proxy}; {without}"
        );
    }
    format!("check {origin}; {without}")
}

fn for_distrust(distrust: &Distrust, pin: &str) -> String {
    const RENEW: &str = "pvecm updatecerts --force && systemctl restart pveproxy";

    let renew = format!("on the node: {RENEW}; then pin or trust what it has");
    match distrust {
        Distrust::Expired { .. } => format!("if the clock is right, {renew}"),
        Distrust::Outdated => renew,
        Distrust::NotYetValid { .. } => {
            format!("set the clock of this machine, or that of the node and there: {RENEW}")
        }
        Distrust::OtherNames { .. } => {
            format!("ask it by one of its names (PROXMOX_HOST, --host); or {pin}")
        }
        Distrust::NotPinned { .. } => format!(
            "the node may have got a new certificate: {pin}; if it is not, another machine is \
             answering in its place"
        ),
        Distrust::WithoutItsKey => {
            "another machine may be answering in its place: find out before you go on; nothing was \
             sent"
                .to_owned()
        }
        Distrust::SelfSigned | Distrust::UnsupportedKey => pin.to_owned(),
        Distrust::IncompleteChain { issuer } => format!(
            "on the node, /etc/pve/local/pveproxy-ssl.pem must contain the server's certificate and \
             then those of all intermediate authorities; or, if {issuer} is a root authority: \
             PROXMOX_CA_FILE=its certificate; or {pin}"
        ),
        Distrust::UnknownAuthority { name: Some(name) } => {
            format!("PROXMOX_CA_FILE=the certificate of {name}; or {pin}")
        }
        _ => format!(
            "{pin}; or copy /etc/pve/pve-root-ca.pem from the node, and PROXMOX_CA_FILE=that copy"
        ),
    }
}

fn for_none_reached(each: &[Error]) -> String {
    let is_telling =
        |error: &&Error| matches!(error, Error::Untrusted { .. } | Error::Undelivered { .. });
    let telling = each.iter().find(is_telling);
    let hint = telling.and_then(|error| hint_for_one_of(each.len(), error));
    hint.unwrap_or_else(|| {
        "check the hosts and ports (PROXMOX_HOST, PROXMOX_PORT, --host), this machine's network, and \
         that pveproxy is running there"
            .to_owned()
    })
}

fn for_undelivered(behind: &Behind, reason: &str) -> String {
    let host = &behind.host;
    match &behind.node {
        None => format!(
            "pveproxy on {host} could not reach pvedaemon; there: systemctl status pvedaemon"
        ),
        Some(_) if reason.contains("refused") => for_daemon(behind, "is down"),
        Some(node) => format!(
            "node '{node}' is down, or cut off from {host}; on any node: pvecm status; what is on that \
             node has to wait until it is back"
        ),
    }
}

fn for_daemon(Behind { host, node }: &Behind, state: &str) -> String {
    match node {
        None => format!("pvedaemon behind {host} {state}; there: systemctl status pvedaemon"),
        Some(node) => format!(
            "on node '{node}' pvedaemon {state}, or pveproxy if {host} is another node; there: \
             systemctl status pvedaemon pveproxy"
        ),
    }
}

fn for_no_answer(host: &Host) -> String {
    let speak_tls = if host.tls() {
        ""
    } else {
        "if it speaks TLS there, leave http:// out of the host; else "
    };
    format!(
        "{speak_tls}try it again; if it stays so, on that node: systemctl status pveproxy pvedaemon; \
         --request-timeout allows more time"
    )
}

fn for_unusable(host: &Host, status: u16, what: &str) -> String {
    let hint = if matches!(status, 502..=504) {
        "a proxy in front of Proxmox VE answered in its place: check where it forwards requests to; \
         on the node: systemctl status pveproxy"
    } else if !host.tls() && what.contains(", to https://") {
        "http:// was spoken where https:// is; leave http:// out of the host"
    } else {
        "check that PROXMOX_HOST and PROXMOX_PORT are those of Proxmox VE itself, not of a proxy or \
         another service"
    };
    hint.to_owned()
}

fn for_refusal(status: u16, words: &str, token: &TokenId) -> Option<String> {
    match status {
        401 => Some(format!(
            "user, realm, token id and secret must be those of one token that has not expired; the server \
             does not say which is wrong, and takes 3 s to say no; on a node: pveum user token list {}",
            word(&token.userid())
        )),
        403 => for_lack_of_privilege(words, token),
        _ => for_words(words, "the node"),
    }
}

fn for_words(words: &str, node: &str) -> Option<String> {
    let says = |text: &str| words.contains(text);
    let hint = if says("does not support vm images") {
        "'pvesm status --content images' on NODE lists the storages that take disks"
    } else if says("storage '") && says("does not exist") {
        "'pvesm status' on NODE lists its storages"
    } else if says("(VM uses local storage)") {
        "the template's disks are on a storage of its own node alone, so the VM can only be made there"
    } else if is_no_quorum(words) {
        NO_QUORUM
    } else if says("unable to find configuration file for VM") {
        "the template was moved or destroyed a moment ago; 'homelab proxmox template list' shows \
         what is there"
    } else if says("no such cluster node") || says("hostname lookup") {
        "'pvecm nodes' on a node lists the cluster's nodes"
    } else {
        return None;
    };
    Some(hint.replace("NODE", node))
}

fn for_lack_of_privilege(words: &str, token: &TokenId) -> Option<String> {
    if let Some((path, privilege)) = lacking(words) {
        let hint = match Role::with(privilege) {
            Some(role) => grant(role, path_to_grant_on(path, role), token),
            None => {
                format!("the token needs a role with {privilege} on {path}; no usual one is small")
            }
        };
        return Some(hint);
    }
    let hint = if words.contains("(pool '") && words.contains("does not exist") {
        "'pveum pool list' on a node lists the pools"
    } else if words.contains(BARE_REFUSAL) {
        "'homelab proxmox check TEMPLATE' shows which privileges the token lacks"
    } else {
        return None;
    };
    Some(hint.to_owned())
}

/// Path and privilege of `Permission check failed (/vms/9000, VM.Clone)`. Other characters than theirs
/// must not get into a command that somebody will paste.
fn lacking(words: &str) -> Option<(&str, &str)> {
    let (_, rest) = words.split_once("Permission check failed (")?;
    let (inner, _) = rest.split_once(')')?;
    let (path, privileges) = inner.split_once(", ")?;
    let privilege = privileges.split('|').next()?;
    let is_path = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_' | '.');
    let is_privilege = |c: char| c.is_ascii_alphanumeric() || c == '.';
    let is_fine = path.starts_with('/')
        && path.chars().all(is_path)
        && !privilege.is_empty()
        && privilege.chars().all(is_privilege);
    is_fine.then_some((path, privilege))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn token(user: &str, realm: &str) -> TokenId {
        TokenId {
            user: user.to_owned(),
            realm: realm.to_owned(),
            key: "cli".to_owned(),
        }
    }

    fn refused(status: u16, words: &str) -> Error {
        Error::Refused {
            status,
            words: words.to_owned(),
            token: token("homelab", "pve"),
        }
    }

    const TO_USER: &str = "; where the token has no privilege separation, or its user lacks it too: \
                           the same with --users homelab@pve instead of --tokens …";

    fn line(path: &str, role: &str) -> String {
        let replaces = match (path, role) {
            ("/vms", "PVEVMAdmin") => "",
            ("/vms", _) => "; it replaces what the token has there from above",
            _ => "",
        };
        format!(
            "on a node, as root: pveum acl modify {path} --tokens 'homelab@pve!cli' --roles \
             {role}{replaces}{TO_USER}"
        )
    }

    #[rstest]
    #[case::template("/vms/9000, VM.Clone", "/vms/9000", "PVETemplateUser")]
    #[case::storage(
        "/storage/local-lvm, Datastore.AllocateSpace",
        "/storage/local-lvm",
        "PVEDatastoreUser"
    )]
    #[case::network(
        "/sdn/zones/localnetwork/vmbr0, SDN.Use",
        "/sdn/zones/localnetwork/vmbr0",
        "PVESDNUser"
    )]
    #[case::node("/nodes/pve1, Sys.Audit", "/nodes/pve1", "PVEAuditor")]
    // A role on one VM replaces the one on all VMs, and the next VM has another VMID.
    #[case::one_vm_is_all_vms("/vms/101, VM.Allocate", "/vms", "PVEVMAdmin")]
    #[case::settings("/vms/101, VM.Config.Disk", "/vms", "PVEVMAdmin")]
    #[case::power("/vms/101, VM.PowerMgmt", "/vms", "PVEVMUser")]
    #[case::hardware("/mapping/pci/gpu, Mapping.Use", "/mapping/pci/gpu", "PVEMappingUser")]
    #[case::either_would_do("/vms/101, VM.Audit|VM.Console", "/vms", "PVEAuditor")]
    fn a_missing_privilege_is_granted_by_a_command(
        #[case] what: &str,
        #[case] path: &str,
        #[case] role: &str,
    ) {
        let error = refused(403, &format!("Permission check failed ({what})"));
        assert_eq!(hint_for(&error), Some(line(path, role)));
    }

    #[rstest]
    #[case::command("/vms/9000; reboot, VM.Clone")]
    #[case::substitution("/vms/$(reboot), VM.Clone")]
    #[case::line_break("/vms/9000\nreboot, VM.Clone")]
    #[case::option("--roles, VM.Clone")]
    #[case::privilege("/vms/9000, VM.Clone; reboot")]
    fn no_command_contains_unexpected_characters(#[case] what: &str) {
        let error = refused(403, &format!("Permission check failed ({what})"));
        let hint = "'homelab proxmox check TEMPLATE' shows which privileges the token lacks";
        assert_eq!(hint_for(&error).as_deref(), Some(hint));
    }

    /// 'pvenode cert info' shows the authority's certificate first.
    #[test]
    fn the_fingerprint_to_compare_is_that_of_the_node_and_not_that_of_the_authority() {
        let pin: Fingerprint = "00".repeat(32).parse().unwrap();
        let hint = format!(
            "compare that fingerprint with the one that 'pvenode cert info' shows on the node for \
             pve-ssl.pem (or pveproxy-ssl.pem, if there is one), not for pve-root-ca.pem; if it is the \
             same: PROXMOX_FINGERPRINT={pin}"
        );
        assert_eq!(how_to_pin(pin, &Trust::SystemRoots, 1), hint);
    }

    #[test]
    fn a_privilege_that_no_small_role_has_is_named() {
        let error = refused(403, "Permission check failed (/, Sys.Console)");
        let hint = "the token needs a role with Sys.Console on /; no usual one is small";
        assert_eq!(hint_for(&error).as_deref(), Some(hint));
    }

    #[test]
    fn a_clone_that_is_forbidden_without_a_privilege_lacks_vm_allocate() {
        let error = refused(403, "Permission check failed");
        let hint = format!(
            "the token lacks VM.Allocate on /vms/101; {}",
            line("/vms", "PVEVMAdmin")
        );
        let node = Node("pve1".to_owned());
        assert_eq!(hint_for_clone(&error, Vmid(101), &node), Some(hint));
    }

    #[rstest]
    #[case::storage_unknown(
        "storage 'fast' does not exist",
        "'pvesm status' on node 'pve1' lists its storages"
    )]
    #[case::storage_without_images(
        "Parameter verification failed. storage: storage 'local' does not support vm images",
        "'pvesm status --content images' on node 'pve1' lists the storages that take disks"
    )]
    #[case::local_storage(
        "can't clone VM to node 'pve2' (VM uses local storage)",
        "the template's disks are on a storage of its own node alone, so the VM can only be made \
         there"
    )]
    #[case::configurations_cannot_be_written(
        "unable to open file '/etc/pve/nodes/pve1/qemu-server/101.conf.tmp.227' - Permission denied",
        "too few nodes of the cluster see each other for it to change anything; on a node: pvecm \
         status"
    )]
    #[case::no_quorum(
        "cluster not ready - no quorum?",
        "too few nodes of the cluster see each other for it to change anything; on a node: pvecm \
         status"
    )]
    #[case::unknown_node(
        "no such cluster node 'pve9'",
        "'pvecm nodes' on a node lists the cluster's nodes"
    )]
    fn the_servers_words_are_explained(#[case] words: &str, #[case] hint: &str) {
        let node = Node("pve1".to_owned());
        let seen = hint_for_clone(&refused(500, words), Vmid(101), &node);
        assert_eq!(seen.as_deref(), Some(hint));
    }

    #[rstest]
    #[case::daemon_is_down(
        595,
        "Connection refused",
        Some("pve2"),
        "on node 'pve2' pvedaemon is down, or pveproxy if pve1:8006 is another node; there: \
         systemctl status pvedaemon pveproxy"
    )]
    #[case::node_is_down(
        595,
        "No route to host",
        Some("pve2"),
        "node 'pve2' is down, or cut off from pve1:8006; on any node: pvecm status; what is on that \
         node has to wait until it is back"
    )]
    #[case::no_node(
        595,
        "Connection refused",
        None,
        "pveproxy on pve1:8006 could not reach pvedaemon; there: systemctl status pvedaemon"
    )]
    #[case::daemon_hangs(
        596,
        "Connection timed out",
        Some("pve2"),
        "on node 'pve2' pvedaemon hangs or is restarting, or pveproxy if pve1:8006 is another node; \
         there: systemctl status pvedaemon pveproxy"
    )]
    #[case::something_else_behind(
        599,
        "Too many redirections",
        None,
        "pvedaemon behind pve1:8006 hangs or is restarting; there: systemctl status pvedaemon"
    )]
    fn what_is_down_behind_the_proxy_is_named(
        #[case] status: u16,
        #[case] reason: &str,
        #[case] node: Option<&str>,
        #[case] hint: &str,
    ) {
        let behind = Behind {
            host: "pve1".parse().unwrap(),
            node: node.map(|node| Node(node.to_owned())),
        };
        let reason = reason.to_owned();
        let error = match status {
            595 => Error::Undelivered { behind, reason },
            _ => Error::LostBehind {
                behind,
                status,
                reason,
            },
        };
        assert_eq!(hint_for(&error).as_deref(), Some(hint));
    }
}
