//! The last step: the address of a VM, as its guest agent reports it.
//!
//! - The best address is taken at once, a good one after a while or at the end of the budget.
//! - An agent that does not have the command, or may not carry it out, ends the wait at once. Other errors of
//!   the agent, and a VM that is off, end it after a while, because they also occur during a start.
//! - At the end of the budget the message names the addresses that the guest has.

use std::time::Duration;

use super::fit::AGENT_OFF;
use crate::guests::addresses::hint_for_agent;
use crate::pve::{Address, Addresses, AgentError, Card, Interface, Reason, Report, addresses};
use crate::say::stage::{RESUME, Step};
use crate::settings::ip_from::{Fit, IpFrom, choose, expected};
use crate::settings::setup::no_agent;
use crate::steps::{ActiveStep, Cause};
use crate::ui::progress::Activity;
use crate::wait::{GaveUp, Poll};

/// Waits for an address that `--ip-from` names, or without it for one of the first network card.
pub fn address(active: &mut ActiveStep, from: &[IpFrom]) -> Result<Addresses, Cause> {
    let config = active.config()?;
    let budget = active.budget();
    let mut wait = Wait {
        from,
        cards: config.cards(),
        settling_time: budget.settling_time(),
        good: None,
        in_trouble_since: None,
        last: None,
    };
    if !config.has_agent() {
        return Err(wait.without_agent());
    }
    active.announce(&Activity::AwaitingAddress);
    loop {
        let seen = active.watch(|pve, vm| {
            let report = pve.interfaces(&vm.node, vm.vmid)?;
            Ok(wait.judge(report, budget.clock.elapsed()))
        });
        let unseen = match seen {
            Ok(Ended::Found(addresses)) => {
                // Unless the guest is another VM's by now.
                return active.why_gone().map_or(Ok(addresses), Err);
            }
            Ok(Ended::Failed(cause)) => return Err(active.why_gone().unwrap_or(cause)),
            // It may have moved. The wait goes on where it is now.
            Ok(Ended::VmMissing) => {
                active.read_config_again()?;
                continue;
            }
            Err(GaveUp::Failed(error)) => return Err(active.request_failed(error)),
            Err(GaveUp::TimedOut(unseen)) => unseen.map(|error| (error.to_string(), None)),
        };
        if let Some((addresses, _)) = wait.good {
            return Ok(addresses);
        }
        let (last, hint) = unseen.or(wait.last).unzip();
        return Err(Cause::TimedOut {
            seconds: budget.seconds(),
            last,
            hint: hint.flatten(),
        });
    }
}

/// How a wait ends.
enum Ended {
    Found(Addresses),
    Failed(Cause),
    VmMissing,
}

/// A wait for an address.
struct Wait<'f> {
    from: &'f [IpFrom],
    cards: Vec<Card>,
    settling_time: Duration,
    /// An address that is good, and since when there has been one.
    good: Option<(Addresses, Duration)>,
    /// Since when each answer has been one that ends the wait after a while.
    in_trouble_since: Option<Duration>,
    /// What was in the way at the last look, and what to do about it.
    last: Option<(String, Option<String>)>,
}

impl Wait<'_> {
    /// Whether an answer ends the wait. `now` is the time since the run began.
    fn judge(&mut self, report: Report, now: Duration) -> Poll<Ended> {
        match report {
            Report::Interfaces(interfaces) => {
                self.in_trouble_since = None;
                self.judge_interfaces(&interfaces, now)
            }
            Report::Refused(error) => self.judge_error(&error, now),
            Report::Unavailable(words) => self.judge_words(words, now),
        }
    }

    fn judge_interfaces(&mut self, interfaces: &[Interface], now: Duration) -> Poll<Ended> {
        let ips = addresses(interfaces, &self.cards);
        let chosen = choose(self.from, &self.cards, &ips);
        let (fit, ip) = match chosen {
            Some((fit @ (Fit::Best | Fit::Good), address)) => (fit, address.ip),
            Some((Fit::Unexpected, _)) | None => {
                self.good = None;
                let (words, hint) = self.what_is_missing(&ips, chosen.is_some());
                return self.not_yet(words, &hint);
            }
        };
        let since = self.good.as_ref().map_or(now, |(_, since)| *since);
        let found = Addresses { ip: Some(ip), ips };
        if fit == Fit::Best || now >= since + self.settling_time {
            return Poll::Done(Ended::Found(found));
        }
        self.good = Some((found, since));
        Poll::NotYet
    }

    fn judge_error(&mut self, error: &AgentError, now: Duration) -> Poll<Ended> {
        let hint = hint_for_agent(error);
        let words = format!("its guest agent says: {}", error.message);
        let is_final = match error.reason {
            Reason::Disabled | Reason::Unknown => true,
            Reason::Frozen => false,
            Reason::Failed => self.is_long_in_trouble(now),
        };
        if !is_final {
            return self.not_yet(words, hint);
        }
        Poll::Done(Ended::Failed(Cause::State {
            words: format!("{}: {words}", Step::Address.failed()),
            hint: format!("{hint}; then {RESUME}"),
        }))
    }

    /// The server's own words where it could not ask the agent.
    fn judge_words(&mut self, words: String, now: Duration) -> Poll<Ended> {
        if words.starts_with("No QEMU guest agent configured") {
            return Poll::Done(Ended::Failed(self.without_agent()));
        }
        let is_off = words.starts_with("VM ") && words.ends_with(" is not running");
        let is_not_there = words.starts_with("Configuration file");
        if !is_off && !is_not_there {
            self.in_trouble_since = None;
        } else if self.is_long_in_trouble(now) {
            self.in_trouble_since = None;
            return Poll::Done(if is_not_there {
                Ended::VmMissing
            } else {
                Ended::Failed(Cause::State {
                    words: "it does not run, so nobody can tell its address".to_owned(),
                    hint: check_console(),
                })
            });
        }
        let hint = "qemu-guest-agent must be installed and running in the guest";
        self.not_yet(words, hint)
    }

    fn is_long_in_trouble(&mut self, now: Duration) -> bool {
        now >= *self.in_trouble_since.get_or_insert(now) + self.settling_time
    }

    fn not_yet(&mut self, words: String, hint: &str) -> Poll<Ended> {
        let hint = format!("{hint}; {RESUME}, with a longer --timeout if it starts slowly");
        self.last = Some((words, Some(hint)));
        Poll::NotYet
    }

    /// What the guest has instead of what is expected, and what to do about it.
    fn what_is_missing(&self, ips: &[Address], is_unexpected: bool) -> (String, String) {
        let expected = expected(self.from, &self.cards);
        let Some(Address { ip, .. }) = ips.first() else {
            return (
                format!(
                    "the guest has no address that other machines can use; expected {expected}"
                ),
                "check the bridge of the VM and the DHCP server behind it, or what cloud-init sets"
                    .to_owned(),
            );
        };
        let has = listed(ips);
        let restart = if is_unexpected {
            "cloud-init sets an address when the VM starts, so a VM that was running before needs a \
             restart; "
        } else {
            ""
        };
        (
            format!("the guest has {has}; expected {expected}"),
            format!("{restart}--ip-from {ip} takes that address"),
        )
    }

    fn without_agent(&self) -> Cause {
        let first = self.cards.first();
        Cause::State {
            words: format!(
                "it {}",
                no_agent(first.and_then(|card| card.static_address(None)))
            ),
            hint: format!("{AGENT_OFF}; {RESUME}"),
        }
    }
}

/// `10.0.0.5 (net0), 172.17.0.1 (docker0)`
fn listed(ips: &[Address]) -> String {
    const AT_MOST: usize = 8;

    let each = ips.iter().take(AT_MOST).map(|ip| {
        let place = ip.card.as_ref().or(ip.interface.as_ref());
        let place = place.map_or_else(String::new, |place| format!(" ({place})"));
        format!("{}{place}", ip.ip)
    });
    let more = match ips.len().saturating_sub(AT_MOST) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{}{more}", each.collect::<Vec<_>>().join(", "))
}

/// What to do about a VM that does not stay up.
pub fn check_console() -> String {
    format!("see on its console why it went off; {RESUME}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    const MACS: [&str; 2] = ["bc:24:11:00:00:65", "bc:24:11:00:01:65"];

    /// With two network cards; what cloud-init configures for the first. An interval is 2 s.
    fn wait<'f>(from: &'f [IpFrom], ipconfig0: &str) -> Wait<'f> {
        let card = |key: &str, mac: &str, ipconfig: &str| Card {
            key: key.to_owned(),
            mac: mac.to_owned(),
            ipconfig: ipconfig.to_owned(),
        };
        Wait {
            from,
            cards: vec![card("net0", MACS[0], ipconfig0), card("net1", MACS[1], "")],
            settling_time: Duration::from_secs(10),
            good: None,
            in_trouble_since: None,
            last: None,
        }
    }

    /// An answer in words: `eth0 10.0.0.5, docker0 172.17.0.1`, or why there is no list.
    fn report(words: &str) -> Report {
        let refused = |class: &str, words: &str| {
            let error = json!({"class": class, "desc": words});
            Report::from(json!({ "error": error }))
        };
        match words {
            "off" => Report::Unavailable("VM 101 is not running".to_owned()),
            "silent" => Report::Unavailable("QEMU guest agent is not running".to_owned()),
            "gone" => Report::Unavailable("Configuration file 'x' does not exist".to_owned()),
            "no agent" => Report::Unavailable("No QEMU guest agent configured".to_owned()),
            "disabled" => refused("CommandNotFound", "Command x has been disabled"),
            "unknown" => refused("CommandNotFound", "The command x has not been found"),
            "frozen" => refused("CommandNotFound", "x has been disabled: frozen state"),
            "failed" => refused("GenericError", "failed to get MAC address of ens18"),
            list => Report::from(json!(
                list.split_terminator(", ")
                    .map(|entry| {
                        let (name, address) = entry.split_once(' ').unwrap();
                        let mac = match name {
                            "eth0" => MACS[0],
                            "eth1" => MACS[1],
                            _ => "02:42:00:00:00:01",
                        };
                        json!({"name": name, "hardware-address": mac,
                    "ip-addresses": [{"ip-address": address}]})
                    })
                    .collect::<Vec<_>>()
            )),
        }
    }

    /// The number of the look that ended the wait, and how it ended.
    fn ended(mut wait: Wait, story: &[(usize, &str)]) -> Option<(usize, String)> {
        let looks = story
            .iter()
            .flat_map(|(times, words)| [words].repeat(*times));
        for (look, words) in looks.enumerate() {
            let now = Duration::from_secs(2) * u32::try_from(look).unwrap();
            if let Poll::Done(ended) = wait.judge(report(words), now) {
                let words = match ended {
                    Ended::Found(found) => found.ip.unwrap().to_string(),
                    Ended::Failed(Cause::State { words, .. }) => words,
                    Ended::Failed(cause) => panic!("{cause:?}"),
                    Ended::VmMissing => "not there".to_owned(),
                };
                return Some((look + 1, words));
            }
        }
        None
    }

    #[track_caller]
    fn assert_ended(story: &[(usize, &str)], expected: Option<(usize, &str)>) {
        let seen = ended(wait(&[], ""), story);
        let seen = seen.as_ref().map(|(look, words)| (*look, &**words));
        assert_eq!(seen, expected);
    }

    #[rstest]
    #[case::at_once(&[(1, "eth0 10.0.0.5")], Some((1, "10.0.0.5")))]
    #[case::the_first_card_two_looks_later(
        &[(2, "eth1 10.1.0.5"), (1, "eth1 10.1.0.5, eth0 10.0.0.5")],
        Some((3, "10.0.0.5"))
    )]
    #[case::another_card_after_a_while(&[(6, "eth1 10.1.0.5")], Some((6, "10.1.0.5")))]
    #[case::not_before(&[(5, "eth1 10.1.0.5")], None)]
    #[case::ipv6_of_the_first_card_after_a_while(
        &[(3, "eth1 10.1.0.5"), (3, "eth1 10.1.0.5, eth0 2001:db8::5")],
        Some((6, "2001:db8::5"))
    )]
    #[case::an_agent_that_restarts_in_between(
        &[(3, "eth1 10.1.0.5"), (3, "silent"), (1, "eth1 10.1.0.5")],
        Some((7, "10.1.0.5"))
    )]
    #[case::an_address_that_went_away(
        &[(5, "eth1 10.1.0.5"), (1, ""), (5, "eth1 10.1.0.5")],
        None
    )]
    #[case::never_a_bridge_inside_the_guest(&[(20, "docker0 172.17.0.1")], None)]
    #[case::once_the_agent_runs(&[(20, "silent"), (1, "eth0 10.0.0.5")], Some((21, "10.0.0.5")))]
    fn a_better_address_is_waited_for_a_while(
        #[case] story: &[(usize, &str)],
        #[case] expected: Option<(usize, &str)>,
    ) {
        assert_ended(story, expected);
    }

    #[rstest]
    #[case::disabled(
        &[(1, "disabled")],
        Some((1, "its address could not be found out: its guest agent says: Command x has been disabled"))
    )]
    #[case::too_old(
        &[(1, "unknown")],
        Some((1, "its address could not be found out: its guest agent says: The command x has not been found"))
    )]
    #[case::frozen_for_a_backup(&[(20, "frozen"), (1, "eth0 10.0.0.5")], Some((21, "10.0.0.5")))]
    #[case::an_error_that_passes(&[(5, "failed"), (1, "eth0 10.0.0.5")], Some((6, "10.0.0.5")))]
    #[case::an_error_that_stays(
        &[(6, "failed")],
        Some((6, "its address could not be found out: its guest agent says: failed to get MAC address of ens18"))
    )]
    #[case::off_for_a_moment(&[(5, "off"), (5, "silent"), (5, "off")], None)]
    #[case::not_there(&[(6, "gone")], Some((6, "not there")))]
    #[case::not_there_for_a_moment(&[(5, "gone"), (1, "eth0 10.0.0.5")], Some((6, "10.0.0.5")))]
    #[case::off(&[(6, "off")], Some((6, "it does not run, so nobody can tell its address")))]
    #[case::without_agent(
        &[(1, "silent"), (1, "no agent")],
        Some((2, "it has its guest agent disabled, and only the agent reports an address"))
    )]
    fn what_stays_ends_the_wait(
        #[case] story: &[(usize, &str)],
        #[case] expected: Option<(usize, &str)>,
    ) {
        assert_ended(story, expected);
    }

    const SLOW: &str = "; run the same command with --ensure to resume, with a longer --timeout if it \
                        starts slowly";

    #[rstest]
    #[case::none(
        "",
        "",
        "the guest has no address that other machines can use; expected an address on one of its network \
         cards",
        "check the bridge of the VM and the DHCP server behind it, or what cloud-init sets"
    )]
    #[case::a_bridge_inside_the_guest(
        "",
        "docker0 172.17.0.1, wg0 10.8.0.2",
        "the guest has 172.17.0.1 (docker0), 10.8.0.2 (wg0); expected an address on one of its network \
         cards",
        "--ip-from 172.17.0.1 takes that address"
    )]
    #[case::another_than_the_static_one(
        "ip=10.0.0.5/24,gw=10.0.0.1",
        "eth0 10.0.0.77, docker0 172.17.0.1",
        "the guest has 10.0.0.77 (net0), 172.17.0.1 (docker0); expected 10.0.0.5, which ipconfig0 sets",
        "cloud-init sets an address when the VM starts, so a VM that was running before needs a restart; \
         --ip-from 10.0.0.77 takes that address"
    )]
    fn an_address_that_is_not_taken_is_named(
        #[case] ipconfig0: &str,
        #[case] reported: &str,
        #[case] words: &str,
        #[case] hint: &str,
    ) {
        let mut wait = wait(&[], ipconfig0);
        assert!(matches!(
            wait.judge(report(reported), Duration::ZERO),
            Poll::NotYet
        ));
        assert_eq!(
            wait.last,
            Some((words.to_owned(), Some(format!("{hint}{SLOW}"))))
        );
    }

    #[test]
    fn of_many_addresses_only_some_are_listed() {
        let many: Vec<String> = (1..=10).map(|n| format!("veth{n} 172.17.0.{n}")).collect();
        let mut wait = wait(&[], "");
        assert!(matches!(
            wait.judge(report(&many.join(", ")), Duration::ZERO),
            Poll::NotYet
        ));
        let (words, _) = wait.last.unwrap();
        assert!(
            words.contains("172.17.0.8 (veth8) and 2 more; expected"),
            "{words}"
        );
    }
}
