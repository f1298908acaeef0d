//! Each host by itself: its name, the way to it, its certificate, and what it says of the token.

use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::cmd::check::finding::{Finding, Hearer};
use crate::pve::secret::Masked;
use crate::pve::types::Version;
use crate::pve::{self, Access, Day, Endpoint, Presented, Pve, Trust};
use crate::say::failure::{Kind, Report, kind_of};
use crate::say::hint::{hint_for, hint_for_one_of, how_to_pin};

/// Whoever has to renew a certificate by hand wants to know some time before.
const SOON: Duration = Duration::from_hours(30 * 24);

/// Gets ready to ask.
pub type Connect<'c> = &'c dyn Fn(&Access) -> Result<Pve, pve::Error>;

/// What the hosts have said together.
pub enum Said {
    /// At least one has accepted the token.
    Accepted(Version),
    /// There is only one, and it has refused it, like this.
    Refused(pve::Error),
    /// Each host was told of, and none has accepted the token.
    NotAccepted,
}

/// Asks each host for its version, which takes all that any other request takes.
pub fn check_hosts(access: &Access, connect: Connect, tell: Hearer) -> Said {
    let answers: Vec<Answer> = access
        .endpoints
        .iter()
        .map(|endpoint| Answer::of(endpoint, access, connect))
        .collect();
    let is_any_reached = answers.iter().any(Answer::is_reached);
    for answer in &answers {
        answer.tell(is_any_reached, tell);
    }
    let is_alone = answers.len() == 1;
    for answer in answers {
        let is_refused = answer.is_refused();
        match answer.version {
            Ok(version) => return Said::Accepted(version),
            Err(error) if is_alone && is_refused => return Said::Refused(error),
            Err(_) => {}
        }
    }
    Said::NotAccepted
}

struct Answer<'a> {
    endpoint: &'a Endpoint,
    version: Result<Version, pve::Error>,
    presented: Option<Presented>,
    addresses: Vec<IpAddr>,
    /// How many hosts there are.
    hosts: usize,
}

impl<'a> Answer<'a> {
    fn of(endpoint: &'a Endpoint, access: &Access, connect: Connect) -> Answer<'a> {
        let alone = Access {
            endpoints: vec![endpoint.clone()],
            ..access.clone()
        };
        let (version, presented, addresses) = match connect(&alone) {
            Ok(pve) => (pve.version(), pve.presented(), pve.addresses()),
            Err(error) => (Err(error), None, Vec::new()),
        };
        Answer {
            endpoint,
            version,
            presented,
            addresses,
            hosts: access.endpoints.len(),
        }
    }

    fn is_reached(&self) -> bool {
        self.version.is_ok() || self.is_refused()
    }

    fn is_refused(&self) -> bool {
        let refusal = self.version.as_ref().err().map(kind_of);
        refusal == Some(Kind::Unauthorized)
    }

    fn tell(&self, is_any_reached: bool, tell: Hearer) {
        let host = &self.endpoint.host;
        let (name, connection, certificate) = (
            format!("name {}", host.name()),
            format!("connection to {host}"),
            format!("certificate of {host}"),
        );
        // Where the others do, one that is down is no failure.
        let down = |check: String, error: &pve::Error| {
            let words = error.without_host();
            let finding = if is_any_reached {
                Finding::warn(check, words)
            } else {
                Finding::fail(check, words)
            };
            finding.with_hint(hint_for(error))
        };
        let error = match &self.version {
            Err(error @ pve::Error::Tls { .. }) => {
                return tell(Finding::of(certificate, Report::of_request(error)));
            }
            Err(error) if error.is_lookup_failed() => return tell(down(name, error)),
            Err(error) if !self.is_reached() => Some(error),
            _ => None,
        };
        if host.name().parse::<IpAddr>().is_err() {
            let addresses: Vec<String> = self.addresses.iter().map(IpAddr::to_string).collect();
            tell(Finding::ok(name, addresses.join(", ")));
        }
        match error {
            Some(error) if matches!(error, pve::Error::Unreachable { .. }) => {
                return tell(down(connection, error));
            }
            Some(error @ pve::Error::Untrusted { .. }) => {
                tell(Finding::ok(connection, "established"));
                let hint = hint_for_one_of(self.hosts, error);
                return tell(Finding::fail(certificate, error.without_host()).with_hint(hint));
            }
            _ => {}
        }
        tell(Finding::ok(connection, "established"));
        tell(self.of_certificate(certificate));
        if let Some(error) = error {
            tell(down(format!("answer of {host}"), error));
        }
        // With one host alone it is said of the token as such.
        if let Err(error) = &self.version
            && self.is_refused()
            && self.hosts > 1
        {
            tell(Finding::of(
                format!("token at {host}"),
                Report::of_request(error),
            ));
        }
    }

    fn of_certificate(&self, check: String) -> Finding {
        let Some(presented) = self.presented.as_ref().filter(|_| self.endpoint.host.tls()) else {
            return Finding::ok(check, "none, for http:// stays on this machine");
        };
        let trust = match &self.endpoint.trust {
            Trust::SystemRoots => "signed by an authority that this system trusts".to_owned(),
            Trust::CaFile(path) => {
                let path = Masked::from(path.to_string_lossy());
                format!("signed by an authority in CA file '{path}'")
            }
            Trust::Pin(_) => "the pinned one".to_owned(),
            Trust::Anyone => "not verified".to_owned(),
        };
        let Presented {
            fingerprint,
            not_after,
        } = presented;
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.unwrap_or_default();
        let is_over = not_after.is_some_and(|end| end < now);
        let until = not_after.and_then(Day::at).map_or_else(String::new, |day| {
            let what = if is_over { "expired on" } else { "valid until" };
            format!(", {what} {day}")
        });
        let detail = format!("{trust}{until}, SHA-256 {fingerprint}");
        if self.endpoint.trust == Trust::Anyone {
            let trust = &self.endpoint.trust;
            return Finding::warn(check, detail).with_hint(how_to_pin(
                *fingerprint,
                trust,
                self.hosts,
            ));
        }
        if not_after.is_some_and(|end| end < now + SOON) {
            return Finding::warn(check, format!("expires soon: {detail}")).with_hint(
                "on the node: pvecm updatecerts --force && systemctl restart pveproxy (or however that \
                 certificate was made); where it is pinned, set the new fingerprint then"
                    .to_owned(),
            );
        }
        Finding::ok(check, detail)
    }
}
