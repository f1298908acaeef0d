//! Checks each host by itself: its name, the connection to it, its certificate, and whether it accepts
//! the token.
//!
//! - Commands use the first host that answers. A problem with that host is a failure; with another one, a
//!   warning, unless no host answers.

use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::finding::{Finding, Report, Verdict};
use crate::pve::secret::Masked;
use crate::pve::types::{TokenId, Version};
use crate::pve::{self, Access, Day, Delivery, Endpoint, Host, Presented, Pve, Trust};
use crate::say::failure::{Kind, kind_of};
use crate::say::hint::{RENEW, hint_for, hint_for_one_of, how_to_pin};

/// How long before a certificate expires to warn of it: enough time to renew it by hand.
const SOON: Duration = Duration::from_hours(30 * 24);

/// Creates a client; sends nothing yet.
pub type Connect<'c> = &'c dyn Fn(&Access) -> Result<Pve, pve::Error>;

/// A host that has accepted the token.
pub struct Accepted {
    /// The host.
    pub host: Host,
    /// A client of this host alone.
    pub pve: Pve,
    /// Its version.
    pub version: Version,
}

/// Asks each host for its version, which requires everything that other requests require. Returns the hosts
/// that have accepted the token.
pub fn check_hosts(
    access: &Access,
    connect: Connect,
    token: &TokenId,
    report: Report,
) -> Vec<Accepted> {
    let endpoints = access.endpoints.iter();
    let checks: Vec<HostCheck> = endpoints
        .map(|endpoint| HostCheck::of(endpoint, access, connect))
        .collect();
    let used = checks.iter().position(|check| !check.is_skipped());
    for (index, check) in checks.iter().enumerate() {
        let is_used = used.is_none_or(|used| used == index);
        let verdict = if is_used {
            Verdict::Fail
        } else {
            Verdict::Warn
        };
        check.report(token, verdict, report);
    }
    let accepted = checks.into_iter().filter_map(|check| {
        Some(Accepted {
            host: check.endpoint.host.clone(),
            pve: check.pve?,
            version: check.version.ok()?,
        })
    });
    accepted.collect()
}

struct HostCheck<'a> {
    endpoint: &'a Endpoint,
    version: Result<Version, pve::Error>,
    pve: Option<Pve>,
    presented: Option<Presented>,
    addresses: Vec<IpAddr>,
    /// How many hosts there are.
    hosts: usize,
}

impl<'a> HostCheck<'a> {
    fn of(endpoint: &'a Endpoint, access: &Access, connect: Connect) -> HostCheck<'a> {
        let only_this = Access {
            endpoints: vec![endpoint.clone()],
            ..access.clone()
        };
        let (version, pve) = match connect(&only_this) {
            Ok(pve) => (pve.version(), Some(pve)),
            Err(error) => (Err(error), None),
        };
        HostCheck {
            endpoint,
            version,
            presented: pve.as_ref().and_then(Pve::presented),
            addresses: pve.as_ref().map(Pve::addresses).unwrap_or_default(),
            pve,
            hosts: access.endpoints.len(),
        }
    }

    /// Whether the next host is asked instead.
    fn is_skipped(&self) -> bool {
        let error = self.version.as_ref().err();
        error.is_some_and(|error| {
            let is_silent = matches!(error, pve::Error::NoAnswer { .. });
            is_silent || error.delivery() == Delivery::NotDelivered
        })
    }

    fn report(&self, token: &TokenId, verdict: Verdict, report: Report) {
        use pve::Error::{Tls, Unreachable, Untrusted};

        let host = &self.endpoint.host;
        let name = format!("name {}", host.name());
        let certificate = format!("certificate of {host}");
        let connection = format!("connection to {host}");
        let down = |check: String, error: &pve::Error| {
            Finding::new(verdict, check, error.without_host()).with_hint(hint_for(error))
        };
        let error = self.version.as_ref().err();
        match error {
            Some(error @ Tls { .. }) => return report(Finding::of_request(certificate, error)),
            Some(error) if error.lookup_failed() => return report(down(name, error)),
            _ => {}
        }
        let proxy = self.endpoint.proxy.as_ref();
        if host.name().parse::<IpAddr>().is_err() && proxy.is_none() {
            let addresses: Vec<String> = self.addresses.iter().map(IpAddr::to_string).collect();
            report(Finding::ok(name, addresses.join(", ")));
        }
        if let Some(error @ Unreachable { .. }) = error {
            return report(down(connection, error));
        }
        let through = proxy.map(|proxy| format!(" through proxy {proxy}"));
        let through = through.unwrap_or_default();
        report(Finding::ok(connection, format!("established{through}")));
        if let Some(error @ Untrusted { .. }) = error {
            let finding = Finding::new(verdict, certificate, error.without_host());
            return report(finding.with_hint(hint_for_one_of(self.hosts, error)));
        }
        report(self.check_certificate(certificate));
        let Some(error) = error else { return };
        report(if kind_of(error) != Kind::Unauthorized {
            down(format!("response of {host}"), error)
        } else if self.hosts > 1 {
            Finding::of_request(format!("token at {host}"), error).with_result(verdict)
        } else {
            Finding::of_request(format!("token {token}"), error)
        });
    }

    fn check_certificate(&self, check: String) -> Finding {
        let Some(presented) = self.presented.as_ref().filter(|_| self.endpoint.host.tls()) else {
            return Finding::ok(check, "none: http:// is only used on this machine");
        };
        let trust = match &self.endpoint.trust {
            Trust::SystemRoots => "signed by a CA that this system trusts".to_owned(),
            Trust::CaFile(path) => {
                let path = Masked::from(path.to_string_lossy());
                format!("signed by a CA in '{path}'")
            }
            Trust::Pin(_) => "pinned".to_owned(),
            Trust::Anyone => "not verified".to_owned(),
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.unwrap_or_default();
        let ends_before = |time| presented.not_after.is_some_and(|end| end < time);
        let until = match presented.not_after.and_then(Day::at) {
            Some(day) if ends_before(now) => format!(", expired on {day}"),
            Some(day) => format!(", valid until {day}"),
            None => String::new(),
        };
        let fingerprint = presented.fingerprint;
        let detail = format!("{trust}{until}, SHA-256 {fingerprint}");
        match &self.endpoint.trust {
            trust @ Trust::Anyone => {
                Finding::warn(check, detail).with_hint(how_to_pin(fingerprint, trust, self.hosts))
            }
            _ if ends_before(now + SOON) => {
                let detail = format!("expires soon: {detail}");
                let hint = format!(
                    "on the node: {RENEW} (or however the certificate was issued); if the old one is pinned, then pin the new one"
                );
                Finding::warn(check, detail).with_hint(hint)
            }
            _ => Finding::ok(check, detail),
        }
    }
}
