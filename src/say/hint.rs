//! What to do about a request that failed.

pub mod refusal;

use self::refusal::{ChangedVm, NO_QUORUM, RefusedClone};
use crate::pve::types::TokenId;
use crate::pve::{Behind, Distrust, Error, Fingerprint, Host, Proxy, TlsError, Trust, Unreached};
use crate::say::grant::how_to_see_vms;

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
            message,
            token,
        } => return refusal::for_refusal(*status, message, token),
    })
}

/// What to do about a failed request to clone, if that is known.
pub fn hint_for_clone(error: &Error, clone: &RefusedClone) -> Option<String> {
    match error {
        Error::Refused {
            status,
            message,
            token,
        } => refusal::for_clone(*status, message, token, clone),
        error => hint_for(error),
    }
}

/// What to do about a failed request to change an existing VM, if that is known.
pub fn hint_for_change(error: &Error, vm: &ChangedVm) -> Option<String> {
    match error {
        Error::Refused {
            status,
            message,
            token,
        } => refusal::for_change(*status, message, token, vm),
        error => hint_for(error),
    }
}

/// What to do about a task that failed with these words, if that is more than to read its log.
pub fn hint_for_task(words: &str) -> Option<String> {
    refusal::for_words(words, "the node")
}

/// A hint, and what to do about the failure behind it, if that is more than to try again.
pub fn with_more(hint: String, error: Option<&Error>) -> String {
    let is_more = |error: &&Error| !matches!(error, Error::NoAnswer { .. });
    match error.filter(is_more).and_then(hint_for) {
        Some(more) => format!("{hint}; {more}"),
        None => hint,
    }
}

const UNKNOWN_VERSION: &str = "other versions of Proxmox VE may answer in other ways; 'homelab proxmox \
                               check' shows the server's version";

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
        Unreached::Proxy { proxy, message } => return for_proxy(host, proxy, message),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pve::types::Node;
    use rstest::rstest;

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
