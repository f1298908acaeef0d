//! What to do about a request that failed.

pub mod refusal;

use self::refusal::{ChangedVm, NO_QUORUM, RefusedClone};
use crate::pve::types::{Node, TokenId};
use crate::pve::{Distrust, Error, Fingerprint, Host, Proxy, TlsError, Trust, Unreached, Upstream};
use crate::say::grant::how_to_see_vms;

/// What to do about a failed request, if that is known.
pub fn hint_for(error: &Error) -> Option<String> {
    hint_for_one_of(1, error)
}

/// What to do about a failed request to one of `hosts` hosts, if that is known.
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
        Error::Undelivered { upstream, reason } => for_undelivered(upstream, reason),
        Error::UpstreamLost { upstream, .. } => for_daemon(upstream, "hangs or is restarting"),
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

/// What to do about a failed request to import an image, if that is known.
pub fn hint_for_import(error: &Error) -> Option<String> {
    match error {
        Error::Refused {
            status,
            message,
            token,
        } => refusal::for_import(*status, message, token),
        error => hint_for(error),
    }
}

/// What to do about a failed request to download an image, if that is known.
pub fn hint_for_download(error: &Error, node: &Node) -> Option<String> {
    match error {
        Error::Refused {
            status,
            message,
            token,
        } => refusal::for_download(*status, message, token, node),
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

/// What to do about a task that failed with this message, beyond reading its log.
pub fn hint_for_task(message: &str) -> Option<String> {
    refusal::for_message(message, "the node")
}

/// `hint`, followed by what to do about `error` unless that is only to try again.
pub fn with_more(hint: String, error: Option<&Error>) -> String {
    let is_more = |error: &&Error| !matches!(error, Error::NoAnswer { .. });
    match error.filter(is_more).and_then(hint_for) {
        Some(more) => format!("{hint}; {more}"),
        None => hint,
    }
}

const UNKNOWN_VERSION: &str = "the server's version of Proxmox VE may not be supported; 'homelab proxmox \
                               check' shows it";

/// The command that shows the fingerprint of a node's certificate on that node.
pub const SHOW_FINGERPRINT: &str =
    "openssl x509 -in /etc/pve/local/pve-ssl.pem -noout -fingerprint -sha256";

/// Renews the certificate of the node on which it is run.
pub const RENEW: &str = "pvecm updatecerts --force && systemctl restart pveproxy";

/// How to find the name of a template.
pub const SHOW_TEMPLATES: &str = "'homelab proxmox template list' shows the templates";

/// How to find the name of a VM.
pub const SHOW_VMS: &str = "'homelab proxmox vm list' shows the VMs";

/// What it may mean that a token's list is empty.
pub fn empty_list_hint(token: &TokenId) -> String {
    let grant = how_to_see_vms(token);
    format!("if there are any, this token lacks VM.Audit on them; {grant}")
}

/// What to do if a token sees no templates.
pub fn no_templates_hint(token: &TokenId) -> String {
    let hint = empty_list_hint(token);
    format!("'homelab help templates' says how to create one; {hint}")
}

/// How to verify a certificate, and to trust it from then on.
pub fn how_to_pin(fingerprint: Fingerprint, trust: &Trust, hosts: usize) -> String {
    let set = if hosts > 1 {
        format!(
            "put it in this host's position in PROXMOX_FINGERPRINT, which takes one fingerprint per host, \
             in the same order: {fingerprint}"
        )
    } else {
        format!("PROXMOX_FINGERPRINT={fingerprint}")
    };
    let instead = match trust {
        Trust::CaFile(_) => " instead of the CA file",
        Trust::Anyone => " instead of disabling verification",
        Trust::Pin(_) => {
            " (or --fingerprint, or \"fingerprint\" in the file, wherever it is set now)"
        }
        Trust::SystemRoots => "",
    };
    format!(
        "compare that fingerprint with the one that 'pvenode cert info' on the node shows for \
         pveproxy-ssl.pem, or for pve-ssl.pem if there is no such file (not for pve-root-ca.pem); if they \
         match: {set}{instead}"
    )
}

fn for_setup(error: &TlsError) -> Option<String> {
    let authority = "which is /etc/pve/pve-root-ca.pem on each node";
    match error {
        TlsError::NoAuthority { fingerprint, .. } => Some(format!(
            "pin it instead: PROXMOX_FINGERPRINT={fingerprint} and no CA file; or use the cluster's CA, \
             {authority}"
        )),
        TlsError::CaFile { .. } | TlsError::NoCertificate { .. } => Some(format!(
            "PROXMOX_CA_FILE and --ca-file expect the cluster's CA certificate, {authority}"
        )),
        TlsError::Setup { .. } => None,
    }
}

fn for_unreached(host: &Host, why: &Unreached) -> String {
    let hint = match why {
        Unreached::Name { .. } => {
            let hint =
                "check the name (PROXMOX_HOST, --host); to see what it resolves to on this machine";
            return format!("{hint}: getent hosts {}", host.name());
        }
        Unreached::Proxy { proxy, message } => return for_proxy(host, proxy, message),
        Unreached::NotLoopback => "remove http:// from the host to use TLS",
        Unreached::NotTls | Unreached::ClosedInTls => {
            "Proxmox VE uses TLS on port 8006; check the port (PROXMOX_PORT, --host): it may belong to \
             plain HTTP or to another service"
        }
        Unreached::NoCommonCipher => {
            "replace the server's certificate with one that has another type of key; to see the current \
             one, on the node: openssl x509 -noout -text -in /etc/pve/local/pveproxy-ssl.pem (or \
             pve-ssl.pem, if there is no such file)"
        }
        Unreached::Connection { .. } | Unreached::Handshake { .. } => {
            "check the host and port (PROXMOX_HOST, PROXMOX_PORT, --host), and that pveproxy is \
             running there"
        }
    };
    hint.to_owned()
}

fn for_proxy(host: &Host, proxy: &Proxy, message: &str) -> String {
    let (name, origin) = (host.name(), proxy.origin());
    let without = format!("to reach {name} without the proxy: NO_PROXY={name}");
    if message.ends_with(" 407") {
        return format!(
            "the proxy requires a user and a password: {origin}=http://USER:PASSWORD@{proxy}; {without}"
        );
    }
    format!("check {origin}; {without}")
}

fn for_distrust(distrust: &Distrust, pin: &str) -> String {
    let renew = format!("on the node: {RENEW}; then pin or trust the new certificate");
    match distrust {
        Distrust::Expired { .. } => format!("if the clock is right, {renew}"),
        Distrust::Outdated => renew,
        Distrust::NotYetValid { .. } => {
            format!("correct the clock of this machine; or correct the clock of the node, and then on the \
                     node: {RENEW}")
        }
        Distrust::OtherNames { .. } => {
            format!("use one of its names (PROXMOX_HOST, --host); or {pin}")
        }
        Distrust::NotPinned { .. } => format!(
            "the node may have a new certificate: {pin}; if they differ, another machine may be \
             impersonating it"
        ),
        Distrust::KeyNotHeld => {
            "another machine may be impersonating it; investigate before you continue; nothing was sent"
                .to_owned()
        }
        Distrust::SelfSigned | Distrust::UnsupportedKey => pin.to_owned(),
        Distrust::IncompleteChain { issuer } => format!(
            "on the node, /etc/pve/local/pveproxy-ssl.pem must contain the server's certificate, followed by \
             those of all intermediate CAs; or, if {issuer} is a root CA: set PROXMOX_CA_FILE to its \
             certificate; or {pin}"
        ),
        Distrust::UnknownAuthority { name: Some(name) } => {
            format!("set PROXMOX_CA_FILE to the certificate of {name}; or {pin}")
        }
        _ => format!(
            "copy the cluster's CA certificate, /etc/pve/pve-root-ca.pem, from a node and set \
             PROXMOX_CA_FILE to the copy; or, until the certificate is renewed, {pin}"
        ),
    }
}

fn for_none_reached(each: &[Error]) -> String {
    let is_specific =
        |error: &&Error| matches!(error, Error::Untrusted { .. } | Error::Undelivered { .. });
    let specific = each.iter().find(is_specific);
    let hint = specific.and_then(|error| hint_for_one_of(each.len(), error));
    hint.unwrap_or_else(|| {
        "check the hosts and ports (PROXMOX_HOST, PROXMOX_PORT, --host), this machine's network, and \
         that pveproxy is running there"
            .to_owned()
    })
}

fn for_undelivered(upstream: &Upstream, reason: &str) -> String {
    let host = &upstream.host;
    match &upstream.node {
        None => format!(
            "pveproxy on {host} could not reach pvedaemon; there: systemctl status pvedaemon"
        ),
        Some(_) if reason.contains("refused") => for_daemon(upstream, "is down"),
        Some(node) => format!(
            "node '{node}' is down or unreachable from {host}; its guests and templates are unavailable \
             until it is back; on any node: pvecm status"
        ),
    }
}

fn for_daemon(Upstream { host, node }: &Upstream, state: &str) -> String {
    match node {
        None => format!("pvedaemon behind {host} {state}; there: systemctl status pvedaemon"),
        Some(node) => format!(
            "on node '{node}', pvedaemon (or pveproxy, if {host} is another node) {state}; there: systemctl \
             status pvedaemon pveproxy"
        ),
    }
}

fn for_no_answer(host: &Host) -> String {
    let speak_tls = if host.tls() {
        ""
    } else {
        "if that port uses TLS, remove http:// from the host; otherwise "
    };
    format!(
        "{speak_tls}try again; if it still does not answer, on that node: systemctl status pveproxy \
         pvedaemon; --request-timeout allows more time"
    )
}

fn for_unusable(host: &Host, status: u16, what: &str) -> String {
    let hint = if matches!(status, 502..=504) {
        "a proxy in front of Proxmox VE answered in its place: check where it forwards requests to; \
         on the node: systemctl status pveproxy"
    } else if !host.tls() && what.contains(", to https://") {
        "that port expects https://; remove http:// from the host"
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
        "on node 'pve2', pvedaemon (or pveproxy, if pve1:8006 is another node) is down; there: systemctl \
         status pvedaemon pveproxy"
    )]
    #[case::node_is_down(
        595,
        "No route to host",
        Some("pve2"),
        "node 'pve2' is down or unreachable from pve1:8006; its guests and templates are unavailable until \
         it is back; on any node: pvecm status"
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
        "on node 'pve2', pvedaemon (or pveproxy, if pve1:8006 is another node) hangs or is restarting; \
         there: systemctl status pvedaemon pveproxy"
    )]
    #[case::something_else_behind(
        599,
        "Too many redirections",
        None,
        "pvedaemon behind pve1:8006 hangs or is restarting; there: systemctl status pvedaemon"
    )]
    fn the_hint_names_what_is_down_behind_the_proxy(
        #[case] status: u16,
        #[case] reason: &str,
        #[case] node: Option<&str>,
        #[case] hint: &str,
    ) {
        let upstream = Upstream {
            host: "pve1".parse().unwrap(),
            node: node.map(|node| Node(node.to_owned())),
        };
        let reason = reason.to_owned();
        let error = match status {
            595 => Error::Undelivered { upstream, reason },
            _ => Error::UpstreamLost {
                upstream,
                status,
                reason,
            },
        };
        assert_eq!(hint_for(&error).as_deref(), Some(hint));
    }
}
